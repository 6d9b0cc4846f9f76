"""Arithmetic of two tensors, element by element, with broadcasting."""

import numpy as np

from model import LIMITS, Q, T, at, const, quantized, rng_of, single
from unary import real_scale

SHAPES = [([1, 4, 5, 3], [1, 4, 5, 3]), ([2, 3, 4, 7], [7]), ([2, 1, 5], [1, 7, 1]), ([], [3, 2]),
          ([2, 1, 3, 1, 5], [2, 4, 1, 2, 5]), ([1, 3, 3, 5], [1, 1, 1, 1]), ([17], [17])]
# Scales and zero points of both inputs and of the output: as usual, narrower, wider, at the ends.
SCALES = [(0.05, 0.5, 0.05, 0.5, 0.1, 0.5), (0.02, 0.1, 0.2, 0.8, 0.07, 0.4), (0.3, 0.1, 0.001, 0.7, 0.9, 0.3),
          (0.004, 0.9, 0.004, 0.1, 0.006, 0.8)]
ACTIVATIONS = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]
ACTIVATION_NUMBERS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4}


def nonzero(rng, run, shape):
    return rng.choice([-1, 1], shape) * np.round(rng.uniform(0.3, 9, shape) * 64) / 64


def nonzero_int(rng, run, shape):
    return rng.choice([-1, 1], shape) * rng.integers(1, [20, 1000, 3][run % 3], shape)


def base(rng, run, shape):
    return np.round(rng.uniform(0.1, 4, shape) * 64) / 64


def exponent(rng, run, shape):
    return np.round(rng.uniform(-3, 3, shape) * [64, 8, 1][run % 3]) / [64, 8, 1][run % 3]


def operands(op, kind, i, shapes):
    """Both inputs and the output, drawn so that the result is defined."""
    if quantized(kind):
        k = real_scale(kind)
        sa, za, sb, zb, so, zo = SCALES[i % len(SCALES)]
        if op == "MUL":
            so = sa * sb * 100 * [1, 0.4, 2, 0.5][i % 4]
        if op == "DIV":
            so = sa / sb * [0.02, 0.1, 0.01, 0.5][i % 4]
        if op == "SQUARED_DIFFERENCE":
            so = max(sa, sb) ** 2 * [100, 40, 400, 20][i % 4]
        if op in ("MINIMUM", "MAXIMUM"):
            sb, zb, so, zo = sa, za, sa, za
        a, b = T(kind, shapes[0], Q(sa * k, at(kind, za))), T(kind, shapes[1], Q(sb * k, at(kind, zb)))
        out = T(kind, None, Q(so * k, at(kind, zo)))
        if op in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
            low, high, zero = *LIMITS[kind], b.quant.zero_point
            b.draw = lambda rng, run, shape: rng.choice([v for v in range(low, high + 1) if v != zero], shape)
        return a, b, out
    a, b, out = T(kind, shapes[0]), T(kind, shapes[1]), T(kind)
    if op in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        b.draw = nonzero if kind == "float32" else nonzero_int
    if op == "POW":
        a.draw, b.draw = base, exponent
        if kind == "int32":
            a.draw = lambda rng, run, shape: rng.integers(-5, 6, shape)
            b.draw = lambda rng, run, shape: rng.integers(0, 7, shape)
    return a, b, out


