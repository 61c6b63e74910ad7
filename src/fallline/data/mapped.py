"""A table in a folder: one .npy file for each column, mapped into memory where it is looked at.

table.json    rows, columns, where they come from; written last, so that a folder without it holds no table
0.npy, …      the columns in order: float64, int64, bool, datetime64[us]; of text int32, the place of each row's word
0.json, …     the words of a column of text; −1 is no place: the cell is missing
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.data.by_blocks import blocks
from fallline.data.spelling import clean_text
from fallline.data.table import Column, Table
from fallline.data.texts import Texts
from fallline.engine.memory import in_units
from fallline.errors import DataError

TABLE = "table.json"
FORMAT = 1
_HEADER = 128
"""Bytes of a file before its first row."""
MOST_WORDS, MOST_WORD_BYTES = 1 << 21, 1 << 28
"""Different texts of a column, and their bytes, at most: they are held in memory."""


@dataclass
class Vocabulary:
    """The different texts of a column, in order of their first rows.

    Attributes:
        clean: whether blanks at the ends and marks of missing cells are still to be taken off.
        words: as they are told apart.
        known: text as it is read → place among `words`; −1 where it means that there is no value.
    """

    clean: bool = False
    words: list[str] = field(default_factory=list)
    known: dict[str | None, int] = field(default_factory=lambda: {None: -1})
    _places: dict[str, int] = field(default_factory=dict)
    _bytes: int = 0

    def codes(self, cells: Iterable[str | None], rows: int) -> NDArray[np.int32]:
        """The places of cells; new ones are taken up."""
        known = self.known
        return np.fromiter(
            (known[cell] if cell in known else self._add(cell) for cell in cells), dtype=np.int32, count=rows
        )

    def _add(self, cell: Any) -> int:
        word = clean_text(cell) if self.clean else cell
        if word is None:
            place = -1
        else:
            place = self._places.setdefault(word, len(self.words))
            if place == len(self.words):
                self.words.append(word)
                self._bytes += len(word)
        self.known[cell] = place
        return place

    @property
    def too_large(self) -> bool:
        """Whether there are more than can be held."""
        return len(self.known) > MOST_WORDS or self._bytes > MOST_WORD_BYTES


class ColumnFile:
    """The rows of a column, written to a .npy file as they come."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self.path, self.dtype, self.rows = path, np.dtype(dtype), 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by `close`)
        self._file.write(bytes(_HEADER))

    def write(self, values: NDArray[Any]) -> None:
        """Further rows.

        Raises:
            DataError: the disk is full.
        """
        try:
            np.ascontiguousarray(values, dtype=self.dtype).tofile(self._file)
        except OSError:
            raise scratch.too_little_room(values.nbytes, self.path.parent) from None
        self.rows += len(values)

    def close(self) -> None:
        """Put the header in front."""
        if not self._file.closed:
            self._file.seek(0)
            self._file.write(npy_header(self.dtype, self.rows))
            self._file.close()

    def retype(self, dtype: Any, convert: Any) -> None:
        """The same rows in another type of the same size."""
        self.close()
        self.dtype = np.dtype(dtype)
        with open(self.path, "r+b") as file:
            file.write(npy_header(self.dtype, self.rows))
        old = np.memmap(self.path, dtype=np.float64 if self.dtype.kind == "i" else np.int64, mode="r+", offset=_HEADER)
        new = old.view(self.dtype)
        for part in blocks(self.rows):
            new[part] = convert(np.array(old[part]))


def npy_header(dtype: np.dtype[Any], rows: int) -> bytes:
    """The first 128 bytes of a .npy file of version 1.0."""
    text = f"{{'descr': {np.lib.format.dtype_to_descr(dtype)!r}, 'fortran_order': False, 'shape': ({rows},), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11).encode() + b"\n"


@dataclass(frozen=True)
class Content:
    """What a folder says of the table in it.

    Attributes:
        source: what messages call the table.
        rows: how many there are.
        columns: name → "number", "text" or "skipped", in order.
        files: what was read: path, size and time of each.
        notices: as a `Table` has them.
        first_line: of the first row in its file, where rows are lines.
        request: what was asked for, which a table that is used again must have been made for.
    """

    source: str
    rows: int
    columns: list[tuple[str, str]]
    files: list[dict[str, Any]]
    notices: list[str]
    first_line: int | None
    request: dict[str, Any]


def write_content(folder: Path, content: Content) -> None:
    """Make the folder hold a table."""
    part = folder / f"{TABLE}.part"
    part.write_text(json.dumps({"format": FORMAT, **vars(content)}, indent=1), encoding="utf-8")
    os.replace(part, folder / TABLE)


def read_content(folder: Path) -> Content | None:
    """What is in a folder; None where there is no whole table of this version."""
    try:
        found = json.loads((folder / TABLE).read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            return None
        content = Content(**found)
        content = Content(**{**found, "columns": [(str(name), str(kind)) for name, kind in content.columns]})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return content


def open_table(folder: Path, content: Content) -> Table:
    """The table of a folder, its columns mapped.

    Raises:
        DataError: a file is missing or damaged.
    """
    columns: dict[str, Column] = {}
    for place, (name, kind) in enumerate(content.columns):
        try:
            columns[name] = _column(folder, place, kind, content.rows)
        except (OSError, ValueError, TypeError) as problem:
            raise DataError(
                f"the columns in {str(folder)!r} are damaged (column {name!r}: {problem}); remove the folder, and the "
                "data are read again"
            ) from None
    return Table(columns, content.source, content.notices, first_line=content.first_line, mapped=True)


def _column(folder: Path, place: int, kind: str, rows: int) -> Column:
    if kind == "skipped":
        return np.broadcast_to(np.float64(np.nan), (rows,))
    values = np.load(folder / f"{place}.npy", mmap_mode="r", allow_pickle=False)
    if values.shape != (rows,):
        raise ValueError(f"{values.shape} where {rows} rows are needed")
    values = np.asarray(values).view(np.ndarray)
    if kind != "text":
        return values
    words = json.loads((folder / f"{place}.json").read_text(encoding="utf-8"))
    if values.dtype != np.int32 or any(not isinstance(word, str) for word in words):
        raise ValueError("its words do not belong to its rows")
    for part in blocks(rows):
        if len(values[part]) and not -1 <= values[part].min() <= values[part].max() < len(words):
            raise ValueError("a row has a word that is not there")
    return cast(Column, Texts(values, words))


def write_words(folder: Path, place: int, words: Sequence[str]) -> None:
    """The words of a column of text."""
    (folder / f"{place}.json").write_text(json.dumps(list(words), ensure_ascii=False), encoding="utf-8")


def require_room(folder: Path, size: int) -> None:
    """Refuse before anything is written what would fill the disk.

    Raises:
        DataError: there is less room than is needed.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"the columns of these data need about {in_units(size)} on the disk of {str(folder)!r}, where "
            f"{in_units(free)} are free. Make room, or choose a folder on another disk with --out."
        )
