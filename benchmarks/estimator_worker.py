"""One fit of a perceptron in a process of its own: `python -m benchmarks.estimator_worker LIBRARY SET SEED`.

It fits twice the same and prints a line of JSON: seconds of the process's first `fit` and of its second, accuracy on
the test rows, epochs, processors that others kept busy meanwhile.
"""

import importlib
import json
import sys
import time
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from benchmarks.worker import busy_seconds, own_seconds

SETS: dict[str, dict[str, Any]] = {"digits": {}, "synthetic": {"max_iter": 20}}
"""What is asked of both libraries beside their defaults, on each set of data."""


def data(name: str, seed: int) -> Any:
    """Training inputs, test inputs, training labels, test labels."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        x = x / 16.0
    else:
        x, y = make_classification(125_000, 50, n_informative=20, n_classes=5, random_state=0)
        x = x.astype(np.float32)
    return train_test_split(x, y, test_size=0.2, random_state=seed, stratify=y)


def estimator(library: str) -> Any:
    """A library's class."""
    module = "fallline.sklearn" if library == "fallline" else "sklearn.neural_network"
    return importlib.import_module(module).MLPClassifier


def main(library: str, name: str, seed: int) -> dict[str, Any]:
    """Fit and score."""
    x, x_test, y, y_test = data(name, seed)
    seconds = []
    begun, others, own = time.perf_counter(), busy_seconds(), own_seconds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # both may reach max_iter
        for _ in range(2):
            model = estimator(library)(random_state=seed, **SETS[name])
            started = time.perf_counter()
            model.fit(x, y)
            seconds.append(time.perf_counter() - started)
    foreign = busy_seconds() - others - (own_seconds() - own)
    return {
        "first": seconds[0],
        "seconds": seconds[1],
        "foreign": max(0.0, foreign / (time.perf_counter() - begun)),
        "accuracy": float(model.score(x_test, y_test)),
        "epochs": int(model.n_iter_),
        "loss": float(model.loss_),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
