"""Epochs of a solver's steps: as one native program, or, where nothing can be compiled, by the reference engine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import batch_order
from fallline.engine import epochs as native
from fallline.engine.programs import warn_of_fallback
from fallline.engine.reference import ReferenceProgram
from fallline.errors import CompileError
from fallline.ir.types import BATCH
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y
from fallline.training.step import LOSS, Rows
from fallline.training.update_graph import UpdateGraph

Array = NDArray[Any]
State = dict[str, Array]


class Epochs:
    """The steps of epoch after epoch, with the learning rate of each epoch given.

    Args:
        update: the graph of a step.
        rows: the training set, in the graph's dtype.
        state: weights, α and the optimizer's arrays by the graph's inputs.
        batch_size: rows of a step; the last of an epoch may have fewer.
        shuffle: whether each epoch takes the rows in another order.
        seed: of that order, and of dropout.
        updates: steps that the optimizer has taken before.
        threads: how many run a step; None chooses.
    """

    def __init__(
        self,
        update: UpdateGraph,
        rows: Rows,
        state: State,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        updates: int,
        threads: int | None,
    ) -> None:
        self._update, self.updates = update, updates
        self._sizes = np.full(-(-len(rows) // batch_size), batch_size)
        self._sizes[-1] = len(rows) - batch_size * (len(self._sizes) - 1)
        self._weighted = rows.weight is not None
        self._scalars = (() if self._weighted else (DENOMINATOR,)) + update.scalars
        self._program = self._made(rows, state, batch_size, shuffle, seed, threads)

    def _made(
        self, rows: Rows, state: State, batch_size: int, shuffle: bool, seed: int, threads: int | None
    ) -> "Any | WalkedEpochs":
        given = {X: rows.x, Y: rows.y} | ({} if rows.weight is None else {SAMPLE_WEIGHT: rows.weight})
        try:
            return native.Epochs(
                self._update.graph,
                rows=given,
                state=state,
                updates=self._update.updates,
                scalars=self._scalars,
                step=STEP,
                seed=(SEED, seed),
                loss=LOSS,
                batch_size=batch_size,
                shuffle=shuffle,
                order_seed=seed,
                threads=threads,
            )
        except (CompileError, ImportError) as error:
            warn_of_fallback(error)
            return WalkedEpochs(self._update, given, state, self._scalars, batch_size, shuffle, seed)

    def run(self, first_epoch: int, rates: Array) -> Array:
        """Run epochs.

        Args:
            first_epoch: the number of the first, from 0: it decides the order of rows.
            rates: the learning rate of each, (epochs,).

        Returns:
            The mean loss of each epoch's rows, (epochs,); fewer where a step's loss is not finite: it is the last's.
        """
        per_epoch, count = len(self._sizes), len(rates)
        numbers = np.empty((count * per_epoch, len(self._scalars)))
        if not self._weighted:
            numbers[:, 0] = np.tile(self._sizes, count)
        each = np.repeat(rates, per_epoch)
        numbers[:, len(self._scalars) - len(self._update.scalars) :], _ = self._update.scalar_values(
            self.updates + 1, {}, each
        )
        losses: Array = self._program.run(first_epoch * per_epoch, numbers)
        self.updates += len(losses)
        bad = not np.isfinite(losses[-1])
        whole = losses[: (len(losses) - bad) // per_epoch * per_epoch].reshape(-1, per_epoch)
        means: Array = np.cumsum(whole * self._sizes, axis=1)[:, -1] / self._sizes.sum()
        return np.append(means, losses[-1]) if bad else means

    def snapshot(self) -> tuple[State, int]:
        """Weights and the optimizer's arrays, copied, and how many steps it has taken."""
        return self._program.read(), self.updates

    def restore(self, snapshot: tuple[State, int]) -> None:
        """Go back to a snapshot."""
        state, self.updates = snapshot
        self._program.write(state)


class WalkedEpochs:
    """What the compiled engine's class of epochs does, step by step on the reference engine.

    Args:
        update: the graph of a step.
        rows: input → the whole data set's array.
        state: input → value.
        scalars: inputs that are a number for each step.
        batch_size, shuffle, seed: as in `Epochs`.
    """

    def __init__(
        self,
        update: UpdateGraph,
        rows: State,
        state: State,
        scalars: tuple[str, ...],
        batch_size: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        self._update, self._rows, self._state, self._names = update, rows, dict(state), scalars
        self._batch_size, self._shuffle, self._seed = batch_size, shuffle, seed
        self._count = len(rows[X])
        self._programs: dict[int, ReferenceProgram] = {}

    def run(self, first_step: int, scalars: Array) -> Array:
        """The loss of each step; fewer than asked for where one is not finite: that one is the last."""
        losses = []
        for step, numbers in enumerate(scalars, first_step):
            results = self._step(step, numbers)
            losses.append(float(results[LOSS]))
            if not np.isfinite(losses[-1]):
                break
            self._state |= {name: results[output] for name, output in self._update.updates.items()}
        return np.array(losses)

    def _step(self, step: int, numbers: Array) -> State:
        per_epoch = -(-self._count // self._batch_size)
        epoch, place = divmod(step, per_epoch)
        order = batch_order(self._count, self._seed, epoch) if self._shuffle else np.arange(self._count)
        chosen = order[place * self._batch_size : (place + 1) * self._batch_size]
        if len(chosen) not in self._programs:
            self._programs[len(chosen)] = ReferenceProgram(self._update.graph, {BATCH.name: len(chosen)})
        dtype = next(iter(self._state.values())).dtype
        given = {name: array[chosen] for name, array in self._rows.items()}
        given |= {name: np.asarray(number, dtype=dtype) for name, number in zip(self._names, numbers, strict=True)}
        further = {STEP: np.asarray(step), SEED: np.asarray(self._seed)}
        return self._programs[len(chosen)]({**given, **self._state, **further})

    def read(self) -> State:
        """Copies of the state."""
        return {name: value.copy() for name, value in self._state.items()}

    def write(self, values: State) -> None:
        """Set some of the state."""
        self._state |= values
