"""A row of the right kind where a plan is given no data: what decides a step's program is shapes and dtypes alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, KindError, ShapeError
from fallline.ir.types import DType
from fallline.nn.checks import as_array
from fallline.nn.linear import Linear
from fallline.nn.losses import FunctionLoss, Loss
from fallline.nn.module import Module, Parameter
from fallline.nn.norm import BatchNorm, LayerNorm
from fallline.nn.trace import as_input, trace_network
from fallline.training.step import Rows, build_graph, check_rows

Array = NDArray[Any]
GIVE_X = "give plan a row of x, such as x[:1], and rows=… for how many there will be"


def one_row(net: Module, x: Any, y: Any, loss: Loss, weighted: bool, dtype: str) -> Rows:
    """One row of the data, or of its kind: of x and y the first, of what is not given one made up.

    Args:
        net: the network; where x is not given, its first layer tells the shape of a row.
        x: inputs (rows, …), or None.
        y: targets, or None.
        loss: decides which targets fit.
        weighted: whether rows have weights.
        dtype: "float32" or "float64".

    Raises:
        ArgumentError: the network does not tell what its rows are like, or no made-up target fits the loss.
        ShapeError, KindError: what is given does not fit the network, the loss or each other.
    """
    weight = np.ones(1) if weighted else None
    inputs = _input_like(net, dtype) if x is None else as_input(as_array("plan: x", x)[:1], dtype, "plan")
    if y is not None:
        return check_rows(net, inputs, as_array("plan: y", y)[:1], loss, weight, dtype, "plan")
    try:
        kind = DType.FLOAT32 if inputs.dtype.kind == "f" else DType(str(inputs.dtype))
        shape: Any = trace_network(net, inputs.shape[1:], kind, training=False).outputs.shape[1:]
    except (ShapeError, KindError) as reason:
        if x is not None:
            raise
        raise ArgumentError(f"plan: the network's input cannot be told from its layers ({reason}); {GIVE_X}") from None
    for targets in _targets(shape, loss):
        try:
            rows = check_rows(net, inputs, targets, loss, weight, dtype, "plan")
            build_graph(net, rows, loss, training=True, backward=False)
        except (ArgumentError, KindError):
            continue
        return rows
    raise ArgumentError(f"plan: cannot tell what targets the loss {loss!r} takes; give plan a row of y, such as y[:1]")


def _targets(outputs: tuple[int, ...], loss: Loss) -> Iterator[Array]:
    """Targets that losses take: a class for each row, or numbers like the outputs."""
    kinds = [np.zeros((1, *outputs[:-1]), dtype=np.int64), np.ones((1, *outputs))]
    yield from reversed(kinds) if isinstance(loss, FunctionLoss) else kinds


def _input_like(net: Module, dtype: str) -> Array:
    """A row as the network has seen it before, else as its first layer with weights takes it."""
    if net._input_signature is not None:
        shape, kind = net._input_signature
        return np.zeros((1, *shape), dtype=dtype if kind.startswith("float") else kind)
    for module in net.named_modules().values():
        if any(isinstance(part, Parameter) for _, part in module.children()):
            if isinstance(module, Linear):
                return np.zeros((1, module.in_features), dtype=dtype)
            if isinstance(module, BatchNorm | LayerNorm):
                return np.zeros((1, module.features), dtype=dtype)
            break
    raise ArgumentError(f"plan: the network {type(net).__name__} does not tell the shape of its input; {GIVE_X}")
