#!/usr/bin/env python3
"""Writes tests/data/classic/models.zip: scikit-learn models as skl2onnx exports them, and what onnxruntime gives.

    scripts/classic-goldens.py

Needs scikit-learn, skl2onnx, onnx and onnxruntime. Seeded; only data sets that come with scikit-learn. The zip
holds index.json and, for each case, CASE.onnx and CASE.npz: inputs `x_0`, ... and outputs `y_0`, ..., one row
of each for each run of a model with a batch of 1, or `batch` rows for each run. A classifier's ZipMap gives
a table of probabilities, classes in their order. `single` cases are one node, for attributes that scikit-learn never exports.
"""

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn import cluster, datasets, decomposition, ensemble, feature_selection, impute, linear_model
from sklearn import mixture, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree
from sklearn import discriminant_analysis, multiclass, kernel_approximation, calibration, gaussian_process

OUT = Path(__file__).parent.parent / "tests" / "data" / "classic" / "models.zip"
ROWS = 24
warnings.filterwarnings("ignore")
ort.set_default_logger_severity(3)

SETS = {
    "iris": datasets.load_iris(return_X_y=True),
    "wine": datasets.load_wine(return_X_y=True),
    "cancer": datasets.load_breast_cancer(return_X_y=True),
    "diabetes": datasets.load_diabetes(return_X_y=True),
    "digits": datasets.load_digits(return_X_y=True),
}
ZIPMAP_OFF = {"zipmap": False}
ML3 = {"": 18, "ai.onnx.ml": 3}

# skl2onnx hands NumPy's whole numbers to onnx, which takes Python's only.
make_attribute = helper.make_attribute


def python_attribute(key, value, *rest, **others):
    if isinstance(value, list) and value and isinstance(value[0], np.integer):
        value = [int(each) for each in value]
    return make_attribute(key, value, *rest, **others)


helper.make_attribute = python_attribute


def scaled(model):
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


