"""Functions of tensors for networks, losses and update rules, such as `fl.exp` and `fl.where`.

Each takes symbolic tensors (and adds a node) or NumPy arrays and numbers (and returns an array), so a
loss or an update rule written with them can be traced or simply called.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fallline.errors import ArgumentError
from fallline.ir.op import lookup
from fallline.ir.types import DType
from fallline.ops import comparison, contraction, elementwise, exponential, indexing, layout, leaf, random, reduction
from fallline.ops.tensor import (
    Tensor,
    apply,
    as_tensor,
    binary,
    broadcast_shapes,
    broadcast_to,
    count,
    evaluate,
    is_symbolic,
    normal_axes,
    promoted,
)
from fallline.ops.tensor import matmul as tensor_matmul
from fallline.ops.tensor import reduce as tensor_reduce

FAMILIES = (comparison, contraction, elementwise, exponential, indexing, layout, leaf, random, reduction)
Axis = int | tuple[int, ...] | None


def _float_array(x: Any) -> Any:
    array = np.asarray(x)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _unary(name: str, x: Any) -> Any:
    if not is_symbolic(x):
        return evaluate(lookup(name), _float_array(x))
    return apply(name, x if x.dtype.is_float else x.astype(DType.FLOAT32))


def _binary(name: str, a: Any, b: Any) -> Any:
    if is_symbolic(a, b):
        return binary(name, a, b)
    return lookup(name).reference(a, b)  # NumPy's own promotion: a number takes the array's dtype


def exp(x: Any) -> Any:
    """eˣ, elementwise."""
    return _unary("exp", x)


def expm1(x: Any) -> Any:
    """eˣ − 1, accurate near 0."""
    return _unary("expm1", x)


def log(x: Any) -> Any:
    """The natural logarithm, elementwise; log 0 = −∞."""
    return _unary("log", x)


def log1p(x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return _unary("log1p", x)


def sqrt(x: Any) -> Any:
    """The square root, correctly rounded."""
    return _unary("sqrt", x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent, elementwise."""
    return _unary("tanh", x)


def sigmoid(x: Any) -> Any:
    """1/(1 + e⁻ˣ), without overflow."""
    return _unary("sigmoid", x)


def softplus(x: Any) -> Any:
    """log(1 + eˣ), without overflow."""
    return _unary("softplus", x)


def erf(x: Any) -> Any:
    """The error function 2/√π·∫₀ˣ e^(−t²) dt."""
    return _unary("erf", x)


def relu(x: Any) -> Any:
    """max(0, x); its derivative at 0 is taken as 0."""
    return _unary("relu", x)


def absolute(x: Any) -> Any:
    """|x|, elementwise."""
    return _unary("absolute", x)


def sign(x: Any) -> Any:
    """−1, 0 or 1, elementwise."""
    return _unary("sign", x)


def stop_gradient(x: Any) -> Any:
    """x itself, which backpropagation treats as a constant."""
    return _unary("stop_gradient", x)


