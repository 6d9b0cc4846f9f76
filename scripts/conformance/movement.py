"""Data moved about: shapes, slices, joins, gathers, paddings; what comes out is what went in."""

import numpy as np

from model import Graph, Q, T, at, case, const, draw, ints, quantized, rng_of, schema, single
from unary import real_scale

ALL = ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"]
NUMBERS = ["float32", "int8", "uint8", "int16", "int32", "int64"]


def quant(kind, zero=0.3, scale=0.1):
    return Q(scale * real_scale(kind), at(kind, zero)) if quantized(kind) else None


def t(kind, shape=None, **more):
    return T(kind, shape, quant(kind), **more)


def shapes():
    for kind in ALL:
        for shape, to in [([2, 3, 4], [4, 6]), ([1, 2, 3, 2], [-1]), ([6], [1, 2, 1, 3, 1])]:
            yield single("RESHAPE", kind, [t(kind, shape), ints(*to)], [t(kind)], ("ReshapeOptions", {"newShape": to}), x=shape, to=to)
        for shape, dims in [([1, 3, 1, 2], [0, 2]), ([1, 3, 1], []), ([2, 1, 5, 1], [-1])]:
            yield single("SQUEEZE", kind, [t(kind, shape)], [t(kind)], ("SqueezeOptions", {"squeezeDims": dims}), x=shape, squeeze_dims=dims)
        for shape, axis in [([2, 3], 0), ([2, 3], -1), ([4], 1), ([2, 3, 2, 2], 2)]:
            yield single("EXPAND_DIMS", kind, [t(kind, shape), const("int32", axis)], [t(kind)], ("ExpandDimsOptions", {}), x=shape, axis=axis)
    yield single("RESHAPE", "float32", [t("float32", [2, 6])], [T("float32", [3, 4])], ("ReshapeOptions", {"newShape": [3, 4]}), shape_from="options")
    yield single("RESHAPE", "int8", [t("int8", [2, 6]), const("int64", [3, -1])], [t("int8")], shape_from="int64")
    # A shape computed from another's: known at load, although operators give it.
    for kind in ["float32", "int8"]:
        x, y = t(kind, [2, 3, 4]), t(kind)
        size, first, wanted = T("int32", [3]), T("int32", [1]), T("int32", [2])
        graph = Graph([x], [y])
        graph.op("SHAPE", [x], [size], ("ShapeOptions", {"outType": schema.TensorType.INT32}))
        graph.op("STRIDED_SLICE", [size, ints(0), ints(1), ints(1)], [first], ("StridedSliceOptions", {}))
        graph.op("CONCATENATION", [first, ints(12)], [wanted], ("ConcatenationOptions", {"axis": 0}))
        graph.op("RESHAPE", [x, wanted], [y], ("ReshapeOptions", {}))
        yield case("RESHAPE", kind, [graph], "bytes", shape_from="operators")
        x, y = t(kind, [2, 3, 4]), t(kind)
        size, first, wanted = T("int32", [3]), T("int32", []), T("int32", [2])
        graph = Graph([x], [y])
        graph.op("SHAPE", [x], [size], ("ShapeOptions", {"outType": schema.TensorType.INT32}))
        graph.op("STRIDED_SLICE", [size, ints(0), ints(1), ints(1)], [first], ("StridedSliceOptions", {"shrinkAxisMask": 1}))
        graph.op("PACK", [first, const("int32", -1)], [wanted], ("PackOptions", {"valuesCount": 2, "axis": 0}))
        graph.op("RESHAPE", [x, wanted], [y], ("ReshapeOptions", {}))
        yield case("RESHAPE", kind, [graph], "bytes", shape_from="pack")
    for kind in ALL:
        for target in ["int32", "int64"]:
            shape = [2, 3, 1, 5] if target == "int32" else [7]
            yield single("SHAPE", kind, [t(kind, shape)], [T(target)], ("ShapeOptions", {"outType": getattr(schema.TensorType, target.upper())}),
                         out_type=target)
        yield single("RANK", kind, [t(kind, [2, 3, 1])], [T("int32")], ("RankOptions", {}), x=[2, 3, 1])


