"""A step laid open: every node of its graph with its value, and which of them carry backpropagation's flow."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.backprop.gradients import ORIGIN
from fallline.ir.graph import Graph, Node, topological
from fallline.ir.kernel import Contraction, Elementwise, IndexMap
from fallline.ir.types import SymbolicDim, bind
from fallline.training.step import LOSS, LOSS_SCOPE
from fallline.training.tensor_names import tensor_names

Array = NDArray[Any]
Key = tuple[str, int, str]
"""(scope, call, op) of a part of the network: of a module that holds no other, all its ops together, with op ""."""


class Tape:
    """All that one step computed.

    Args:
        graph: the step's graph.
        step: its part without the update, whose outputs have names.
        tensors: every node with its value.
        sizes: the value of each symbolic dimension.
        modules: dotted name of each module → its class's name.

    Attributes:
        nodes: in the order of computation.
        values: by id of node, flat, in row-major order.
        flows: ids of the nodes that depend on dL/dL = 1, where backpropagation begins.
    """

    def __init__(
        self,
        graph: Graph,
        step: Graph,
        tensors: Iterable[tuple[Node, Array]],
        sizes: Mapping[str, int],
        modules: Mapping[str, str],
    ) -> None:
        found = list(tensors)
        self.nodes = [node for node, _ in found]
        self.values = {id(node): np.ascontiguousarray(value).reshape(-1) for node, value in found}
        self.order = {id(node): number for number, node in enumerate(self.nodes)}
        self.inputs, self.loss = step.inputs, step.outputs[LOSS]
        self.sizes, self.modules = dict(sizes), dict(modules)
        self._names = tensor_names(graph, step)
        self._rows: dict[int, Array | None] = {}
        self._holders = {name.rpartition(".")[0] for name in modules if name}
        self.flows = self._flows()

    def _flows(self) -> set[int]:
        """Backpropagation is linear in where it begins, dL/dL = 1: its nodes that depend on that constant."""
        forward = {id(node) for node in topological([self.loss])}
        flows: set[int] = set()
        for node in self.nodes:
            origin, _, _, derivative_of = node.provenance
            seed = node.op.name == "constant" and not derivative_of and id(node) not in forward
            if origin == ORIGIN and (seed or any(id(parent) in flows for parent in node.inputs)):
                flows.add(id(node))
        return flows

    @cached_property
    def users(self) -> dict[int, list[Node]]:
        """The nodes of the forward pass that take each node."""
        found: dict[int, list[Node]] = {}
        for node in topological([self.loss]):
            for parent in node.inputs:
                found.setdefault(id(parent), []).append(node)
        return found

    def shape(self, node: Node) -> tuple[int, ...]:
        """A node's shape, its symbolic sizes known."""
        shape: tuple[int, ...] = bind(node.type.shape, self.sizes)
        return shape

    def array(self, node: Node) -> Array:
        """A node's value in its shape."""
        return self.values[id(node)].reshape(self.shape(node))

    def attributes(self, node: Node) -> dict[str, Any]:
        """A node's attributes, their symbolic sizes known."""
        return {name: bind(value, self.sizes) for name, value in node.attributes.items()}

    def name(self, node: Node) -> str:
        """What a node is called: "0.weight", "x", "1/relu"."""
        return self._names.get(id(node), [node.op.name])[0]

    def key(self, node: Node) -> Key:
        """Which part of the network a node belongs to."""
        _, scope, call, derivative_of = node.provenance
        scope = scope or ""
        whole = scope == LOSS_SCOPE or (scope in self.modules and scope not in self._holders and bool(scope))
        return scope, call, "" if whole else derivative_of

    def label(self, key: Key) -> str:
        """A part in words: "1 (ReLU)", "the loss", "tanh in the network's own code"."""
        scope, call, op = key
        if scope == LOSS_SCOPE:
            return "the loss"
        again = f", call {call}" if call > 1 else ""
        kind = self.modules.get(scope, "")
        if op:
            return f"{op} in {scope or 'the network'}{f' ({kind}{again})' if scope else ''}"
        return f"{scope} ({kind}{again})" if kind else scope or "the network"

    def place(self, node: Node, index: int) -> tuple[int | None, tuple[int, ...]]:
        """(row of the batch, the other places) of an element; without rows, all of its places."""
        shape = self.shape(node)
        places = [int(k) for k in np.unravel_index(index, shape)]
        axis = next((k for k, dim in enumerate(node.type.shape) if isinstance(dim, SymbolicDim)), None)
        rows = self.rows(node)
        if rows is None or axis is None:
            return None, tuple(places)
        row = int(rows[index])
        along = np.moveaxis(rows.reshape(shape), axis, -1).reshape(-1, shape[axis])[0]
        if (along == row).sum() > 1:  # several positions of each row
            places[axis] = int((along[: places[axis]] == row).sum())
        else:
            del places[axis]
        return row, tuple(places)

    def rows(self, node: Node) -> Array | None:
        """The row of the batch that each element belongs to, flat; None where that is no one row."""
        if id(node) not in self._rows:
            self._rows[id(node)] = self._find_rows(node)
        return self._rows[id(node)]

    def _find_rows(self, node: Node) -> Array | None:
        shape = self.shape(node)
        symbolic = [axis for axis, dim in enumerate(node.type.shape) if isinstance(dim, SymbolicDim)]
        if not symbolic:
            return None
        dim, axis = node.type.shape[symbolic[0]], symbolic[0]
        if isinstance(dim, SymbolicDim) and dim.factor == 1:
            return np.broadcast_to(_along(np.arange(shape[axis]), axis, len(shape)), shape).reshape(-1)
        return self._inherited_rows(node, axis, shape)

    def _inherited_rows(self, node: Node, axis: int, shape: tuple[int, ...]) -> Array | None:
        """Where rows and positions share an axis, what the node was made of tells them apart."""
        for number, parent in enumerate(node.inputs):
            if not any(isinstance(dim, SymbolicDim) for dim in parent.type.shape):
                continue
            known = self.rows(parent)
            if known is None:
                continue
            own = known.reshape(self.shape(parent))
            if isinstance(node.op.kernel, IndexMap) and len(node.inputs) == 1:
                return np.ascontiguousarray(node.op.reference(own, **self.attributes(node))).reshape(-1)
            if isinstance(node.op.kernel, Elementwise):
                return own.reshape(-1)
            if isinstance(node.op.kernel, Contraction) and number == 0 and axis == len(shape) - 2:
                return np.broadcast_to(own[..., :1], shape).reshape(-1)
        return None


def _along(values: Array, axis: int, rank: int) -> Array:
    return values.reshape(tuple(-1 if i == axis else 1 for i in range(rank)))


def is_view(node: Node) -> bool:
    """Whether each element of a node is one element of its input, or 0."""
    return isinstance(node.op.kernel, IndexMap) and bool(node.inputs) and node.op.name != "take"


def is_meeting(node: Node) -> bool:
    """Whether backpropagation adds up here what comes from several users of one tensor."""
    return node.op.name == "add" and node.origin == ORIGIN and not node.provenance.derivative_of
