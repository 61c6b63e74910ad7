"""Moving elements without changing them: broadcast, reshape, transpose, slice and its reverse, concatenate."""

import math
import operator
from typing import Any

import numpy as np

from fallline.errors import KindError, ShapeError
from fallline.ir.emitter import Emitter, Value
from fallline.ir.kernel import IndexMap
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import Dim, DType, Shape, SymbolicDim, TensorType, format_shape, product
from fallline.ops.rules import generator
from fallline.ops.tensor import Array, Tensor, apply

I64 = DType.INT64


def _normal(name: str, *shape: int) -> Array:
    return generator(name).normal(size=shape)


def _broadcast_type(x: TensorType, shape: Shape) -> TensorType:
    lead = len(shape) - x.rank
    if lead < 0 or any(dim not in (1, shape[lead + i]) for i, dim in enumerate(x.shape)):
        raise ShapeError(
            f"broadcast: a tensor of shape {format_shape(x.shape)} cannot stretch to {format_shape(shape)}"
        )
    return TensorType(shape, x.dtype)


def _broadcast_gradient(g: Tensor, y: Tensor, x: Tensor, shape: Shape) -> tuple[Tensor]:
    """The sum over every axis along which x was repeated."""
    lead = len(shape) - x.ndim
    repeated = tuple(i for i, dim in enumerate(shape) if i < lead or x.shape[i - lead] != dim)
    summed = apply("sum", g, axes=repeated) if repeated else g
    return (reshape(summed, x.shape),)


def _broadcast_body(e: Emitter, load: Any, index: list[Value], types: list[TensorType], shape: Shape) -> Value:
    own = index[len(shape) - types[0].rank :]
    zero = e.constant(0, I64)
    return load(0, [zero if dim == 1 else i for i, dim in zip(own, types[0].shape, strict=True)])


BROADCAST = register(
    Op(
        "broadcast",
        infer=_broadcast_type,
        reference=np.broadcast_to,
        gradient=_broadcast_gradient,
        kernel=IndexMap(_broadcast_body),
        samples=lambda: [
            Sample((_normal("broadcast", *shape),), {"shape": to})
            for shape, to in [((), (3, 2)), ((4,), (3, 4)), ((3, 1), (3, 5)), ((1, 2), (2, 3, 2)), ((2,), (2,))]
        ],
    )
)


def _reshape_type(x: TensorType, shape: Shape) -> TensorType:
    if any(isinstance(dim, int) and dim < 0 for dim in shape):
        raise ShapeError(f"reshape: sizes must be 0 or more, one of them may be -1, found {format_shape(shape)}")
    if product(x.shape) != product(shape):
        raise ShapeError(
            f"reshape: {format_shape(x.shape)} has {product(x.shape)} elements, "
            f"{format_shape(shape)} would have {product(shape)}"
        )
    return TensorType(shape, x.dtype)


def _reshape_body(e: Emitter, load: Any, index: list[Value], types: list[TensorType], shape: Shape) -> Value:
    flat = e.constant(0, I64)
    for i, dim in zip(index, shape, strict=True):
        flat = e.add(e.multiply(flat, e.constant(int(dim), I64)), i)  # type: ignore[arg-type]
    return load(0, unravel(e, flat, types[0].shape))


def unravel(e: Emitter, flat: Value, shape: Shape) -> list[Value]:
    """The index of element number `flat` in row-major order."""
    indices = []
    for i in range(len(shape)):
        stride = e.constant(math.prod(int(dim) for dim in shape[i + 1 :]), I64)  # type: ignore[arg-type,misc]
        whole = e.divide(flat, stride)
        indices.append(whole)
        flat = e.subtract(flat, e.multiply(whole, stride))
    return indices


RESHAPE = register(
    Op(
        "reshape",
        infer=_reshape_type,
        reference=lambda x, shape: x.reshape(shape),
        gradient=lambda g, y, x, shape: (reshape(g, x.shape),),
        kernel=IndexMap(_reshape_body),
        samples=lambda: [
            Sample((_normal("reshape", *shape),), {"shape": to})
            for shape, to in [((6,), (2, 3)), ((2, 3), (6,)), ((4, 3), (2, 1, 6)), ((1,), ()), ((), (1, 1))]
        ],
    )
)


