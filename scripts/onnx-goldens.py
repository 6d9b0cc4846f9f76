#!/usr/bin/env python3
"""Writes tests/data/onnx/GROUP.zip: small ONNX models and what onnxruntime gives for them.

    scripts/onnx-goldens.py [GROUP ...]

Needs onnx and onnxruntime, on x86-64 with AVX512-VNNI (elsewhere onnxruntime's 8-bit products may saturate).
Weights and inputs are seeded. A zip holds CASE.onnx and CASE.npz for each case: `y_0`, `y_1`, ... are the
outputs, one row for each run. Inputs are those of scripts/zoo-goldens.py, whose hashes are in `inputs_fnv64`;
where they cannot be (the `onnx` package's own test data), they are in `x_0`, ...

Groups: `backend` is the quantization part of ONNX's own backend test data, with scales, zero points and
weights as initializers, as every exporter has them. All other groups are made here: `qdq` and `qoperator` by
onnxruntime's quantizer (U8U8, U8S8, S8S8, per tensor and per channel, symmetric and not), `dynamic` by its
dynamic quantizer, `float` are the same models before, `direct` are operators that no quantizer writes; `external` is one model
with a file of weights, unpacked.
"""

import importlib.util
import io
import logging
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic,
                                      quantize_static)

HERE = Path(__file__).parent
OUT = HERE.parent / "tests" / "data" / "onnx"
spec = importlib.util.spec_from_file_location("zoo_goldens", HERE / "zoo-goldens.py")
zoo_goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(zoo_goldens)

RUNS = 3
ort.set_default_logger_severity(3)
logging.getLogger().setLevel(logging.ERROR)


class Build:
    """One graph, written node by node; every method gives the name of a tensor."""

    def __init__(self, name, opset=17, after=False):
        self.name, self.opset, self.after = name, opset, after
        self.rng = np.random.default_rng(sum(map(ord, name)))
        self.nodes, self.inits, self.inputs, self.outputs = [], [], [], []

    def fresh(self, stem):
        return f"{stem}_{len(self.nodes)}_{len(self.inits)}"

    def x(self, *shape, dtype=TensorProto.FLOAT):
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        if self.after and len(shape) == 2:
            return self.op("MatMul", name, self.w(shape[1], shape[1]))
        if self.after and len(shape) in (3, 4):
            return self.op("Conv", name, self.w(shape[1], shape[1], *[1] * (len(shape) - 2)))
        return name

    def w(self, *shape, scale=0.3):
        return self.c(self.rng.normal(0, scale, size=shape).astype(np.float32))

    def c(self, array, dtype=None):
        name = self.fresh("c")
        self.inits.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def i(self, *values):
        return self.c(np.array(values, np.int64))

    def op(self, kind, *inputs, n=1, domain="", **attributes):
        outs = [self.fresh(kind.lower()) + (f"_{i}" if n > 1 else "") for i in range(n)]
        node = helper.make_node(kind, list(inputs), outs, name=self.fresh("node"), domain=domain, **attributes)
        self.nodes.append(node)
        return outs[0] if n == 1 else outs

    def y(self, *names):
        self.outputs += names

    def model(self):
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, outputs, self.inits)
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("com.microsoft", 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="edgerun")
        # The types of the outputs, from onnxruntime: onnx infers none for its operators.
        session = ort.InferenceSession(typeless(model), providers=["CPUExecutionProvider"])
        del model.graph.output[:]
        types = {"tensor(float)": 1, "tensor(uint8)": 2, "tensor(int8)": 3, "tensor(int32)": 6,
                 "tensor(int64)": 7, "tensor(bool)": 9, "tensor(int16)": 5}
        for found in session.get_outputs():
            shape = [d if isinstance(d, int) else None for d in found.shape]
            model.graph.output.append(helper.make_tensor_value_info(found.name, types[found.type], shape))
        return model


def typeless(model):
    return model.SerializeToString()


# Each builds one float graph. Those in WEIGHTED have weights, so they are quantized in every way.
WEIGHTED, PLAIN = {}, {}


def weighted(build):
    WEIGHTED[build.__name__] = build
    return build


def plain(build):
    PLAIN[build.__name__] = build
    return build


def conv_of(b, shape, weights, bias=True, **attributes):
    x = b.x(*shape)
    args = [x, b.w(*weights)] + ([b.w(weights[0])] if bias else [])
    b.y(b.op("Conv", *args, **attributes))


@weighted
def conv_same(b):
    conv_of(b, (1, 3, 7, 9), (5, 3, 3, 3), pads=[1, 1, 1, 1])


@weighted
def conv_stride_uneven_pads(b):
    conv_of(b, (1, 4, 9, 8), (6, 4, 3, 2), pads=[0, 1, 2, 1], strides=[2, 3])


@weighted
def conv_auto_pad_upper(b):
    conv_of(b, (1, 3, 8, 7), (4, 3, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2])


@weighted
def conv_auto_pad_lower(b):
    conv_of(b, (1, 3, 8, 7), (4, 3, 2, 4), auto_pad="SAME_LOWER", strides=[1, 2])


@weighted
def conv_dilated(b):
    conv_of(b, (1, 3, 9, 9), (4, 3, 3, 3), dilations=[2, 2], pads=[2, 2, 2, 2])


