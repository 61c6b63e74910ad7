"""Delimited text (CSV, TSV …) as a table, with every row accounted for.

DuckDB reads the cells, told everything about the dialect and forbidden to guess. Its rows are counted against
the file's lines; where they differ (cells of several lines, blank lines, stray quotes, ragged rows) Python's own
reader goes through the file record by record, and either names the line that does not fit or writes the same
records in a form without exceptions.
"""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import duck
from fallline.data.dialect import Dialect, column_names, is_blank, looks_like_header, read_records, sniff
from fallline.data.spelling import MISSING_MARKS
from fallline.data.table import Column, Table
from fallline.data.text_files import TextFile
from fallline.data.wide import WideCells, all_whole, exact, number, text_or_empty
from fallline.errors import DataError, told

_COLUMNS_PER_QUERY = 100
WIDE = 1500
"""Columns from which on a file is read as one long column of cells (wide.py)."""
NEARLY_ALL = 0.9  # from this share of numbers on, a text column is worth a notice


@dataclass(frozen=True)
class _Records:
    """A file that DuckDB can read as it stands, and where its records begin."""

    path: Path
    dialect: Dialect
    count: int
    lines: NDArray[np.int64] | None
    notices: tuple[str, ...] = ()


class _Misfit(Exception):
    """A record that does not fit the dialect; the text is the sentence for the user."""


def read_delimited(text: TextFile, folder: Path, ending: str, header: bool | None) -> Table:
    """The table of a delimited text file.

    Args:
        text: the file, prepared by `prepare_text`.
        folder: where temporary files may be written.
        ending: the ending of the file's name, such as ".tsv".
        header: whether the first record names the columns; None decides by `looks_like_header`.

    Raises:
        DataError: rows of different length (with the line), quotes that never close, or no row.
    """
    dialect = sniff(text.path, ending)
    if not text.has_quotes and dialect.quote == '"':
        dialect = replace(dialect, quote=None)
    with duck.connection() as database:
        if dialect.columns >= WIDE:
            return _read_wide(database, text, dialect, folder, header)
        database.execute(
            "PRAGMA disable_optimizer"
        )  # it takes seconds over some hundred columns, and has nothing to gain
        records = _as_it_stands(database, text, dialect, folder) or _rewritten(database, text, dialect, folder)
        return _convert(text, records, header, _Cells(database, records.dialect))


