"""Builds TFLite models directly as flatbuffers, and describes conformance cases.

A `T` is a tensor: constant where it has `data`, else an input or what an operator gives. A `Case` is
one model with what the coverage table needs to know of it. Shapes of results may be left out: they
are asked of LiteRT (see litert.py) and written into the model.
"""

import zlib
from dataclasses import dataclass, field
from typing import Any, Callable

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": (schema.TensorType.FLOAT32, np.float32),
    "float64": (schema.TensorType.FLOAT64, np.float64),
    "float16": (schema.TensorType.FLOAT16, np.float16),
    "int4": (schema.TensorType.INT4, np.int8),
    "int8": (schema.TensorType.INT8, np.int8),
    "uint8": (schema.TensorType.UINT8, np.uint8),
    "int16": (schema.TensorType.INT16, np.int16),
    "int32": (schema.TensorType.INT32, np.int32),
    "uint32": (schema.TensorType.UINT32, np.uint32),
    "int64": (schema.TensorType.INT64, np.int64),
    "bool": (schema.TensorType.BOOL, np.bool_),
    "resource": (schema.TensorType.RESOURCE, np.int32),
}
# Versions that LiteRT's kernels are registered with where that is not from 1 on.
VERSIONS = {"BROADCAST_TO": 2}
LIMITS = {"int4": (-7, 7), "int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


@dataclass(frozen=True)
class Q:
    """Quantization: one scale and zero point, or a list of scales along `axis`."""

    scale: Any
    zero_point: int = 0
    axis: int = 0


@dataclass(eq=False)
class T:
    """A tensor. `draw(rng, run, shape)` makes an input's values where the usual ones do not fit."""

    type: str
    shape: Any = None
    quant: Q | None = None
    data: Any = None
    variable: bool = False
    draw: Callable | None = None
    # Kept as compressed rows; `data` is then a matrix.
    sparse: bool = False


def const(type, data, quant=None):
    array = np.asarray(data, dtype=TYPES[type][1])
    return T(type, list(array.shape), quant, array)


def ints(*values):
    """A constant vector of int32: axes, sizes, paddings."""
    return const("int32", list(values))


class Graph:
    """A subgraph; operators in execution order."""

    def __init__(self, inputs, outputs=None, name="main"):
        self.inputs, self.outputs, self.name = list(inputs), list(outputs or []), name
        self.tensors, self.ops = [], []
        for t in self.inputs:
            self.index(t)

    def index(self, t):
        if t is None:
            return -1
        if t not in self.tensors:
            self.tensors.append(t)
        return self.tensors.index(t)

    def op(self, name, inputs, outputs, options=None, custom=None, intermediates=()):
        """Adds an operator. `options` is a pair: (table's name, its fields)."""
        for t in [*inputs, *outputs, *intermediates]:
            self.index(t)
        self.ops.append((name, list(inputs), list(outputs), options, custom, list(intermediates)))
        return outputs[0] if outputs else None


def pack_int4(values):
    flat = np.asarray(values, dtype=np.int8).reshape(-1)
    if len(flat) % 2:
        flat = np.append(flat, np.int8(0))
    low, high = flat[0::2].astype(np.uint8) & 15, flat[1::2].astype(np.uint8) & 15
    return (low | (high << 4)).tobytes()


def sparsity(matrix):
    """Rows as they are, columns compressed."""
    rows, columns = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    rows.format, rows.denseSize = schema.DimensionType.DENSE, matrix.shape[0]
    columns.format = schema.DimensionType.SPARSE_CSR
    segments, indices = schema.Int32VectorT(), schema.Int32VectorT()
    segments.values = [0, *np.cumsum((matrix != 0).sum(1)).tolist()]
    indices.values = np.nonzero(matrix)[1].tolist()
    columns.arraySegmentsType, columns.arraySegments = schema.SparseIndexVector.Int32Vector, segments
    columns.arrayIndicesType, columns.arrayIndices = schema.SparseIndexVector.Int32Vector, indices
    parameters = schema.SparsityParametersT()
    parameters.traversalOrder, parameters.dimMetadata = [0, 1], [rows, columns]
    return parameters


def raw(t):
    if t.type == "int4":
        return pack_int4(t.data)
    if t.sparse:
        return t.data[t.data != 0].tobytes()
    return np.ascontiguousarray(t.data).tobytes()


def serialize(graphs, shapes=None):
    """The model's bytes. `shapes[g][i]` replaces the shape of tensor `i` of graph `g`."""
    model = schema.ModelT()
    model.version, model.description = 3, b""
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [], []
    codes = {}
    for g, graph in enumerate(graphs):
        sub = schema.SubGraphT()
        sub.name, sub.tensors, sub.operators = graph.name, [], []
        for name, inputs, outputs, options, custom, intermediates in graph.ops:
            operator = schema.OperatorT()
            operator.opcodeIndex = codes.setdefault(name, len(codes))
            operator.inputs = [graph.index(t) for t in inputs]
            operator.outputs = [graph.index(t) for t in outputs]
            if intermediates:
                operator.intermediates = [graph.index(t) for t in intermediates]
            if options:
                table, fields = options
                operator.builtinOptionsType = getattr(schema.BuiltinOptions, table, None)
                value = getattr(schema, table + "T")()
                for key, field_value in fields.items():
                    assert hasattr(value, key), (table, key)
                    setattr(value, key, field_value)
                if operator.builtinOptionsType is None:
                    operator.builtinOptionsType = 0
                    operator.builtinOptions2Type = getattr(schema.BuiltinOptions2, table)
                    operator.builtinOptions2 = value
                else:
                    operator.builtinOptions = value
            if custom is not None:
                operator.customOptions = list(custom)
            sub.operators.append(operator)
        for i, t in enumerate(graph.tensors):
            tensor = schema.TensorT()
            tensor.type, tensor.name, tensor.isVariable = TYPES[t.type][0], f"t{i}", t.variable
            tensor.hasRank = True
            shape = t.shape if shapes is None or t.shape is not None else shapes[g][i]
            tensor.shape = [int(d) for d in (shape if shape is not None else [])]
            if t.quant is not None:
                quant = schema.QuantizationParametersT()
                scales = np.atleast_1d(np.asarray(t.quant.scale, dtype=np.float32))
                quant.scale = [float(s) for s in scales]
                quant.zeroPoint = [int(t.quant.zero_point)] * len(scales)
                quant.quantizedDimension = t.quant.axis
                tensor.quantization = quant
            if t.sparse:
                tensor.sparsity = sparsity(t.data)
            if t.data is not None:
                buffer = schema.BufferT()
                buffer.data = np.frombuffer(raw(t), dtype=np.uint8)
                tensor.buffer = len(model.buffers)
                model.buffers.append(buffer)
            sub.tensors.append(tensor)
        sub.inputs = [graph.index(t) for t in graph.inputs]
        sub.outputs = [graph.index(t) for t in graph.outputs]
        model.subgraphs.append(sub)
    for name in codes:
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name, None)
        if number is None:
            number, code.customCode = schema.BuiltinOperator.CUSTOM, name
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), VERSIONS.get(name, 1)
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@dataclass
class Case:
    """One model of the suite. `graphs` is replaced by `content` where TensorFlow made the model."""

    name: str
    op: str
    kind: str
    tolerance: str
    attributes: dict = field(default_factory=dict)
    graphs: list = None
    content: bytes = None
    runs: int = 3
    inputs: list = None  # [run][port]; drawn where None
    reason: str = ""
    stateful: bool = False  # keeps something from run to run; a reset has to bring the first run back

    def drawn(self):
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [[draw(rng, run, t) for t in self.graphs[0].inputs] for run in range(self.runs)]


