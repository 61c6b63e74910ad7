"""The scores by which early stopping decides, as scikit-learn defines them, with sums in a stated order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ops import exact

Array = NDArray[Any]


def accuracy(truth: Array, predicted: Array, weight: Array | None = None) -> float:
    """The share of rows whose label is right; of several labels, all of them. `sklearn.metrics.accuracy_score`."""
    right = np.asarray(truth == predicted)
    hits: Array = right if right.ndim == 1 else np.all(right, axis=1)
    return weighted_mean(hits.astype(np.float64), weight)


def r2(truth: Array, predicted: Array, weight: Array | None = None) -> float:
    """1 − Σ(t − p)²/Σ(t − mean t)², the mean over outputs; a constant output counts 1 where exactly met, else 0.

    `sklearn.metrics.r2_score`.
    """
    t, p = (np.asarray(array, dtype=np.float64).reshape(len(truth), -1) for array in (truth, predicted))
    w = np.ones(len(t)) if weight is None else np.asarray(weight, dtype=np.float64)
    mean = exact.tree_sum(t * w[:, None]) / exact.tree_sum(w)
    residual = exact.tree_sum((t - p) ** 2 * w[:, None])
    spread = exact.tree_sum((t - mean) ** 2 * w[:, None])
    scores = np.where(residual == 0.0, 1.0, 0.0)
    varied = spread != 0.0
    scores[varied] = 1.0 - residual[varied] / spread[varied]
    return float(exact.tree_sum(scores)) / len(scores)


def weighted_mean(numbers: Array, weight: Array | None) -> float:
    """Σ w·x / Σ w."""
    if weight is None:
        return float(exact.tree_sum(numbers)) / len(numbers)
    return float(exact.tree_sum(numbers * weight)) / float(exact.tree_sum(weight))
