"""Random compositions of smooth ops: gradients and second derivatives against finite differences."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.reference import run
from fallline.ir.graph import Graph
from fallline.ir.verify import verify
from fallline.ops import Tensor, make_input
from fallline.ops import functions as fl

Array = NDArray[np.float64]
Step = tuple[str, int, int, int]

# Each keeps its values within a few units of 0, so that a long composition stays well-conditioned.
UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": fl.tanh,
    "sigmoid": lambda x: 3.0 * fl.sigmoid(x) - 1.0,
    "softplus": lambda x: fl.softplus(-x) - 0.5,
    "erf": fl.erf,
    "gauss": lambda x: fl.exp(-x * x) * 2.0,
    "expm1": lambda x: fl.expm1(fl.tanh(x)),
    "root": lambda x: fl.sqrt(x * x + 1.0) - 1.0,
    "log": lambda x: fl.log(x * x + 0.5),
    "log1p": lambda x: fl.log1p(x * x),
    "reciprocal": lambda x: 1.0 / (x * x + 1.0),
    "cube": lambda x: fl.tanh(x) ** 3,
    "power": lambda x: (x * x + 0.5) ** 0.3,
    "power of itself": lambda x: fl.sigmoid(x) ** x,
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: fl.tanh(a * b),
    "divide": lambda a, b: fl.tanh(a / (b * b + 1.0)),
}


def flat(x: Tensor) -> Tensor:
    return x.reshape(-1)


def outer(x: Tensor, y: Tensor) -> Any:
    return fl.tanh(flat(x)[:, None] @ flat(y)[None, :])


def gram(x: Tensor) -> Any:
    rows = x.reshape((x.shape[0] if x.ndim else 1, -1))
    return fl.tanh(rows @ rows.T)


def reduced(x: Tensor, choice: int) -> Any:
    axis = choice % x.ndim
    kept = bool(choice & 1)
    return [x.mean(axis, kept), fl.tanh(x.sum(axis, kept)), fl.logsumexp(x, axis, kept)][choice % 3]


def indexed(x: Tensor, choice: int) -> Tensor:
    rows = np.array([choice % x.shape[0], 0, choice % x.shape[0]])  # type: ignore[operator]
    return [x[0], x[-1:], x[::2], x[..., None], x[None], x[rows]][choice % 6]


def joined(x: Tensor, y: Tensor, choice: int) -> Any:
    if x.shape == y.shape and x.ndim:
        return fl.concatenate([x, y, x], axis=choice % x.ndim) if choice & 1 else fl.stack([x, y], axis=-1)
    return fl.concatenate([flat(x), flat(y)])


def apply_step(pool: list[Tensor], step: Step) -> Any:
    """One more tensor, made of one or two of the pool."""
    kind, first, second, choice = step
    x, y = pool[first % len(pool)], pool[second % len(pool)]
    if kind == "unary":
        return list(UNARY.values())[choice % len(UNARY)](x)
    if kind == "binary" and _broadcast(x, y):
        return list(BINARY.values())[choice % len(BINARY)](x, y)
    if kind == "matmul":
        return gram(x) if choice & 1 else outer(x, y)
    if kind == "join":
        return joined(x, y, choice)
    if kind == "shape" or not x.ndim:
        return flat(x) if choice & 1 else x.transpose()
    if kind == "softmax":
        return fl.softmax(x, choice % x.ndim) + fl.log_softmax(x, choice % x.ndim) * 0.1
    return reduced(x, choice) if kind == "reduce" else indexed(x, choice)


def _broadcast(x: Tensor, y: Tensor) -> bool:
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


KINDS = ["unary", "unary", "binary", "binary", "matmul", "join", "shape", "softmax", "reduce", "index"]
NUMBER = st.integers(0, 59)
PROGRAMS = st.lists(st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER), min_size=5, max_size=12)
LEAVES = st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3)


class Composition:
    """A random scalar function L of some arrays, with its gradient and Σ vᵢ·dL/dxᵢ along random directions v."""

    def __init__(self, shapes: list[tuple[int, ...]], program: list[Step]) -> None:
        rng = np.random.default_rng(len(program))
        self.leaves = [make_input(f"x{i}", shape, "float64") for i, shape in enumerate(shapes)]
        pool = list(self.leaves)
        for step in program:
            made = apply_step(pool, step)
            if math.prod(made.shape) <= 60:
                pool.append(made)
        # every tensor counts, so that shared subexpressions have several uses
        weights = [rng.uniform(0.5, 1.5, tensor.shape) for tensor in pool]  # type: ignore[arg-type]
        self.loss = total(pool, weights)
        self.slopes = gradients(self.loss, self.leaves)
        self.arrays = [rng.uniform(-1.5, 1.5, shape) for shape in shapes]
        self.directions = [rng.normal(size=shape) for shape in shapes]

    def hessian_times(self, directions: list[Array]) -> list[Tensor]:
        return gradients(total(self.slopes, directions), self.leaves)

    def graph(self, **outputs: Tensor) -> Graph:
        return Graph(
            {f"x{i}": leaf.node for i, leaf in enumerate(self.leaves)}, {k: t.node for k, t in outputs.items()}
        )

    def at(self, graph: Graph, step: float = 0.0) -> dict[str, Array]:
        """The graph's outputs at x + step·v."""
        moved = [array + step * direction for array, direction in zip(self.arrays, self.directions, strict=True)]
        return run(graph, {f"x{i}": array for i, array in enumerate(moved)})


