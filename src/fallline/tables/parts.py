"""Which rows of a table train, validate and test."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import blocks, computed, gather
from fallline.data.dates import as_moments, recognise_dates
from fallline.data.duplicates import equal_rows
from fallline.data.spelling import is_missing, labels_of
from fallline.data.split import latest_rows, split_rows
from fallline.data.table import Column, Table
from fallline.data.targets import ClassTarget, NumberTarget, drop_missing_targets
from fallline.errors import ArgumentError, DataError
from fallline.tables.columns import ColumnInfo

Array = NDArray[Any]
Rows = NDArray[np.int64]
HELD_OUT = 0.2
"""The share of rows set aside for the test where no test file is given, and of the rest for validation."""
FEW_COMBINATIONS = 20
"""Fewer different rows of inputs than so many are no copies, but all the inputs that there are."""

Split = Callable[[Rows, float, str], tuple[Rows, Rows]]
"""(some row numbers of the table, share, purpose) → places among them of those that stay, and of those of the part."""


def split_table(
    table: Table,
    target: str,
    validation: float | Table | None,
    test: Table | None,
    test_part: bool,
    split: Split,
    notices: list[str],
) -> dict[str, Table]:
    """Training, validation and test rows.

    Args:
        table: the table.
        target: its target.
        validation: the share to set aside for validation; or another table; or None for none.
        test: a table to test on.
        test_part: whether rows are set aside for the test where there is no such table.
        split: how.
        notices: receives what is told of the further tables.

    Raises:
        ArgumentError: the share for validation is none.
        DataError: a file lacks the target, or too few rows are left.
    """
    rest = computed(len(table), np.int64, lambda part: np.arange(part.start, part.stop))
    parts: dict[str, Table] = {}
    if test is not None:
        parts["test"] = _further(test, table, target, notices)
    elif test_part:
        keep, part = split(rest, HELD_OUT, "test")
        parts["test"], rest = table.select(gather(rest, part)), gather(rest, keep)
    if isinstance(validation, Table):
        parts["validation"] = _further(validation, table, target, notices)
    elif validation is not None:
        if not 0.0 < validation < 1.0:
            raise ArgumentError(f"validation must be a share between 0 and 1, or a file; found {validation}")
        keep, part = split(rest, validation, "validation")
        parts["validation"], rest = table.select(gather(rest, part)), gather(rest, keep)
    parts["training"] = table if len(rest) == len(table) else table.select(rest)
    return parts


def chosen_split(
    table: Table,
    codec: ClassTarget | NumberTarget,
    inputs: list[str],
    time_column: str | None,
    set_aside: int,
    seed: int,
    notices: list[str],
) -> Split:
    """How rows are set aside: the latest, or at random.

    Args:
        table: the table.
        codec: of its target.
        inputs: the columns that tell rows apart.
        time_column: the column that says which rows are the latest, or None.
        set_aside: how many parts are set aside.
        seed: the run's seed.
        notices: receives what is told.
    """
    if time_column is not None and set_aside:
        return by_time(table, time_column)
    groups = copies(table, codec.name, inputs, 1 + set_aside, notices) if set_aside else None
    codes = codec.encode(table.column(codec.name), table.place) if isinstance(codec, ClassTarget) else None
    return by_chance(codes, groups, seed)


def about_time(column: str, infos: list[ColumnInfo], set_aside: int) -> str:
    """What a time column decided."""
    if not set_aside:
        return f"The time column {column!r} decides nothing: no rows are set aside."
    if any(info.name == column and info.used for info in infos):
        return f"Rows are set aside by time: the latest by {column!r}, which stays an input (--drop leaves it out)."
    return f"Rows are set aside by time: the latest by {column!r}, which is no input itself."


def by_chance(codes: Rows | None, groups: Rows | None, seed: int) -> Split:
    """Random rows: each class in proportion, and each group on one side.

    Args:
        codes: the class of each row of the table, or None.
        groups: the group of each row, or None.
        seed: the run's seed.
    """

    def split(rows: Rows, share: float, purpose: str) -> tuple[Rows, Rows]:
        of_class, of_group = (None if numbers is None else gather(numbers, rows) for numbers in (codes, groups))
        return split_rows(of_class, len(rows), share, seed, purpose, of_group)

    return split


def by_time(table: Table, column: str) -> Split:
    """The latest rows.

    Raises:
        DataError: the column does not tell the time of every row; or later, all rows are of one moment.
    """
    times = _times(table.column(column), column, table)

    def split(rows: Rows, share: float, purpose: str) -> tuple[Rows, Rows]:
        return latest_rows(gather(times, rows), share, purpose)

    return split


def copies(table: Table, target: str, inputs: list[str], parts: int, notices: list[str]) -> Rows | None:
    """The groups of rows that stay on one side of the split, which is told; None where each row is for itself.

    Rows with the same inputs stay together where they are copies: where at least half of all rows have inputs of their
    own, or equal inputs always come with an equal target. Otherwise a few combinations of inputs are all that there is,
    each with several outcomes, and training must see each of them.

    Args:
        table: the table.
        target: its target.
        inputs: the columns that tell rows apart.
        parts: into how many parts the rows are to be split.
        notices: receives what is told.
    """
    if not inputs:
        return None
    groups = equal_rows([table.column(name) for name in inputs], len(table))
    different = _count_first(groups)
    repeated = len(table) - different
    if repeated == 0:
        return None
    with_target = _count_first(equal_rows([groups, table.column(target)], len(table)))
    copied = 2 * different >= len(table) or (with_target == different and different >= FEW_COMBINATIONS)
    if copied and different > parts:
        has = "1 row has the inputs of another row" if repeated == 1 else f"{repeated:,} rows have inputs of other rows"
        notices.append(f"{has}; rows with the same inputs stay on one side of the split: none is judged by its copy.")
        return groups
    notices.append(
        f"The {len(table):,} rows are {different:,} combinations of inputs, repeated: rows are split one by one, so "
        "that training sees each combination, and the scores are those of combinations that it has seen."
    )
    return None


def _count_first(groups: Rows) -> int:
    """How many rows are the first of their group."""
    return sum(int(np.count_nonzero(groups[part] == np.arange(part.start, part.stop))) for part in blocks(len(groups)))


def _times(values: Column, name: str, table: Table) -> Array:
    """A column as numbers or moments that can be put in order."""
    missing = is_missing(values)
    if missing.any():
        raise DataError(
            f"{table.place(int(np.argmax(missing)))}, time column {name!r}: the time is missing. Fill it in, leave "
            "that row out, or choose another time column."
        )
    if values.dtype.kind != "O":
        return values
    found = recognise_dates(labels_of(values))
    if found is None:
        raise DataError(
            f"the time column {name!r} holds text that is no date, such as {values[0]!r}; choose a column of dates or "
            "numbers, which grow with time"
        )
    return as_moments(values, name, found[0], table.place)


def _further(further: Table, table: Table, target: str, notices: list[str]) -> Table:
    """A validation or test file, whose columns must be those of the training file."""
    if target not in further and len(further.names) == len(table.names):
        # a headerless file beside one with a header: the same columns in the same order
        further = further.replaced(dict(zip(table.names, further.columns.values(), strict=True)))
        notices.append(f"{further.source} has other column names; its columns were taken in the order of training.")
    if target not in further:
        raise DataError(f"{further.source} has no column {target!r}, the target; it cannot be used to judge a model.")
    cleaned = drop_missing_targets(further, target)
    notices += [notice for notice in cleaned.notices if notice not in notices]
    return cleaned
