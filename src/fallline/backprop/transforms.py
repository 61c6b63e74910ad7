"""Derivatives of plain functions: `fl.grad` and `fl.hvp`, usable on their own results."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fallline.backprop.gradients import gradients
from fallline.engine.reference import run
from fallline.errors import ArgumentError, KindError
from fallline.ir.graph import Graph
from fallline.ops.functions import sum as sum_of
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor, apply, as_tensor, is_symbolic

Function = Callable[..., Any]


def grad(fn: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The gradient of a function that returns one number.

    `grad(f)(x)` has x's shape and holds ∂f/∂x. The function is traced: it may use operators and `fl.*`
    functions on its arguments, not NumPy's. `grad(grad(f))` works for functions of one number; for
    arrays, sum the inner gradient or use `hvp`.

    Args:
        fn: takes arrays or numbers, returns one number.
        argnums: which argument to differentiate by, or several.

    Returns:
        A function of the same arguments; for several argnums it returns a tuple. It raises the errors below.

    Raises:
        ArgumentError: `argnums` names an argument that is not there.
        KindError: an argument to differentiate by does not hold floats.

    Example:
        >>> print(grad(lambda x: x * x * x)(2.0))
        12.0
    """

    def derivative(*arguments: Any) -> Any:
        places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for place in places:
            if not -len(arguments) <= place < len(arguments):
                raise ArgumentError(f"fl.grad: argnums names argument {place}, but {len(arguments)} were given")

        def differentiate(*tensors: Any) -> tuple[Tensor, ...]:
            wanted = [_as_variable(tensors[place], place) for place in places]
            traced = list(tensors)
            for place, tensor in zip(places, wanted, strict=True):
                traced[place] = tensor
            value = fn(*traced)
            if not isinstance(value, Tensor):  # a function that ignores its arguments
                value = as_tensor(value).astype(wanted[0].dtype)
            return tuple(gradients(value, wanted))

        results = call_traced(differentiate, arguments, places, "fl.grad")
        return results[0] if isinstance(argnums, int) else results

    return derivative


def hvp(fn: Function) -> Function:
    """The product of the second derivatives of fn with a vector: for f(x) and v, ∇²f(x)·v = ∇(∇f(x)·v).

    Args:
        fn: takes one array, returns one number.

    Returns:
        A function of (x, v), both of x's shape, that returns an array of x's shape. Source: Pearlmutter
        1994, "Fast exact multiplication by the Hessian", Neural Computation 6(1). It raises the error below.

    Raises:
        ArgumentError: x and v have other shapes.
    """
    slope = grad(lambda x, v: sum_of(grad(fn)(x) * v))

    def product(x: Any, v: Any) -> Any:
        if np.shape(x) != np.shape(v) and not is_symbolic(x, v):
            raise ArgumentError(f"fl.hvp: x and v must have one shape, found {np.shape(x)} and {np.shape(v)}")
        return slope(x, v)

    return product


def _as_variable(value: Any, place: int) -> Tensor:
    """An argument to differentiate by, as a node of its own; whole numbers become floats.

    Its own, because the same tensor may also come in by another argument or from around the function,
    and those uses of it are constants of this derivative.
    """
    tensor = as_tensor(float(value) if isinstance(value, int) else value)
    if not tensor.dtype.is_float:
        raise KindError(f"fl.grad: can only differentiate by floats, argument {place} holds {tensor.dtype}")
    return apply("reshape", tensor, shape=tensor.shape)


def call_traced(fn: Function, arguments: tuple[Any, ...], places: tuple[int, ...], caller: str) -> tuple[Any, ...]:
    """fn on symbolic arguments as they are; on numbers, traced with their shapes and then run."""
    if is_symbolic(*arguments):
        return tuple(fn(*arguments))
    arrays = [np.asarray(argument) for argument in arguments]
    for place in places:
        if arrays[place].dtype.kind in "iub" and isinstance(arguments[place], int | float):
            arrays[place] = arrays[place].astype(np.float64)
        if arrays[place].dtype.kind != "f":
            raise KindError(f"{caller}: can only differentiate by floats, argument {place} holds {arrays[place].dtype}")
    tensors = [make_input(f"argument_{i}", array.shape, str(array.dtype)) for i, array in enumerate(arrays)]
    results = fn(*tensors)
    inputs = {f"argument_{i}": tensor.node for i, tensor in enumerate(tensors)}
    graph = Graph(inputs, {str(i): tensor.node for i, tensor in enumerate(results)})
    values = run(graph, {f"argument_{i}": array for i, array in enumerate(arrays)})
    return tuple(values[str(i)][()] for i in range(len(results)))
