"""A table of any size, encoded once into a folder of columns, and used again as long as its files are the same."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fallline.data.mapped import TABLE, Content, open_table, read_content, require_room, write_content
from fallline.data.table import Table
from fallline.errors import DataError

DELIMITED_PARTS = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data")
PARQUET_PARTS = (".parquet", ".pq")
GZIP_TIMES = 5
"""What is unpacked is taken to be so many times as large."""
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
    request = {"header": header, "drop": sorted(drop), "files": [str(path) for path in files]}
    content = read_content(folder)
    if content is not None and content.request == request and unchanged(content, files):
        return open_table(folder, content)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _encode(files, source, folder, request, told)
        found = read_content(folder)
        assert found is not None  # noqa: S101 (it was written a moment ago)
        return open_table(folder, found)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _encode(files: Sequence[Path], source: str, folder: Path, request: dict[str, Any], told: Told) -> None:
    sizes = [path.stat().st_size * (GZIP_TIMES if path.suffix.lower() == ".gz" else 1) for path in files]
    require_room(folder, 2 * sum(sizes))
    done = 0

    def more(size: int) -> None:
        nonlocal done
        done += size
        told(min(done, sum(sizes)), sum(sizes))

    signs = [signature(path) for path in files]
    with tempfile.TemporaryDirectory(prefix="reading-", dir=folder) as name:
        if ending_of(files[0]) in PARQUET_PARTS:
            from fallline.data.parquet_parts import encode_parquet

            found = encode_parquet(files, source, folder, Path(name), request["drop"], more)
        else:
            from fallline.data.delimited_parts import encode_delimited

            found = encode_delimited(files, source, folder, Path(name), request["header"], request["drop"], more)
    if [signature(path) for path in files] != signs:
        raise DataError(f"{source} was written to while it was read: try again when it is whole.")
    columns = list(zip(found.names, found.kinds, strict=True))
    write_content(folder, Content(source, found.rows, columns, signs, found.notices, found.first_line, request))


def ending_of(path: Path) -> str:
    """The ending that tells the kind of a file, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def can_be_encoded(files: Sequence[Path]) -> bool:
    """Whether files are of a kind that can be read part by part."""
    endings = {ending_of(path) for path in files}
    packed = any(path.suffix.lower() == ".gz" for path in files)
    return endings <= set(DELIMITED_PARTS) or (endings <= set(PARQUET_PARTS) and not packed)


def signature(path: Path) -> dict[str, Any]:
    """What tells whether a file was written to."""
    known = path.stat()
    return {"path": str(path.resolve()), "size": known.st_size, "time": known.st_mtime_ns}


def unchanged(content: Content, files: Sequence[Path]) -> bool:
    """Whether the files are those that were read."""
    return content.files == [signature(path) for path in files]


def content_hash(path: Path) -> str:
    """What a file's content is called."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


__all__ = ["TABLE", "can_be_encoded", "content_hash", "encoded"]
