"""Convolutions: plain, grouped, dilated, depthwise, transposed; every kind of weights."""

import numpy as np

from binary import ACTIVATION_NUMBERS, ACTIVATIONS
from model import Graph, Q, T, at, case, const, rng_of, schema

PADDINGS = {"SAME": 0, "VALID": 1}
KINDS = ["float32", "int8", "int8-channel", "uint8", "int16", "int16-channel", "hybrid", "hybrid-channel", "float16"]


class Layer:
    """Input, weights, bias and output of a layer with weights of `kind`.

    `axis` is the weights' output channel, `fan_in` the products summed for one output. The output's
    scale is chosen so that most results are within its range: `stretch` above 1 makes it finer.
    """

    def __init__(self, kind, shape, weights, axis, channels, fan_in, seed, bias=True, stretch=1.0, zeros=(0.5, 0.5),
                 scale=0.05, tiny=False, bias_type=None, int4=False, weight_zero=0.4):
        rng = rng_of(kind, seed)
        base = kind.split("-")[0]
        per_channel = kind.endswith("-channel")
        self.dequantize = []
        if base in ("float32", "float16", "hybrid"):
            self.x = T("float32", shape)
            self.out = T("float32")
            # LiteRT's float sums are compared within 1e-5: inputs of moderate size.
            self.x.draw = lambda rng, run, shape: np.round(rng.uniform(-[1, 3, 0.5][run % 3], [1, 3, 0.5][run % 3], shape) * 256) / 256
            values = rng.normal(0, 1 / np.sqrt(fan_in), weights)
            b = np.round(rng.normal(0, 0.5, channels) * 256) / 256
            self.b = const("float32", b) if bias else None
            if base == "float32":
                self.w = const("float32", np.round(values * 4096) / 4096)
            elif base == "float16":
                half = const("float16", values)
                self.w = T("float32", list(weights))
                self.dequantize.append((half, self.w))
                if bias:
                    half = const("float16", b)
                    self.b = T("float32", [channels])
                    self.dequantize.append((half, self.b))
            else:
                top = 7 if int4 else 127
                scales = np.full(channels if per_channel else 1, 3 / np.sqrt(fan_in) / top, dtype=np.float64)
                if per_channel:
                    scales *= rng.uniform(0.3, 2, channels)
                self.w = const("int4" if int4 else "int8", rng.integers(-top, top + 1, weights), Q(scales, 0, axis if per_channel else 0))
            return
        spread, low, high = (8000.0, -127, 127) if base == "int16" else (74.0, -127, 127)
        if base == "uint8":
            low, high = 0, 255
        if tiny:
            low, high = (-2, 2) if base != "uint8" else (98, 106)
        if int4:
            low, high = -7, 7
        x_scale = scale / 128 if base == "int16" else scale
        w_zero = at("uint8", weight_zero) if base == "uint8" else 0
        self.x = T(base, shape, Q(x_scale, at(base, zeros[0])))
        scales = np.array([0.013])
        if per_channel:
            scales = 0.013 * rng.uniform(0.2, 2, channels)
            if channels > 1:
                scales[0] = 0.0004
        w_type = "int8" if base == "int16" else base
        self.w = const("int4" if int4 else w_type, rng.integers(low, high + 1, weights), Q(scales, w_zero, axis if per_channel else 0))
        w_spread = 4 if int4 else 74
        total = np.sqrt(fan_in) * spread * w_spread
        out_scale = x_scale * 0.013 * total / (60 if base != "int16" else 9000) / stretch
        if tiny:
            out_scale = x_scale * 0.013 / 3
        self.out = T(base, None, Q(out_scale, at(base, zeros[1])))
        self.b = None
        if bias:
            type = bias_type or ("int64" if base == "int16" else "int32")
            values = rng.integers(-int(total), int(total) + 1, channels)
            if tiny:
                values = rng.integers(-90, 91, channels)
            # A scale for each channel moves the bias with it.
            values = (values * 0.013 / scales).astype(np.int64) if per_channel else values
            values = np.clip(values, -(2**28), 2**28)
            self.b = const(type, values, Q(x_scale * scales, 0, 0))

    def inputs(self):
        return [self.x, self.w] + ([self.b] if self.b is not None else [])

    def graph(self, op, inputs, options):
        graph = Graph([self.x], [self.out])
        for half, wide in self.dequantize:
            graph.op("DEQUANTIZE", [half], [wide])
        graph.op(op, inputs, [self.out], options)
        return graph