def orders():
    for kind in ALL:
        for shape, order in [([2, 3], [1, 0]), ([2, 3, 4], [2, 0, 1]), ([1, 3, 4, 5], [0, 3, 1, 2]), ([2, 3, 2, 4], [0, 2, 1, 3]),
                             ([2, 1, 3, 2, 3], [4, 2, 0, 3, 1]), ([5], [0])]:
            yield single("TRANSPOSE", kind, [t(kind, shape), ints(*order)], [t(kind)], ("TransposeOptions", {}), perm=order, x=shape)
        for shape, axes in [([2, 3, 4], [1]), ([5, 3], [0]), ([2, 3, 3, 2], [-1]), ([2, 3, 4], [1, 2])]:
            yield single("REVERSE_V2", kind, [t(kind, shape), ints(*axes)], [t(kind)], ("ReverseV2Options", {}), axes=axes, x=shape)
        if kind != "bool":
            for seq, batch in [(1, 0), (0, 1), (2, 0)]:
                lengths = T("int32" if seq else "int64", [3], draw=lambda rng, run, shape: rng.integers(1, 4, shape))
                yield single("REVERSE_SEQUENCE", kind, [t(kind, [3, 3, 4]), lengths], [t(kind)],
                             ("ReverseSequenceOptions", {"seqDim": seq, "batchDim": batch}), seq_dim=seq, batch_dim=batch)


def joins():
    for kind in ALL:
        for shapes_, axis in [([[1, 2, 3], [1, 2, 4]], -1), ([[2, 3], [1, 3], [4, 3]], 0), ([[1, 2, 2, 3], [1, 5, 2, 3]], 1), ([[3]], 0),
                              ([[2, 1, 1, 2, 1], [2, 1, 3, 2, 1]], 2)]:
            yield single("CONCATENATION", kind, [t(kind, s) for s in shapes_], [t(kind)], ("ConcatenationOptions", {"axis": axis}),
                         axis=axis, count=len(shapes_), x=shapes_[0])
        fixed = const(kind, draw(rng_of("concat", kind), 0, t(kind, [2, 2])), quant(kind))
        yield single("CONCATENATION", kind, [t(kind, [2, 3]), fixed], [t(kind)], ("ConcatenationOptions", {"axis": 1}), axis=1, constant=True)
        for shape, count, axis in [([2, 6, 3], 3, 1), ([4, 2], 2, 0), ([1, 2, 3, 8], 4, -1)]:
            yield single("SPLIT", kind, [const("int32", axis), t(kind, shape)], [t(kind) for _ in range(count)],
                         ("SplitOptions", {"numSplits": count}), axis=axis, num_splits=count)
        for shape, sizes, axis in [([2, 6, 3], [1, 3, 2], 1), ([5, 2], [2, -1], 0), ([1, 2, 9], [4, 5], -1)]:
            yield single("SPLIT_V", kind, [t(kind, shape), ints(*sizes), const("int32", axis)], [t(kind) for _ in sizes],
                         ("SplitVOptions", {"numSplits": len(sizes)}), axis=axis, sizes=sizes)
        for shape, axis, count in [([2, 3], 0, 3), ([2, 3], 1, 2), ([4], -1, 2), ([1, 2, 2], 3, 4), ([], 0, 2)]:
            yield single("PACK", kind, [t(kind, shape) for _ in range(count)], [t(kind)], ("PackOptions", {"axis": axis, "valuesCount": count}),
                         axis=axis, count=count, x=shape)
        for shape, axis in [([3, 2, 2], 0), ([2, 4], -1), ([2, 3, 2], 1)]:
            yield single("UNPACK", kind, [t(kind, shape)], [t(kind) for _ in range(shape[axis])], ("UnpackOptions", {"num": shape[axis], "axis": axis}),
                         axis=axis, x=shape)
    # Parts with scales of their own.
    for kind in ["int8", "uint8", "int16"]:
        a, b, c = T(kind, [2, 3], quant(kind)), T(kind, [2, 4], quant(kind, 0.8, 0.05)), T(kind, [2, 1], quant(kind, 0.0, 0.9))
        yield single("CONCATENATION", kind, [a, b, c], [t(kind)], ("ConcatenationOptions", {"axis": 1}), axis=1, quant="several")


