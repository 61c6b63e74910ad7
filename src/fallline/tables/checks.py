"""What a table and its user's wishes must fulfil before a network is trained."""

import numpy as np
from numpy.typing import NDArray

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


def require_rows(parts: dict[str, Table]) -> None:
    """A mean and a deviation need two training rows."""
    if len(parts["training"]) < 2:
        total = sum(len(part) for part in parts.values())
        raise DataError(
            f"{parts['training'].source} has {total} rows with a target; after setting some aside for validation and "
            "test, training needs at least 2. Give more rows."
        )


def row_weights(training: Table, column: str) -> NDArray[np.float64]:
    """The weights of the training rows, from a column: finite, 0 or more, not all 0."""
    values = training.column(column)
    need = f"the weight column {column!r} must hold a finite number of 0 or more in every row"
    if values.dtype.kind not in "fiub":
        raise DataError(f"{need}; it holds {'text' if values.dtype.kind == 'O' else 'dates'}. Choose another column.")
    weights = values.astype(np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0.0))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{training.place(row)}: {need}, found {weights[row]:g}. Correct it, or leave that row out.")
    if not weights.any():
        raise DataError(f"{need}; all of them are 0, so that no row counts. Choose another column.")
    return weights
