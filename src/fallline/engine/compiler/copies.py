"""Which views are stored as tensors of their own, and of which inputs the batch's rows are copied side by side."""

from collections.abc import Iterable

from fallline.engine.compiler.index import VIEWS, Index, Indices, base_of, own_indices, push
from fallline.ir.graph import Node
from fallline.ir.kernel import Contraction, IndexMap, Reduction, Scatter


class Copies:
    """What must be copied, known before any node is placed, so that every node that reads a copy waits for it.

    Args:
        nodes: of the graph, each after its inputs.
        row_inputs: ids of the inputs that lie in the data set.

    Attributes:
        stored_views: ids of views that are stored, such as a transposed weight.
        copied: ids of inputs of the data set.
    """

    def __init__(self, nodes: Iterable[Node], row_inputs: set[int]) -> None:
        self.row_inputs = row_inputs
        self.stored_views: set[int] = set()
        self.copied: set[int] = set()
        for node in nodes:
            form = node.op.kernel
            if node.op.name == "reshape":
                self._decide_reshape(node)
            leading = (
                isinstance(form, Reduction) and node.attributes["axes"] == (0,) and len(node.inputs[0].type.shape) == 2
            )
            by_number = isinstance(form, IndexMap) and node.op.name not in VIEWS
            if isinstance(form, Contraction | Scatter) or leading or by_number:
                bases = {id(base_of(parent, self.stored_views)) for parent in node.inputs}
                self.copied |= bases & self.row_inputs
            if isinstance(form, Contraction):
                for operand in node.inputs:
                    if not self._is_matrix(operand, right=operand is node.inputs[1]):
                        self.stored_views.add(id(operand))

    def _decide_reshape(self, node: Node) -> None:
        """What a reshape moves between axes is a stored tensor, not a view of one."""
        source = node.inputs[0]
        if push(node, own_indices(node.type.shape, 0)) is not None:
            return
        if source.op.name in VIEWS:
            self.stored_views.add(id(source))
        elif id(source) in self.row_inputs:
            self.copied.add(id(source))

    def _is_matrix(self, operand: Node, right: bool) -> bool:
        """Whether a product can read an operand where it lies; the right one needs neighbours side by side."""
        rank = len(operand.type.shape)
        indices: Indices | None = tuple(Index(f"x{axis}") for axis in range(rank))
        view = operand
        while view.op.name in VIEWS and id(view) not in self.stored_views and indices is not None:
            indices = push(view, indices)
            view = view.inputs[0]
        if indices is None:
            return operand.op.name == "reshape"
        if not right or operand.type.shape[-1] == 1:
            return True
        return bool(indices) and indices[-1].token == f"x{rank - 1}" and indices[-1].scale == 1
