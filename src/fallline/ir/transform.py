"""Graph → graph, keeping the structure: another float dtype, other leaves."""

from collections.abc import Mapping
from typing import Any

from fallline.ir.graph import Graph, Node, nodes_from, topological
from fallline.ir.types import DType


def substitute(graph: Graph, replacements: Mapping[int, Node]) -> Graph:
    """The graph with some nodes (by `id`) replaced, and everything that depends on them rebuilt."""
    return _rebuild(graph, dict(replacements), lambda value: value)


def retype_floats(graph: Graph, dtype: DType) -> Graph:
    """The same graph with every float of another dtype: how float32 networks are checked in float64."""

    def retyped(value: Any) -> Any:
        return dtype if isinstance(value, DType) and value.is_float else value

    return _rebuild(graph, {}, retyped)


def _rebuild(graph: Graph, made: dict[int, Node], attribute: Any) -> Graph:
    kept: dict[int, Node] = dict(made)
    for node in topological([*graph.inputs.values(), *graph.outputs.values()]):
        if id(node) in kept:
            continue
        inputs = tuple(kept[id(parent)] for parent in node.inputs)
        attributes = {key: attribute(value) for key, value in node.attributes.items()}
        unchanged = attributes_equal(attributes, node.attributes) and all(
            a is b for a, b in zip(inputs, node.inputs, strict=True)
        )
        if unchanged:
            kept[id(node)] = node
            continue
        with nodes_from(node.provenance):
            kept[id(node)] = Node(node.op, inputs, attributes)
    inputs_after = {name: kept[id(node)] for name, node in graph.inputs.items()}
    return Graph(inputs_after, {name: kept[id(node)] for name, node in graph.outputs.items()})


def attributes_equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether each attribute is the very same object, or equal and of a plain type."""
    return all(a[key] is b[key] or (type(a[key]) is type(b[key]) and bool(a[key] == b[key])) for key in a)
