"""What flows through each layer of a network: activations forwards, dL/da backwards, and dL/dw where it lands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.backprop.gradients import gradients
from fallline.engine.programs import make_program
from fallline.ir.graph import Graph, Node, topological
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.nn.trace import values_of
from fallline.ops import exact
from fallline.ops.tensor import Tensor
from fallline.training.step import LOSS, OUTPUTS, Rows, StepProgram, build_graph

Array = NDArray[Any]
MOST_LAYERS, MOST_UNITS = 4, 10
"""Of a network that is drawn unit by unit."""
_SHAPING = {"broadcast", "reshape", "cast", "transpose"}
_NAMED = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus", "erf": "GELU"}


@dataclass(frozen=True)
class LayerFlow:
    """One layer with weights.

    Attributes:
        name: its dotted name, such as "0" or "block.inner".
        module: the name of its class.
        kind: "linear", "embedding" or "scale".
        shapes: of its parameters by their last name: {"weight": (4, 8), "bias": (8,)}.
        activation: the function that follows, where it is one with a name; else "".
        beside: whether the layer after it does not take what it gives, as in a shortcut.
        given: how many numbers a row brings in, or None where they are whole numbers.
        size_in: mean |a| of what comes in, or None.
        size_back: mean |dL/da| of what comes in: what backpropagation hands to the layer before; or None.
        norms: ‖dL/dw‖₂ by parameter's last name.
        largest: (name and place, dL/dw) of the largest |dL/dw| in it.
    """

    name: str
    module: str
    kind: str
    shapes: dict[str, tuple[int, ...]]
    activation: str
    beside: bool
    given: int | None
    size_in: float | None
    size_back: float | None
    norms: dict[str, float]
    largest: tuple[str, float]


@dataclass(frozen=True)
class Units:
    """What the units of one place of a small network hold, for one row.

    Attributes:
        name: of the place: "x", the layer that gives these numbers, or "output".
        values: a, (units,).
        back: dL/da, (units,).
        gradient: dL/dW of the layer that takes them, (units, units behind); None behind the last layer.
    """

    name: str
    values: Array
    back: Array
    gradient: Array | None


@dataclass(frozen=True)
class Flow:
    """A whole pass forwards and backwards.

    Attributes:
        layers: those with weights, in the order in which data meet them.
        rows: how many rows.
        inputs: how many numbers a row of x has.
        outputs: how many numbers a row of outputs has.
        size_out: mean |output|.
        size_back: mean |dL/doutput|.
        loss: L.
        example: name and place of the weight with the largest |dL/dw| of all.
        before, gradient, after: that weight, its dL/dw, and the weight after the optimizer's step.
        units: of one row through a chain of small dense layers: every unit's numbers, place by place; else empty.
    """

    layers: tuple[LayerFlow, ...]
    rows: int
    inputs: int
    outputs: int
    size_out: float
    size_back: float
    loss: float
    example: str
    before: float
    gradient: float
    after: float
    units: tuple[Units, ...] = ()


def flow_of(net: Module, rows: Rows, loss: Loss, rule: optim.Optimizer, training: bool) -> Flow:
    """One pass forwards, one backwards, one update: all numbers; nothing is changed."""
    forward = build_graph(net, rows, loss, training=training, backward=False)
    nodes = forward.nodes()
    groups = _groups(nodes, forward, list(net.named_parameters()))
    values, leaves = _values(net, rows, loss, training, forward, groups)
    until = [*(group.come_in for group in groups[1:]), forward.outputs[OUTPUTS]]
    modules = net.named_modules()
    kinds = [type(modules[group.name]).__name__ if group.name in modules else "" for group in groups]
    layers = tuple(_layer(group, kind, values, node) for group, kind, node in zip(groups, kinds, until, strict=True))
    grads = {name: values[f"d {name}"] for name in leaves}
    weights = net.parameters()
    after, _ = rule.update(weights, grads, rule.init(weights))
    name, place = max(((n, _peak(g)) for n, g in grads.items()), key=lambda one: abs(float(grads[one[0]][one[1]])))
    return Flow(
        layers=layers,
        rows=len(rows),
        inputs=rows.x[0].size,
        outputs=values[OUTPUTS][0].size,
        size_out=_mean_size(values[OUTPUTS]),
        size_back=_mean_size(values["d outputs"]),
        loss=float(values[LOSS]),
        example=_spelled(name, place),
        before=float(weights[name][place]),
        gradient=float(grads[name][place]),
        after=float(after[name][place]),
        units=_units(layers, groups, values) if len(rows) == 1 else (),
    )


def _units(layers: Sequence[LayerFlow], groups: Sequence["_Group"], values: dict[str, Array]) -> tuple[Units, ...]:
    """Every unit's numbers, where all layers are dense, few and small, and each takes what the one before gives."""
    if len(layers) > MOST_LAYERS or any(layer.kind != "linear" or layer.beside for layer in layers):
        return ()
    found: list[Units] = []
    for group, before in zip(groups, [None, *layers], strict=False):
        weights = [values[f"d {name}"] for name in group.parameters if values[f"d {name}"].ndim == 2]
        come_in, back = values.get(f"in {group.name}"), values.get(f"back {group.name}")
        if group.come_in is None or come_in is None or back is None:
            return ()
        if len(weights) != 1 or come_in.shape != (1, len(weights[0])):
            return ()
        name = _given_by(before) if before else f"into layer {group.name}" if group.come_in.inputs else "x"
        found.append(Units(name, come_in[0], back[0], weights[0]))
    outputs = values[OUTPUTS]
    if not found or outputs.shape != (1, weights[0].shape[1]):
        return ()
    found.append(Units(f"layer {layers[-1].name}: output", outputs[0], values["d outputs"][0], None))
    return tuple(found) if max(len(place.values) for place in found) <= MOST_UNITS else ()


