"""Kernel forms evaluated with NumPy: one small schedule per form.

Independent of the ops' references, and so their check: `tests/ops` compares the two on every sample.
The order of sums is the one of the contract: lanes and halving for reductions, ascending k for products.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.numpy_emitter import NumpyEmitter
from fallline.errors import GraphError
from fallline.ir.kernel import LANES, Contraction, Elementwise, IndexMap, Random, Reduction, Scatter
from fallline.ir.op import Op
from fallline.ir.types import DType, TensorType
from fallline.ops import philox

Array = NDArray[Any]
EMITTER = NumpyEmitter()


def evaluate_kernel(op: Op, arrays: list[Array], attributes: dict[str, Any]) -> Array:
    """What the op's kernel form makes of these arrays."""
    types = [TensorType(array.shape, DType(str(array.dtype))) for array in arrays]
    result = op.infer(*types, **attributes)
    form = op.kernel
    with np.errstate(all="ignore"):
        schedule: Callable[..., Array] | None = _SCHEDULES.get(type(form))
        if schedule is None:
            raise GraphError(f"op {op.name!r} has the kernel form {type(form).__name__}, which has no schedule")
        value = schedule(form, arrays, types, result, attributes)
    return np.asarray(value, dtype=result.dtype.value).reshape(result.shape)  # type: ignore[arg-type]


def _elementwise(form: Elementwise, arrays: list[Array], types: Any, result: TensorType, attributes: Any) -> Array:
    return np.asarray(form.body(EMITTER, *arrays, **attributes))


def _reduction(form: Reduction, arrays: list[Array], types: Any, result: TensorType, attributes: Any) -> Array:
    """Elements dealt to LANES lanes in turn; lanes ascending; then lanes by halving."""
    x, axes = arrays[0], tuple(attributes["axes"])
    moved = np.moveaxis(x, axes, range(len(axes)))
    rows = moved.reshape(-1, *moved.shape[len(axes) :])
    start = np.broadcast_to(form.init(EMITTER, DType(str(x.dtype))), rows.shape[1:])
    lanes = [start] * LANES
    for number, row in enumerate(rows):
        lanes[number % LANES] = form.combine(EMITTER, lanes[number % LANES], row)
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [form.combine(EMITTER, a, b) for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    return np.asarray(lanes[0])


def _contraction(form: Contraction, arrays: list[Array], types: Any, result: TensorType, attributes: Any) -> Array:
    a, b = arrays
    total = EMITTER.constant(0.0, result.dtype)
    for k in range(a.shape[-1]):
        total = EMITTER.fma(a[..., :, k, None], b[..., k, None, :], total)
    return total


def _index_map(form: IndexMap, arrays: list[Array], types: Any, result: TensorType, attributes: Any) -> Array:
    shape: Any = result.shape
    index = [np.asarray(axis, dtype=np.int64) for axis in np.indices(shape)]

    def load(number: int, indices: list[Array]) -> Array:
        return np.asarray(arrays[number][tuple(indices)])

    value = form.body(_IntegerEmitter(), load, index, types=types, **attributes)
    return np.asarray(np.broadcast_to(value, shape))


class _IntegerEmitter(NumpyEmitter):
    """Index arithmetic: division of int64 truncates towards zero."""

    def divide(self, a: Array, b: Array) -> Array:
        return np.asarray(np.sign(a) * (np.abs(a) // b))


def _scatter(form: Scatter, arrays: list[Array], types: Any, result: TensorType, attributes: Any) -> Array:
    values, indices = arrays
    shape: Any = result.shape
    total = np.zeros(shape, dtype=values.dtype)
    for place in np.ndindex(indices.shape):
        total[indices[place]] = EMITTER.add(total[indices[place]], values[place])
    return total


def _random(form: Random, arrays: list[Array], types: Any, result: TensorType, attributes: Any) -> Array:
    seed, step = (int(array) for array in arrays)
    shape: Any = result.shape
    key = philox.key(seed, attributes["purpose"], attributes["stream"])
    words = philox.words(key, np.arange(shape[0]), int(np.prod(shape[1:], dtype=int)), step)
    return np.asarray(form.body(EMITTER, words.view(np.int32), dtype=result.dtype)).reshape(shape)


_SCHEDULES: dict[type, Callable[..., Array]] = {
    Elementwise: _elementwise,
    Reduction: _reduction,
    Contraction: _contraction,
    IndexMap: _index_map,
    Scatter: _scatter,
    Random: _random,
}
