"""Leaves: the inputs of a graph and its constants."""

from typing import Any

import numpy as np

from fallline.ir.kernel import Leaf
from fallline.ir.op import Op, register
from fallline.ir.types import DType, Shape, TensorType
from fallline.ops.tensor import Tensor, apply


def _not_computed(**attributes: Any) -> Any:
    raise KeyError(f"the input {attributes.get('name')!r} was not given")


def _constant_type(value: Any, dtype: DType) -> TensorType:
    return TensorType(np.shape(value), dtype)


INPUT = register(
    Op(
        "input",
        infer=lambda name, shape, dtype: TensorType(shape, dtype),
        reference=_not_computed,
        gradient=lambda g, y, **_: (),
        kernel=Leaf(),
        samples=None,
    )
)

CONSTANT = register(
    Op(
        "constant",
        infer=_constant_type,
        reference=lambda value, dtype: np.asarray(value, dtype=dtype.value),
        gradient=lambda g, y, **_: (),
        kernel=Leaf(),
        samples=None,
    )
)


def make_input(name: str, shape: Shape, dtype: str | DType) -> Tensor:
    """A leaf: data, a parameter, a buffer or a run-time scalar, given when the graph runs."""
    return apply("input", name=name, shape=tuple(shape), dtype=DType(str(dtype)))
