"""pandas, polars and pyarrow objects as tables. None of the three is imported unless the caller has done so."""

from typing import Any

import numpy as np

from fallline.data.arrays import column_from_array
from fallline.data.objects import Place, column_from_values
from fallline.data.table import Column, Table
from fallline.errors import DataError


def is_frame(source: object) -> bool:
    """Whether `source` is a data frame or table of one of the three libraries."""
    kind = (type(source).__module__.split(".")[0], type(source).__name__)
    return kind in _READERS


def table_from_frame(frame: Any, source: str = "") -> Table:
    """The table of a data frame; names become text, categories their labels, missing values missing."""
    library, kind = type(frame).__module__.split(".")[0], type(frame).__name__
    name = source or f"the {kind}"
    return _READERS[library, kind](frame, name)


def _rows_of(source: str) -> Place:
    return lambda row: f"{source}, row {row + 1}"


def _named(names: list[Any], source: str) -> list[str]:
    texts = [str(name) for name in names]
    for i, text in enumerate(texts):
        if text in texts[:i]:
            raise DataError(
                f"{source}: columns {texts.index(text) + 1} and {i + 1} are both named {text!r}. Rename one of them."
            )
    return texts


def _from_pandas(frame: Any, source: str) -> Table:
    names = _named(list(frame.columns), source)
    place = _rows_of(source)
    columns = {name: _pandas_column(frame.iloc[:, k], name, place) for k, name in enumerate(names)}
    return Table(columns, source)


def _from_pandas_series(series: Any, source: str) -> Table:
    return _from_pandas(series.to_frame("column_1" if series.name is None else series.name), source)


def _pandas_column(series: Any, name: str, place: Place) -> Column:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return column_from_array(series.to_numpy(), name, place)
    kind = getattr(dtype, "kind", "O")
    if getattr(dtype, "tz", None) is not None:
        return column_from_array(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), name, place)
    if kind in "iufb" and not series.isna().any():
        return column_from_array(series.to_numpy(dtype=np.dtype(kind + ("1" if kind == "b" else "8"))), name, place)
    if kind in "iuf":
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return column_from_values(series.astype(object).tolist(), name, place)


def _from_polars(frame: Any, source: str) -> Table:
    if type(frame).__name__ == "LazyFrame":
        frame = frame.collect()
    if type(frame).__name__ == "Series":
        frame = frame.to_frame(frame.name or "column_1")
    place = _rows_of(source)
    return Table({series.name: _polars_column(series, place) for series in frame.get_columns()}, source)


def _polars_column(series: Any, place: Place) -> Column:
    dtype = str(series.dtype)
    if dtype.startswith("Decimal"):
        series = series.cast(type(series)("f", [0.0]).dtype)
    if dtype.startswith(("Int", "UInt", "Float", "Decimal", "Date", "Duration")) or dtype == "Boolean":
        missing = series.null_count() > 0
        if not (missing and dtype == "Boolean"):
            values = series.to_numpy()
            if values.dtype.kind in "biufMm":
                return column_from_array(values, series.name, place)
    if dtype.startswith(("Categorical", "Enum")):
        series = series.cast(type(series)("s", [""]).dtype)
    return column_from_values(series.to_list(), series.name, place)


def _from_arrow(table: Any, source: str) -> Table:
    names = _named(list(table.schema.names), source)
    place = _rows_of(source)
    return Table({name: _arrow_column(table.column(k), name, place) for k, name in enumerate(names)}, source)


def _arrow_column(values: Any, name: str, place: Place) -> Column:
    kind = str(values.type)
    if kind.startswith("dictionary"):
        values = values.cast(values.type.value_type)
        kind = str(values.type)
    if kind.startswith("decimal"):
        values = values.cast("float64")
        kind = "double"
    if kind.startswith(("int", "uint", "float", "double", "halffloat", "timestamp", "date", "duration")):
        array = np.asarray(values.to_numpy() if values.null_count == 0 else _arrow_with_gaps(values, kind))
        return column_from_array(array, name, place)
    if kind == "bool" and values.null_count == 0:
        return np.asarray(values.to_numpy(), dtype=bool)
    return column_from_values(values.to_pylist(), name, place)


def _arrow_with_gaps(values: Any, kind: str) -> Any:
    """Missing numbers as NaN, missing moments as NaT."""
    if kind.startswith(("timestamp", "date", "duration")):
        return np.asarray(values.to_pylist(), dtype=object)
    return values.cast("float64", safe=False).to_numpy()


_READERS = {
    ("pandas", "DataFrame"): _from_pandas,
    ("pandas", "Series"): _from_pandas_series,
    ("polars", "DataFrame"): _from_polars,
    ("polars", "LazyFrame"): _from_polars,
    ("polars", "Series"): _from_polars,
    ("pyarrow", "Table"): _from_arrow,
    ("pyarrow", "RecordBatch"): _from_arrow,
}
