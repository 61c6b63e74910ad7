"""The loss as a function of two weights, all others held still: the ground that a descent walks on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.backprop.gradients import gradients
from fallline.engine.reference import ReferenceProgram
from fallline.errors import ArgumentError, ShapeError
from fallline.ir.graph import Graph, Node
from fallline.ir.transform import retype_floats, substitute
from fallline.ir.types import BATCH, DType
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y, values_of
from fallline.ops import exact
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor
from fallline.training.step import GRADIENT, LOSS, Rows, build_graph

Array = NDArray[Any]
Spot = tuple[str, tuple[int, ...]]
"""One weight: its parameter's dotted name and its place in it."""


def spelled(spot: Spot) -> str:
    """A weight as people write it: 0.weight[2,5]."""
    return f"{spot[0]}[{','.join(map(str, spot[1]))}]"


class Plane:
    """The loss of some rows over chosen weights of a network, in float64 and prediction mode.

    What does not depend on those weights' parameters is computed once, so a point costs little: for two
    weights of the last layer, only that layer and the loss.

    Args:
        net: the network; everything but the chosen weights stays as it is.
        rows: the data.
        loss: the loss.
        names: the parameters that the chosen weights lie in.
    """

    def __init__(self, net: Module, rows: Rows, loss: Loss, names: Sequence[str]) -> None:
        self.base = {name: value.astype(np.float64) for name, value in values_of(net).items()}
        inputs = self.base | _data(rows)
        forward = build_graph(net, rows, loss, training=False, backward=False)
        parameters = net.named_parameters()
        wanted = gradients(Tensor(forward.outputs[LOSS]), [parameters[name] for name in names])
        found = {GRADIENT + name: grad.node for name, grad in zip(names, wanted, strict=True)}
        graph = retype_floats(Graph(forward.inputs, {LOSS: forward.outputs[LOSS], **found}), DType.FLOAT64)
        sizes = {BATCH.name: len(rows)}
        graph, self._inputs = _held_still(graph, set(names), inputs, sizes)
        self._full = ReferenceProgram(graph, sizes)
        self._loss = ReferenceProgram(Graph(graph.inputs, {LOSS: graph.outputs[LOSS]}), sizes)
        self.names = list(names)

    def at(self, spots: Sequence[Spot], values: Sequence[float]) -> dict[str, Array]:
        """The parameters with the chosen weights at `values` and everything else as it was."""
        moved = {name: self.base[name].copy() for name in self.names}
        for (name, place), value in zip(spots, values, strict=True):
            moved[name][place] = value
        return moved

    def loss(self, weights: dict[str, Array]) -> float:
        """L at these weights."""
        return float(self._loss(self._inputs | weights)[LOSS])

    def loss_and_gradients(self, weights: dict[str, Array]) -> tuple[float, dict[str, Array]]:
        """L and dL/dw by backpropagation, for the parameters that hold the chosen weights."""
        found = self._full(self._inputs | weights)
        return float(found[LOSS]), {name: found[GRADIENT + name] for name in self.names}

    def slope(self, spots: Sequence[Spot], values: Sequence[float]) -> tuple[float, Array]:
        """(L, dL/dw of the chosen weights alone)."""
        loss, grads = self.loss_and_gradients(self.at(spots, values))
        return loss, np.array([grads[name][place] for name, place in spots])

    def curvature(self, spots: Sequence[Spot], values: Sequence[float]) -> Array:
        """The second derivatives of L by the chosen weights, (k, k): central differences of backpropagation's dL/dw."""
        size = len(spots)
        columns = np.empty((size, size))
        for k in range(size):
            h = 1e-5 * max(abs(float(values[k])), 1.0)
            ahead, behind = (np.array(values, dtype=np.float64) for _ in range(2))
            ahead[k] += h
            behind[k] -= h
            columns[:, k] = (self.slope(spots, list(ahead))[1] - self.slope(spots, list(behind))[1]) / (2.0 * h)
        return (columns + columns.T) / 2.0

    def surface(self, spots: Sequence[Spot], across: Array, up: Array) -> Array:
        """L on a grid of two weights: (len(up), len(across))."""
        return surface(lambda a, b: self.loss(self.at(spots, (a, b))), across, up)


class Footing(Protocol):
    """What a descent walks on: the loss and its slope at any weights."""

    def at(self, spots: Sequence[Spot], values: Sequence[float]) -> dict[str, Array]:
        """The parameters with the chosen weights at `values`."""

    def loss_and_gradients(self, weights: dict[str, Array]) -> tuple[float, dict[str, Array]]:
        """L and dL/dw there."""