def _read_wide(database: Any, text: TextFile, dialect: Dialect, folder: Path, header: bool | None) -> Table:
    """DuckDB takes seconds and gigabytes to have thousands of columns: it is given one cell a row."""
    records = _choose_reading(text, dialect, folder)
    long = replace(records.dialect, columns=1)
    cells = folder / "cells.csv"
    with (
        _long_cells(),
        open(records.path, encoding="utf-8", newline="") as even,
        open(cells, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for record in csv.reader(even):
            writer.writerows((cell,) for cell in record)
    _load(database, text, cells, long, folder)
    return _convert(text, records, header, WideCells(database, records.dialect.first))


def _as_it_stands(database: Any, text: TextFile, dialect: Dialect, folder: Path) -> _Records | None:
    """Load the file directly; None where a record may have been understood otherwise than line by line."""
    import duckdb

    if not text.even or len(dialect.first) != dialect.columns:
        return None
    try:
        rows = _load(database, text, text.path, dialect, folder)
    except duckdb.Error:
        return None
    return _Records(text.path, dialect, rows, None) if rows == text.lines else None


def _load(database: Any, text: TextFile, path: Path, dialect: Dialect, folder: Path) -> int:
    """Fill the table `cells` with trimmed text, missing marks as NULL; the number of records."""
    names = [f"c{i}" for i in range(dialect.columns)]
    marks = ", ".join(duck.quoted(mark) for mark in sorted(MISSING_MARKS))
    blanks = duck.quoted(" " + "".join(sorted(text.odd_blanks - {dialect.delimiter})))
    blanks = "" if len(blanks) == 3 else f", {blanks}"  # trimming spaces alone is ten times as fast
    trimmed = ", ".join(f"trim({c}{blanks}) AS {c}" for c in names)
    cells = ", ".join(f"CASE WHEN {c} IN ({marks}) THEN NULL ELSE {c} END AS {c}" for c in names)
    columns = ", ".join(f"{c}: 'VARCHAR'" for c in names)
    quote = duck.quoted(dialect.quote or "")
    options = (
        f"auto_detect = false, header = false, skip = 0, comment = '', nullstr = '', compression = 'none', "
        f"delim = {duck.quoted(dialect.delimiter)}, quote = {quote}, escape = {quote}, columns = {{{columns}}}, "
        f"strict_mode = true, null_padding = false, ignore_errors = false, max_line_size = 268435456"
    )
    source = duck.plain_name(path, folder, ".txt")
    rows = f"SELECT {trimmed} FROM read_csv({source}, {options})"
    database.execute(f"CREATE OR REPLACE TEMP TABLE cells AS SELECT {cells} FROM ({rows})")
    return int(database.execute("SELECT count(*) FROM cells").fetchone()[0])


def _rewritten(database: Any, text: TextFile, dialect: Dialect, folder: Path) -> _Records:
    """Read record by record, write evenly, load that."""
    import duckdb

    records = _choose_reading(text, dialect, folder)
    try:
        rows = _load(database, text, records.path, records.dialect, folder)
    except duckdb.Error as problem:
        raise DataError(f"{text.source} cannot be read as delimited text: {told(problem)}") from None
    if rows != records.count:
        raise DataError(
            f"{text.source}: {records.count} records were found and {rows} could be read. "
            f"Save the file as plain CSV in UTF-8 and try again."
        )
    return records


def _choose_reading(text: TextFile, dialect: Dialect, folder: Path) -> _Records:
    """The reading in which all records have the same number of cells; where need be with quotes as ordinary letters."""
    found: _Records | None = None
    problem: _Misfit | None = None
    for escape in (None, "\\") if dialect.quote else (None,):
        try:
            found = _rewrite(text, dialect, folder / "even.csv", escape)
            break
        except _Misfit as misfit:
            problem = problem or misfit
    if dialect.quote and dialect.columns > 1 and (found is None or (text.even and found.count < text.lines)):
        # Cells of several lines, or a stray quote that swallowed line ends? If every single line is a complete
        # record by itself, it is the latter.
        try:
            lines = _rewrite(text, replace(dialect, quote=None), folder / "lines.csv")
            return replace(lines, notices=(_quotes_are_letters(text.source),))
        except _Misfit:
            pass
    if found is None:
        raise DataError(str(problem))
    return found


def _quotes_are_letters(source: str) -> str:
    return f"{source}: its quotation marks do not come in pairs around cells, so they are read as ordinary characters."


def _rewrite(text: TextFile, dialect: Dialect, target: Path, escape: str | None = None) -> _Records:
    """Write the records evenly to `target`; `_Misfit` where one has another number of cells."""
    lines: list[int] = []
    first: tuple[str, ...] = ()
    with (
        _long_cells(),
        open(text.path, encoding="utf-8", newline="") as file,
        open(target, "w", encoding="utf-8", newline="") as even,
    ):
        writer = csv.writer(even, quoting=csv.QUOTE_ALL, lineterminator="\n")
        reader = read_records(file, dialect, escape)
        begin = 1
        try:
            for record in reader:
                if not is_blank(record):
                    if len(record) != dialect.columns:
                        raise _Misfit(_ragged(text.source, begin, len(record), dialect))
                    first = first or tuple(cell.strip() for cell in record)
                    writer.writerow(record)
                    lines.append(begin)
                begin = reader.line_num + 1
        except csv.Error as problem:
            raise _Misfit(
                f"{text.source}, line {begin}: the quotation marks cannot be made out ({told(problem)}). "
                f'Close the quoted cell, and write a quote within it twice ("").'
            ) from None
    written = replace(dialect, delimiter=",", quote='"', first=first)
    return _Records(target, written, len(lines), np.asarray(lines, dtype=np.int64))


def _ragged(source: str, line: int, found: int, dialect: Dialect) -> str:
    character = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}[dialect.delimiter]
    cells = "1 cell" if found == 1 else f"{found} cells"
    return (
        f"{source}, line {line}: {cells} separated by {character}s, where {dialect.columns} were expected as in most "
        f"lines. Correct that line, or put quotes around cells that hold a {character}."
    )


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the csv module's limit of 131072 characters a cell for a while."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Cells:
    """The text cells that `_load` left in the database, as columns."""

    def __init__(self, database: Any, dialect: Dialect) -> None:
        self._database, self._dialect = database, dialect

    def survey(self, first: int) -> tuple[list[int], list[int], list[bool]]:
        """See `_survey`."""
        return _survey(self._database, self._dialect, first)

    def fetch(self, numeric: list[bool], start: int) -> list[Column]:
        """See `_fetch`."""
        return _fetch(self._database, numeric, start)

    def first_text(self, k: int, start: int) -> tuple[int, str]:
        """(row, cell) of the first cell of column k that is no number."""
        question = (
            f"SELECT rowid, c{k} FROM cells WHERE rowid >= {start} AND c{k} IS NOT NULL AND ({number(f'c{k}')}) IS NULL"
        )
        row, cell = self._database.execute(question + " ORDER BY rowid LIMIT 1").fetchone()
        return row - start, cell


def _convert(text: TextFile, records: _Records, header: bool | None, cells: "_Cells | WideCells") -> Table:
    """Typed columns from the text cells in the database."""
    dialect, notices = records.dialect, [*text.notices, *records.notices]
    filled, numbers, recurs = cells.survey(1)
    numeric = [some > 0 and some == n for n, some in zip(filled, numbers, strict=True)]
    named = looks_like_header(dialect.first, numeric, recurs) if header is None else header
    if named and records.count == 1:
        raise DataError(f"{text.source} holds column names and no rows: add rows, or say that it has no header.")
    if named:
        names, changes = column_names(dialect.first)
        notices += [f"{text.source}: {change}" for change in changes]
        if header is None and not any(numeric) and dialect.columns == 1:
            notices.append(f"{text.source}: its first line, {names[0]!r}, was taken as the column's name.")
    else:
        names = [f"column_{k}" for k in range(1, dialect.columns + 1)]
        filled, numbers, _ = cells.survey(0)
        numeric = [some > 0 and some == n for n, some in zip(filled, numbers, strict=True)]
    start = int(named)
    arrays = cells.fetch(numeric, start)
    for k, name in enumerate(names):
        if not numeric[k] and filled[k] >= 10 and numbers[k] >= NEARLY_ALL * filled[k]:
            notices.append(nearly_numeric(text.source, name, filled[k] - numbers[k], *cells.first_text(k, start)))
    lines = records.lines[start:] if records.lines is not None else np.arange(1 + start, records.count + 1)
    return Table(dict(zip(names, arrays, strict=True)), text.source, notices, lines)


def _survey(database: Any, dialect: Dialect, first: int) -> tuple[list[int], list[int], list[bool]]:
    """Per column, from record `first` on: filled cells, numbers among them, and whether the first cell comes back."""
    filled: list[int] = []
    numbers: list[int] = []
    recurs: list[bool] = []
    for start in range(0, dialect.columns, _COLUMNS_PER_QUERY):
        part = range(start, min(start + _COLUMNS_PER_QUERY, dialect.columns))
        wanted = ", ".join(
            f"count(c{k}), count({number(f'c{k}')}), coalesce(bool_or(c{k} = {duck.quoted(dialect.first[k])}), false)"
            for k in part
        )
        row = database.execute(f"SELECT {wanted} FROM cells WHERE rowid >= {first}").fetchone()
        filled += row[0::3]
        numbers += row[1::3]
        recurs += row[2::3]
    return filled, numbers, recurs


def _fetch(database: Any, numeric: list[bool], start: int) -> list[Column]:
    """The columns: float64 or int64 where all cells are numbers, text otherwise."""
    wanted = ", ".join(f"{number(f'c{k}') if is_number else f'c{k}'} AS c{k}" for k, is_number in enumerate(numeric))
    fetched = duck.fetch(database.execute(f"SELECT {wanted} FROM cells WHERE rowid >= {start}"))
    columns: list[Column] = []
    for k, (is_number, values) in enumerate(zip(numeric, fetched.values(), strict=True)):
        columns.append(_whole_if_possible(database, k, values, start) if is_number else text_or_empty(values))
    return columns


def _whole_if_possible(database: Any, k: int, values: NDArray[np.float64], start: int) -> Column:
    """int64 where every number is whole and none is missing."""
    if not all_whole(values):
        return values
    if float(np.max(np.abs(values))) < 2.0**53:
        return values.astype(np.int64)
    integers = duck.fetch(database.execute(f"SELECT {exact(f'c{k}')} AS c FROM cells WHERE rowid >= {start}"))["c"]
    return integers if integers.dtype == np.int64 else values


def nearly_numeric(source: str, name: str, bad: int, row: int, cell: str) -> str:
    """What to say of a column of text whose cells are numbers but for a few."""
    cells = "1 cell that is no number" if bad == 1 else f"{bad} cells that are no numbers, the first"
    return (
        f"{source}: column {name!r} is read as text because of {cells}: {cell!r} in row {row + 1}. "
        f"Correct or empty it to have a column of numbers."
    )
