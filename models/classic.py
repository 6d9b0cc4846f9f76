"""From a fitted scikit-learn estimator to a bundle folder: ONNX model, manifest, golden vectors, metrics.

The ONNX models hold one `ai.onnx.ml` operator each. Standardisation stays outside, as a step of the recipe: it belongs to
the sensor's rows, and not every engine has the Scaler operator.
"""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

import bundle

TOLERANCE = 1e-5  # |a - b| <= TOLERANCE * max(1, |b|), for float outputs
GOLDEN_ROWS = 16


def channels(names, units=None):
    """The recipe's channels: names in [a-z0-9_], and "" where the data names no unit."""
    units = units or {}
    return [{"name": re.sub(r"[^a-z0-9]+", "_", name.lower()), "unit": units.get(name, "")} for name in names]


def to_onnx(estimator, name, features):
    """One fixed row [1, features] float32 in, called `x`; a regressor's output is called `y`."""
    model = convert_sklearn(
        estimator,
        name=name,  # otherwise random, and no two runs would give the same bytes
        initial_types=[("x", FloatTensorType([1, features]))],
        options={id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None,
        target_opset={"": 13, "ai.onnx.ml": 1},
    )
    if not hasattr(estimator, "classes_"):
        (node,) = model.graph.node
        node.output[0] = model.graph.output[0].name = "y"
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid("", 13), onnx.helper.make_opsetid("ai.onnx.ml", 1)])
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def tensor_table(argument):
    """A tensor's entry in the manifest, from what onnxruntime says of the model's input or output."""
    dtype = {"tensor(float)": "float32", "tensor(int64)": "int64"}[argument.type]
    return {"name": argument.name, "dtype": dtype, "shape": list(argument.shape)}


def close(found, reference):
    """Whether float outputs agree as a golden vector's must."""
    return (np.abs(found - reference) <= TOLERANCE * np.maximum(1, np.abs(reference))).all()


def write_bundle(folder, estimator, about, recipe_channels, steps, test, postprocess, labels=None):
    """Writes all files of the bundle in `folder` and prints its metrics.

    `estimator` is fitted to what `steps` give; `test` is `(x, y, data)`: held-out sensor-side rows [n, channels], class
    numbers or targets [n], and a sentence on what they are. Fails when onnxruntime and scikit-learn disagree.
    """
    folder = Path(folder)
    x, y, data = test
    x = np.asarray(x, np.float32)
    path = folder / f"{about['name']}.onnx"
    path.write_bytes(to_onnx(estimator, about["name"], x.shape[1]))

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = bundle.run_recipe(steps, x)
    outputs = [np.stack(found) for found in zip(*(session.run(None, {"x": row[None]}) for row in rows))]
    outputs = [found[:, 0] for found in outputs]  # the batch dimension of 1 goes

    reference = rows.astype(np.float64)
    if labels:
        classes, probabilities = outputs
        assert (classes == estimator.predict(reference)).all()
        assert close(probabilities, estimator.predict_proba(reference))
        metrics = bundle.classification_metrics(y, classes, labels, data)
    else:
        (values,) = outputs
        assert close(values[:, 0], estimator.predict(reference))
        metrics = bundle.regression_metrics(y, values[:, 0].astype(np.float64), data)
    bundle.write_metrics(folder, metrics)

    bundle.write_manifest(
        folder,
        {
            **about,
            "license": "Apache-2.0",
            "edgerun": "0.1.0",
            "model": path.name,
            **({"labels": labels} if labels else {}),
            "input": [tensor_table(argument) for argument in session.get_inputs()],
            "output": [tensor_table(argument) for argument in session.get_outputs()],
            "preprocess": {"frames": 1, "channels": recipe_channels, "step": steps},
            "postprocess": postprocess,
            "golden": {"tolerance": TOLERANCE},
        },
    )
    chosen = np.linspace(0, len(x) - 1, GOLDEN_ROWS).astype(int)
    bundle.write_golden(folder, x[chosen][:, None], [found[chosen] for found in outputs])

    ops = [node.op_type for node in onnx.load(path).graph.node]
    figures = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    print(f"{path.name}: {path.stat().st_size} bytes, {ops}, {figures}")
