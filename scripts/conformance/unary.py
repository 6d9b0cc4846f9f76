"""Operators of one tensor, element by element; changes of type and quantization."""

import numpy as np

from model import LIMITS, Q, T, at, const, quantized, rng_of, single

SHAPES = [[1, 4, 5, 3], [17], [2, 3, 1, 2, 5]]
# (input scale, input zero point as fraction, output scale, output zero point as fraction)
SCALES = [(0.05, 0.5, 0.05, 0.5), (0.11, 0.3, 0.03, 0.0), (0.02, 0.8, 0.4, 0.77)]
ROUNDING = "a transcendental function, rounded"


def positive(rng, run, shape):
    values = [rng.uniform(0.01, 4, shape), rng.uniform(0.5, 90, shape),
              rng.choice([1e-4, 0.25, 1, 2, 4, 1000, 3e6], shape)][run % 3]
    return np.maximum(np.round(values * 4096) / 4096, 1e-4)


def positive_raw(low, high, zero):
    """Raw values above the zero point: logarithms and roots."""
    def draw(rng, run, shape):
        return rng.integers(min(zero + 1, high), high + 1, shape)
    return draw


def small(rng, run, shape):
    return np.round(rng.uniform(-6, 6, shape) * 256) / 256


# Output quantization that LiteRT wants: (scale, zero point) by type.
FIXED = {
    "LOGISTIC": {"int8": Q(1 / 256, -128), "uint8": Q(1 / 256, 0), "int16": Q(1 / 32768, 0)},
    "TANH": {"int8": Q(1 / 128, 0), "uint8": Q(1 / 128, 128), "int16": Q(1 / 32768, 0)},
}
TRANSCENDENTAL = {"EXP", "LOG", "SQRT", "RSQRT", "SIN", "COS", "ELU", "GELU", "LOGISTIC", "TANH"}
KINDS = {
    "ABS": ["float32", "int32", "int8", "int16"],
    "NEG": ["float32", "int32", "int64", "int8", "int16"],
    "SIGN": ["float32", "float64", "int32"],
    "EXP": ["float32", "int8", "int16"],
    "LOG": ["float32", "int8", "int16"],
    "SQRT": ["float32", "int8"],
    "RSQRT": ["float32", "int8", "int16"],
    "SQUARE": ["float32", "int8"],
    "SIN": ["float32"],
    "COS": ["float32"],
    "CEIL": ["float32"],
    "FLOOR": ["float32"],
    "ROUND": ["float32"],
    "ELU": ["float32", "int8"],
    "HARD_SWISH": ["float32", "int8", "uint8", "int16"],
    "LOGISTIC": ["float32", "int8", "uint8", "int16"],
    "TANH": ["float32", "int8", "uint8", "int16"],
    "RELU": ["float32", "int8", "uint8", "int16"],
    "RELU6": ["float32", "int8", "uint8", "int16"],
    "RELU_N1_TO_1": ["float32", "int8", "uint8", "int16"],
    "RELU_0_TO_1": ["float32", "int8", "uint8", "int16"],
}


def real_scale(kind):
    """int16 has 256 times finer steps for the same range."""
    return 1 / 256 if kind == "int16" else 1.0


