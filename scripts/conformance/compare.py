"""Comparisons, logic, and choosing by a condition."""

import numpy as np

from model import Q, T, at, const, quantized, rng_of, single
from unary import real_scale

SHAPES = [([2, 4, 3], [2, 4, 3]), ([2, 3, 1, 5], [4, 1]), ([], [7]), ([1, 2, 3, 1], [2, 1, 1, 4])]
KINDS = {
    "EQUAL": ["bool", "float32", "int8", "uint8", "int16", "int32", "int64"],
    "NOT_EQUAL": ["bool", "float32", "int8", "uint8", "int32", "int64"],
    "GREATER": ["float32", "int8", "uint8", "int32", "int64"],
    "GREATER_EQUAL": ["float32", "int8", "uint8", "int32", "int64"],
    "LESS": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "LESS_EQUAL": ["float32", "int8", "uint8", "int32", "int64"],
}
TABLES = {"EQUAL": "EqualOptions", "NOT_EQUAL": "NotEqualOptions", "GREATER": "GreaterOptions",
          "GREATER_EQUAL": "GreaterEqualOptions", "LESS": "LessOptions", "LESS_EQUAL": "LessEqualOptions"}


def few(rng, run, shape):
    """Few values, so that many are equal."""
    return rng.integers(-2, 3, shape)


def cases():
    for op, kinds in KINDS.items():
        for kind in kinds:
            for i, (a_shape, b_shape) in enumerate(SHAPES):
                a, b = T(kind, a_shape), T(kind, b_shape)
                if quantized(kind) and kind != "int16":
                    zero = at(kind, 0.4)
                    a.quant = Q(0.1, zero)
                    b.quant = Q([0.1, 0.1, 0.05, 0.13][i], at(kind, [0.4, 0.6, 0.4, 0.5][i]))
                    for t in (a, b):
                        t.draw = lambda rng, run, shape, z=t.quant.zero_point: z + rng.integers(-[3, 1, 90][run % 3], [4, 2, 90][run % 3], shape)
                elif kind not in ("bool", "int16"):
                    a.draw = b.draw = few
                elif kind == "int16":
                    a.draw = b.draw = few
                yield single(op, kind, [a, b], [T("bool")], (TABLES[op], {}), a=a_shape, b=b_shape)
    for op, table in [("LOGICAL_AND", "LogicalAndOptions"), ("LOGICAL_OR", "LogicalOrOptions")]:
        for a_shape, b_shape in SHAPES:
            yield single(op, "bool", [T("bool", a_shape), T("bool", b_shape)], [T("bool")], (table, {}), a=a_shape, b=b_shape)
    for kind in ["int8", "uint8", "int16", "int32", "uint32"]:
        if kind == "uint32":
            continue
        for a_shape, b_shape in SHAPES[:2]:
            yield single("BITWISE_XOR", kind, [T(kind, a_shape, draw=bits), T(kind, b_shape, draw=bits)], [T(kind)],
                         ("BitwiseXorOptions", {}), a=a_shape, b=b_shape)
            shift = T(kind, b_shape, draw=lambda rng, run, shape: rng.integers(0, 7, shape))
            yield single("RIGHT_SHIFT", kind, [T(kind, a_shape, draw=bits), shift], [T(kind)],
                         ("RightShiftOptions", {}), a=a_shape, b=b_shape)
    yield from select()
    yield from where()


def bits(rng, run, shape):
    return rng.integers(0, 120, shape)


def select():
    for kind in ["float32", "bool", "int8", "uint8", "int16", "int32", "int64"]:
        quant = Q(0.1 * real_scale(kind), at(kind, 0.3)) if quantized(kind) else None
        for condition, shape in [([2, 3, 5], [2, 3, 5]), ([4], [4, 3]), ([], [2, 3])]:
            yield single("SELECT", kind, [T("bool", condition), T(kind, shape, quant), T(kind, shape, quant)],
                         [T(kind, None, quant)], ("SelectOptions", {}), condition=condition, x=shape)
        for shapes in [([2, 3, 5], [2, 3, 5], [2, 3, 5]), ([2, 1, 1], [1, 3, 1], [5]), ([1, 4], [], [3, 1]),
                       ([2, 1, 1, 3], [1, 2, 1, 3], [2, 2, 4, 1])]:
            yield single("SELECT_V2", kind, [T("bool", shapes[0]), T(kind, shapes[1], quant), T(kind, shapes[2], quant)],
                         [T(kind, None, quant)], ("SelectV2Options", {}), condition=shapes[0], a=shapes[1], b=shapes[2])


def where():
    """The places of what is not zero. Their number is known at load only for a constant."""
    for kind in ["bool", "float32", "int8", "uint8", "int32", "int64"]:
        rng = rng_of("where", kind)
        for shape in [[7], [3, 4], [2, 1, 5]]:
            from model import Graph, case
            values = const(kind, rng.integers(0, 2, shape))
            places = T("int64")
            x, y = T("float32", [3]), T("float32", [3])
            graph = Graph([x], [places, y])
            graph.op("WHERE", [values], [places], ("WhereOptions", {}))
            graph.op("ABS", [x], [y], ("AbsOptions", {}))
            yield case("WHERE", kind, [graph], "bytes", constant=True, x=shape)