def _transpose_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.rank)):
        raise ShapeError(f"transpose: axes {axes} are no reordering of the {x.rank} axes of {format_shape(x.shape)}")
    return TensorType(tuple(x.shape[axis] for axis in axes), x.dtype)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(i) for i in range(len(axes)))


def _transpose_body(e: Emitter, load: Any, index: list[Value], types: list[TensorType], axes: tuple[int, ...]) -> Value:
    return load(0, [index[i] for i in _inverse(axes)])


TRANSPOSE = register(
    Op(
        "transpose",
        infer=_transpose_type,
        reference=np.transpose,
        gradient=lambda g, y, x, axes: (apply("transpose", g, axes=_inverse(axes)),),
        kernel=IndexMap(_transpose_body),
        samples=lambda: [
            Sample((_normal("transpose", *shape),), {"axes": axes})
            for shape, axes in [((3, 4), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((5,), (0,)), ((2, 1, 3), (1, 2, 0))]
        ],
    )
)


def _slice_type(x: TensorType, starts: tuple[int, ...], shape: Shape, steps: tuple[int, ...]) -> TensorType:
    for dim, start, size, step in zip(x.shape, starts, shape, steps, strict=True):
        whole = dim == size and start == 0 and step == 1
        if not whole and (isinstance(dim, SymbolicDim) or isinstance(size, SymbolicDim)):
            raise ShapeError(f"slice: cannot cut a part of the symbolic dimension {dim} of {format_shape(x.shape)}")
        if not whole and not (start >= 0 and step >= 1 and start + (int(size) - 1) * step < int(dim)):  # type: ignore[arg-type]
            raise ShapeError(f"slice: start {start}, size {size}, step {step} reach beyond {format_shape(x.shape)}")
    return TensorType(shape, x.dtype)


def _ranges(starts: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a, a + n * step, step) for a, n, step in zip(starts, sizes, steps, strict=True))


def _slice_body(e: Emitter, load: Any, index: list[Value], types: Any, starts: Any, shape: Any, steps: Any) -> Value:
    places = zip(index, starts, steps, strict=True)
    return load(0, [e.add(e.multiply(i, e.constant(step, I64)), e.constant(start, I64)) for i, start, step in places])


_CUTS: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (1,), (3,), (1,)),
    ((4, 6), (0, 1), (4, 3), (1, 2)),
    ((3, 4), (2, 3), (1, 1), (1, 1)),
    ((3, 4), (0, 0), (3, 4), (1, 1)),
]

SLICE = register(
    Op(
        "slice",
        infer=_slice_type,
        reference=lambda x, starts, shape, steps: x[_ranges(starts, shape, steps)],
        gradient=lambda g, y, x, starts, shape, steps: (apply("embed", g, starts=starts, shape=x.shape, steps=steps),),
        kernel=IndexMap(_slice_body),
        samples=lambda: [
            Sample((_normal("slice", *shape),), {"starts": starts, "shape": size, "steps": steps})
            for shape, starts, size, steps in _CUTS
        ],
    )
)


def _embed_type(x: TensorType, starts: tuple[int, ...], shape: Shape, steps: tuple[int, ...]) -> TensorType:
    _slice_type(TensorType(shape, x.dtype), starts, x.shape, steps)
    return TensorType(shape, x.dtype)


def _embed_reference(x: Array, starts: Any, shape: Any, steps: Any) -> Array:
    result = np.zeros(shape, dtype=x.dtype)
    result[_ranges(starts, x.shape, steps)] = x
    return result


def _embed_body(e: Emitter, load: Any, index: list[Value], types: Any, starts: Any, shape: Any, steps: Any) -> Value:
    """Inside where (i − start) is a multiple of step within the size; elsewhere 0, read from a safe place."""
    zero = e.constant(0, I64)
    inside, places = e.constant(True, DType.BOOL), []
    for i, start, step, size in zip(index, starts, steps, types[0].shape, strict=True):
        offset = e.subtract(i, e.constant(start, I64))
        place = e.divide(offset, e.constant(step, I64))
        fits = e.logical_and(e.less_equal(zero, offset), e.less(place, e.constant(int(size), I64)))
        fits = e.logical_and(fits, e.equal(e.multiply(place, e.constant(step, I64)), offset))
        inside = e.logical_and(inside, fits)
        places.append(e.select(fits, place, zero))
    value = load(0, places)
    return e.select(inside, value, e.constant(0, types[0].dtype))


