"""A text file as clean UTF-8: compression taken off, encoding recognised, binary files refused."""

import codecs
import gzip
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fallline.errors import DataError, told

_MAGIC = {
    b"PK\x03\x04": "a zip or Excel file",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x93NUMPY": "a NumPy array file",
    b"SQLite format 3": "an SQLite database",
    b"DUCK": "a DuckDB database",
}
ODD_BLANKS = frozenset("\t\f\v\u00a0\u2007\u202f\u3000\ufeff")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class TextFile:
    """A UTF-8 file without byte order mark, and what a look at its bytes told.

    Args:
        path: the file; a temporary copy where the original was written in another way.
        source: the name that messages use.
        notices: what was done that a person should know.
        lines: the number of lines that are not blank.
        has_quotes: whether a double quote occurs.
        odd_blanks: the characters besides the space that are blanks and occur.
        even: one kind of line ending throughout, and no blank line before the last row.
    """

    path: Path
    source: str
    notices: tuple[str, ...]
    lines: int
    has_quotes: bool
    odd_blanks: frozenset[str]
    even: bool


def decompress(path: Path, folder: Path, source: str) -> Path:
    """Unpack a gzip file into `folder`, under its name without `.gz`."""
    target = folder / (path.name[:-3] or "data")
    with opened(path, source) as packed, open(target, "wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
    return target


@contextmanager
def opened(path: Path, source: str) -> Iterator[IO[bytes]]:
    """A file's bytes, without the compression of .gz.

    Raises:
        DataError: it cannot be decompressed.
    """
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as file:
            yield file  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise DataError(
            f"{source} cannot be decompressed ({told(problem)}): the file is damaged, cut short or no gzip file. "
            f"Fetch it again, or unpack it with another program."
        ) from None


def prepare_text(path: Path, folder: Path, source: str) -> TextFile:
    """Look at a text file and, where needed, write it again in `folder` as UTF-8.

    UTF-8 and UTF-16 are told by their byte order marks or by being valid; anything else is read as Windows'
    Latin-1 (cp1252), which is said in a notice.

    Raises:
        DataError: the file is empty, or not text.
    """
    data = path.read_bytes()
    for magic, meaning in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(
                f"{source} is {meaning}, not text: give it the file ending that says so, or export it as CSV."
            )
    notices: list[str] = []
    clean, encoding = _as_utf8(data, source)
    if not clean.strip():
        raise DataError(f"{source} is empty: there is no row to read.")
    if encoding == "cp1252":
        notices.append(f"{source} is not UTF-8 (line {_first_bad_line(data)}): read as Latin-1.")
    if clean is not data:
        path = folder / "utf8.txt"
        path.write_bytes(clean)
    body = clean.rstrip(b" \r\n")
    suspicious = any(mark in body for mark in (b"\n\n", b"\n\r", b"\n ")) or body[:1] in b" \r\n"
    blank = len(re.findall(rb"(?:^|\n)(?=[ ]*\r?\n)", body)) if suspicious else 0
    odd_blanks = {mark for mark in ODD_BLANKS if mark.encode() in body} | set("\r\n" if b'"' in body else "")
    pairs, returns, ends = (body.count(mark) for mark in (b"\r\n", b"\r", b"\n"))
    return TextFile(
        path=path,
        source=source,
        notices=tuple(notices),
        lines=ends + 1 - blank,
        has_quotes=b'"' in body,
        odd_blanks=frozenset(odd_blanks),
        even=blank == 0 and returns == pairs and pairs in (0, ends),
    )


def _as_utf8(data: bytes, source: str) -> tuple[bytes, str]:
    """The same text as UTF-8 without byte order mark, and the encoding found."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16").encode(), "utf-16"
        except UnicodeDecodeError:
            raise DataError(
                f"{source} begins like UTF-16 text but cannot be decoded as such: save it as UTF-8."
            ) from None
    body = data.removeprefix(codecs.BOM_UTF8)
    if b"\x00" in body:
        raise DataError(
            f"{source} is not text: it holds a zero byte in line {_line_of(body, body.index(0))}. "
            f"Export it as CSV in UTF-8."
        )
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        if _CONTROL.search(body):
            raise DataError(
                f"{source} is not text: line {_first_bad_line(body)} is neither UTF-8 nor Latin-1. "
                f"Export it as CSV in UTF-8."
            ) from None
        try:
            return body.decode("cp1252").encode(), "cp1252"
        except UnicodeDecodeError:  # five bytes mean nothing to cp1252
            return body.decode("latin-1").encode(), "cp1252"
    return (data if len(body) == len(data) else body), "utf-8"


def _first_bad_line(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        return _line_of(data, problem.start)
    return 1


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
