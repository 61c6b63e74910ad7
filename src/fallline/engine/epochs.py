"""Steps of training as native calls: state that stays in place, batches taken by number, losses read at the end."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.compiled import Compiled, Instance, aligned, choose_threads, compile_graph, view
from fallline.engine.compiler.barrier import BARRIER_BYTES
from fallline.engine.compiler.driver import ROUNDS, Job, driver_ir
from fallline.engine.compiler.layout import order_stride
from fallline.engine.compiler.program import Leaves
from fallline.engine.crew import Crew
from fallline.engine.memory import refuse_if_too_large
from fallline.engine.native import compile_module
from fallline.engine.target import host_target
from fallline.engine.threads import run_on
from fallline.errors import CompileError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.ops import philox

Array = NDArray[Any]
SMALLEST_BITS = 6
KEYS_AT_ONCE = 256
ORDER_BYTES = 1 << 16
"""Numbers of rows are found for so many bytes of steps at a time."""


class Epochs:
    """A training step's program, run over the batches of epoch after epoch.

    Args:
        graph: one step: loss, backpropagation, update.
        rows: input → the whole data set's array, rows first.
        state: input → initial value, for what changes from step to step and for what stays.
        updates: state input → the output that replaces it.
        scalars: inputs that are one number for each step.
        step: the input that is the step's number.
        seed: the input that is the seed of random streams, and its value.
        loss: the output that is the step's loss.
        batch_size: rows of a step; the last batch of an epoch may be smaller.
        shuffle: whether epochs take the rows in the order of `batch_order(n, order_seed, epoch)`.
        threads: how many run each step; None chooses.
        shards: fixed slices of a batch over which gradients are summed.

    Raises:
        CompileError: the graph cannot be compiled.
        ArgumentError: its steps need more memory than is available.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        rows: Mapping[str, Array],
        state: Mapping[str, Array],
        updates: Mapping[str, str],
        scalars: tuple[str, ...],
        step: str | None,
        seed: tuple[str, int] | None,
        loss: str,
        batch_size: int,
        shuffle: bool,
        order_seed: int,
        threads: int | None = None,
        shards: int = 1,
        profile: bool = False,
    ) -> None:
        self.rows = len(next(iter(rows.values())))
        self.batch_size = min(batch_size, self.rows)
        self.steps_per_epoch = -(-self.rows // self.batch_size)
        self.order_seed, self.shuffle = order_seed, shuffle
        leaves = Leaves(tuple(rows), tuple(state), scalars, step, None if seed is None else seed[0], dict(updates))
        self._names, self._shards, self._profile = tuple(state), shards, profile
        self._arrays = {
            name: np.ascontiguousarray(array, dtype=graph.inputs[name].type.dtype.value)
            for name, array in rows.items()
            if name in graph.inputs
        }
        self._main = self._instance(graph, leaves, self.batch_size, None, seed)
        rest = self.rows % self.batch_size
        self._last = self._instance(graph, leaves, rest, self._main, seed) if rest else self._main
        for name, value in state.items():
            self._main.write(name, value)
        self._loss = loss
        self._crew = Crew(threads or choose_threads(self.compiled.text), fixed=threads is not None)
        self._scalars = len(scalars)
        self._known_from, self._known_keys = 0, np.zeros((0 if shuffle else 1, ROUNDS), dtype=np.int64)
        self._job = np.zeros(len(Job), dtype=np.int64)
        self._prepare_job()

    def _instance(self, graph: Graph, leaves: Leaves, batch: int, main: Instance | None, seed: Any) -> Instance:
        compiled = compile_graph(graph, {BATCH.name: batch}, leaves, self._shards, self._profile)
        if main is not None and compiled.text.state != main.compiled.text.state:
            raise CompileError("the programs of an epoch's whole and last batches lay the weights out differently")
        refuse_if_too_large(compiled.text.arena_bytes, compiled.text.state_bytes if main is None else 0, batch)
        instance = Instance(compiled, None if main is None else main.state)
        instance.profile_threads(64)
        for name, array in self._arrays.items():
            instance.bind_rows(name, array)
        if seed is not None:
            instance.seed(seed[1])
        return instance

    def _prepare_job(self) -> None:
        job = self._job
        self._driver = compile_module(driver_ir(host_target()), host_target())
        self._barrier = aligned(BARRIER_BYTES)
        for instance, place in ((self._main, Job.STEP), (self._last, Job.LAST_STEP)):
            layout = instance.compiled.text.results[self._loss][0]
            memory = instance.arena if layout.base == "arena" else instance.state
            job[place] = instance.compiled.module.address("step")
            job[place + 1] = instance.context.ctypes.data
            job[place + 2] = memory.ctypes.data + layout.offset
            job[Job.LOSS_IS_DOUBLE] = int(layout.dtype.value == "float64")
        stride = order_stride(self.batch_size)
        block = max(1, min(256, ORDER_BYTES // (8 * stride)))
        self._order = np.zeros((block + 1) * stride, dtype=np.int64)  # the last step looks ahead, too
        job[Job.ROWS], job[Job.BATCH], job[Job.STEPS_PER_EPOCH] = self.rows, self.batch_size, self.steps_per_epoch
        job[Job.SHUFFLE], job[Job.BITS] = int(self.shuffle), max(SMALLEST_BITS, (self.rows - 1).bit_length())
        job[Job.ORDER], job[Job.ORDER_STRIDE], job[Job.BLOCK] = self._order.ctypes.data, stride, block
        job[Job.SCALARS_STRIDE], job[Job.BARRIER] = 8 * self._scalars, self._barrier.ctypes.data

    def run(self, first_step: int, scalars: Array) -> Array:
        """Run steps, numbered through the whole training.

        Args:
            first_step: the number of the first, from 0.
            scalars: (steps, numbers), float64.

        Returns:
            The loss of each step, float64; fewer than asked for where one is not finite: that one is the last.
        """
        given = np.ascontiguousarray(scalars, dtype=np.float64)
        losses = np.zeros(max(len(given), 1), dtype=np.float64)
        done = 0

        def steps(start: int, count: int, threads: int) -> bool:
            nonlocal done
            done += self._call(first_step + start, given[start:], losses[start:], count, threads)
            return done == start + count

        self._crew.run(len(given), steps)
        return losses[:done]

    def _call(self, first_step: int, scalars: Array, losses: Array, count: int, threads: int) -> int:
        """One native call; how many steps it has done."""
        first_epoch = first_step // self.steps_per_epoch
        keys = self._keys(first_epoch, (first_step + max(count, 1) - 1) // self.steps_per_epoch)
        job = self._job
        job[Job.FIRST], job[Job.COUNT], job[Job.FIRST_EPOCH], job[Job.DONE] = first_step, count, first_epoch, 0
        job[Job.KEYS], job[Job.SCALARS], job[Job.LOSSES] = keys.ctypes.data, scalars.ctypes.data, losses.ctypes.data
        self._drive(threads)
        return int(job[Job.DONE])

    def _drive(self, threads: int) -> None:
        """The native call of the job as it stands."""
        run_on(threads, self._driver.address("drive"), self._job.ctypes.data)

    @property
    def threads_used(self) -> int:
        """How many threads run the steps at present."""
        return self._crew.threads

    def _keys(self, first: int, last: int) -> Array:
        """The keys of the epochs' orders, eight numbers for each; many epochs' are found at a time."""
        if not self.shuffle:
            return self._known_keys
        if not self._known_from <= first <= last < self._known_from + len(self._known_keys):
            epochs = np.arange(first, max(last + 1, first + KEYS_AT_ONCE), dtype=np.uint64)[:, None]
            counter = (np.arange(ROUNDS, dtype=np.uint64)[None, :], 0, epochs & 0xFFFFFFFF, epochs >> np.uint64(32))
            words = philox.philox4x32(counter, philox.key(self.order_seed, "order"))[0]
            self._known_from, self._known_keys = first, words.astype(np.int64)
        return self._known_keys[first - self._known_from :]

    def read(self) -> dict[str, Array]:
        """Copies of the whole state, by input."""
        held = self._main.compiled.text.state
        return {name: self._main.read(name) for name in self._names if name in held}

    def views(self) -> Iterator[Array]:
        """The whole state, array by array, where it lies: to be looked at before the next steps."""
        held = self._main.compiled.text.state
        return (view(self._main.state, held[name]) for name in self._names if name in held)

    def write(self, values: Mapping[str, Array]) -> None:
        """Set some of the state."""
        for name, value in values.items():
            self._main.write(name, value)

    @property
    def compiled(self) -> Compiled:
        """The program of whole batches."""
        return self._main.compiled


def is_finite(losses: Array) -> bool:
    """Whether the last of some losses is a number."""
    return not len(losses) or math.isfinite(float(losses[-1]))
