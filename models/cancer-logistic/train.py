"""Fits the logistic regression and writes its bundle: cancer-logistic.onnx, manifest.toml, golden.npz, metrics.json.

pip install -r models/requirements.txt
python models/cancer-logistic/train.py
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import bundle
import classic


def main():
    cancer = load_breast_cancer()
    x = cancer.data.astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        x, cancer.target, test_size=0.25, random_state=0, stratify=cancer.target
    )

    steps = [{"do": "missing", "policy": "drop"}, bundle.standardise(train_x)]
    standardised = bundle.run_recipe(steps, train_x).astype(np.float64)
    estimator = LogisticRegression().fit(standardised, train_y)

    about = {
        "name": "cancer-logistic",
        "version": "1.0.0",
        "description": "Malignant or benign from 30 measures of cell nuclei in one image; logistic regression.",
        "origin": "Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository, doi:10.24432/C5DW2B, CC BY 4.0; "
        "569 images; shipped with scikit-learn.",
    }
    data = "143 of the 569 images, held out: train_test_split(test_size=0.25, random_state=0, stratify=y)"
    postprocess = {
        "kind": "classification",
        "output": "probabilities",
        "threshold": 0.5,
        "hysteresis": 0.0,
        "hold": 1,
        "top": 2,
    }
    channels = classic.channels(cancer.feature_names)
    labels = [str(name) for name in cancer.target_names]
    classic.write_bundle(FOLDER, estimator, about, channels, steps, (test_x, test_y, data), postprocess, labels)


if __name__ == "__main__":
    main()
