"""Some lines of delimited text, read by DuckDB: numbers as such at once where nothing speaks against it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import delimited_head, duck, parts
from fallline.data.dialect import Dialect
from fallline.data.mapped import Vocabulary
from fallline.data.spelling import MISSING_MARKS
from fallline.data.text_files import ODD_BLANKS
from fallline.data.wide import exact, number
from fallline.errors import DataError, FalllineError

Bytes = NDArray[np.uint8]
_BLOCK = 1 << 17
"""Bytes looked at together: few enough to stay near the processor."""
NUMBER, TEXT, WHOLE, SKIPPED = "number", "text", "whole", "skipped"


@dataclass
class Cells:
    """How the cells of a file are read.

    Attributes:
        work: where temporary files may be written.
        dialect: how cells are told apart.
        kinds: of each column "number", "text", "whole" (numbers of up to 18 digits, exactly) or "skipped".
        words: of each column, the texts that are known so far.
        marked: whether a number was missing by a mark ("NA") in some part. To look for marks takes a fifth of the time,
            so it is left out until then.
    """

    work: Path
    dialect: Dialect
    kinds: list[str]
    words: dict[int, Vocabulary]
    marked: bool = False


@dataclass
class Lines:
    """Some whole lines of a file."""

    cells: Cells
    data: bytes
    wanted: list[int]
    name: str
    line: int
    size: int

    def read(self, worker: parts.Worker) -> parts.Rows:
        """Their rows."""
        data, dialect = self.data, self.cells.dialect
        if not data.endswith(b"\n"):
            data += b"\n"
        self._require_even(data)
        count = count_byte(data, "\n")
        path = self.cells.work / f"part-{id(worker)}.csv"
        path.write_bytes(data)
        quote = dialect.quote if dialect.quote is not None and dialect.quote.encode() in data else None
        source = _Source(path, replace(dialect, quote=quote), data)
        self.data = b""
        for plain, marks in self._ways(source):
            rows = self._ask(worker, source, plain, marks)
            if rows is not None:
                if rows.count != count:
                    break
                self.cells.marked |= plain and marks
                rows.bytes = self.size
                return rows
        raise DataError(self._uneven(f"{dialect.columns} cells were expected in each"))

    def _ways(self, source: "_Source") -> Iterator[tuple[bool, bool]]:
        """(whether numbers are read as such at once, whether marks of missing cells are known then), quickest first."""
        if source.plain and not self.cells.marked:
            yield True, False
        if source.plain:
            yield True, True
        yield False, True

    def _require_even(self, data: bytes) -> None:
        """Refuse what has rows of several lines, blank lines or another encoding."""
        if b"\x00" in data:
            raise DataError(f"{self.name} is not text: it holds a zero byte. Export it as CSV in UTF-8.")
        if not data.isascii():
            try:
                data.decode("utf-8")
            except UnicodeDecodeError as problem:
                at = self.line + data.count(b"\n", 0, problem.start)
                raise DataError(
                    f"{self.name} is not UTF-8 (line {at}), as a table that is mapped must be: save it as UTF-8."
                ) from None
        alone = self.cells.dialect.columns == 1  # of several columns, a blank line is no row to DuckDB either
        if alone and (any(mark in data for mark in (b"\n\n", b"\n\r")) or data[:1] in (b"\n", b"\r")):
            raise DataError(self._uneven("there is a blank line"))
        if b"\r" in data and not data.count(b"\r\n") == count_byte(data, "\r") == count_byte(data, "\n"):
            raise DataError(self._uneven("the line ends are of several kinds"))

    def _uneven(self, what: str) -> str:
        return (
            f"{self.name}, in the {delimited_head.PART_BYTES >> 20} MB from line {self.line} on: {what}, and a row "
            "must be one line in a table that is mapped. Correct these lines, save the table as Parquet, or read it "
            "with --in-memory."
        )

    def _ask(self, worker: parts.Worker, source: "_Source", plain: bool, marks: bool) -> parts.Rows | None:
        """The rows as DuckDB reads them; None where it cannot."""
        import duckdb

        kinds, words = self.cells.kinds, self.cells.words
        wanted = []
        for k in self.wanted:
            cell = source.cell(k, plain and marks)
            if kinds[k] == NUMBER and plain:
                wanted.append(f"coalesce(c{k}, 'nan'::DOUBLE) AS c{k}")
            elif kinds[k] == NUMBER:
                wanted.append(f"coalesce({number(cell)}, 'nan'::DOUBLE) AS c{k}")
                wanted.append(f"{cell} IS NOT NULL AND ({number(cell)}) IS NULL AS odd{k}")
            elif kinds[k] == WHOLE:
                wanted.append(f"{exact(cell)} AS c{k}")
            else:
                wanted += worker.wanted(k, words[k], source.cell(k, plain), cell)
        numbers = {k for k in range(len(kinds)) if plain and kinds[k] == NUMBER}
        try:
            asked = f"SELECT {', '.join(wanted)} FROM {source.reader(numbers, marks)}"
            found = duck.fetch(worker.database.execute(asked))
            rows = parts.Rows(len(next(iter(found.values()), ())), {})
            for k in self.wanted:
                values = found[f"c{k}"]
                if kinds[k] == WHOLE and values.dtype != np.int64:
                    rows.refuted.add(k)
                elif f"odd{k}" in found and found[f"odd{k}"].any():
                    rows.refuted.add(k)
                elif kinds[k] == TEXT:
                    asked = f"SELECT {source.cell(k, plain and marks)} AS c FROM {source.reader(numbers, marks)}"
                    rows.columns[k] = worker.given(k, words[k], found, partial(_cells, worker, asked))
                else:
                    rows.columns[k] = values
            return rows
        except FalllineError:
            raise
        except (duckdb.Error, RuntimeError):
            return None


def _cells(worker: parts.Worker, asked: str) -> NDArray[Any]:
    return duck.fetch(worker.database.execute(asked))["c"]


class _Source:
    """How DuckDB is asked for the cells of a part."""

    def __init__(self, path: Path, dialect: Dialect, data: bytes) -> None:
        self.path, self.dialect, self.size = path, dialect, len(data)
        edges = (dialect.delimiter, "\n", "\r", dialect.quote or "\n")
        self.spaces = data[:1] == b" " or _has(
            data, " ", lambda before, after: _one_of(before, edges) | _one_of(after, edges)
        )
        blanks = ODD_BLANKS - {dialect.delimiter} if _may_have_odd_blanks(data) else frozenset()
        self.odd = {mark for mark in blanks if mark.encode() in data}
        # DuckDB would take 1_000 for a number
        self.plain = not self.odd and not _has(data, "_", lambda before, after: _digits(before) & _digits(after))

    def cell(self, k: int, clean: bool) -> str:
        """A cell as text without blanks at its ends; NULL where it is missing.

        Args:
            k: its column.
            clean: whether it is so already where it has no spaces around.
        """
        if clean and not self.spaces:
            return f"c{k}"
        blanks = duck.quoted(" " + "".join(sorted(self.odd)))
        marks = ", ".join(duck.quoted(mark) for mark in sorted(MISSING_MARKS))
        trimmed = f"trim(c{k})" if not self.odd else f"trim(c{k}, {blanks})"
        return f"CASE WHEN {trimmed} IN ({marks}) THEN NULL ELSE {trimmed} END"

    def reader(self, numbers: set[int], with_marks: bool) -> str:
        """The call that reads the part, some columns as numbers at once; without marks only empty cells are missing."""
        columns = ", ".join(f"c{k}: '{'DOUBLE' if k in numbers else 'VARCHAR'}'" for k in range(self.dialect.columns))
        quote = duck.quoted(self.dialect.quote or "")
        marks = ", ".join(duck.quoted(mark) for mark in (sorted(MISSING_MARKS) if with_marks else [""]))
        return (
            f"read_csv({duck.quoted(str(self.path))}, auto_detect = false, header = false, skip = 0, comment = '', "
            f"nullstr = [{marks}], compression = 'none', delim = {duck.quoted(self.dialect.delimiter)}, "
            f"quote = {quote}, escape = {quote}, columns = {{{columns}}}, strict_mode = true, null_padding = false, "
            f"ignore_errors = false, parallel = false, max_line_size = {self.size + 1})"
        )


def _may_have_odd_blanks(data: bytes) -> bool:
    """Whether odd blanks can be among the bytes: one look at each tells that for most files."""
    control = int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) < ord(" ")))
    return control > count_byte(data, "\n") + count_byte(data, "\r") or not data.isascii()


def count_byte(data: bytes, mark: str) -> int:
    """How often an ASCII character is among the bytes; `bytes.count` takes five times as long where it is often."""
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == ord(mark)))


def _has(data: bytes, mark: str, test: Callable[[Bytes, Bytes], NDArray[np.bool_]]) -> bool:
    """Whether a test of the bytes before and after holds for some place of a mark."""
    if mark.encode() not in data:
        return False
    letters = np.frombuffer(data, dtype=np.uint8)
    for begin in range(0, len(letters) - 2, _BLOCK):
        block = letters[begin : begin + _BLOCK + 2]
        if np.any((block[1:-1] == ord(mark)) & test(block[:-2], block[2:])):
            return True
    return False


def _digits(letters: Bytes) -> NDArray[np.bool_]:
    return (letters >= ord("0")) & (letters <= ord("9"))


def _one_of(letters: Bytes, marks: Sequence[str]) -> NDArray[np.bool_]:
    found = np.zeros(len(letters), dtype=bool)
    for mark in marks:
        found |= letters == ord(mark)
    return found
