"""Columns as float64 numbers, and their standardisation."""

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.data.by_blocks import blocks, computed, first_of
from fallline.data.objects import Place
from fallline.data.spelling import NUMBER
from fallline.data.table import Column
from fallline.errors import DataError
from fallline.ops import exact

CLIP = 10.0  # standard deviations: beyond, a value would move the network by itself


def standard(present: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and deviation of finite numbers; (value, 0) where all are equal, (0, 0) where there are none."""
    if len(present) == 0:
        return 0.0, 0.0
    low, high = float(present.min()), float(present.max())
    if low == high:
        return low, 0.0
    size = max(-low, high)
    # A power of two changes no bit of a number, and keeps the squares of very large and very small ones in range.
    scale = 2.0**-520 if size >= 2.0**500 else 2.0**520 if size < 2.0**-500 else 1.0
    mean, deviation = exact.mean_and_deviation_of(len(present), lambda start, stop: present[start:stop] * scale)
    return float(mean) / scale, float(deviation) / scale


def infinite(values: Column, name: str, place: Place) -> list[str]:
    """What to say of infinite values in a column of numbers."""
    if values.dtype.kind != "f":
        return []
    count = sum(int(np.count_nonzero(np.isinf(values[part]))) for part in blocks(len(values)))
    if not count:
        return []
    first = first_of(len(values), lambda part: np.isinf(values[part]))
    cells = "an infinite value" if count == 1 else f"{count} infinite values"
    return [f"{place(first or 0)}, column {name!r}: {cells}, taken as missing."]


def standardised(numbers: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.float32]:
    """(x − mean) / deviation clipped to ±10, and 0 for NaN: (rows,) float32."""
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN is a NaN
        z = np.clip((numbers - mean) / deviation, -CLIP, CLIP)
    return np.where(np.isnan(z), 0.0, z).astype(np.float32)


def as_numbers(values: Column, name: str, place: Place, notices: list[str]) -> NDArray[np.float64]:
    """A column as float64 with NaN where a number is missing or infinite.

    Raises:
        DataError: a cell is text that is no number, or a date.
    """
    if values.dtype.kind == "M":
        raise DataError(f"{place(0)}, column {name!r}: expected a number as in training, found a date.")
    if values.dtype.kind == "O":
        numbers = scratch.empty(len(values), np.float64)
        for row, cell in enumerate(values):
            numbers[row] = np.nan
            if cell is not None:
                if not NUMBER.fullmatch(cell):
                    raise DataError(
                        f"{place(row)}, column {name!r}: expected a number as in training, found {cell!r}. "
                        f"Correct that cell, or leave it empty."
                    )
                numbers[row] = float(cell)
    else:
        numbers = computed(len(values), np.float64, lambda part: values[part])
    found = infinite(numbers, name, place)
    for part in blocks(len(numbers)) if found else ():
        numbers[part][np.isinf(numbers[part])] = np.nan
    notices += found
    return numbers
