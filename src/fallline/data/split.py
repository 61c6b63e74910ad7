"""Rows split in two, by random words that depend on (seed, purpose) alone."""

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.errors import ArgumentError, DataError
from fallline.ops import philox

Rows = NDArray[np.int64]


def split_rows(codes: ArrayLike | None, rows: int, fraction: float, seed: int, purpose: str) -> tuple[Rows, Rows]:
    """Two sets of row numbers: the rest, and a part of about fraction · rows rows.

    With class codes the part holds each class in proportion (largest remainders first), and at least one row of
    each class stays in the rest. Within a class, the rows with the smallest random words go to the part.

    Args:
        codes: the class of each row (rows,), or None.
        rows: the number of rows.
        fraction: between 0 and 1, of the rows.
        seed: the run's seed.
        purpose: what the split is for, such as "validation": other purposes split otherwise.

    Returns:
        rest, part: row numbers, ascending; together every row once. Both have at least one row.

    Raises:
        ArgumentError: the fraction is not between 0 and 1.
        DataError: there are too few rows, or with every class on one row only, to split off any.
    """
    if not 0 < fraction < 1:
        raise ArgumentError(
            f"The fraction of rows to split off for {purpose} needs 0 < fraction < 1, got {fraction!r}."
        )
    if rows < 2:
        raise DataError(f"{rows} rows cannot be split for {purpose}: at least 2 are needed. Give more rows.")
    groups = np.zeros(rows, dtype=np.int64) if codes is None else np.asarray(codes, dtype=np.int64)
    if groups.shape != (rows,):
        raise ArgumentError(f"The class codes need the shape ({rows},), one for each row; they have {groups.shape}.")
    names, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = min(max(1, _rounded(Fraction(fraction) * rows)), rows - 1)
    taken = _shares(counts, Fraction(wanted, rows), wanted)
    if taken.sum() == 0:
        raise DataError(
            f"{rows} rows in {len(names)} classes cannot be split for {purpose}: every class has one row only, which "
            f"training needs. Give more rows of each class."
        )
    order = np.lexsort((np.arange(rows), random_words(rows, seed, purpose), group))
    begins = np.concatenate(([0], np.cumsum(counts)[:-1]))
    rank = np.arange(rows) - begins[group[order]]
    in_part = np.zeros(rows, dtype=bool)
    in_part[order] = rank < taken[group[order]]
    return np.flatnonzero(~in_part), np.flatnonzero(in_part)


def random_words(rows: int, seed: int, purpose: str) -> NDArray[np.uint64]:
    """One random 64-bit word for each row."""
    high, low = philox.words(philox.key(seed, purpose), [0, 1], rows).astype(np.uint64)
    return np.asarray((high << np.uint64(32)) | low)


def _shares(counts: NDArray[np.int64], share: Fraction, wanted: int) -> NDArray[np.int64]:
    """How many rows of each class go to the part: `wanted` in all, unless that would take a class's last row."""
    exact = [share * int(count) for count in counts]
    taken = np.asarray([min(int(value), int(count) - 1) for value, count in zip(exact, counts, strict=True)])
    by_remainder = sorted(range(len(counts)), key=lambda c: (int(exact[c]) - exact[c], c))
    for c in by_remainder * 2:  # the second round gives on what single-row classes could not take
        if taken.sum() < wanted and taken[c] < counts[c] - 1:
            taken[c] += 1
    return taken


def _rounded(value: Fraction) -> int:
    """To the nearest whole number, halves up."""
    return int(value + Fraction(1, 2))
