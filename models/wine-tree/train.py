"""Fits the decision tree and writes its bundle: wine-tree.onnx, manifest.toml, golden.npz, metrics.json.

pip install -r models/requirements.txt
python models/wine-tree/train.py
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.tree import DecisionTreeClassifier

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import classic


def main():
    wine = load_wine()
    x = wine.data.astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        x, wine.target, test_size=0.25, random_state=0, stratify=wine.target
    )

    # A tree compares each value with a threshold, so its rows need no scaling.
    steps = [{"do": "missing", "policy": "drop"}]
    # How far it may grow is found by cross-validation inside the training split.
    grid = {"max_depth": [2, 3, 4, 5], "min_samples_leaf": [2, 4, 8]}
    estimator = GridSearchCV(DecisionTreeClassifier(random_state=0), grid, cv=5).fit(train_x, train_y).best_estimator_

    about = {
        "name": "wine-tree",
        "version": "1.0.0",
        "description": "Which of three cultivars a wine is made of, from 13 chemical measures; decision tree.",
        "origin": "Wine, UCI Machine Learning Repository (Aeberhard and Forina), doi:10.24432/C5PC7J, CC BY 4.0; 178 wines; "
        "shipped with scikit-learn.",
    }
    data = "45 of the 178 wines, held out: train_test_split(test_size=0.25, random_state=0, stratify=y)"
    postprocess = {
        "kind": "classification",
        "output": "probabilities",
        "threshold": 0.5,
        "hysteresis": 0.0,
        "hold": 1,
        "top": 3,
    }
    channels = classic.channels(wine.feature_names)
    labels = [str(name) for name in wine.target_names]
    classic.write_bundle(FOLDER, estimator, about, channels, steps, (test_x, test_y, data), postprocess, labels)


if __name__ == "__main__":
    main()
