"""Counts as JSON and as Markdown."""

import datetime
import math
import platform

from emulator import version_of


def machine() -> dict:
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "host": platform.platform(),
        "qemu": version_of("qemu-aarch64"),
        "llvm_mca": version_of("llvm-mca"),
    }


def side(counted) -> dict:
    """One program on one model."""
    total = counted.instructions
    stretches = [
        {
            "function": stretch.function,
            "kind": stretch.kind(),
            "loop": stretch.is_loop(),
            "address": f"{stretch.body[0].address:#x}",
            "share": stretch.executed / total,
            "turns": stretch.turns,
            "instructions": len(stretch.body),
            "macs": stretch.macs,
            "cycles": cycles.cycles,
            "bound": cycles.bound,
            "bound_by": cycles.by,
        }
        for stretch, cycles in counted.stretches
    ]
    functions = [
        {"function": name, "instructions": count, "share": count / total}
        for name, count in counted.functions.most_common(25)
    ]
    return {"instructions": total, "functions": functions, "stretches": stretches}


def progress(model: str, cpu: str, found: dict) -> str:
    peers = (
        f"{kind} {found[kind]['instructions'] / 1e3:,.0f}k, ratio {found[kind]['ratio']:.2f}, "
        f"{found[kind]['outputs']['differ']} of {found[kind]['outputs']['bytes']} bytes differ"
        for kind in ("xnnpack", "builtin")
        if kind in found
    )
    return f"{model} {cpu}: edgerun {found['edgerun']['instructions'] / 1e3:,.0f}k, " + "; ".join(peers)


def table(head: list, rows: list) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def thousands(count: float) -> str:
    return f"{count / 1e3:,.0f}"


def markdown(whole: dict) -> str:
    return "\n".join(
        (
            f"edgerun {whole['commit']}, {whole['date']}; qemu {whole['qemu']}, llvm-mca {whole['llvm_mca']}\n",
            "Thousands of instructions of one inference:\n",
            counts(whole),
            "Operators with 2 % of ours or more (the first has what lies between two runs, too):\n",
            operators(whole),
            "Functions with 2 % of a model's instructions or more, ours:\n",
            functions(whole, "edgerun"),
            "The peer's, by address in its library:\n",
            functions(whole, "xnnpack"),
            "Inner loops by llvm-mca:\n",
            loops(whole),
            "Thousands of cycles of one inference, were each stretch of straight code followed by itself:\n",
            cycle_sums(whole),
        )
    )


def counts(whole: dict) -> str:
    cpus = list(whole["summary"])
    peers = [kind for kind in ("xnnpack", "builtin") if kind in whole["models"][0]["cpus"][cpus[0]]]
    head = ["model"]
    for cpu in cpus:
        head += [f"{cpu}: edgerun"] + [word for kind in peers for word in (kind, "ratio")]
    head.append("output bytes that differ")
    rows = []
    for model in whole["models"]:
        row, apart = [model["model"]], []
        for cpu in cpus:
            found = model["cpus"][cpu]
            row.append(thousands(found["edgerun"]["instructions"]))
            for kind in peers:
                row += [thousands(found[kind]["instructions"]), f"{found[kind]['ratio']:.2f}"]
            outputs = found["xnnpack"]["outputs"]
            by = f", by {outputs['most']} at most" if outputs["differ"] else ""
            apart.append(f"{outputs['differ']} of {outputs['bytes']}{by}")
        # One text where all CPUs agree.
        row.append("; ".join(dict.fromkeys(apart)))
        rows.append(row)
    for name, key in (("geometric mean", "geometric_mean"), ("worst", "worst")):
        row = [name]
        for cpu in cpus:
            row += ["", "", f"{whole['summary'][cpu][key]:.3f}"] + ["", ""] * (len(peers) - 1)
        rows.append(row + [""])
    return table(head, rows)