@weighted
def conv_pointwise_no_bias(b):
    conv_of(b, (1, 16, 5, 6), (18, 16, 1, 1), bias=False)


@weighted
def conv_batch(b):
    conv_of(b, (2, 3, 6, 6), (4, 3, 3, 3))


@weighted
def conv_depthwise(b):
    conv_of(b, (1, 18, 7, 6), (18, 1, 3, 3), group=18, pads=[1, 1, 1, 1])


@weighted
def conv_depthwise_stride(b):
    conv_of(b, (1, 8, 9, 9), (8, 1, 3, 3), group=8, strides=[2, 2], pads=[0, 0, 1, 1])


@weighted
def conv_depthwise_multiplier(b):
    conv_of(b, (1, 4, 7, 6), (8, 1, 3, 3), group=4, pads=[1, 1, 1, 1])


@weighted
def conv_grouped(b):
    conv_of(b, (1, 8, 6, 6), (12, 4, 3, 3), group=2, pads=[1, 1, 1, 1])


@weighted
def conv_1d(b):
    conv_of(b, (1, 5, 19), (7, 5, 3), pads=[1, 1])


@weighted
def conv_1d_depthwise(b):
    conv_of(b, (1, 6, 20), (6, 1, 5), group=6, pads=[2, 2], strides=[2])


@weighted
def conv_relu(b):
    x = b.x(1, 3, 7, 7)
    b.y(b.op("Relu", b.op("Conv", x, b.w(6, 3, 3, 3), b.w(6), pads=[1, 1, 1, 1])))


@weighted
def conv_clip(b):
    x = b.x(1, 3, 7, 7)
    y = b.op("Conv", x, b.w(6, 3, 3, 3), b.w(6), pads=[1, 1, 1, 1])
    b.y(b.op("Clip", y, b.c(np.float32(0)), b.c(np.float32(1.5))))


@weighted
def conv_transpose(b):
    x = b.x(1, 4, 5, 5)
    b.y(b.op("ConvTranspose", x, b.w(4, 3, 3, 3), b.w(3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]))


@weighted
def gemm(b):
    x = b.x(1, 37)
    b.y(b.op("Gemm", x, b.w(37, 13), b.w(13)))


@weighted
def gemm_transposed_rows(b):
    x = b.x(4, 24)
    b.y(b.op("Gemm", x, b.w(10, 24), b.w(10), transB=1))


@weighted
def gemm_scaled(b):
    x = b.x(3, 20)
    b.y(b.op("Gemm", x, b.w(9, 20), transB=1, alpha=0.5))


@weighted
def matmul(b):
    x = b.x(5, 33)
    b.y(b.op("MatMul", x, b.w(33, 17)))


@weighted
def matmul_batched_rows(b):
    x = b.x(2, 4, 20)
    b.y(b.op("Add", b.op("MatMul", x, b.w(20, 12)), b.w(12)))


@plain
def matmul_of_activations(b):
    q, k = b.x(1, 2, 6, 8), b.x(1, 2, 6, 8)
    b.y(b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2])))


@plain
def add(b):
    b.y(b.op("Add", b.x(1, 4, 5, 6), b.x(1, 4, 5, 6)))


@plain
def add_broadcast(b):
    b.y(b.op("Add", b.x(1, 4, 5, 6), b.x(1, 4, 1, 1)))


@plain
def add_constant(b):
    b.y(b.op("Add", b.x(1, 4, 5, 6), b.w(4, 1, 1, scale=1.0)))


@plain
def add_self(b):
    x = b.x(1, 3, 4, 4)
    b.y(b.op("Add", x, x))


@plain
def mul(b):
    b.y(b.op("Mul", b.x(1, 4, 5, 6), b.x(1, 4, 5, 6)))


@plain
def mul_broadcast(b):
    b.y(b.op("Mul", b.x(1, 4, 5, 6), b.x(1, 4, 1, 1)))


@plain
def sub_div(b):
    x, y = b.x(1, 4, 5), b.x(1, 4, 5)
    b.y(b.op("Sub", x, y), b.op("Div", x, b.c(np.float32(1.7))))


@plain
def max_pool(b):
    b.y(b.op("MaxPool", b.x(1, 5, 9, 8), kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]))


@plain
def max_pool_ceil(b):
    b.y(b.op("MaxPool", b.x(1, 3, 8, 8), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))


@plain
def average_pool(b):
    b.y(b.op("AveragePool", b.x(1, 5, 9, 8), kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]))


@plain
def average_pool_with_pads(b):
    b.y(b.op("AveragePool", b.x(1, 5, 7, 7), kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1))


