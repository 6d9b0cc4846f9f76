"""What every `train.py` here writes: manifest.toml, golden.npz and metrics.json of one bundle folder.

The recipe is computed here in numpy float32, operation by operation as edgerun does it, so that golden vectors start
at the sensor's rows and not at the model's tensor.
"""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
from scipy import signal
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

F32 = np.float32
RATE_HZ = 10.0


# ---- the recipe ------------------------------------------------------------------------------------------------------


def run_recipe(steps, rows):
    """`rows` [..., channels] float32 through `steps`; [..., channels] float32. Knows the steps that our models use."""
    y = np.asarray(rows, F32)
    for step in steps:
        match step["do"]:
            case "missing":
                assert not np.isnan(y).any(), "our training data has no gaps"
            case "clip":
                y = np.clip(y, F32(step["low"]), F32(step["high"]))
            case "standardise":
                y = (y - F32(step["mean"])) / F32(step["std"])
            case "features":
                made = [run_recipe([each], y) for each in step["of"]]
                y = np.concatenate([each.reshape(*y.shape[:-2], 1, -1) for each in made], axis=-1)
            case "statistics":
                y = statistics(step["of"], y)
            case "band_power":
                y = band_power(step, y)
            case other:
                raise ValueError(f"no step {other!r}")
        assert y.dtype == F32
    return y


def statistics(names, rows):
    """[..., rows, columns] to [..., 1, columns x names], float64 inside."""
    x = rows.astype(np.float64)
    known = {
        "std": lambda: x.std(-2),
        "mean_abs": lambda: np.abs(x).mean(-2),
        "zero_crossings": lambda: np.count_nonzero(np.diff(x < 0, axis=-2), axis=-2),
    }
    found = np.stack([known[name]() for name in names], axis=-1)
    return found.reshape(*x.shape[:-2], 1, -1).astype(F32)


def band_power(step, rows):
    """[..., rows, columns] to [..., 1, columns x bands]: shares of the power, one segment, Hann's taper, without the mean.
    The bands' bins depend on the rate, which is RATE_HZ in all our models that have bands."""
    assert step["relative"] and set(step) == {"do", "bands", "relative"}
    f, p = signal.welch(rows.astype(np.float64), RATE_HZ, "hann", rows.shape[-2], 0, axis=-2)
    shares = [p[..., (f >= low) & (f < high), :].sum(-2) / p.sum(-2) for low, high in step["bands"]]
    return np.stack(shares, axis=-1).reshape(*rows.shape[:-2], 1, -1).astype(F32)


def quantize_i8(real, scale, zero_point):
    """clamp(round_ties_even(real / scale) + zero_point) in float32; NaN becomes the zero point."""
    q = np.rint(np.asarray(real, F32) / F32(scale)) + F32(zero_point)
    q = np.where(np.isnan(q), F32(zero_point), q)
    return np.clip(q, F32(-128), F32(127)).astype(np.int8)


def standardise(rows):
    """The `standardise` step for training rows [n, channels]: population mean and standard deviation, as float32."""
    rows = np.asarray(rows, np.float64)
    return {"do": "standardise", "mean": rows.mean(0).astype(F32), "std": rows.std(0).astype(F32)}


# ---- metrics ---------------------------------------------------------------------------------------------------------


def classification_metrics(truth, found, labels, data):
    """metrics.json of a classifier from class numbers [n]."""
    classes = list(range(len(labels)))
    metrics = {
        "task": "classification",
        "n": len(truth),
        "accuracy": float(accuracy_score(truth, found)),
        "precision": {},
        "recall": {},
        "f1": {},
    }
    names = ("precision", "recall", "f1")
    for average in ("macro", "micro", "weighted", None):
        values = precision_recall_fscore_support(truth, found, labels=classes, average=average, zero_division=0)
        for name, value in zip(names, values):
            if average is None:
                metrics[name]["per_class"] = dict(zip(labels, map(float, value)))
            else:
                metrics[name][average] = float(value)
    metrics["confusion"] = confusion_matrix(truth, found, labels=classes).tolist()
    metrics["labels"] = list(labels)
    metrics["data"] = data
    return metrics


def regression_metrics(truth, found, data):
    """metrics.json of a regression from values [n] in the target's unit."""
    return {
        "task": "regression",
        "n": len(truth),
        "rmse": float(root_mean_squared_error(truth, found)),
        "mae": float(mean_absolute_error(truth, found)),
        "r2": float(r2_score(truth, found)),
        "data": data,
    }


# ---- files -----------------------------------------------------------------------------------------------------------


def toml_value(value):
    """`value` as TOML; a float32 as the shortest decimal that gives the same float32 back, also when read as float64."""
    match value:
        case bool():
            return str(value).lower()
        case np.floating() | float():
            text = np.format_float_positional(F32(value), unique=True, trim="0")
            assert F32(float(text)) == F32(value)
            return text
        case int() | np.integer():
            return str(int(value))
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return "{ " + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + " }"
        case _:
            return "[" + ", ".join(map(toml_value, value)) + "]"


def write_manifest(folder, manifest):
    """manifest.toml from a dict: tables and lists of tables one level deep, everything below inline."""
    lines = []

    def put(key, value):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines.extend([f"{key} = [", *(f"  {toml_value(item)}," for item in value), "]"])
        else:
            lines.append(f"{key} = {toml_value(value)}")

    for key, value in manifest.items():
        if isinstance(value, dict):
            lines.extend(["", f"[{key}]"])
            for inner in value.items():
                put(*inner)
        elif isinstance(value, list) and isinstance(value[0], dict):
            for table in value:
                lines.extend(["", f"[[{key}]]"])
                for inner in table.items():
                    put(*inner)
        else:
            put(key, value)
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    (Path(folder) / "manifest.toml").write_text(text, encoding="utf-8")


def write_golden(folder, x, outputs):
    """golden.npz: `x` [n, frames, channels] float32 and one array [n, ...] for each of the model's outputs, in order."""
    assert x.dtype == F32 and x.ndim == 3
    arrays = {"x": x, **{f"y_{i}": y for i, y in enumerate(outputs)}}
    # np.savez stamps its members with 1980-01-01, so the same arrays give the same bytes.
    np.savez(Path(folder) / "golden.npz", **arrays)


def write_metrics(folder, metrics):
    """metrics.json, readable by people as well."""
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    text = re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)  # a matrix row a line
    (Path(folder) / "metrics.json").write_text(text, encoding="utf-8")
