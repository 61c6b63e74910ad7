"""What a report measures of predictions. Numbers for people: nothing here reaches a weight."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 1.959963984540054
"""Standard deviations within which 95 % of a normal distribution lies."""


def wilson(right: float, rows: float) -> tuple[float, float]:
    """The 95 % interval of a share, of which `right` of `rows` were counted (Wilson 1927)."""
    if rows == 0:
        return 0.0, 1.0
    share, square = right / rows, LEVEL * LEVEL
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = LEVEL / (1 + square / rows) * np.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def resampled(values: Any, seed: int = 0, times: int = 200) -> Array:
    """Means of each column over rows drawn with replacement: (rows, columns) → (times, columns).

    The bootstrap of Efron 1979: how the means would spread over other rows of the same kind.
    """
    table = np.asarray(values, dtype=np.float64)
    rows = len(table)
    chance = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(chance.integers(0, rows, rows), minlength=rows) for _ in range(times)])
    return np.asarray(drawn @ table) / rows


def interval(samples: Any) -> tuple[Array, Array]:
    """The 2.5 % and 97.5 % points of each column."""
    low, high = np.percentile(np.asarray(samples), [2.5, 97.5], axis=0)
    return np.asarray(low), np.asarray(high)


@dataclass(frozen=True)
class Ranking:
    """How well a score separates one class from the others, for every threshold.

    Attributes:
        false_positives, true_positives: the ROC curve's shares, from (0, 0) to (1, 1).
        recall, precision: the precision-recall curve, from the highest threshold down.
        area: under the ROC curve: the chance that a row of the class scores above another one.
        average_precision: Σ (recallₖ − recallₖ₋₁) · precisionₖ.
        share: how many of the rows are of the class; the precision of guessing.
    """

    false_positives: Array
    true_positives: Array
    recall: Array
    precision: Array
    area: float
    average_precision: float
    share: float


def ranking(belongs: Any, score: Any) -> Ranking | None:
    """The curves of a class against the rest; None where the rows are all, or none, of that class.

    Args:
        belongs: (rows,) whether a row is of the class.
        score: (rows,) higher where the model is surer that it is.
    """
    positive, values = np.asarray(belongs, dtype=bool), np.asarray(score, dtype=np.float64)
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return None
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # of rows with equal scores
    hits = np.cumsum(positive[order])[last].astype(np.float64)
    misses = 1.0 + last - hits
    recall, precision = hits / count, hits / (hits + misses)
    across, up = np.append(0.0, misses / others), np.append(0.0, recall)
    area = float(np.sum(np.diff(across) * (up[1:] + up[:-1]) / 2))
    average = float(np.sum(np.diff(np.append(0.0, recall)) * precision))
    return Ranking(across, up, recall, precision, area, average, count / len(values))


@dataclass(frozen=True)
class Bin:
    """Rows whose predictions are alike.

    Attributes:
        predicted, found: the mean of the predictions, and of what was found.
        low, high: the 95 % interval of `found`.
        rows: how many there are.
    """

    predicted: float
    found: float
    low: float
    high: float
    rows: int


def chance_bins(chances: Any, happened: Any, bins: int = 10) -> list[Bin]:
    """Predicted chances against how often it happened, in `bins` equal parts of 0 to 1; empty ones are left out."""
    given, came = np.asarray(chances, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    place = np.minimum((given * bins).astype(np.int64), bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        rows = int(inside.sum())
        if rows:
            low, high = wilson(float(came[inside].sum()), rows)
            found.append(Bin(float(given[inside].mean()), float(came[inside].mean()), low, high, rows))
    return found


def calibration_error(bins: list[Bin]) -> float:
    """Σ rows/all · |found − predicted|: the expected calibration error (Naeini et al. 2015)."""
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.found - one.predicted) for one in bins) / max(rows, 1)


def value_bins(predicted: Any, true: Any, bins: int = 10) -> list[Bin]:
    """Predicted values against the mean of the true ones, in parts of as many rows each (at least 5)."""
    given, came = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    size = float(np.abs(came).max(initial=0.0)) or 1.0  # keeps squares in range
    order = np.argsort(given, kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(order) // 5)))
    found = []
    for part in parts:
        rows, mean = len(part), float(came[part].mean())
        half = LEVEL * float((came[part] / size).std(ddof=1)) * size / np.sqrt(rows) if rows > 1 else 0.0
        found.append(Bin(float(given[part].mean()), mean, mean - float(half), mean + float(half), rows))
    return found


def confusion_counts(true: Any, predicted: Any, classes: int) -> NDArray[np.int64]:
    """How often each class (lines) was taken for each class (columns): (classes, classes)."""
    flat = np.asarray(true, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)
