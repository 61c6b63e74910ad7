"""Where NaN or infinity came from: the step, the first tensor that went bad, its op, and the values that made it.

A training stops at the first loss that is not finite, or at the end of an epoch after which a weight, a buffer or the
optimizer's state is not. Then the steps since the last good snapshot are taken again, which gives the same bits, until
the one that made the first bad number; and of that step every tensor is looked at (`every_tensor`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import REFERENCE
from fallline.errors import CompileError
from fallline.ir.graph import Graph, Node
from fallline.ir.types import BATCH
from fallline.ops.finite import is_finite
from fallline.optim import Optimizer
from fallline.training.batches import Batches
from fallline.training.causes import Fault, explanation
from fallline.training.every_tensor import every_tensor, step_inputs
from fallline.training.first_bad import BadNodes
from fallline.training.step import LOSS, ROWS, Rows, StepProgram
from fallline.training.steppers import Factors, Snapshot, Stepper
from fallline.training.update_graph import slot_name, with_update
from fallline.training.words import RowNumbers, Words

Array = NDArray[Any]
CHUNK = 4096
UNKNOWN = "taking the step again did not show where: have the data changed during the training?"


def bad_entry(values: Mapping[str, Array]) -> str:
    """The first bad entry among weights and buffers, such as "'0.weight' nan at (0, 1)"; empty if there is none."""
    for name, array in values.items():
        if not is_finite(array):
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            return f"{name!r} {array[place]} at {place}"
    return ""


def bad_state(snapshot: Snapshot) -> str:
    """The first bad entry among weights, buffers and the optimizer's arrays; empty if there is none."""
    slots = {
        slot_name(slot, name): array
        for slot, arrays in snapshot.state.items()
        if slot not in ("step", "memory")
        for name, array in arrays.items()
    }
    return bad_entry({**snapshot.values, **slots})


@dataclass
class OriginSearch:
    """Finds where a training's NaN or infinity came from. It takes steps again, so the training must end with it.

    Attributes:
        modules: dotted name of each of the network's modules → its class's name.
        program: the graph of loss and backpropagation.
        optimizer: the update rule.
        batches: the rows of each step.
        stepper: takes the training's steps.
        factors: the schedule's, of some steps.
        clip_value, clip_norm: as `fit` has them.
    """

    modules: Mapping[str, str]
    program: StepProgram
    optimizer: Optimizer
    batches: Batches
    stepper: Stepper
    factors: Factors
    clip_value: float | None = None
    clip_norm: float | None = None

    def of_loss(self, loss: float, step: int, good: Snapshot) -> tuple[str, int]:
        """(what happened, the step whose learning rate had to do with it), for a loss that is not finite.

        Args:
            loss: the loss.
            step: whose it is.
            good: weights, buffers and state of an earlier step, finite.
        """
        what = f"the loss became {loss} at step {step} (epoch {self._epoch(step)})"
        before = self.stepper.snapshot()
        if int(before.state["step"]) != step:
            return f"{what}; {UNKNOWN}", step
        if bad_state(before):
            update, spoiled = self.of_update(step, good)
            return f"{what}: {update}", spoiled
        return f"{what}: {self._clause(before, step, updating=False)}", step

    def of_update(self, end: int, good: Snapshot) -> tuple[str, int]:
        """(what happened, the step that did it), where the state before step `end` is not finite; see `of_loss`."""
        step = self._spoiling_step(end, good)
        if step is not None:
            before = self.stepper.snapshot()
            self.stepper.run(step, 1)
            cause = bad_state(self.stepper.snapshot())
            self.stepper.restore(before)
            if cause:
                what = f"the update at step {step} (epoch {self._epoch(step)}) made {cause}"
                return f"{what}: {self._clause(before, step, updating=True)}", step
        return f"an update before step {end} (epoch {self._epoch(end - 1)}) spoiled the weights; {UNKNOWN}", end - 1

    def of_rows(self, program: StepProgram, rows: Rows, values: Mapping[str, Array], data: str) -> str:
        """A clause on the loss of many rows in prediction mode; `data` says whose rows they are."""
        result, numbers = LOSS, np.arange(len(rows))
        if ROWS in program.graph.outputs:
            result, numbers = ROWS, _first_bad_rows(program, rows, values)
            if not len(numbers):
                return f"the rows' losses in {data} are finite, but their sum is not"
        batch = rows.take(numbers)
        graph = Graph(program.graph.inputs, {result: program.graph.outputs[result]})
        tensors = self._tensors(graph, len(batch), program.inputs(batch, values, 1.0, 0, 0))
        return clause(tensors, list(graph.outputs.values()), Words(self.modules, graph), RowNumbers(numbers, data))

    def _epoch(self, step: int) -> int:
        """The epoch of a step, counted from 1."""
        return step // self.batches.steps_per_epoch + 1

    def _spoiling_step(self, end: int, good: Snapshot) -> int | None:
        """The first step before `end` whose update spoiled the state, by halving; the stepper is left before it."""
        low, high = int(good.state["step"]), end
        self.stepper.restore(good)
        while high - low > 1:
            middle = (low + high) // 2
            losses = self.stepper.run(low, middle - low)
            if not math.isfinite(losses[-1]):
                return None
            reached = self.stepper.snapshot()
            if bad_state(reached):
                high = middle
                self.stepper.restore(good)
            else:
                low, good = middle, reached
        return low if low < high else None

    def _clause(self, before: Snapshot, step: int, updating: bool) -> str:
        """What made the first bad number of a step that begins with a finite state."""
        update = with_update(self.program.graph, self.optimizer, self.clip_value, self.clip_norm)
        names = list(update.updates.values()) if updating else [LOSS]
        graph = Graph(update.graph.inputs, {name: update.graph.outputs[name] for name in names})
        inputs = step_inputs(self.program, update, self.batches, before, float(self.factors(step, 1)[0]))
        tensors = self._tensors(graph, int(self.batches.sizes(step, 1)[0]), inputs)
        words = Words(self.modules, graph, self.program.graph.outputs)
        rows = RowNumbers(self.batches.numbers_of(step), "the training set", "the whole batch")
        return clause(tensors, list(graph.outputs.values()), words, rows)

    def _tensors(self, graph: Graph, rows: int, inputs: Mapping[str, Any]) -> list[tuple[Node, Array]]:
        sizes, shards = {BATCH.name: rows}, self.program.shards
        try:
            return list(every_tensor(graph, sizes, inputs, self.stepper.engine, shards))
        except CompileError:
            return list(every_tensor(graph, sizes, inputs, REFERENCE, shards))


