"""The beginning of delimited text, which tells how to read the rest; files cut at line ends, or joined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fallline.data.delimited import read_delimited
from fallline.data.dialect import Dialect, column_names, read_records, sniff
from fallline.data.many_files import ending_of, require_same
from fallline.data.table import Table
from fallline.data.text_files import decompress, opened, prepare_text
from fallline.errors import DataError

PART_BYTES = 1 << 23
SAMPLE_BYTES = 1 << 22


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


def head_of(path: Path, source: str, folder: Path, header: bool | None) -> Head:
    """What the first lines of a file tell, as if they were all."""
    with opened(path, source) as file:
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


def first_record(path: Path, dialect: Dialect) -> tuple[str, ...]:
    """The cells of a first record in a known dialect."""
    with open(path, encoding="utf-8", newline="") as file:
        return tuple(cell.strip() for cell in next(iter(read_records(file, dialect)), []))


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
            plain = decompress(path, work, str(path)) if path.suffix.lower() == ".gz" else path
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


def cut(path: Path, source: str) -> Iterator[bytes]:
    """The file in parts that end with a line."""
    with opened(path, source) as file:
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
