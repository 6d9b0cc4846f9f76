"""Cycles of straight code by LLVM's machine code analyzer."""

import json
import subprocess
from dataclasses import dataclass

TURNS = 100


@dataclass(frozen=True)
class Cycles:
    """Of one turn; `bound` is the least that the CPU's resources allow, `by` the busiest of them."""

    cycles: float
    bound: float
    by: str


def cycles(bodies: list, cpu: str) -> list:
    """One result for each list of instructions; loads hit the first cache, branches are foreseen."""
    if not bodies:
        return []
    source = []
    for number, body in enumerate(bodies):
        lines = "\n".join(instruction.source() for instruction in body)
        source.append(f"# LLVM-MCA-BEGIN {number}\n{lines}\n# LLVM-MCA-END\n")
    command = ["llvm-mca", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm,+fullfp16"]
    done = subprocess.run(
        command + [f"-iterations={TURNS}", "-json"],
        input="".join(source),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"llvm-mca for {cpu}: {done.stderr}")
    report = json.loads(done.stdout)
    names = report["TargetInfo"]["Resources"]
    return [one(region, names) for region in report["CodeRegions"]]


def one(region: dict, names: list) -> Cycles:
    summary = region["SummaryView"]
    instructions = len(region["Instructions"])
    busy = {}
    for use in region["ResourcePressureView"]["ResourcePressureInfo"]:
        # The row after the last instruction holds the sums.
        if use["InstructionIndex"] == instructions:
            busy[names[use["ResourceIndex"]]] = use["ResourceUsage"]
    by, most = max(busy.items(), key=lambda item: item[1], default=("", 0.0))
    bound = summary["BlockRThroughput"]
    # Less than the bound: it is the width of issue that sets it.
    by = by.split(".")[0] if most > bound * 0.98 else "issue"
    return Cycles(summary["TotalCycles"] / TURNS, bound, by)
