"""The checker of ops: types, kernel forms and gradient rules, each against something that does not share their code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.kernel_forms import evaluate_kernel
from fallline.engine.reference import run
from fallline.ir.graph import Graph, Node
from fallline.ir.op import Op, Sample
from fallline.ir.types import DType, TensorType
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor, constant

Array = NDArray[Any]

TRANSCENDENTAL = {"exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "power"}
"""Ops whose kernel form approximates: held to a few units in the last place of the float64 reference."""

SUMS = {"sum", "matmul", "scatter_add"}
"""Ops that add in an order of their own: held to the bound n·ε·Σ|terms| of any order."""

LARGE = 24
"""Inputs of more entries than this are differenced along random directions, smaller ones entry by entry."""


def as_dtype(sample: Sample, dtype: str) -> list[Array]:
    """The sample's arrays, floats of them in `dtype`."""
    arrays = [np.asarray(array) for array in sample.inputs]
    return [array.astype(dtype) if array.dtype.kind == "f" else array for array in arrays]


def reference(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(op.reference(*arrays, **attributes))


def inferred(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> TensorType:
    return op.infer(*(TensorType(array.shape, DType(str(array.dtype))) for array in arrays), **attributes)


def check_type(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> None:
    """The shape rule tells what the reference returns."""
    found = reference(op, arrays, attributes)
    assert inferred(op, arrays, attributes) == TensorType(found.shape, DType(str(found.dtype)))


def check_kernel(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> None:
    """The kernel form says what the reference says: the same bits, or within the bound of its kind."""
    found = evaluate_kernel(op, list(arrays), attributes)
    wanted = reference(op, arrays, attributes)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    if op.name in TRANSCENDENTAL:
        wide = [array.astype(np.float64) for array in arrays]
        with np.errstate(over="ignore"):
            wanted = reference(op, wide, attributes).astype(found.dtype)
        with np.errstate(all="ignore"):
            allowed = 4.0 * np.spacing(np.abs(wanted))
        _check_close(found, wanted, np.nan_to_num(allowed, nan=0.0))
    elif op.name in SUMS and wanted.dtype.kind == "f":
        sizes = [np.abs(array) if array.dtype.kind == "f" else array for array in arrays]
        terms = max(array.size for array in arrays)
        with np.errstate(all="ignore"):
            _check_close(found, wanted, terms * np.finfo(wanted.dtype).eps * reference(op, sizes, attributes))
    else:
        np.testing.assert_array_equal(found, wanted)
        if found.dtype.kind == "f":
            numbers = ~np.isnan(wanted)
            np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(wanted[numbers]), "signs of zero")


def _check_close(found: Array, wanted: Array, allowed: Array) -> None:
    finite = np.isfinite(wanted) & np.isfinite(allowed)
    np.testing.assert_array_equal(found[~finite], wanted[~finite], "NaN and infinities")
    gap = np.abs(found[finite].astype(np.float64) - wanted[finite].astype(np.float64))
    assert np.all(gap <= allowed[finite]), f"off by {np.max(gap)}: {found} against {wanted}"


@dataclass
class Differentiated:
    """The function L(x₁, …) = Σ w·op(x₁, …) of an op's float inputs, its gradient, and second derivatives along v.

    Attributes:
        loss, first, second: functions of all arrays; `second` is the gradient of Σ vᵢ·dL/dxᵢ.
        places: which inputs are floats.
    """

    loss: Callable[[Sequence[Array]], float]
    first: Callable[[Sequence[Array]], list[Array]]
    second: Callable[[Sequence[Array]], list[Array]]
    places: list[int]
    directions: list[Array]


def differentiate(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> Differentiated:
    """Through `gradients`, so that the rule is used as backpropagation uses it. The op need not be registered."""
    rng = np.random.default_rng(7)
    leaves = [make_input(str(i), array.shape, str(array.dtype)) for i, array in enumerate(arrays)]
    places = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    result = Tensor(Node(op, tuple(leaf.node for leaf in leaves), attributes))
    weights = constant(rng.uniform(0.5, 1.5, result.shape), result.dtype)  # type: ignore[arg-type]
    loss = (result * weights).sum()
    wanted = [leaves[i] for i in places]
    first = gradients(loss, wanted)
    directions = [rng.normal(size=np.shape(arrays[i])) for i in places]
    along: Any = constant(0.0, loss.dtype)
    for slope, direction in zip(first, directions, strict=True):
        along = along + (slope * constant(direction, slope.dtype)).sum()
    second = gradients(along, wanted)
    inputs = {str(i): leaf.node for i, leaf in enumerate(leaves)}

    def compute(tensors: list[Tensor], given: Sequence[Array]) -> list[Array]:
        graph = Graph(inputs, {str(i): tensor.node for i, tensor in enumerate(tensors)})
        values = run(graph, {str(i): array for i, array in enumerate(given)})
        return [values[str(i)] for i in range(len(tensors))]

    return Differentiated(
        lambda given: float(compute([loss], given)[0]),
        lambda given: compute(first, given),
        lambda given: compute(second, given),
        places,
        directions,
    )


def check_gradient(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> None:
    """dL/dx by the rule equals central differences of L: relative error below 1e-6."""
    made = differentiate(op, arrays, attributes)
    _check_slopes(made.loss, made.first(arrays), arrays, made.places)


def check_second_derivative(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> None:
    """d(Σ v·dL/dx)/dx by applying the rules twice equals central differences of Σ v·dL/dx."""
    made = differentiate(op, arrays, attributes)

    def along(given: Sequence[Array]) -> float:
        slopes = made.first(given)
        return sum(float(np.sum(v * slope)) for v, slope in zip(made.directions, slopes, strict=True))

    _check_slopes(along, made.second(arrays), arrays, made.places)


def _check_slopes(
    function: Callable[[Sequence[Array]], float], slopes: list[Array], arrays: Sequence[Array], places: list[int]
) -> None:
    for place, slope in zip(places, slopes, strict=True):
        assert slope.shape == arrays[place].shape
        assert slope.dtype == arrays[place].dtype
        for direction in _directions(arrays[place].shape):
            found, wanted = float(np.sum(slope * direction)), central_difference(function, arrays, place, direction)
            scale = max(abs(found), abs(wanted), float(np.max(np.abs(slope), initial=0.0)), 1e-3)
            assert abs(found - wanted) <= 1e-6 * scale, f"input {place}: {found} by the rule, {wanted} by differences"


def _directions(shape: tuple[int, ...]) -> list[Array]:
    size = int(np.prod(shape, dtype=int))
    rng = np.random.default_rng(11)
    if size > LARGE:
        return [rng.normal(size=shape) for _ in range(3)]
    return [row.reshape(shape) for row in np.eye(size)] + [rng.normal(size=shape)]


def central_difference(
    function: Callable[[Sequence[Array]], float], arrays: Sequence[Array], place: int, direction: Array
) -> float:
    """(f(x + h·v) − f(x − h·v)) / 2h with h = 1e-5: an error near h² + ε/h ≈ 1e-10."""
    step = 1e-5
    ends = []
    for sign in (1.0, -1.0):
        moved = list(arrays)
        moved[place] = arrays[place] + sign * step * direction
        ends.append(function(moved))
    return (ends[0] - ends[1]) / (2.0 * step)


@pytest.fixture(scope="session")
def checks() -> SimpleNamespace:
    """The functions above, for tests: modules of tests cannot import each other."""
    return SimpleNamespace(
        as_dtype=as_dtype,
        kernel=check_kernel,
        type=check_type,
        gradient=check_gradient,
        second_derivative=check_second_derivative,
        differentiate=differentiate,
        reference=reference,
    )
