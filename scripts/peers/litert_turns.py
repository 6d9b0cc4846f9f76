"""LiteRT's Python package as a peer: litert_turns.py MODEL THREADS OUTPUT-PREFIX INPUT…

The same conversation as turns.h. Each run is one `Invoke` of the interpreter that the package wraps, called
without the checks that its Python method adds; what is left of Python (the call and the clock) is a few
hundred nanoseconds and is not subtracted.
"""

import json
import sys
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> None:
    model, threads, prefix, *inputs = sys.argv[1:]
    interpreter = Interpreter(model, num_threads=int(threads))
    interpreter.allocate_tensors()
    for detail, path in zip(interpreter.get_input_details(), inputs, strict=True):
        values = np.fromfile(path, detail["dtype"]).reshape(detail["shape"])
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    for i, detail in enumerate(interpreter.get_output_details()):
        Path(f"{prefix}{i}").write_bytes(interpreter.get_tensor(detail["index"]).tobytes())
    run = getattr(interpreter._interpreter, "Invoke", interpreter.invoke)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        runs = int(line)
        times = []
        for _ in range(runs):
            start = perf_counter_ns()
            run()
            times.append(perf_counter_ns() - start)
        times.sort()
        p50, mean = times[(runs + 1) // 2 - 1], sum(times) // runs
        print(json.dumps({"runs": runs, "min_ns": times[0], "p50_ns": p50, "mean_ns": mean}), flush=True)


if __name__ == "__main__":
    main()