def pipelines():
    """(name, data set, model, options of its last step, what else)."""
    forest = dict(n_estimators=12, max_depth=5, random_state=0)
    yield "logistic_scaled", "iris", scaled(linear_model.LogisticRegression()), ZIPMAP_OFF
    yield "logistic_zipmap", "wine", scaled(linear_model.LogisticRegression()), {}
    yield "logistic_binary", "cancer", scaled(linear_model.LogisticRegression()), ZIPMAP_OFF
    yield "logistic_ovr", "iris", multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), ZIPMAP_OFF
    yield "logistic_names", "iris_names", linear_model.LogisticRegression(max_iter=500), {}
    yield "ridge", "diabetes", linear_model.Ridge(), None
    yield "lasso", "diabetes", scaled(linear_model.Lasso()), None
    yield "sgd", "iris", scaled(linear_model.SGDClassifier(random_state=0)), ZIPMAP_OFF
    yield "sgd_log", "cancer", scaled(linear_model.SGDClassifier(loss="log_loss", random_state=0)), ZIPMAP_OFF
    yield "perceptron", "iris", linear_model.Perceptron(random_state=0), ZIPMAP_OFF
    yield "linear_svc", "wine", scaled(svm.LinearSVC(random_state=0)), None
    yield "lda", "wine", discriminant_analysis.LinearDiscriminantAnalysis(), ZIPMAP_OFF
    yield "qda", "iris", discriminant_analysis.QuadraticDiscriminantAnalysis(), ZIPMAP_OFF
    yield "poisson", "diabetes", scaled(linear_model.PoissonRegressor()), None
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        for kind, data in (("multi", "wine"), ("binary", "cancer")):
            model = svm.SVC(kernel=kernel, probability=True, random_state=0)
            yield f"svc_{kernel}_{kind}", data, pipeline.make_pipeline(preprocessing.MinMaxScaler(), model), ZIPMAP_OFF
        yield f"svr_{kernel}", "diabetes", scaled(svm.SVR(kernel=kernel)), None
    yield "svc_scores", "wine", scaled(svm.SVC()), ZIPMAP_OFF
    yield "svc_scores_binary", "cancer", scaled(svm.SVC()), ZIPMAP_OFF
    yield "svc_names", "iris_names", svm.SVC(probability=True, random_state=0), ZIPMAP_OFF
    yield "nusvc", "iris", svm.NuSVC(probability=True, random_state=0), ZIPMAP_OFF
    yield "nusvr", "diabetes", scaled(svm.NuSVR()), None
    yield "one_class_svm", "iris", svm.OneClassSVM(nu=0.2), None
    yield "tree_classifier", "iris", tree.DecisionTreeClassifier(max_depth=5, random_state=0), ZIPMAP_OFF
    yield "tree_binary", "cancer", tree.DecisionTreeClassifier(max_depth=5, random_state=0), ZIPMAP_OFF
    yield "tree_regressor", "diabetes", tree.DecisionTreeRegressor(max_depth=5, random_state=0), None
    yield "tree_two_targets", "two_targets", tree.DecisionTreeRegressor(max_depth=4, random_state=0), None
    yield "forest_classifier", "digits", ensemble.RandomForestClassifier(**forest), ZIPMAP_OFF
    yield "forest_zipmap", "wine", ensemble.RandomForestClassifier(**forest), {}
    yield "forest_binary", "cancer", ensemble.RandomForestClassifier(**forest), ZIPMAP_OFF
    yield "forest_names", "iris_names", ensemble.RandomForestClassifier(**forest), ZIPMAP_OFF
    yield "forest_regressor", "diabetes", ensemble.RandomForestRegressor(**forest), None
    yield "extra_trees", "wine", ensemble.ExtraTreesClassifier(**forest), ZIPMAP_OFF
    yield "extra_trees_regressor", "diabetes", ensemble.ExtraTreesRegressor(**forest), None
    yield "boosting_classifier", "iris", ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0), ZIPMAP_OFF
    yield "boosting_binary", "cancer", ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0), ZIPMAP_OFF
    yield "boosting_regressor", "diabetes", ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0), None
    yield "hist_boosting", "iris", ensemble.HistGradientBoostingClassifier(max_iter=6, random_state=0), ZIPMAP_OFF
    yield "hist_boosting_binary", "cancer", ensemble.HistGradientBoostingClassifier(max_iter=6, random_state=0), ZIPMAP_OFF
    yield "hist_boosting_regressor", "holes", ensemble.HistGradientBoostingRegressor(max_iter=6, random_state=0), None
    yield "ada_boost", "iris", ensemble.AdaBoostClassifier(n_estimators=5, random_state=0), ZIPMAP_OFF
    yield "ada_boost_regressor", "diabetes", ensemble.AdaBoostRegressor(n_estimators=5, random_state=0), None
    yield "bagging", "iris", ensemble.BaggingClassifier(n_estimators=4, random_state=0), ZIPMAP_OFF
    yield "voting", "iris", ensemble.VotingClassifier(
        [("a", linear_model.LogisticRegression(max_iter=500)), ("b", naive_bayes.GaussianNB())], voting="soft", flatten_transform=False), ZIPMAP_OFF
    yield "stacking", "diabetes", ensemble.StackingRegressor(
        [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=0))]), None
    yield "calibrated", "iris", calibration.CalibratedClassifierCV(svm.LinearSVC(random_state=0), cv=2), ZIPMAP_OFF
    yield "isolation_forest", "iris", ensemble.IsolationForest(n_estimators=8, max_samples=32, random_state=0), None
    yield "kmeans", "iris", cluster.KMeans(3, n_init=2, random_state=0), None
    yield "mini_batch_kmeans", "wine", scaled(cluster.MiniBatchKMeans(4, n_init=2, random_state=0)), None
    yield "pca", "wine", scaled(decomposition.PCA(4)), None
    yield "pca_whitened_svc", "wine", pipeline.make_pipeline(
        preprocessing.StandardScaler(), decomposition.PCA(5, whiten=True), svm.SVC(probability=True, random_state=0)), ZIPMAP_OFF
    yield "truncated_svd", "digits", decomposition.TruncatedSVD(5, random_state=0), None
    yield "gaussian_mixture", "iris", mixture.GaussianMixture(3, random_state=0), None
    yield "gaussian_mixture_diag", "iris", mixture.GaussianMixture(3, covariance_type="diag", random_state=0), None
    yield "gaussian_nb", "wine", naive_bayes.GaussianNB(), ZIPMAP_OFF
    yield "bernoulli_nb", "digits", naive_bayes.BernoulliNB(binarize=8.0), ZIPMAP_OFF
    yield "mlp_classifier", "iris", scaled(neural_network.MLPClassifier((12, 8), max_iter=80, random_state=0)), ZIPMAP_OFF
    yield "mlp_binary", "cancer", scaled(neural_network.MLPClassifier((6,), activation="logistic", max_iter=60, random_state=0)), ZIPMAP_OFF
    yield "mlp_regressor", "diabetes", scaled(neural_network.MLPRegressor(hidden_layer_sizes=(10,), activation="tanh", max_iter=80, random_state=0)), None
    yield "knn_classifier", "iris", neighbors.KNeighborsClassifier(5), ZIPMAP_OFF
    yield "knn_weighted", "wine", scaled(neighbors.KNeighborsClassifier(4, weights="distance")), ZIPMAP_OFF
    yield "knn_regressor", "small_diabetes", neighbors.KNeighborsRegressor(3), None
    yield "knn_cdist", "iris", neighbors.KNeighborsClassifier(5), {"zipmap": False, "optim": "cdist"}
    yield "knn_manhattan", "iris", neighbors.KNeighborsClassifier(5, metric="manhattan"), ZIPMAP_OFF
    yield "local_outlier", "iris", neighbors.LocalOutlierFactor(8, novelty=True), None
    yield "gaussian_process", "small_diabetes", gaussian_process.GaussianProcessRegressor(normalize_y=True, alpha=0.1), None
    for norm in ("l1", "l2", "max"):
        yield f"normalizer_{norm}", "diabetes", preprocessing.Normalizer(norm), None
    yield "min_max", "wine", preprocessing.MinMaxScaler((-1, 2), clip=True), None
    yield "max_abs", "diabetes", preprocessing.MaxAbsScaler(), None
    yield "robust", "wine", preprocessing.RobustScaler(), None
    yield "standard", "wine", preprocessing.StandardScaler(), None
    yield "quantile", "wine", preprocessing.QuantileTransformer(n_quantiles=20, random_state=0), None
    yield "k_bins", "iris", preprocessing.KBinsDiscretizer(4, encode="ordinal"), None
    yield "k_bins_one_hot", "iris", preprocessing.KBinsDiscretizer(4, encode="onehot-dense"), None
    yield "polynomial", "iris", preprocessing.PolynomialFeatures(2), None
    yield "binarizer", "diabetes", preprocessing.Binarizer(threshold=0.01), None
    yield "imputer", "holes", impute.SimpleImputer(), None
    yield "imputer_forest", "holes", pipeline.make_pipeline(
        impute.SimpleImputer(strategy="median"), ensemble.RandomForestRegressor(**forest)), None
    yield "select_best", "wine", pipeline.make_pipeline(
        feature_selection.SelectKBest(k=4), naive_bayes.GaussianNB()), ZIPMAP_OFF
    yield "variance_threshold", "digits", feature_selection.VarianceThreshold(5.0), None
    yield "nystroem_free_union", "iris", pipeline.make_union(
        preprocessing.StandardScaler(), decomposition.PCA(2), preprocessing.Normalizer()), None