EMBED = register(
    Op(
        "embed",
        infer=_embed_type,
        reference=_embed_reference,
        gradient=lambda g, y, x, starts, shape, steps: (apply("slice", g, starts=starts, shape=x.shape, steps=steps),),
        kernel=IndexMap(_embed_body),
        samples=lambda: [
            Sample((_normal("embed", *size),), {"starts": starts, "shape": shape, "steps": steps})
            for shape, starts, size, steps in _CUTS
        ],
    )
)


def _concatenate_type(*types: TensorType, axis: int) -> TensorType:
    first = types[0]
    for other in types[1:]:
        same = other.dtype == first.dtype and other.rank == first.rank
        if not same or any(a != b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if i != axis):
            raise ShapeError(f"concatenate: {first} and {other} must agree in all axes but axis {axis}")
    sizes = [kind.shape[axis] for kind in types]
    if any(isinstance(size, SymbolicDim) for size in sizes):
        raise ShapeError(f"concatenate: cannot join along the symbolic axis {axis} of {first}")
    total: Dim = sum(int(size) for size in sizes)  # type: ignore[arg-type,misc]
    return TensorType((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def _concatenate_gradient(g: Tensor, y: Tensor, *inputs: Tensor, axis: int) -> list[Tensor]:
    parts, start = [], 0
    for x in inputs:
        starts = tuple(start if i == axis else 0 for i in range(x.ndim))
        parts.append(apply("slice", g, starts=starts, shape=x.shape, steps=(1,) * x.ndim))
        start += int(x.shape[axis])  # type: ignore[arg-type]
    return parts


def _concatenate_body(e: Emitter, load: Any, index: list[Value], types: list[TensorType], axis: int) -> Value:
    value, start = None, 0
    for number, kind in enumerate(types):
        size = int(kind.shape[axis])  # type: ignore[arg-type]
        own = e.subtract(index[axis], e.constant(start, I64))
        here = e.logical_and(e.less_equal(e.constant(0, I64), own), e.less(own, e.constant(size, I64)))
        place = [e.select(here, own, e.constant(0, I64)) if i == axis else at for i, at in enumerate(index)]
        part = load(number, place)
        value = part if value is None else e.select(here, part, value)
        start += size
    return value


CONCATENATE = register(
    Op(
        "concatenate",
        infer=_concatenate_type,
        reference=lambda *arrays, axis: np.concatenate(arrays, axis=axis),
        gradient=_concatenate_gradient,
        kernel=IndexMap(_concatenate_body),
        samples=lambda: [
            Sample((_normal("a", 2, 3), _normal("b", 2, 1), _normal("c", 2, 4)), {"axis": 1}),
            Sample((_normal("a", 3), _normal("b", 2)), {"axis": 0}),
        ],
    )
)


def reshape(x: Tensor, shape: Any) -> Tensor:
    """x with its elements, in row-major order, under another shape; one dimension may be −1."""
    dims = [_dimension(dim, shape) for dim in shape]
    if -1 in dims:
        place = dims.index(-1)
        if -1 in dims[place + 1 :]:
            raise ShapeError(f"reshape: only one size may be -1, found {format_shape(tuple(dims))}")
        rest, whole = product(tuple(dims[:place] + dims[place + 1 :])), product(x.shape)
        dims[place] = _quotient(whole, rest, x, shape)
    return x if tuple(dims) == x.shape else apply("reshape", x, shape=tuple(dims))


def _dimension(dim: Any, shape: Any) -> Dim:
    if isinstance(dim, SymbolicDim):
        return dim
    try:
        return operator.index(dim)
    except TypeError:
        raise KindError(f"reshape: sizes must be whole numbers, found {dim!r} in {format_shape(shape)}") from None


def _quotient(whole: Dim, rest: Dim, x: Tensor, shape: Any) -> Dim:
    if isinstance(whole, SymbolicDim):
        if isinstance(rest, SymbolicDim) and whole.factor % rest.factor == 0:
            return whole.factor // rest.factor
        if isinstance(rest, int) and rest and whole.factor % rest == 0:
            return SymbolicDim(whole.name, whole.factor // rest)
    elif isinstance(rest, int) and rest and whole % rest == 0:
        return whole // rest
    raise ShapeError(f"reshape: {format_shape(x.shape)} ({whole} elements) does not divide into {format_shape(shape)}")
