"""How strongly each row pulls at the weights: the norm of its own gradient, without computing it.

In a layer z = a·W the gradient of one row's loss is the outer product of what came in and what came back, so that its
norm is a product of two norms, which backpropagation over all rows has at hand:

    ‖dlᵢ/dW‖ = ‖aᵢ‖ · ‖δᵢ‖          ‖dlᵢ/db‖ = ‖δᵢ‖          with δᵢ = dlᵢ/dzᵢ

Source: Goodfellow 2015, "Efficient Per-Example Gradient Computations", arXiv:1510.01799.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import make_program, rows_are_independent
from fallline.errors import ArgumentError
from fallline.insight.number_columns import plain, table
from fallline.insight.tape import is_view
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Contraction
from fallline.ir.types import BATCH, SymbolicDim
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import check_network, values_of
from fallline.training.arguments import whole_number
from fallline.training.step import GRADIENT, OUTPUTS, ROWS, Rows, StepProgram, check_rows, typed_graph

Array = NDArray[Any]
SHOWN = 10


@dataclass(frozen=True)
class RowNorms:
    """The norm of each row's own gradient, in prediction mode.

    Attributes:
        total: ‖dlᵢ/dw‖ over all parameters of `by_parameter` together: (rows,), float64.
        by_parameter: the same of each parameter by itself.
        left_out: parameters that have no such short way: tables of embeddings, weights that are shared.
        losses: lᵢ, (rows,).
    """

    total: Array
    by_parameter: dict[str, Array]
    left_out: tuple[str, ...]
    losses: Array

    def __str__(self) -> str:
        order = np.argsort(-self.total, kind="stable")[:SHOWN]
        cells = [["row", "‖dl/dw‖", "loss"]]
        cells += [[str(int(k)), plain(self.total[k]), plain(self.losses[k])] for k in order]
        told = f"The {len(order)} rows of {len(self.total):,} with the largest gradients"
        without = f", without {', '.join(self.left_out)}" if self.left_out else ""
        return "\n".join([told + without, *table(cells, [False, True, True])])


def row_gradient_norms(net: Module, x: Any, y: Any, loss: Any = "cross_entropy", *, batch_size: int = 1024) -> RowNorms:
    """The norm of the gradient of each row's own loss, for the parameters of dense layers, at hardly any cost.

    It is what `loss_and_gradients(net, x[i:i+1], y[i:i+1], training=False)` would give for each row by itself.

    Args:
        net: the network, at its current weights; in prediction mode, so that no row depends on another.
        x: inputs (rows, …).
        y: targets.
        loss: a name, a loss object, or a function that gives a loss for each row.
        batch_size: how many rows are computed together; changes nothing.

    Returns:
        The `RowNorms`: `.total` (rows,), `.by_parameter`, `.left_out`.

    Raises:
        ArgumentError: the loss is no sum over rows, or rows depend on one another.
    """
    call = "row_gradient_norms"
    check_network(net, call)
    whole_number("batch_size", batch_size, 1, call)
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, None, net.dtype, call)
    graph = typed_graph(net, rows, chosen, net.dtype, training=False, backward=True)
    if ROWS not in graph.outputs:
        raise ArgumentError(f"{call}: the loss {chosen!r} gives one number for all rows; let it give one for each row")
    if not rows_are_independent(Graph(graph.inputs, {name: graph.outputs[name] for name in (OUTPUTS, ROWS)})):
        raise ArgumentError(
            f"{call}: in this network a row's output depends on other rows, so that none has a gradient of its own"
        )
    ways, left_out = {}, []
    for name in net.named_parameters():
        way = _way(graph.outputs[GRADIENT + name])
        if way is None:
            left_out.append(name)
        else:
            ways[name] = way
    parts = _computed(net, rows, graph, ways, batch_size)
    squares = {name: np.concatenate([part[name] for part in parts]) for name in (*ways, ROWS)}
    losses = squares.pop(ROWS)
    total = np.sqrt(sum(squares.values(), start=np.zeros(len(rows))))
    return RowNorms(total, {name: np.sqrt(square) for name, square in squares.items()}, tuple(left_out), losses)


@dataclass(frozen=True)
class _Way:
    """The short way to the squared norms of a parameter: which nodes it needs, and what to do with their values."""

    nodes: tuple[Node, ...]
    squares: Callable[..., Array]


def _computed(
    net: Module, rows: Rows, graph: Graph, ways: Mapping[str, _Way], batch_size: int
) -> list[dict[str, Array]]:
    """Squared norms by parameter, and the rows' losses, batch by batch."""
    outputs = {f"{name} {k}": node for name, way in ways.items() for k, node in enumerate(way.nodes)}
    wanted, programs = Graph(graph.inputs, {ROWS: graph.outputs[ROWS], **outputs}), dict[int, Any]()
    program, values, parts = StepProgram.of(graph, net.dtype), values_of(net), []
    for start in range(0, len(rows), batch_size):
        batch = rows.take(slice(start, start + batch_size))
        count = len(batch)
        if count not in programs:
            programs[count] = make_program(wanted, {BATCH.name: count})
        found = programs[count](program.inputs(batch, values, 1.0, 0, 0))  # the sum over rows, not their mean
        part = {ROWS: found[ROWS].astype(np.float64)}
        for name, way in ways.items():
            given = [found[f"{name} {k}"].astype(np.float64) for k in range(len(way.nodes))]
            part[name] = way.squares(*given, count)
        parts.append(part)
    return parts


