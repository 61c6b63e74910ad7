"""Rows with the same cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.spelling import distinct
from fallline.data.table import Column

Rows = NDArray[np.int64]
_ODD = np.uint64(0x9E3779B97F4A7C15)


def equal_rows(columns: Sequence[Column], rows: int) -> Rows:
    """For each row the number of the first row that has the same cells: (rows,) int64.

    Text is compared as categories are ("1.0" is "1"), missing cells are equal, and so are 0 and −0. A 64-bit mix of
    the cells finds candidates; the cells themselves decide.
    """
    mixed = np.zeros(rows, dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ _comparable(column)) * _ODD
        mixed ^= mixed >> np.uint64(32)
    _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
    found: Rows = first[inverse].astype(np.int64)
    others = np.flatnonzero(found != np.arange(rows))
    same = np.ones(len(others), dtype=bool)
    for column in columns if len(others) else ():
        cells = _comparable(column)
        same &= cells[others] == cells[found[others]]
    found[others[~same]] = others[~same]
    return found


def _comparable(column: Column) -> NDArray[Any]:
    """A column as uint64 (rows,), equal where its cells are."""
    if column.dtype.kind == "O":
        return distinct(column)[1].astype(np.uint64)
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
            numbers = column.astype(np.float64) + 0.0  # −0 becomes 0
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    return column.astype(np.int64).astype(np.uint64)