def total(tensors: list[Tensor], weights: list[Array]) -> Tensor:
    """Σ tensor·weight, as one number."""
    summed: Any = 0.0
    for tensor, weight in zip(tensors, weights, strict=True):
        summed = (tensor * weight).sum() + summed
    return summed  # type: ignore[no-any-return]


def numbered(name: str, tensors: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}{i}": tensor for i, tensor in enumerate(tensors)}


def slope_of(function: Callable[[float], float]) -> float:
    """The derivative at 0 by the five-point formula, whose error is of fourth order in the step."""
    h = 1e-3
    return (8.0 * (function(h) - function(-h)) - (function(2.0 * h) - function(-2.0 * h))) / (12.0 * h)


def check(made: Composition, function: Tensor, slopes: list[Tensor]) -> None:
    """Slopes·v equals the finite difference of the function along v: relative error below 1e-6."""
    value, here = made.graph(f=function), made.graph(**numbered("d", slopes))
    verify(here)
    products = [v * here_i for v, here_i in zip(made.directions, made.at(here).values(), strict=True)]
    found = sum(float(np.sum(product)) for product in products)
    size = sum(float(np.sum(np.abs(product))) for product in products)
    wanted = slope_of(lambda step: float(made.at(value, step)["f"]))
    assert abs(found - wanted) <= 1e-6 * max(size, abs(wanted), 1.0)


@given(LEAVES, PROGRAMS)
def test_gradients_agree_with_finite_differences(shapes: list[tuple[int, ...]], program: list[Step]) -> None:
    made = Composition(shapes, program)
    assert [slope.shape for slope in made.slopes] == shapes
    check(made, made.loss, made.slopes)


@settings(max_examples=30)
@given(LEAVES, PROGRAMS)
def test_second_derivatives_agree_with_finite_differences(shapes: list[tuple[int, ...]], program: list[Step]) -> None:
    made = Composition(shapes, program)
    check(made, total(made.slopes, made.directions), made.hessian_times(made.directions))


@settings(max_examples=20)
@given(LEAVES, PROGRAMS)
def test_second_derivatives_are_symmetric(shapes: list[tuple[int, ...]], program: list[Step]) -> None:
    """u·(∇²L·v) = v·(∇²L·u): true of every smooth function, and no finite difference is needed to see it."""
    made = Composition(shapes, program)
    v, u = made.directions, [np.cos(np.arange(d.size)).reshape(d.shape) for d in made.directions]
    tensors = {"left": total(made.hessian_times(v), u), "right": total(made.hessian_times(u), v)}
    values = made.at(made.graph(**tensors))
    left, right = float(values["left"]), float(values["right"])
    assert abs(left - right) <= 1e-9 * max(abs(left), 1.0)
