#!/usr/bin/env python3
"""Writes tests/data/ops/NAME.{tflite,npz}: small quantized models and what LiteRT gives for them.

    scripts/op-goldens.py

Needs tensorflow (to make the models) and ai-edge-litert, on x86-64. Weights are random and seeded,
but TensorFlow's converter may number things otherwise from release to release: model and outputs are
written together and belong together. Inputs and hashes are as in scripts/zoo-goldens.py.
"""

import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("zoo_goldens", HERE / "zoo-goldens.py")
zoo_goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(zoo_goldens)

L = tf.keras.layers
INPUTS = 8


def layer_inputs(*shapes):
    return [L.Input(shape, batch_size=1) for shape in shapes]


def conv():
    (x,) = layer_inputs((9, 11, 5))
    return [x], [
        L.Conv2D(7, 3, padding="same", activation="relu")(x),
        L.Conv2D(4, (3, 2), strides=(2, 3), padding="same", activation="relu6")(x),
        L.Conv2D(6, 3, padding="valid")(x),
        L.Conv2D(18, 1, strides=2, use_bias=False)(x),
        L.Conv2D(5, 3, dilation_rate=2, padding="same")(x),
    ]


def depthwise():
    (x,) = layer_inputs((8, 7, 19))
    return [x], [
        L.DepthwiseConv2D(3, padding="same", activation="relu6")(x),
        L.DepthwiseConv2D((2, 3), strides=2, padding="valid")(x),
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")(x),
        L.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x),
    ]


def pools():
    (x,) = layer_inputs((7, 9, 20))
    x1 = L.Conv2D(20, 1)(x)
    return [x], [
        L.AveragePooling2D(3, strides=2, padding="same")(x1),
        L.AveragePooling2D(2, padding="valid")(x1),
        L.MaxPooling2D((2, 3), strides=(1, 2), padding="same")(x1),
        L.GlobalAveragePooling2D()(x1),
        L.GlobalAveragePooling2D(keepdims=True)(x1),
        tf.keras.ops.mean(x1, axis=[3]),
        tf.keras.ops.mean(x1, axis=[1, 3], keepdims=True),
    ]


def add():
    a, b = layer_inputs((4, 5, 6), (4, 5, 6))
    c = L.Conv2D(6, 1, kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.02))(a)
    row = np.random.default_rng(3).normal(size=(6,)).astype(np.float32)
    return [a, b], [L.Add()([a, b]), tf.keras.ops.relu(b + c), a + row, a + a]


def dense():
    (x,) = layer_inputs((37,))
    y = L.Dense(64, activation="relu")(x)
    z = L.Dense(13, use_bias=False)(y)
    return [x], [z, L.Dense(1)(y), L.Softmax()(z), L.Reshape((4, 16))(y)]


def series():
    (x,) = layer_inputs((24, 3))
    y = L.Conv1D(8, 5, padding="same", activation="relu")(x)
    y = L.MaxPooling1D(2)(y)
    y = L.Conv1D(12, 3, dilation_rate=1, activation="relu")(y)
    z = L.ZeroPadding1D((2, 1))(y)
    y = L.SeparableConv1D(10, 3, padding="same")(y)
    p = L.GlobalAveragePooling1D()(y)
    return [x], [z, L.Dense(5, activation="softmax")(p)]


def make(name, build, float_io=False):
    tf.keras.utils.set_random_seed(sum(map(ord, name)))
    inputs, outputs = build()
    model = tf.keras.Model(inputs, outputs)
    for weight in model.trainable_weights:
        if "bias" in weight.path:
            weight.assign(tf.random.normal(weight.shape, stddev=0.3))
    rng = np.random.default_rng(7)

    def examples():
        for _ in range(50):
            yield [rng.normal(0.2, 1.0, size=x.shape).astype(np.float32) for x in inputs]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not float_io:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()
    (OUT / f"{name}.tflite").write_bytes(content)
    run(name, content, float_io)


def run(name, content, float_io):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    xs, ys = interpreter.get_input_details(), interpreter.get_output_details()
    arrays = {f"y_{i}": [] for i in range(len(ys))}
    hashes = []
    for index in range(INPUTS):
        for i, x in enumerate(xs):
            data = zoo_goldens.make_input(index + 100 * i, int(np.prod(x["shape"])))
            hashes.append(zoo_goldens.fnv64(data))
            data = data.view(np.int8)
            if float_io:
                data = data.astype(np.float32) / np.float32(40)
            interpreter.set_tensor(x["index"], data.reshape(x["shape"]))
        interpreter.invoke()
        for i, y in enumerate(ys):
            arrays[f"y_{i}"].append(interpreter.get_tensor(y["index"])[0])
    arrays = {key: np.stack(rows) for key, rows in arrays.items()}
    np.savez(OUT / f"{name}.npz", inputs_fnv64=np.array(hashes, dtype=np.uint64).view(np.int64), **arrays)
    ops = [op["op_name"] for op in interpreter._get_ops_details()]
    print(name, len(content), ops, {k: (a.shape, len(np.unique(a))) for k, a in arrays.items()})


OUT = HERE.parent / "tests" / "data" / "ops"
OUT.mkdir(parents=True, exist_ok=True)
for build in [conv, depthwise, pools, add, dense, series]:
    if len(sys.argv) < 2 or build.__name__ in sys.argv[1:]:
        make(build.__name__, build)
if len(sys.argv) < 2 or "float_io" in sys.argv[1:]:
    make("float_io", dense, float_io=True)
