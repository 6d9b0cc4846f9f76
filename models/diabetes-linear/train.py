"""Fits the linear regression and writes its bundle: diabetes-linear.onnx, manifest.toml, golden.npz, metrics.json.

pip install -r models/requirements.txt
python models/diabetes-linear/train.py
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import bundle
import classic


def main():
    diabetes = load_diabetes(scaled=False)  # as measured, not centred over all 442 people
    x = diabetes.data.astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(x, diabetes.target, test_size=0.25, random_state=0)

    steps = [{"do": "missing", "policy": "drop"}, bundle.standardise(train_x)]
    standardised = bundle.run_recipe(steps, train_x).astype(np.float64)
    estimator = LinearRegression().fit(standardised, train_y)

    about = {
        "name": "diabetes-linear",
        "version": "1.0.0",
        "description": "Progression of diabetes one year after ten baseline measurements; linear regression.",
        "origin": "Diabetes data of Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression (2004): 442 people; "
        "shipped with scikit-learn. No licence is stated for the data.",
    }
    data = "111 of the 442 people, held out: train_test_split(test_size=0.25, random_state=0)"
    postprocess = {"kind": "regression", "output": "y", "unit": ""}
    channels = classic.channels(diabetes.feature_names, {"age": "years", "bmi": "kg/m²"})
    classic.write_bundle(FOLDER, estimator, about, channels, steps, (test_x, test_y, data), postprocess)


if __name__ == "__main__":
    main()
