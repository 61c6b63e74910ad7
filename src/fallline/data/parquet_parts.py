"""Parquet files of any size to columns in files, some hundred thousand rows at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import duck, parts
from fallline.data.mapped import ColumnFile, Vocabulary, write_words
from fallline.data.parquet import WHOLE, as_plain, require_plain, require_same_columns
from fallline.errors import DataError, FalllineError
from fallline.errors import told as told_of

ROWS = 1 << 17
TEXT = np.dtype(np.int32)


@dataclass(frozen=True)
class _Column:
    """A column of the files.

    Attributes:
        name: its name.
        cell: its cells in SQL, of one of a few types.
        dtype: of its file; int32 where it is text.
        gaps: what stands for a missing number or moment, in SQL; empty where none is missing.
    """

    name: str
    cell: str
    dtype: np.dtype[Any]
    gaps: str = ""


def encode_parquet(
    files: Sequence[Path], source: str, folder: Path, work: Path, drop: Sequence[str], told: parts.Told
) -> parts.Encoded:
    """Write the columns of Parquet files to a folder; see `encode_delimited`."""
    import duckdb

    try:
        return _encode(files, source, folder, work, drop, told)
    except (FalllineError, PermissionError):
        raise
    except (duckdb.Error, RuntimeError, ValueError) as problem:
        raise DataError(
            f"{source} cannot be read as Parquet ({told_of(problem)}): the file is damaged, cut short or of another "
            "format."
        ) from None


def _encode(
    files: Sequence[Path], source: str, folder: Path, work: Path, drop: Sequence[str], told: parts.Told
) -> parts.Encoded:
    with ExitStack() as stack:
        databases = [stack.enter_context(duck.connection(limit="300MB")) for _ in range(parts.threads())]
        for database in databases:
            database.execute("SET threads = 1")
        places = [_quoted_place(path, work, k) for k, path in enumerate(files)]
        columns, counts = _survey(databases[0], files, places, source)
        kept = {k: column for k, column in enumerate(columns) if column.name not in drop}
        words = {k: Vocabulary(clean=True) for k, column in kept.items() if column.dtype == TEXT}
        out = {k: stack.enter_context(closing(ColumnFile(folder / f"{k}.npy", c.dtype))) for k, c in kept.items()}

        def take(rows: parts.Rows) -> None:
            for k, values in rows.columns.items():
                parts.write(out[k], values, words.get(k))
                if k in words:
                    parts.require_few_words(words[k], source, columns[k].name)
            told(rows.bytes)

        parts.each(_parts(kept, words, files, places, counts), databases, take)
        for k, vocabulary in words.items():
            write_words(folder, k, vocabulary.words)
    kinds = ["text" if k in words else "number" if k in kept else "skipped" for k in range(len(columns))]
    return parts.Encoded([column.name for column in columns], kinds, sum(counts), [], None)


def _quoted_place(path: Path, work: Path, number: int) -> str:
    """A file under a name without wildcards, in SQL."""
    place = work / f"{number}"
    place.mkdir(exist_ok=True)
    return duck.plain_name(path, place, ".parquet")


def _survey(
    database: Any, files: Sequence[Path], places: Sequence[str], source: str
) -> tuple[list[_Column], list[int]]:
    """(the columns, the rows of each file); what is missing decides what a column becomes."""
    first: Any = None
    counts: list[int] = []
    filled: NDArray[np.int64] | None = None
    for path, place in zip(files, places, strict=True):
        relation = database.sql(f"SELECT * FROM read_parquet({place})")
        name = source if len(files) == 1 else str(path)
        first = relation if first is None else first
        require_same_columns(first, relation, str(files[0]), name)
        found = list(zip(relation.columns, [str(kind) for kind in relation.types], strict=True))
        for column, kind in found:
            require_plain(column, kind, name)
        wanted = ", ".join(f"count({duck.identifier(n)})" for n, _ in found)
        rows, *present = database.execute(f"SELECT count(*), {wanted} FROM read_parquet({place})").fetchone()
        counts.append(int(rows))
        filled = np.array(present) if filled is None else filled + np.array(present)
    if not sum(counts) or filled is None:
        raise DataError(f"{source} holds columns and no rows: there is no row to read.")
    gaps = (filled < sum(counts)).tolist()
    return [_column(*pair, gap) for pair, gap in zip(found, gaps, strict=True)], counts


def _column(name: str, kind: str, gaps: bool) -> _Column:
    plain, nan = as_plain(duck.identifier(name), kind), "'nan'::DOUBLE"
    if kind == "BOOLEAN":
        return _Column(name, f"{plain}::VARCHAR", TEXT) if gaps else _Column(name, plain, np.dtype(bool))
    if plain.endswith("::VARCHAR"):
        return _Column(name, plain, TEXT)
    if kind in WHOLE:
        return (
            _Column(name, f"{plain}::DOUBLE", np.dtype(np.float64), nan)
            if gaps
            else _Column(name, plain, np.dtype(np.int64))
        )
    if plain.endswith("::DOUBLE"):
        return _Column(name, plain, np.dtype(np.float64), nan)
    return _Column(name, plain, np.dtype("datetime64[us]"))


def _parts(
    columns: dict[int, _Column], words: dict[int, Vocabulary], files: Sequence[Path], places: Sequence[str],
    counts: Sequence[int],
) -> Iterator["_Slice"]:  # fmt: skip
    for path, place, rows in zip(files, places, counts, strict=True):
        size = path.stat().st_size
        for start in range(0, rows, ROWS):
            stop = min(start + ROWS, rows)
            yield _Slice(columns, words, place, start, stop, size * stop // rows - size * start // rows)


@dataclass(frozen=True)
class _Slice:
    """Rows start … stop − 1 of a file."""

    columns: dict[int, _Column]
    words: dict[int, Vocabulary]
    place: str
    start: int
    stop: int
    bytes: int

    def read(self, worker: parts.Worker) -> parts.Rows:
        """Them."""
        wanted = []
        for k, column in self.columns.items():
            if k in self.words:
                wanted += worker.wanted(k, self.words[k], column.cell)
            else:
                wanted.append(f"{f'coalesce({column.cell}, {column.gaps})' if column.gaps else column.cell} AS c{k}")
        found = self._ask(worker, wanted)
        rows = parts.Rows(self.stop - self.start, {}, bytes=self.bytes)
        for k, column in self.columns.items():
            cells = partial(self._cells, worker, column)
            rows.columns[k] = worker.given(k, self.words[k], found, cells) if k in self.words else found[f"c{k}"]
        return rows

    def _cells(self, worker: parts.Worker, column: _Column) -> NDArray[Any]:
        return self._ask(worker, [f"{column.cell} AS c"])["c"]

    def _ask(self, worker: parts.Worker, wanted: list[str]) -> dict[str, NDArray[Any]]:
        return duck.fetch(
            worker.database.execute(
                f"SELECT {', '.join(wanted)} FROM read_parquet({self.place}, file_row_number = true) "
                f"WHERE file_row_number BETWEEN {self.start} AND {self.stop - 1}"
            )
        )
