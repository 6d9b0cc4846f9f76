"""ONNX models of the zoo's networks: float from their quantized TFLite files, then quantized by onnxruntime.

Weights are those of the TFLite file as real numbers, images lie channels-first as exporters write them, and
ranges are calibrated on seeded noise over the input's range: what they compute is beside the point here, what
they cost is not. The same files come out each time.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

# How onnxruntime quantizes: its two formats, and the two types of activations.
VARIANTS = {
    "qdq-u8s8": (QuantFormat.QDQ, QuantType.QUInt8),
    "qdq-s8s8": (QuantFormat.QDQ, QuantType.QInt8),
    "qop-u8s8": (QuantFormat.QOperator, QuantType.QUInt8),
}
OPSET = 17
CALIBRATION_INPUTS = 8
OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
SAME = schema.Padding.SAME


class Converter:
    """One TFLite graph of the zoo, made an ONNX graph."""

    def __init__(self, path: Path) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        self.graph = self.model.subgraphs[0]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def shape(self, index: int) -> list[int]:
        return [int(size) for size in self.graph.tensors[index].shape]

    def real(self, index: int) -> np.ndarray:
        """A constant's real values."""
        tensor = self.graph.tensors[index]
        widths = {schema.TensorType.INT8: "i1", schema.TensorType.UINT8: "u1", schema.TensorType.INT32: "<i4"}
        data = np.array(self.model.buffers[tensor.buffer].data, np.uint8).tobytes()
        values = np.frombuffer(data, widths[tensor.type]).reshape(self.shape(index)).astype(np.float64)
        scale = np.array(tensor.quantization.scale)
        zero_point = np.array(tensor.quantization.zeroPoint)
        if scale.size > 1:
            along = [1] * values.ndim
            along[tensor.quantization.quantizedDimension] = scale.size
            scale, zero_point = scale.reshape(along), zero_point.reshape(along)
        return ((values - zero_point) * scale).astype(np.float32)

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def activated(self, activation: int, output: int, kind: str, inputs: list[str], **attributes) -> None:
        """A node whose output is clamped as the TFLite operator's is."""
        kinds = schema.ActivationFunctionType
        if activation == kinds.NONE:
            self.node(kind, inputs, f"t{output}", **attributes)
            return
        before = self.node(kind, inputs, f"t{output}_raw", **attributes)
        if activation == kinds.RELU:
            self.node("Relu", [before], f"t{output}")
        elif activation == kinds.RELU6:
            bounds = [self.constant(f"t{output}_{bound}", np.float32(bound)) for bound in (0, 6)]
            self.node("Clip", [before, *bounds], f"t{output}")
        else:
            raise NotImplementedError(f"activation {activation}")

    def pads(self, options, input: int, kernel: list[int], dilation: list[int]) -> list[int]:
        """Before and after, for height and width, as ONNX orders them."""
        if options.padding != SAME:
            return [0, 0, 0, 0]
        sizes, strides = self.shape(input)[1:3], [options.strideH, options.strideW]
        total = [
            max((math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, s, k, d in zip(sizes, strides, kernel, dilation)
        ]
        return [t // 2 for t in total] + [t - t // 2 for t in total]

    def convolution(self, op, out: int, depthwise: bool) -> None:
        x, w, b = (int(i) for i in op.inputs)
        options = op.builtinOptions
        weights = self.real(w).transpose(3, 0, 1, 2) if depthwise else self.real(w).transpose(0, 3, 1, 2)
        if depthwise:
            weights = weights.reshape(weights.shape[0], 1, *self.shape(w)[1:3])
        kernel, dilation = list(weights.shape[2:]), [options.dilationHFactor, options.dilationWFactor]
        inputs = [f"t{x}", self.constant(f"t{w}", weights), self.constant(f"t{b}", self.real(b))]
        attributes = {
            "kernel_shape": kernel,
            "strides": [options.strideH, options.strideW],
            "dilations": dilation,
            "pads": self.pads(options, x, kernel, dilation),
            "group": self.shape(x)[3] if depthwise else 1,
        }
        self.activated(options.fusedActivationFunction, out, "Conv", inputs, **attributes)

    def operator(self, op) -> None:
        code = self.model.operatorCodes[op.opcodeIndex]
        name = OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        x, out, options = int(op.inputs[0]), int(op.outputs[0]), op.builtinOptions
        match name:
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                self.convolution(op, out, name == "DEPTHWISE_CONV_2D")
            case "FULLY_CONNECTED":
                w, b = int(op.inputs[1]), int(op.inputs[2])
                flat = f"t{x}"
                if len(self.shape(x)) == 4:
                    flat = self.flat(x, f"t{out}_flat")
                inputs = [flat, self.constant(f"t{w}", self.real(w)), self.constant(f"t{b}", self.real(b))]
                self.activated(options.fusedActivationFunction, out, "Gemm", inputs, transB=1)
            case "ADD":
                inputs = [f"t{int(i)}" for i in op.inputs]
                self.activated(options.fusedActivationFunction, out, "Add", inputs)
            case "AVERAGE_POOL_2D" | "MEAN":
                sizes = self.shape(x)[1:3]
                if name == "AVERAGE_POOL_2D" and [options.filterHeight, options.filterWidth] != sizes:
                    raise NotImplementedError("a pool over a part of the image")
                pooled = f"t{out}" if len(self.shape(out)) == 4 else f"t{out}_pooled"
                self.node("GlobalAveragePool", [f"t{x}"], pooled)
                if len(self.shape(out)) == 2:
                    self.node("Flatten", [pooled], f"t{out}")
            case "RESHAPE":
                if len(self.shape(x)) == 4 and len(self.shape(out)) == 2:
                    self.flat(x, f"t{out}")
                elif self.shape(x) == self.shape(out) or len(self.shape(out)) == len(self.shape(x)) == 2:
                    self.node("Identity", [f"t{x}"], f"t{out}")
                else:
                    raise NotImplementedError(f"RESHAPE {self.shape(x)} to {self.shape(out)}")
            case "SOFTMAX":
                self.node("Softmax", [f"t{x}"], f"t{out}", axis=-1)
            case "QUANTIZE":
                self.node("Identity", [f"t{x}"], f"t{out}")
            case _:
                raise NotImplementedError(name)

    def flat(self, x: int, output: str) -> str:
        """An image as one row, in TFLite's order of its values."""
        image = f"t{x}"
        if self.shape(x)[1:3] != [1, 1]:
            image = self.node("Transpose", [image], f"{output}_last", perm=[0, 2, 3, 1])
        return self.node("Flatten", [image], output)

    def convert(self) -> onnx.ModelProto:
        def port(index: int) -> onnx.ValueInfoProto:
            shape = self.shape(index)
            if len(shape) == 4:
                shape = [shape[0], shape[3], *shape[1:3]]
            return helper.make_tensor_value_info(f"t{index}", TensorProto.FLOAT, shape)

        for op in self.graph.operators:
            self.operator(op)
        graph = helper.make_graph(
            self.nodes,
            "zoo",
            [port(int(i)) for i in self.graph.inputs],
            [port(int(i)) for i in self.graph.outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model, full_check=True)
        return model

    def input_range(self) -> tuple[float, float]:
        tensor = self.graph.tensors[self.graph.inputs[0]]
        scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
        low, high = (0, 255) if tensor.type == schema.TensorType.UINT8 else (-128, 127)
        return float((low - zero_point) * scale), float((high - zero_point) * scale)


class Noise(CalibrationDataReader):
    """Seeded noise over the range of a model's input."""

    def __init__(self, name: str, shape: list[int], bounds: tuple[float, float], count: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        arrays = (random.uniform(*bounds, shape).astype(np.float32) for _ in range(count))
        self.inputs = iter([{name: array} for array in arrays])

    def get_next(self):
        return next(self.inputs, None)


def make(tflite: Path, folder: Path) -> dict[str, Path]:
    """The quantized models of one network, by variant; made where they are not in `folder` yet."""
    made = {variant: folder / f"{tflite.stem}.{variant}.onnx" for variant in VARIANTS}
    if all(path.exists() for path in made.values()):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    converter = Converter(tflite)
    model = converter.convert()
    real = folder / f"{tflite.stem}.onnx"
    onnx.save(model, real)
    port = model.graph.input[0]
    shape = [size.dim_value for size in port.type.tensor_type.shape.dim]
    bounds = converter.input_range()
    (folder / f"{tflite.stem}.range").write_text(f"{bounds[0]} {bounds[1]}\n")
    # It recommends a pass over the float model that changes nothing here.
    logging.getLogger().setLevel(logging.ERROR)
    for variant, path in made.items():
        form, activations = VARIANTS[variant]
        reader = Noise(port.name, shape, bounds, CALIBRATION_INPUTS, seed=1)
        partial = path.with_suffix(".part")
        quantize_static(
            real,
            partial,
            reader,
            quant_format=form,
            per_channel=True,
            activation_type=activations,
            weight_type=QuantType.QInt8,
        )
        partial.replace(path)
    return made
