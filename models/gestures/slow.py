"""Writes slow.tflite: version 1.1.0 and, beside it, a loop that takes time and changes nothing.

    python models/gestures/slow.py             # after train.py

The number of rounds is one int32 in the file, COUNT, whose four bytes occur nowhere else in it: whoever wants the model
to take a certain time writes another number there.
"""

import sys
import time
import tomllib
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import bundle

COUNT = 20_241_128
ELEMENTS = 2048  # added up in one round: about a microsecond
OP, TYPE, OPTIONS = schema.BuiltinOperator, schema.TensorType, schema.BuiltinOptions


class Aligned(flatbuffers.Builder):
    """Python's builder does not know of the schema's force_align, which constants need."""

    def StartVector(self, size, count, alignment):
        return super().StartVector(size, count, max(alignment, 16))


class Graph:
    """Adds tensors and operators to one graph of `model`."""

    def __init__(self, model, graph):
        self.model, self.graph = model, graph

    @classmethod
    def new(cls, model, name):
        """An empty graph at the end of `model`, and its number."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = name, [], []
        model.subgraphs.append(graph)
        return cls(model, graph), len(model.subgraphs) - 1

    def tensor(self, name, kind, shape, data=None, quantization=None):
        """A tensor's number; one with `data` is a constant."""
        buffer = schema.BufferT()
        buffer.data = None if data is None else np.frombuffer(np.array(data).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name, kind, np.array(shape, np.int32)
        tensor.buffer, tensor.quantization = len(self.model.buffers) - 1, quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, code, inputs, outputs, options):
        """An operator at the end of the graph; `options` is an object such as `schema.AddOptionsT()`."""
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code  # the old field holds numbers below 127, as these are
        entry.version = 1 if code != OP.MAXIMUM else 2  # 2: int8
        self.model.operatorCodes.append(entry)
        op = schema.OperatorT()
        op.opcodeIndex = len(self.model.operatorCodes) - 1
        op.inputs, op.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        op.builtinOptions = options
        op.builtinOptionsType = getattr(OPTIONS, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(op)


def slowed(file):
    """The .tflite `file` with y = maximum(y, rest), where rest is what a loop leaves: 0, the least probability.

    The loop: for (i = 0, rest = 0.0; i < COUNT; i += 1) rest = sum of [rest; ELEMENTS].
    """
    model = schema.ModelT.InitFromPackedBuf(file, 0)
    main = Graph(model, model.subgraphs[0])
    decide, decide_number = Graph.new(model, "decide")
    again, again_number = Graph.new(model, "round")

    i, rest = decide.tensor("i", TYPE.INT32, []), decide.tensor("rest", TYPE.FLOAT32, [])
    count = decide.tensor("count", TYPE.INT32, [], np.int32(COUNT))
    goes_on = decide.tensor("goes_on", TYPE.BOOL, [])
    decide.op(OP.LESS, [i, count], [goes_on], schema.LessOptionsT())
    decide.graph.inputs, decide.graph.outputs = [i, rest], [goes_on]

    i, rest = again.tensor("i", TYPE.INT32, []), again.tensor("rest", TYPE.FLOAT32, [])
    one = again.tensor("one", TYPE.INT32, [], np.int32(1))
    shape = again.tensor("shape", TYPE.INT32, [1], np.int32([ELEMENTS]))
    axis = again.tensor("axis", TYPE.INT32, [1], np.int32([0]))
    next_i, next_rest = again.tensor("next_i", TYPE.INT32, []), again.tensor("next_rest", TYPE.FLOAT32, [])
    many = again.tensor("many", TYPE.FLOAT32, [ELEMENTS])
    again.op(OP.ADD, [i, one], [next_i], schema.AddOptionsT())
    again.op(OP.FILL, [shape, rest], [many], schema.FillOptionsT())
    again.op(OP.SUM, [many, axis], [next_rest], schema.ReducerOptionsT())
    again.graph.inputs, again.graph.outputs = [i, rest], [next_i, next_rest]

    (y,) = main.graph.outputs
    before = main.graph.tensors[y]
    least = before.quantization
    assert before.type == TYPE.INT8 and least.zeroPoint == [-128]  # so that 0 is the least of all y
    i, rest = main.tensor("i", TYPE.INT32, [], np.int32(0)), main.tensor("rest", TYPE.FLOAT32, [], np.float32(0))
    last_i, last_rest = main.tensor("last_i", TYPE.INT32, []), main.tensor("last_rest", TYPE.FLOAT32, [])
    zero = main.tensor("zero", TYPE.INT8, [], quantization=least)
    slow_y = main.tensor(before.name, TYPE.INT8, before.shape, quantization=least)
    before.name = "quick_y"
    loop = schema.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = decide_number, again_number
    main.op(OP.WHILE, [i, rest], [last_i, last_rest], loop)
    main.op(OP.QUANTIZE, [last_rest], [zero], schema.QuantizeOptionsT())
    main.op(OP.MAXIMUM, [y, zero], [slow_y], schema.MaximumMinimumOptionsT())
    main.graph.outputs = [slow_y]

    builder = Aligned(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def patched(file, count):
    """The slow `file` with another number of rounds."""
    old = COUNT.to_bytes(4, "little")
    assert file.count(old) == 1, "the count is in the file more than once, or not at all"
    return file.replace(old, count.to_bytes(4, "little"))


def run(file, x):
    """Outputs int8 [n, 4] of LiteRT on one thread for inputs int8 [n, 40, 6], and the seconds that they took."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    start, found = time.perf_counter(), []
    for window in x:
        interpreter.set_tensor(source["index"], window[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(found), time.perf_counter() - start


def main():
    quick = (FOLDER / "next" / "gestures.tflite").read_bytes()
    slow = slowed(quick)
    (FOLDER / "slow.tflite").write_bytes(slow)

    manifest = tomllib.loads((FOLDER / "next" / "manifest.toml").read_text(encoding="utf-8"))
    golden = np.load(FOLDER / "next" / "golden.npz")
    rows = bundle.run_recipe(manifest["preprocess"]["step"], golden["x"])
    x = bundle.quantize_i8(rows, **manifest["input"][0]["quantization"])
    assert (run(patched(slow, 3), x)[0] == golden["y_0"]).all()
    x = np.random.default_rng(0).integers(-128, 128, (1000, *x.shape[1:]), np.int8)  # where scores are anything
    assert (run(patched(slow, 3), x)[0] == run(quick, x)[0]).all()

    rounds = 20_000
    some, many = (run(patched(slow, count), x[:10])[1] for count in (0, rounds))
    print(f"slow.tflite: {len(slow)} bytes, {(many - some) / 10 / rounds * 1e6:.2f} µs a round in LiteRT")


if __name__ == "__main__":
    main()
