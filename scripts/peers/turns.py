"""Programs that hold a model each and measure when told, one after the other."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """One side of a comparison. It answers a line with a number of runs by a line of JSON with their times."""

    name: str
    threads: int
    command: list
    environment: dict


class Running:
    """A program that is loaded and waits."""

    def __init__(self, program: Program, cores: set[int]) -> None:
        self.program = program
        self.process = subprocess.Popen(
            [str(word) for word in program.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **program.environment},
            # One that waits uses nothing, so all of them may have the same cores.
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        self.ready = self.answer()

    def answer(self) -> dict:
        for line in self.process.stdout:
            # LiteRT greets on the same stream.
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.program.name} ended: {' '.join(map(str, self.program.command))}")

    def turn(self, runs: int) -> dict:
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def take_turns(programs: list[Program], rounds: int, seconds: float) -> list[dict]:
    """Each program's medians; those of one thread share a core, those of several as many cores.

    `ratio` is the median over rounds of the time beside that of the peer with as many threads, the last of
    them in the list.
    """
    cores = sorted(os.sched_getaffinity(0))
    running = []
    try:
        for program in programs:
            # The last core has fewer of the machine's own chores.
            running.append(Running(program, set(cores[-program.threads :])))
        runs = []
        for one in running:
            first = one.turn(3)
            runs.append(max(1, round(seconds * 1e9 / max(first["p50_ns"], 1))))
        times = [[] for _ in running]
        for number in range(rounds + 1):
            for one, count, found in zip(running, runs, times):
                told = one.turn(count)
                # The first round warms up.
                if number:
                    found.append(told["p50_ns"])
    finally:
        for one in running:
            one.end()
    peers = {one.program.threads: found for one, found in zip(running, times)}
    return [
        {
            "name": one.program.name,
            "threads": one.program.threads,
            "isa": one.ready.get("isa"),
            "runs": count,
            "p50_ns": statistics.median(found),
            "min_ns": min(found),
            "ratio": statistics.median(a / b for a, b in zip(found, peers[one.program.threads])),
            "rounds_ns": found,
        }
        for one, count, found in zip(running, runs, times)
    ]
