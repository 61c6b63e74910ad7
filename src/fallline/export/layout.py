"""What ops that move, join, number or add up elements are in ONNX."""

from typing import Any

import numpy as np

from fallline.export.site import Site, Translation, arithmetic
from fallline.ir.types import Dim, DType, Shape, SymbolicDim, product


def _broadcast(site: Site) -> str:
    return site.add("Expand", site.inputs[0], site.shape(site.node.type.shape))


def _reshaped(site: Site, value: str, shape: Shape) -> str:
    """A value under another shape; allowzero, lest a 0 mean "as before"."""
    symbolic = [dim for dim in shape if isinstance(dim, SymbolicDim)]
    if len(symbolic) == 1 and 0 not in shape:
        vector = site.writer.whole(*(-1 if isinstance(dim, SymbolicDim) else dim for dim in shape))
        return site.add("Reshape", value, vector)
    return site.add("Reshape", value, site.shape(shape), allowzero=1)


def _reshape(site: Site) -> str:
    return _reshaped(site, site.inputs[0], site.node.type.shape)


def _transpose(site: Site) -> str:
    return site.add("Transpose", site.inputs[0], perm=list(site.node.attributes["axes"]))


def _cuts(site: Site, whole: Shape, part: Shape) -> list[tuple[int, int, int, int]]:
    """(axis, start, size, step) of each axis of which a part is taken; it is never that of the rows."""
    starts, steps = site.node.attributes["starts"], site.node.attributes["steps"]
    found = zip(range(len(whole)), whole, starts, part, steps, strict=True)
    return [(axis, start, int(size), step) for axis, dim, start, size, step in found if dim != size]  # type: ignore[arg-type]


def _slice(site: Site) -> str:
    cuts = _cuts(site, site.node.inputs[0].type.shape, site.node.type.shape)
    if not cuts:
        return site.inputs[0]
    axes, starts, sizes, steps = zip(*cuts, strict=True)
    ends = (start + (size - 1) * step + 1 for start, size, step in zip(starts, sizes, steps, strict=True))
    return site.add("Slice", site.inputs[0], *(site.writer.whole(*numbers) for numbers in (starts, ends, axes, steps)))


def _embed(site: Site) -> str:
    """Zeros around x; between its elements, too, where there is a step: each is put at the head of `step` places."""
    value, shape = site.inputs[0], list(site.node.inputs[0].type.shape)
    zero = site.writer.constant(np.zeros((), dtype=site.node.type.dtype.value))
    for axis, start, size, step in _cuts(site, site.node.type.shape, site.node.inputs[0].type.shape):
        if step > 1:
            alone = site.add("Unsqueeze", value, site.writer.whole(axis + 1))
            value = _padded(site, alone, zero, len(shape) + 1, axis + 1, (0, step - 1))
            shape[axis] = size * step
            value = _reshaped(site, value, tuple(shape))
        rest = int(site.node.type.shape[axis]) - start - size * step  # type: ignore[arg-type]
        value = _padded(site, value, zero, len(shape), axis, (start, rest))
        shape[axis] = site.node.type.shape[axis]
    return value


def _padded(site: Site, value: str, zero: str, rank: int, axis: int, ends: tuple[int, int]) -> str:
    """Zeros before and after a value along an axis; a negative number of them cuts."""
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = ends
    return site.add("Pad", value, site.writer.whole(*pads), zero)


def _concatenate(site: Site) -> str:
    return site.add("Concat", *site.inputs, axis=site.node.attributes["axis"])


def _take(site: Site) -> str:
    table, indices = site.inputs
    if site.node.inputs[1].type.dtype is DType.UINT8:
        indices = site.cast(indices, DType.INT64)
    return site.add("Gather", table, indices, axis=0)


def _scatter_add(site: Site) -> str:
    """Values and their rows as matrices (values, columns), added to zeros."""
    values, indices = site.inputs
    rows: Dim = site.node.attributes["rows"]
    kinds = [node.type for node in site.node.inputs]
    columns = int(product(kinds[0].shape[kinds[1].rank :]))  # type: ignore[arg-type]
    many = product(kinds[1].shape)
    flat = _reshaped(site, values, (many, columns))
    numbers = _reshaped(site, site.cast(indices, DType.INT64), (many, 1))
    zeros = site.add("Expand", site.number(0.0), site.shape((rows, columns)))
    spread = site.add("Expand", numbers, site.shape((many, columns)))
    added = site.add("ScatterElements", zeros, spread, flat, axis=0, reduction="add")
    return _reshaped(site, added, site.node.type.shape)


def _iota(site: Site) -> str:
    size, dtype = site.node.attributes["size"], site.node.attributes["dtype"]
    if not isinstance(size, SymbolicDim):
        return site.writer.constant(np.arange(size, dtype=dtype.value))
    zero, one = (site.writer.constant(np.asarray(number)) for number in (0, 1))
    end = site.add("Squeeze", site.shape((size,)))
    return site.cast(site.add("Range", zero, end, one), dtype)


def _dim_size(site: Site) -> str:
    dim, dtype = site.node.attributes["dim"], site.node.attributes["dtype"]
    if not isinstance(dim, SymbolicDim):
        return site.writer.constant(np.asarray(dim, dtype=dtype.value))
    return site.cast(site.add("Squeeze", site.shape((dim,))), dtype)


def _sum(site: Site) -> str:
    axes = site.node.attributes["axes"]
    if not axes:
        return site.inputs[0]
    return site.add("ReduceSum", site.inputs[0], site.writer.whole(*axes), keepdims=0)


def _max(site: Site) -> str:
    axes = site.node.attributes["axes"]
    return site.add("ReduceMax", site.inputs[0], axes=list(axes), keepdims=0) if axes else site.inputs[0]


def _constant(site: Site) -> str:
    value: Any = site.node.attributes["value"]
    return site.writer.constant(np.asarray(value, dtype=site.node.type.dtype.value))


LAYOUT: dict[str, Translation] = {
    "constant": _constant,
    "broadcast": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "embed": _embed,
    "concatenate": _concatenate,
    "take": _take,
    "scatter_add": arithmetic(_scatter_add),
    "iota": _iota,
    "dim_size": _dim_size,
    "sum": arithmetic(_sum),
    "max": arithmetic(_max),
    "matmul": arithmetic(lambda site: site.add("MatMul", *site.inputs)),
}
