"""What was timed as tables."""

from __future__ import annotations

import datetime
import json
import math
import platform
import subprocess
import sys
from importlib.metadata import version


def run(command: list) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def json_of(command: list) -> dict:
    return json.loads(run(command))


def python() -> str:
    return sys.executable


def machine() -> dict:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "cpu": names[0] if names else platform.processor(),
        "cores": len(names),
        "host": platform.platform(),
        "peers": {name: version(name) for name in ("ai-edge-litert", "onnxruntime")},
    }


def sides(row: dict) -> tuple[list, list]:
    """Ours and the peer's, of one thread first."""
    peer = {"LiteRT", "onnxruntime"}
    ours = [program for program in row["programs"] if program["name"] not in peer]
    return ours, [program for program in row["programs"] if program["name"] in peer]


def short(nanoseconds: float) -> str:
    micros = nanoseconds / 1e3
    return f"{micros:,.1f} µs" if micros < 1000 else f"{micros / 1e3:,.2f} ms"


def progress(row: dict) -> str:
    ours, peers = sides(row)
    words = [f"{one['name']} ({one['isa']}, {one['threads']}) {short(one['p50_ns'])} {one['ratio']:.2f}" for one in ours]
    words += [f"{one['name']} ({one['threads']}) {short(one['p50_ns'])}" for one in peers]
    return f"{row['model']}: " + ", ".join(words) + f"; {agreement(row['apart'])}"


def agreement(apart: dict) -> str:
    if not apart["differ"]:
        return "the same"
    return f"{apart['differ']} of {apart['values']} differ, by {apart['most']:.2g}"


def geometric_mean(values: list) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(rows: list, group: str) -> dict:
    """Of each of our columns: geometric mean and worst."""
    own = [sides(row)[0] for row in rows if row["group"] == group]
    found = {}
    for column in zip(*own):
        name = f"{column[0]['name']}-{column[0]['threads']}"
        ratios = [one["ratio"] for one in column]
        found[name] = {"geometric_mean": geometric_mean(ratios), "worst": max(ratios)}
    return found


def table(head: list, rows: list) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def markdown(whole: dict, goals: dict) -> str:
    peers = ", ".join(f"{name} {number}" for name, number in whole["peers"].items())
    parts = [
        f"edgerun {whole['commit']}, {whole['date']}; {whole['cpu']}, {whole['cores']} cores; {peers}; "
        f"medians of {whole['rounds']} rounds\n"
    ]
    for group, means in whole["groups"].items():
        rows = [row for row in whole["models"] if row["group"] == group]
        goal = f" (goal: mean {goals[group][0]}, worst {goals[group][1]})" if group in goals else ""
        parts += [f"**{group}**{goal}\n", one_group(rows, means)]
    return "\n".join(parts)


def one_group(rows: list, means: dict) -> str:
    ours, peers = sides(rows[0])

    def title(one: dict) -> str:
        threads = f", {one['threads']} threads" if one["threads"] > 1 else ""
        return f"{one['name']}{threads}" if one["isa"] == one["name"] else f"{one['name']} ({one['isa']}{threads})"

    head = ["model"]
    for one in ours:
        head += [title(one), "ratio"]
    head += [one["name"] + (f", {one['threads']} threads" if one["threads"] > 1 else "") for one in peers]
    several = len(peers) > 1
    if several:
        head += ["speed-up", "peer's"]
    head.append("outputs")
    lines = []
    for row in rows:
        own, theirs = sides(row)
        line = [row["model"]]
        for one in own:
            line += [short(one["p50_ns"]), f"{one['ratio']:.2f}"]
        line += [short(one["p50_ns"]) for one in theirs]
        if several:
            line += [f"{side[0]['p50_ns'] / side[-1]['p50_ns']:.2f}" for side in (own, theirs)]
        lines.append(line + [agreement(row["apart"])])
    for name, key in (("geometric mean", "geometric_mean"), ("worst", "worst")):
        line = [name]
        for mean in means.values():
            line += ["", f"{mean[key]:.3f}"]
        lines.append(line + [""] * (len(head) - len(line)))
    return table(head, lines)


def check_agreement(rows: list) -> None:
    """Ends with an error where a model's outputs are not what the peer gives: its time means nothing."""
    for row in rows:
        apart = row["apart"]
        # Of quantized ONNX, in floats, one step of the last quantization may be off.
        if apart["most"] > 2 or apart["differ"] > apart["values"] / 10 and apart["most"] > 0.05:
            raise SystemExit(f"{row['model']}: the outputs are not the same: {agreement(apart)}")
