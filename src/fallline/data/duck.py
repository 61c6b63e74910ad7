"""Questions to DuckDB, which is loaded only when a text or Parquet file is read."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@contextmanager
def connection() -> Iterator[Any]:
    """A database in memory that stays offline."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with duckdb.connect(":memory:", config=settings) as database:
        database.execute("SET enable_progress_bar = false")
        yield database


def plain_name(path: Path, folder: Path, ending: str) -> str:
    """The file under a name without wildcards or quotes, as a link in `folder`."""
    link = folder / f"table{ending}"
    if link.exists():
        link.unlink()
    try:
        os.symlink(path.resolve(), link)
    except OSError:
        shutil.copyfile(path, link)
    return quoted(str(link))


def quoted(text: str) -> str:
    """Text as an SQL constant."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def fetch(result: Any) -> dict[str, NDArray[Any]]:
    """A result's columns as plain arrays; missing cells become NaN, NaT or None."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in result.fetchnumpy().items():
        mask = np.ma.getmaskarray(values)
        data = np.ma.getdata(values)
        if mask.any():
            data = data.astype({"b": object, "i": np.float64, "u": np.float64}.get(data.dtype.kind, data.dtype))
            data[mask] = {"O": None, "M": np.datetime64("NaT")}.get(data.dtype.kind, np.nan)
        arrays[name] = data
    return arrays