# shape, begin, end, strides, masks
STRIDED = [
    ([5, 6, 3], [1, 0, 0], [4, 6, 3], [1, 1, 1], {}),
    ([5, 6, 3], [0, 5, 2], [5, 0, 0], [2, -2, -1], {}),
    ([5, 6, 3], [2, 1, 1], [3, 4, 2], [1, 1, 1], {"beginMask": 5}),
    ([5, 6, 3], [1, 1, 0], [2, 2, 1], [1, 2, 1], {"endMask": 6}),
    ([5, 6, 3], [-2, 0, 0], [5, 6, 3], [1, 1, 1], {"shrinkAxisMask": 1}),
    ([2, 3, 2, 4], [1, 2], [2, 3], [1, 1], {"ellipsisMask": 0}),
    ([2, 3, 2, 4], [0, 0, 1], [1, 0, 3], [1, 1, 1], {"ellipsisMask": 2}),
    ([4, 5], [1, 0, 0], [3, 0, 5], [1, 1, 2], {"newAxisMask": 2}),
    ([4, 5], [1, 0, -1], [3, 0, 0], [1, 1, 1], {"newAxisMask": 2, "shrinkAxisMask": 4}),
    ([7], [6], [-8], [-1], {}),
    ([1, 8, 8, 2], [0, 0, 0, 0], [0, 8, 8, 0], [1, 2, 2, 1], {"beginMask": 9, "endMask": 9}),
    ([3, 4], [0, 0], [3, 100], [1, 1], {}),
]


def slices():
    for kind in ALL:
        for shape, begin, size in [([4, 5], [1, 2], [2, 3]), ([2, 3, 4], [0, 1, 0], [-1, 2, -1]), ([1, 5, 4, 3], [0, 2, 1, 0], [1, 1, 2, 3]),
                                   ([2, 3, 2, 2, 3], [1, 0, 0, 1, 1], [1, 3, 2, 1, 2]), ([6], [5], [1])]:
            yield single("SLICE", kind, [t(kind, shape), ints(*begin), ints(*size)], [t(kind)], ("SliceOptions", {}), begin=begin, size=size)
        for i, (shape, begin, end, strides, masks) in enumerate(STRIDED):
            words = {"begin_mask": masks.get("beginMask", 0), "end_mask": masks.get("endMask", 0), "ellipsis_mask": masks.get("ellipsisMask", 0),
                     "new_axis_mask": masks.get("newAxisMask", 0), "shrink_axis_mask": masks.get("shrinkAxisMask", 0)}
            words = {key: value for key, value in words.items() if value}
            yield single("STRIDED_SLICE", kind, [t(kind, shape), ints(*begin), ints(*end), ints(*strides)], [t(kind)],
                         ("StridedSliceOptions", masks), label=f"{i}", strides=strides, **words)
    yield single("SLICE", "float32", [t("float32", [4, 5]), const("int64", [1, 2]), const("int64", [2, -1])], [t("float32")], ("SliceOptions", {}), amounts="int64")
    for kind in ["float32", "int8", "int32", "int64", "bool"]:
        start = T("int32", [2], draw=lambda rng, run, shape: rng.integers(0, 5, shape))
        yield single("DYNAMIC_UPDATE_SLICE", kind, [t(kind, [4, 5]), t(kind, [2, 3]), start], [t(kind)], ("DynamicUpdateSliceOptions", {}))


def indices(high, low=0):
    return lambda rng, run, shape: rng.integers(low, high, shape)


