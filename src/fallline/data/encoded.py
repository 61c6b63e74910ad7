"""A table of any size, encoded once into a folder of columns, and used again as long as its files are the same."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fallline.data import scratch
from fallline.data.many_files import kind_of
from fallline.data.mapped import Content, open_table, read_content, require_room, write_content
from fallline.data.table import Table
from fallline.engine.memory import total_memory
from fallline.errors import DataError

SHARE = 0.25
"""Of the machine's memory: from this size of their files on, columns are mapped."""
HEAD_ROWS = 20_000
WHOLE_TABLE = 3.0
"""Room that columns, parts of them and encoded rows need, in sizes of the files."""
PACKED_TIMES = 5
"""What is compressed, Parquet or .gz, is taken to be so many times as large."""
Told = Callable[[int, int], None]
"""Receives how many bytes of how many have been read."""


def encoded(
    files: Sequence[Path], source: str, folder: Path, header: bool | None, drop: Sequence[str] = (),
    told: Told = lambda done, whole: None,
) -> Table:  # fmt: skip
    """The table of some files, its columns in a folder: as they are there, or read now.

    Args:
        files: delimited text or Parquet, one after the other.
        source: what messages call the table.
        folder: for the columns.
        header: for delimited text, whether the first record names the columns.
        drop: columns of which nothing is kept.
        told: receives how far the reading is.

    Raises:
        DataError: the files cannot be read, or the disk is too small.
    """
    if drop:
        head = head_table(files, source, header)
        drop = sorted({head.resolve_column(name) for name in drop})
    request = {"header": header, "drop": list(drop), "files": [str(path) for path in files]}
    content = read_content(folder)
    if content is None or content.request != request or not unchanged(content, files):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            content = _encode(files, source, folder, request, told)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    scratch.use(folder)
    return open_table(folder, content)


def _encode(files: Sequence[Path], source: str, folder: Path, request: dict[str, Any], told: Told) -> Content:
    """Read the files, and make the folder hold their table."""
    whole, done = _text_bytes(files), 0
    require_room(folder, int(WHOLE_TABLE * whole))

    def more(size: int) -> None:
        nonlocal done
        done += size
        told(min(done, whole), whole)

    signs = [signature(path) for path in files]
    with tempfile.TemporaryDirectory(prefix="reading-", dir=folder) as name:
        if kind_of(files[0]) == 1:
            from fallline.data.parquet_parts import encode_parquet

            found = encode_parquet(files, source, folder, Path(name), request["drop"], more)
        else:
            from fallline.data.delimited_parts import encode_delimited

            found = encode_delimited(files, source, folder, Path(name), request["header"], request["drop"], more)
    if [signature(path) for path in files] != signs:
        raise DataError(f"{source} was written to while it was read: try again when it is whole.")
    columns = list(zip(found.names, found.kinds, strict=True))
    content = Content(source, found.rows, columns, signs, found.notices, found.first_line, request)
    write_content(folder, content)
    return content


def head_table(files: Sequence[Path], source: str, header: bool | None) -> Table:
    """The first rows of some files: enough to tell which columns there are.

    Raises:
        DataError: the first file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="fallline-") as name:
        if kind_of(files[0]) == 0:
            from fallline.data.delimited_head import head_of

            return head_of(files[0], source, Path(name), header).table
        from fallline.data.parquet import read_parquet

        return read_parquet(files[:1], Path(name), source, HEAD_ROWS)


def is_large(files: Sequence[Path]) -> bool:
    """Whether files are so large that their columns are better mapped."""
    memory, times = total_memory(), PACKED_TIMES if kind_of(files[0]) == 1 else 1
    return memory is not None and times * _text_bytes(files) > SHARE * memory


def _text_bytes(files: Sequence[Path]) -> int:
    """The size of files without the compression of .gz."""
    return sum(path.stat().st_size * (PACKED_TIMES if path.suffix.lower() == ".gz" else 1) for path in files)


def signature(path: Path) -> dict[str, Any]:
    """What tells whether a file was written to."""
    known = path.stat()
    return {"path": str(path.resolve()), "size": known.st_size, "time": known.st_mtime_ns}


def unchanged(content: Content, files: Sequence[Path]) -> bool:
    """Whether the files are those that were read."""
    return content.files == [signature(path) for path in files]
