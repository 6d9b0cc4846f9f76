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
from scipy import ndimage, signal, stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import RobustScaler

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


def cleaning(cases):
    of = cases.rows(101, 3, seed=3)
    x = cases.arrays[of]
    x[[7, 50, 51, 99], [0, 1, 1, 2]] = [40.0, -35.0, 33.0, -60.0]
    wide = x.astype(float)
    for size in (3, 7):
        cases.add(f"median_{size}", of, {"do": "median", "size": size}, ndimage.median_filter(wide, (size, 1), mode="nearest"))
    for size, sigmas in ((5, 3.0), (11, 2.0)):
        y = wide.copy()
        for (row, column), value in np.ndenumerate(wide):
            around = wide[max(0, row - size // 2) : row + size // 2 + 1, column]
            spread = 1.4826 * stats.median_abs_deviation(around)
            if abs(value - np.median(around)) > sigmas * spread:
                y[row, column] = np.median(around)
        cases.add(f"hampel_{size}", of, {"do": "hampel", "size": size, "sigmas": sigmas}, y)
    for trend in ("constant", "linear"):
        cases.add(f"detrend_{trend}", of, {"do": "detrend", "of": trend}, signal.detrend(wide, axis=0, type=trend), 2e-7)
    for up, down in ((1, 2), (3, 2), (5, 16), (4, 1), (6, 4)):
        step = {"do": "resample", "up": up, "down": down}
        cases.add(f"resample_{up}_{down}", of, step, signal.resample_poly(wide, up, down, axis=0), 2e-7)


def scaling(cases):
    of = cases.rows(51, 3, seed=2)
    x = cases.arrays[of].astype(float)
    cases.add("min_max", of, {"do": "min_max", "min": [-1.0, -2.0, 5.0], "max": [1.5, 2.0, 12.0]},
              (x - [-1, -2, 5]) / np.subtract([1.5, 2, 12], [-1, -2, 5]), 3e-7)
    robust = RobustScaler().fit(x)
    center, scale = robust.center_.astype(np.float32), robust.scale_.astype(np.float32)
    cases.add("robust", of, {"do": "robust", "center": center, "scale": scale}, (x - center) / scale, 3e-7)
    pca = PCA(2, whiten=True).fit(x)
    weights = (pca.components_ / np.sqrt(pca.explained_variance_)[:, None]).astype(np.float32)
    step = {"do": "project", "mean": pca.mean_.astype(np.float32), "components": [list(row) for row in weights]}
    cases.add("project_whitening", of, step, pca.transform(x), 1e-6)
    cases.add("select", of, {"do": "select", "columns": ["c2", "c0"]}, x[:, [2, 0]])
    cases.add("difference", of, {"do": "difference"}, np.diff(x, axis=0), 3e-7)
    lagged = np.concatenate([x[5:], x[4:-1], x[:-5]], axis=1)
    cases.add("lags", of, {"do": "lags", "of": [0, 1, 5]}, lagged)


def window(taper):
    """As SciPy calls it."""
    return "boxcar" if taper == "rectangular" else taper


def spectra(cases):
    of = cases.rows(160, 3, seed=4)
    x = cases.arrays[of].astype(float)
    tolerance = 1e-6  # of the peak, from single precision in the transform
    cases.add("spectrum_magnitude", of, {"do": "spectrum", "welch": {"taper": "rectangular"}},
              np.abs(np.fft.rfft(x - x.mean(0), axis=0)), tolerance)
    raw = {"taper": "hamming", "detrend": "none"}
    cases.add("spectrum_raw", of, {"do": "spectrum", "welch": raw},
              np.abs(np.fft.rfft(x * signal.get_window("hamming", 160)[:, None], axis=0)), tolerance)
    for taper in ("hann", "hamming", "blackman", "rectangular"):
        for segment, overlap, trend in ((64, 32, "constant"), (51, 10, "linear"), (160, 0, "constant")):
            welch = {"segment": segment, "overlap": overlap, "taper": taper, "detrend": trend}
            for scaling, name in (("density", "density"), ("spectrum", "power")):
                _, y = signal.welch(x, RATE, window(taper), segment, overlap, detrend=trend, scaling=scaling, axis=0)
                step = {"do": "spectrum", "scaling": name, "welch": welch}
                if scaling == "density" or taper == "hann":
                    cases.add(f"spectrum_{name}_{taper}_{segment}", of, step, y, tolerance)
    f, p = signal.welch(x, RATE, "hann", 64, 32, axis=0)
    welch = {"segment": 64}
    bands = [[0.0, 4.0], [4.0, 12.5], [12.5, 60.0]]
    power = [p[(f >= low) & (f < high), c].sum() * f[1] for c in range(3) for low, high in bands]
    cases.add("band_power", of, {"do": "band_power", "bands": bands, "welch": welch}, power, tolerance)
    share = [p[(f >= low) & (f < high), c].sum() / p[:, c].sum() for c in range(3) for low, high in bands]
    cases.add("band_power_relative", of, {"do": "band_power", "bands": bands, "relative": True, "welch": welch}, share, tolerance)
    s = p / p.sum(0)
    centroid = (f[:, None] * s).sum(0)
    each = {
        "centroid": centroid,
        "spread": np.sqrt(((f[:, None] - centroid) ** 2 * s).sum(0)),
        "rolloff": f[(np.cumsum(s, 0) >= 0.85).argmax(0)],
        "flatness": stats.gmean(p, axis=0) / p.mean(0),
        "entropy": stats.entropy(s, axis=0) / np.log(len(f)),
        "peak": f[p.argmax(0)],
    }
    for name, y in each.items():
        cases.add(f"spectral_{name}", of, {"do": "spectral_shape", "of": [name], "welch": welch}, y, tolerance)
    of_both = [
        {"do": "statistics", "of": ["rms", "kurtosis"]},
        {"do": "band_power", "bands": bands, "welch": welch},
        {"do": "lags", "of": [0, 157]},
    ]
    both = [v for c in range(3) for v in (np.sqrt(np.mean(x[:, c] ** 2)), stats.kurtosis(x[:, c]))]
    lags = np.concatenate([x[157:], x[:-157]], axis=1).ravel()
    cases.add("features", of, {"do": "features", "of": of_both}, np.concatenate([both, power, lags]), tolerance)


if __name__ == "__main__":
    cases = Cases()
    filters(cases)
    statistics(cases)
    cleaning(cases)
    scaling(cases)
    spectra(cases)
    cases.write()
