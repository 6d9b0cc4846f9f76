"""Operators over a whole axis: softmax, its logarithm, normalizations."""

import numpy as np

from binary import ACTIVATION_NUMBERS
from model import Q, T, at, quantized, single
from unary import real_scale

SOFTMAX = {"int8": Q(1 / 256, -128), "uint8": Q(1 / 256, 0), "int16": Q(1 / 32768, 0)}
LOG_SOFTMAX = {"int8": Q(16 / 256, 127), "uint8": Q(16 / 256, 255)}
L2 = {"int8": Q(1 / 128, 0), "uint8": Q(1 / 128, 128)}
ROUNDING = "exponentials, rounded"


def logits(rng, run, shape):
    return np.round(rng.normal(0, [2, 8, 30][run % 3], shape) * 64) / 64


def cases():
    for kind in ["float32", "int8", "uint8", "int16"]:
        for i, (shape, beta, scale) in enumerate([([1, 10], 1.0, 0.1), ([3, 7], 1.0, 0.02), ([2, 3, 5], 1.0, 0.9), ([1, 2, 3, 17], 1.0, 0.3),
                                                  ([2, 5], 0.5, 0.1), ([2, 5], 3.0, 0.07), ([6], 1.0, 0.2), ([1, 1], 1.0, 0.1), ([1, 100], 1.0, 0.05)]):
            x, out = T(kind, shape, draw=logits), T(kind)
            if quantized(kind):
                x = T(kind, shape, Q(scale * real_scale(kind), at(kind, [0.5, 0.1, 1.0, 0.0][i % 4])))
                out.quant = SOFTMAX[kind]
            yield single("SOFTMAX", kind, [x], [out], ("SoftmaxOptions", {"beta": beta}), "unit" if quantized(kind) else None,
                         reason=ROUNDING if quantized(kind) else "", beta=beta, x=shape)
    for shape, scale in [([2, 10], 0.1), ([3, 17], 0.4)]:
        yield single("SOFTMAX", "int8", [T("int8", shape, Q(scale, 4))], [T("int16", None, Q(1 / 32768, 0))], ("SoftmaxOptions", {"beta": 1.0}),
                     "unit", reason=ROUNDING, output_type="int16", x=shape)
    for kind in ["float32", "int8", "uint8"]:
        for i, (shape, scale) in enumerate([([1, 10], 0.1), ([3, 7], 0.02), ([2, 3, 5], 0.5), ([2, 2, 2, 17], 0.05)]):
            x, out = T(kind, shape, draw=logits), T(kind)
            if quantized(kind):
                x = T(kind, shape, Q(scale, at(kind, [0.5, 0.1, 1.0, 0.0][i % 4])))
                out.quant = LOG_SOFTMAX[kind]
            yield single("LOG_SOFTMAX", kind, [x], [out], ("LogSoftmaxOptions", {}), "unit" if quantized(kind) else None,
                         reason=ROUNDING if quantized(kind) else "", x=shape)
    for kind in ["float32", "int8", "uint8"]:
        for i, shape in enumerate([[1, 8], [2, 3, 4, 5], [3, 1, 17], [5, 1]]):
            x, out = T(kind, shape), T(kind)
            if quantized(kind):
                x.quant, out.quant = Q([0.05, 0.3][i % 2], at(kind, [0.5, 0.1, 1.0, 0.0][i])), L2[kind]
            for activation in ["NONE", "RELU"] if i == 0 else ["NONE"]:
                yield single("L2_NORMALIZATION", kind, [x], [out], ("L2NormOptions", {"fusedActivationFunction": ACTIVATION_NUMBERS[activation]}),
                             activation=activation, x=shape)
    for radius, bias, alpha, beta in [(1, 1.0, 1.0, 0.5), (2, 2.0, 0.25, 0.75), (5, 1.0, 0.1, 1.0), (0, 0.5, 2.0, 0.3)]:
        yield single("LOCAL_RESPONSE_NORMALIZATION", "float32", [T("float32", [2, 2, 3, 7])], [T("float32")],
                     ("LocalResponseNormalizationOptions", {"radius": radius, "bias": bias, "alpha": alpha, "beta": beta}),
                     radius=radius, bias=bias, alpha=alpha, beta=beta)
