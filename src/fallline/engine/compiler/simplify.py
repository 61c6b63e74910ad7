"""Graph → simpler graph for known sizes, with the same bits in every output.

Sizes are bound, equal nodes are shared, what moves nothing is dropped, and reductions are brought to the two
shapes that have a schedule: over the last axis, or over the first.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from fallline.engine.compiler.index import VIEWS
from fallline.engine.reference import row_axes, tree_add
from fallline.ir.graph import Graph, Node, nodes_from
from fallline.ir.kernel import Elementwise, Reduction
from fallline.ir.op import lookup
from fallline.ir.types import SymbolicDim, bind

IDENTITIES = {"broadcast": "shape", "reshape": "shape", "cast": "dtype"}
"""Ops that change nothing where the attribute equals what the input has already."""

MOVED_THROUGH = ("multiply", "cast", "negate", "absolute", "add", "subtract")
"""Elementwise ops cheap enough to be computed again under another shape."""


class Simplified:
    """A graph whose shapes are all numbers.

    Attributes:
        graph: the nodes.
        batch: id of a node → how many of its leading elements belong to one row of the batch, for nodes
            whose first axis runs over the rows of the batch (1 for (n, …), 4 for (4·n, …)).
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], shards: int = 1) -> None:
        self.sizes, self.shards = dict(sizes), shards
        self.batch: dict[int, int] = {}
        self._made: dict[Any, Node] = {}
        self._new: dict[int, Node] = {}
        nodes = graph.nodes()
        for node in nodes:
            with nodes_from(node.provenance):
                self._new[id(node)] = self._rewritten(node)
            self._mark(self._new[id(node)], node.type.shape)
        inputs = {name: self._new[id(node)] for name, node in graph.inputs.items() if id(node) in self._new}
        self.graph = Graph(inputs, {name: self._as_result(self._new[id(node)]) for name, node in graph.outputs.items()})

    def _as_result(self, node: Node) -> Node:
        """A tensor of its own for an output that is an input, which a step may replace, or a view of another tensor."""
        base = node
        while base.op.name == "reshape" and len(base.type.shape) < 2:
            base = base.inputs[0]
        if base.op.name not in (*VIEWS, "input"):
            return node
        with nodes_from(node.provenance):
            result = self.make("stop_gradient", node)
        if id(node) in self.batch:
            self.batch[id(result)] = self.batch[id(node)]
        return result

    def _mark(self, node: Node, shape: tuple[Any, ...]) -> None:
        if shape and isinstance(shape[0], SymbolicDim):
            self.batch[id(node)] = shape[0].factor

    def _rewritten(self, node: Node) -> Node:
        inputs = [self._new[id(parent)] for parent in node.inputs]
        attributes = {key: bind(value, self.sizes) for key, value in node.attributes.items()}
        name = node.op.name
        if self.shards > 1 and (axes := row_axes(node)) is not None:
            return self._sharded(node, inputs, attributes, axes)
        if name == "input":  # two inputs of one type are two inputs
            return Node(node.op, (), attributes)
        if name in IDENTITIES and _same(inputs[0], IDENTITIES[name], attributes):
            return inputs[0]
        if name == "stop_gradient" or (
            name == "transpose" and attributes["axes"] == tuple(range(len(attributes["axes"])))
        ):
            return inputs[0]
        if name == "reshape":
            return self._reshape(inputs[0], attributes["shape"])
        if name == "dim_size":
            return self.make("constant", value=float(attributes["dim"]), dtype=attributes["dtype"])
        if name == "less":
            inputs = self._mask_of_relu(inputs)
        return self._plain(node, inputs, attributes)

    def _plain(self, node: Node, inputs: list[Node], attributes: Mapping[str, Any]) -> Node:
        if isinstance(node.op.kernel, Reduction):
            return self._reduction(node.op.name, inputs[0], attributes["axes"])
        return self.make(node.op.name, *inputs, **attributes)

    def _sharded(self, node: Node, inputs: list[Node], attributes: Mapping[str, Any], axes: list[int | None]) -> Node:
        """A sum over the batch's rows as sums over its shards, added in a fixed tree."""
        rows = next(iter(self.sizes.values()))
        parts: list[Node | None] = []
        for start, stop in pairwise(shard * rows // self.shards for shard in range(self.shards + 1)):
            if start == stop:
                parts.append(None)
                continue
            cut = [
                x if axis is None else self._rows(x, axis, start, stop, rows)
                for x, axis in zip(inputs, axes, strict=True)
            ]
            parts.append(self._plain(node, cut, attributes))
        total: Node = tree_add(parts, lambda a, b: self.make("add", a, b))
        return total

    def _rows(self, x: Node, axis: int, start: int, stop: int, rows: int) -> Node:
        shape: list[Any] = list(x.type.shape)
        factor = shape[axis] // rows
        starts = tuple(start * factor if i == axis else 0 for i in range(len(shape)))
        shape[axis] = (stop - start) * factor
        return self.make("slice", x, starts=starts, shape=tuple(shape), steps=(1,) * len(shape))

    def make(self, name: str, *inputs: Node, **attributes: Any) -> Node:
        """A node, or the equal one that exists already."""
        key = (name, tuple(id(node) for node in inputs), tuple(_hashable(item) for item in attributes.items()))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Node(lookup(name), inputs, attributes)
            if inputs and isinstance(found.op.kernel, Elementwise) and id(inputs[0]) in self.batch:
                self.batch[id(found)] = self.batch[id(inputs[0])]
        return found

    def _reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        """A reshape of a reshape is one reshape."""
        while x.op.name == "reshape":
            x = x.inputs[0]
        return x if x.type.shape == shape else self.make("reshape", x, shape=shape)

    def _mask_of_relu(self, inputs: list[Node]) -> list[Node]:
        """0 < x and 0 < relu(x) are the same, and relu(x) is stored anyway, for the next layer."""
        zero, x = inputs
        activated = self._made.get(("relu", (id(x),), ()))
        return [zero, activated] if activated is not None and is_constant(zero, 0.0) else inputs

    def _reduction(self, name: str, x: Node, axes: tuple[int, ...]) -> Node:
        """Over the last axis or over the first: reshaped, or transposed first, keeping the order of the elements."""
        shape: tuple[Any, ...] = x.type.shape
        rank = len(shape)
        axes = tuple(axes)
        if not axes:
            return x
        kept = tuple(axis for axis in range(rank) if axis not in axes)
        result = tuple(shape[axis] for axis in kept)
        count = math.prod(shape[axis] for axis in axes)
        if axes == tuple(range(rank - len(axes), rank)):  # the last axes, in order
            rows = self._reshaped(x, (*result, count))
            return self.make(name, rows, axes=(rank - len(axes),))
        if axes != tuple(range(len(axes))):  # neither the last nor the first: bring them to the front, in order
            x = self.make("transpose", x, axes=(*axes, *kept))
        columns = self._reshaped(x, (count, math.prod(result)))
        return self._reshape(self.make(name, columns, axes=(0,)), result)

    def _reshaped(self, x: Node, shape: tuple[int, ...]) -> Node:
        """x under another shape; the reshape is moved before elementwise nodes, towards stored tensors."""
        if x.type.shape == shape:
            return x
        if x.op.name == "broadcast" and not x.inputs[0].type.shape:
            moved = self.make("broadcast", x.inputs[0], shape=shape)
        elif x.op.name in MOVED_THROUGH and not any(_stretched(parent) for parent in x.inputs):
            moved = self.make(x.op.name, *(self._reshaped(parent, shape) for parent in x.inputs), **x.attributes)
        else:
            moved = self._reshape(x, shape)
        if id(x) in self.batch and shape and x.type.shape[0] == shape[0]:
            self.batch[id(moved)] = self.batch[id(x)]
        elif id(x) in self.batch and len(shape) == 2 and shape[0] == math.prod(x.type.shape[:-1]):  # type: ignore[arg-type]
            self.batch[id(moved)] = self.batch[id(x)] * (shape[0] // x.type.shape[0])  # type: ignore[operator]
        return moved


def _stretched(node: Node) -> bool:
    """Whether a node repeats a tensor, which no strides can do under another shape."""
    return node.op.name == "broadcast" and bool(node.inputs[0].type.shape)


def is_constant(node: Node, value: float) -> bool:
    """Whether the node holds that number everywhere."""
    while node.op.name in ("broadcast", "reshape"):
        node = node.inputs[0]
    return node.op.name == "constant" and np.ndim(node.attributes["value"]) == 0 and node.attributes["value"] == value


def _same(x: Node, attribute: str, attributes: Mapping[str, Any]) -> bool:
    return bool(getattr(x.type, attribute) == attributes[attribute])


def _hashable(item: tuple[str, Any]) -> Any:
    key, value = item
    if isinstance(value, np.ndarray):
        return key, value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float):
        return key, value.hex()
    return key, type(value).__name__, str(value) if isinstance(value, list) else value
