"""Subscripts of tensors, `x[2:, None]`: written as slices, reshapes and row picks."""

from typing import Any

import numpy as np

from fallline.errors import KindError, ShapeError
from fallline.ir.types import Dim, DType, SymbolicDim, format_shape
from fallline.ops.layout import reshape
from fallline.ops.tensor import Tensor, apply, constant


def index_tensor(x: Tensor, index: Any) -> Tensor:
    """x[index] for whole numbers, slices with positive steps, None and …; an integer tensor picks rows."""
    if isinstance(index, Tensor):
        return apply("take", x, index)
    if isinstance(index, np.ndarray) and index.ndim and index.dtype.kind in "iu":
        return apply("take", x, constant(index, DType.INT64))
    items: list[Any] = list(index) if isinstance(index, tuple) else [index]
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > x.ndim:
        raise ShapeError(f"indexing: {used} indices for a tensor of shape {format_shape(x.shape)}")
    if not any(item is Ellipsis for item in items):
        items.append(Ellipsis)
    at = next(i for i, item in enumerate(items) if item is Ellipsis)
    items[at : at + 1] = [slice(None)] * (x.ndim - used)
    starts: list[int] = []
    sizes: list[Dim] = []
    steps: list[int] = []
    shape: list[Dim] = []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        start, size, step = _cut(item, x.shape[axis], x)
        starts.append(start)
        sizes.append(size)
        steps.append(step)
        if isinstance(item, slice):
            shape.append(size)
        axis += 1
    whole = tuple(sizes) == x.shape and not any(starts) and set(steps) <= {1}
    cut = x if whole else apply("slice", x, starts=tuple(starts), shape=tuple(sizes), steps=tuple(steps))
    return reshape(cut, tuple(shape))


def _cut(item: Any, dim: Dim, x: Tensor) -> tuple[int, Any, int]:
    """(start, size, step) of one index on one axis."""
    if isinstance(item, slice) and item == slice(None):
        return 0, dim, 1
    whole_number = isinstance(item, int | np.integer) and not isinstance(item, bool)
    if not whole_number and not isinstance(item, slice):
        raise KindError(f"indexing: need whole numbers, slices, None or an integer tensor, found {item!r}")
    if isinstance(dim, SymbolicDim):
        raise ShapeError(
            f"indexing: the rows ({dim}) of {format_shape(x.shape)} are not known while tracing; use [:, …]"
        )
    if isinstance(item, slice):
        start, stop, step = item.indices(dim)
        if step < 1 or stop <= start:
            wrong = "is empty" if step >= 1 else "runs backwards; use a positive step"
            raise ShapeError(f"indexing: {item} of an axis of size {dim} {wrong}")
        return start, -(-(stop - start) // step), step
    if not -dim <= item < dim:
        raise ShapeError(f"indexing: {item} is out of range for axis size {dim} of {format_shape(x.shape)}")
    return int(item) % dim, 1, 1