def data(name):
    if name == "iris_names":
        x, y = SETS["iris"]
        return x, datasets.load_iris().target_names[y]
    if name == "two_targets":
        x, y = SETS["diabetes"]
        return x, np.stack([y, x[:, 2] * 100], 1)
    if name == "two_labels":
        x, y = SETS["iris"]
        return x, np.stack([y == 2, x[:, 0] > 5.8], 1).astype(np.int64)
    if name in ("small_diabetes", "small_holes"):
        x, y = data(name.removeprefix("small_"))
        return x[:60], y[:60]
    if name == "holes":
        x, y = SETS["diabetes"]
        x = x.copy()
        x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
        return x, y
    return SETS[name]


def dense(value):
    """ZipMap's list of maps as a table."""
    if isinstance(value, list):
        return np.array([[row[key] for key in sorted(row)] for row in value], np.float32)
    return value if value.dtype != object else value.astype("U")


def run(model, feeds):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [dense(value) for value in session.run(None, feeds)]


def picked(x):
    """Rows from all of the set, never one twice."""
    return x[np.random.default_rng(7).permutation(len(x))[:ROWS]]


def case_of(name, set_name, model, options, batch=None):
    x, y = data(set_name)
    x = x.astype(np.float32)
    model.fit(x, y)
    step = model.steps[-1][1] if isinstance(model, pipeline.Pipeline) else model
    options = {id(step): options} if options else None
    types = [("x", FloatTensorType([batch, x.shape[1]]))]
    proto = to_onnx(model, initial_types=types, options=options, target_opset=ML3 if "isolation" in name else None)
    rows = picked(x)
    if batch is None:
        return proto, [rows], run(proto, {"x": rows})
    parts = [run(proto, {"x": rows[at:at + batch]}) for at in range(0, len(rows), batch)]
    return proto, [rows], [np.concatenate(part) for part in zip(*parts)]


