"""How messages name a step's tensors: layers, weights, rows of the training set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ir.graph import Graph, Node
from fallline.ir.types import SymbolicDim, format_shape
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
        modules: dotted name of each module → its class's name.
        graph: what is computed.
        gradients: outputs "gradient of <parameter>" of the step's graph.
    """

    def __init__(self, modules: Mapping[str, str], graph: Graph, gradients: Mapping[str, Node] | None = None) -> None:
        self._modules = modules
        found = {id(node): _input_name(name) for name, node in graph.inputs.items()}
        for name, node in (gradients or {}).items():
            if name.startswith(GRADIENT):
                found[id(node)] = f"the gradient of {name.removeprefix(GRADIENT)!r}"
        self._names = found
        self._calls: dict[str | None, int] = {}
        for node in graph.nodes():
            scope = node.provenance.scope
            self._calls[scope] = max(self._calls.get(scope, 0), node.provenance.call)

    def layer(self, scope: str, call: int = 0) -> str:
        """A module, as "layer 2 (Linear)"; of one that is called several times, which call it is."""
        if scope == LOSS_SCOPE:
            return "the loss"
        kind, calls = self._modules.get(scope, "module"), self._calls[scope]
        name = f"layer {scope} ({kind})" if scope else f"the network ({kind})"
        return f"call {call} of {calls} of {name}" if call and calls > 1 else name

    def place(self, node: Node) -> str:
        """What a node is part of: "in layer 2 (Linear)", "in backpropagation through exp of the loss"."""
        origin, scope, call, of = node.provenance
        if origin == UPDATE:
            return "in clipping the gradients" if scope is None else f"in the update of {scope!r}"
        if origin:
            through = f" through {of} of" if of else " to the output of"
            return f"in {origin}" + (f"{through} {self.layer(scope, call)}" if scope is not None else "")
        return f"in {self.layer(scope, call)}" if scope is not None else "in the forward pass"

    def argument(self, node: Node, user: Node) -> str:
        """What a node's user calls it: an input's name, "the output of layer 1 (Linear)", or ""."""
        while id(node) not in self._names and node.op.name in VIEWS:
            node = node.inputs[0]
        if id(node) in self._names:
            return self._names[id(node)]
        own, users = node.provenance, user.provenance
        same = (own.scope, own.call) == (users.scope, users.call) or own.origin or users.origin
        if own.scope is None or same or node.op.name == "constant":
            return ""
        return f"the output of {self.layer(own.scope, own.call)}"


def _input_name(name: str) -> str:
    if name in INPUTS:
        return INPUTS[name]
    if name.startswith("@"):  # a scalar of the update rule: "@*:lr"
        scalar = name.rpartition(":")[2]
        return "learning rate" if scalar == "lr" else scalar
    return repr(name)


@dataclass(frozen=True)
class RowNumbers:
    """Which rows of the data a batch has.

    Attributes:
        numbers: of its rows, in the batch's order.
        data: what these are numbers of, such as "the training set".
        whole: what to call all of them together; "" if that is nothing of its own.
    """

    numbers: Array
    data: str
    whole: str = ""

    def where(self, node: Node, bad: Array) -> str:
        """Which rows, or else which element, bad numbers of a node's tensor are in; "" for one number."""
        place = [int(i) for i in np.argwhere(bad)[0]]
        axis = next((i for i, dim in enumerate(node.type.shape) if isinstance(dim, SymbolicDim)), None)
        if axis is None:
            return f"at {format_shape(tuple(place))} of shape {format_shape(bad.shape)}" if bad.ndim else ""
        each: Any = node.type.shape[axis]
        rows = np.unique(np.argwhere(bad)[:, axis] // each.factor)
        shown = ", ".join(f"{int(number):,}" for number in self.numbers[rows[:ROWS_SHOWN]])
        if len(rows) == 1:
            column = f", column {place[-1]}" if bad.ndim > 1 and axis == 0 and bad.shape[-1] > 1 else ""
            return f"in row {shown} of {self.data}{column}"
        more = f" and {len(rows) - ROWS_SHOWN:,} more" if len(rows) > ROWS_SHOWN else ""
        whole = f" ({self.whole})" if self.whole and len(rows) == len(self.numbers) else ""
        return f"in rows {shown}{more} of {self.data}{whole}"