SPECIALS = np.array([0, -0.0, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 1, -1, 3, -3, 6, 7, -4, 100, -100, 1e-3, -1e-5])


def draw(rng, run, t):
    """An input: run 0 spreads over the type's range, 1 stays near (quantized) zero, 2 is extreme."""
    shape, dtype = tuple(t.shape), TYPES[t.type][1]
    if t.draw is not None:
        return np.asarray(t.draw(rng, run, shape)).astype(dtype).reshape(shape)
    if t.type == "bool":
        return rng.random(shape) < [0.5, 0.08, 0.95][run % 3]
    if t.type.startswith("float"):
        values = [
            lambda: rng.normal(0, 1.5, shape),
            lambda: rng.uniform(-8, 8, shape),
            lambda: rng.choice(SPECIALS, shape),
        ][run % 3]()
        # Few digits: half the bytes when deflated.
        values = np.where(np.abs(values) < 0.01, values, np.round(values * 256) / 256)
        return np.asarray(values).astype(dtype)
    if t.quant is None:
        low, high = {0: (-20, 21), 1: (-1000, 1000), 2: (-3, 4)}[run % 3]
        if t.type in ("uint8", "uint32"):
            low, high = 0, min(high, 256)
        elif t.type == "int8":
            low, high = max(low, -128), min(high, 127)
        return rng.integers(low, high, shape).astype(dtype)
    low, high = LIMITS.get(t.type, (-(10**6), 10**6))
    zero = t.quant.zero_point
    values = [
        lambda: rng.integers(low, high + 1, shape),
        lambda: zero + rng.integers(-20, 21, shape),
        lambda: rng.choice([low, low + 1, zero, high - 1, high], shape),
    ][run % 3]()
    return np.clip(values, low, high).astype(dtype)


def rng_of(*key):
    """A generator for constants that depends on nothing but `key`."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def at(type, fraction):
    """The zero point at `fraction` of the type's range; int16's is always 0."""
    if type == "int16":
        return 0
    low, high = LIMITS[type]
    return int(round(low + (high - low) * fraction))


def quantized(kind):
    return kind in ("int8", "uint8", "int16")


def word(value):
    if isinstance(value, (list, tuple)):
        return "x".join(word(v) for v in value) or "scalar"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def single(op, kind, inputs, outputs, options=None, tolerance=None, label="", custom=None,
           runs=3, reason="", intermediates=(), **attributes):
    """A case of one operator. Inputs without data and without `variable` are the model's inputs."""
    free = []
    for t in inputs:
        if t is not None and t.data is None and not t.variable and t not in free:
            free.append(t)
    graph = Graph(free, outputs)
    graph.op(op, inputs, outputs, options, custom, intermediates)
    return case(op, kind, [graph], tolerance, label, runs, reason, **attributes)


def case(op, kind, graphs, tolerance=None, label="", runs=3, reason="", **attributes):
    if kind == "int16-channel":
        kind, attributes["scales"] = "int16", "channel"
    attributes = {key: word(value) for key, value in attributes.items()}
    if tolerance is None:
        tolerance = "float" if kind in ("float32", "float16", "float64") else "bytes"
        tolerance = "hybrid" if kind.startswith("hybrid") else tolerance
    parts = [label] if label else []
    parts += [f"{key}-{value}".replace("_", "-") for key, value in attributes.items()]
    name = ".".join([op, kind, *parts]).lower().replace(" ", "")
    return Case(name, op, kind, tolerance, attributes, graphs, runs=runs, reason=reason)
