"""A graph, op by op, as ONNX nodes."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.export.elementwise import ELEMENTWISE
from fallline.export.layout import LAYOUT
from fallline.export.site import Site, Translation
from fallline.export.writer import GraphWriter
from fallline.ir.graph import Graph, Node

Array = NDArray[Any]

TRANSLATIONS: dict[str, Translation] = {**ELEMENTWISE, **LAYOUT}
"""What each op is in ONNX."""
WITHOUT_OPERATOR = {
    "random_uniform": "its numbers are a function of the seed and of the row, and ONNX has chance only",
}
"""Ops that have no ONNX operator, and why."""


def write_graph(writer: GraphWriter, graph: Graph, inputs: Mapping[str, str], values: Mapping[str, Array]) -> str:
    """A prediction graph's nodes; the ONNX value of its outputs.

    Args:
        writer: takes them.
        graph: with one output, "outputs".
        inputs: the ONNX values of the inputs that callers give, by name; the first has the rows.
        values: the arrays of the other inputs (weights, buffers), which are stored in the file.

    Raises:
        ArgumentError: an op has no ONNX operator.
    """
    order = graph.nodes()
    _require_operators(order)
    needed = _needed(order, graph.outputs["outputs"])
    names = {id(node): name for name, node in graph.inputs.items()}
    rows = cache(lambda: writer.add("Shape", next(iter(inputs.values())), start=0, end=1))
    made: dict[int, str] = {}
    for node in order:
        if id(node) not in needed:
            continue
        name = names.get(id(node), "")
        if name in inputs:
            made[id(node)] = inputs[name]
        elif name:
            made[id(node)] = writer.constant(values[name].astype(node.type.dtype.value), name)
        else:
            operands = _operands(node)
            first = operands[0].type.dtype if operands else node.type.dtype
            site = Site(writer, node, tuple(made[id(operand)] for operand in operands), rows, first)
            made[id(node)] = TRANSLATIONS[node.op.name](site)
    return made[id(graph.outputs["outputs"])]


def _require_operators(order: list[Node]) -> None:
    for node in order:
        name = node.op.name
        if name != "input" and name not in TRANSLATIONS:
            why = WITHOUT_OPERATOR.get(name, "this version does not translate it")
            where = f" in {node.provenance.scope!r}" if node.provenance.scope else ""
            raise ArgumentError(
                f"export_onnx: the network computes {name!r}{where}, which has no ONNX operator: {why}. Compute it in "
                "training only (`if self.training:`), or outside of the network"
            )


def _operands(node: Node) -> list[Node]:
    """The inputs of a node, without the broadcasts that ONNX's operators on elements do by themselves.

    One of them keeps the whole shape, so that the result has it.
    """
    if node.op.name not in ELEMENTWISE or len(node.inputs) < 2:
        return list(node.inputs)
    whole = next((i for i, operand in enumerate(node.inputs) if operand.op.name != "broadcast"), 0)
    return [
        operand.inputs[0] if operand.op.name == "broadcast" and i != whole else operand
        for i, operand in enumerate(node.inputs)
    ]


def _needed(order: list[Node], output: Node) -> set[int]:
    """The nodes that have a part in the output, by id."""
    needed = {id(output)}
    for node in reversed(order):
        if id(node) in needed:
            needed.update(id(operand) for operand in _operands(node))
    return needed


def whole_numbers(graph: Graph) -> int:
    """The largest whole number that every table of the graph has a row for: what an index may be."""
    tables = [node.inputs[0].type.shape[0] for node in graph.nodes() if node.op.name == "take"]
    return min((size - 1 for size in tables if isinstance(size, int)), default=255)
