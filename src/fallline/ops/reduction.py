"""Reductions over axes: sum and maximum."""

from typing import Any

import numpy as np

from fallline.errors import ShapeError
from fallline.ir.emitter import Emitter, Value
from fallline.ir.kernel import Reduction
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import DType, TensorType, format_shape
from fallline.ops.rules import generator
from fallline.ops.tensor import Tensor, apply, broadcast_to, filled_like


def _reduced_type(name: str) -> Any:
    def infer(x: TensorType, axes: tuple[int, ...]) -> TensorType:
        if any(not 0 <= axis < x.rank for axis in axes) or len(set(axes)) != len(axes):
            raise ShapeError(f"{name}: axes {axes} do not fit a tensor of shape {format_shape(x.shape)}")
        return TensorType(tuple(dim for i, dim in enumerate(x.shape) if i not in axes), x.dtype)

    return infer


def _spread(reduced: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A reduced tensor repeated along the axes that were reduced."""
    kept = tuple(1 if i in axes else dim for i, dim in enumerate(x.shape))
    return broadcast_to(reduced.reshape(kept), x.shape)


def _max_gradient(g: Tensor, y: Tensor, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor]:
    """g to the largest element; equal largest elements share it equally."""
    largest = x == _spread(y, x, axes)
    winners = apply("where", largest, filled_like(x, 1.0), filled_like(x, 0.0))
    share = _spread(g, x, axes) / _spread(apply("sum", winners, axes=axes), x, axes)
    return (apply("where", largest, share, filled_like(x, 0.0)),)


def _samples(name: str) -> Any:
    def samples() -> list[Sample]:
        rng = generator(name)
        cases = [((3, 5), (1,)), ((3, 5), (0,)), ((2, 3, 4), (0, 2)), ((37,), (0,)), ((4, 33), (0, 1)), ((2, 2), ())]
        found = [Sample((rng.normal(size=shape),), {"axes": axes}) for shape, axes in cases]
        odd = np.array([[1.0, 1.0, 0.0], [np.nan, 2.0, 1.0], [np.inf, 1.0, 1.0], [-1000.0, 1000.0, -0.0]])
        whole = np.array([[-5, -3, -4], [2, 7, 0]])
        return [*found, Sample((odd,), {"axes": (1,)}, generic=False), Sample((whole,), {"axes": (1,)}, generic=False)]

    return samples


def _larger(e: Emitter, a: Value, b: Value) -> Value:
    return e.select(e.logical_or(e.less(a, b), e.logical_not(e.equal(b, b))), b, a)


def _lowest(e: Emitter, dtype: DType) -> Value:
    if dtype.is_float:
        return e.constant(float("-inf"), dtype)
    return e.constant(int(np.iinfo(dtype.value).min) if dtype.is_integer else 0, dtype)


SUM = register(
    Op(
        "sum",
        infer=_reduced_type("sum"),
        reference=lambda x, axes: np.add.reduce(x, axis=axes, dtype=x.dtype),
        gradient=lambda g, y, x, axes: (_spread(g, x, axes),),
        kernel=Reduction(init=lambda e, dtype: e.constant(0, dtype), combine=lambda e, a, b: e.add(a, b)),
        samples=_samples("sum"),
    )
)

MAX = register(
    Op(
        "max",
        infer=_reduced_type("max"),
        reference=lambda x, axes: np.maximum.reduce(x, axis=axes),
        gradient=_max_gradient,
        kernel=Reduction(init=_lowest, combine=_larger),
        samples=_samples("max"),
    )
)
