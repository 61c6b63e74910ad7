"""What a table and its user's wishes must fulfil before a network is trained."""

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import computed, first_of
from fallline.data.table import Table
from fallline.errors import ArgumentError, DataError
from fallline.tables.model import TableModel


def require_kept(init: TableModel | None, dropped: list[str], weight_column: str | None) -> None:
    """A model that training starts from keeps its columns."""
    needed = [] if init is None else init.encoder.source_columns
    for name in (*dropped, *([weight_column] if weight_column else [])):
        if name in needed:
            raise ArgumentError(
                f"the model that training starts from uses the column {name!r}; it cannot be left out. "
                "Keep the column or leave --init away"
            )


def require_rows(table: Table, set_aside: int) -> None:
    """At least 2 rows to train on, for a mean and a deviation, and one for each part that is set aside."""
    need = 2 + set_aside
    if len(table) < need:
        others = {0: "", 1: ", 1 to judge by", 2: ", 1 for validation, 1 for the test"}[set_aside]
        found = "1 row" if len(table) == 1 else f"{len(table)} rows"
        raise DataError(
            f"{table.source} has {found} with a target; {need} are needed: 2 to train on{others}. Give more rows."
        )


def require_training_rows(training: Table) -> None:
    """What validation and test leave must be enough."""
    if len(training) < 2:
        raise DataError(
            f"{training.source}: 1 row is left to train on after setting some aside; 2 are needed. "
            "Give more rows, or set a smaller share aside for validation."
        )


def judging_weights(validation: Table | None, column: str | None) -> NDArray[np.float64] | None:
    """The weights of the validation rows; None where there are none, or all are 0 and so tell nothing."""
    if validation is None or column is None or column not in validation:
        return None
    weights = row_weights(validation, column, all_zero=True)
    return weights if weights.any() else None


def row_weights(part: Table, column: str, all_zero: bool = False) -> NDArray[np.float64]:
    """The weights of some rows, from a column: finite, 0 or more, not all 0 unless that is allowed."""
    values = part.column(column)
    need = f"the weight column {column!r} must hold a finite number of 0 or more in every row"
    if values.dtype.kind not in "fiub":
        raise DataError(f"{need}; it holds {'text' if values.dtype.kind == 'O' else 'dates'}. Choose another column.")
    weights = computed(len(values), np.float64, lambda part: values[part])
    row = first_of(len(values), lambda part: ~(np.isfinite(weights[part]) & (weights[part] >= 0.0)))
    if row is not None:
        raise DataError(f"{part.place(row)}: {need}, found {weights[row]:g}. Correct it, or leave that row out.")
    if not weights.any() and not all_zero:
        raise DataError(f"{need}; all of them are 0, so that no row counts. Choose another column.")
    return weights
