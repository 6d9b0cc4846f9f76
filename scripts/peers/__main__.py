"""Our times beside those of LiteRT and onnxruntime, in turns.

`scripts/bench-peers` builds what this runs and says what its options are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import onnx_models
import tables
from turns import Program, take_turns

# The models of each group, and what their ratios ought to be: geometric mean, worst. Of the float models the
# keyword spotter's weights are floats, too.
GROUPS = {
    "mlperf-tiny": [
        "mlperf-tiny/vww_96_int8.tflite",
        "mlperf-tiny/kws_ref_model.tflite",
        "mlperf-tiny/pretrainedResnet_quant.tflite",
        "mlperf-tiny/pretrainedResnet_large_int8.tflite",
        "mlperf-tiny/ad01_int8.tflite",
        "mlperf-tiny/str_ww_ref_model.tflite",
    ],
    "coral": [
        "coral/mobilenet_v1_0.25_128_quant.tflite",
        "coral/mobilenet_v1_0.5_160_quant.tflite",
        "coral/mobilenet_v2_1.0_224_quant.tflite",
        "coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    ],
    "float": [
        "mlperf-tiny/vww_96_float.tflite",
        "mlperf-tiny/kws_ref_model_float32.tflite",
        "mlperf-tiny/pretrainedResnet.tflite",
        "mlperf-tiny/pretrainedResnet_large_float.tflite",
        "mlperf-tiny/ad01_fp32.tflite",
    ],
    # Made from these by onnx_models.py, each in several variants.
    "onnx": [
        "mlperf-tiny/vww_96_int8.tflite",
        "mlperf-tiny/kws_ref_model.tflite",
        "mlperf-tiny/pretrainedResnet_quant.tflite",
        "mlperf-tiny/ad01_int8.tflite",
        "coral/mobilenet_v1_0.25_128_quant.tflite",
        "coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    ],
}
GOALS = {"mlperf-tiny": (0.75, 1.0), "coral": (0.45, 0.9), "float": (1.2, 1.2), "onnx": (0.7, 0.7)}
ONNX_TYPES = {"float32": 1, "uint8": 2, "int8": 3}


class Case:
    """One model with its input, seeded noise, as files that each program reads."""

    def __init__(self, group: str, path: Path, edgerun: Path, work: Path, bounds=None) -> None:
        self.group, self.path, self.edgerun, self.work = group, path, edgerun, work
        command = [edgerun, "inspect", path, "--json"]
        self.signature = tables.json_of(command)
        self.folder = work / "inputs" / path.stem
        self.folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(1)
        for i, port in enumerate(self.signature["inputs"]):
            values = noise(random, port, bounds)
            np.save(self.folder / f"{i}.npy", values)
            (self.folder / f"{i}.bin").write_bytes(values.tobytes())

    def inputs(self, ending: str) -> list[Path]:
        return [self.folder / f"{i}.{ending}" for i in range(len(self.signature["inputs"]))]

    def ours(self, isa: str | None, threads: int) -> Program:
        command = [self.edgerun, "bench", self.path, "--engine", "native", "--threads", threads, "--on-request"]
        for path in self.inputs("npy"):
            command += ["--input", path]
        return Program(isa or "edgerun", threads, command, {"EDGERUN_ISA": isa or ""})

    def peer(self, threads: int) -> Program:
        prefix = f"{self.folder}/peer-"
        if self.path.suffix == ".tflite":
            script = Path(__file__).parent / "litert_turns.py"
            command = [tables.python(), script, self.path, threads, prefix, *self.inputs("bin")]
            return Program("LiteRT", threads, command, {})
        [x], [y] = self.signature["inputs"], self.signature["outputs"]
        command = [self.work / "onnxruntime_turns", self.path, threads, prefix, *self.inputs("bin")]
        for port in (x, y):
            command += [ONNX_TYPES[port["dtype"]], "x".join(map(str, port["shape"])), port["name"]]
        return Program("onnxruntime", threads, command, {})

    def apart(self) -> dict:
        """How far our outputs are from the peer's, in steps of integers or parts of the largest float."""
        ours = self.folder / "ours.npz"
        command = [self.edgerun, "infer", self.path, "--engine", "native", "--output", ours]
        for path in self.inputs("npy"):
            command += ["--input", path]
        tables.run(command)
        differ, total, most = 0, 0, 0.0
        with np.load(ours) as arrays:
            for i, port in enumerate(self.signature["outputs"]):
                a = arrays[port["name"]].reshape(-1)
                b = np.fromfile(f"{self.folder}/peer-{i}", a.dtype)
                distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
                if a.dtype.kind == "f":
                    distance /= max(np.abs(b).max(), 1e-30)
                differ, total = differ + int((a != b).sum()), total + a.size
                most = max(most, float(distance.max()))
        return {"values": total, "differ": differ, "most": most}


def noise(random: np.random.Generator, port: dict, bounds: tuple[float, float] | None) -> np.ndarray:
    """Any value of an integer type; floats of the range that a model was calibrated on, or of -1 to 1."""
    if port["dtype"] == "float32":
        return random.uniform(*(bounds or (-1.0, 1.0)), port["shape"]).astype(np.float32)
    limits = np.iinfo(port["dtype"])
    return random.integers(limits.min, limits.max + 1, port["shape"], port["dtype"])


def cases(given: argparse.Namespace):
    if given.models:
        for path in given.models:
            yield Case("named", path, given.edgerun, given.work)
        return
    for group in given.only or GROUPS:
        for name in GROUPS[group]:
            path = given.zoo / name
            if group != "onnx":
                yield Case(group, path, given.edgerun, given.work)
                continue
            folder = given.work / "onnx"
            for made in onnx_models.make(path, folder).values():
                low, high = (folder / f"{path.stem}.range").read_text().split()
                yield Case(group, made, given.edgerun, given.work, (float(low), float(high)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edgerun", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("--only", action="append", choices=GROUPS)
    parser.add_argument("--isa", action="append", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--turn", type=float, default=20.0)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("models", nargs="*", type=Path)
    given = parser.parse_args()

    rows = []
    for case in cases(given):
        programs = [case.ours(isa, 1) for isa in (None, *given.isa)] + [case.peer(1)]
        if given.threads > 1:
            programs += [case.ours(None, given.threads), case.peer(given.threads)]
        times = take_turns(programs, given.rounds, given.turn / 1e3)
        row = {"group": case.group, "model": case.path.stem, "apart": case.apart(), "programs": times}
        rows.append(row)
        print(tables.progress(row), flush=True)

    whole = {"commit": given.commit, **tables.machine(), "rounds": given.rounds, "models": rows}
    whole["groups"] = {group: tables.summary(rows, group) for group in dict.fromkeys(r["group"] for r in rows)}
    text = tables.markdown(whole, GOALS)
    print("\n" + text)
    if given.json:
        given.json.write_text(json.dumps(whole, indent=1) + "\n")
    if given.markdown:
        given.markdown.write_text(text)
    tables.check_agreement(rows)


if __name__ == "__main__":
    main()
