"""Trains the gait monitor and writes its bundle: gait.tflite, manifest.toml, golden.npz, metrics.json.

    pip install -r models/requirements.txt
    python models/gait/train.py

An autoencoder that has seen walking only: what it cannot rebuild is another movement. It is linear, so that its weights are
the first principal components of 36 features, and training is no matter of luck.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent / "gestures")]
import bundle
from tflite import Int8Model, tensor_table, to_int8
from train import CHANNELS, FRAMES, LABELS, LIMITS, RATE_HZ, recordings, windows

F32 = np.float32
COMPONENTS = 2
BANDS = [[0.5, 1.5], [1.5, 2.5], [2.5, 5.1]]  # Hz: swing, step, and what is above a step
WALKING = LABELS.index("walking")
FEATURES = {
    "do": "features",
    "of": [
        {"do": "statistics", "of": ["std", "mean_abs", "zero_crossings"]},
        {"do": "band_power", "bands": BANDS, "relative": True},
    ],
}
CLEANING = [{"do": "missing", "policy": "hold", "max": 3}, {"do": "clip", "low": -LIMITS, "high": LIMITS}]
# A movement that is another one altogether is far off the scale; int8 keeps its steps for what is near.
FAR = {"do": "clip", "low": -8.0, "high": 8.0}


def components(x):
    """The network's weights, [features, COMPONENTS], from standardised features `x` [n, features]."""
    return PCA(COMPONENTS, svd_solver="full").fit(x).components_.T.astype(F32)


def scores(weights, x):
    """Mean squared difference of `x` [n, features] and what the network rebuilds."""
    return ((x - x @ weights @ weights.T) ** 2).mean(1)


def network(weights):
    """Two dense layers: to the components and back."""
    layers = tf.keras.layers
    count = len(weights)
    model = tf.keras.Sequential(
        [layers.Input((count,)), layers.Dense(COMPONENTS, use_bias=False), layers.Dense(count, use_bias=False)]
    )
    model.layers[0].set_weights([weights])
    model.layers[1].set_weights([weights.T])
    return model


def main():
    train_x, train_y = recordings("TRAIN")
    walks = train_x[train_y == WALKING]
    cut = lambda x: windows(x, np.zeros(len(x), int), 2)[0]  # noqa: E731

    def prepared(walks):
        raw = bundle.run_recipe([*CLEANING, FEATURES], cut(walks))[:, 0]
        standard = bundle.standardise(raw)
        standard["std"] = np.maximum(standard["std"], F32(1e-3))
        return [*CLEANING, FEATURES, standard, FAR]

    # How far a walk may be off that was not seen: each recording judged by a model of the others.
    unseen = []
    for left_out in range(len(walks)):
        others = np.delete(walks, left_out, axis=0)
        steps = prepared(others)
        weights = components(bundle.run_recipe(steps, cut(others))[:, 0])
        unseen.append(scores(weights, bundle.run_recipe(steps, cut(walks[left_out : left_out + 1]))[:, 0]))
    limit = float(np.round(np.quantile(np.concatenate(unseen), 0.97), 1))

    steps = prepared(walks)
    seen = bundle.run_recipe(steps, cut(walks))[:, 0]
    test_x, test_y = windows(*recordings("TEST"), 10)
    features = bundle.run_recipe(steps, test_x)[:, 0]
    path = FOLDER / "gait.tflite"
    # Other movements' values as well: the range must hold what is to be told from a walk.
    ends = [np.full_like(seen[:2], 8), np.full_like(seen[:2], -8)]
    path.write_bytes(to_int8(network(components(seen)), np.concatenate([seen, *ends])))
    int8 = Int8Model(path)
    found = int8(features)
    # As edgerun: mean squared difference of the real input and the dequantized output.
    score = ((features - int8.real(found)) ** 2).mean(1)
    normal = test_y == WALKING
    alarm = score > limit
    auc = float(roc_auc_score(~normal, score))
    metrics = bundle.classification_metrics(
        (~normal).astype(int),
        alarm.astype(int),
        ["walking", "other"],
        "BasicMotions, the archive's test split: 10 recordings of walking, 30 of other movements, windows of "
        f"{FRAMES} rows, stride 10; each window by itself, without hold; int8 model through the recipe",
    )
    metrics["roc_auc"] = auc
    metrics["median_score"] = {label: float(np.median(score[test_y == c])) for c, label in enumerate(LABELS)}
    bundle.write_metrics(FOLDER, metrics)
    print(f"{path.stat().st_size} bytes, limit {limit}, ROC AUC {auc:.4f}, alarms:")
    print({label: round(float(alarm[test_y == c].mean()), 3) for c, label in enumerate(LABELS)})
    assert auc > 0.98

    bundle.write_manifest(
        FOLDER,
        {
            "name": "gait",
            "version": "1.0.0",
            "description": "How far a wrist's movement of the last 4 s is from walking.",
            "license": "Apache-2.0",
            "origin": "BasicMotions from the UEA multivariate time-series archive: a smart watch on four people, 10 Hz. "
            "The archive states no licence for the recordings.",
            "edgerun": "0.1.0",
            "model": path.name,
            "input": [tensor_table(int8.input["name"], int8.input)],
            "output": [tensor_table(int8.output["name"], int8.output)],
            "preprocess": {"frames": FRAMES, "rate": f"{RATE_HZ} Hz", "channels": CHANNELS, "step": steps},
            "postprocess": {"kind": "anomaly", "score": "mse", "limit": F32(limit), "hysteresis": F32(limit / 4), "hold": 2},
            # Sums over a window may differ in their last bit from one C library to the next, and a value so come to lie on
            # the other side of a quantization step.
            "golden": {"tolerance": 1},
        },
    )
    order = np.argsort(score, kind="stable")
    chosen = order[:: len(order) // 24][:24]
    bundle.write_golden(FOLDER, test_x[chosen], [found[chosen]])


if __name__ == "__main__":
    main()
