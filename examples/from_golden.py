"""Writes rows/*.json and tensors/*.npy anew from the models' golden vectors: `python examples/from_golden.py`."""

import json
import sys
import tomllib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
sys.path.insert(0, str(MODELS))
import bundle

# Which golden vectors to show; for gestures one running and one walking window.
CHOSEN = {"gestures": [9, 17], "diabetes-linear": [0, 1, 2], "cancer-logistic": [0, 1, 2], "wine-tree": [0, 1, 3]}


def number(value):
    """The shortest decimal that gives the same float32 back."""
    return np.format_float_positional(value, unique=True, trim="-")


def request(x):
    """The body of POST /predict for windows [n, frames, channels]: a list of windows, or of flat rows for one frame."""
    rows = [["[" + ", ".join(map(number, row)) + "]" for row in window] for window in x]
    if x.shape[1] == 1:
        text = "[\n  " + ",\n  ".join(row for (row,) in rows) + "\n]\n"
    else:
        windows = ["  [\n    " + ",\n    ".join(window) + "\n  ]" for window in rows]
        text = "[\n" + ",\n".join(windows) + "\n]\n"
    assert (np.array(json.loads(text), np.float32).reshape(x.shape) == x).all()
    return text


def main():
    for name, chosen in CHOSEN.items():
        manifest = tomllib.loads((MODELS / name / "manifest.toml").read_text(encoding="utf-8"))
        golden = np.load(MODELS / name / "golden.npz")
        x = golden["x"][chosen]
        (HERE / "rows" / f"{name}.json").write_text(request(x), encoding="utf-8")

        (tensor,) = manifest["input"]
        ready = bundle.run_recipe(manifest["preprocess"]["step"], x)
        if quantization := tensor.get("quantization"):
            ready = bundle.quantize_i8(ready, **quantization)
        np.save(HERE / "tensors" / f"{name}.npy", ready.reshape(len(x), *tensor["shape"]))
        print(name, [golden[key][chosen].tolist() for key in golden.files if key != "x"])


if __name__ == "__main__":
    main()