def gathers():
    for kind in ALL:
        for i, (shape, axis, batch, places, high) in enumerate([
                ([5, 3], 0, 0, [4], 5), ([2, 4, 3], 1, 0, [2, 2], 4), ([2, 4, 3], -1, 0, [2], 3), ([2, 4, 3], 1, 1, [2, 3], 4),
                ([3, 2, 5], 2, 1, [3, 2], 5), ([6], 0, 0, [], 6)]):
            index = T("int64" if i % 3 == 2 else "int32", places, draw=indices(high))
            yield single("GATHER", kind, [t(kind, shape), index], [t(kind)], ("GatherOptions", {"axis": axis, "batchDims": batch}),
                         axis=axis, batch_dims=batch, indices=index.type, x=shape)
        for i, (shape, places, highs) in enumerate([([4, 3], [5, 1], [4]), ([4, 3], [2, 2], [4, 3]), ([2, 3, 2], [2, 2, 3], [2, 3, 2])]):
            index = T("int64" if i == 1 else "int32", places,
                      draw=lambda rng, run, shape, highs=highs: np.stack([rng.integers(0, h, shape[:-1]) for h in highs], -1))
            yield single("GATHER_ND", kind, [t(kind, shape), index], [t(kind)], ("GatherNdOptions", {}), indices=index.type, x=shape, places=places)
        fixed = const("int32", [2, 0, 0])
        yield single("GATHER", kind, [t(kind, [3, 2]), fixed], [t(kind)], ("GatherOptions", {"axis": 0}), axis=0, constant=True)
    for kind in ["float32", "int8", "uint8", "int32", "int64", "bool"]:
        for shape, places, updates, highs in [([6], [3, 1], [3], [6]), ([4, 3], [2, 1], [2, 3], [4]), ([3, 4], [5, 2], [5], [3, 4])]:
            index = T("int32", places, draw=lambda rng, run, shape, highs=highs: np.stack([rng.integers(0, h, shape[:-1]) for h in highs], -1))
            yield single("SCATTER_ND", kind, [index, T(kind, updates, draw=indices(2) if kind == "bool" else indices(9)), ints(*shape)], [T(kind)],
                         ("ScatterNdOptions", {}), shape=shape)


def paddings():
    kinds = ["float32", "int8", "uint8", "int16", "int32", "int64"]
    for kind in kinds:
        for shape, amounts in [([2, 3], [[1, 2], [0, 1]]), ([1, 3, 4, 2], [[0, 0], [1, 1], [2, 0], [0, 0]]), ([3], [[2, 3]]),
                               ([1, 2, 2, 3, 1], [[0, 0], [1, 0], [0, 1], [1, 1], [2, 0]]), ([2, 2, 3], [[0, 0], [0, 0], [0, 0]])]:
            yield single("PAD", kind, [t(kind, shape), const("int32", amounts)], [t(kind)], ("PadOptions", {}), x=shape)
            value = const(kind, at(kind, 0.8) if quantized(kind) else 3, quant(kind))
            yield single("PADV2", kind, [t(kind, shape), const("int32", amounts), value], [t(kind)], ("PadV2Options", {}), x=shape)
        yield single("PAD", kind, [t(kind, [2, 3]), const("int64", [[1, 0], [0, 2]])], [t(kind)], ("PadOptions", {}), amounts="int64")
        for mode in [0, 1]:
            for shape, amounts in [([4, 3], [[1, 2], [2, 1]]), ([1, 3, 4, 2], [[0, 0], [1, 2], [2, 3], [0, 0]]), ([5], [[4, 4]])]:
                yield single("MIRROR_PAD", kind, [t(kind, shape), const("int32", amounts)], [t(kind)], ("MirrorPadOptions", {"mode": mode}),
                             mode=["REFLECT", "SYMMETRIC"][mode], x=shape)


