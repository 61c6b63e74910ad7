"""A whole training step as one graph: loss and backpropagation, then clipping and the update rule.

    L, dL/dw  →  clipped dL/dw  →  w ← w − η·dL/dw, or what the optimizer makes of it

Evaluated by the reference walk, it gives the bits of `StepProgram`, `clip_by_value`, `clip_by_global_norm` and
`Optimizer.update` one after the other (but for the order of the norm's sums, which is that of the kernel form).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ir.graph import Graph, Node, nodes_by, nodes_in
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor
from fallline.optim import Optimizer, clip_by_global_norm, clip_by_value
from fallline.optim.rule import Memory
from fallline.training.step import GRADIENT, LOSS, UPDATED

Array = NDArray[Any]
ORIGIN = "gradient descent"


@dataclass(frozen=True)
class UpdateGraph:
    """A step's graph with its update.

    Attributes:
        graph: from data, weights, buffers, slots and scalars to the loss and whatever replaces them.
            Slots are inputs "velocity of 0.weight", scalars are inputs "@*:lr" (group's pattern, name), both of the
            weights' dtype; outputs are "loss", "updated 0.weight", "updated velocity of 0.weight".
        optimizer: whose rule it is.
        parameters: their dotted names.
        buffers: their dotted names.
        slots: (slot, parameter) of every state array that the step changes.
        updates: input → the output that replaces it after the step. What has none (frozen weights) stays.
        scalars: the inputs that are one number for each step, in order.
        places: (group's pattern, name) of each of them.
    """

    graph: Graph
    optimizer: Optimizer
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]
    slots: tuple[tuple[str, str], ...]
    updates: dict[str, str]
    scalars: tuple[str, ...]
    places: tuple[tuple[str, str], ...]

    def state_inputs(
        self, weights: Mapping[str, Array], buffers: Mapping[str, Array], state: Mapping[str, Any]
    ) -> dict[str, Array]:
        """Weights, buffers and the optimizer's arrays by input."""
        return {**weights, **buffers, **{slot_name(slot, name): state[slot][name] for slot, name in self.slots}}

    def scalar_values(
        self, first: int, memory: Mapping[str, Memory], lr_factors: Array
    ) -> tuple[Array, Mapping[str, Memory]]:
        """The numbers of some steps in the order of `scalars`, (steps, scalars), and the rule's memory after them.

        Args:
            first: t of the first step, counted from 1.
            memory: from the optimizer's state.
            lr_factors: what the schedule multiplies η with, (steps,).
        """
        values, memory = self.optimizer.scalars_of_steps(first, memory, lr_factors)
        rows = np.empty((len(lr_factors), len(self.places)))
        for column, (pattern, name) in enumerate(self.places):
            rows[:, column] = values[pattern][name]
        return rows, memory


def slot_name(slot: str, parameter: str) -> str:
    """The input of a parameter's state array."""
    return f"{slot} of {parameter}"


def with_update(
    step: Graph, optimizer: Optimizer, clip_value: float | None = None, clip_norm: float | None = None
) -> UpdateGraph:
    """The graph of a step, from `build_graph(…, backward=True)`, with clipping and the optimizer's rule behind it.

    Args:
        step: has the outputs "loss", "gradient of <parameter>" and "updated <buffer>".
        optimizer: its rule is traced once for each weight that is not frozen.
        clip_value: as `fit` has it, applied first.
        clip_norm: as `fit` has it; the norm is that of all gradients, those of frozen weights included.
    """
    prefix = len(GRADIENT)
    grads = {name[prefix:]: Tensor(node) for name, node in step.outputs.items() if name.startswith(GRADIENT)}
    buffers = tuple(name for name in step.inputs if not name.startswith("@") and name not in grads)
    with nodes_by(ORIGIN):
        if clip_value is not None:
            grads = clip_by_value(grads, clip_value)
        if clip_norm is not None:
            grads, _ = clip_by_global_norm(grads, clip_norm)
        traced = _traced_rule(step, optimizer, grads)
    buffer_updates = {name: node for name, node in step.outputs.items() if name.startswith(UPDATED)}
    outputs = {LOSS: step.outputs[LOSS], **buffer_updates, **traced.updated}
    needed = {id(node) for node in Graph({}, outputs).nodes()}
    # a decay that no weight has, for example, is a scalar that no node reads
    places = {_scalar(*place): place for place, node in traced.scalars.items() if id(node) in needed}
    scalars = {name: traced.scalars[place] for name, place in places.items()}
    slots = {slot_name(*place): node for place, node in traced.slots.items()}
    return UpdateGraph(
        graph=Graph({**step.inputs, **slots, **scalars}, outputs),
        optimizer=optimizer,
        parameters=tuple(grads),
        buffers=buffers,
        slots=tuple(traced.slots),
        updates={name.removeprefix(UPDATED): name for name in outputs if name.startswith(UPDATED)},
        scalars=tuple(places),
        places=tuple(places.values()),
    )


@dataclass
class _TracedRule:
    """What tracing the rule has made.

    Attributes:
        updated: new weights and slots by output.
        slots: (slot, parameter) → input.
        scalars: (group's pattern, scalar) → input.
    """

    updated: dict[str, Node] = field(default_factory=dict)
    slots: dict[tuple[str, str], Node] = field(default_factory=dict)
    scalars: dict[tuple[str, str], Node] = field(default_factory=dict)


def _traced_rule(step: Graph, optimizer: Optimizer, grads: Mapping[str, Tensor]) -> _TracedRule:
    """The update rule, applied to every weight that is not frozen."""
    rule, traced = optimizer.rule, _TracedRule()
    groups: dict[str, dict[str, Tensor]] = {}  # pattern → scalars
    for name, group in optimizer.assign(grads).items():
        if group.frozen:
            continue
        w = Tensor(step.inputs[name])
        if group.pattern not in groups:
            known, _ = rule.scalars(group.hyper, 1, rule.initial_memory)
            groups[group.pattern] = {key: make_input(_scalar(group.pattern, key), (), w.dtype) for key in known}
            traced.scalars |= {(group.pattern, key): item.node for key, item in groups[group.pattern].items()}
        slots = {slot: make_input(slot_name(slot, name), w.shape, w.dtype) for slot in rule.slots_for(group.hyper)}
        with nodes_in(name):
            new_w, new_slots = rule.apply(w, grads[name], slots, group.hyper, groups[group.pattern])
        traced.updated[UPDATED + name] = new_w.node
        for slot, tensor in slots.items():
            traced.slots[slot, name] = tensor.node
            traced.updated[UPDATED + slot_name(slot, name)] = new_slots[slot].node
    return traced


def _scalar(pattern: str, key: str) -> str:
    return f"@{pattern}:{key}"
