"""How messages name a step's tensors: layers, weights, rows of the training set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ir.graph import Graph, Node
from fallline.ir.types import SymbolicDim, format_shape
from fallline.nn.module import Module
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, X, Y
from fallline.training.step import GRADIENT, LOSS_SCOPE
from fallline.training.update_graph import ORIGIN as UPDATE

Array = NDArray[Any]
INPUTS = {
    X: "the input x",
    Y: "the targets",
    SAMPLE_WEIGHT: "the sample weights",
    DENOMINATOR: "the number of rows",
}
VIEWS = ("broadcast", "reshape", "transpose", "cast", "stop_gradient")
ROWS_SHOWN = 3


class Words:
    """Names for the nodes of a step.

    Args:
        net: the network.
        graph: what is computed.
        gradients: outputs "gradient of <parameter>" of the step's graph.
    """

    def __init__(self, net: Module, graph: Graph, gradients: Mapping[str, Node] | None = None) -> None:
        self._modules = net.named_modules()
        found = {id(node): _input_name(name) for name, node in graph.inputs.items()}
        for name, node in (gradients or {}).items():
            if name.startswith(GRADIENT):
                found[id(node)] = f"the gradient of {name.removeprefix(GRADIENT)!r}"
        self._names = found

    def layer(self, scope: str) -> str:
        """A module, as "layer 2 (Linear)"."""
        if scope == LOSS_SCOPE:
            return "the loss"
        kind = type(self._modules[scope]).__name__
        return f"layer {scope} ({kind})" if scope else f"the network's own __call__ ({kind})"

    def place(self, node: Node) -> str:
        """What a node is part of: "in layer 2 (Linear)", "in backpropagation through exp of the loss"."""
        origin, scope, of = node.provenance
        if origin == UPDATE:
            return "in clipping the gradients" if scope is None else f"in the update of {scope!r}"
        if origin:
            through = f" through {of} of" if of else " to the output of"
            return f"in {origin}" + (f"{through} {self.layer(scope)}" if scope is not None else "")
        return f"in {self.layer(scope)}" if scope is not None else "in the forward pass"

    def argument(self, node: Node, user: Node) -> str:
        """What a node's user calls it: an input's name, "the output of layer 1 (Linear)", or ""."""
        while id(node) not in self._names and node.op.name in VIEWS:
            node = node.inputs[0]
        if id(node) in self._names:
            return self._names[id(node)]
        own, users = node.provenance, user.provenance
        outside = own.scope is not None and own.scope != users.scope and node.op.name != "constant"
        return f"the output of {self.layer(own.scope or '')}" if outside and not own.origin and not users.origin else ""


def _input_name(name: str) -> str:
    if name in INPUTS:
        return INPUTS[name]
    if name.startswith("@"):  # a scalar of the update rule: "@*:lr"
        scalar = name.rpartition(":")[2]
        return "learning rate" if scalar == "lr" else scalar
    return repr(name)


def where(node: Node, bad: Array, numbers: Array, data: str) -> str:
    """Which rows of the batch, or else which element, bad numbers are in.

    Args:
        node: whose tensor it is.
        bad: where they are, of the tensor's shape.
        numbers: of the batch's rows in the data.
        data: what these are numbers of, such as "the training set".
    """
    place = [int(i) for i in np.argwhere(bad)[0]]
    axis = next((i for i, dim in enumerate(node.type.shape) if isinstance(dim, SymbolicDim)), None)
    if axis is None:
        return f"at {format_shape(tuple(place))} of {format_shape(bad.shape)}" if bad.ndim else ""
    each: Any = node.type.shape[axis]
    rows = np.unique(np.argwhere(bad)[:, axis] // each.factor)
    shown = ", ".join(f"{int(numbers[row]):,}" for row in rows[:ROWS_SHOWN])
    more = f" and {len(rows) - ROWS_SHOWN:,} more" if len(rows) > ROWS_SHOWN else ""
    column = f", column {place[-1]}" if bad.ndim > 1 and axis == 0 and bad.shape[-1] > 1 else ""
    if len(rows) == len(numbers) > 1:
        return f"in all {len(rows):,} rows of the batch, such as row {int(numbers[rows[0]]):,} of {data}{column}"
    return f"in row{'s' if len(rows) > 1 else ''} {shown}{more} of {data}{column if len(rows) == 1 else ''}"
