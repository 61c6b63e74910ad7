"""Questions to DuckDB, which is loaded only when a text or Parquet file is read."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def connection(limit: str | None = None) -> Iterator[Any]:
    """A database in memory that stays offline; it may be limited to so much memory, such as "200MB"."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with _interruptible(), duckdb.connect(":memory:", config=settings) as database:
        database.execute("SET enable_progress_bar = false")
        if limit is not None:
            database.execute("SET enable_external_file_cache = false")
            database.execute(f"SET memory_limit = {quoted(limit)}")
        yield database


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within the block, what a signal's handler raises is raised, too, where it came in the middle of a question.

    DuckDB looks after signals there, and makes a RuntimeError of what the handler raises.
    """
    raised: list[BaseException] = []

    def keeping(handler: Handler) -> Handler:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException as stop:
                raised.append(stop)
                raise

        return handle

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {number: handler for number, handler in found.items() if callable(handler)}
    try:
        for number, handler in before.items():
            signal.signal(number, keeping(handler))
        yield
    except BaseException:
        if not raised:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if raised:
        raise raised[0]


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
