"""What takes the steps of a training: one implementation for each engine, so that `loop.py` knows neither.

Both hold weights, buffers and the optimizer's state, run steps numbered through the whole training, and stop before
the update of a step whose loss is not finite.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import COMPILED, REFERENCE, warn_of_fallback
from fallline.errors import CompileError
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y
from fallline.ops.finite import is_finite
from fallline.optim import Optimizer, clip_by_global_norm, clip_by_value
from fallline.training.batches import Batches
from fallline.training.step import LOSS, StepProgram
from fallline.training.update_graph import UpdateGraph, slot_name, with_update

Array = NDArray[Any]
Factors = Callable[[int, int], Array]
"""(first step, count) → what the schedule multiplies the learning rate with in each, (count,)."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that changes in training, at one moment. Nobody writes into its arrays.

    Attributes:
        weights: by dotted name.
        buffers: by dotted name.
        state: the optimizer's, whose "step" is the number of the step to come, from 0.
    """

    weights: dict[str, Array]
    buffers: dict[str, Array]
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """The number of the step to come."""
        return int(self.state["step"])

    @property
    def values(self) -> dict[str, Array]:
        """Weights and buffers together, as programs take them."""
        return {**self.weights, **self.buffers}


class Stepper(Protocol):
    """Takes steps.

    Attributes:
        engine: its name, as `fit` has it.
        threads: how many threads run a step; None where the engine does not decide it.
    """

    engine: str
    threads: int | None

    def run(self, first_step: int, count: int) -> Array:
        """Take `count` steps from number `first_step` on, within one epoch.

        Returns:
            The loss of each step before its update, float64. Where one is not finite it is the last, and
            weights, buffers and state are those before that step.
        """
        ...

    def snapshot(self) -> Snapshot:
        """Weights, buffers and state as they are now."""
        ...

    def finite(self) -> bool:
        """Whether they hold neither NaN nor infinity."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        ...


