"""Models as TensorFlow's converter makes them: what users bring, in each way of quantizing.

The converter may number things otherwise from release to release: models and goldens are written
together and belong together.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from model import Case, Q, T, draw, rng_of

L = tf.keras.layers


def image():
    x = L.Input((8, 8, 3), batch_size=1)
    y = L.Conv2D(6, 3, strides=2, padding="same", activation="relu6")(x)
    y = L.DepthwiseConv2D(3, padding="same")(y)
    y = L.Add()([y, L.Conv2D(6, 1)(y)])
    y = L.GlobalAveragePooling2D()(y)
    return tf.keras.Model(x, L.Dense(5, activation="softmax")(y))


def series():
    x = L.Input((16, 4), batch_size=1)
    y = L.Conv1D(8, 5, padding="same", dilation_rate=2, activation="relu")(x)
    y = L.MaxPooling1D(2)(y)
    y = L.SeparableConv1D(6, 3, padding="same", activation="tanh")(y)
    return tf.keras.Model(x, L.Dense(3, activation="sigmoid")(L.Flatten()(y)))


def upscale():
    x = L.Input((4, 4, 4), batch_size=1)
    y = L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="leaky_relu")(x)
    y = L.UpSampling2D(2, interpolation="bilinear")(y)
    return tf.keras.Model(x, L.Concatenate()([y, L.UpSampling2D(4)(x)]))


def attention():
    x = L.Input((6, 8), batch_size=1)
    q, k, v = L.Dense(8)(x), L.Dense(8)(x), L.Dense(8)(x)
    weights = L.Softmax()(tf.keras.ops.matmul(q, tf.keras.ops.transpose(k, (0, 2, 1))) * 0.35)
    y = tf.keras.ops.matmul(weights, v) + x
    mean = tf.keras.ops.mean(y, axis=-1, keepdims=True)
    spread = tf.keras.ops.mean(tf.keras.ops.square(y - mean), axis=-1, keepdims=True)
    y = (y - mean) * tf.keras.ops.rsqrt(spread + 1e-3)
    return tf.keras.Model(x, L.Dense(4, activation="gelu")(y))


def lstm():
    x = L.Input((5, 4), batch_size=1)
    return tf.keras.Model(x, L.Dense(3)(L.LSTM(6)(x)))


def bidirectional():
    x = L.Input((5, 4), batch_size=1)
    return tf.keras.Model(x, L.Bidirectional(L.LSTM(4, return_sequences=True))(x))


def gru():
    x = L.Input((4, 3), batch_size=1)
    return tf.keras.Model(x, L.GRU(5, unroll=True)(x))


def rolled_gru():
    x = L.Input((4, 3), batch_size=1)
    return tf.keras.Model(x, L.GRU(5)(x))


WAYS = {"float32": "float", "float16": "float", "hybrid-channel": "hybrid", "int8-channel": "unit", "int16": "unit"}


def convert(model, kind, shape):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind.startswith("int"):
        rng = rng_of("representative", shape)
        examples = [np.float32(rng.normal(0, 1, shape)) for _ in range(30)]
        converter.representative_dataset = lambda: ([example] for example in examples)
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [
            sets.TFLITE_BUILTINS_INT8 if kind.startswith("int8")
            else sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8 if kind.startswith("int8") else tf.int16
    return converter.convert()


def cases():
    for build in [image, series, upscale, attention, lstm, bidirectional, gru, rolled_gru]:
        tf.keras.utils.set_random_seed(sum(map(ord, build.__name__)))
        model = build()
        for weight in model.trainable_weights:
            if "bias" in weight.path:
                weight.assign(tf.random.normal(weight.shape, stddev=0.3))
        shape = tuple(model.inputs[0].shape)
        for kind, tolerance in WAYS.items():
            if kind.startswith("int") and build in (lstm, bidirectional, rolled_gru):
                # The converter aborts.
                continue
            name = f"model.{kind}.{build.__name__}"
            try:
                content = convert(model, kind, shape)
                details = Interpreter(model_content=content).get_input_details()[0]
            except Exception as error:  # the converter's own words are of no use to the suite
                print(f"  not converted: {name}: {str(error)[:100]!r}", flush=True)
                continue
            scale, zero_point = details["quantization"]
            x = T(np.dtype(details["dtype"]).name, list(shape), Q(scale, zero_point) if scale else None)
            if not scale:
                x.draw = lambda rng, run, shape: np.round(rng.normal(0, [1, 0.3, 1.5][run % 3], shape) * 256) / 256
            rng = rng_of(name)
            yield Case(name, "MODEL", kind, tolerance, {"model": build.__name__}, content=content, runs=3,
                       inputs=[[draw(rng, run, x)] for run in range(3)],
                       reason="operators with transcendental functions among its own" if tolerance == "unit" else "")
