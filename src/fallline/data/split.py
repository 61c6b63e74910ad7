"""Rows split in two, by random words that depend on (seed, purpose) alone, or by time."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.data import scratch
from fallline.data.by_blocks import blocks, counted, different, first_rows, gather, numbers_of, ordered
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
    classes = np.broadcast_to(np.int64(0), (rows,)) if codes is None else _whole_numbers(codes, rows, "class codes")
    words = random_words(rows, seed, purpose)
    if groups is None:
        in_part = _drawn(classes, words, fraction)
    else:
        first, group = first_rows(_whole_numbers(groups, rows, "groups"))
        if len(first) < 2:
            raise DataError(f"{rows} rows cannot be split for {purpose}: they are all of one group. Give more rows.")
        in_part = _drawn(gather(classes, first), gather(words, first), fraction)[group]
        in_part = _with_every_class(in_part, classes, group)
    if not in_part.any():
        raise DataError(
            f"{rows} rows in {len(different(classes))} classes cannot be split for {purpose}: every class has one row "
            f"only, which training needs. Give more rows of each class."
        )
    return numbers_of(~in_part), numbers_of(in_part)


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
    begin = ordered(times)[rows - wanted]
    in_part = times >= begin if begin > times.min() else times > begin
    if not in_part.any():
        raise DataError(
            f"{rows} rows cannot be split by time for {purpose}: they are all of one moment. Choose another time "
            f"column, or leave it away."
        )
    return numbers_of(~in_part), numbers_of(in_part)


def _whole_numbers(values: ArrayLike, rows: int, what: str) -> NDArray[np.int64]:
    numbers = np.asarray(values, dtype=np.int64)
    if numbers.shape != (rows,):
        raise ArgumentError(f"The {what} need the shape ({rows},), one for each row; they have {numbers.shape}.")
    return numbers


def _drawn(classes: Rows, words: NDArray[np.uint64], fraction: float) -> NDArray[np.bool_]:
    """Which of some rows, or groups of rows, go to the part: of each class its share, the smallest words first."""
    count, (labels, counts) = len(classes), counted(classes)
    wanted = min(max(1, _rounded(Fraction(fraction) * count)), count - 1)
    left = _shares(counts, Fraction(wanted, count), wanted)
    ends, by_class = np.cumsum(counts), _by_class(classes, words, labels, counts)
    limits = np.zeros(len(labels), dtype=np.uint64)  # the largest word of those that go
    for k in np.flatnonzero(left).tolist():
        own = by_class[ends[k] - counts[k] : ends[k]]
        own.partition(left[k] - 1)
        limits[k] = own[left[k] - 1]
        left[k] -= np.count_nonzero(own[: left[k]] < limits[k])
    in_part = np.zeros(count, dtype=bool)
    for part in blocks(count):
        place = np.searchsorted(labels, classes[part])
        in_part[part] = words[part] < limits[place]
        for row in np.flatnonzero(words[part] == limits[place]).tolist():  # of equal words, the first rows
            in_part[part.start + row] = left[place[row]] > 0
            left[place[row]] -= 1
    return in_part


def _by_class(classes: Rows, words: NDArray[np.uint64], labels: Rows, counts: Rows) -> NDArray[np.uint64]:
    """The words of the first class, then those of the second, and so on."""
    found, at = scratch.empty(len(words), np.uint64), np.cumsum(counts) - counts
    for part in blocks(len(words)):
        place = np.searchsorted(labels, classes[part])
        order = np.argsort(place, kind="stable")
        here = np.bincount(place, minlength=len(labels))
        found[np.repeat(at - (np.cumsum(here) - here), here) + np.arange(len(order))] = words[part][order]
        at += here
    return found


def _with_every_class(in_part: NDArray[np.bool_], classes: Rows, group: Rows) -> NDArray[np.bool_]:
    """Groups given back, one after the other, until the rest has every class, which groups may have mixed."""
    kept = in_part.copy()
    for wanted in different(classes):
        if kept[classes == wanted].all():
            kept[group == group[np.argmax(classes == wanted)]] = False
    return kept


def random_words(rows: int, seed: int, purpose: str) -> NDArray[np.uint64]:
    """One random 64-bit word for each row."""
    key, words = philox.key(seed, purpose), scratch.empty(rows, np.uint64)
    for part in blocks(rows):
        high, low = philox.words(key, [0, 1], part.stop - part.start, start=part.start).astype(np.uint64)
        words[part] = (high << np.uint64(32)) | low
    return words


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
