"""Reductions over axes, places of extremes, running sums."""

import numpy as np

from model import Q, T, at, const, ints, quantized, schema, single
from unary import real_scale

REDUCTIONS = {
    "MEAN": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "SUM": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "REDUCE_PROD": ["float32", "int8", "int16", "int32", "int64"],
    "REDUCE_MAX": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "REDUCE_MIN": ["float32", "int8", "uint8", "int16", "int32", "int64"],
    "REDUCE_ANY": ["bool"],
    "REDUCE_ALL": ["bool"],
}
AXES = [([2, 5, 6, 3], [1, 2]), ([2, 5, 6, 3], [-1]), ([3, 7], [0]), ([2, 3, 4], [0, -1]), ([1, 4, 5, 17], [2, 1]),
        ([2, 3, 2, 2, 3], [1, 3]), ([6], [0]), ([2, 2, 3], [0, 1, 2])]


def near_one(rng, run, shape):
    return rng.choice([-1, 1], shape) * np.round(rng.uniform(0.5, 1.6, shape) * 64) / 64


def tame(rng, run, shape):
    bound = [1, 3, 10][run % 3]
    return np.round(rng.uniform(-bound, bound, shape) * 256) / 256


def reductions():
    for op, kinds in REDUCTIONS.items():
        for kind in kinds:
            for i, (shape, axes) in enumerate(AXES):
                keep = i % 2 == 0
                for same in [True, False]:
                    if not same and (not quantized(kind) or op in ("REDUCE_MAX", "REDUCE_MIN") or i > 3):
                        continue
                    x, out = T(kind, shape), T(kind)
                    if quantized(kind):
                        k = real_scale(kind)
                        x.quant = Q(0.05 * k, at(kind, [0.5, 0.1, 0.9, 0.0][i % 4]))
                        out.quant = x.quant if same else Q([0.02, 0.11, 0.4, 0.05][i % 4] * k, at(kind, [0.3, 0.6, 1.0, 0.0][i % 4]))
                        if op == "REDUCE_PROD":
                            x.draw = lambda rng, run, s, z=x.quant.zero_point: z + rng.choice([-1, 1], s) * rng.integers(14, 28, s)
                            x.quant = Q(0.05, at(kind, 0.5))
                            x.draw = lambda rng, run, s, z=x.quant.zero_point: z + rng.choice([-1, 1], s) * rng.integers(14, 28, s)
                            out.quant = x.quant if same else Q(0.1, at(kind, 0.4))
                    elif kind == "float32":
                        x.draw = near_one if op == "REDUCE_PROD" else tame
                    elif op == "REDUCE_PROD":
                        x.draw = lambda rng, run, s: rng.choice([-1, 1, 1, 1, 2], s)
                    yield single(op, kind, [x, ints(*axes)], [out], ("ReducerOptions", {"keepDims": keep}),
                                 keep_dims=keep, axes=axes, x=shape, **({} if same or not quantized(kind) else {"quant": "other"}))


def extremes():
    for op, table in [("ARG_MAX", "ArgMaxOptions"), ("ARG_MIN", "ArgMinOptions")]:
        for kind in ["float32", "int8", "uint8", "int32", "bool"]:
            for i, (shape, axis) in enumerate([([2, 5, 7], -1), ([4, 3], 0), ([2, 3, 4, 2], 2), ([9], 0)]):
                target = ["int32", "int64"][i % 2]
                quant = Q(0.1, at(kind, 0.4)) if quantized(kind) else None
                number = schema.TensorType.INT32 if target == "int32" else schema.TensorType.INT64
                yield single(op, kind, [T(kind, shape, quant), ints(axis) if i % 2 else const("int32", axis)], [T(target)],
                             (table, {"outputType": number}), output_type=target, axis=axis, x=shape)
    for kind in ["float32", "int8", "uint8", "int16", "int32", "int64"]:
        for i, (shape, k) in enumerate([([3, 7], 3), ([9], 9), ([2, 2, 5], 1)]):
            quant = Q(0.1 * real_scale(kind), at(kind, 0.4)) if quantized(kind) else None
            yield single("TOPK_V2", kind, [T(kind, shape, quant), const("int32", k)], [T(kind, None, quant), T("int32")],
                         ("TopKV2Options", {}), k=k, x=shape)


def cumsum():
    for kind in ["float32", "int32", "int64"]:
        for exclusive in [False, True]:
            for reverse in [False, True]:
                for shape, axis in [([2, 5, 3], 1), ([4, 6], -1)]:
                    x = T(kind, shape, draw=tame if kind == "float32" else None)
                    yield single("CUMSUM", kind, [x, const("int32", axis)], [T(kind)],
                                 ("CumsumOptions", {"exclusive": exclusive, "reverse": reverse}),
                                 exclusive=exclusive, reverse=reverse, axis=axis)


def segments():
    def ids(rng, run, shape):
        return rng.integers(0, 4, shape)
    for op, table in [("UNSORTED_SEGMENT_SUM", "UnsortedSegmentSumOptions"), ("UNSORTED_SEGMENT_MAX", "UnsortedSegmentMaxOptions"),
                      ("UNSORTED_SEGMENT_MIN", "UnsortedSegmentMinOptions"), ("UNSORTED_SEGMENT_PROD", "UnsortedSegmentProdOptions")]:
        for kind in ["float32", "int32"]:
            x = T(kind, [6, 3], draw=lambda rng, run, shape: rng.integers(-4, 5, shape))
            places = const("int32", [3, 0, 1, 1, 2, 0])
            yield single(op, kind, [x, places, const("int32", 4)], [T(kind)], (table, {}))
    for kind in ["float32", "int32"]:
        x = T(kind, [6, 3], draw=lambda rng, run, shape: rng.integers(-4, 5, shape))
        yield single("SEGMENT_SUM", kind, [x, const("int32", [0, 0, 1, 2, 2, 3])], [T(kind)], ("SegmentSumOptions", {}))


def cases():
    yield from reductions()
    yield from extremes()
    yield from cumsum()
    yield from segments()
