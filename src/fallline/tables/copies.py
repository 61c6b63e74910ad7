"""Rows that occur more than once, and rows with weights, as different rows with weights.

A row of weight k is k copies of it, and a row of weight 0 is none. Whoever trains on the result cannot tell the two
apart: it is the same table, in the same order.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.spelling import is_missing
from fallline.data.table import Column, Table
from fallline.tables.checks import row_weights

Array = NDArray[Any]
Rows = NDArray[np.int64]


def different_rows(table: Table, weight_column: str) -> Table:
    """Each different row once, with the sum of its weights; without the column of weights where all sums are equal.

    Rows of weight 0 are left out. Different rows of weight 1 stay in their order, so that a table without weights and
    copies comes back as it is. All others are sorted by their cells: the order in which they came does not matter.

    Args:
        table: rows with a column of weights.
        weight_column: its name.

    Raises:
        DataError: a weight is negative or no finite number, or all are 0.
    """
    weights = row_weights(table, weight_column)
    counted = np.flatnonzero(weights > 0.0)
    rest, weights = table.drop([weight_column]).select(counted), weights[counted]
    number = content_order(list(rest.columns.values()), len(rest))
    first, sums = _summed(number, weights)
    if (sums == 1.0).all():
        return rest.select(np.sort(first))
    different = rest.select(first)
    if (sums == sums[0]).all():
        return different
    return Table(
        {**different.columns, weight_column: sums},
        table.source,
        table.notices,
        different.lines,
        table.default_target,
    )


def content_order(columns: list[Column], rows: int) -> Rows:
    """The place of each row's content among the different contents, sorted column by column: (rows,) from 0.

    Rows have one place exactly if all their cells are equal; missing cells are equal to each other.
    """
    number = np.zeros(rows, dtype=np.int64)
    different = min(rows, 1)
    for values in columns:
        if different == rows:
            break
        codes = _codes(values)
        number = np.unique(number * (int(codes.max()) + 1) + codes, return_inverse=True)[1].astype(np.int64)
        different = int(number.max()) + 1
    return number


def _codes(values: Column) -> Rows:
    """Cells as whole numbers from 0 in the cells' own order, a missing one as the least or the greatest."""
    if values.dtype.kind != "O":
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
    known = sorted(set(values[~is_missing(values)].tolist()))
    code = {label: place for place, label in enumerate(known, start=1)} | {None: 0}
    return np.fromiter((code[cell] for cell in values), dtype=np.int64, count=len(values))


def _summed(number: Rows, weights: Array) -> tuple[Rows, Array]:
    """(the first row of each content, the sum of its weights); contents ascending, small weights added first."""
    order = np.lexsort((np.arange(len(number)), weights, number))
    begins = np.flatnonzero(np.diff(number[order], prepend=-1))
    sums = np.zeros(len(begins))
    np.add.at(sums, number[order], weights[order])  # one after the other, so that the order of rows decides no bit
    return np.minimum.reduceat(order, begins), sums
