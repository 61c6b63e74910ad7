"""Names for the tensors of a step: of inputs and outputs what the graph calls them, of others the layer and the op."""

from collections import Counter

from fallline.ir.graph import Graph, Node
from fallline.training.step import LOSS_SCOPE


def tensor_names(graph: Graph, step: Graph) -> dict[int, list[str]]:
    """Names by the node's identity, each unique: "0.weight", "outputs", "0/matmul", "loss/log", "2/relu backwards#2".

    Args:
        graph: a step with its update.
        step: the same without: its outputs (gradients) are named, too.
    """
    found: dict[int, list[str]] = {}
    for source in (graph.inputs, step.outputs, graph.outputs):
        for name, node in source.items():
            found.setdefault(id(node), []).append(name.removeprefix("@"))
    used: Counter[str] = Counter()
    for node in graph.nodes():
        if id(node) not in found:
            name = _name(node)
            used[name] += 1
            found[id(node)] = [name if used[name] == 1 else f"{name}#{used[name]}"]
    return found


def _name(node: Node) -> str:
    origin, scope, _, derivative_of = node.provenance
    place = "loss" if scope == LOSS_SCOPE else scope or "network"
    if origin == "backpropagation":
        through = f" of {derivative_of}" if derivative_of else ""
        return f"{place}/{node.op.name} backwards{through}"
    return f"{place}/{node.op.name}" if not origin else f"{place}/{node.op.name} in {origin}"
