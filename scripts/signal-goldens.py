#!/usr/bin/env python3
"""Writes tests/data/signal/scipy.toml and scipy.npz: recipes, and what SciPy and NumPy make of the same rows.

    scripts/signal-goldens.py

Needs numpy, scipy and scikit-learn. Seeded. A case is a recipe: `frames`, `channels`, `rate` and `step` as a manifest has
them; `rows` names an array [frames, channels] float32, and the array of the case's own name is what must come of it, to within
`tolerance` times its largest absolute value. Each is computed in float64 from the float32 rows.
"""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy import signal, stats

OUT = Path(__file__).parent.parent / "tests" / "data" / "signal"
RATE = 100.0
# What float32 keeps of a value computed in float64.
ROUNDED = 1e-7


def rows(frames, channels, seed=1):
    """Tones, a drift and noise: every channel another."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / RATE
    c = np.arange(channels)[None, :]
    x = np.sin(2 * np.pi * (3 + 7 * c) * t) + 0.4 * np.cos(2 * np.pi * 21.5 * t) + 0.3 * t * (c - 1) + 9.81 * (c == 2)
    return (x + 0.1 * rng.standard_normal((frames, channels))).astype(np.float32)


def toml(value):
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value)
        case float() | np.floating():
            return repr(float(value))
        case int() | np.integer():
            return str(int(value))
        case dict():
            return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
        case list() | tuple() | np.ndarray():
            return "[" + ", ".join(toml(v) for v in value) + "]"
    raise TypeError(type(value))


class Cases:
    def __init__(self):
        self.text = [
            f"# Written by scripts/signal-goldens.py with NumPy {np.__version__} and SciPy {scipy.__version__}.\n"
        ]
        self.arrays = {}

    def rows(self, frames, channels, seed=1):
        """Rows under a name that cases share."""
        name = f"rows_{frames}_{channels}_{seed}"
        self.arrays[name] = rows(frames, channels, seed)
        return name

    def add(self, name, of, steps, y, tolerance=ROUNDED, rate=RATE):
        x = self.arrays[of]
        steps = steps if isinstance(steps, list) else [steps]
        lines = ["", "[[case]]", f'name = "{name}"', f"tolerance = {tolerance!r}", f"frames = {x.shape[0]}"]
        lines += [f'rate = "{rate:g} Hz"'] if rate else []
        lines += [f"channels = {x.shape[1]}", f'rows = "{of}"', f"step = {toml(steps)}"]
        self.text.append("\n".join(lines) + "\n")
        y = np.asarray(y, np.float64)
        self.arrays[name] = y.reshape(1, -1) if y.ndim == 1 else y

    def write(self):
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "scipy.toml").write_text("".join(self.text))
        np.savez_compressed(OUT / "scipy.npz", **self.arrays)


def filters(cases):
    of = cases.rows(160, 3)
    x = cases.arrays[of].astype(float)
    for pass_, btype in [("low", "lowpass"), ("high", "highpass"), ("band", "bandpass"), ("stop", "bandstop")]:
        band = pass_ in ("band", "stop")
        # A band of order 12 is beyond what SciPy's own sections keep to 1e-7.
        for order in (1, 2, 5, 8) if band else (1, 2, 5, 12):
            cutoff = [4.0, 17.5] if band else 12.5
            sos = signal.butter(order, cutoff, btype, fs=RATE, output="sos")
            step = {"do": "filter", "pass": pass_, "order": order, "cutoff_hz": cutoff, "start": "zero"}
            cases.add(f"filter_{pass_}_{order}", of, step, signal.sosfilt(sos, x, axis=0))
    sos = signal.butter(2, [0.05, 0.7], "bandpass", fs=RATE, output="sos")
    step = {"do": "filter", "pass": "band", "order": 2, "cutoff_hz": [0.05, 0.7]}
    cases.add("filter_narrow", of, step | {"start": "zero"}, signal.sosfilt(sos, x, axis=0))
    zi = signal.sosfilt_zi(sos)[:, :, None] * x[0]
    cases.add("filter_steady", of, step, signal.sosfilt(sos, x, axis=0, zi=zi)[0])


def statistics(cases):
    each = {
        "mean": np.mean,
        "variance": np.var,
        "std": np.std,
        "rms": lambda x: np.sqrt(np.mean(x * x)),
        "min": np.min,
        "max": np.max,
        "median": np.median,
        "peak": lambda x: np.abs(x).max(),
        "peak_to_peak": np.ptp,
        "crest": lambda x: np.abs(x).max() / np.sqrt(np.mean(x * x)),
        "mean_abs": lambda x: np.abs(x).mean(),
        "skewness": stats.skew,
        "kurtosis": stats.kurtosis,
        "zero_crossings": lambda x: np.count_nonzero(np.diff(x < 0)),
        "energy": lambda x: np.sum(x * x),
        "last": lambda x: x[-1],
        "change": lambda x: x[-1] - x[0],
    }
    for frames in (160, 51):
        of = cases.rows(frames, 3, seed=2)
        x = cases.arrays[of].astype(float)
        # One by one, since the largest would hide the others.
        for name, f in each.items():
            y = [f(x[:, c]) for c in range(3)]
            cases.add(f"statistics_{name}_{frames}", of, {"do": "statistics", "of": [name]}, y, rate=None)
    y = [f(x[:, c]) for c in range(3) for f in each.values()]
    cases.add("statistics_all", of, {"do": "statistics", "of": list(each)}, y, rate=None)


if __name__ == "__main__":
    cases = Cases()
    filters(cases)
    statistics(cases)
    cases.write()