def columns():
    """Models of several inputs, text and whole numbers: what comes before the numbers."""
    from sklearn.compose import ColumnTransformer
    rng = np.random.default_rng(3)
    words = rng.choice(["pump", "fan", "valve"], (80, 1)).astype(object)
    codes = rng.integers(0, 5, (80, 1)).astype(np.int64)
    reals = rng.normal(size=(80, 3)).astype(np.float32)
    y = (reals[:, 0] + (words[:, 0] == "fan") > 0.3).astype(np.int64)
    yield "one_hot_text", preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"), {"x": words}, None
    yield "one_hot_codes", preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"), {"x": codes}, None
    yield "ordinal_text", preprocessing.OrdinalEncoder(), {"x": words}, None
    yield "label_encoder", preprocessing.LabelEncoder(), {"x": words[:, 0]}, None
    yield "label_binarizer", preprocessing.LabelBinarizer(), {"x": codes[:, 0]}, None
    table = np.concatenate([words, codes.astype(object), reals[:, :2].astype(object)], 1)
    both = ColumnTransformer([("text", preprocessing.OneHotEncoder(handle_unknown="ignore"), [0]),
                              ("code", preprocessing.OneHotEncoder(handle_unknown="ignore"), [1]),
                              ("real", preprocessing.StandardScaler(), [2, 3])], sparse_threshold=0)
    feeds = {"kind": words, "code": codes, "a": reals[:, :1], "b": reals[:, 1:2]}
    yield "columns", pipeline.make_pipeline(both, linear_model.LogisticRegression()), feeds, (table, y)


def columns_case(name, model, feeds, training):
    kinds = {np.dtype(object): StringTensorType, np.dtype(np.int64): Int64TensorType, np.dtype(np.float32): FloatTensorType}
    types = [(key, kinds[value.dtype]([None, *value.shape[1:]])) for key, value in feeds.items()]
    model.fit(*(training or [feeds["x"]]))
    step = model.steps[-1][1] if isinstance(model, pipeline.Pipeline) else model
    options = {id(step): ZIPMAP_OFF} if training else None
    proto = to_onnx(model, initial_types=types, options=options)
    feeds = {key: value[:ROWS] for key, value in feeds.items()}
    return proto, [dense(value) for value in feeds.values()], run(proto, feeds)