def repeats():
    for kind in ["int32", "int64"]:
        for a, b in [([3], [1, 3]), ([2, 1, 4], [5, 1])]:
            first, second = (T(kind, [len(v)], draw=lambda rng, run, shape, v=v: v) for v in (a, b))
            yield single("BROADCAST_ARGS", kind, [first, second], [T(kind)], a=a, b=b)
    for kind in ALL:
        for shape, times in [([2, 3], [2, 1]), ([3], [4]), ([1, 2, 2], [3, 1, 2]), ([1, 2, 1, 3], [1, 2, 2, 1])]:
            yield single("TILE", kind, [t(kind, shape), ints(*times)], [t(kind)], ("TileOptions", {}), multiples=times, x=shape)
        for shape, to in [([3], [2, 3]), ([2, 1, 3], [2, 4, 3]), ([], [3]), ([1, 2, 1, 2, 1], [2, 2, 3, 2, 2])]:
            yield single("BROADCAST_TO", kind, [t(kind, shape), ints(*to)], [t(kind)], ("BroadcastToOptions", {}), to=to, x=shape)
        yield single("FILL", kind, [ints(2, 3), t(kind, [])], [t(kind)], ("FillOptions", {}), dims=[2, 3])
        yield single("FILL", kind, [const("int64", [4]), t(kind, [])], [t(kind)], ("FillOptions", {}), dims=[4])
    yield single("BROADCAST_TO", "float32", [t("float32", [2, 1]), const("int64", [2, 5])], [t("float32")], ("BroadcastToOptions", {}), amounts="int64")
    for kind, numbers in [("int32", [(0, 7, 1), (10, -3, -4)]), ("int64", [(2, 9, 3)]), ("float32", [(0, 3, 0.5), (1.5, -2, -0.75)])]:
        for start, end, step in numbers:
            # Its numbers are constants: how many come out is then known at load.
            x, y, out = T(kind, [2, 3]), T(kind), T(kind)
            graph = Graph([x], [y, out])
            graph.op("RANGE", [const(kind, start), const(kind, end), const(kind, step)], [out], ("RangeOptions", {}))
            graph.op("ADD", [x, const(kind, 1)], [y], ("AddOptions", {}))
            yield case("RANGE", kind, [graph], "float" if kind == "float32" else "bytes", start=start, limit=end, delta=step)
    for kind in ["float32", "int8", "uint8", "int32", "int64", "bool"]:
        for places, axis in [([4], -1), ([2, 3], 0), ([2, 2], 1), ([], -1)]:
            index = T("int64" if places == [2, 3] else "int32", places, draw=indices(6, -1))
            on, off = const(kind, 1 if kind == "bool" else 5), const(kind, 0)
            yield single("ONE_HOT", kind, [index, const("int32", 5), on, off], [T(kind)], ("OneHotOptions", {"axis": axis}), axis=axis, x=places)


