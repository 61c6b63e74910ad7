"""Checks that a graph keeps its own rules; run after every transformation of one."""

from fallline.errors import FalllineError, GraphError
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Leaf
from fallline.ir.types import TensorType


def verify(graph: Graph) -> None:
    """Re-infer the type of every node and check that each leaf is a declared input.

    Raises:
        GraphError: naming the node and what is wrong with it.
    """
    declared = {id(node): name for name, node in graph.inputs.items()}
    computed: set[int] = set()
    for node in graph.nodes():
        if any(id(parent) not in computed for parent in node.inputs):
            raise GraphError(f"{node.op.name}: it needs its own result, directly or through other nodes")
        computed.add(id(node))
        inferred = _inferred(node)
        if inferred != node.type:
            raise GraphError(f"{node.op.name}: its stored type is {node.type}, its inputs make it {inferred}")
        if isinstance(node.op.kernel, Leaf) and "name" in node.attributes:
            name = node.attributes["name"]
            if declared.get(id(node)) is None:
                raise GraphError(f"the graph uses the input {name!r}, which is not among its inputs")


def _inferred(node: Node) -> TensorType:
    try:
        return node.op.infer(*(parent.type for parent in node.inputs), **node.attributes)
    except FalllineError as error:
        raise GraphError(f"{node.op.name}: its inputs do not fit it: {error}") from error
