"""Rows with the same cells."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import by_blocks, scratch
from fallline.data.by_blocks import blocks, chosen, first_rows, gather
from fallline.data.spelling import distinct
from fallline.data.table import Column

Rows = NDArray[np.int64]
SHARE_BITS = 5
"""Words are compared in so many halves of their range, where they are many."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


def equal_rows(columns: Sequence[Column], rows: int) -> Rows:
    """For each row the number of the first row that has the same cells: (rows,) int64.

    Text is compared as categories are ("1.0" is "1"), missing cells are equal, and so are 0 and −0. A 64-bit mix of
    the cells finds candidates; the cells themselves decide.
    """
    mixed = scratch.empty(rows, np.uint64)
    mixed[:] = 0
    comparable = [_comparable(column) for column in columns]
    for part in blocks(rows):
        for cells in comparable:
            mixed[part] = (mixed[part] ^ cells(part)) * _ODD
            mixed[part] ^= mixed[part] >> np.uint64(32)
    found = _first_equal(mixed)
    for part in blocks(rows):
        others = part.start + np.flatnonzero(found[part] != np.arange(part.start, part.stop))
        same = np.ones(len(others), dtype=bool)
        for cells in comparable if len(others) else ():
            same &= cells(others) == cells(found[others])
        found[others[~same]] = others[~same]
    return found


def _first_equal(words: NDArray[np.uint64]) -> Rows:
    """For each place the first one with the same word, share by share of the words' range."""
    rows, shift = len(words), np.uint64(64 - SHARE_BITS)
    found: Rows = scratch.empty(rows, np.int64)
    whole = rows <= by_blocks.ROWS

    def of_share(share: int, part: slice) -> Rows:
        return np.asarray(part.start + np.flatnonzero(words[part] >> shift == share))

    for share in range(1 if whole else 1 << SHARE_BITS):
        places = np.arange(rows) if whole else chosen(rows, np.int64, partial(of_share, share))
        first, place = first_rows(gather(words, places))
        for part in blocks(len(places)):
            found[places[part]] = places[first[place[part]]]
    return found


def _comparable(column: Column) -> Callable[[Any], NDArray[Any]]:
    """A function from row numbers to cells as uint64, equal where cells are."""
    if column.dtype.kind == "O":
        codes = distinct(column)[1]
        return lambda rows: codes[rows].astype(np.uint64)
    if column.dtype.kind == "f":
        return lambda rows: _bits(column[rows])
    return lambda rows: column[rows].astype(np.int64).astype(np.uint64)


def _bits(values: NDArray[Any]) -> NDArray[np.uint64]:
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        numbers = values.astype(np.float64) + 0.0  # −0 becomes 0
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