ARITHMETIC = {
    "ADD": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "SUB": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "MUL": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "DIV": ["float32", "uint8", "int8", "int32"],
}
OTHER = {
    "MINIMUM": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "MAXIMUM": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "SQUARED_DIFFERENCE": ["float32", "int8", "int32"],
    "POW": ["float32", "int32"],
    "FLOOR_DIV": ["float32", "int32", "int8", "int16"],
    "FLOOR_MOD": ["float32", "int32", "int64", "int8", "int16"],
    "ATAN2": ["float32", "float64"],
}
TABLES = {"MINIMUM": "MaximumMinimumOptions", "MAXIMUM": "MaximumMinimumOptions", "POW": "PowOptions",
          "SQUARED_DIFFERENCE": "SquaredDifferenceOptions", "FLOOR_DIV": "FloorDivOptions", "FLOOR_MOD": "FloorModOptions",
          "ATAN2": "ATan2Options", "ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}


def cases():
    for op, kinds in ARITHMETIC.items():
        for kind in kinds:
            for i, shapes in enumerate(SHAPES):
                # Every activation with equal shapes, one for each other pair of shapes.
                for j, activation in enumerate(ACTIVATIONS):
                    if i > 0 and j != i % 4:
                        continue
                    a, b, out = operands(op, kind, i + j, shapes)
                    yield single(op, kind, [a, b], [out], (TABLES[op], {"fusedActivationFunction": ACTIVATION_NUMBERS[activation]}),
                                 activation=activation, a=shapes[0], b=shapes[1])
            yield from constants(op, kind, (TABLES[op], {}))
    yield from far()
    yield from shifts()
    yield from halves()
    for op, kinds in OTHER.items():
        for kind in kinds:
            tolerance = "float" if op in ("POW", "ATAN2") and kind.startswith("float") else None
            for i, shapes in enumerate(SHAPES):
                # LiteRT's ATAN2 does not broadcast: it reads beyond the smaller tensor.
                if op == "ATAN2" and shapes[0] != shapes[1]:
                    continue
                a, b, out = operands(op, kind, i, shapes)
                yield single(op, kind, [a, b], [out], (TABLES[op], {}), tolerance, a=shapes[0], b=shapes[1])
            if op not in ("POW", "ATAN2"):
                yield from constants(op, kind, (TABLES[op], {}))
    for kind in ["float32", "int32"]:
        inputs = [T(kind, [2, 5]) for _ in range(3)]
        yield single("ADD_N", kind, inputs, [T(kind)], ("AddNOptions", {}), count=3)


def far():
    """Scales that XNNPACK leaves to LiteRT's own kernels: far apart."""
    for kind in ["int8", "uint8"]:
        zero = at(kind, 0.6)
        for op, scales in [("ADD", (0.1, 1e-5, 0.05)), ("ADD", (2e-6, 0.3, 0.2)), ("SUB", (1e-5, 0.1, 0.08)), ("SUB", (0.1, 2e-4, 3e-4)),
                           ("MUL", (1e-3, 0.002, 0.9)), ("MUL", (30, 20, 1.5))]:
            a, b, out = (T(kind, shape, Q(scale, zero)) for shape, scale in zip(([3, 7], [7], None), scales))
            yield single(op, kind, [a, b], [out], (TABLES[op], {}), scales=scales)


def halves():
    """int16 sums that lie next to a half: LiteRT's vectors of 16 round them once, what is left over twice."""
    pairs = [(-8651, -19447), (9551, -4841), (-17665, 9719), (10324, 18742)]
    scales = 0.001527818269096315, 0.00244954414665699, 0.003025953657925129
    for op in ["ADD", "SUB"]:
        for shapes in [([5, 8], [5, 8]), ([5, 8], [8])]:
            drawn = [[pair[side] for pair in pairs] for side in (0, 1)]
            a, b = (T("int16", shape, Q(scale, 0), draw=lambda rng, run, shape, of=of: np.resize(np.roll(of, run), shape))
                    for shape, scale, of in zip(shapes, scales, drawn))
            out = T("int16", None, Q(scales[2], 0))
            yield single(op, "int16", [a, b], [out], (TABLES[op], {"potScaleInt16": False}), label="halves", b=shapes[1])


def shifts():
    """int16 scales that are powers of two: shifts, unless the options say otherwise."""
    for op in ["ADD", "SUB"]:
        for i, (scales, shift) in enumerate([((2**-12, 2**-10, 2**-10), True), ((2**-9, 2**-12, 2**-9), True),
                                             ((2**-12, 2**-10, 2**-10), False)]):
            a, b, out = (T("int16", shape, Q(scale, 0)) for shape, scale in zip(([3, 7], [3, 7], None), scales))
            yield single(op, "int16", [a, b], [out], (TABLES[op], {"potScaleInt16": shift}), shift=shift, scales=f"{i}")


def constants(op, kind, options):
    """One side constant: rows, scalars, and on the left."""
    for label, x_shape, c_shape, left in [("row", [2, 3, 3, 5], [5], False), ("number", [4, 9], [], False), ("left", [3, 7], [7], True)]:
        a, b, out = operands(op, kind, 1, (c_shape, x_shape) if left else (x_shape, c_shape))
        free, fixed = (b, a) if left else (a, b)
        rng = rng_of("binary", op, kind, label)
        from model import draw
        values = draw(rng, 1 if label == "number" else 0, fixed)
        fixed = const(kind, values, fixed.quant)
        yield single(op, kind, [fixed, free] if left else [free, fixed], [out], options, constant=label)
