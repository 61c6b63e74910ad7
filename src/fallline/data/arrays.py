"""NumPy arrays, `.npy` and `.npz` files, and idx files (MNIST's format), as arrays and as tables."""

import gzip
import re
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.objects import Place, clean_texts, column_from_values
from fallline.data.table import LABELS, Column, Layout, Table
from fallline.errors import DataError, told

_INPUTS = ("x", "X", "x_train", "X_train", "features", "data", "images")
_TARGETS = ("y", "Y", "y_train", "Y_train", "target", "targets", "labels", "label")
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST_AXES = 8
_IDX_NAME = re.compile(r"(idx\d[-.]u?byte|\.idx\d?)(\.gz)?$", re.IGNORECASE)


def is_idx(path: Path) -> bool:
    """Whether a file's name says idx: train-images-idx3-ubyte, labels.idx1 …, with or without .gz."""
    return _IDX_NAME.search(path.name) is not None


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`, `.npy` or idx file, in the file's own types and shapes.

    A `.npy` file gives "x". An idx file of images gives "x" and, where the matching file of labels lies beside it
    (train-images-idx3-ubyte.gz ↔ train-labels-idx1-ubyte.gz), "y"; an idx file of labels alone gives "y".

    Raises:
        DataError: the file is missing, damaged, or holds Python objects; images and labels differ in number.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path} is not there, or is not a file.")
    if is_idx(file):
        return _idx_with_labels(file)
    try:
        with open(file, "rb") as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers by Python 2
            arrays = _loaded(opened)
    except PermissionError:
        raise
    except Exception as problem:  # NumPy's and zipfile's readers fail in a dozen ways, also with a TokenError
        raise DataError(
            f"{path} cannot be read as NumPy arrays ({_plainly(problem)}): save it again with numpy.savez, with plain "
            f"numbers or text and no Python objects."
        ) from None
    other = next((name for name, values in arrays.items() if not isinstance(values, np.ndarray)), None)
    if other is not None:
        raise DataError(f"{path} holds {other!r:.100}, which is no array: save it again with numpy.savez.")
    return arrays


def _loaded(opened: Any) -> dict[str, Any]:
    loaded = np.load(opened, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"x": loaded}
    with loaded:
        return {name: loaded[name] for name in loaded.files}


def _plainly(problem: Exception) -> str:
    """A failure in words; where Python's parser speaks, its words are not for people."""
    return "its header is damaged" if "malformed node" in str(problem) else told(problem)


def read_array_file(path: Path, source: str) -> Table:
    """The table of an `.npz`, `.npy` or idx file: columns column_1 … column_n, and `y` where there are targets."""
    arrays = read_arrays(path)
    inputs = next((name for name in _INPUTS if name in arrays), None)
    targets = next((name for name in _TARGETS if name in arrays), None)
    notices: list[str] = []
    if inputs is None:
        return _named_arrays(arrays, source)
    if arrays[inputs].dtype.names is not None:
        return table_from_array(arrays[inputs], source)
    columns = matrix_columns(arrays[inputs], source)
    rest = [name for name in arrays if name not in (inputs, targets)]
    if rest:
        read = inputs if targets is None else f"{inputs} and {targets}"
        notices.append(f"{source}: {read} were read; these arrays were not: {', '.join(rest)}.")
    shape = arrays[inputs].shape[1:]
    if targets is None:
        return Table(columns, source, notices, layout=Layout(shape, _no_labels(path) if is_idx(path) else ""))
    values = arrays[targets]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    rows = len(arrays[inputs])
    if values.shape != (rows,):
        raise DataError(
            f"{source}: {targets} needs the shape ({rows},), one target for each row of {inputs} "
            f"{arrays[inputs].shape}; it has {values.shape}."
        )
    columns[LABELS] = column_from_array(values, LABELS, _rows_of(source))
    return Table(columns, source, notices, default_target=LABELS, layout=Layout(shape))


def table_from_array(array: NDArray[Any], source: str = "the array") -> Table:
    """The table of an array: a structured one by its fields, any other with a row for each entry of axis 0."""
    if array.dtype.names is not None:
        if array.size == 0:
            raise DataError(f"{source} has the shape {array.shape}: there is no row to read.")
        if array.ndim != 1:
            raise DataError(f"{source} needs one axis, as a structured array; it has the shape {array.shape}.")
        fields = {name: array[name] for name in array.dtype.names}
        return Table({name: column_from_array(v, name, _rows_of(source)) for name, v in fields.items()}, source)
    return Table(matrix_columns(array, source), source, layout=Layout(array.shape[1:]))


def matrix_columns(array: NDArray[Any], source: str) -> dict[str, Column]:
    """Columns column_1 … column_n of an array (rows, …); further axes are laid side by side, last axis fastest.

    Bytes (uint8) stay bytes: 60,000 images of 784 points take 47 MB, not 376 MB.
    """
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{source} has the shape {array.shape}: there is no row to read.")
    flat = np.ascontiguousarray(array.reshape(len(array), -1).T)  # (columns, rows), so that each column is contiguous
    place = _rows_of(source)
    names = [f"column_{k}" for k in range(1, len(flat) + 1)]
    return {name: column_from_array(values, name, place) for name, values in zip(names, flat, strict=True)}


def column_from_array(values: NDArray[Any], name: str, place: Place) -> Column:
    """A table's column from a one-dimensional array of any dtype that has a meaning in a table."""
    if values.ndim != 1:
        raise DataError(f"{place(0)}, column {name!r}: expected one value a row, found an array {values.shape[1:]}.")
    kind = values.dtype.kind
    if kind == "b" or values.dtype == np.uint8:
        return values
    if kind == "i" or (kind == "u" and (values.size == 0 or int(values.max()) < 2**63)):
        return values.astype(np.int64)
    if kind in "fu":
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float64)
    if kind == "M":
        return values.astype("datetime64[us]")
    if kind == "m":  # a span of time, in seconds
        micro = values.astype("timedelta64[us]")
        return np.where(np.isnat(micro), np.nan, micro.astype(np.int64) / 1e6)
    if kind == "U":
        return clean_texts(_letters(values, name, place))
    if kind == "T":
        return clean_texts(values.tolist())
    if kind == "S":
        return clean_texts([cell.decode("utf-8", errors="replace") for cell in values.tolist()])
    if kind == "O":
        return column_from_values(values.tolist(), name, place)
    raise DataError(f"{place(0)}, column {name!r}: values of type {values.dtype} have no meaning in a table.")


def _letters(values: NDArray[Any], name: str, place: Place) -> list[str]:
    """NumPy's text as Python's; a file may hold numbers there that are no letters."""
    if values.size and values.itemsize:
        codes = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")).view(np.uint32)
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise DataError(
                f"{place(0)}, column {name!r}: its text holds numbers that are no letters: the data are damaged."
            )
    words: list[str] = values.tolist()
    return words


def _rows_of(source: str) -> Place:
    return lambda row: f"{source}, row {row + 1}"


def _named_arrays(arrays: Mapping[str, NDArray[Any]], source: str) -> Table:
    """Arrays of one axis and one length as columns by their names."""
    if arrays and all(values.size == 0 for values in arrays.values()):
        raise DataError(f"{source} holds arrays without values: there is no row to read.")
    if arrays and all(values.ndim == 1 for values in arrays.values()) and len({len(v) for v in arrays.values()}) == 1:
        return Table({name: column_from_array(v, name, _rows_of(source)) for name, v in arrays.items()}, source)
    shown = ", ".join(f"{name} {values.shape}" for name, values in arrays.items()) or "none"
    raise DataError(
        f"{source}: expected an array x (rows, columns) and, for the targets, y (rows,), or one array for each "
        f"column; found {shown}. Save it again with numpy.savez(path, x=…, y=…)."
    )


def _idx_with_labels(path: Path) -> dict[str, NDArray[Any]]:
    values = _read_idx(path)
    if values.ndim == 1:
        return {"y": values}
    name = _labels_name(path)
    names = (name, name.removesuffix(".gz"), name + ".gz")
    beside = next(
        (path.with_name(name) for name in names if name != path.name and path.with_name(name).is_file()), None
    )
    if beside is None:
        return {"x": values}
    labels = _read_idx(beside)
    if labels.shape != (len(values),):
        raise DataError(
            f"{path} holds {len(values)} images and {beside} holds labels {labels.shape}: they do not match."
        )
    return {"x": values, "y": labels}


def _labels_name(path: Path) -> str:
    """What the file of labels of an idx file of images is called."""
    return re.sub(r"idx\d", "idx1", path.name.replace("images", "labels"))


def _no_labels(path: Path) -> str:
    """That the labels of an idx file of images are missing, and where they belong."""
    name = _labels_name(path).removesuffix(".gz")
    return f"its labels belong beside it, and {name} (or {name}.gz) is not in {path.parent}. Put that file there."


def _read_idx(path: Path) -> NDArray[Any]:
    """One idx file: two zero bytes, the type, the number of axes, their lengths (big-endian), the values."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, OSError) as problem:
            raise DataError(f"{path} cannot be decompressed ({told(problem)}): it is damaged or cut short.") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES or data[3] == 0:
        raise DataError(
            f"{path} is no idx file: it begins with {data[:4].hex(' ') or 'nothing'}, not with 00 00, "
            f"a type and a size."
        )
    dtype, axes = np.dtype(_IDX_TYPES[data[2]]), data[3]
    if axes > _MOST_AXES:
        raise DataError(
            f"{path} announces an array of {axes} axes, and {_MOST_AXES} at most can be read: it is damaged."
        )
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    begin, count = 4 + 4 * axes, int(np.prod(np.asarray(shape, dtype=object)))
    if len(data) != begin + count * dtype.itemsize:
        raise DataError(
            f"{path} announces {' × '.join(map(str, shape))} values in {begin + count * dtype.itemsize} bytes and has "
            f"{len(data)} bytes: it is damaged or cut short."
        )
    return np.frombuffer(data, dtype, count, begin).reshape(shape).astype(dtype.newbyteorder("="))
