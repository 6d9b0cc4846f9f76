"""Resizing of images."""

from model import Q, T, at, ints, quantized, single
from unary import real_scale

SIZES = [([1, 3, 4, 2], (6, 8)), ([2, 5, 7, 3], (3, 4)), ([1, 2, 2, 5], (7, 5)), ([1, 4, 4, 1], (4, 4)), ([1, 6, 5, 3], (1, 1)),
         ([1, 1, 3, 17], (2, 9))]


def cases():
    for op, table, kinds in [("RESIZE_BILINEAR", "ResizeBilinearOptions", ["float32", "int8", "uint8", "int16"]),
                             ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", ["float32", "int8", "uint8", "int16"])]:
        for kind in kinds:
            for align, half in [(False, False), (True, False), (False, True), (True, True)]:
                for i, (shape, size) in enumerate(SIZES):
                    if i > 3 and (align or i == 4 and half):
                        continue
                    quant = Q([0.1, 0.03][i % 2] * real_scale(kind), at(kind, [0.5, 0.0, 1.0, 0.3][i % 4])) if quantized(kind) else None
                    yield single(op, kind, [T(kind, shape, quant), ints(*size)], [T(kind, None, quant)],
                                 (table, {"alignCorners": align, "halfPixelCenters": half}),
                                 align_corners=align, half_pixel_centers=half, x=shape, size=size)