def single(kind, feeds, outputs, domain="ai.onnx.ml", extra=(), version=3, **attributes):
    """A model of one node on inputs of a free batch, with more inputs that are constants."""
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64,
             np.dtype(np.float64): TensorProto.DOUBLE, np.dtype(np.int32): TensorProto.INT32}
    of = lambda value: types.get(value.dtype, TensorProto.STRING)
    inputs = [helper.make_tensor_value_info(f"x{i}", of(v), ["N", *v.shape[1:]]) for i, v in enumerate(feeds)]
    constants = [onnx.numpy_helper.from_array(value, f"c{i}") for i, value in enumerate(extra)]
    names = [value.name for value in [*inputs, *constants]]
    outs = [helper.make_tensor_value_info(f"y{i}", dtype, None) for i, dtype in enumerate(outputs)]
    node = helper.make_node(kind, names, [value.name for value in outs], name=kind.lower(), domain=domain, **attributes)
    graph = helper.make_graph([node], "g", inputs, outs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model, [dense(value) for value in feeds], run(model, {f"x{i}": v for i, v in enumerate(feeds)})


def stump(post, classes, ids, weights, base=None, mode="BRANCH_LEQ", track=(0, 0, 0, 0, 0), labels=None):
    """Two levels on features 0 and 1: leaves 2, 3 and 4."""
    given = dict(
        nodes_treeids=[0] * 5, nodes_nodeids=[0, 1, 2, 3, 4], nodes_featureids=[0, 1, 0, 0, 0],
        nodes_modes=[mode, mode, "LEAF", "LEAF", "LEAF"], nodes_values=[0.5, -0.25, 0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 2, 0, 0, 0], nodes_falsenodeids=[4, 3, 0, 0, 0],
        nodes_missing_value_tracks_true=list(track), post_transform=post)
    kind = "class" if classes else "target"
    given |= {f"{kind}_treeids": [0] * len(ids), f"{kind}_ids": [i for _, i in ids],
              f"{kind}_nodeids": [n for n, _ in ids], f"{kind}_weights": weights}
    if classes:
        given |= {"classlabels_strings": labels} if labels else {"classlabels_int64s": list(range(classes))}
    if base is not None:
        given["base_values"] = base
    return given


def singles():
    """Attribute values that no scikit-learn model has."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(ROWS, 4)).astype(np.float32)
    x[5, 0], x[9, 1], x[3] = np.nan, np.inf, 0.0
    finite = np.nan_to_num(x, posinf=3.0)
    whole = rng.integers(-3, 4, (ROWS, 4)).astype(np.int64)
    words = rng.choice(["a", "b", "c", "d"], (ROWS, 2)).astype(object)
    F, I, S = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
    three = [(2, 0), (3, 1), (4, 2)]
    modes = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")
    posts = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
    for post in posts:
        score = [0.3, 0.5, 0.9] if post == "PROBIT" else [0.3, -0.5, 1.9]
        base = [0.05] * 3 if post == "PROBIT" else [0.1, 0.2, -0.3]
        yield f"tree_class_{post.lower()}", single("TreeEnsembleClassifier", [x], [I, F], **stump(post, 3, three, score, base))
        two = [(2, 0), (3, 0), (4, 0)]
        if post != "PROBIT":  # onnxruntime leaves its second score as the memory was
            yield f"tree_binary_{post.lower()}", single("TreeEnsembleClassifier", [x], [I, F], **stump(post, 2, two, score))
        yield f"tree_value_{post.lower()}", single("TreeEnsembleRegressor", [x], [F], n_targets=1, **stump(post, 0, two, score, [0.01]))
        if post != "PROBIT":
            w = dict(coefficients=[0.3, -0.2, 0.5, 0.1] * 3, post_transform=post, intercepts=[0.1, -0.1, 0.2])
            yield f"linear_class_{post.lower()}", single("LinearClassifier", [finite], [I, F], classlabels_ints=[4, 5, 6], multi_class=1, **w)
            w |= dict(coefficients=[0.3, -0.2, 0.5, 0.1], intercepts=[0.1])
            yield f"linear_binary_{post.lower()}", single("LinearClassifier", [finite], [S, F], classlabels_strings=["no", "yes"], **w)
            yield f"linear_value_{post.lower()}", single("LinearRegressor", [finite], [F], targets=1, **w)
    for mode in modes:
        at = np.where(rng.random(x.shape) < 0.4, np.float32([0.5, -0.25, 0, 0]), x).astype(np.float32)
        given = stump("NONE", 0, three, [1.0, 2.0, 3.0], mode=f"BRANCH_{mode}", track=(1, 0, 0, 0, 0))
        yield f"tree_{mode.lower()}", single("TreeEnsembleRegressor", [at], [F], n_targets=3, **given)
    for how in ("SUM", "AVERAGE", "MIN", "MAX"):
        trees = stump("NONE", 0, three, [1.0, -2.0, 3.0], [0.5, 0.25, 0.125])
        twice = {key: value + ([1] * len(value) if key.endswith("treeids") else value) for key, value in trees.items()
                 if isinstance(value, list) and key != "base_values"}
        twice["target_weights"] = [1.0, -2.0, 3.0, 0.5, 0.75, -4.0]
        twice["nodes_values"] = [0.5, -0.25, 0.0, 0.0, 0.0, -0.1, 0.4, 0.0, 0.0, 0.0]
        yield f"tree_{how.lower()}", single("TreeEnsembleRegressor", [x], [F], n_targets=3, aggregate_function=how, **(trees | twice))
    yield "tree_names", single("TreeEnsembleClassifier", [x], [S, F], **stump("NONE", 3, three, [1.0, 2.0, 3.0], labels=["p", "q", "r"]))
    yield "tree_one_weight", single("TreeEnsembleClassifier", [x], [I, F], **stump("LOGISTIC", 2, [(2, 1), (3, 1), (4, 1)], [-0.4, 0.6, 1.2]))
    yield "tree_signed", single("TreeEnsembleClassifier", [x], [I, F], **stump("NONE", 2, [(2, 0), (3, 0), (4, 0)], [-0.4, 0.2, 0.7], [0.1]))
    yield "tree_whole", single("TreeEnsembleRegressor", [whole], [F], n_targets=3, **stump("NONE", 0, three, [1.0, 2.0, 3.0])) if False else \
        single("TreeEnsembleClassifier", [whole], [I, F], **stump("NONE", 3, three, [1.0, 2.0, 3.0]))
    for norm in ("MAX", "L1", "L2"):
        yield f"norm_{norm.lower()}", single("Normalizer", [finite], [F], norm=norm)
    yield "scaler_one", single("Scaler", [finite], [F], offset=[0.5], scale=[2.0])
    yield "scaler_whole", single("Scaler", [whole], [F], offset=[0.5, 1, 2, 3], scale=[2.0, 1, 0.5, -1])
    yield "imputer_nan", single("Imputer", [x], [F], imputed_value_floats=[1.0, 2.0, 3.0, 4.0])
    yield "imputer_value", single("Imputer", [finite], [F], imputed_value_floats=[9.0], replaced_value_float=0.0)
    yield "imputer_whole", single("Imputer", [whole], [I], imputed_value_int64s=[70, 71, 72, 73], replaced_value_int64=-2)
    yield "binarizer_single", single("Binarizer", [finite], [F], threshold=0.2)
    yield "one_hot_whole", single("OneHotEncoder", [whole], [F], cats_int64s=[-3, 0, 2, 9], zeros=1)
    yield "one_hot_words", single("OneHotEncoder", [words], [F], cats_strings=["d", "b", "a"], zeros=1)
    yield "one_hot_reals", single("OneHotEncoder", [whole.astype(np.float32)], [F], cats_int64s=[-3, 0, 2, 9], zeros=1)
    yield "feature_vectorizer", single("FeatureVectorizer", [finite, finite[:, :2]], [F], inputdimensions=[4, 2])
    yield "feature_vectorizer_cut", single("FeatureVectorizer", [finite, finite[:, :2]], [F], inputdimensions=[3, 3])
    yield "array_feature", single("ArrayFeatureExtractor", [finite], [F], extra=[np.array([3, 0, 0], np.int64)])
    yield "array_feature_words", single("ArrayFeatureExtractor", [words], [S], extra=[np.array([1], np.int64)])
    yield "label_words_codes", single("LabelEncoder", [words], [I], keys_strings=["a", "b", "c"], values_int64s=[7, 8, 9], default_int64=-5)
    yield "label_codes_words", single("LabelEncoder", [whole], [S], keys_int64s=[-3, 0, 2], values_strings=["x", "y", "z"])
    yield "label_codes_reals", single("LabelEncoder", [whole], [F], keys_int64s=[-3, 0, 2], values_floats=[0.5, 1.5, 2.5], default_float=-1.0)
    yield "label_reals_codes", single("LabelEncoder", [x], [I], keys_floats=[0.0, 3.0], values_int64s=[1, 2])
    yield "label_words_words", single("LabelEncoder", [words], [S], keys_strings=["a", "a", "d"], values_strings=["k", "l", "m"])
    yield "label_codes_codes", single("LabelEncoder", [whole], [I], keys_int64s=[1, 2], values_int64s=[10, 20])
    yield "label_reals_reals", single("LabelEncoder", [finite], [F], keys_floats=[0.0], values_floats=[10.0])
    yield "label_words_reals", single("LabelEncoder", [words], [F], keys_strings=["a"], values_floats=[10.0])
    yield "label_reals_words", single("LabelEncoder", [finite], [S], keys_floats=[0.0], values_strings=["zero"], default_string="other")
    yield "label_old_words", single("LabelEncoder", [words], [I], classes_strings=["c", "a"], default_int64=3, version=1)
    for metric in ("euclidean", "sqeuclidean"):
        yield f"cdist_{metric}", single("CDist", [finite], [F], "com.microsoft", [finite[:7] * 0.5], metric=metric)
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        w = dict(kernel_type=kernel, kernel_params=[0.3, 0.1, 2.0], support_vectors=list(map(float, finite[:5].ravel())))
        for post in posts:
            if post == "PROBIT":
                continue
            yield f"svm_value_{kernel.lower()}_{post.lower()}", single(
                "SVMRegressor", [finite], [F], coefficients=[0.2, -0.1, 0.3, 0.4, -0.6], n_supports=5, rho=[0.2], post_transform=post, **w)
            yield f"svm_class_{kernel.lower()}_{post.lower()}", single(
                "SVMClassifier", [finite], [I, F], coefficients=[0.2, -0.1, 0.3, 0.4, -0.6] * 2, vectors_per_class=[2, 2, 1],
                rho=[0.2, 0.1, -0.1], classlabels_ints=[3, 5, 8], post_transform=post, **w)
            yield f"svm_binary_{kernel.lower()}_{post.lower()}", single(
                "SVMClassifier", [finite], [I, F], coefficients=[0.2, -0.1, 0.3, 0.4, -0.6], vectors_per_class=[3, 2],
                rho=[0.2], classlabels_ints=[3, 5], post_transform=post, **w)
    yield "svm_linear_classes", single("SVMClassifier", [finite], [I, F], coefficients=list(map(float, finite[:3].ravel())),
                                       rho=[0.2], classlabels_ints=[3, 5, 8], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0])
    yield "svm_linear_value", single("SVMRegressor", [finite], [F], coefficients=[0.2, -0.1, 0.3, 0.4], rho=[0.2], n_supports=0, kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0])
    yield "svm_one_class", single("SVMRegressor", [finite], [F], coefficients=[0.2, -0.1, 0.3, 0.4], rho=[-0.2], n_supports=0, one_class=1, kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0])


def made():
    for name, set_name, model, options in pipelines():
        yield name, None, lambda: case_of(name, set_name, model, options)
    batched = [("forest_regressor", "diabetes", ensemble.RandomForestRegressor(n_estimators=4, max_depth=4, random_state=0), None),
               ("svc", "wine", scaled(svm.SVC(probability=True, random_state=0)), {}),
               ("logistic", "iris", scaled(linear_model.LogisticRegression()), {}),
               ("knn", "iris", neighbors.KNeighborsClassifier(3), ZIPMAP_OFF)]
    for name, *rest in batched:
        yield f"batch_{name}", 8, lambda: case_of(name, *rest, batch=8)
    for name, *rest in columns():
        yield f"columns_{name}", None, lambda: columns_case(name, *rest)


def main():
    index, files = [], {}

    def add(name, batch, model, inputs, outputs):
        arrays = {f"x_{i}": value for i, value in enumerate(inputs)} | {f"y_{i}": value for i, value in enumerate(outputs)}
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        files[f"{name}.onnx"], files[f"{name}.npz"] = model.SerializeToString(), packed.getvalue()
        ops = sorted({node.op_type for node in model.graph.node})
        index.append({"name": name, "batch": batch or 1, "operators": ops})

    for name, batch, make in made():
        try:
            add(name, batch, *make())
        except Exception as error:
            print(f"left out: {name}: {type(error).__name__}: {str(error)[:200]}")
    for name, case in singles():
        add(f"single_{name}", None, *case)
    lines = ",\n".join(json.dumps(case) for case in index)
    with zipfile.ZipFile(OUT, "w") as archive:
        for name, content in {"index.json": f'{{"cases": [\n{lines}\n]}}\n', **files}.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 9)
    print(f"{len(index)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
