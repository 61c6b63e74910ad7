"""The story of one weight: where its gradient comes from, row by row, and what gradient descent makes of it.

In a layer z = a·W + b the chain rule gives, with δ = dL/dz,

    dL/dW[i, j] = Σ over rows of a[row, i] × δ[row, j]          dL/db[j] = Σ over rows of 1 × δ[row, j]

Source: Rumelhart, Hinton & Williams 1986, Nature 323, 533–536, eq. 6.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.backprop.gradients import gradients
from fallline.engine.programs import make_program
from fallline.errors import ArgumentError, KindError, nearest
from fallline.insight.story import WeightStory
from fallline.ir.graph import Graph, Node
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType, format_shape
from fallline.nn.losses import Loss
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import values_of
from fallline.ops import exact
from fallline.ops.tensor import Tensor
from fallline.training.differences import STEP_SIZE
from fallline.training.step import LOSS, Rows, StepProgram, build_graph, check_rows

Array = NDArray[Any]
ACTIVATION, DELTA = "activation", "delta"
_SPELLED = re.compile(r"(?P<name>[^\[\]]+)\[(?P<place>\s*\d+\s*(?:,\s*\d+\s*)*)\]")


def weight_story(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    optimizer: optim.Optimizer | None = None,
    weight: str = "0.weight[0,0]",
    *,
    state: Mapping[str, Any] | None = None,
    sample_weight: Any = None,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
    shown: int = 4,
) -> WeightStory:
    """Take one weight's gradient apart into the rows' shares, check it, and show the update. Nothing is changed.

    It works for the weight and the bias of every `nn.Linear`, and for any parameter that enters the network by
    one matrix product a·W, or is added once to what a layer gives.

    Args:
        net: the network, at its current weights.
        x: inputs (rows, …).
        y: targets.
        loss: a name, a loss object or a function.
        optimizer: whose step to show; plain SGD(lr=0.1) if not given.
        weight: dotted name and place: "0.weight[2,5]" is from input 2 to output 5 of layer 0, "0.bias[5]" a bias.
        state: the optimizer's state; that before a first step if not given.
        sample_weight: (rows,).
        training: trace the network as in training (Dropout acts, BatchNorm uses these rows) or for prediction.
        seed: of Dropout's random numbers.
        step: the training step that Dropout's random numbers depend on.
        shown: how many rows `str()` lists.

    Raises:
        ArgumentError: no such weight, or one whose gradient is no sum of activation × delta.
        ShapeError, KindError: the data do not fit the network or the loss.
    """
    rule = _optimizer(optimizer)
    if isinstance(shown, bool) or not isinstance(shown, int) or shown < 1:
        raise ArgumentError(f"weight_story: shown must be a whole number of at least 1, found {shown!r}")
    name, place = _locate(net, weight)
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, "weight_story")
    values, total = values_of(net), _denominator(rows)
    parts = _parts(net, rows, chosen, name, training)
    inputs = StepProgram(net, rows, chosen, training=training, dtype=net.dtype).inputs(rows, values, total, seed, step)
    found = make_program(parts, {BATCH.name: len(rows)})(inputs)
    activations, deltas = _columns(found, place)
    grads = {key: found[key] for key in net.named_parameters()}
    weights = net.parameters()
    after, _ = rule.update(weights, grads, rule.init(weights) if state is None else dict(state))
    difference, h = _difference(net, rows, chosen, name, place, training, seed, step)
    hyper = rule.assign(weights)[name].hyper
    return WeightStory(
        weight=f"{name}[{','.join(map(str, place))}]",
        is_bias=ACTIVATION not in found,
        loss=float(found[LOSS]),
        rows=len(rows),
        activations=activations,
        deltas=deltas,
        shares=activations.astype(np.float64) * deltas.astype(np.float64),
        gradient=float(grads[name][place]),
        difference=difference,
        h=h,
        before=float(weights[name][place]),
        after=float(after[name][place]),
        learning_rate=float(hyper["lr"]),
        rule=repr(rule),
        plain=rule.rule.name == "sgd" and not hyper["momentum"] and not hyper["weight_decay"],
        shown=shown,
    )


def _optimizer(optimizer: Any) -> optim.Optimizer:
    if optimizer is None:
        return optim.SGD(lr=0.1)
    if not isinstance(optimizer, optim.Optimizer):
        raise KindError(f"weight_story: optimizer must be an object of fallline.optim, found {optimizer!r}")
    return optimizer


def _denominator(rows: Rows) -> float:
    return float(len(rows) if rows.weight is None else exact.tree_sum(rows.weight))


def _locate(net: Module, weight: str) -> tuple[str, tuple[int, ...]]:
    """("0.weight", (2, 5)) from "0.weight[2,5]"."""
    found = _SPELLED.fullmatch(weight.strip()) if isinstance(weight, str) else None
    if found is None:
        raise ArgumentError(f"weight_story: weight must be spelled like '0.weight[2,5]' or '0.bias[5]', got {weight!r}")
    name, place = found["name"].strip(), tuple(int(number) for number in found["place"].split(","))
    parameters = net.named_parameters()
    if name not in parameters:
        raise ArgumentError(f"weight_story: the network has no weight named {name!r}; {nearest(name, parameters)}")
    shape: Any = parameters[name].shape
    if len(place) != len(shape) or any(i >= size for i, size in zip(place, shape, strict=True)):
        raise ArgumentError(
            f"weight_story: {weight!r} does not exist: {name!r} has shape {format_shape(shape)}, so each place needs "
            f"{len(shape)} number{'s' if len(shape) != 1 else ''}, counted from 0; "
            f"the last one is {name}[{','.join(str(size - 1) for size in shape)}]"
        )
    return name, place


def _parts(net: Module, rows: Rows, loss: Loss, name: str, training: bool) -> Graph:
    """The graph of L, of every gradient (by the parameter's name), and of the layer's activations and deltas."""
    forward = build_graph(net, rows, loss, training=training, backward=False)
    node = _entry(forward, name)
    value = Tensor(forward.outputs[LOSS])
    parameters = net.named_parameters()
    delta, *grads = gradients(value, [Tensor(node), *parameters.values()])
    outputs = {LOSS: value.node, DELTA: delta.node}
    outputs |= {key: grad.node for key, grad in zip(parameters, grads, strict=True)}
    if node.op.name == "matmul":
        outputs[ACTIVATION] = node.inputs[0]
    graph = Graph(forward.inputs, outputs)
    return graph if net.dtype == "float32" else retype_floats(graph, DType(net.dtype))


def _entry(graph: Graph, name: str) -> Node:
    """The node where the parameter enters: a·W, or the broadcast of b that is added to it."""
    nodes = Graph({}, {LOSS: graph.outputs[LOSS]}).nodes()
    leaf = graph.inputs[name]
    users = _users(nodes, leaf)
    if not users:
        raise ArgumentError(f"weight_story: the loss does not depend on {name!r}, so its gradient is 0 everywhere")
    node = users[0]
    if len(users) == 1 and node.op.name == "matmul" and node.inputs[1] is leaf and len(node.type.shape) == 2:
        return node
    if len(users) == 1 and node.op.name == "broadcast" and len(leaf.type.shape) == 1:
        adders = _users(nodes, node)
        if len(adders) == 1 and adders[0].op.name == "add" and node.type.shape[-1] == leaf.type.shape[0]:
            return node
    raise ArgumentError(
        f"weight_story: {name!r} enters the network by {', '.join(user.op.name for user in users)}, not by one matrix "
        "product a·W or one sum a·W + b, so its gradient is no plain sum of activation × delta; "
        "choose the weight or bias of an nn.Linear layer that is used once"
    )


def _users(nodes: list[Node], node: Node) -> list[Node]:
    return [user for user in nodes if any(parent is node for parent in user.inputs)]


def _columns(found: Mapping[str, Array], place: tuple[int, ...]) -> tuple[Array, Array]:
    """(activations, deltas) of one weight: a column each, all rows (and positions) below each other."""
    delta = found[DELTA].reshape(-1, found[DELTA].shape[-1])[:, place[-1]]  # (parts,)
    if ACTIVATION not in found:
        return np.ones_like(delta), delta
    return found[ACTIVATION][:, place[0]], delta


def _difference(
    net: Module, rows: Rows, loss: Loss, name: str, place: tuple[int, ...], training: bool, seed: int, step: int
) -> tuple[float, float]:
    """((L(w + h) − L(w − h)) / 2h in float64, h)."""
    wide = Rows(
        rows.x.astype(np.float64) if rows.x.dtype.kind == "f" else rows.x,
        rows.y.astype(np.float64) if rows.y.dtype.kind == "f" else rows.y,
        None if rows.weight is None else rows.weight.astype(np.float64),
    )
    program = StepProgram(net, wide, loss, training=training, backward=False, dtype="float64")
    values = {key: value.astype(np.float64) for key, value in values_of(net).items()}
    h = STEP_SIZE * max(abs(float(values[name][place])), 1.0)
    losses = []
    for change in (h, -h):
        moved = values[name].copy()
        moved[place] += change
        losses.append(program(wide, {**values, name: moved}, _denominator(wide), seed, step).loss)
    return (losses[0] - losses[1]) / (2.0 * h), h
