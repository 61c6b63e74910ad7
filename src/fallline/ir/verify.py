"""Checks that a graph keeps its own rules; run after every transformation of one."""

from fallline.errors import GraphError
from fallline.ir.graph import Graph
from fallline.ir.kernel import Leaf


def verify(graph: Graph) -> None:
    """Re-infer the type of every node and check that each leaf is a declared input.

    Raises:
        GraphError: naming the node and what is wrong with it.
    """
    declared = {id(node): name for name, node in graph.inputs.items()}
    for node in graph.nodes():
        inferred = node.op.infer(*(parent.type for parent in node.inputs), **node.attributes)
        if inferred != node.type:
            raise GraphError(f"{node.op.name}: its stored type is {node.type}, its inputs make it {inferred}")
        if isinstance(node.op.kernel, Leaf) and "name" in node.attributes:
            name = node.attributes["name"]
            if declared.get(id(node)) is None:
                raise GraphError(f"the graph uses the input {name!r}, which is not among its inputs")
