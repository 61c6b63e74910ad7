"""Checks of what users hand to layers, losses and networks: sizes and arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, ShapeError

Array = NDArray[Any]


def size(layer: str, name: str, value: Any) -> int:
    """A layer's size as a plain int.

    Raises:
        ArgumentError: it is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ArgumentError(f"{layer}: {name} must be a whole number of at least 1, found {value!r}")
    return int(value)


def as_array(what: str, value: Any) -> Array:
    """`value` as an array.

    Raises:
        ShapeError: its rows differ in length.
    """
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ShapeError(f"{what} must have rows of one length, found rows that differ; fill or cut them") from None


def as_floats(what: str, array: Array, dtype: str) -> Array:
    """Numbers in a float dtype.

    Raises:
        ArgumentError: a finite number is too large for that dtype.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        floats = np.asarray(array, dtype=dtype)
    if array.dtype.kind == "f" and array.dtype.itemsize > floats.dtype.itemsize and not np.isfinite(floats).all():
        lost = np.isfinite(array) & ~np.isfinite(floats)
        if lost.any():
            place = first_place(lost)
            raise ArgumentError(
                f"{what} must fit {dtype}, found {float(array[place])!r} in {in_words(place)}; "
                "scale down, or use dtype='float64'"
            )
    return floats


def first_place(mask: Array) -> tuple[int, ...]:
    """The index of the first True."""
    return tuple(int(i) for i in np.argwhere(mask)[0])


def in_words(place: tuple[int, ...]) -> str:
    """An index as people say it: row 3, column 0."""
    return f"row {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
