"""Whether arrays hold NaN or infinity, quickly."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 1 << 16
"""Rows that are looked at together, so that a large array takes no memory."""


def is_finite(array: NDArray[Any]) -> bool:
    """Whether no element of a float array is NaN or infinite; arrays of other kinds never hold such."""
    if array.dtype.kind != "f":
        return True
    # Σ x² is finite only if every x is, and is found faster than the truth of each; it may overflow for good ones.
    if array.flags.forc:
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(np.vdot(array, array)):
                return True
    rows = np.atleast_1d(array)
    return all(bool(np.isfinite(rows[start : start + _ROWS]).all()) for start in range(0, len(rows), _ROWS))