def _way(gradient: Node) -> _Way | None:
    node = gradient
    while is_view(node) and len(node.inputs) == 1:
        node = node.inputs[0]
    if isinstance(node.op.kernel, Contraction):
        return _product_way(node)
    if node.op.name == "sum":
        axis = next((k for k, dim in enumerate(node.inputs[0].type.shape) if dim == BATCH), None)
        if axis is not None and axis in node.attributes["axes"]:
            return _sum_way(node, axis)
    return None


def _sum_way(node: Node, axis: int) -> _Way:
    others = tuple(k for k in node.attributes["axes"] if k != axis)

    def squares(value: Array, count: int) -> Array:
        own = np.moveaxis(value.sum(axis=others, keepdims=True), axis, 0).reshape(count, -1)
        return np.asarray((own * own).sum(axis=1))

    return _Way(node.inputs, squares)


def _product_way(node: Node) -> _Way | None:
    """aᵀ·δ, summed over rows, or over rows and their positions."""
    a = node.inputs[0]
    inner = a.type.shape[-1]
    if not isinstance(inner, SymbolicDim) or (inner.factor > 1 and not (_row_by_row(a) and len(a.type.shape) == 2)):
        return None

    def squares(left: Array, right: Array, count: int) -> Array:
        if inner.factor == 1:  # (…, in, rows) and (…, rows, out)
            norms = (left * left).sum(axis=-2) * (right * right).sum(axis=-1)
            return np.asarray(norms.reshape(-1, count).sum(axis=0))
        own, back = (value.reshape(count, inner.factor, -1) for value in (left.T, right))
        pairs = (own @ own.transpose(0, 2, 1)) * (back @ back.transpose(0, 2, 1))  # of positions of one row
        return np.asarray(np.maximum(pairs.sum(axis=(1, 2)), 0.0))

    return _Way(node.inputs, squares)


def _row_by_row(node: Node) -> bool:
    """Whether the positions of a row stand together: the axis was made of (rows, positions), in this order."""
    while node.op.name == "transpose":
        node = node.inputs[0]
    if node.op.name != "reshape":
        return False
    before = node.inputs[0].type.shape
    positions = [dim for dim in before[1:-1] if isinstance(dim, int)]
    axis = node.type.shape[0]
    return before[0] == BATCH and isinstance(axis, SymbolicDim) and math.prod(positions) == axis.factor