class ReferenceStepper:
    """Steps on the reference engine: backpropagation gives the gradients, gradient descent uses them.

    Args:
        program: gives loss and gradients.
        optimizer: the update rule.
        batches: the rows of each step.
        start: weights, buffers and state at the first step.
        factors: the schedule's, of some steps.
        clip_value, clip_norm: as `fit` has them.
    """

    engine = REFERENCE
    threads: int | None = None

    def __init__(
        self,
        program: StepProgram,
        optimizer: Optimizer,
        batches: Batches,
        start: Snapshot,
        factors: Factors,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self._program, self._optimizer, self._batches, self._now = program, optimizer, batches, start
        self._factors, self._clip_value, self._clip_norm = factors, clip_value, clip_norm

    def run(self, first_step: int, count: int) -> Array:
        """See `Stepper`."""
        losses = []
        for step in range(first_step, first_step + count):
            losses.append(self._step(step))
            if not math.isfinite(losses[-1]):
                break
        return np.array(losses)

    def _step(self, step: int) -> float:
        now = self._now
        denominator = float(self._batches.denominators(step, 1)[0])
        result = self._program(self._batches.rows_of(step), now.values, denominator, self._batches.seed, step)
        if not math.isfinite(result.loss):
            return result.loss
        gradients = result.gradients
        if self._clip_value is not None:
            gradients = clip_by_value(gradients, self._clip_value)
        if self._clip_norm is not None:
            gradients, _ = clip_by_global_norm(gradients, self._clip_norm)
        weights, state = self._optimizer.update(now.weights, gradients, now.state, float(self._factors(step, 1)[0]))
        self._now = Snapshot(weights, {**now.buffers, **result.buffers}, state)
        return result.loss

    def snapshot(self) -> Snapshot:
        """See `Stepper`; updates make new arrays, so nothing needs to be copied."""
        return self._now

    def finite(self) -> bool:
        """See `Stepper`."""
        slots = (arrays for slot, arrays in self._now.state.items() if slot not in ("step", "memory"))
        return all(is_finite(array) for arrays in (self._now.values, *slots) for array in arrays.values())

    def restore(self, snapshot: Snapshot) -> None:
        """See `Stepper`."""
        self._now = snapshot


class CompiledStepper:
    """Steps on the compiled engine: loss, backpropagation, clipping and update are one native program.

    After a loss that is not finite, it goes back to its last snapshot and takes the steps up to the bad one again:
    they have the same bits.

    Args:
        update: the graph of a step with its update.
        batches: the rows of each step.
        start: weights, buffers and state at the first step.
        factors: the schedule's, of some steps.
        epochs: makes the native program: `engine.epochs.Epochs`.
        threads: how many run each step; None lets the engine choose.
        shards: fixed slices of a batch over which gradients are summed.

    Raises:
        CompileError: the graph cannot be compiled.
    """

    engine = COMPILED

    def __init__(
        self,
        update: UpdateGraph,
        batches: Batches,
        start: Snapshot,
        factors: Factors,
        *,
        epochs: Callable[..., Any],
        threads: int | None = None,
        shards: int = 1,
    ) -> None:
        self._update, self._batches, self._last, self._factors = update, batches, start, factors
        self._step, self._memory = int(start.state["step"]), start.state["memory"]
        rows = {X: batches.rows.x, Y: batches.rows.y}
        if batches.rows.weight is not None:
            rows[SAMPLE_WEIGHT] = batches.rows.weight
        self._epochs = epochs(
            update.graph,
            rows=rows,
            state=update.state_inputs(start.weights, start.buffers, start.state),
            updates=update.updates,
            scalars=(DENOMINATOR, *update.scalars),
            step=STEP,
            seed=(SEED, batches.seed),
            loss=LOSS,
            batch_size=batches.batch_size,
            shuffle=batches.shuffle,
            order_seed=batches.seed,
            threads=threads,
            shards=shards,
        )
        self.threads: int | None = int(self._epochs.threads_used)

    def run(self, first_step: int, count: int) -> Array:
        """See `Stepper`."""
        losses = self._advance(first_step, count)
        if len(losses) and not math.isfinite(losses[-1]):
            bad = first_step + len(losses) - 1
            self.restore(self._last)
            self._advance(self._step, bad - self._step)
        return losses

    def _advance(self, first_step: int, count: int) -> Array:
        if not count:
            return np.empty(0)
        numbers = self._scalars(first_step, count)
        losses: Array = self._epochs.run(first_step, numbers)
        self._step = first_step + len(losses)
        return losses

    def _scalars(self, first_step: int, count: int) -> Array:
        """What each step is given: its loss's denominator, then the rule's scalars, (count, scalars)."""
        factors = self._factors(first_step, count)
        rows = np.empty((count, 1 + len(self._update.scalars)))
        rows[:, 0] = self._batches.denominators(first_step, count)
        rows[:, 1:], self._memory = self._update.scalar_values(first_step + 1, self._memory, factors)
        return rows

    def snapshot(self) -> Snapshot:
        """See `Stepper`; copies of all arrays, to which a bad step goes back."""
        last, values = self._last, self._epochs.read()
        weights = {name: values.get(name, array) for name, array in last.weights.items()}
        buffers = {name: values.get(name, array) for name, array in last.buffers.items()}
        slots = {
            slot: {name: values.get(slot_name(slot, name), array) for name, array in arrays.items()}
            for slot, arrays in last.state.items()
            if slot not in ("step", "memory")
        }
        self._last = Snapshot(weights, buffers, {"step": self._step, "memory": self._memory, **slots})
        return self._last

    def finite(self) -> bool:
        """See `Stepper`; looked at where they lie."""
        return all(is_finite(array) for array in self._epochs.views())

    def restore(self, snapshot: Snapshot) -> None:
        """See `Stepper`."""
        self._epochs.write(self._update.state_inputs(snapshot.weights, snapshot.buffers, snapshot.state))
        self._step, self._memory, self._last = int(snapshot.state["step"]), snapshot.state["memory"], snapshot


def make_stepper(
    engine: str,
    program: StepProgram,
    optimizer: Optimizer,
    batches: Batches,
    start: Snapshot,
    factors: Factors,
    *,
    clip_value: float | None,
    clip_norm: float | None,
    threads: int | None,
    shards: int,
) -> Stepper:
    """The stepper of an engine; where the compiled one cannot be had, a warning and the reference engine's."""
    if engine == COMPILED:
        try:
            from fallline.engine.epochs import Epochs

            update = with_update(program.graph, optimizer, clip_value, clip_norm)
            return CompiledStepper(update, batches, start, factors, epochs=Epochs, threads=threads, shards=shards)
        except (CompileError, ImportError) as error:
            warn_of_fallback(error)
    return ReferenceStepper(program, optimizer, batches, start, factors, clip_value=clip_value, clip_norm=clip_norm)
