"""A graph: nodes with static types, printed one line a node."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple

from fallline.ir.kernel import attribute_text
from fallline.ir.op import Op
from fallline.ir.types import TensorType


class Provenance(NamedTuple):
    """Where a node comes from. It explains a node and decides nothing: neither its value, nor whether graphs are equal.

    Attributes:
        origin: who added it: "backpropagation", for example; "" for the network and its loss.
        scope: the dotted name of the module whose `__call__` made it ("" is the network itself), "@loss" for the
            loss, the parameter whose update it is part of; None where there is none of these. A node of
            backpropagation has that of the node whose gradient rule made it.
        call: which of the module's calls made it, counted from 1; 0 outside modules.
        derivative_of: the op whose gradient rule made it.
    """

    origin: str = ""
    scope: str | None = None
    call: int = 0
    derivative_of: str = ""


_provenance: ContextVar[Provenance] = ContextVar("provenance", default=Provenance())  # noqa: B039 – never changed


def provenance() -> Provenance:
    """That of nodes which are made now."""
    return _provenance.get()


@contextmanager
def nodes_from(provenance: Provenance) -> Iterator[None]:
    """Nodes made inside the block have this provenance."""
    token = _provenance.set(provenance)
    try:
        yield
    finally:
        _provenance.reset(token)


def nodes_by(origin: str) -> AbstractContextManager[None]:
    """Nodes made inside the block remember who added them: "backpropagation", for example."""
    return nodes_from(_provenance.get()._replace(origin=origin))


def nodes_in(scope: str | None, call: int = 0, derivative_of: str = "") -> AbstractContextManager[None]:
    """Nodes made inside the block remember what they are part of; see `Provenance`."""
    return nodes_from(Provenance(_provenance.get().origin, scope, call, derivative_of))


class Node:
    """One operation of a graph: op, input nodes, attributes, and the type of its result. Never changed."""

    __slots__ = ("attributes", "inputs", "op", "provenance", "type")

    def __init__(self, op: Op, inputs: tuple["Node", ...], attributes: Mapping[str, Any]) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = dict(attributes)
        self.type: TensorType = op.infer(*(node.type for node in inputs), **self.attributes)
        self.provenance = _provenance.get()

    @property
    def origin(self) -> str:
        """Who added it; see `Provenance`."""
        return self.provenance.origin

    def __repr__(self) -> str:
        return f"<{self.op.name}: {self.type}>"


def topological(outputs: Iterable[Node]) -> list[Node]:
    """Every node that the outputs need, each after its inputs; depth first, so the order is fixed."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(node.inputs) if id(parent) not in seen)
    return order


class Graph:
    """Named inputs and named outputs, with all the nodes between them. Never changed.

    Attributes:
        inputs: leaf nodes by name: data, parameters, buffers, run-time scalars.
        outputs: result nodes by name.
    """

    def __init__(self, inputs: Mapping[str, Node], outputs: Mapping[str, Node]) -> None:
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)

    def nodes(self) -> list[Node]:
        """All nodes in an order in which they can be computed."""
        return list(self._order)

    @cached_property
    def _order(self) -> tuple[Node, ...]:
        return tuple(topological(self.outputs.values()))

    def __str__(self) -> str:
        """One line a node: name, type, op, inputs; nodes that backpropagation added say so."""
        names = {id(node): name for name, node in self.inputs.items()}
        made = count()
        outputs: dict[int, list[str]] = {}
        for name, node in self.outputs.items():
            outputs.setdefault(id(node), []).append(name)
        lines: list[tuple[str, ...]] = []
        for node in self.nodes():
            if id(node) not in names:
                names[id(node)] = f"%{next(made)}"
            call = f"{node.op.name}({', '.join([*(names[id(i)] for i in node.inputs), *_attributes(node)])})"
            result = f"→ {', '.join(outputs[id(node)])}" if id(node) in outputs else ""
            origin = f"[{node.origin}]" if node.origin else ""
            lines.append((names[id(node)], str(node.type), call, result, origin))
        widths = [max((len(line[column]) for line in lines), default=0) for column in range(4)]
        form = f"{{:<{widths[0]}}} : {{:<{widths[1]}}} = {{:<{widths[2]}}}  {{:<{widths[3]}}}  {{}}"
        return "\n".join(form.format(*line).rstrip() for line in lines)


def _attributes(node: Node) -> list[str]:
    """A node's attributes as its line shows them, without those that its name or its type tell already."""
    told = {"shape": node.type.shape, "dtype": node.type.dtype}
    return [
        attribute_text(value) if key == "value" else f"{key}={attribute_text(value)}"
        for key, value in node.attributes.items()
        if key != "name" and not (key in told and told[key] == value)
    ]