def operators(whole: dict) -> str:
    cpus = list(whole["summary"])
    head = ["model", "operator"]
    for cpu in cpus:
        head += [f"{cpu}: edgerun", "share", "each MAC", "xnnpack", "ratio"]
    rows = []
    for model in whole["models"]:
        each = [model["cpus"][cpu]["ops"] for cpu in cpus]
        for same in zip(*each):
            op = same[0]
            row = [model["model"], f"{op['node']} {op['op']} {'x'.join(map(str, op['output']))}"]
            shares = []
            for cpu, op in zip(cpus, same):
                shares.append(op["instructions"] / model["cpus"][cpu]["edgerun"]["instructions"])
                row += [thousands(op["instructions"]), f"{shares[-1]:.0%}"]
                row.append(f"{op['instructions'] / op['macs']:.3f}" if op["macs"] else "")
                theirs = op["xnnpack"]
                row += [thousands(theirs), f"{op['instructions'] / theirs:.2f}"] if theirs else ["", ""]
            if max(shares) >= 0.02:
                rows.append(row)
    return table(head, rows)


def functions(whole: dict, kind: str) -> str:
    rows = []
    for model in whole["models"]:
        for cpu, found in model["cpus"].items():
            for function in found[kind]["functions"]:
                if function["share"] >= 0.02:
                    name = f"`{function['function']}`"
                    count = thousands(function["instructions"])
                    rows.append([model["model"], cpu, name, count, f"{function['share']:.0%}"])
    return table(["model", "CPU", "function", "thousands", "share"], rows)


def loops(whole: dict) -> str:
    """Inner loops with a twentieth of a model's instructions, where their share is largest."""
    best = {}
    for model in whole["models"]:
        for cpu, found in model["cpus"].items():
            for kind in ("edgerun", "xnnpack"):
                for loop in found[kind]["stretches"]:
                    key = (cpu, kind, loop["address"], loop["instructions"])
                    large = loop["loop"] and loop["share"] >= 0.05
                    if large and (key not in best or loop["share"] > best[key][1]["share"]):
                        best[key] = (model["model"], loop)
    rows = []
    for (cpu, kind, address, _), (model, loop) in sorted(best.items(), key=order):
        name = loop["function"] if kind == "edgerun" else address
        rows.append(
            [
                cpu,
                kind,
                f"`{name}` {loop['kind']}",
                f"{model} {loop['share']:.0%}",
                str(loop["instructions"]),
                str(loop["macs"] or ""),
                f"{loop['cycles']:.1f}",
                f"{loop['macs'] / loop['cycles']:.2f}" if loop["macs"] else "",
                f"{loop['bound'] / loop['cycles']:.0%} ({loop['bound_by']})",
            ]
        )
    head = ["CPU", "program", "loop", "largest share", "instructions", "MAC", "cycles", "MAC/cycle", "of bound"]
    return table(head, rows)


def order(item: tuple) -> tuple:
    (cpu, kind, _, _), (_, loop) = item
    return cpu, kind, -loop["share"]


def cycle_sums(whole: dict) -> str:
    cpus = list(whole["summary"])
    head = ["model"]
    for cpu in cpus:
        head += [f"{cpu}: edgerun", "xnnpack", "ratio"]
    rows, ratios = [], {cpu: [] for cpu in cpus}
    for model in whole["models"]:
        row = [model["model"]]
        for cpu in cpus:
            sums = []
            for kind in ("edgerun", "xnnpack"):
                of = model["cpus"][cpu][kind]["stretches"]
                known = sum(one["share"] for one in of)
                sums.append(sum(one["turns"] * one["cycles"] for one in of) / known)
            ratios[cpu].append(sums[0] / sums[1])
            row += [thousands(sums[0]), thousands(sums[1]), f"{ratios[cpu][-1]:.2f}"]
        rows.append(row)
    for name, of in (("geometric mean", geometric_mean), ("worst", max)):
        row = [name]
        for cpu in cpus:
            row += ["", "", f"{of(ratios[cpu]):.3f}"]
        rows.append(row)
    return table(head, rows)


def geometric_mean(values: list) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
