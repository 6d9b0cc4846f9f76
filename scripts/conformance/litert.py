"""What LiteRT gives for a model, from a process of its own: some models make it abort.

The worker half of this file knows nothing but models and arrays, so that it starts quickly.
"""

import os
import pickle
import struct
import subprocess
import sys


def shapes_of(content, inputs):
    """The shape of every tensor of the first graph after a run of the builtin kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    for details, value in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    return [[int(d) for d in t["shape"]] for t in sorted(interpreter.get_tensor_details(), key=lambda t: t["index"])]


def outputs_of(content, runs):
    """Outputs of each run, in order, from one interpreter; and who ran the model."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for run in runs:
        for details, value in zip(inputs, run):
            interpreter.set_tensor(details["index"], value)
        interpreter.invoke()
        results.append([interpreter.get_tensor(details["index"]).copy() for details in outputs])
    names = [op["op_name"] for op in interpreter._get_ops_details()]
    by = "xnnpack" if "DELEGATE" in names else "builtin"
    return results, by


def work():
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while header := stdin.read(8):
        call, *arguments = pickle.loads(stdin.read(struct.unpack("<Q", header)[0]))
        try:
            answer = ("ok", {"shapes": shapes_of, "outputs": outputs_of}[call](*arguments))
        except Exception as error:  # what LiteRT says is reported with the case
            answer = ("refused", " ".join(str(error).split()))
        data = pickle.dumps(answer)
        stdout.write(struct.pack("<Q", len(data)) + data)
        stdout.flush()


class LiteRt:
    """A worker process that is replaced when it dies.

    `filler` is the byte that fresh memory is filled with: what LiteRT computes from memory that it
    never wrote then differs between two workers.
    """

    def __init__(self, filler):
        self.process = None
        self.environment = {**os.environ, "MALLOC_PERTURB_": str(filler)}

    def ask(self, *call):
        """(True, answer), or (False, why)."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=self.environment)
        data = pickle.dumps(call)
        try:
            self.process.stdin.write(struct.pack("<Q", len(data)) + data)
            self.process.stdin.flush()
            header = self.process.stdout.read(8)
            if len(header) == 8:
                word, answer = pickle.loads(self.process.stdout.read(struct.unpack("<Q", header)[0]))
                return word == "ok", answer
        except BrokenPipeError:
            pass
        code = self.process.wait()
        self.process = None
        return False, f"crashed (exit code {code})"

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


if __name__ == "__main__":
    work()
