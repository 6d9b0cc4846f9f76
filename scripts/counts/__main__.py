#!/usr/bin/env python3
"""Instructions of one inference on 64-bit ARM, ours beside those of the TFLite C library with XNNPACK.

`scripts/bench-arm` builds what this runs and says what its options are.
"""

import argparse
import array
import json
import math
import random
import subprocess
from pathlib import Path

import mca
import report
from disassembly import Code
from emulator import CPUS, Emulator, entry_point, per_run

MODELS = [
    "mlperf-tiny/vww_96_int8.tflite",
    "mlperf-tiny/kws_ref_model.tflite",
    "mlperf-tiny/pretrainedResnet_quant.tflite",
    "mlperf-tiny/ad01_int8.tflite",
    "mlperf-tiny/str_ww_ref_model.tflite",
    "coral/mobilenet_v1_0.25_128_quant.tflite",
    "coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
]
# Nodes that cost nothing: their output is their input under another shape.
ALIASES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "IDENTITY"}
BYTES = {"int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8}


def describe(program: Path, model: Path) -> dict:
    """What our engine says of a model."""
    command = ["qemu-aarch64", program, model]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def write_inputs(path: Path, inputs: list, runs: int) -> None:
    """Seeded noise: any bytes for integers, -1 to 1 for floats."""
    noise = random.Random(1)
    with path.open("wb") as file:
        for _ in range(runs):
            for tensor in inputs:
                if tensor["dtype"] == "float32":
                    values = (noise.uniform(-1, 1) for _ in range(tensor["elements"]))
                    file.write(array.array("f", values).tobytes())
                else:
                    file.write(noise.randbytes(tensor["elements"] * BYTES[tensor["dtype"]]))


def compare(ours: bytes, theirs: bytes) -> dict:
    """How many bytes of two outputs differ, and by how much at most."""
    if len(ours) != len(theirs):
        raise SystemExit(f"outputs of {len(ours)} and {len(theirs)} bytes")
    # Signed and unsigned bytes differ by the same amount unless they wrap.
    apart = [min(abs(a - b), 256 - abs(a - b)) for a, b in zip(ours, theirs) if a != b]
    return {"bytes": len(ours), "differ": len(apart), "most": max(apart, default=0)}


class Side:
    """One program on one model, counted."""

    def __init__(self, emulator, command, outputs, runs, base_of):
        few, many = runs, 2 * runs
        out, heat_few, first, _ = emulator.run([*command, few, outputs])
        base = base_of(out, first)
        out, heat_many, first, _ = emulator.run([*command, many, outputs])
        assert base == base_of(out, first), "the program lies elsewhere in the second run"
        heat = per_run(heat_few, heat_many, runs)
        self.base = base
        self.instructions = sum(heat.values())
        # By address in the program's file.
        self.heat = {address - base: times for address, times in heat.items()}
        self.outputs = Path(outputs).read_bytes()

    def profile(self, code: Code, cpu: str) -> None:
        self.functions = code.functions(self.heat)
        # The others are too many for what they weigh.
        stretches = [x for x in code.stretches(self.heat) if x.executed >= self.instructions / 5000]
        bodies = [stretch.body for stretch in stretches]
        self.stretches = list(zip(stretches, mca.cycles(bodies, cpu)))


def between_calls(emulator, command, outputs, runs, side: Side, sites: list) -> list:
    """Instructions of one run from each return to one of `sites` to the next return.

    The site is the one that splits a run best. Empty where none is called in turn alone.
    """
    found = []
    for site, calls in sites[:4]:
        marks = emulator.run([*command, 2 * runs, outputs], mark=side.base + site + 4)[3]
        if len(marks) == 2 * runs * calls - 1:
            last = marks[-runs * calls :]
            found.append([sum(last[i::calls]) / runs for i in range(calls)])
    return min(found, key=max, default=[])


def our_sites(side: Side, code: Code, steps: int) -> list:
    """Where kernels may be called from: indirectly, as often as there are operators."""
    return [
        (i.address, steps)
        for i in code.instructions
        if i.name == "blr"
        and side.heat.get(i.address, 0) == steps
        and any(word in code.function(i.address) for word in ("infer", "Program"))
    ]


def peer_sites(side: Side, code: Code, steps: int) -> list:
    """The same in a library without names, which leaves up to three operators to other kernels."""
    calls = [
        (-times, i.address)
        for i in code.instructions
        if i.name in ("bl", "blr") and steps - 3 <= (times := side.heat.get(i.address, 0)) <= steps
    ]
    return [(address, int(-times)) for times, address in sorted(calls)]


def beside(ours: list, theirs: list) -> list:
    """The peer's counts in the places of our operators, where they are most alike; `None` for the others."""
    if not theirs:
        return [None] * len(ours)

    def apart(shift: int) -> float:
        pairs = zip(ours[shift:], theirs)
        return sum(abs(math.log(a / b)) for a, b in pairs)

    shift = min(range(len(ours) - len(theirs) + 1), key=apart)
    return [None] * shift + theirs + [None] * (len(ours) - len(theirs) - shift)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edgerun", type=Path, required=True)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--cpu", action="append", choices=CPUS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--builtin", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("models", nargs="*", type=Path)
    given = parser.parse_args()
    models = given.models or [given.zoo / name for name in MODELS]
    cpus = [CPUS[name] for name in given.cpu or ("cortex-a53", "cortex-a72", "cortex-a76")]

    work = given.peers / "work"
    work.mkdir(exist_ok=True)
    library = given.peers / "libtensorflowlite_c.so"
    ours_code, peer_code = Code(given.edgerun), Code(library)
    peer_code.unwind_table(library)
    entry = entry_point(given.edgerun)
    rows = []
    for model in models:
        described = describe(given.edgerun, model)
        inputs = work / "inputs.bin"
        write_inputs(inputs, described["inputs"], 2 * given.runs)
        row = {"model": model.stem, "macs": sum(op["macs"] for op in described["ops"]), "cpus": {}}
        for cpu in cpus:
            emulator = Emulator(cpu, given.peers / "count_blocks.so", work, timeout=900)
            out = work / "outputs.bin"
            ours_command = [given.edgerun, model, inputs]
            ours = Side(emulator, ours_command, out, given.runs, lambda _, first: first - entry)
            ours.profile(ours_code, cpu.mca)
            steps = [op for op in described["ops"] if op["op"] not in ALIASES]
            sites = our_sites(ours, ours_code, len(steps))
            each = between_calls(emulator, ours_command, out, given.runs, ours, sites)
            ops = [{**op, "instructions": count} for op, count in zip(steps, each)]
            found = {"ops": ops, "edgerun": report.side(ours)}
            for kind in ("xnnpack", "builtin") if given.builtin else ("xnnpack",):
                command = [given.peers / "tflite_repeat", kind, model, inputs]
                peer = Side(emulator, command, out, given.runs, lambda text, _: int(text, 16))
                peer.profile(peer_code, cpu.mca)
                found[kind] = report.side(peer)
                if kind == "xnnpack" and ops:
                    sites = peer_sites(peer, peer_code, len(steps))
                    theirs = between_calls(emulator, command, out, given.runs, peer, sites)
                    for op, count in zip(ops, beside(each, theirs)):
                        op["xnnpack"] = count
                found[kind]["outputs"] = compare(ours.outputs, peer.outputs)
                found[kind]["ratio"] = ours.instructions / peer.instructions
            row["cpus"][cpu.name] = found
            print(report.progress(row["model"], cpu.name, found), flush=True)
        rows.append(row)

    whole = {"commit": given.commit, **report.machine(), "runs": given.runs, "models": rows}
    whole["summary"] = {
        cpu.name: {
            "geometric_mean": report.geometric_mean([r["cpus"][cpu.name]["xnnpack"]["ratio"] for r in rows]),
            "worst": max(r["cpus"][cpu.name]["xnnpack"]["ratio"] for r in rows),
        }
        for cpu in cpus
    }
    text = report.markdown(whole)
    print("\n" + text)
    if given.json:
        given.json.write_text(json.dumps(whole, indent=1) + "\n")
    if given.markdown:
        given.markdown.write_text(text)
    for row in rows:
        for cpu, found in row["cpus"].items():
            apart = found["xnnpack"]["outputs"]
            # Of uint8, LiteRT rounds otherwise on ARM than on x86-64, whose bytes are ours everywhere.
            if apart["most"] > 2 or apart["differ"] > apart["bytes"] / 100:
                raise SystemExit(f"{row['model']} on {cpu}: the outputs are not the same: {apart}")


if __name__ == "__main__":
    main()