def maximum(a: Any, b: Any) -> Any:
    """The larger of two, elementwise; NaN propagates; ties share the gradient."""
    return _binary("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two, elementwise; NaN propagates; ties share the gradient."""
    return _binary("minimum", a, b)


def clip(x: Any, low: float, high: float) -> Any:
    """x held within [low, high]; NaN propagates."""
    return minimum(maximum(x, low), high)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    if not is_symbolic(condition, a, b):
        return np.where(condition, a, b)
    chosen = as_tensor(condition).astype(DType.BOOL)
    first = as_tensor(a, like=b if isinstance(b, Tensor) else None)
    second = as_tensor(b, like=first)
    first = as_tensor(a, like=second)
    dtype = promoted(first, second)
    first, second = first.astype(dtype), second.astype(dtype)
    shape = broadcast_shapes("where", chosen.shape, first.shape, second.shape)
    return apply("where", *(broadcast_to(tensor, shape) for tensor in (chosen, first, second)))


def matmul(a: Any, b: Any) -> Any:
    """The matrix product."""
    return tensor_matmul(a, b) if is_symbolic(a, b) else np.matmul(a, b)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over `axis` (all axes by default)."""
    return tensor_reduce("sum", x, axis, keepdims) if is_symbolic(x) else np.sum(x, axis=axis, keepdims=keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The maximum over `axis`; NaN propagates."""
    return tensor_reduce("max", x, axis, keepdims) if is_symbolic(x) else np.max(x, axis=axis, keepdims=keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over `axis`: the sum, divided once."""
    return sum(x, axis, keepdims) / (count(x, axis) if is_symbolic(x) else _array_count(x, axis))


def _array_count(x: Any, axis: Axis) -> int:
    shape = np.shape(x)
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return math.prod(shape[i] for i in axes)


def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Any:
    """log Σ eˣ over `axis`, shifted by the maximum so that nothing overflows."""
    peak = stop_gradient(max(x, axis, keepdims=True))
    total = log(sum(exp(x - peak), axis, keepdims=True)) + peak
    if keepdims:
        return total
    return total.reshape(_without(total.shape, axis, len(x.shape)))


def _without(shape: Sequence[Any], axis: Axis, rank: int) -> tuple[Any, ...]:
    axes = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    dropped = {item % rank for item in axes}
    return tuple(dim for i, dim in enumerate(shape) if i not in dropped)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x − log Σ eˣ over `axis`: the logarithm of softmax, computed without underflow."""
    shifted = x - stop_gradient(max(x, axis, keepdims=True))
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


def softmax(x: Any, axis: int = -1) -> Any:
    """eˣ/Σ eˣ over `axis`: logits to probabilities."""
    powers = exp(x - stop_gradient(max(x, axis, keepdims=True)))
    return powers / sum(powers, axis, keepdims=True)


def one_hot(indices: Any, classes: int, dtype: str = "float32") -> Any:
    """(…,) whole numbers → (…, classes): 1 at each number's place, else 0."""
    if not is_symbolic(indices):
        return (np.asarray(indices)[..., None] == np.arange(classes)).astype(dtype)
    numbers = apply("iota", size=classes, dtype=DType.INT64)
    matches = indices.astype(DType.INT64)[..., None] == numbers
    return matches.astype(dtype)


def take(table: Any, indices: Any) -> Any:
    """Rows of a table by number: (rows, …) and (…,) whole numbers → indices.shape + table.shape[1:]."""
    if not is_symbolic(table, indices):
        return evaluate(lookup("take"), table, indices)
    return apply("take", as_tensor(table), as_tensor(indices))


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """Tensors joined along an existing axis.

    Raises:
        ArgumentError: there is no tensor.
    """
    if not tensors:
        raise ArgumentError("concatenate: need at least one tensor, found none")
    if not is_symbolic(*tensors):
        return np.concatenate(tensors, axis=axis)
    like = next(item for item in tensors if isinstance(item, Tensor))
    parts = [as_tensor(item, like=like) for item in tensors]
    return parts[0] if len(parts) == 1 else apply("concatenate", *parts, axis=normal_axes(like, axis, "concatenate")[0])


def stack(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Tensors of one shape joined along a new axis."""
    if not is_symbolic(*tensors):
        return np.stack(tensors, axis=axis)
    rank = len(tensors[0].shape) + 1
    place = axis % rank
    return concatenate([item.reshape((*item.shape[:place], 1, *item.shape[place:])) for item in tensors], place)


def reshape(x: Any, shape: Sequence[Any]) -> Any:
    """The same elements in row-major order under another shape; one dimension may be −1."""
    return x.reshape(tuple(shape)) if is_symbolic(x) else np.reshape(x, tuple(shape))


def transpose(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    """Axes in another order; reversed by default."""
    return x.transpose(*(axes or ())) if is_symbolic(x) else np.transpose(x, axes)


def broadcast(x: Any, shape: Sequence[Any]) -> Any:
    """x repeated to `shape`, by NumPy's rule."""
    return broadcast_to(x, tuple(shape)) if is_symbolic(x) else np.broadcast_to(x, tuple(shape))


def cast(x: Any, dtype: str) -> Any:
    """x converted to a dtype: float → integer truncates towards 0 and saturates."""
    return x.astype(dtype) if is_symbolic(x) else evaluate(lookup("cast"), x, dtype=DType(dtype))
