"""Parquet files through DuckDB, Arrow and Feather files through pyarrow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fallline.data import duck
from fallline.data.frames import table_from_frame
from fallline.data.many_files import require_same
from fallline.data.objects import clean_texts
from fallline.data.table import Column, Table
from fallline.errors import DataError, FalllineError, MissingExtraError, told

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB", "BIT", "GEOMETRY", "VARIANT")


def read_parquet(files: Sequence[Path], folder: Path, source: str, most: int | None = None) -> Table:
    """The table of Parquet files, in the files' own types; of the first rows alone, where `most` says how many.

    Raises:
        DataError: the file is damaged, has no row, or has a column of nested values.
    """
    import duckdb

    with duck.connection() as database:
        try:
            relation = _together(database, files, folder, source)
            names, types = list(relation.columns), [str(kind) for kind in relation.types]
            for name, kind in zip(names, types, strict=True):
                require_plain(name, kind, source)
            wanted = ", ".join(
                f"{as_plain(duck.identifier(name), kind)} AS c{k}"
                for k, (name, kind) in enumerate(zip(names, types, strict=True))
            )
            chosen = relation.project(wanted)
            arrays = duck.fetch(chosen if most is None else chosen.limit(most))
        except (FalllineError, PermissionError):
            raise
        except (duckdb.Error, RuntimeError, ValueError) as problem:  # of names that are no UTF-8: no duckdb.Error
            raise DataError(
                f"{source} cannot be read as Parquet ({told(problem)}): the file is damaged, cut short "
                f"or of another format."
            ) from None
    pairs = zip(names, types, arrays.values(), strict=True)
    table = Table({name: _column(values, kind) for name, kind, values in pairs}, source)
    if len(table) == 0:
        raise DataError(f"{source} holds columns and no rows: there is no row to read.")
    return table


def _together(database: Any, files: Sequence[Path], folder: Path, source: str) -> Any:
    """All rows of some files, whose columns must be the same."""
    places, first = [], None
    for number, path in enumerate(files):
        place = folder / f"{number}"
        place.mkdir()
        places.append(duck.plain_name(path, place, ".parquet"))
        relation = database.sql(f"SELECT * FROM read_parquet({places[-1]})")
        name = source if len(files) == 1 else str(path)
        first = first or relation
        require_same_columns(first, relation, str(files[0]), name)
    if len(files) == 1:
        return first
    return database.sql(f"SELECT * FROM read_parquet([{', '.join(places)}], hive_partitioning = false)")


def require_same_columns(first: Any, other: Any, first_name: str, name: str) -> None:
    """Refuse a file that has other columns, or cells of another type, than the first one.

    Raises:
        DataError: naming the file and the difference.
    """
    require_same(list(first.columns), list(other.columns), first_name, name)
    for column, kind, found in zip(first.columns, map(str, first.types), map(str, other.types), strict=True):
        if kind != found:
            raise DataError(
                f"{name}, column {column!r}: its cells are {found}, and {kind} in {first_name}: files of one table "
                "need the same columns."
            )


def read_arrow(path: Path, source: str) -> Table:
    """The table of an Arrow or Feather file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: the file is damaged.
    """
    try:
        from pyarrow import ArrowException, feather, ipc
    except ImportError:
        raise MissingExtraError(
            f"{source}: Arrow files need pyarrow; install it with pip install 'fallline[arrow]'."
        ) from None
    try:
        try:
            frame = feather.read_table(path)
        except ArrowException:
            with open(path, "rb") as file:  # a stream, without the index at the end
                frame = ipc.open_stream(file).read_all()
        frame.validate(full=True)  # otherwise pyarrow believes every length and offset, and reads beyond the file
        if frame.num_rows == 0:
            raise DataError(f"{source} holds columns and no rows: there is no row to read.")
        return table_from_frame(frame, source)
    except (FalllineError, PermissionError):
        raise
    except Exception as problem:  # a damaged file shows itself in many ways, also as SystemError or UnicodeDecodeError
        raise DataError(
            f"{source} cannot be read as Arrow ({told(problem)}): the file is damaged, cut short or of another format."
        ) from None


def require_plain(name: str, kind: str, source: str) -> None:
    """Refuse a column of nested values.

    Raises:
        DataError: it is one.
    """
    if kind.startswith(_NESTED) or kind.endswith("]"):
        raise DataError(
            f"{source}, column {name!r}: expected numbers, text, truth values or dates, found {kind}. "
            f"Give nested values columns of their own."
        )


def as_plain(column: str, kind: str) -> str:
    """The column in one of the types that `_column` takes."""
    if kind in WHOLE:
        return f"{column}::BIGINT"
    if kind in ("UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE", "FLOAT16") or kind.startswith("DECIMAL"):
        return f"{column}::DOUBLE"
    if kind == "BOOLEAN":
        return column
    if kind.startswith("TIMESTAMP WITH TIME ZONE"):
        return f"make_timestamp(epoch_us({column}))"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"{column}::TIMESTAMP"
    return f"{column}::VARCHAR"


def _column(values: Any, kind: str) -> Column:
    if kind == "BOOLEAN" and values.dtype != bool:  # with gaps, it cannot stay a column of truth values
        return clean_texts([None if v is None else "true" if v else "false" for v in values.tolist()])
    if values.dtype.kind == "O":
        return clean_texts(values.tolist())
    return np.asarray(values)