def unary(op, kind, options=None, **attributes):
    # LiteRT's table of 16-bit logistics is known to the last bit.
    exact = kind == "int16" and op in FIXED
    tolerance = "unit" if op in TRANSCENDENTAL and quantized(kind) and not exact else None
    reason = ROUNDING if tolerance else ""
    logarithm = op in ("LOG", "SQRT", "RSQRT")
    if not quantized(kind):
        for shape in SHAPES:
            x = T(kind, shape)
            if kind.startswith("float"):
                x.draw = positive if logarithm else small if op == "EXP" else None
            out = T(kind)
            yield single(op, kind, [x], [out], options, shape=shape, **attributes)
        return
    for i, (scale, zero, out_scale, out_zero) in enumerate(SCALES):
        k = real_scale(kind)
        zero, out_zero = at(kind, zero), at(kind, out_zero)
        if logarithm:
            zero, scale = at(kind, [0.0, 0.1, 0.0][i]), [0.02, 0.04, 0.5][i]
        if op in ("ABS", "NEG", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1") and i == 0:
            out_zero = zero
        if op == "EXP":
            scale, out_scale, out_zero = [0.01, 0.03, 0.02][i], [0.03, 0.2, 0.01][i], at(kind, 0.0)
        if op == "GELU":
            out_scale = [0.05, 0.03, 0.02][i]
        if op == "SQUARE":
            out_scale, out_zero = [0.16, 0.5, 0.001][i], at(kind, 0.0)
        q, r = Q(scale * k, zero), Q(out_scale * k, out_zero)
        r = FIXED.get(op, {}).get(kind, r)
        x = T(kind, [1, 8, 8, 4] if i == 0 else SHAPES[i], q)
        if logarithm:
            x.draw = positive_raw(*LIMITS[kind], zero)
        out = T(kind, None, r)
        yield single(op, kind, [x], [out], options, tolerance, reason=reason, quant=f"{i}", **attributes)


def shifts():
    """int16 scales that are powers of two, for which LiteRT needs no table."""
    for op in ["LOGISTIC", "TANH"]:
        for scale in [2**-10, 2**-11, 2**-12, 2**-13]:
            x = T("int16", [1, 300], Q(scale, 0))
            yield single(op, "int16", [x], [T("int16", None, FIXED[op]["int16"])], scale=scale)


def leaky_relu():
    for kind in ["float32", "int8", "uint8", "int16"]:
        for alpha in [0.1, 0.5, 1.5, -0.25, 0.0]:
            for case in unary("LEAKY_RELU", kind, ("LeakyReluOptions", {"alpha": alpha}), alpha=alpha):
                if alpha in (0.1, -0.25) or case.attributes.get("quant") == "1" or "17" in case.attributes.get("shape", ""):
                    yield case


def prelu():
    for kind in ["float32", "int8", "uint8", "int16", "float16"]:
        base = "float32" if kind == "float16" else kind
        if kind == "float16":
            continue
        for i, (shape, alpha) in enumerate([
                ([1, 4, 5, 3], [1, 1, 3]), ([2, 3, 3, 7], [7]), ([1, 5, 2, 4], [1, 1, 1, 4]),
                ([1, 3, 3, 2], [3, 3, 2]), ([4, 6], [1])]):
            rng = rng_of("prelu", kind, i)
            if quantized(kind):
                k = real_scale(kind)
                # Slopes of 8 bits go with 16-bit tensors.
                slopes = "int8" if kind == "int16" else base
                low, high = LIMITS[slopes]
                zero = 0 if kind == "int16" else at(kind, [0.5, 0.3, 0.6, 0, 1][i])
                a = const(slopes, rng.integers(low, high + 1, alpha), Q(0.01, zero))
                x = T(base, shape, Q(0.06 * k, at(kind, [0.5, 0.2, 0.8, 1.0, 0.5][i])))
                out = T(base, None, Q([0.05, 0.11, 0.02, 0.06, 0.08][i] * k, at(kind, 0.4)))
            else:
                a = const(base, np.round(rng.normal(0, 0.6, alpha), 2))
                x, out = T(base, shape), T(base)
            yield single("PRELU", kind, [x, a], [out], alpha=alpha, x=shape)


def gelu():
    for approximate in [True, False]:
        for kind in ["float32", "int8", "uint8", "int16"]:
            yield from unary("GELU", kind, ("GeluOptions", {"approximate": approximate}), approximate=approximate)


def cast():
    types = ["float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]
    numbers = {name: getattr(__import__("model").schema.TensorType, name.upper()) for name in types}

    def narrow(source, target):
        """Values that both types hold: what happens outside is not defined."""
        def draw(rng, run, shape):
            if source == "bool":
                return rng.integers(0, 2, shape)
            bounds = {"int8": 127, "uint8": 255, "int16": 32767, "int32": 10**9, "int64": 10**15,
                      "float32": 10**6, "float64": 10**12, "bool": 2}
            high = min(bounds[source], bounds[target])
            if target == "bool":
                high = bounds[source] if run else 2
            if target == "bool" and run == 2:
                return rng.choice([0, 0, -0.0, 1, -0.25, 3], shape)
            low = 0 if "uint8" in (source, target) else -high
            if run == 1:
                low, high = max(low, -5), min(high, 5)
            if source.startswith("float"):
                return np.round(rng.uniform(low, high, shape) * 8) / 8
            return rng.integers(low, high + 1, shape)
        return draw

    for source in types:
        for target in types:
            x = T(source, [3, 7], draw=narrow(source, target))
            yield single("CAST", source, [x], [T(target)], ("CastOptions", {
                "inDataType": numbers[source], "outDataType": numbers[target]}),
                "float" if target.startswith("float") else "bytes", to=target)


def quantize():
    """From float; between types, scales and zero points."""
    plain = [(0.1, 0.5), (0.031, 0.0), (0.7, 1.0)]
    for target in ["int8", "uint8", "int16"]:
        k = real_scale(target)
        for i, (scale, zero) in enumerate(plain):
            for shape in ([1, 64], [2, 3, 5]) if i == 0 else ([4, 17],):
                yield single("QUANTIZE", target, [T("float32", shape)], [T(target, None, Q(scale * k, at(target, zero)))],
                             tolerance="bytes", **{"from": "float32"}, to=target, quant=f"{i}", shape=shape)
    for source in ["int8", "uint8", "int16"]:
        for target in ["int8", "uint8", "int16"]:
            for i, (a, za, b, zb) in enumerate([(0.1, 0.52, 0.1, 0.52), (0.1, 0.5, 0.13, 0.4), (0.1, 0.1, 0.031, 0.9),
                                                (0.02, 0.0, 0.9, 0.5), (0.25, 1.0, 0.5, 1.0)]):
                x = T(source, [1, 256], Q(a * real_scale(source), at(source, za)))
                out = T(target, None, Q(b * real_scale(target), at(target, zb)))
                yield single("QUANTIZE", target, [x], [out], **{"from": source}, to=target, quant=f"{i}")
    for i, (a, b) in enumerate([(3e-4, 2e-6), (1e-3, 0.9), (2e-4, 2e-4)]):
        yield single("QUANTIZE", "int16", [T("int16", [1, 256], Q(a, 0))], [T("int32", None, Q(b, 0))],
                     **{"from": "int16"}, to="int32", quant=f"{i}")
    for i in range(2):
        x = T("int32", [2, 40], Q([1e-5, 2e-3][i], 0), draw=lambda rng, run, shape: rng.integers(-10**5, 10**5, shape))
        for target in ["int8", "uint8", "int16"]:
            yield single("QUANTIZE", target, [x], [T(target, None, Q([0.01, 0.9][i] * real_scale(target), at(target, 0.4)))],
                         **{"from": "int32"}, to=target, quant=f"{i}")


def dequantize():
    for source in ["int8", "uint8", "int16"]:
        for i, (scale, zero) in enumerate([(0.1, 0.5), (0.0173, 0.0), (3.5, 1.0)]):
            x = T(source, [[1, 128], [2, 3, 7], [5]][i], Q(scale * real_scale(source), at(source, zero)))
            yield single("DEQUANTIZE", source, [x], [T("float32")], quant=f"{i}")
    rng = rng_of("dequantize")
    half = const("float16", np.round(rng.normal(0, 2, [3, 5]), 2))
    from model import Graph, case
    for i in range(1):
        x, wide, y = T("float32", [2, 3, 5]), T("float32", [3, 5]), T("float32", [2, 3, 5])
        graph = Graph([x], [y])
        graph.op("DEQUANTIZE", [half], [wide])
        graph.op("ADD", [x, wide], [y], ("AddOptions", {}))
        yield case("DEQUANTIZE", "float16", [graph])
        weights = const("int8", rng.integers(-127, 128, [3, 5]), Q([0.1, 0.02, 0.5], 0, 0))
        x, wide, y = T("float32", [2, 3, 5]), T("float32", [3, 5]), T("float32", [2, 3, 5])
        graph = Graph([x], [y])
        graph.op("DEQUANTIZE", [weights], [wide])
        graph.op("ADD", [x, wide], [y], ("AddOptions", {}))
        yield case("DEQUANTIZE", "int8-channel", [graph], "float")


def cases():
    for op, kinds in KINDS.items():
        for kind in kinds:
            options = {"ABS": ("AbsOptions", {}), "NEG": ("NegOptions", {}), "EXP": ("ExpOptions", {}),
                       "SQUARE": ("SquareOptions", {}), "COS": ("CosOptions", {}), "HARD_SWISH": ("HardSwishOptions", {}),
                       }.get(op)
            yield from unary(op, kind, options)
    yield single("LOGICAL_NOT", "bool", [T("bool", [2, 9])], [T("bool")], ("LogicalNotOptions", {}))
    for kind in ["float32", "int32", "int64"]:
        yield single("ZEROS_LIKE", kind, [T(kind, [2, 3])], [T(kind)], ("ZerosLikeOptions", {}))
    yield from shifts()
    yield from leaky_relu()
    yield from prelu()
    yield from gelu()
    yield from cast()
    yield from quantize()
    yield from dequantize()
