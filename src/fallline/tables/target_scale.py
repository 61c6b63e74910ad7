"""The scale on which numbers are predicted: as they are, or their logarithm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import computed
from fallline.data.numbers import standard
from fallline.data.table import Table
from fallline.data.targets import NumberTarget, target_numbers
from fallline.errors import ArgumentError
from fallline.ops import exact
from fallline.tables.findings import about_limits, limits

Array = NDArray[Any]
SCALES = ("auto", "linear", "log")
SKEWED = 10.0
"""From this skewness on the logarithm is taken: below, it was found to worsen the root mean squared error."""


def fit_number_target(training: Table, target: str, scale: str, notices: list[str]) -> NumberTarget:
    """What translates a target of numbers, fitted on the training rows; what it decides is told.

    Args:
        training: the training rows.
        target: its name.
        scale: "auto", "linear" or "log".
        notices: receives what is told.

    Raises:
        ArgumentError: there is no such scale.
        DataError: the target does not fit it.
    """
    if scale not in SCALES:
        raise ArgumentError(f"the target's scale must be one of {', '.join(SCALES)}; found {scale!r}")
    values = target_numbers(training.column(target), target, training.place)
    log = scale == "log" or (scale == "auto" and heavily_skewed(values))
    low, high = limits(values)
    found = about_limits(target, values, low, high)
    if log:
        low, high = float(values.min()), float(values.max())  # beyond them, eˣ makes a small error a large one
        why = "as you said" if scale == "log" else "it is positive, and a few values are far above the others"
        notices.append(
            f"The target {target!r} is learnt on a logarithmic scale ({why}); predictions, which stay "
            "within the range of the training rows, and scores are in its own units. --target-scale linear takes it as "
            "it is."
        )
    notices += found
    return NumberTarget.fit(training.column(target), target, training.place, log, low, high)


def heavily_skewed(values: Array) -> bool:
    """Whether numbers are positive and their skewness is above `SKEWED` and that of their logarithms is much less."""
    if not values.min() > 0 or not skewness(values) > SKEWED:
        return False
    return abs(skewness(computed(len(values), np.float64, lambda part: exact.log(values[part])))) < 1.5


def skewness(values: Array) -> float:
    """The mean of ((x − mean)/deviation)³, in a stated order; 0 where all are equal."""
    mean, deviation = standard(values)
    if not deviation > 0:
        return 0.0

    def cubes(start: int, stop: int) -> Array:
        z = (values[start:stop] - mean) / deviation
        return np.asarray(z * z * z)

    return float(exact.tree_sum_of(len(values), cubes)) / len(values)
