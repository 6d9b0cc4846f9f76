"""Pools over windows."""

from binary import ACTIVATION_NUMBERS
from conv import PADDINGS
from model import Q, T, at, quantized, single
from unary import real_scale

# shape, filter, stride, padding, activation
POOLS = [
    ([1, 6, 7, 5], (2, 2), (2, 2), "VALID", "NONE"),
    ([2, 5, 6, 3], (3, 3), (1, 1), "SAME", "NONE"),
    ([1, 7, 5, 17], (3, 2), (2, 3), "SAME", "RELU"),
    ([1, 4, 4, 1], (4, 4), (1, 1), "VALID", "RELU6"),
    ([1, 1, 9, 7], (1, 3), (1, 2), "SAME", "RELU_N1_TO_1"),
    ([1, 5, 5, 4], (5, 5), (1, 1), "SAME", "NONE"),
    ([3, 3, 3, 2], (1, 1), (2, 2), "VALID", "NONE"),
]


def cases():
    for op, kinds in [("AVERAGE_POOL_2D", ["float32", "int8", "uint8", "int16"]),
                      ("MAX_POOL_2D", ["float32", "int8", "uint8", "int16"]), ("L2_POOL_2D", ["float32"])]:
        for kind in kinds:
            for i, (shape, window, stride, padding, activation) in enumerate(POOLS):
                quant = Q([0.05, 0.1, 0.02][i % 3] * real_scale(kind), at(kind, [0.5, 0.1, 0.8, 0.0][i % 4])) if quantized(kind) else None
                options = ("Pool2DOptions", {"padding": PADDINGS[padding], "filterHeight": window[0], "filterWidth": window[1],
                                             "strideH": stride[0], "strideW": stride[1],
                                             "fusedActivationFunction": ACTIVATION_NUMBERS[activation]})
                yield single(op, kind, [T(kind, shape, quant)], [T(kind, None, quant)], options, padding=padding,
                             activation=activation, filter=window, stride=stride)