def clause(tensors: Sequence[tuple[Node, Array]], results: Sequence[Node], words: Words, rows: RowNumbers) -> str:
    """What made the first bad number among tensors that reached one of the results.

    Args:
        tensors: every node with its value.
        results: nodes of which some are not finite.
        words: names for them.
        rows: of the batch.
    """
    search = BadNodes(tensors)
    first = search.first(results)
    if first is None:
        return UNKNOWN
    told = _told(_fault(*first, search, words), words, rows)
    later = search.first(results, nan_only=True)
    if later is not None and later[0] is not first[0] and not np.isnan(search.values[id(first[0])][first[1]]).any():
        fault = _fault(*later, search, words)
        told += f"; of that, {fault.node.op.name} made nan {words.place(fault.node)}: {explanation(fault)}"
    return told


def _fault(node: Node, bad: Array, search: BadNodes, words: Words) -> Fault:
    arguments = tuple(search.values[id(parent)] for parent in node.inputs)
    names = tuple(words.argument(parent, node) for parent in node.inputs)
    return Fault(node, search.values[id(node)], arguments, bad, names)


def _told(fault: Fault, words: Words, rows: RowNumbers) -> str:
    node, where = fault.node, rows.where(fault.node, fault.bad)
    if not node.inputs:
        return f"{words.argument(node, node)} holds {fault.became} {where}, which it did not when it was checked"
    did = "overflowed" if fault.overflowed else f"made {fault.became}"
    return f"{node.op.name} {did} {words.place(node)}{', ' if where else ''}{where}: {explanation(fault)}"


def _first_bad_rows(program: StepProgram, rows: Rows, values: Mapping[str, Array]) -> Array:
    """The numbers of those of the first rows with a bad loss that are computed together."""
    for start in range(0, len(rows), CHUNK):
        part = rows.take(slice(start, start + CHUNK))
        losses = program.forward(program.inputs(part, values, 1.0, 0, 0))[ROWS]
        if not is_finite(losses):
            return start + np.flatnonzero(~np.isfinite(losses))
    return np.arange(0)
