"""Backpropagation: graph → graph, adding the nodes that compute dL/dx for chosen nodes x.

The chain rule, applied to each node once, from the loss back to the inputs:

    dL/dx = Σ over the nodes y that use x of  dL/dy · ∂y/∂x

Each op declares its own ∂y/∂x (`Op.gradient`); this walk only multiplies and adds them up. It knows no
learning rate, no layer and no loss. Since rules are made of ops, a gradient is a graph like any other
and can be differentiated again.

Source: Linnainmaa 1970 (reverse accumulation); Rumelhart, Hinton & Williams 1986, Nature 323, 533–536.
"""

from collections.abc import Sequence

from fallline.errors import GraphError, KindError, ShapeError
from fallline.ir.graph import Node, nodes_by, nodes_in, topological
from fallline.ir.types import format_shape
from fallline.ops.tensor import Tensor, apply, filled_like

ORIGIN = "backpropagation"


def gradients(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """dL/dx for each wanted tensor x, as tensors of x's shape.

    Args:
        loss: a float scalar.
        wanted: float tensors; one that the loss does not depend on gets zeros.

    Raises:
        ShapeError: the loss is not a scalar.
        KindError: the loss is not a float.
    """
    if loss.shape != ():
        raise ShapeError(
            f"backpropagation needs a loss that is one number, found shape {format_shape(loss.shape)}: "
            "take its mean or sum first"
        )
    if not loss.dtype.is_float:
        raise KindError(f"backpropagation needs a float loss, found {loss.type}")
    with nodes_by(ORIGIN):
        return _walk_back(loss, wanted)


def _walk_back(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    order = topological([loss.node])
    on_path = _depends_on({id(tensor.node) for tensor in wanted}, order)
    adjoint: dict[int, Tensor] = {id(loss.node): filled_like(loss, 1.0)}
    for node in reversed(order):
        if id(node) not in adjoint or not node.inputs or node.op.gradient is None:
            continue
        inputs = [Tensor(parent) for parent in node.inputs]
        with nodes_in(node.provenance.scope, node.provenance.call, derivative_of=node.op.name):
            flows = node.op.gradient(adjoint[id(node)], Tensor(node), *inputs, **node.attributes)
        for parent, flow in zip(node.inputs, flows, strict=True):
            if flow is None or id(parent) not in on_path or not parent.type.dtype.is_float:
                continue
            if flow.type != parent.type:
                raise GraphError(f"the gradient rule of {node.op.name!r} gave {flow.type} for an input {parent.type}")
            earlier = adjoint.get(id(parent))
            with nodes_in(parent.provenance.scope, parent.provenance.call):
                adjoint[id(parent)] = flow if earlier is None else apply("add", earlier, flow)
    return [adjoint[id(x.node)] if id(x.node) in adjoint else filled_like(x, 0.0) for x in wanted]


def _depends_on(sources: set[int], order: Sequence[Node]) -> set[int]:
    """The nodes through which a change of some source can reach the loss."""
    reached: set[int] = set()
    for node in order:
        if id(node) in sources or any(id(parent) in reached for parent in node.inputs):
            reached.add(id(node))
    return reached
