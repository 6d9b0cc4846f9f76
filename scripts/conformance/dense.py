"""Products of matrices: fully connected layers and batched products; embedding lookup."""

import numpy as np

from binary import ACTIVATION_NUMBERS, ACTIVATIONS
from conv import KINDS, Layer
from model import Graph, Q, T, at, case, const, quantized, rng_of, schema, single
from unary import real_scale

# input shape, outputs, activation, keep_num_dims, more
LAYERS = [
    ([1, 16], 5, "NONE", False, {}),
    ([3, 17], 7, "RELU", False, {"zeros": (0.0, 0.0)}),
    ([2, 3, 5], 4, "RELU6", True, {}),
    ([4, 1, 6], 1, "RELU_N1_TO_1", False, {"zeros": (1.0, 0.3)}),
    ([1, 33], 17, "NONE", False, {"bias": False, "stretch": 6}),
    ([2, 2, 2, 8], 3, "NONE", False, {"zeros": (0.7, 1.0)}),
    ([5, 7], 16, "NONE", False, {"tiny": True}),
    ([7], 3, "NONE", False, {}),
]


def fully_connected():
    for kind in KINDS:
        for i, (shape, outputs, activation, keep, more) in enumerate(LAYERS):
            if more.get("tiny") and kind.split("-")[0] not in ("int8", "uint8", "int16"):
                continue
            depth = shape[-1] if keep or i not in (5,) else 8
            layer = Layer(kind, shape, [outputs, depth], 0, outputs, depth, ("dense", i), **more)
            options = ("FullyConnectedOptions", {"fusedActivationFunction": ACTIVATION_NUMBERS[activation], "keepNumDims": keep})
            yield case("FULLY_CONNECTED", kind, [layer.graph("FULLY_CONNECTED", layer.inputs(), options)], label=f"{i}",
                       activation=activation, keep_num_dims=keep, bias=more.get("bias", True), x=shape)
    for kind in ["float32", "int8", "int8-channel", "hybrid"]:
        layer = Layer(kind, [2, 9], [4, 9], 0, 4, 9, "absent", bias=False)
        options = ("FullyConnectedOptions", {})
        yield case("FULLY_CONNECTED", kind, [layer.graph("FULLY_CONNECTED", [layer.x, layer.w, None], options)], label="absent", bias="absent")
    for kind in ["int16", "int16-channel"]:
        layer = Layer(kind, [2, 9], [4, 9], 0, 4, 9, "bias32", bias_type="int32")
        yield case("FULLY_CONNECTED", kind, [layer.graph("FULLY_CONNECTED", layer.inputs(), ("FullyConnectedOptions", {"quantizedBiasType": schema.TensorType.INT32}))],
                   label="bias32", bias="int32")
    for kind in ["hybrid", "hybrid-channel"]:
        for i, activation in enumerate(["NONE", "RELU"]):
            layer = Layer(kind, [2, 12], [5, 12], 0, 5, 12, ("asymmetric", i))
            options = ("FullyConnectedOptions", {"fusedActivationFunction": i, "asymmetricQuantizeInputs": True})
            yield case("FULLY_CONNECTED", kind, [layer.graph("FULLY_CONNECTED", layer.inputs(), options)],
                       activation=activation, asymmetric_quantize_inputs=True)
    for kind in ["hybrid", "hybrid-channel", "int8", "int8-channel"]:
        # XNNPACK takes rows of even length.
        for i, (activation, depth, keep) in enumerate(zip(ACTIVATIONS, [10, 11, 10, 11], [False, False, True, True])):
            layer = Layer(kind, [3, depth], [5, depth], 0, 5, depth, ("int4", i), int4=True)
            options = ("FullyConnectedOptions", {"fusedActivationFunction": ACTIVATION_NUMBERS[activation], "keepNumDims": keep})
            yield case("FULLY_CONNECTED", "int4", [layer.graph("FULLY_CONNECTED", layer.inputs(), options)],
                       "hybrid" if "hybrid" in kind else "bytes", label=kind, activation=activation, keep_num_dims=keep,
                       activations="float32" if "hybrid" in kind else "int8")
    # Weights that are no constants.
    for kind in ["float32", "int8", "uint8"]:
        for bias in [False, True]:
            q = (lambda s, z: Q(s, z)) if kind != "float32" else (lambda s, z: None)
            x, w, out = T(kind, [9, 33], q(0.05, 4)), T(kind, [17, 33], q(0.02, 0)), T(kind, None, q(0.7, 7))
            inputs = [x, w]
            if kind == "float32":
                x.draw = w.draw = tame
            if bias:
                values = rng_of("computed", kind).integers(-3000, 3000, 17)
                inputs.append(const("float32", values / 1024) if kind == "float32" else const("int32", values, Q(0.05 * 0.02)))
            yield single("FULLY_CONNECTED", kind, inputs, [out], ("FullyConnectedOptions", {}), weights="computed", bias=bias)


def tame(rng, run, shape):
    bound = [1, 3, 0.5][run % 3]
    return np.round(rng.uniform(-bound, bound, shape) * 256) / 256


PRODUCTS = [
    ([2, 3, 5], [2, 5, 4], False, False),
    ([3, 7], [5, 7], False, True),
    ([2, 5, 3], [2, 5, 1], True, False),
    ([1, 4, 6], [3, 2, 6], False, True),
    ([2, 1, 5, 2], [3, 4, 5], True, True),
    ([2, 1, 1, 3, 4], [1, 2, 2, 4, 3], False, False),
]