def moves():
    for kind in ["float32", "int8", "uint8", "int16", "int32", "int64"]:
        for block, shape in [(2, [1, 4, 6, 3]), (3, [2, 3, 3, 1])]:
            yield single("SPACE_TO_DEPTH", kind, [t(kind, shape)], [t(kind)], ("SpaceToDepthOptions", {"blockSize": block}), block_size=block)
            deep = [shape[0], shape[1] // block, shape[2] // block, shape[3] * block * block]
            yield single("DEPTH_TO_SPACE", kind, [t(kind, deep)], [t(kind)], ("DepthToSpaceOptions", {"blockSize": block}), block_size=block)
        for shape, block, amounts in [([1, 4, 4, 2], [2, 2], [[0, 0], [0, 0]]), ([1, 5, 3, 1], [3, 2], [[1, 0], [0, 1]]), ([2, 6, 3], [2], [[1, 1]])]:
            yield single("SPACE_TO_BATCH_ND", kind, [t(kind, shape), ints(*block), const("int32", amounts)], [t(kind)],
                         ("SpaceToBatchNDOptions", {}), block=block, x=shape)
        for shape, block, crops in [([4, 2, 3, 2], [2, 2], [[0, 0], [0, 0]]), ([6, 2, 2, 1], [3, 2], [[1, 0], [0, 1]]), ([4, 3, 2], [2], [[1, 1]])]:
            yield single("BATCH_TO_SPACE_ND", kind, [t(kind, shape), ints(*block), const("int32", crops)], [t(kind)],
                         ("BatchToSpaceNDOptions", {}), block=block, x=shape)


def requantized():
    """Outputs quantized unlike the input: where LiteRT takes them it moves the integers as they are."""
    for kind in ["int8", "uint8", "int16"]:
        other = Q(0.17 * real_scale(kind), at(kind, 0.6))
        x, y = t(kind, [2, 3]), T(kind, None, other)
        yield single("RESHAPE", kind, [x, ints(3, 2)], [y], ("ReshapeOptions", {"newShape": [3, 2]}), quant="other")
        yield single("GATHER", kind, [x, const("int32", [1])], [y], ("GatherOptions", {}), quant="other")
        yield single("TILE", kind, [x, ints(1, 2)], [y], ("TileOptions", {}), quant="other")
        yield single("REVERSE_V2", kind, [x, ints(1)], [y], ("ReverseV2Options", {}), quant="other")
        yield single("PADV2", kind, [x, const("int32", [[1, 0], [0, 1]]), const(kind, 5, other)], [y], ("PadV2Options", {}), quant="other")
        yield single("SLICE", kind, [x, ints(0, 1), ints(2, 2)], [y], ("SliceOptions", {}), quant="other")
        yield single("TRANSPOSE", kind, [x, ints(1, 0)], [y], ("TransposeOptions", {}), quant="other")
        yield single("PAD", kind, [x, const("int32", [[1, 0], [0, 1]])], [y], ("PadOptions", {}), quant="other")
        yield single("UNPACK", kind, [x], [T(kind, None, other), T(kind, None, other)], ("UnpackOptions", {"num": 2, "axis": 0}), quant="other")
        yield single("SPLIT_V", kind, [x, ints(1, 2), const("int32", 1)], [T(kind, None, other), T(kind, None, other)],
                     ("SplitVOptions", {"numSplits": 2}), quant="other")
        yield single("EXPAND_DIMS", kind, [x, const("int32", 0)], [y], ("ExpandDimsOptions", {}), quant="other")
        yield single("BROADCAST_TO", kind, [x, ints(2, 2, 3)], [y], ("BroadcastToOptions", {}), quant="other")
        yield single("GATHER_ND", kind, [x, const("int32", [[1], [0]])], [y], ("GatherNdOptions", {}), quant="other")
        yield single("BATCH_TO_SPACE_ND", kind, [t(kind, [2, 3, 1]), ints(2), const("int32", [[0, 1]])], [y], ("BatchToSpaceNDOptions", {}), quant="other")


def computed():
    """Amounts, values and places that are known only when the model runs."""
    for kind in ["float32", "int8", "int32"]:
        begin = T("int32", [2], draw=lambda rng, run, shape: rng.integers(0, 3, shape))
        yield single("SLICE", kind, [t(kind, [4, 5]), begin, ints(2, 3)], [t(kind)], ("SliceOptions", {}), begin="computed")
        yield single("PADV2", kind, [t(kind, [2, 3]), const("int32", [[1, 0], [0, 2]]), t(kind, [])], [t(kind)], ("PadV2Options", {}), value="computed")
    for kind in ALL:
        index = T("int16", [4], draw=indices(5))
        yield single("GATHER", kind, [t(kind, [5, 3]), index], [t(kind)], ("GatherOptions", {"axis": 0}), axis=0, indices="int16")
        yield single("STRIDED_SLICE", kind, [t(kind, [5, 6]), ints(1, 2), ints(3, 2), ints(2, 1)], [t(kind)],
                     ("StridedSliceOptions", {"offset": True}), offset=True)
    for kind in ["float32", "int8", "int32"]:
        first, last = T("int32", [2]), T("int32", [2])
        place = T("int32", [1], draw=lambda rng, run, shape: rng.integers(-4, 4, shape))
        x, y = t(kind, [3, 4, 2]), t(kind)
        graph = Graph([x, place], [y])
        graph.op("CONCATENATION", [ints(0), place], [first], ("ConcatenationOptions", {"axis": 0}))
        graph.op("CONCATENATION", [ints(0), place], [last], ("ConcatenationOptions", {"axis": 0}))
        graph.op("STRIDED_SLICE", [x, first, last, ints(1, 1)], [y], ("StridedSliceOptions", {"beginMask": 1, "endMask": 1, "shrinkAxisMask": 2}))
        yield case("STRIDED_SLICE", kind, [graph], "bytes", begin="computed")
    for target in ["int32", "int64"]:
        a, b, y = T("float32", [3, 1, 4]), T("float32", [2, 1]), T(target)
        shape_of = ("ShapeOptions", {"outType": getattr(schema.TensorType, target.upper())})
        sizes = [T(target, [3]), T(target, [2])]
        graph = Graph([a, b], [y])
        graph.op("SHAPE", [a], [sizes[0]], shape_of)
        graph.op("SHAPE", [b], [sizes[1]], shape_of)
        graph.op("BROADCAST_ARGS", sizes, [y])
        yield case("BROADCAST_ARGS", target, [graph], "bytes")


def scattered():
    for kind in ["float32", "int8", "uint8", "int32", "int64"]:
        for shape, places in [([6], [3]), ([4, 5], [3, 2]), ([2, 3, 4], [2, 3]), ([7], [])]:
            def sorted_places(rng, run, wanted, shape=shape):
                flat = np.sort(rng.choice(int(np.prod(shape)), wanted[0] if wanted else 1, replace=False))
                return flat if len(shape) == 1 else np.stack(np.unravel_index(flat, shape), -1)
            index = T("int64" if len(shape) == 2 else "int32", places, draw=sorted_places)
            values = t(kind, places[:1]) if len(shape) != 3 else t(kind, [])
            sizes = const(index.type, shape)
            yield single("SPARSE_TO_DENSE", kind, [index, sizes, values, t(kind, [])], [t(kind)], ("SparseToDenseOptions", {}), shape=shape)
    for kind in NUMBERS:
        for shape in [[3], [2, 2, 4]]:
            yield single("MATRIX_DIAG", kind, [t(kind, shape)], [t(kind)], ("MatrixDiagOptions", {}), x=shape)
        for shape, line in [([3, 3], [3]), ([2, 3, 5], [2, 3]), ([4, 2], [2])]:
            yield single("MATRIX_SET_DIAG", kind, [t(kind, shape), t(kind, line)], [t(kind)], ("MatrixSetDiagOptions", {}), x=shape)


REALS = [0.5, -0.5, -1.7, 127.5, 128, 200, 255.9, 256, 300, -128.9, -129, -300, 32767, 32768, -32768, -32769, 70000, -70000, 2147483520, 2147483648,
         3e9, -2147483648, -3e9, 9.3e18, -9.3e18, 1e30, -1e30, np.nan, np.inf, -np.inf, -0.0, 1e-40]
WHOLE = [0, 1, -1, 127, 128, 255, 256, -128, -129, 32767, 32768, -32768, -32769, 65535, 70000, -70000, 2147483647, -2147483648]


def casts():
    """What does not fit the type that it is cast to."""
    numbers = ["int8", "uint8", "int16", "int32", "int64"]
    for source, values in [("float32", REALS), ("float64", REALS), ("int32", WHOLE), ("int64", WHOLE + [2**31, 2**40 + 5, -(2**63)])]:
        for target in [*numbers, "bool"]:
            if target != source:
                x = T(source, [len(values)], draw=lambda rng, run, shape, values=values: np.array(values))
                codes = [getattr(schema.TensorType, name.upper()) for name in (source, target)]
                yield single("CAST", source, [x], [T(target)], ("CastOptions", {"inDataType": codes[0], "outDataType": codes[1]}), "bytes",
                             runs=1, to=target, values="extreme")


def cases():
    for group in [shapes, orders, joins, slices, gathers, paddings, repeats, moves, requantized, computed, scattered, casts]:
        yield from group()
