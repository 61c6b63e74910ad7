"""Checks of targets, which losses share: shape, kind, range."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, KindError, ShapeError
from fallline.ir.types import format_shape
from fallline.nn.checks import as_array, first_place
from fallline.ops.finite import is_finite
from fallline.ops.tensor import Tensor

Array = NDArray[Any]


def numbers(name: str, targets: Any) -> Array:
    """Targets as an array of numbers, one entry per row."""
    if isinstance(targets, Tensor):
        raise KindError(f"{name}: targets must be an array here, found a symbolic tensor")
    array = as_array(f"{name}: targets", targets)
    if array.dtype.kind not in "fiub":
        raise KindError(
            f"{name}: targets must be numbers, found {array.dtype}; encode text labels as 0, 1, … "
            "(np.unique(y, return_inverse=True))"
        )
    if array.ndim == 0:
        raise ShapeError(f"{name}: targets must have one entry per row, found a single number")
    return array


def same_shape(name: str, outputs: Any, targets: Any) -> None:
    """Refuse shapes that differ, above all (n, 1) against (n,), which broadcasting would make (n, n)."""
    if tuple(outputs) == tuple(targets):
        return
    found = f"outputs are {format_shape(tuple(outputs))} but targets are {format_shape(tuple(targets))}"
    if tuple(outputs) == (*targets, 1):
        raise ShapeError(f"{name}: {found}; broadcasting would pair every row with every other: use targets[:, None]")
    if (*outputs, 1) == tuple(targets):
        raise ShapeError(f"{name}: {found}; broadcasting would pair every row with every other: use targets[:, 0]")
    raise ShapeError(f"{name}: {found}; they must agree")


def finite(name: str, array: Array) -> None:
    """Refuse NaN and infinity."""
    if is_finite(array):
        return
    wrong = ~np.isfinite(array)
    if np.any(wrong):
        place = first_place(wrong)
        raise ArgumentError(
            f"{name}: targets must be finite, found {array[place]} in row {place[0]}; drop or mend that row"
        )


def within(name: str, array: Array, low: float, high: float, what: str) -> None:
    """Refuse what is not finite or not in [low, high]."""
    finite(name, array)
    wrong = (array < low) | (array > high)
    if np.any(wrong):
        place = first_place(wrong)
        raise ArgumentError(f"{name}: targets must be {what}, found {array[place]} in row {place[0]}")


def labels(name: str, array: Array, outputs: tuple[Any, ...]) -> Array:
    """Whole numbers (rows, …), each a class of logits (rows, …, classes)."""
    classes = outputs[-1]
    if array.shape[1:] != tuple(outputs[:-1]):
        remedy = "; use targets[:, 0]" if len(outputs) == 1 and array.shape[1:] == (1,) else ""
        raise ShapeError(
            f"{name}: outputs are {format_shape(('n', *outputs))}, so labels must be "
            f"{format_shape(('n', *outputs[:-1]))}, found {format_shape(('n', *array.shape[1:]))}{remedy}"
        )
    finite(name, array)
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        place = first_place(array != np.floor(array))
        raise KindError(
            f"{name}: labels must be whole numbers {format_shape(('n', *outputs[:-1]))}, found {array[place]} "
            f"in row {place[0]}; for a distribution over classes give soft targets {format_shape(('n', *outputs))}"
        )
    wrong = ~((array >= 0) & (array < classes))
    if np.any(wrong):
        place = first_place(wrong)
        raise ArgumentError(
            f"{name}: labels must be from 0 to {classes - 1} (the network has {classes} outputs), "
            f"found {array[place]} in row {place[0]}; check the labels or the last layer's width"
        )
    return array.astype(np.int64, copy=False)
