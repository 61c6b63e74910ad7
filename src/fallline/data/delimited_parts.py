"""Delimited text of any size to columns in files: cut at line ends, each part read by DuckDB."""

import codecs
import gzip
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import duck, parts
from fallline.data.delimited import NEARLY_ALL, WIDE, nearly_numeric, read_delimited
from fallline.data.dialect import Dialect, column_names, looks_like_header, sniff
from fallline.data.many_files import ending_of, require_same
from fallline.data.mapped import ColumnFile, Vocabulary, write_words
from fallline.data.spelling import MISSING_MARKS
from fallline.data.table import Table
from fallline.data.text_files import ODD_BLANKS, prepare_text
from fallline.data.wide import exact, number
from fallline.errors import DataError, FalllineError

Bytes = NDArray[np.uint8]
PART_BYTES = 1 << 22
SAMPLE_BYTES = 1 << 22
_EXACT = 2.0**53
NUMBER, TEXT, WHOLE, SKIPPED = "number", "text", "whole", "skipped"


@dataclass
class Head:
    """What the first rows tell.

    Attributes:
        table: of these rows.
        dialect: how cells are told apart.
        names: of the columns.
        header: whether the first record names them.
        numeric: which columns hold numbers there.
        notices: of the names.
    """

    table: Table
    dialect: Dialect
    names: list[str]
    header: bool
    numeric: list[bool]
    notices: list[str]


@dataclass
class Encoded:
    """A file's columns as they were written.

    Attributes:
        names: of the columns.
        kinds: "number", "text" or "skipped" of each.
        rows: how many.
        notices: what a person should be told.
        first_line: of the first row.
    """

    names: list[str]
    kinds: list[str]
    rows: int
    notices: list[str]
    first_line: int | None


class Uneven(Exception):
    """Lines that are not rows one by one; the text says where."""


def head_of(path: Path, source: str, folder: Path, header: bool | None) -> Head:
    """What the first lines of a file tell, as if they were all."""
    with _opened(path) as file:
        data = file.read(SAMPLE_BYTES)
        if len(data) == SAMPLE_BYTES:
            data = data[: data.rfind(b"\n") + 1] or data + file.readline(SAMPLE_BYTES)
    sample = folder / "head.csv"
    sample.write_bytes(data)
    ending = ending_of(path)
    text = prepare_text(sample, folder, source)
    table = read_delimited(text, folder, ending, header)
    dialect = sniff(text.path, ending)
    named = table.lines is not None and int(table.lines[0]) > 1
    numeric = [values.dtype.kind in "if" for values in table.columns.values()]
    return Head(table, dialect, table.names, named, numeric, column_names(dialect.first)[1] if named else [])


def encode_delimited(
    files: Sequence[Path], source: str, folder: Path, work: Path, header: bool | None, drop: Sequence[str],
    told: parts.Told,
) -> Encoded:  # fmt: skip
    """Write the columns of files of one kind to a folder.

    Args:
        files: one after the other.
        source: what messages call them.
        folder: where the columns go.
        work: for temporary files.
        header: whether the first record of each names the columns; None finds out.
        drop: columns of which nothing is kept.
        told: receives how many bytes more have been read.

    Raises:
        DataError: the files are not even text, or do not agree.
    """
    head = head_of(files[0], source, work, header)
    if len(head.names) >= WIDE:
        raise DataError(
            f"{source} has {len(head.names):,} columns, and a CSV file that is mapped at most {WIDE - 1:,}: save it as "
            "Parquet, or read it with --in-memory."
        )
    kinds = [
        SKIPPED if n in drop else NUMBER if is_n else TEXT for n, is_n in zip(head.names, head.numeric, strict=True)
    ]
    with closing(_Encoding(files, source, folder, work, head, kinds)) as encoding:
        encoding.run(range(len(kinds)), told)
        encoding.again(told)
        named = encoding.header() if header is None and len(files) == 1 else head.header
        if named == head.header:
            return encoding.finish()
    return encode_delimited(files, source, folder, work, named, drop, told)


