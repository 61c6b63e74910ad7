"""A pattern ("data/*.csv") or a folder as one source: its files, in the order of their names."""

import glob
from collections.abc import Sequence
from pathlib import Path

from fallline.errors import DataError

DELIMITED = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data")
PARQUET = (".parquet", ".pq")
ENDINGS = DELIMITED, PARQUET
"""Kinds of which several files can be one table."""


def files_of(source: str) -> list[Path]:
    """The files that a path, a folder or a pattern means; the path itself where it is neither of the latter.

    Of a folder, files that begin with a dot or an underscore are no data.

    Raises:
        DataError: there is none, or they are not of one kind.
    """
    path = Path(source)
    if path.is_dir():
        inside = sorted(entry for entry in path.iterdir() if entry.is_file() and entry.name[0] not in "._")
        files = [entry for entry in inside if kind_of(entry) is not None]
        if not files:
            shown = ", ".join(entry.name for entry in inside[:5])
            hint = f" It holds {shown}." if shown else " It is empty."
            raise DataError(f"{source} is a folder without images, CSV or Parquet files: give a file.{hint}")
        return _of_one_kind(files, source)
    if path.exists() or not glob.has_magic(source):
        return [path]
    files = sorted(entry for entry in map(Path, glob.glob(source)) if entry.is_file())
    if not files:
        raise DataError(f"no file matches {source!r}: correct the pattern, or give a file or a folder.")
    return files if len(files) == 1 else _of_one_kind(files, source)


def ending_of(path: Path) -> str:
    """The ending that tells the kind of a file, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def kind_of(path: Path) -> int | None:
    """Which of the kinds of `ENDINGS` a file is; None where it is no such file."""
    ending, packed = ending_of(path), path.suffix.lower() == ".gz"
    return 0 if ending in ENDINGS[0] else 1 if ending in ENDINGS[1] and not packed else None


def _of_one_kind(files: Sequence[Path], source: str) -> list[Path]:
    first = files[0]
    for path in files:
        if kind_of(path) is None or ending_of(path) != ending_of(first):
            raise DataError(
                f"{source} means files of several kinds, such as {first.name} and {path.name}: files of one table need "
                "the same ending, of CSV or Parquet. Give a pattern that means only these, such as '*.csv'."
                if path is not first
                else f"{source} means files such as {first.name}, which cannot be read together: only CSV and Parquet "
                "files can. Give one of them."
            )
    return list(files)


def require_same(names: list[str], found: list[str], first: str, other: str) -> None:
    """Refuse a file whose columns are not those of the first one.

    Raises:
        DataError: naming the file and the difference.
    """
    if found == names:
        return
    lacking, further = ([n for n in one if n not in two] for one, two in ((names, found), (found, names)))
    if lacking or further:
        told = f"lacks {_columns(lacking)}, which {first} has" if lacking else f"has {_columns(further)}"
        told += f", and has {_columns(further)}" if lacking and further else ""
        told += f", which {first} has not" if further else ""
        raise DataError(f"{other} {told}: files of one table need the same columns.")
    raise DataError(
        f"{other} has the columns of {first} in another order: files of one table need the same columns in one order."
    )


def _columns(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
    return f"the column {shown}" if len(names) == 1 else f"the columns {shown}"