# batch, height, width, inputs, outputs, kernel, stride, dilation, padding, activation, groups, more
CONV = [
    (1, 5, 7, 3, 8, (3, 3), (1, 1), (1, 1), "SAME", "NONE", 1, {}),
    (1, 5, 7, 3, 5, (3, 3), (2, 2), (1, 1), "VALID", "RELU", 1, {}),
    (2, 6, 5, 4, 7, (3, 2), (2, 1), (1, 1), "SAME", "RELU6", 1, {"zeros": (0.0, 0.0)}),
    (1, 4, 4, 5, 3, (1, 1), (1, 1), (1, 1), "VALID", "RELU_N1_TO_1", 1, {"zeros": (1.0, 0.3)}),
    (1, 8, 8, 2, 4, (3, 3), (1, 1), (2, 2), "SAME", "NONE", 1, {}),
    (1, 9, 7, 3, 4, (3, 3), (1, 1), (2, 1), "VALID", "RELU", 1, {}),
    (1, 6, 6, 6, 4, (3, 3), (1, 1), (1, 1), "SAME", "NONE", 2, {}),
    (1, 1, 13, 4, 9, (1, 5), (1, 2), (1, 1), "SAME", "NONE", 1, {"stretch": 8}),
    (3, 3, 3, 17, 1, (1, 1), (2, 2), (1, 1), "SAME", "RELU6", 1, {}),
    (1, 3, 3, 2, 17, (5, 5), (1, 1), (1, 1), "SAME", "NONE", 1, {"zeros": (0.8, 1.0)}),
    (1, 4, 4, 3, 5, (1, 1), (1, 1), (1, 1), "VALID", "NONE", 1, {"tiny": True}),
    (1, 4, 5, 16, 16, (2, 2), (1, 1), (1, 1), "VALID", "NONE", 1, {}),
]