def joined(files: Sequence[Path], folder: Path, header: bool | None) -> tuple[Path, bool]:
    """(one file of all the lines of some, of whose headers only the first is there; whether there is a header).

    Raises:
        DataError: their columns are not the same.
    """
    heads: list[Head] = []
    whole = folder / f"joined{ending_of(files[0])}"
    with open(whole, "wb") as out:
        for number_of_file, path in enumerate(files):
            work = folder / f"{number_of_file}"
            work.mkdir()
            head = head_of(path, str(path), work, heads[0].header if heads else header)
            heads.append(head)
            require_same(heads[0].names, head.names, str(files[0]), str(path))
            if head.dialect.delimiter != heads[0].dialect.delimiter:
                raise DataError(f"{path} separates cells by another character than {files[0]}: write them alike.")
            with _opened(path) as file:
                plain = work / f"plain{ending_of(path)}"
                with open(plain, "wb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
            with open(prepare_text(plain, work, str(path)).path, "rb") as file:
                if number_of_file and head.header:
                    file.readline()
                _append(out, file)
    return whole, heads[0].header


def _append(out: IO[bytes], file: IO[bytes]) -> None:
    last = b"\n"
    while data := file.read(1 << 20):
        out.write(data)
        last = data[-1:]
    if last != b"\n":
        out.write(b"\n")


class _Encoding:
    """Passes over the files, each for some of the columns."""

    def __init__(
        self, files: Sequence[Path], source: str, folder: Path, work: Path, head: Head, kinds: list[str]
    ) -> None:
        self.files, self.source, self.folder, self.work, self.head = files, source, folder, work, head
        self.kinds, self.rows = kinds, 0
        self.words = {k: Vocabulary() for k in range(len(kinds))}
        self.columns: dict[int, ColumnFile] = {}
        self.refuted: set[int] = set()
        self.whole: dict[int, float] = {}  # column of whole numbers → the largest so far

    def run(self, places: Sequence[int], told: parts.Told) -> None:
        """One pass, for these columns."""
        wanted = [k for k in places if self.kinds[k] != SKIPPED]
        for k in wanted:
            dtype = {TEXT: np.int32, WHOLE: np.int64}.get(self.kinds[k], np.float64)
            self.columns[k] = ColumnFile(self.folder / f"{k}.npy", dtype)
        self.whole |= {k: 0.0 for k in wanted if self.kinds[k] == NUMBER}
        self.rows, self.told = 0, told
        with ExitStack() as stack:
            databases = [stack.enter_context(duck.connection(limit="200MB")) for _ in range(parts.threads())]
            for database in databases:
                database.execute("SET threads = 1")
            parts.each(self._parts(wanted), databases, self._take)

    def _parts(self, wanted: list[int]) -> Iterator["_Lines"]:
        for number_of_file, path in enumerate(self.files):
            name = self.source if len(self.files) == 1 else str(path)
            begin = 1
            for data in _cut(path):
                first = begin == 1
                if first:
                    data = data.removeprefix(codecs.BOM_UTF8)
                size = len(data)
                if first and self.head.header:
                    data = self._without_header(data, name, number_of_file)
                if data:
                    yield _Lines(self, data, wanted, name, begin + (first and self.head.header), size)
                begin += data.count(b"\n") + (first and self.head.header)

    def _without_header(self, data: bytes, name: str, number_of_file: int) -> bytes:
        line, _, rest = data.partition(b"\n")
        if number_of_file:
            sample = self.work / "header.csv"
            sample.write_bytes(line)
            found = column_names(sniff_as(sample, self.head.dialect))[0]
            require_same(self.head.names, found, str(self.files[0]), name)
        return rest

    def _take(self, rows: parts.Rows) -> None:
        self.refuted |= rows.refuted
        for k, values in rows.columns.items():
            if k in self.refuted:
                continue
            vocabulary = self.words[k] if self.kinds[k] == TEXT else None
            if k in self.whole:
                self._watch(k, values)
            parts.write(self.columns[k], values, vocabulary)
            if vocabulary is not None:
                parts.require_few_words(vocabulary, self.source, self.head.names[k])
        self.rows += rows.count
        self.told(rows.bytes)

    def _watch(self, k: int, values: NDArray[np.float64]) -> None:
        """Whether the column's numbers are whole, and how large."""
        with np.errstate(invalid="ignore"):
            whole = bool(np.all(values == np.floor(values)) and np.all(np.isfinite(values)))
        if whole:
            self.whole[k] = max(self.whole[k], float(np.abs(values).max(initial=0.0)))
        else:
            del self.whole[k]

    def again(self, told: parts.Told) -> None:
        """Whole numbers as such; and another pass for columns that were not what they seemed."""
        for k in self.refuted:
            self.kinds[k] = TEXT
            self.whole.pop(k, None)
        large = [k for k, most in self.whole.items() if most >= _EXACT and self.rows]
        for k, most in self.whole.items():
            if most < _EXACT and self.rows:
                self.columns[k].retype(np.int64, lambda values: values.astype(np.int64))
        before = {k: self.columns[k] for k in large}
        for k in (*large, *self.refuted):
            self.columns[k].close()
        if large:
            kept = {k: file.path.rename(file.path.with_suffix(".float")) for k, file in before.items()}
            self.kinds = [WHOLE if k in large else kind for k, kind in enumerate(self.kinds)]
            wrong, self.refuted = self.refuted, set()
            self.run(sorted({*large, *wrong}), told)
            for k in large:  # not exactly to be had: they stay floats
                self.kinds[k] = NUMBER
                if k in self.refuted:
                    self.columns[k].close()
                    kept[k].replace(before[k].path)
                    self.columns[k] = before[k]
                else:
                    kept[k].unlink()
        elif self.refuted:
            wrong, self.refuted = self.refuted, set()
            self.run(sorted(wrong), told)

    def header(self) -> bool:
        """Whether the first record names the columns, seen from the end of the files."""
        first = self.head.dialect.first
        numeric, recurs = [], []
        for k, kind in enumerate(self.kinds):
            vocabulary = self.words[k]
            numeric.append(kind == NUMBER and self.rows > 0 and not self._empty(k))
            recurs.append(kind == TEXT and first[k] in vocabulary.known)
        return looks_like_header(first, numeric, recurs) if self.head.header else False

    def _empty(self, k: int) -> bool:
        """Whether a column of numbers has none."""
        self.columns[k].close()
        values = np.load(self.columns[k].path, mmap_mode="r")
        return not any(bool(np.any(~np.isnan(values[i : i + (1 << 18)]))) for i in range(0, len(values), 1 << 18))

    def close(self) -> None:
        """Close all files."""
        for file in self.columns.values():
            file.close()

    def finish(self) -> Encoded:
        """The columns as they were written."""
        self.close()
        notices = [f"{self.source}: {change}" for change in self.head.notices]
        for k, kind in enumerate(self.kinds):
            if kind == TEXT:
                write_words(self.folder, k, self.words[k].words)
                notices += self._nearly(k)
        if self.rows == 0:
            raise DataError(f"{self.source} holds column names and no rows: add rows, or say that it has no header.")
        kinds = [TEXT if kind == TEXT else SKIPPED if kind == SKIPPED else NUMBER for kind in self.kinds]
        first_line = 1 + self.head.header if len(self.files) == 1 else None
        return Encoded(self.head.names, kinds, self.rows, notices, first_line)

    def _nearly(self, k: int) -> list[str]:
        """What to say of a column of text whose cells are numbers but for a few."""
        words = self.words[k].words
        codes = np.load(self.columns[k].path, mmap_mode="r")
        counts = np.zeros(len(words) + 1, dtype=np.int64)
        for i in range(0, len(codes), 1 << 18):
            counts += np.bincount(codes[i : i + (1 << 18)] + 1, minlength=len(words) + 1)
        counts, filled = counts[1:], int(counts[1:].sum())
        if filled < 10 or not words:
            return []
        with duck.connection() as database:
            database.execute("CREATE TEMP TABLE words AS SELECT unnest(?) AS w", [words])
            is_number = duck.fetch(database.execute(f"SELECT ({number('w')}) IS NOT NULL AS n FROM words"))["n"]
        numbers = int(counts[is_number].sum())
        if numbers < NEARLY_ALL * filled:
            return []
        first = int(np.argmin(is_number))
        row = next(
            i + int(np.argmax(codes[i : i + (1 << 18)] == first))
            for i in range(0, len(codes), 1 << 18)
            if (codes[i : i + (1 << 18)] == first).any()
        )
        return [nearly_numeric(self.source, self.head.names[k], filled - numbers, row, words[first])]


def sniff_as(path: Path, dialect: Dialect) -> tuple[str, ...]:
    """The cells of a first record in a known dialect."""
    from fallline.data.dialect import read_records

    with open(path, encoding="utf-8", newline="") as file:
        return tuple(cell.strip() for cell in next(iter(read_records(file, dialect)), []))


@dataclass
class _Lines:
    """Some whole lines of a file."""

    encoding: _Encoding
    data: bytes
    wanted: list[int]
    name: str
    line: int
    size: int
    columns: dict[int, NDArray[Any]] = field(default_factory=dict)

    def read(self, worker: parts.Worker) -> parts.Rows:
        """Their rows."""
        data, dialect = self.data, self.encoding.head.dialect
        if not data.endswith(b"\n"):
            data += b"\n"
        self._require_even(data)
        count = data.count(b"\n")
        path = self.encoding.work / f"part-{id(worker)}.csv"
        path.write_bytes(data)
        quote = dialect.quote if dialect.quote is not None and dialect.quote.encode() in data else None
        source = _Source(path, replace(dialect, quote=quote), data)
        self.data = b""
        for plain in (True, False) if source.plain else (False,):
            rows = self._ask(worker, source, plain)
            if rows is not None:
                if rows.count != count:
                    break
                rows.bytes = self.size
                return rows
        raise DataError(self._uneven(f"{dialect.columns} cells were expected in each"))

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
        alone = self.encoding.head.dialect.columns == 1  # of several columns, a blank line is no row to DuckDB either
        if alone and (any(mark in data for mark in (b"\n\n", b"\n\r")) or data[:1] in (b"\n", b"\r")):
            raise DataError(self._uneven("there is a blank line"))
        if b"\r" in data and not data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n"):
            raise DataError(self._uneven("the line ends are of several kinds"))

    def _uneven(self, what: str) -> str:
        return (
            f"{self.name}, in the {PART_BYTES >> 20} MB from line {self.line} on: {what}, and a row must be one line "
            "in a table that is mapped. Correct these lines, save the table as Parquet, or read it with --in-memory."
        )

    def _ask(self, worker: parts.Worker, source: "_Source", plain: bool) -> parts.Rows | None:
        """The rows as DuckDB reads them; None where it cannot."""
        import duckdb

        kinds, words = self.encoding.kinds, self.encoding.words
        wanted, typed = [], {}
        for k in self.wanted:
            cell = source.cell(k, plain)
            if kinds[k] == NUMBER and plain:
                wanted.append(f"coalesce(c{k}, 'nan'::DOUBLE) AS c{k}")
            elif kinds[k] == NUMBER:
                wanted.append(f"coalesce({number(cell)}, 'nan'::DOUBLE) AS c{k}")
                wanted.append(f"{cell} IS NOT NULL AND ({number(cell)}) IS NULL AS odd{k}")
            elif kinds[k] == WHOLE:
                wanted.append(f"{exact(cell)} AS c{k}")
            else:
                typed[k] = worker.word_type(k, words[k])
                if typed[k] is None:
                    wanted.append(f"{cell} AS c{k}")
                else:
                    wanted.append(f"coalesce(enum_code(TRY_CAST({cell} AS {typed[k]}))::INTEGER, -1) AS c{k}")
                    wanted.append(f"{cell} IS NULL AS gap{k}")
        numbers = {k for k in range(len(kinds)) if plain and kinds[k] == NUMBER}
        try:
            asked = f"SELECT {', '.join(wanted)} FROM {source.reader(numbers)}"
            found = duck.fetch(worker.database.execute(asked))
            rows = parts.Rows(len(next(iter(found.values()), ())), {})
            for k in self.wanted:
                values = found[f"c{k}"]
                if kinds[k] == WHOLE and values.dtype != np.int64:
                    rows.refuted.add(k)
                elif f"odd{k}" in found and found[f"odd{k}"].any():
                    rows.refuted.add(k)
                elif typed.get(k) is not None:
                    rows.columns[k] = self._places(worker, source, plain, k, values, found[f"gap{k}"], numbers)
                else:
                    rows.columns[k] = values
            return rows
        except FalllineError:
            raise
        except (duckdb.Error, RuntimeError):
            return None

    def _places(
        self, worker: parts.Worker, source: "_Source", plain: bool, k: int, values: Any, gaps: Any, numbers: set[int]
    ) -> NDArray[Any]:
        """The places of the words; the cells themselves where some are not known yet."""
        if int(np.count_nonzero(values < 0)) == int(np.count_nonzero(gaps)):
            return worker.places(k, self.encoding.words[k], values)
        asked = f"SELECT {source.cell(k, plain)} AS c FROM {source.reader(numbers)}"
        return np.asarray(duck.fetch(worker.database.execute(asked))["c"], dtype=object)


class _Source:
    """How DuckDB is asked for the cells of a part."""

    def __init__(self, path: Path, dialect: Dialect, data: bytes) -> None:
        self.path, self.dialect = path, dialect
        edges = (dialect.delimiter, "\n", "\r", dialect.quote or "\n")
        self.spaces = data[:1] == b" " or _has(
            data, " ", lambda before, after: _one_of(before, edges) | _one_of(after, edges)
        )
        blanks = {mark for mark in ODD_BLANKS - {dialect.delimiter} if not data.isascii() or mark.isascii()}
        self.odd = {mark for mark in blanks if mark.encode() in data}
        # DuckDB would take 1_000 for a number
        self.plain = not self.odd and not _has(data, "_", lambda before, after: _digits(before) & _digits(after))

    def cell(self, k: int, plain: bool) -> str:
        """A cell as text without blanks at its ends; NULL where it is missing."""
        if plain and not self.spaces:
            return f"c{k}"
        blanks = duck.quoted(" " + "".join(sorted(self.odd)))
        marks = ", ".join(duck.quoted(mark) for mark in sorted(MISSING_MARKS))
        trimmed = f"trim(c{k})" if not self.odd else f"trim(c{k}, {blanks})"
        return f"CASE WHEN {trimmed} IN ({marks}) THEN NULL ELSE {trimmed} END"

    def reader(self, numbers: set[int]) -> str:
        """The call that reads the part, some columns as numbers at once."""
        columns = ", ".join(f"c{k}: '{'DOUBLE' if k in numbers else 'VARCHAR'}'" for k in range(self.dialect.columns))
        quote = duck.quoted(self.dialect.quote or "")
        marks = ", ".join(duck.quoted(mark) for mark in sorted(MISSING_MARKS))
        return (
            f"read_csv({duck.quoted(str(self.path))}, auto_detect = false, header = false, skip = 0, comment = '', "
            f"nullstr = [{marks}], compression = 'none', delim = {duck.quoted(self.dialect.delimiter)}, "
            f"quote = {quote}, escape = {quote}, columns = {{{columns}}}, strict_mode = true, null_padding = false, "
            f"ignore_errors = false, parallel = false, max_line_size = {PART_BYTES * 2})"
        )


def _has(data: bytes, mark: str, test: Callable[[Bytes, Bytes], NDArray[np.bool_]]) -> bool:
    """Whether a test of the bytes before and after holds for some place of a mark."""
    if mark.encode() not in data:
        return False
    letters = np.frombuffer(data, dtype=np.uint8)
    places = np.flatnonzero(letters[1:-1] == ord(mark))
    return bool(np.any(test(letters[places], letters[places + 2])))


def _digits(letters: Bytes) -> NDArray[np.bool_]:
    return (letters >= ord("0")) & (letters <= ord("9"))


def _one_of(letters: Bytes, marks: Sequence[str]) -> NDArray[np.bool_]:
    found = np.zeros(len(letters), dtype=bool)
    for mark in marks:
        found |= letters == ord(mark)
    return found


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _cut(path: Path) -> Iterator[bytes]:
    """The file in parts that end with a line."""
    with _opened(path) as file:
        rest = b""
        while data := file.read(PART_BYTES):
            end = data.rfind(b"\n") + 1
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
        if rest.strip():
            yield rest
