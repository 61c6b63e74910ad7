"""What scikit-learn's users give, as tables: X of any kind, y, sample weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.validation import validate_data

from fallline.data.arrays import column_from_array
from fallline.data.frames import is_frame
from fallline.data.sources import read_table
from fallline.data.table import Column, Table
from fallline.errors import ArgumentError, DataError, KindError

Array = NDArray[Any]
_NESTED = (list, tuple, dict, set, frozenset, np.ndarray, bytes, bytearray, complex)


def rows_to_fit(estimator: Any, X: Any) -> Table:
    """X as a table; the estimator learns its `n_features_in_` and, where columns have names, `feature_names_in_`."""
    if not _has_columns(X):
        table = _from_array(validate_data(estimator, X, dtype=None, ensure_all_finite=False, ensure_min_samples=2))
        return _renamed(table, getattr(estimator, "feature_names_in_", None))
    table = _from_columns(estimator, X, "fit")
    if len(table) < 2:
        raise DataError(f"{_of(estimator, 'fit')}: X has 1 sample; 2 are needed to train on. Give more rows.")
    estimator.n_features_in_ = len(table.names)
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    if _has_names(X):
        estimator.feature_names_in_ = np.array(table.names, dtype=object)
    return table


def rows_to_predict(estimator: Any, X: Any) -> Table:
    """X as a table with the columns of `fit`.

    Columns with names are found by them, so that their order does not matter and others are ignored, as in a
    `ColumnTransformer`; where X or the table of `fit` had no names, by their place.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if _has_columns(X):
        table = _from_columns(estimator, X, "predict")
        if names is not None and _has_names(X):
            return table
        X = np.empty((len(table), len(table.names)))  # the number of columns is checked, and names are warned of
        validate_data(estimator, X, reset=False, ensure_all_finite=False, ensure_min_samples=0)
    else:
        found = validate_data(estimator, X, reset=False, dtype=None, ensure_all_finite=False)
        table = _from_array(found)
    return _renamed(table, estimator._column_names)


def labels(estimator: Any, y: Any) -> Array:
    """y as one label a row: (rows,) numbers, truth values or text.

    Raises:
        ArgumentError, DataError, ValueError: y is missing, or a label is; or y has more than one column.
    """
    values = _one_dimensional(estimator, y)
    if values.dtype.kind == "O":
        _require_present(estimator, values)
        if not any(isinstance(value, str) for value in values.tolist()):
            values = np.asarray(values.tolist())
    if values.dtype.kind == "f":
        assert_all_finite(values, input_name="y")
    return values


def numbers(estimator: Any, y: Any) -> Array:
    """y as one finite number a row: (rows,) float64."""
    values = _one_dimensional(estimator, y)
    if values.dtype.kind == "O":
        _require_present(estimator, values)
    found: Array = check_array(values, ensure_2d=False, dtype=np.float64, input_name="y")
    return found


def label_column(values: Array) -> Column:
    """Labels as a column of a table; text as it is, also where a file's reader would take it as missing."""
    if values.dtype.kind in "OUT":
        column = np.empty(len(values), dtype=object)
        column[:] = [str(value) for value in values.tolist()]
        return column
    return column_from_array(values, "y", _place)


def weights(estimator: Any, sample_weight: Any, rows: int) -> Array:
    """Sample weights as (rows,) float64; 1 for each row where none are given."""
    if sample_weight is None:
        return np.ones(rows)
    what = _of(estimator, "fit")
    try:
        found = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise KindError(f"{what}: sample_weight must hold a number for each row, found {sample_weight!r:.60}") from None
    if found.ndim == 0:
        found = np.full(rows, float(found))
    if found.shape != (rows,):
        raise ArgumentError(f"{what}: sample_weight needs the shape ({rows},), one for each row; it has {found.shape}")
    wrong = ~(np.isfinite(found) & (found >= 0.0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ArgumentError(f"{what}: sample_weight must be finite and 0 or more; row {row} has {found[row]:g}")
    if not found.any():
        raise ArgumentError(f"{what}: sample_weight is zero in every row, so that none counts; give one a weight")
    return found


def free_name(wanted: str, taken: Sequence[str]) -> str:
    """`wanted`, or the first of wanted_, wanted__ … that is not taken."""
    while wanted in taken:
        wanted += "_"
    return wanted


def _of(estimator: Any, call: str) -> str:
    return f"{type(estimator).__name__}.{call}"


def _place(row: int) -> str:
    return f"y, row {row}"


def _has_columns(X: Any) -> bool:
    """Whether X is a data frame, a mapping from names to columns, or a list of rows that are mappings."""
    if issparse(X):  # some of them are mappings from places to numbers; scikit-learn's check refuses them all
        return False
    rows = isinstance(X, Sequence) and not isinstance(X, str) and len(X) > 0
    return is_frame(X) or isinstance(X, Mapping | Table) or (rows and all(isinstance(row, Mapping) for row in X))


def _has_names(X: Any) -> bool:
    """Whether the columns' names are text; pandas counts those of columns without names."""
    pandas = type(X).__module__.split(".")[0] == "pandas"
    return not pandas or all(isinstance(name, str) for name in X.columns)


def _from_columns(estimator: Any, X: Any, call: str) -> Table:
    if type(X).__name__ == "Series":
        raise ArgumentError(
            f"{_of(estimator, call)}: X must have two dimensions, found a Series; give a table of one column, df[['x']]"
        )
    table = read_table(X)
    if not table.names or not len(table):
        raise DataError(f"{_of(estimator, call)}: X has {len(table)} rows and {len(table.names)} columns; give some")
    return table


def _from_array(X: Array) -> Table:
    if X.dtype.kind == "O":
        X = np.array([[_told_apart(cell) for cell in row] for row in X], dtype=object).reshape(X.shape)
    return read_table(X)


def _told_apart(cell: Any) -> Any:
    """A cell of an object array; what is neither number, text, truth value nor date is known by its text alone."""
    return str(cell) if isinstance(cell, _NESTED) else cell


def _renamed(table: Table, names: Any) -> Table:
    """The same columns in order under other names."""
    if names is None:
        return table
    return Table(dict(zip(names, table.columns.values(), strict=True)), table.source, table.notices)


def _one_dimensional(estimator: Any, y: Any) -> Array:
    if y is None:
        name = type(estimator).__name__
        raise ArgumentError(
            f"{name}.fit requires y to be passed, but the target y is None; give a label or value a row"
        )
    found: Array = column_or_1d(y, warn=True)
    return found


def _require_present(estimator: Any, values: Array) -> None:
    """No cell of an object array is None, NaN, pandas' NA or NaT; "NA" is a label like any other."""
    for row, value in enumerate(values.tolist()):
        if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
            raise DataError(f"{_of(estimator, 'fit')}: y has no value in row {row}; fill it in, or leave that row out")