def conv():
    for kind in KINDS:
        for i, (n, h, w, cin, cout, kernel, stride, dilation, padding, activation, groups, more) in enumerate(CONV):
            if more.get("tiny") and kind.split("-")[0] not in ("int8", "uint8", "int16"):
                continue
            layer = Layer(kind, [n, h, w, cin], [cout, *kernel, cin // groups], 0, cout, kernel[0] * kernel[1] * cin // groups,
                          ("conv", i), **more)
            options = ("Conv2DOptions", {"padding": PADDINGS[padding], "strideH": stride[0], "strideW": stride[1],
                                         "dilationHFactor": dilation[0], "dilationWFactor": dilation[1],
                                         "fusedActivationFunction": ACTIVATION_NUMBERS[activation]})
            yield case("CONV_2D", kind, [layer.graph("CONV_2D", layer.inputs(), options)], label=f"{i}",
                       padding=padding, activation=activation, stride=stride, dilation=dilation, groups=groups)
    # int16 with a bias of 32 bits; weights of 4 bits.
    for kind, label, more in [("int16-channel", "bias32", {"bias_type": "int32"}), ("int16", "bias32", {"bias_type": "int32"})]:
        layer = Layer(kind, [1, 5, 5, 3], [4, 3, 3, 3], 0, 4, 27, label, **more)
        options = ("Conv2DOptions", {"quantizedBiasType": schema.TensorType.INT32, "padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1})
        yield case("CONV_2D", kind, [layer.graph("CONV_2D", layer.inputs(), options)], label=label, padding="SAME", bias="int32")
    for kind in ["hybrid", "hybrid-channel", "int8-channel", "int8"]:
        for i, activation in enumerate(ACTIVATIONS):
            groups, padding = 1 + i // 2, ["SAME", "VALID"][i % 2]
            layer = Layer(kind, [2 - i % 2, 5, 5, 4], [6, 3, 3, 4 // groups], 0, 6, 36 // groups, ("int4", i), int4=True)
            options = ("Conv2DOptions", {"padding": i % 2, "strideH": 1 + i % 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1,
                                         "fusedActivationFunction": ACTIVATION_NUMBERS[activation]})
            yield case("CONV_2D", "int4", [layer.graph("CONV_2D", layer.inputs(), options)],
                       "hybrid" if "hybrid" in kind else "bytes", label=kind, padding=padding, activation=activation, groups=groups,
                       weights="int4", activations="float32" if "hybrid" in kind else "int8")
    # Kernels of one pixel: XNNPACK makes fully connected layers of some.
    for i, (cin, cout, stride, padding) in enumerate([(1, 1, 1, "VALID"), (1, 2, 1, "SAME"), (5, 4, 2, "SAME")]):
        for kind in ["hybrid", "hybrid-channel", "float32", "int8"]:
            layer = Layer(kind, [2, 5, 4, cin], [cout, 1, 1, cin], 0, cout, cin, ("pixel", i))
            options = ("Conv2DOptions", {"padding": PADDINGS[padding], "strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1})
            yield case("CONV_2D", kind, [layer.graph("CONV_2D", layer.inputs(), options)], label=f"pixel-{i}", padding=padding)


# batch, height, width, inputs, multiplier, kernel, stride, dilation, padding, activation, more
DEPTHWISE = [
    (1, 6, 7, 5, 1, (3, 3), (1, 1), (1, 1), "SAME", "NONE", {}),
    (2, 7, 6, 8, 1, (3, 3), (2, 2), (1, 1), "SAME", "RELU6", {"zeros": (0.0, 0.0)}),
    (1, 7, 7, 3, 2, (3, 3), (1, 1), (1, 1), "VALID", "RELU", {}),
    (1, 5, 6, 1, 7, (2, 3), (2, 2), (1, 1), "SAME", "RELU_N1_TO_1", {"zeros": (1.0, 0.4)}),
    (1, 9, 8, 4, 1, (3, 3), (1, 1), (2, 2), "SAME", "NONE", {}),
    (1, 9, 9, 2, 3, (3, 2), (1, 1), (2, 3), "VALID", "NONE", {}),
    (1, 6, 6, 17, 1, (5, 5), (1, 1), (1, 1), "SAME", "RELU", {"stretch": 6}),
    (1, 1, 11, 6, 1, (1, 5), (1, 1), (1, 1), "SAME", "NONE", {"zeros": (0.7, 1.0)}),
    (1, 4, 4, 16, 1, (1, 1), (1, 1), (1, 1), "VALID", "NONE", {"tiny": True}),
]


def depthwise():
    for kind in KINDS:
        if kind == "hybrid":
            # With one scale for the tensor LiteRT reads the other channels' scales from beyond its end.
            continue
        for i, (n, h, w, cin, multiplier, kernel, stride, dilation, padding, activation, more) in enumerate(DEPTHWISE):
            if more.get("tiny") and kind.split("-")[0] not in ("int8", "uint8", "int16"):
                continue
            channels = cin * multiplier
            layer = Layer(kind, [n, h, w, cin], [1, *kernel, channels], 3, channels, kernel[0] * kernel[1], ("depthwise", i), **more)
            options = ("DepthwiseConv2DOptions", {"padding": PADDINGS[padding], "strideH": stride[0], "strideW": stride[1],
                                                  "depthMultiplier": multiplier, "dilationHFactor": dilation[0],
                                                  "dilationWFactor": dilation[1],
                                                  "fusedActivationFunction": ACTIVATION_NUMBERS[activation]})
            yield case("DEPTHWISE_CONV_2D", kind, [layer.graph("DEPTHWISE_CONV_2D", layer.inputs(), options)],
                       label=f"{i}", padding=padding, activation=activation, stride=stride, dilation=dilation,
                       multiplier=multiplier)


def depthwise_without_bias():
    # LiteRT takes no other kind without.
    for kind in ["int16", "int16-channel"]:
        layer = Layer(kind, [1, 7, 6, 16], [1, 3, 3, 16], 3, 16, 9, "depthwise no bias", bias=False)
        options = ("DepthwiseConv2DOptions", {"padding": 0, "strideH": 1, "strideW": 1, "depthMultiplier": 1,
                                              "dilationHFactor": 1, "dilationWFactor": 1})
        yield case("DEPTHWISE_CONV_2D", kind, [layer.graph("DEPTHWISE_CONV_2D", layer.inputs(), options)], label="no-bias", bias=False)


# batch, height, width, inputs, outputs, kernel, stride, padding, activation, output rows and columns, more
TRANSPOSE = [
    (1, 3, 4, 3, 5, (3, 3), (2, 2), "SAME", "NONE", (6, 8), {}),
    (1, 4, 3, 2, 4, (2, 2), (2, 2), "VALID", "RELU", (8, 6), {"zeros": (0.0, 0.0)}),
    (2, 3, 3, 4, 3, (4, 4), (2, 2), "SAME", "RELU6", (6, 6), {"bias": False}),
    (1, 5, 4, 1, 7, (3, 2), (1, 2), "VALID", "NONE", (7, 8), {"zeros": (0.9, 0.2)}),
    (1, 3, 3, 5, 1, (3, 3), (1, 1), "SAME", "NONE", (3, 3), {"bias": False}),
    (1, 3, 3, 3, 2, (3, 3), (2, 2), "SAME", "NONE", (5, 5), {"zeros": (1.0, 1.0), "stretch": 4}),
    (1, 2, 3, 3, 4, (1, 1), (3, 2), "VALID", "RELU_N1_TO_1", (4, 5), {}),
]


def transpose():
    for kind in KINDS:
        for i, (n, h, w, cin, cout, kernel, stride, padding, activation, size, more) in enumerate(TRANSPOSE):
            layer = Layer(kind, [n, h, w, cin], [cout, *kernel, cin], 0, cout, max(1, kernel[0] * kernel[1] * cin // (stride[0] * stride[1])),
                          ("transpose", i), **more)
            options = ("TransposeConvOptions", {"padding": PADDINGS[padding], "strideH": stride[0], "strideW": stride[1],
                                                "fusedActivationFunction": ACTIVATION_NUMBERS[activation]})
            inputs = [const("int32", [n, *size, cout]), layer.w, layer.x]
            if layer.b is not None:
                inputs.append(layer.b)
            yield case("TRANSPOSE_CONV", kind, [layer.graph("TRANSPOSE_CONV", inputs, options)], label=f"{i}", padding=padding,
                       activation=activation, stride=stride, bias=more.get("bias", True))


def cases():
    yield from conv()
    yield from depthwise()
    yield from depthwise_without_bias()
    yield from transpose()