def surface(height: Callable[[float, float], float], across: Array, up: Array) -> Array:
    """A height on a grid of places: (len(up), len(across))."""
    return np.array([[height(float(a), float(b)) for a in across] for b in up])


@dataclass(frozen=True)
class Walk:
    """Gradient descent with one learning rate.

    Attributes:
        learning_rate: η.
        places: the two weights before each step and after the last, (steps + 1, 2).
        losses: L there.
    """

    learning_rate: float
    places: Array
    losses: list[float]

    @property
    def always_falls(self) -> bool:
        """Whether no step raises the loss by more than rounding."""
        return all(b <= a + 1e-12 * max(abs(a), 1.0) for a, b in pairwise(self.losses))


def walk(ground: Footing, spots: Sequence[Spot], start: Sequence[float], learning_rate: float, steps: int) -> Walk:
    """Gradient descent on all rows from `start`: backpropagation, then `optim.SGD`'s update, `steps` times.

    The gradients of all other weights count as 0, so they stay where they are.
    """
    rule = optim.SGD(lr=learning_rate)
    weights = ground.at(spots, start)
    state = rule.init(weights)
    places, losses = [list(map(float, start))], []
    for step in range(steps + 1):
        loss, grads = ground.loss_and_gradients(weights)
        losses.append(loss)
        if step == steps or not np.isfinite(loss):
            break
        weights, state = rule.update(weights, _only(grads, spots), state)
        places.append([float(weights[name][place]) for name, place in spots])
    return Walk(learning_rate, np.array(places[: len(losses)]), losses)


def _only(grads: dict[str, Array], spots: Sequence[Spot]) -> dict[str, Array]:
    kept = {name: np.zeros_like(grad) for name, grad in grads.items()}
    for name, place in spots:
        kept[name][place] = grads[name][place]
    return kept


def find_spot(weights: Mapping[str, Array], weight: str, call: str) -> Spot:
    """("0.weight", (2, 5)) from "0.weight[2,5]".

    Raises:
        ArgumentError, ShapeError: there is no such weight.
    """
    name, bracket, inside = weight.strip().removesuffix("]").partition("[")
    if name not in weights or not bracket:
        known = ", ".join(list(weights)[:20])
        raise ArgumentError(f"{call}: no weight {weight!r}; write name[place], the names are: {known}")
    shape = weights[name].shape
    place = tuple(int(part) if part.strip().isdecimal() else -1 for part in inside.split(","))
    if len(place) != len(shape) or any(not 0 <= i < size for i, size in zip(place, shape, strict=True)):
        raise ShapeError(f"{call}: {weight!r} does not exist: {name!r} has shape {shape}, counted from 0")
    return name, place


def find_pair(weights: Mapping[str, Array], pair: Sequence[str], call: str) -> tuple[Spot, Spot]:
    """Two different weights by their names.

    Raises:
        ArgumentError, ShapeError: there are no such two.
    """
    spots = [find_spot(weights, weight, call) for weight in pair]
    if len(spots) != 2 or spots[0] == spots[1]:
        raise ArgumentError(f"{call}: weights must name two different weights, found {pair!r}")
    return spots[0], spots[1]


def _data(rows: Rows) -> dict[str, Any]:
    """A program's data in float64."""
    total = float(len(rows) if rows.weight is None else exact.tree_sum(rows.weight))
    given = {X: rows.x, Y: rows.y} | ({} if rows.weight is None else {SAMPLE_WEIGHT: rows.weight})
    wide = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in given.items()}
    return wide | {DENOMINATOR: np.float64(total), SEED: np.int64(0), STEP: np.int64(0)}


def _held_still(
    graph: Graph, moving: set[str], inputs: dict[str, Any], sizes: dict[str, int]
) -> tuple[Graph, dict[str, Any]]:
    """The graph with everything that the moving parameters cannot change replaced by its value."""
    depends = {id(graph.inputs[name]) for name in moving}
    nodes = graph.nodes()
    for node in nodes:
        if any(id(parent) in depends for parent in node.inputs):
            depends.add(id(node))
    border = {
        id(parent)
        for node in nodes
        if id(node) in depends
        for parent in node.inputs
        if id(parent) not in depends and parent.inputs
    }
    replaced: dict[int, Node] = {}
    leaves: dict[str, Node] = {}
    values = dict(inputs)
    for node, value in ReferenceProgram(graph, sizes).trace(inputs):
        if id(node) in border:
            name = f"held {len(leaves)}"
            leaves[name] = replaced[id(node)] = make_input(name, node.type.shape, node.type.dtype).node
            values[name] = value
    smaller = substitute(graph, replaced)
    return Graph(smaller.inputs | leaves, smaller.outputs), values