def batch_matmul():
    for kind in ["float32", "int8", "int16"]:
        for constant in [False, True]:
            for i, (a_shape, b_shape, adj_x, adj_y) in enumerate(PRODUCTS):
                if constant and i not in (0, 1, 3):
                    continue
                if quantized(kind):
                    k = real_scale(kind)
                    zeros = [(0.5, 0.5, 0.5), (0.2, 0.5, 0.8), (0.0, 1.0, 0.4)][i % 3]
                    a, b = T(kind, a_shape, Q(0.05 * k, at(kind, zeros[0]))), T(kind, b_shape, Q(0.03 * k, at(kind, zeros[1])))
                    out = T(kind, None, Q(0.3 * k * [1, 0.2, 3][i % 3], at(kind, zeros[2])))
                else:
                    a, b, out = T(kind, a_shape), T(kind, b_shape), T(kind)
                    if kind == "float32":
                        a.draw = b.draw = tame
                if constant:
                    from model import draw
                    b = const(kind, draw(rng_of("bmm", kind, i), 0, b), b.quant)
                options = ("BatchMatMulOptions", {"adjX": adj_x, "adjY": adj_y})
                yield single("BATCH_MATMUL", kind, [a, b], [out], options, adj_x=adj_x, adj_y=adj_y, constant=constant, a=a_shape, b=b_shape)
    # Integers of 16 by such of 8 bits.
    a, b = T("int16", [2, 9, 20], Q(0.05 / 128)), T("int8", [2, 20, 7], Q(0.03))
    yield single("BATCH_MATMUL", "int16", [a, b], [T("int16", None, Q(0.4 / 128))], ("BatchMatMulOptions", {}), label="by-int8",
                 adj_x=False, adj_y=False)
    # Float by weights of 8 bits.
    for asymmetric in [False, True]:
        for i, (a_shape, b_shape, adj_x, adj_y) in enumerate([([2, 3, 6], [2, 6, 4], False, False), ([1, 4, 6], [1, 5, 6], False, True),
                                                              ([6, 3], [6, 7], True, False)]):
            rng = rng_of("bmm hybrid", i)
            b = const("int8", rng.integers(-127, 128, b_shape), Q(0.01, 0))
            options = ("BatchMatMulOptions", {"adjX": adj_x, "adjY": adj_y, "asymmetricQuantizeInputs": asymmetric})
            yield single("BATCH_MATMUL", "hybrid", [T("float32", a_shape, draw=tame), b], [T("float32")], options,
                         adj_x=adj_x, adj_y=adj_y, asymmetric_quantize_inputs=asymmetric)


def embedding_lookup():
    def rows(rng, run, shape):
        return rng.integers(0, 6, shape)
    for kind in ["float32", "int8", "uint8", "hybrid", "hybrid-channel", "int4"]:
        rng = rng_of("embedding", kind)
        for shape in [[6, 5], [6, 2, 4]]:
            base = {"hybrid": "int8", "hybrid-channel": "int8", "int4": "int4"}.get(kind, kind)
            if base == "float32":
                values, quant = const(base, np.round(rng.normal(0, 1, shape) * 256) / 256), None
            else:
                scale = rng.uniform(0.01, 0.1, 6) if kind == "hybrid-channel" else 0.03
                low, high = {"uint8": (0, 255), "int4": (-7, 7)}.get(base, (-127, 127))
                quant = Q(scale, 0 if base != "uint8" else 120, 0)
                values = const(base, rng.integers(low, high + 1, shape), quant)
            out = T(base, None, quant) if kind in ("float32", "int8", "uint8") else T("float32")
            tolerance = "float" if kind.startswith("hybrid") or kind == "int4" else None
            yield single("EMBEDDING_LOOKUP", kind, [T("int32", [4], draw=rows), values], [out], tolerance=tolerance, table=shape)


def densify():
    """Weights that lie compressed in the file."""
    for kind in ["float32", "float16", "int8"]:
        rng = rng_of("densify", kind)
        values = rng.integers(-127, 128, [4, 6]) * (rng.random([4, 6]) < 0.4)
        packed = const(kind, values if kind == "int8" else values / 64, Q(0.02) if kind == "int8" else None)
        packed.sparse = True
        base = "int8" if kind == "int8" else "float32"
        x, y = T(base, [3, 6], Q(0.05, 4) if kind == "int8" else None), T(base, [3, 4], Q(0.1, -7) if kind == "int8" else None)
        if kind != "int8":
            x.draw = tame
        graph = Graph([x], [y])
        dense = T(kind, [4, 6], packed.quant)
        graph.op("DENSIFY", [packed], [dense], ("DensifyOptions", {}))
        if kind == "float16":
            wide = T("float32", [4, 6])
            graph.op("DEQUANTIZE", [dense], [wide])
            dense = wide
        if kind == "int8":
            # XNNPACK takes no integer product of such weights, and LiteRT then refuses the model.
            places, y = T("int32", [3], draw=lambda rng, run, shape: rng.integers(0, 4, shape)), T("int8", [3, 6], packed.quant)
            graph = Graph([places], [y])
            graph.op("DENSIFY", [packed], [dense], ("DensifyOptions", {}))
            graph.op("GATHER", [dense, places], [y], ("GatherOptions", {}))
            yield case("DENSIFY", kind, [graph])
            continue
        bias = const("int32" if kind == "int8" else "float32", [1, 0, -2, 3], Q(0.001) if kind == "int8" else None)
        graph.op("FULLY_CONNECTED", [x, dense, bias], [y], ("FullyConnectedOptions", {}))
        yield case("DENSIFY", kind, [graph])


def cases():
    yield from densify()
    yield from fully_connected()
    yield from batch_matmul()
    yield from embedding_lookup()
