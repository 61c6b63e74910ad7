"""Types of tensors: a shape, whose dimensions may be symbolic, and a dtype."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fallline.errors import GraphError, KindError


class DType(StrEnum):
    """The element types a graph may hold; the value is NumPy's name of it."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT64 = "int64"
    INT32 = "int32"
    UINT8 = "uint8"
    BOOL = "bool"

    @classmethod
    def _missing_(cls, value: object) -> "DType":
        raise KindError(f"dtype {value!r} is not supported: choose one of {', '.join(cls)}")

    @property
    def is_float(self) -> bool:
        return self in (DType.FLOAT32, DType.FLOAT64)

    @property
    def is_integer(self) -> bool:
        return self in (DType.INT64, DType.INT32, DType.UINT8)


@dataclass(frozen=True, slots=True)
class SymbolicDim:
    """`factor` times a size that is known only when a program is made, such as the rows of a batch."""

    name: str
    factor: int = 1

    def __str__(self) -> str:
        return self.name if self.factor == 1 else f"{self.factor}·{self.name}"


Dim = int | SymbolicDim
Shape = tuple[Dim, ...]

BATCH = SymbolicDim("n")
"""The rows of a batch: the first dimension of every input of a traced network."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype of a tensor, for example `float32 (n, 10)`."""

    shape: Shape
    dtype: DType

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {format_shape(self.shape)}"


def format_shape(shape: tuple[Any, ...]) -> str:
    """A shape as people write it: `(n, 10)`, `(3,)`, `()`."""
    return f"({', '.join(str(dim) for dim in shape)}{',' if len(shape) == 1 else ''})"


def product(dims: Shape) -> Dim:
    """The number of elements; at most one dimension may be symbolic."""
    total: Dim = 1
    for dim in dims:
        if isinstance(dim, SymbolicDim):
            if isinstance(total, SymbolicDim):
                raise GraphError(f"cannot multiply two symbolic dimensions, {total} and {dim}")
            total = SymbolicDim(dim.name, dim.factor * total)
        elif isinstance(total, SymbolicDim):
            total = SymbolicDim(total.name, total.factor * dim)
        else:
            total *= dim
    return total


def bind(value: Any, sizes: Mapping[str, int]) -> Any:
    """`value` (a dimension, or tuples that hold some) with every symbolic dimension replaced by its size."""
    if isinstance(value, SymbolicDim):
        return value.factor * sizes[value.name]
    if isinstance(value, tuple):
        return tuple(bind(item, sizes) for item in value)
    return value