@plain
def average_pool_same(b):
    b.y(b.op("AveragePool", b.x(1, 5, 8, 7), kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"))


@plain
def global_average_pool(b):
    b.y(b.op("GlobalAveragePool", b.x(1, 20, 7, 6)))


@plain
def global_max_pool(b):
    b.y(b.op("GlobalMaxPool", b.x(1, 9, 7, 6)))


@plain
def reduce_mean(b):
    x = b.x(1, 6, 5, 4)
    b.y(b.op("ReduceMean", x, axes=[2, 3], keepdims=0), b.op("ReduceMean", x, axes=[1], keepdims=1))


@plain
def concat(b):
    b.y(b.op("Concat", b.x(1, 3, 4, 5), b.x(1, 2, 4, 5), axis=1))


@plain
def concat_last(b):
    x = b.x(1, 3, 4)
    b.y(b.op("Concat", x, b.x(1, 3, 5), x, axis=-1))


@plain
def softmax(b):
    b.y(b.op("Softmax", b.x(3, 13), axis=-1))


@plain
def softmax_channels(b):
    b.y(b.op("Softmax", b.x(1, 6, 4, 3), axis=1))


@plain
def relu(b):
    b.y(b.op("Relu", b.x(1, 4, 5, 6)))


@plain
def clip(b):
    b.y(b.op("Clip", b.x(1, 4, 5, 6), b.c(np.float32(-0.7)), b.c(np.float32(1.1))))


@plain
def leaky_relu(b):
    b.y(b.op("LeakyRelu", b.x(1, 4, 5, 6), alpha=0.13))


@plain
def prelu(b):
    b.y(b.op("PRelu", b.x(1, 4, 5, 6), b.w(4, 1, 1)))


@plain
def sigmoid(b):
    b.y(b.op("Sigmoid", b.x(1, 4, 5, 6)))


@plain
def tanh(b):
    b.y(b.op("Tanh", b.x(1, 4, 5, 6)))


@plain
def hard_swish(b):
    b.y(b.op("HardSwish", b.x(1, 4, 5, 6)))


@plain
def hard_sigmoid(b):
    b.y(b.op("HardSigmoid", b.x(1, 4, 5, 6), alpha=0.17, beta=0.5))


@plain
def silu(b):
    x = b.x(1, 4, 5, 6)
    b.y(b.op("Mul", x, b.op("Sigmoid", x)))


@plain
def elu(b):
    b.y(b.op("Elu", b.x(1, 4, 5), alpha=0.8))


@plain
def gelu(b):
    x = b.x(2, 9)
    e = b.op("Erf", b.op("Div", x, b.c(np.float32(2 ** 0.5))))
    b.y(b.op("Mul", b.op("Mul", x, b.op("Add", e, b.c(np.float32(1)))), b.c(np.float32(0.5))))


@plain
def resize_nearest(b):
    b.y(b.op("Resize", b.x(1, 3, 4, 5), "", b.c(np.array([1, 1, 2, 2], np.float32)), mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"))


@plain
def resize_linear(b):
    b.y(b.op("Resize", b.x(1, 3, 4, 5), "", "", b.i(1, 3, 7, 9), mode="linear",
             coordinate_transformation_mode="half_pixel"))


@plain
def resize_align_corners(b):
    b.y(b.op("Resize", b.x(1, 2, 4, 5), "", "", b.i(1, 2, 7, 9), mode="linear",
             coordinate_transformation_mode="align_corners"))


@plain
def transpose(b):
    b.y(b.op("Transpose", b.x(1, 3, 4, 5), perm=[0, 2, 3, 1]))


@plain
def reshape_computed(b):
    x = b.x(2, 3, 4, 5)
    batch = b.op("Gather", b.op("Shape", x), b.c(np.int64(0)), axis=0)
    shape = b.op("Concat", b.op("Unsqueeze", batch, b.i(0)), b.i(-1), axis=0)
    b.y(b.op("Reshape", x, shape))


@plain
def flatten(b):
    b.y(b.op("Flatten", b.x(1, 3, 4, 5), axis=1))


@plain
def squeeze_unsqueeze(b):
    x = b.x(1, 3, 1, 5)
    b.y(b.op("Squeeze", x, b.i(2)), b.op("Unsqueeze", x, b.i(0)))


@plain
def pad_constant(b):
    b.y(b.op("Pad", b.x(1, 3, 4, 5), b.i(0, 0, 1, 2, 0, 0, 0, 1), b.c(np.float32(0.5))))


@plain
def pad_reflect(b):
    b.y(b.op("Pad", b.x(1, 2, 5, 6), b.i(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"))


@plain
def pad_edge(b):
    b.y(b.op("Pad", b.x(1, 2, 5, 6), b.i(0, 0, 1, 2, 0, 0, 2, 1), mode="edge"))


@plain
def gather(b):
    b.y(b.op("Gather", b.x(1, 6, 5), b.c(np.array([[0, 2], [-1, 3]], np.int64)), axis=1))


@plain
def slice_steps(b):
    x = b.x(1, 6, 9, 7)
    b.y(b.op("Slice", x, b.i(1, -6), b.i(100, -1), b.i(1, 3), b.i(2, 1)),
        b.op("Slice", x, b.i(-1), b.i(-100), b.i(2), b.i(-2)))


@plain
def split(b):
    x = b.x(1, 6, 4)
    first, second = b.op("Split", x, b.i(2, 4), n=2, axis=1)
    b.y(first, second)


@plain
def tile_expand(b):
    b.y(b.op("Tile", b.x(1, 2, 3), b.i(2, 1, 2)), b.op("Expand", b.x(2, 1, 3), b.i(2, 4, 3)))


@plain
def depth_to_space(b):
    x = b.x(1, 8, 3, 4)
    b.y(b.op("DepthToSpace", x, blocksize=2, mode="DCR"), b.op("DepthToSpace", x, blocksize=2, mode="CRD"))


@plain
def space_to_depth(b):
    b.y(b.op("SpaceToDepth", b.x(1, 3, 4, 6), blocksize=2))


@plain
def arg_max(b):
    x = b.x(1, 6, 5)
    b.y(b.op("ArgMax", x, axis=1, keepdims=0), b.op("ArgMin", x, axis=-1))


@plain
def batch_normalization(b):
    x = b.x(1, 4, 5, 5)
    args = [b.w(4, scale=1.0), b.w(4), b.w(4), b.c(b.rng.uniform(0.5, 2, 4).astype(np.float32))]
    b.y(b.op("BatchNormalization", x, *args))


@plain
def layer_normalization(b):
    b.y(b.op("LayerNormalization", b.x(2, 5, 12), b.w(12, scale=1.0), b.w(12), axis=-1))


@plain
def arithmetic(b):
    x, y = b.x(2, 7), b.x(2, 7)
    square = b.op("Mul", x, x)
    one = b.op("Add", square, b.c(np.float32(1)))
    b.y(b.op("Sqrt", one), b.op("Exp", x), b.op("Log", one), b.op("Abs", x), b.op("Neg", x), b.op("Reciprocal", one),
        b.op("Pow", one, b.c(np.float32(1.5))), b.op("Min", x, y), b.op("Max", x, y, b.c(np.float32(0.2))),
        b.op("Floor", x), b.op("Ceil", x), b.op("Round", x), b.op("Sin", x), b.op("Cos", x), b.op("Softplus", x),
        b.op("Erf", x), b.op("Sign", x), b.op("Softsign", x), b.op("Sum", x, y, x), b.op("Mean", x, y))


@plain
def logic(b):
    x, y = b.x(2, 7), b.x(2, 7)
    less = b.op("Less", x, y)
    b.y(b.op("Where", less, x, y), b.op("Cast", b.op("Not", b.op("Greater", x, y)), to=1),
        b.op("Cast", b.op("And", less, b.op("LessOrEqual", x, b.c(np.float32(0)))), to=6),
        b.op("Cast", x, to=6), b.op("Where", b.op("Equal", b.op("Sign", x), b.c(np.float32(1))), y, b.c(np.float32(0))))


@plain
def reductions(b):
    x = b.x(2, 4, 5)
    b.y(b.op("ReduceSum", x, b.i(1), keepdims=0), b.op("ReduceMax", x, axes=[2]), b.op("ReduceMin", x, axes=[0, 2]),
        b.op("ReduceProd", x, axes=[2]), b.op("ReduceL2", x, axes=[1]), b.op("ReduceSum", x))


# Whole small networks: what the fusions of both sides meet in practice.

@weighted
def net_mobile(b):
    x = b.x(1, 3, 16, 16)

    def conv(x, cin, cout, k=1, group=1, stride=1, relu=True):
        y = b.op("Conv", x, b.w(cout, cin // group, k, k, scale=(2 * group / (cin * k * k)) ** 0.5), b.w(cout, scale=0.1),
                 group=group, strides=[stride] * 2, pads=[k // 2] * 4)
        return b.op("Clip", y, b.c(np.float32(0)), b.c(np.float32(6))) if relu else y

    x = conv(x, 3, 8, k=3, stride=2)
    y = conv(conv(conv(x, 8, 16), 16, 16, k=3, group=16), 16, 8, relu=False)
    x = b.op("Add", x, y)
    x = b.op("GlobalAveragePool", conv(x, 8, 24))
    x = b.op("Gemm", b.op("Flatten", x), b.w(10, 24), b.w(10), transB=1)
    b.y(b.op("Softmax", x, axis=-1))


@weighted
def net_residual(b):
    x = b.x(1, 3, 12, 12)

    def conv(x, cin, cout, k=3, stride=1, relu=True):
        y = b.op("Conv", x, b.w(cout, cin, k, k, scale=(2 / (cin * k * k)) ** 0.5), b.w(cout, scale=0.1),
                 strides=[stride] * 2, pads=[k // 2] * 4)
        return b.op("Relu", y) if relu else y

    x = b.op("MaxPool", conv(x, 3, 8), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = b.op("Relu", b.op("Add", conv(conv(x, 8, 8), 8, 8, relu=False), x))
    x = b.op("Relu", b.op("Add", conv(conv(x, 8, 12, stride=2), 12, 12, relu=False), conv(x, 8, 12, k=1, stride=2, relu=False)))
    x = b.op("Flatten", b.op("AveragePool", x, kernel_shape=[3, 3]))
    b.y(b.op("Gemm", x, b.w(12, 7), b.w(7)))


@weighted
def net_squeeze_excite(b):
    x = b.x(1, 8, 8, 8)
    s = b.op("GlobalAveragePool", x)
    s = b.op("Relu", b.op("Conv", s, b.w(4, 8, 1, 1), b.w(4)))
    s = b.op("Sigmoid", b.op("Conv", s, b.w(8, 4, 1, 1), b.w(8)))
    b.y(b.op("Conv", b.op("Mul", x, s), b.w(5, 8, 1, 1), b.w(5)))


@weighted
def net_detector(b):
    x = b.x(1, 3, 16, 16)

    def conv(x, cin, cout, k=3, stride=1):
        y = b.op("Conv", x, b.w(cout, cin, k, k, scale=(2 / (cin * k * k)) ** 0.5), b.w(cout, scale=0.1),
                 strides=[stride] * 2, pads=[k // 2] * 4)
        return b.op("Mul", y, b.op("Sigmoid", y))

    fine = conv(conv(x, 3, 8, stride=2), 8, 8)
    coarse = conv(fine, 8, 12, stride=2)
    up = b.op("Resize", coarse, "", b.c(np.array([1, 1, 2, 2], np.float32)), mode="nearest",
              coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    both = conv(b.op("Concat", fine, up, axis=1), 20, 6, k=1)
    flat = b.op("Transpose", b.op("Reshape", both, b.i(1, 6, -1)), perm=[0, 2, 1])
    boxes, scores = b.op("Split", flat, b.i(4, 2), n=2, axis=2)
    b.y(boxes, b.op("Sigmoid", scores))


@weighted
def net_attention(b):
    x = b.x(1, 6, 16)
    heads = []
    for _ in range(3):
        h = b.op("Add", b.op("MatMul", x, b.w(16, 16)), b.w(16, scale=0.1))
        heads.append(b.op("Transpose", b.op("Reshape", h, b.i(1, 6, 2, 8)), perm=[0, 2, 1, 3]))
    q, k, v = heads
    scores = b.op("Mul", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2])), b.c(np.float32(8 ** -0.5)))
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), b.i(1, 6, 16))
    b.y(b.op("LayerNormalization", b.op("Add", x, b.op("MatMul", y, b.w(16, 16))), b.w(16, scale=1.0), b.w(16), axis=-1))


# Operators that the quantizers do not write, or not in this form.
DIRECT = {}


def direct(build):
    DIRECT[build.__name__] = build
    return build


def quantized(b, x, dtype=np.uint8, scale=0.025, zero=128):
    return b.op("QuantizeLinear", x, b.c(np.float32(scale)), b.c(np.array(zero, dtype)))


def real(b, x, dtype=np.uint8, scale=0.025, zero=128, **attributes):
    return b.op("DequantizeLinear", x, b.c(np.float32(scale)), b.c(np.array(zero, dtype)), **attributes)


@direct
def requantize(b):
    x = b.x(4, 64)
    y = real(b, quantized(b, x))
    b.y(quantized(b, y, np.int8, 0.031, -7), quantized(b, y, np.uint8, 0.019, 100))


@direct
def quantize_no_zero_point(b):
    b.y(b.op("QuantizeLinear", b.x(3, 40), b.c(np.float32(0.05))))


@direct
def quantize_per_axis(b):
    x = b.x(2, 3, 8)
    y = b.op("QuantizeLinear", x, b.c(np.array([0.01, 0.05, 0.1], np.float32)), b.c(np.array([3, 128, 250], np.uint8)), axis=1)
    b.y(y, b.op("DequantizeLinear", y, b.c(np.array([0.01, 0.05, 0.1], np.float32)), b.c(np.array([3, 128, 250], np.uint8)), axis=1))


@direct
def quantize_sixteen(b):
    x = b.x(3, 40)
    y = b.op("QuantizeLinear", x, b.c(np.float32(0.0001)), b.c(np.int16(0)), domain="com.microsoft")
    b.y(b.op("DequantizeLinear", y, b.c(np.float32(0.0001)), b.c(np.int16(0)), domain="com.microsoft"))


@direct
def dequantize_biases(b):
    x = b.x(1, 5)
    bias = b.op("DequantizeLinear", b.c(np.array([-3, 700, 12, -90000, 5], np.int32)), b.c(np.float32(0.001)))
    b.y(b.op("Add", x, bias))


@direct
def dynamic_quantize(b):
    y, scale, zero = b.op("DynamicQuantizeLinear", b.x(3, 41), n=3)
    b.y(y, scale, zero)


@direct
def conv_integer(b):
    x = quantized(b, b.x(1, 3, 6, 7))
    w = b.c(b.rng.integers(0, 256, (4, 3, 3, 3)), np.uint8)
    b.y(b.op("ConvInteger", x, w, b.c(np.array(128, np.uint8)), b.c(np.array(117, np.uint8)), pads=[1, 1, 1, 1]),
        b.op("ConvInteger", x, b.c(b.rng.integers(-127, 128, (4, 3, 2, 2)), np.int8), b.c(np.array(128, np.uint8)), strides=[2, 1]))


@direct
def matmul_integer(b):
    x = quantized(b, b.x(2, 4, 11))
    b.y(b.op("MatMulInteger", x, b.c(b.rng.integers(0, 256, (11, 5)), np.uint8), b.c(np.array(128, np.uint8)), b.c(np.array(100, np.uint8))),
        b.op("MatMulInteger", x, b.c(b.rng.integers(-127, 128, (11, 5)), np.int8), b.c(np.array(128, np.uint8))),
        b.op("MatMulInteger", x, b.c(b.rng.integers(-127, 128, (11, 5)), np.int8), b.c(np.array(128, np.uint8)), b.c(np.array([1, 0, -3, 0, 9], np.int8))))


@direct
def qlinear_add_everywhere(b):
    x, y = quantized(b, b.x(1, 4, 32)), quantized(b, b.x(1, 4, 32), scale=0.011, zero=77)
    sides = [x, b.c(np.float32(0.025)), b.c(np.uint8(128)), y, b.c(np.float32(0.011)), b.c(np.uint8(77))]
    for scale, zero in [(0.037, 120), (0.05, 0), (0.0123, 255)]:
        for op in ["QLinearAdd", "QLinearMul"]:
            b.y(b.op(op, *sides, b.c(np.float32(scale)), b.c(np.uint8(zero)), domain="com.microsoft"))


@direct
def qlinear_tables(b):
    x = quantized(b, b.x(1, 8, 32), scale=0.03)
    q = [x, b.c(np.float32(0.03)), b.c(np.uint8(128))]
    out = [b.c(np.float32(1 / 256)), b.c(np.uint8(0))]
    b.y(b.op("QLinearSigmoid", *q, *out, domain="com.microsoft"),
        b.op("QLinearSoftmax", *q, *out, domain="com.microsoft", axis=-1, opset=13),
        b.op("QLinearSoftmax", *q, *out, domain="com.microsoft", axis=1, opset=13))


@direct
def qlinear_leaky_relu(b):
    x = quantized(b, b.x(1, 8, 32), scale=0.03)
    q = [x, b.c(np.float32(0.03)), b.c(np.uint8(128))]
    b.y(b.op("QLinearLeakyRelu", *q, b.c(np.float32(0.021)), b.c(np.uint8(60)), domain="com.microsoft", alpha=0.21))


@direct
def qlinear_pools(b):
    x = quantized(b, b.x(1, 6, 9, 8))
    q = [x, b.c(np.float32(0.025)), b.c(np.uint8(128)), b.c(np.float32(0.019)), b.c(np.uint8(111))]
    b.y(b.op("QLinearAveragePool", *q, domain="com.microsoft", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        b.op("QLinearAveragePool", *q, domain="com.microsoft", kernel_shape=[2, 2], count_include_pad=1, pads=[1, 0, 0, 1]),
        b.op("QLinearAveragePool", *q, domain="com.microsoft", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        b.op("QLinearGlobalAveragePool", *q, domain="com.microsoft", channels_last=0),
        b.op("MaxPool", x, kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 1]))


@direct
def qlinear_concat(b):
    x, y = quantized(b, b.x(1, 4, 8)), quantized(b, b.x(1, 3, 8), scale=0.04, zero=7)
    b.y(b.op("QLinearConcat", b.c(np.float32(0.03)), b.c(np.uint8(99)), x, b.c(np.float32(0.025)), b.c(np.uint8(128)),
             y, b.c(np.float32(0.04)), b.c(np.uint8(7)), domain="com.microsoft", axis=1))


@direct
def real_between_quantized(b):
    x = real(b, quantized(b, b.x(1, 3, 6, 6)))
    y = b.op("Conv", x, b.w(4, 3, 3, 3), b.w(4))
    b.y(quantized(b, b.op("Tanh", y), np.int8, 1 / 128, 0), y)


@direct
def weights_typed(b):
    """Initializers in the typed fields, every type."""
    x = b.x(2, 4)

    def typed(kind, shape, values):
        name = b.fresh("t")
        b.inits.append(helper.make_tensor(name, kind, shape, values))
        return name

    w = typed(TensorProto.INT8, [2, 4], [int(v) for v in b.rng.integers(-127, 128, 8)])
    y = b.op("Mul", x, b.op("DequantizeLinear", w, typed(TensorProto.FLOAT, [], [0.01]), typed(TensorProto.INT8, [], [0])))
    u = typed(TensorProto.UINT8, [2, 1], [3, 250])
    y = b.op("Mul", y, b.op("DequantizeLinear", u, typed(TensorProto.FLOAT, [], [0.02]), typed(TensorProto.UINT8, [], [128])))
    y = b.op("Add", y, typed(TensorProto.FLOAT, [4], [0.5, -1.0, 0.0, 2.0]))
    y = b.op("Mul", y, b.op("Cast", typed(TensorProto.DOUBLE, [1], [1.25]), to=1))
    y = b.op("Mul", y, b.op("Cast", typed(TensorProto.FLOAT16, [1], [0.5]), to=1))
    y = b.op("Mul", y, b.op("Cast", typed(TensorProto.INT32, [4], [1, -2, 3, 100000]), to=1))
    b.y(b.op("Reshape", y, typed(TensorProto.INT64, [2], [4, -1])))


@direct
def scale_computed_at_run_time(b):
    x = b.x(3, 20)
    scale = b.op("Div", b.op("ReduceMax", b.op("Abs", x), keepdims=0), b.c(np.float32(127)))
    y = b.op("QuantizeLinear", x, scale, b.c(np.int8(0)))
    b.y(y, b.op("DequantizeLinear", y, scale, b.c(np.int8(0))))


@direct
def more_functions(b):
    b.opset = 20
    x = b.x(2, 9)
    b.y(b.op("Celu", x, alpha=0.7), b.op("Selu", x), b.op("Tan", x), b.op("ThresholdedRelu", x, alpha=0.6), b.op("Mish", x),
        b.op("Gelu", x), b.op("Gelu", x, approximate="tanh"), b.op("LogSoftmax", x), b.op("Mod", x, b.c(np.float32(0.7)), fmod=1))


@direct
def more_reductions(b):
    b.opset = 18
    x = b.op("Abs", b.x(2, 4, 5))
    one = b.op("Add", x, b.c(np.float32(1)))
    b.y(*[b.op(op, one, b.i(1)) for op in ["ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ReduceMean"]])


@direct
def more_logic(b):
    x, y = b.x(2, 7), b.x(2, 7)
    less, more = b.op("Less", x, y), b.op("GreaterOrEqual", x, b.c(np.float32(0.1)))
    whole = b.op("Cast", x, to=6)
    rest = b.op("Mod", whole, b.c(np.array(-2, np.int32)))
    b.y(b.op("Cast", b.op("Or", less, more), to=1), b.op("Cast", b.op("Xor", less, more), to=1), rest)


@direct
def more_shapes(b):
    x = b.op("Identity", b.x(2, 3, 4))
    filled = b.op("ConstantOfShape", b.op("Shape", x, start=1), value=numpy_helper.from_array(np.array([1.5], np.float32)))
    steps = b.op("Range", b.c(np.int64(0)), b.op("Div", b.op("Size", x), b.c(np.int64(6))), b.c(np.int64(1)))
    b.y(b.op("Add", x, filled), b.op("Add", x, b.op("Cast", steps, to=1)))


@direct
def upsample(b):
    b.opset = 9
    b.y(b.op("Upsample", b.x(1, 2, 3, 4), b.c(np.array([1, 1, 2, 3], np.float32)), mode="nearest"))


@direct
def attributes_of_old_opsets(b):
    b.opset = 10
    x = b.x(1, 4, 6, 6)
    y = b.op("Slice", x, b.i(1), b.i(5), b.i(2))
    y = b.op("Clip", y, min=-1.0, max=1.5)
    y = b.op("Unsqueeze", b.op("Squeeze", y, axes=[0]), axes=[0])
    y = b.op("Upsample", y, b.c(np.array([1, 1, 2, 2], np.float32)), mode="nearest") if b.opset < 10 else y
    b.y(b.op("Pad", y, pads=[0, 0, 1, 1, 0, 0, 1, 1]), b.op("Softmax", y, axis=1), b.op("ReduceSum", y, axes=[1], keepdims=0),
        b.op("Split", y, axis=1, split=[1, 3], n=2)[1], b.op("Dropout", y, ratio=0.5))


def graph_of(build, name, after=False):
    """The model that `build` makes; with `after`, each input first goes through an operator with weights: what
    only moves numbers is not quantized by itself."""
    b = Build(name, after=after)
    build(b)
    return b.model()


class Reader(CalibrationDataReader):
    def __init__(self, model):
        rng = np.random.default_rng(11)
        self.rows = iter([{x.name: rng.uniform(-3.2, 3.2, [d.dim_value for d in x.type.tensor_type.shape.dim]).astype(np.float32)
                           for x in model.graph.input} for _ in range(20)])

    def get_next(self):
        return next(self.rows, None)


TYPES = {"u8u8": (QuantType.QUInt8, QuantType.QUInt8), "u8s8": (QuantType.QUInt8, QuantType.QInt8),
         "s8s8": (QuantType.QInt8, QuantType.QInt8)}


def quantize(model, form, types, per_channel=False, symmetric=False):
    activation, weight = TYPES[types]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.onnx"), Path(folder, "b.onnx")
        onnx.save(model, source)
        quantize_static(str(source), str(target), Reader(model), quant_format=form, per_channel=per_channel,
                        activation_type=activation, weight_type=weight, extra_options={"ActivationSymmetric": symmetric})
        return onnx.load(target)


def quantize_on_the_fly(model, weight, per_channel=False):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.onnx"), Path(folder, "b.onnx")
        onnx.save(model, source)
        quantize_dynamic(str(source), str(target), weight_type=weight, per_channel=per_channel)
        return onnx.load(target)


def session(content):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class Group:
    def __init__(self, name):
        self.name, self.files = name, {}

    def case(self, name, model, inputs=None):
        content = model.SerializeToString()
        run = session(content)
        arrays, hashes = {}, []
        rows = len(inputs) if inputs else RUNS
        for row in range(rows):
            feed = {}
            for i, x in enumerate(run.get_inputs()):
                if inputs:
                    feed[x.name] = inputs[row][i]
                    arrays.setdefault(f"x_{i}", []).append(inputs[row][i])
                    continue
                data = zoo_goldens.make_input(row + 100 * i, int(np.prod(x.shape)))
                hashes.append(zoo_goldens.fnv64(data))
                data = data.view(np.int8).astype(np.float32) / np.float32(40) if x.type == "tensor(float)" else data
                feed[x.name] = data.reshape(x.shape)
            for i, y in enumerate(run.run(None, feed)):
                arrays.setdefault(f"y_{i}", []).append(y)
        arrays = {key: np.stack(value) for key, value in arrays.items()}
        if hashes:
            arrays["inputs_fnv64"] = np.array(hashes, np.uint64).view(np.int64)
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        self.files[f"{name}.onnx"], self.files[f"{name}.npz"] = content, packed.getvalue()

    def write(self):
        OUT.mkdir(parents=True, exist_ok=True)
        path = OUT / f"{self.name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in self.files.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 9)
        print(self.name, len(self.files) // 2, "cases,", path.stat().st_size, "bytes")


def attempt(group, name, make):
    """A model that the quantizer or onnxruntime itself refuses is no case; it is printed."""
    try:
        group.case(name, make())
    except Exception as error:  # noqa: BLE001: their errors have no common base
        print("left out", group.name, name, str(error).splitlines()[0][:150])


def float_group():
    group = Group("float")
    for name, build in (WEIGHTED | PLAIN).items():
        attempt(group, name, lambda: graph_of(build, name))
    group.write()


def static_group(group_name, form):
    group = Group(group_name)
    for name, build in WEIGHTED.items():
        for types in TYPES:
            for per_channel in [False, True]:
                attempt(group, f"{name}-{types}{'-channel' * per_channel}",
                        lambda: quantize(graph_of(build, name), form, types, per_channel))
    for name, build in PLAIN.items():
        for types in ["u8s8", "s8s8"]:
            attempt(group, f"{name}-{types}", lambda: quantize(graph_of(build, name), form, types))
            attempt(group, f"after-{name}-{types}", lambda: quantize(graph_of(build, name, True), form, types))
    for name in ["conv_same", "conv_depthwise", "gemm", "matmul", "net_mobile"]:
        attempt(group, f"{name}-s8s8-symmetric", lambda: quantize(graph_of(WEIGHTED[name], name), form, "s8s8", True, True))
    group.write()


def dynamic_group():
    group = Group("dynamic")
    for name in ["conv_same", "conv_stride_uneven_pads", "conv_depthwise", "conv_1d", "gemm", "matmul", "matmul_batched_rows",
                 "net_residual", "net_attention"]:
        for label, weight in [("u8", QuantType.QUInt8), ("s8", QuantType.QInt8)]:
            attempt(group, f"{name}-{label}", lambda: quantize_on_the_fly(graph_of(WEIGHTED[name], name), weight))
        attempt(group, f"{name}-s8-channel", lambda: quantize_on_the_fly(graph_of(WEIGHTED[name], name), QuantType.QInt8, True))
    group.write()


def direct_group():
    group = Group("direct")
    for name, build in DIRECT.items():
        attempt(group, name, lambda: graph_of(build, name))
    group.write()


def backend_group():
    """ONNX's own cases. Left out: element types that no 8-bit board model has (float8, 4 and 2 bits, float16)."""
    from onnx.backend.test.case.node import collect_testcases
    group = Group("backend")
    wanted = ("test_quantizelinear", "test_dequantizelinear", "test_qlinear", "test_convinteger", "test_matmulinteger",
              "test_dynamicquantizelinear")
    left_out = ("e4m3fn", "e5m2", "int4", "int2", "float4", "float16", "uint16", "blocked")
    for case in collect_testcases(None):
        if not case.name.startswith(wanted) or any(word in case.name for word in left_out):
            continue
        model = onnx.ModelProto.FromString(case.model.SerializeToString())
        for inputs, outputs in case.data_sets:
            inputs = [np.asarray(x) for x in inputs]
            keep = [i for i, x in enumerate(model.graph.input)
                    if i == 0 or (x.name == "b" and inputs[i].ndim > 2)]
            for i, x in enumerate(model.graph.input):
                if i not in keep:
                    model.graph.initializer.append(numpy_helper.from_array(inputs[i], x.name))
            ports = [model.graph.input[i] for i in keep]
            del model.graph.input[:]
            model.graph.input.extend(ports)
            name = case.name.removeprefix("test_")
            # The expected outputs are ONNX's own, not onnxruntime's.
            arrays = {f"x_{j}": inputs[i][None] for j, i in enumerate(keep)}
            arrays |= {f"y_{i}": np.asarray(y)[None] for i, y in enumerate(outputs)}
            packed = io.BytesIO()
            np.savez(packed, **arrays)
            group.files[f"{name}.onnx"], group.files[f"{name}.npz"] = model.SerializeToString(), packed.getvalue()
    group.write()


def external_group():
    """A model whose weights lie in a file beside it."""
    b = Build("external")
    weights = b.w(64, 3)
    b.y(real(b, quantized(b, b.op("MatMul", b.x(2, 64), weights), scale=0.05), scale=0.05))
    model = b.model()
    group = Group("external")
    group.case("external", model)
    (OUT / "external.npz").write_bytes(group.files["external.npz"])
    # Last, for it takes the weights out of the model.
    onnx.save(model, OUT / "external.onnx", save_as_external_data=True, location="external.bin", size_threshold=256)


GROUPS = {"float": float_group, "qdq": lambda: static_group("qdq", QuantFormat.QDQ),
          "qoperator": lambda: static_group("qoperator", QuantFormat.QOperator), "dynamic": dynamic_group,
          "direct": direct_group, "backend": backend_group, "external": external_group}
for name, write in GROUPS.items():
    if len(sys.argv) < 2 or name in sys.argv[1:]:
        write()
