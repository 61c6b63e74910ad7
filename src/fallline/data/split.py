"""Rows split in two, by random words that depend on (seed, purpose) alone, or by time."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.errors import ArgumentError, DataError
from fallline.ops import philox

Rows = NDArray[np.int64]


def split_rows(
    codes: ArrayLike | None,
    rows: int,
    fraction: float,
    seed: int,
    purpose: str,
    groups: ArrayLike | None = None,
) -> tuple[Rows, Rows]:
    """Two sets of row numbers: the rest, and a part of about fraction · rows rows.

    With class codes the part holds each class in proportion (largest remainders first), and at least one row of
    each class stays in the rest. Within a class, the rows with the smallest random words go to the part.

    With groups, whole groups go to the part, about fraction · groups of them; a group has the random word and the class
    of its first row.

    Args:
        codes: the class of each row (rows,), or None.
        rows: the number of rows.
        fraction: between 0 and 1, of the rows.
        seed: the run's seed.
        purpose: what the split is for, such as "validation": other purposes split otherwise.
        groups: whole numbers (rows,): rows of one number stay together; None where each row is for itself.

    Returns:
        rest, part: row numbers, ascending; together every row once. Both have at least one row.

    Raises:
        ArgumentError: the fraction is not between 0 and 1.
        DataError: there are too few rows or groups, or with every class on one row only, to split off any.
    """
    if not 0 < fraction < 1:
        raise ArgumentError(
            f"The fraction of rows to split off for {purpose} needs 0 < fraction < 1, got {fraction!r}."
        )
    if rows < 2:
        raise DataError(f"{rows} rows cannot be split for {purpose}: at least 2 are needed. Give more rows.")
    classes = _whole_numbers(codes, rows, "class codes") if codes is not None else np.zeros(rows, dtype=np.int64)
    first, group = np.arange(rows), np.arange(rows)
    if groups is not None:
        _, first, group = np.unique(_whole_numbers(groups, rows, "groups"), return_index=True, return_inverse=True)
    if len(first) < 2:
        raise DataError(f"{rows} rows cannot be split for {purpose}: they are all of one group. Give more rows.")
    in_part = _drawn(classes[first], random_words(rows, seed, purpose)[first], first, fraction)[group]
    if groups is not None:
        in_part = _with_every_class(in_part, classes, group)
    if not in_part.any():
        raise DataError(
            f"{rows} rows in {len(np.unique(classes))} classes cannot be split for {purpose}: every class has one row "
            f"only, which training needs. Give more rows of each class."
        )
    return np.flatnonzero(~in_part), np.flatnonzero(in_part)


def latest_rows(times: NDArray[Any], fraction: float, purpose: str) -> tuple[Rows, Rows]:
    """Two sets of row numbers: the earlier rows, and the latest, about fraction · rows of them.

    Rows of one moment stay together: the part begins with the whole moment in which the share is reached, or, where
    that is the first of all, with the next one.

    Args:
        times: numbers or moments (rows,), none missing.
        fraction: between 0 and 1, of the rows.
        purpose: what the split is for, for the message.

    Raises:
        DataError: all rows are of one moment.
    """
    rows = len(times)
    wanted = min(max(1, _rounded(Fraction(fraction) * rows)), rows - 1)
    begin = np.sort(times)[rows - wanted]
    in_part = times >= begin if begin > times.min() else times > begin
    if not in_part.any():
        raise DataError(
            f"{rows} rows cannot be split by time for {purpose}: they are all of one moment. Choose another time "
            f"column, or leave it away."
        )
    return np.flatnonzero(~in_part), np.flatnonzero(in_part)


def _whole_numbers(values: ArrayLike, rows: int, what: str) -> NDArray[np.int64]:
    numbers = np.asarray(values, dtype=np.int64)
    if numbers.shape != (rows,):
        raise ArgumentError(f"The {what} need the shape ({rows},), one for each row; they have {numbers.shape}.")
    return numbers


def _drawn(classes: Rows, words: NDArray[np.uint64], first: Rows, fraction: float) -> NDArray[np.bool_]:
    """Which of some rows, or groups of rows, go to the part: of each class its share, the smallest words first."""
    count = len(classes)
    _, of_class, counts = np.unique(classes, return_inverse=True, return_counts=True)
    wanted = min(max(1, _rounded(Fraction(fraction) * count)), count - 1)
    taken = _shares(counts, Fraction(wanted, count), wanted)
    order = np.lexsort((first, words, of_class))
    begins = np.concatenate(([0], np.cumsum(counts)[:-1]))
    rank = np.arange(count) - begins[of_class[order]]
    in_part = np.zeros(count, dtype=bool)
    in_part[order] = rank < taken[of_class[order]]
    return in_part


def _with_every_class(in_part: NDArray[np.bool_], classes: Rows, group: Rows) -> NDArray[np.bool_]:
    """Groups given back, one after the other, until the rest has every class, which groups may have mixed."""
    kept = in_part.copy()
    for wanted in np.unique(classes):
        if kept[classes == wanted].all():
            kept[group == group[np.argmax(classes == wanted)]] = False
    return kept


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
