"""Shape rules and samples that many ops share."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fallline.errors import GraphError, KindError
from fallline.ir.op import Sample
from fallline.ir.types import DType, TensorType


def same_type(name: str, floats_only: bool = False, no_bools: bool = False) -> Callable[..., TensorType]:
    """The rule of an elementwise op: all inputs of one type, the result of the same."""

    def infer(*types: TensorType, **_: Any) -> TensorType:
        first = types[0]
        for other in types[1:]:
            if other != first:
                raise GraphError(f"{name}: inputs must have one type, found {first} and {other}")
        if floats_only and not first.dtype.is_float:
            raise KindError(f"{name}: needs a float tensor, found {first}; convert it with x.astype('float32')")
        if no_bools and first.dtype is DType.BOOL:
            raise KindError(f"{name}: needs numbers, found {first}; convert it with x.astype('float32')")
        return first

    return infer


def logical_type(name: str) -> Callable[..., TensorType]:
    """The rule of and, or, not: bool inputs of one shape, a bool result."""

    def infer(*types: TensorType, **_: Any) -> TensorType:
        for kind in types:
            if kind.dtype is not DType.BOOL:
                raise KindError(f"{name}: needs bool tensors, found {kind}; compare first, for example x > 0")
        return same_type(name)(*types)

    return infer


def comparison_type(name: str) -> Callable[..., TensorType]:
    """The rule of a comparison: inputs of one type, a bool result."""

    def infer(*types: TensorType, **_: Any) -> TensorType:
        return TensorType(same_type(name)(*types).shape, DType.BOOL)

    return infer


def generator(name: str) -> np.random.Generator:
    """A generator for samples, seeded by the op's name."""
    return np.random.default_rng(list(name.encode()))


def float_samples(
    name: str,
    inputs: int = 1,
    low: float = -2.0,
    high: float = 2.0,
    special: tuple[float, ...] = (0.0, -0.0, 1.0, -1.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan),
) -> Callable[[], list[Sample]]:
    """Generic points in (low, high), and every combination of the special points (ties included)."""

    def samples() -> list[Sample]:
        rng = generator(name)
        shapes = [(3, 5), (1, 1), (2, 17), (7,), ()]
        found = [Sample(tuple(rng.uniform(low, high, shape) for _ in range(inputs))) for shape in shapes]
        grid = np.meshgrid(*[np.array(special)] * inputs, indexing="ij")
        found.append(Sample(tuple(axis.ravel() for axis in grid), generic=False))
        return found

    return samples
