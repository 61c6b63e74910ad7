"""The dialect of delimited text: which character separates cells, which quotes them, whether names come first.

Decided here on whole records and not by a database's sniffer, because a sniffer may take the first
lines for junk, or leave out lines that do not fit. Here every line counts.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fallline.data.spelling import MISSING_MARKS, NUMBER

if TYPE_CHECKING:
    import _csv

# In this order: a tab, semicolon or bar that gives every record the same number of cells is hardly ever
# there by chance, while commas are in sentences and in decimal fractions.
DELIMITERS = ("\t", ";", "|", ",")
_SAMPLE_BYTES = 1 << 17
_LONGEST_LINE = 1 << 28
_SAMPLE_RECORDS = 500


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are told apart.

    Args:
        delimiter: the character between cells.
        quote: the character around cells that hold delimiters or line ends; None where quotes mean nothing.
        columns: how many cells most records have.
        first: the cells of the first record, without blanks at their ends.
    """

    delimiter: str
    quote: str | None
    columns: int
    first: tuple[str, ...]


def sniff(path: Path, ending: str) -> Dialect:
    """The dialect of a UTF-8 file, from its first records; `ending` (".tsv" …) decides where the text does not."""
    sample = _sample(path)
    best: tuple[float, str, int, list[list[str]]] | None = None
    for delimiter in DELIMITERS:
        records = _records(sample, delimiter, '"')
        width, share = _usual_width(records)
        if width > 1 and (best is None or share > best[0]):
            best = share, delimiter, width, records
    if best is None or best[0] < 0.5:
        delimiter = "\t" if ending in (".tsv", ".tab") else ","
        records = _records(sample, delimiter, '"')
        best = 1.0, delimiter, _usual_width(records)[0], records
    _, delimiter, width, records = best
    quote = '"'
    if '"' not in sample and "'" in sample:
        marked = _records(sample, delimiter, "'")
        marked_width, marked_share = _usual_width(marked)
        if marked_share == 1.0 and (_usual_width(records)[1] < 1.0 or _single_quoted(records)):
            quote, width, records = "'", marked_width, marked
    return Dialect(delimiter, quote, width, tuple(cell.strip() for cell in records[0]))


def read_records(
    text: io.TextIOBase, dialect: Dialect, escape: str | None = None, strict: bool = True
) -> "_csv.Reader":
    """The records of a text, by Python's own reader; `escape` is the character before a quote within quotes, if any."""
    if dialect.quote is None:
        return csv.reader(text, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, strict=strict)
    return csv.reader(
        text,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=escape is None,
        escapechar=escape,
        skipinitialspace=dialect.delimiter != " ",
        strict=strict,
    )


def is_blank(record: Sequence[str]) -> bool:
    """Whether a record is a blank line."""
    return not record or (len(record) == 1 and not record[0].strip())


def looks_like_header(first: Sequence[str], numeric_below: Sequence[bool], recurs_below: Sequence[bool]) -> bool:
    """Whether the first record names the columns.

    Yes when a cell that is no number stands above a column of numbers; or when none of its cells is a number, and
    all are there, differ, and none of them comes back in its column. So years can be names of columns, too.

    Args:
        first: the cells of the first record.
        numeric_below: per column, whether all other cells are numbers or missing (and some is a number).
        recurs_below: per column, whether the first cell comes back.
    """
    named = [cell not in MISSING_MARKS for cell in first]
    numbers = [NUMBER.fullmatch(cell) is not None for cell in first]
    if any(n and not is_number and below for n, is_number, below in zip(named, numbers, numeric_below, strict=True)):
        return True
    if any(numbers):
        return False
    return all(named) and len(set(first)) == len(first) and not any(recurs_below)


def column_names(first: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the columns from a header record, and what was changed: blanks become column_k, repeats get _2, _3."""
    names: list[str] = []
    notices: list[str] = []
    places: dict[str, int] = {}
    numbered: dict[str, int] = {}  # the last number behind each repeated name
    written = set(first)
    for k, cell in enumerate(first, start=1):
        name = cell or f"column_{k}"
        if name in places:
            earlier = places[name]
            n = numbered.get(name, 2)
            while f"{name}_{n}" in places or f"{name}_{n}" in written:
                n += 1
            notices.append(f"Columns {earlier} and {k} are both named {name!r}: the later one is called '{name}_{n}'.")
            numbered[name] = n + 1
            name = f"{name}_{n}"
        places[name] = k
        names.append(name)
    return names, notices


def _sample(path: Path) -> str:
    """The first part of the file, up to a line end; at least a line."""
    with open(path, "rb") as file:
        data = file.read(_SAMPLE_BYTES)
        if b"\n" not in data:
            data += file.readline(_LONGEST_LINE)
        whole = not file.read(1)
    if not whole and b"\n" in data:
        data = data[: data.rindex(b"\n") + 1]
    return data.decode("utf-8", errors="ignore")


def _records(sample: str, delimiter: str, quote: str | None) -> list[list[str]]:
    dialect = Dialect(delimiter, quote, 0, ())
    found: list[list[str]] = []
    try:
        for record in read_records(io.StringIO(sample, newline=""), dialect, strict=False):
            if not is_blank(record):
                found.append(record)
            if len(found) == _SAMPLE_RECORDS:
                break
    except csv.Error:  # a cell beyond the reader's limit: judge by what came before
        pass
    return found or [[sample.strip()]]


def _usual_width(records: list[list[str]]) -> tuple[int, float]:
    """The commonest number of cells and the share of records that have it."""
    width, count = Counter(map(len, records)).most_common(1)[0]
    return width, count / len(records)


def _single_quoted(records: list[list[str]]) -> bool:
    """Whether some column's cells are nearly all written 'like this'."""
    marked: Counter[int] = Counter()
    filled: Counter[int] = Counter()
    for record in records:
        for k, cell in enumerate(record):
            text = cell.strip()
            if text not in MISSING_MARKS:
                filled[k] += 1
                marked[k] += len(text) > 1 and text[0] == text[-1] == "'"
    return any(marked[k] >= 0.9 * filled[k] for k in filled if filled[k] >= 2)
