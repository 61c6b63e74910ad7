"""Delimited text of any size to columns in files: passes over its lines, and what the whole of them tells."""

import codecs
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fallline.data import duck, parts
from fallline.data.by_blocks import any_of, counted_codes, first_of
from fallline.data.delimited import NEARLY_ALL, WIDE, nearly_numeric
from fallline.data.delimited_head import Head, cut, first_record, head_of
from fallline.data.delimited_lines import NUMBER, SKIPPED, TEXT, WHOLE, Cells, Lines, count_byte
from fallline.data.dialect import column_names, looks_like_header
from fallline.data.many_files import require_same
from fallline.data.mapped import ColumnFile, Vocabulary, write_words
from fallline.data.parts import Encoded
from fallline.data.spelling import MISSING_MARKS
from fallline.data.wide import number
from fallline.errors import DataError

_EXACT = 2.0**53


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


class _Encoding:
    """Passes over the files, each for some of the columns."""

    def __init__(
        self, files: Sequence[Path], source: str, folder: Path, work: Path, head: Head, kinds: list[str]
    ) -> None:
        self.files, self.source, self.folder, self.work, self.head = files, source, folder, work, head
        self.kinds, self.rows = kinds, 0
        self.words = {k: Vocabulary() for k in range(len(kinds))}
        self.cells = Cells(work, head.dialect, self.kinds, self.words)
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
            parts.each(self._parts(wanted), databases, self._take, MISSING_MARKS)

    def _parts(self, wanted: list[int]) -> Iterator[Lines]:
        for number_of_file, path in enumerate(self.files):
            name = self.source if len(self.files) == 1 else str(path)
            begin = 1
            for data in cut(path, name):
                first = begin == 1
                if first:
                    data = data.removeprefix(codecs.BOM_UTF8)
                size = len(data)
                if first and self.head.header:
                    data = self._without_header(data, name, number_of_file)
                if data:
                    yield Lines(self.cells, data, wanted, name, begin + (first and self.head.header), size)
                begin += count_byte(data, "\n") + (first and self.head.header)

    def _without_header(self, data: bytes, name: str, number_of_file: int) -> bytes:
        line, _, rest = data.partition(b"\n")
        if number_of_file:
            sample = self.work / "header.csv"
            sample.write_bytes(line)
            found = column_names(first_record(sample, self.head.dialect))[0]
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
            self.kinds[:] = [WHOLE if k in large else kind for k, kind in enumerate(self.kinds)]
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
        return not any_of(len(values), lambda part: ~np.isnan(values[part]))

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
        _, counts = counted_codes(codes, len(words))
        filled = int(counts.sum())
        if filled < 10 or not words:
            return []
        with duck.connection() as database:
            database.execute("CREATE TEMP TABLE words AS SELECT unnest(?) AS w", [words])
            is_number = duck.fetch(database.execute(f"SELECT ({number('w')}) IS NOT NULL AS n FROM words"))["n"]
        numbers = int(counts[is_number].sum())
        if numbers < NEARLY_ALL * filled:
            return []
        first = int(np.argmin(is_number))
        row = first_of(len(codes), lambda part: codes[part] == first) or 0
        return [nearly_numeric(self.source, self.head.names[k], filled - numbers, row, words[first])]
