"""A graph: nodes with static types, printed one line a node."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fallline.ir.kernel import attribute_text
from fallline.ir.op import Op
from fallline.ir.types import TensorType, format_shape

_origin: ContextVar[str] = ContextVar("origin", default="")


@contextmanager
def nodes_by(origin: str) -> Iterator[None]:
    """Nodes made inside the block remember who added them: "backpropagation", for example."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


class Node:
    """One operation of a graph: op, input nodes, attributes, and the type of its result. Never changed."""

    __slots__ = ("attributes", "inputs", "op", "origin", "type")

    def __init__(self, op: Op, inputs: tuple["Node", ...], attributes: Mapping[str, Any]) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = dict(attributes)
        self.type: TensorType = op.infer(*(node.type for node in inputs), **self.attributes)
        self.origin = _origin.get()

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
    """Named inputs and named outputs, with all the nodes between them.

    Attributes:
        inputs: leaf nodes by name: data, parameters, buffers, run-time scalars.
        outputs: result nodes by name.
    """

    def __init__(self, inputs: Mapping[str, Node], outputs: Mapping[str, Node]) -> None:
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)

    def nodes(self) -> list[Node]:
        """All nodes in an order in which they can be computed."""
        return topological(self.outputs.values())

    def __str__(self) -> str:
        """One line a node: name, type, op, inputs; nodes that backpropagation added say so."""
        names = {id(node): name for name, node in self.inputs.items()}
        outputs: dict[int, list[str]] = {}
        for name, node in self.outputs.items():
            outputs.setdefault(id(node), []).append(name)
        lines: list[tuple[str, str, str, str]] = []
        for node in self.nodes():
            label = names.setdefault(id(node), f"%{len(names)}")
            attributes = [f"{key}={attribute_text(value)}" for key, value in node.attributes.items() if key != "name"]
            call = f"{node.op.name}({', '.join([*(names[id(i)] for i in node.inputs), *attributes])})"
            remark = [f"→ {', '.join(outputs[id(node)])}"] if id(node) in outputs else []
            remark += [f"[{node.origin}]"] if node.origin else []
            lines.append((label, f"{node.type.dtype} {format_shape(node.type.shape)}", call, " ".join(remark)))
        widths = [max((len(line[column]) for line in lines), default=0) for column in range(3)]
        return "\n".join(
            f"{a:<{widths[0]}} : {b:<{widths[1]}} = {c:<{widths[2]}}  {d}".rstrip() for a, b, c, d in lines
        )
