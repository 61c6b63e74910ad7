"""One door for all data: files of every supported kind, arrays, data frames, dictionaries, bundled sets."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from fallline.data.arrays import column_from_array, is_idx, read_array_file, table_from_array
from fallline.data.encoded import Told, encoded, is_large
from fallline.data.frames import is_frame, table_from_frame
from fallline.data.image_files import find_images
from fallline.data.image_form import ImageForm
from fallline.data.many_files import DELIMITED, PARQUET, ending_of, files_of, kind_of
from fallline.data.objects import column_from_values
from fallline.data.samples import load_sample, sample_names
from fallline.data.table import Table
from fallline.data.text_files import decompress, prepare_text
from fallline.errors import DataError, KindError

JSON = (".jsonl", ".ndjson", ".json")
ARROW = (".arrow", ".feather", ".ipc")
NUMPY = (".npz", ".npy")
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_SUPPORTED = (
    "CSV or TSV (.csv, .tsv, .txt), JSON lines (.jsonl, .ndjson, .json), Parquet (.parquet), Arrow (.arrow, "
    ".feather), .gz of any of these, NumPy (.npz, .npy), idx, and images (.png, .jpg …)"
)


def read_table(
    source: Any, header: bool | None = None, images: ImageForm | tuple[int, int] | None = None, *,
    mapped: bool | None = None, folder: Any = None, drop: Sequence[str] = (),
    told: Told = lambda done, whole: None,
) -> Table:  # fmt: skip
    """A table from a file, a folder of images, a bundled set's name, arrays, a data frame, or a dictionary of columns.

    In delimited text the separator (comma, tab, semicolon, bar), the quotes, the encoding and the header are
    recognised; a column becomes numbers where every cell that is not missing is one. Missing are empty cells and
    those of `spelling.MISSING_MARKS`. A folder, or a pattern such as "data/*.csv", is one table: its CSV or Parquet
    files, with the same columns each, in the order of their names.

    Columns of large files are mapped: they are written to files once, and looked at there, so that they need not fit
    into memory. What is computed from them is the same.

    Args:
        source: a path (its ending tells the kind), the name of a bundled set, a NumPy array (rows, columns), a pandas,
            polars or pyarrow table, a mapping from names to sequences, a list of mappings, or a Table; of images also a
            folder, with a folder in it for each class or not, a pattern such as new/*.png, or a list of paths.
        header: for delimited text, whether the first row names the columns; None finds out.
        images: the size (width, height), or the form, that images are brought to; None finds out: see `read_images`.
        mapped: whether columns are mapped; None maps those of CSV and Parquet files of more than a quarter of the
            machine's memory.
        folder: where mapped columns are put; a table that is there already is used again if its files are the same.
            None puts them into a temporary folder, as long as the process runs.
        drop: columns of which nothing is kept where they are mapped.
        told: receives how many bytes of how many have been read, where columns are mapped.

    Returns:
        A table: `table.names`, `table.columns` (name → array (rows,)), `len(table)` rows.

    Raises:
        DataError: the file or its content is not usable; the message names file, line and column.
        KindError: `source` is of a type that is no table.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str) and source in sample_names() and not Path(source).is_file():
        return load_sample(source)
    if (pictures := find_images(source)) is not None:
        from fallline.data.images import read_images

        return read_images(pictures, images)
    if isinstance(source, (str, os.PathLike)):
        files = files_of(str(source))
        if is_mapped(files, mapped):
            place = temporary_folder() if folder is None else Path(folder)
            return encoded(files, str(source), place, header, drop, told)
        return _read_file(files[0], str(source), header) if len(files) == 1 else _read_files(files, str(source), header)
    if isinstance(source, np.ndarray):
        return table_from_array(source)
    if is_frame(source):
        return table_from_frame(source)
    if isinstance(source, Mapping):
        return _from_columns(source)
    if isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
        return _from_rows(source)
    raise KindError(
        f"A table is read from a path, an array, a data frame or a dictionary of columns, not from "
        f"{type(source).__name__}. Give one of those."
    )


def is_mapped(files: Sequence[Path], mapped: bool | None) -> bool:
    """Whether the columns of these files are to be mapped.

    Raises:
        DataError: that is asked for, and they are of a kind that cannot be.
    """
    readable = all(path.is_file() and path.stat().st_size > 0 for path in files)
    if mapped is False or not readable:
        return False  # what is not there is told by who reads it
    possible = all(kind_of(path) is not None for path in files)
    if mapped and not possible:
        raise DataError(f"{files[0]} cannot be mapped: only columns of CSV and Parquet files can. Read it in memory.")
    return possible and bool(mapped or is_large(files))


def temporary_folder() -> Path:
    """A folder that is there until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="fallline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "columns"


def _read_files(files: Sequence[Path], source: str, header: bool | None) -> Table:
    """Several files of one kind, as one table."""
    with tempfile.TemporaryDirectory(prefix="fallline-") as name:
        folder = Path(name)
        try:
            if kind_of(files[0]) == 1:
                from fallline.data.parquet import read_parquet

                return read_parquet(files, folder, source)
            from fallline.data.delimited import read_delimited
            from fallline.data.delimited_head import joined

            whole, named = joined(files, folder, header)
            table = read_delimited(prepare_text(whole, folder, source), folder, ending_of(files[0]), named)
            table.lines = None  # of the files together: they would mislead
            return table
        except PermissionError as error:
            raise DataError(f"{error.filename} may not be read: change its permissions, or copy it.") from None


def _read_file(path: Path, source: str, header: bool | None) -> Table:
    _require_file(path, source)
    if is_idx(path):
        return read_array_file(path, source)
    with tempfile.TemporaryDirectory(prefix="fallline-") as name:
        folder = Path(name)
        try:
            if path.suffix.lower() == ".gz":
                _ending(path.with_suffix(""), source)  # refuse an unknown kind before unpacking it
                path = decompress(path, folder, source)
            return _read_plain(path, folder, source, header)
        except PermissionError:
            raise DataError(f"{source} may not be read: change its permissions, or copy it.") from None


def _read_plain(path: Path, folder: Path, source: str, header: bool | None) -> Table:
    ending = _ending(path, source)
    if path.stat().st_size == 0:
        raise DataError(f"{source} is empty: there is no row to read.")
    if ending in PARQUET:
        from fallline.data.parquet import read_parquet

        return read_parquet([path], folder, source)
    if ending in ARROW:
        from fallline.data.parquet import read_arrow

        return read_arrow(path, source)
    if ending in NUMPY:
        return read_array_file(path, source)
    text = prepare_text(path, folder, source)
    if ending in JSON:
        from fallline.data.json_lines import read_json

        return read_json(text)
    from fallline.data.delimited import read_delimited

    return read_delimited(text, folder, ending, header)


def _ending(path: Path, source: str) -> str:
    """The file's ending in small letters, if it is one that can be read."""
    ending = path.suffix.lower()
    if ending in DELIMITED + JSON + PARQUET + ARROW + NUMPY:
        return ending
    if ending in _SPREADSHEETS:
        raise DataError(f"{source} is a spreadsheet, which cannot be read: save the sheet as CSV and give that file.")
    found = f"the ending {ending!r}" if ending else "no ending"
    raise DataError(f"{source} has {found}, which does not tell how to read it. What can be read: {_SUPPORTED}.")


def _require_file(path: Path, source: str) -> None:
    if path.exists():
        return
    folder = path.parent
    if not folder.is_dir():
        raise DataError(f"{source} is not there: the folder {folder} does not exist.")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    near = get_close_matches(path.name, [*names, *sample_names()], n=1, cutoff=0.6)
    where = "this folder" if str(folder) == "." else str(folder)
    if near:
        found = str(folder / near[0]) if near[0] in names else near[0]
        raise DataError(f"{source} is not there: did you mean {found!r}?")
    raise DataError(f"{source} is not there: {where} has no file of that or a similar name.")


def _from_columns(source: Mapping[Any, Any]) -> Table:
    def place(row: int) -> str:
        return f"the dictionary, row {row + 1}"

    columns = {}
    for key, values in source.items():
        name = str(key)
        if name in columns:
            raise DataError(f"the dictionary has two columns that are written {name!r}. Rename one of them.")
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise DataError(f"the dictionary, column {name!r}: expected a sequence of values, found {values!r:.40}.")
        if is_frame(values):
            columns[name] = next(iter(table_from_frame(values).columns.values()))
        elif isinstance(values, np.ndarray):
            columns[name] = column_from_array(values, name, place)
        else:
            columns[name] = column_from_values(list(values), name, place)
    return Table(columns, "the dictionary")


def _from_rows(source: Sequence[Mapping[Any, Any]]) -> Table:
    names = list(dict.fromkeys(str(key) for row in source for key in row))
    rows = [{str(key): value for key, value in row.items()} for row in source]

    def place(row: int) -> str:
        return f"the list of rows, row {row + 1}"

    columns = {name: column_from_values([row.get(name) for row in rows], name, place) for name in names}
    return Table(columns, "the list of rows")
