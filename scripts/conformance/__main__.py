"""Writes tests/data/conformance/FAMILY.zip: small models of single operators, inputs, and what LiteRT gives.

    python scripts/conformance [FAMILY...]

Needs ai-edge-litert, and tensorflow for the families that its converter makes, on x86-64. Each zip
holds `index.json` (one entry a case: name, op, kind, attributes, tolerance, who ran it in LiteRT) and
for each case `NAME.tflite`, `NAME.xI.npy` and `NAME.yI.npy`, whose first dimension is the run. The
runs of a case are made one after the other by one session: models with state keep it.

Tolerances: `bytes` is the same bytes, `unit` at most 1 unit (the index says why), `float` is
|a - b| <= 1e-5 max(1, |b|), `hybrid` is 1e-3 of the output's range.

What LiteRT refuses is left out and listed at the end.
"""

import importlib
import io
import json
import re
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from litert import LiteRt
from model import serialize

FAMILIES = ["unary", "binary", "compare", "conv", "dense", "pool", "movement", "reduce", "normalize", "resize",
            "control", "subgraphs", "variables", "sequence", "converter", "recurrent", "detect"]
KINDS = ["float32", "float16", "hybrid", "hybrid-channel", "int8", "int8-channel", "uint8", "int16", "int4", "int32", "int64",
         "bool", "float64"]
OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "conformance"
EPOCH = (1980, 1, 1, 0, 0, 0)


def same(a, b):
    return all(x.tobytes() == y.tobytes() for left, right in zip(a, b) for x, y in zip(left, right))


def golden(litert, other, case):
    """Fills in the model, the inputs and the outputs; or says why LiteRT refuses."""
    inputs = case.inputs if case.inputs is not None else case.drawn()
    if case.content is None:
        shapes = None
        # An operator with results of unknown shape: the builtin kernels tell it.
        if any(t.shape is None for g in case.graphs for t in g.tensors):
            ok, shapes = litert.ask("shapes", serialize(case.graphs), inputs[0])
            if not ok:
                return shapes
            shapes = [shapes]
        case.content = serialize(case.graphs, shapes)
    ok, answer = litert.ask("outputs", case.content, inputs)
    if not ok:
        return answer
    outputs, case.by = answer
    for worker in [other, litert, other]:
        ok, again = worker.ask("outputs", case.content, inputs)
        if not ok or not same(outputs, again[0]):
            return "gives something else the second time: reads memory that it did not write"
    for port in range(len(outputs[0])):
        if len({run[port].shape for run in outputs}) > 1:
            return "the output's shape depends on the values"
    for port, first in enumerate(outputs[0]):
        if first.dtype.kind == "f" and not all(np.isfinite(run[port]).all() for run in outputs):
            return "not finite"
    case.arrays = {}
    for letter, runs in (("x", inputs), ("y", outputs)):
        for port in range(len(runs[0])):
            case.arrays[f"{letter}{port}"] = np.stack([run[port] for run in runs])
    return None


def write(family, cases, refused):
    """One member after the other, in the order of names, so that the same cases give the same bytes."""
    members = {}
    index = []
    for case in sorted(cases, key=lambda case: case.name):
        entry = dict(name=case.name, op=case.op, kind=case.kind, attributes=case.attributes,
                     tolerance=case.tolerance, by=case.by, runs=case.runs)
        if case.stateful:
            entry["stateful"] = True
        if case.reason:
            entry["reason"] = case.reason
        index.append(entry)
        members[f"{case.name}.tflite"] = case.content
        for key, array in case.arrays.items():
            file = io.BytesIO()
            np.save(file, array)
            members[f"{case.name}.{key}.npy"] = file.getvalue()
    # LiteRT's messages hold numbers that it prints wrongly, another each time.
    rejects = [dict(name=case.name, op=case.op, kind=case.kind, attributes=case.attributes, why=re.sub(r" \(-?\d+ != -?\d+\)", "", why))
               for case, why in sorted(refused, key=lambda pair: pair[0].name)]
    lines, rejects = (",\n".join(json.dumps(entry) for entry in entries) for entries in (index, rejects))
    path = OUT / f"{family}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("index.json", EPOCH), f'{{"cases": [\n{lines}\n], "refused": [\n{rejects}\n]}}\n', zipfile.ZIP_DEFLATED, 9)
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED, 9)
    return path.stat().st_size


def run(family):
    start = time.monotonic()
    cases = list(importlib.import_module(family).cases())
    names = Counter(case.name for case in cases)
    twice = [name for name, count in names.items() if count > 1]
    assert not twice, f"{family}: two cases are called {twice[:5]}"
    litert, other = LiteRt(85), LiteRt(201)
    kept, refused = [], []
    for case in cases:
        why = golden(litert, other, case)
        if why is None:
            kept.append(case)
        else:
            refused.append((case, why))
    litert.close()
    other.close()
    size = write(family, kept, refused)
    seconds = time.monotonic() - start
    print(f"{family}: {len(kept)} cases, {len(refused)} refused, {size} bytes, {seconds:.1f} s", flush=True)
    return kept, refused


def table():
    """Counts the cases of all families in README.md."""
    counts, families, kinds = Counter(), {}, []
    for family in FAMILIES:
        path = OUT / f"{family}.zip"
        if path.exists():
            with zipfile.ZipFile(path) as archive:
                for case in json.loads(archive.read("index.json"))["cases"]:
                    counts[case["op"], case["kind"]] += 1
                    families.setdefault(case["op"], []).append(family)
    kinds = [kind for kind in KINDS if any(counts[op, kind] for op in families)]
    lines = ["# Conformance cases", "", f"{sum(counts.values())} cases, made by `scripts/conformance`; "
             "what LiteRT refuses is listed in each `index.json`.", "",
             f"| operator | {' | '.join(kinds)} | in |", f"|---|{'---:|' * len(kinds)}---|"]
    for op in sorted(families):
        cells = " | ".join(str(counts[op, kind] or "") for kind in kinds)
        lines.append(f"| `{op}` | {cells} | {', '.join(sorted(set(families[op])))} |")
    (OUT / "README.md").write_text("\n".join(lines) + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    kept, refused = [], []
    for family in sys.argv[1:] or FAMILIES:
        a, b = run(family)
        kept += a
        refused += b
    table()
    print(f"\n{len(kept)} cases")
    for (op, kind), count in sorted(Counter((case.op, case.kind) for case in kept).items()):
        print(f"  {op} {kind}: {count}")
    print(f"\nrefused by LiteRT: {len(refused)}")
    for case, why in refused:
        print(f"  {case.name}: {why[:200]}")


main()
