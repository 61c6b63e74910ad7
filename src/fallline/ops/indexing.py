"""Picking and placing rows by number, and numbers that know their place."""

from typing import Any

import numpy as np

from fallline.errors import ArgumentError, GraphError, KindError, ShapeError
from fallline.ir.emitter import Emitter, Value
from fallline.ir.kernel import IndexMap, Scatter
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import Dim, DType, TensorType
from fallline.ops.rules import generator
from fallline.ops.tensor import Array, Tensor, apply


def _take_type(table: TensorType, indices: TensorType) -> TensorType:
    if not indices.dtype.is_integer:
        raise KindError(f"take: indices must be whole numbers, found {indices}; convert them with .astype('int64')")
    if not table.rank:
        raise ShapeError(f"take: needs a table with rows, found a single number, {table}")
    return TensorType(indices.shape + table.shape[1:], table.dtype)


def check_indices(indices: Array, rows: int, name: str) -> None:
    """Refuse an index outside 0 … rows − 1, naming it."""
    wrong = (indices < 0) | (indices >= rows)
    if np.any(wrong):
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        found = int(indices[place])
        raise ArgumentError(f"{name}: indices must be from 0 to {rows - 1}, found {found} at position {place}")


def _take_reference(table: Array, indices: Array) -> Array:
    check_indices(indices, table.shape[0], "take")
    return np.take(table, indices, axis=0)


def _take_gradient(g: Tensor, y: Tensor, table: Tensor, indices: Tensor) -> tuple[Tensor, None]:
    return apply("scatter_add", g, indices, rows=table.shape[0]), None


def _take_body(e: Emitter, load: Any, index: list[Value], types: list[TensorType]) -> Value:
    rank = types[1].rank
    row = e.cast(load(1, index[:rank]), DType.INT64)
    return load(0, [row, *index[rank:]])


def _take_samples() -> list[Sample]:
    table = generator("take").normal(size=(5, 3))
    return [
        Sample((table, np.array([0, 4, 2, 2]))),
        Sample((table, np.array([[1, 1], [3, 0]]))),
        Sample((table[:, 0].copy(), np.array([3]))),
    ]


TAKE = register(
    Op(
        "take",
        infer=_take_type,
        reference=_take_reference,
        gradient=_take_gradient,
        kernel=IndexMap(_take_body),
        samples=_take_samples,
    )
)


def _scatter_type(values: TensorType, indices: TensorType, rows: Dim) -> TensorType:
    if values.shape[: indices.rank] != indices.shape or not indices.dtype.is_integer:
        raise GraphError(f"scatter_add: need values (…, columns) and whole numbers (…), found {values} and {indices}")
    return TensorType((rows, *values.shape[indices.rank :]), values.dtype)


def _scatter_reference(values: Array, indices: Array, rows: int) -> Array:
    result = np.zeros((rows, *values.shape[indices.ndim :]), dtype=values.dtype)
    np.add.at(result, indices, values)  # one by one, in ascending order
    return result


def _scatter_samples() -> list[Sample]:
    values = generator("scatter_add").normal(size=(4, 3))
    return [
        Sample((values, np.array([0, 4, 2, 2])), {"rows": 5}),
        Sample((values.reshape(2, 2, 3), np.array([[1, 1], [0, 1]])), {"rows": 2}),
        Sample((values[:, 0].copy(), np.array([3, 3, 3, 3])), {"rows": 4}),
    ]


SCATTER_ADD = register(
    Op(
        "scatter_add",
        infer=_scatter_type,
        reference=_scatter_reference,
        gradient=lambda g, y, values, indices, rows: (apply("take", g, indices), None),
        kernel=Scatter(),
        samples=_scatter_samples,
    )
)

IOTA = register(
    Op(
        "iota",
        infer=lambda size, dtype: TensorType((size,), dtype),
        reference=lambda size, dtype: np.arange(size, dtype=dtype.value),
        gradient=lambda g, y, **_: (),
        kernel=IndexMap(lambda e, load, index, types, size, dtype: e.cast(index[0], dtype)),
        samples=lambda: [Sample((), {"size": n, "dtype": d}) for n in (1, 7) for d in (DType.INT64, DType.FLOAT32)],
    )
)

DIM_SIZE = register(
    Op(
        "dim_size",
        infer=lambda dim, dtype: TensorType((), dtype),
        reference=lambda dim, dtype: np.asarray(dim, dtype=dtype.value),
        gradient=lambda g, y, **_: (),
        kernel=IndexMap(lambda e, load, index, types, dim, dtype: e.constant(dim, dtype)),
        samples=lambda: [Sample((), {"dim": 7, "dtype": DType.FLOAT32})],
    )
)