def _given_by(layer: LayerFlow) -> str:
    return f"layer {layer.name}" + (f", then {layer.activation}" if layer.activation else "")


@dataclass
class _Group:
    """A layer's parameters, the node of what comes in, and the node of what it gives."""

    name: str
    parameters: list[str]
    kind: str
    come_in: Node | None
    gives: Node


def _groups(nodes: Sequence[Node], forward: Graph, names: Sequence[str]) -> list[_Group]:
    """The parameters by layer (their dotted name without its last part), in the order in which data meet them."""
    order = {id(node): number for number, node in enumerate(nodes)}
    prefixes: dict[str, list[str]] = {}
    for name in names:
        if id(forward.inputs[name]) in order:
            prefixes.setdefault(name.rpartition(".")[0], []).append(name)
    found: list[tuple[int, _Group]] = []
    for prefix, members in prefixes.items():
        entries = [entry for name in members for entry in _entries(nodes, forward.inputs[name])]
        entries.sort(key=lambda entry: order[id(entry[0])])
        first, leaf_side = entries[0]
        others = [parent for parent in first.inputs if parent is not leaf_side and parent.type.dtype.is_float]
        kind = {"matmul": "linear", "take": "embedding"}.get(first.op.name, "scale")
        come_in = others[0] if others else None
        found.append((order[id(first)], _Group(prefix, members, kind, come_in, entries[-1][0])))
    return [group for _, group in sorted(found, key=lambda one: one[0])]


def _entries(nodes: Sequence[Node], leaf: Node) -> list[tuple[Node, Node]]:
    """Where a parameter meets the data: (node, the parameter's side of it), seen through changes of shape alone."""
    found, sides = [], [leaf]
    while sides:
        side = sides.pop()
        for user in nodes:
            if any(parent is side for parent in user.inputs):
                if user.op.name in _SHAPING:
                    sides.append(user)
                else:
                    found.append((user, side))
    return found


def _values(
    net: Module, rows: Rows, loss: Loss, training: bool, forward: Graph, groups: Sequence[_Group]
) -> tuple[dict[str, Array], list[str]]:
    """Everything the layers' numbers are made of, in one run: a, dL/da, dL/dw by name."""
    leaves = [name for group in groups for name in group.parameters]
    parameters = net.named_parameters()
    wanted = [Tensor(forward.outputs[OUTPUTS]), *(parameters[name] for name in leaves)]
    inner = {group.name: group.come_in for group in groups if group.come_in is not None}
    found = gradients(Tensor(forward.outputs[LOSS]), [*wanted, *(Tensor(node) for node in inner.values())])
    labels = ["d outputs", *(f"d {name}" for name in leaves), *(f"back {name}" for name in inner)]
    outputs = {LOSS: forward.outputs[LOSS], OUTPUTS: forward.outputs[OUTPUTS]}
    outputs |= {f"in {name}": node for name, node in inner.items()}
    outputs |= {label: tensor.node for label, tensor in zip(labels, found, strict=True)}
    graph = Graph(forward.inputs, outputs)
    graph = graph if net.dtype == "float32" else retype_floats(graph, DType(net.dtype))
    total = float(len(rows) if rows.weight is None else exact.tree_sum(rows.weight))
    program = StepProgram(net, rows, loss, training=training, backward=False, dtype=net.dtype)
    given = program.inputs(rows, values_of(net), total, 0, 0)
    return make_program(graph, {BATCH.name: len(rows)})(given), leaves


def _layer(group: _Group, module: str, values: dict[str, Array], until: Node | None) -> LayerFlow:
    grads = {name: values[f"d {name}"] for name in group.parameters}
    name, place = max(((n, _peak(g)) for n, g in grads.items()), key=lambda one: abs(float(grads[one[0]][one[1]])))
    come_in = values.get(f"in {group.name}")
    back = values.get(f"back {group.name}")
    return LayerFlow(
        name=group.name,
        module=module,
        kind=group.kind,
        shapes={n.rpartition(".")[2]: g.shape for n, g in grads.items()},
        activation=_activation(group.gives, until),
        beside=group.come_in is not None and until is not None and not _leads_to(group.gives, until),
        given=None if come_in is None else come_in[0].size,
        size_in=None if come_in is None else _mean_size(come_in),
        size_back=None if back is None else _mean_size(back),
        norms={n.rpartition(".")[2]: float(optim.global_norm({n: g})) for n, g in grads.items()},
        largest=(_spelled(name, place), float(grads[name][place])),
    )


def _activation(gives: Node, until: Node | None) -> str:
    """The one function with a name between a layer and the next one's input."""
    found: list[str] = []
    seen: set[int] = set()
    waiting = [until] if until is not None and _leads_to(gives, until) else []
    while waiting:
        node = waiting.pop()
        if id(node) in seen or node is gives:
            continue
        seen.add(id(node))
        if node.op.name in _NAMED:
            found.append(_NAMED[node.op.name])
        elif node.op.name == "multiply" and any(parent.op.name == "sigmoid" for parent in node.inputs):
            return "SiLU"  # x·sigmoid(x)
        waiting.extend(node.inputs)
    return found[0] if len(found) == 1 else ""


def _leads_to(gives: Node, until: Node) -> bool:
    return any(node is gives for node in topological([until]))


def _mean_size(array: Array) -> float:
    return float(exact.tree_sum(np.abs(array, dtype=np.float64).ravel())) / max(array.size, 1)


def _peak(gradient: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(gradient))), gradient.shape))


def _spelled(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{','.join(map(str, place))}]"
