"""The compiled engine: a graph as a native program, called once, or step after step by `epochs.py`."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.compiler.barrier import BARRIER_BYTES
from fallline.engine.compiler.evaluator import ARENA, BARRIER, INPUTS, KEYS, PROFILE, ROWS, SCALARS, STATE, STEP
from fallline.engine.compiler.layout import Layout, order_stride
from fallline.engine.compiler.program import Leaves, ProgramText, write_program
from fallline.engine.native import NativeModule, compile_module
from fallline.engine.target import host_target
from fallline.engine.threads import default_threads, run_on
from fallline.errors import ArgumentError, ShapeError
from fallline.ir.graph import Graph
from fallline.ir.kernel import Random
from fallline.ir.serialize import graph_to_json
from fallline.ir.types import BATCH, bind, format_shape
from fallline.ops import philox
from fallline.ops.indexing import check_indices

Array = NDArray[Any]
log = logging.getLogger("fallline")
MOST_KEPT = 128
FLOPS, BYTES_PER_SECOND = 8e10, 4e10
"""What one thread computes and moves in a second, roughly: enough to choose the number of threads."""
SECONDS_PER_THREAD = 1.5e-5
"""Each thread must have so much work in a step."""
_kept: "OrderedDict[Any, Compiled]" = OrderedDict()
_lock = RLock()


class Compiled:
    """A program's text and its native code, without memory of its own: shared by all that run it.

    Attributes:
        text: the layouts and kernels.
        batch: rows of the batch it is made for.
    """

    def __init__(
        self, graph: Graph, sizes: Mapping[str, int], leaves: Leaves, shards: int = 1, profile: bool = False
    ) -> None:
        self._target = host_target()
        self.text: ProgramText = write_program(graph, sizes, leaves, self._target, shards, profile)
        self.batch = sizes.get(BATCH.name, 1)

    @cached_property
    def module(self) -> NativeModule:
        """The native code, which LLVM makes when it is first asked for."""
        return compile_module(self.text.text, self._target)


def compile_graph(
    graph: Graph, sizes: Mapping[str, int], leaves: Leaves, shards: int = 1, profile: bool = False
) -> Compiled:
    """The program of a graph for known sizes; the same one again for an equal graph.

    Raises:
        CompileError: the graph holds something that has no schedule, or LLVM refused the program.
    """
    with _lock:
        found = _written(graph, sizes, leaves, shards, profile)
        found.module  # noqa: B018 – what LLVM refuses is refused here
        return found


def program_text(graph: Graph, sizes: Mapping[str, int], leaves: Leaves, shards: int = 1) -> ProgramText:
    """Layouts and kernels of a program that need not be run; `compile_graph` goes on from there.

    Raises:
        CompileError: the graph holds something that has no schedule.
    """
    return _written(graph, sizes, leaves, shards, False).text


def _written(graph: Graph, sizes: Mapping[str, int], leaves: Leaves, shards: int, profile: bool) -> Compiled:
    key = (*_key(graph, sizes, leaves), shards, profile)
    with _lock:
        found = _kept.get(key)
        if found is None:
            found = _kept[key] = Compiled(graph, sizes, leaves, shards, profile)
            if len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return found


def _key(graph: Graph, sizes: Mapping[str, int], leaves: Leaves) -> Any:
    """What decides a program: equal keys are equal programs."""
    arrays: dict[str, Array] = {}
    data = repr(graph_to_json(graph, arrays))
    held = tuple((name, array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items())
    updates = tuple(leaves.updates.items())
    named = (leaves.rows, leaves.state, leaves.scalars, leaves.step, leaves.seed, updates)
    return data, held, tuple(sizes.items()), named, host_target()


class Instance:
    """A compiled program with memory: an arena of its own, and a state that others may share.

    Args:
        compiled: the program.
        state: the memory of the state (`new_state`), shared with other instances of the same layout.
    """

    def __init__(self, compiled: Compiled, state: Array | None = None) -> None:
        text = compiled.text
        self.compiled = compiled
        self.state = aligned(text.state_bytes) if state is None else state
        self.arena = aligned(text.arena_bytes)
        self.barrier = aligned(BARRIER_BYTES)
        self.keys = np.zeros(2 * max(1, len(text.streams)), dtype=np.int64)
        self.context = np.zeros(INPUTS + max(1, len(text.inputs)), dtype=np.int64)
        for place, array in ((ARENA, self.arena), (STATE, self.state), (BARRIER, self.barrier), (KEYS, self.keys)):
            self.context[place] = array.ctypes.data
        self._bound: dict[str, Array] = {}
        self.profile = np.zeros((0, 0), dtype=np.int64)
        for value, layout in text.constants:
            view(self.arena, layout)[...] = value

    def profile_threads(self, threads: int) -> None:
        """Begin a new table of ticks, (threads, kernels + 1), whose last column is waiting."""
        self.profile = np.zeros((threads, len(self.compiled.text.kernels) + 1), dtype=np.int64)
        self.context[PROFILE] = self.profile.ctypes.data

    def seed(self, seed: int) -> None:
        """The seed of all random streams."""
        for place, (purpose, stream) in enumerate(self.compiled.text.streams):
            self.keys[2 * place : 2 * place + 2] = philox.key(seed, purpose, stream)

    def bind_rows(self, name: str, array: Array) -> None:
        """The data set's array of an input; contiguous, of the input's dtype.

        Raises:
            ArgumentError: it holds row numbers, and one of them is out of range.
        """
        self._check_indices(name, array)
        if name in self.compiled.text.inputs:
            self._bound[name] = array
            self.context[INPUTS + self.compiled.text.inputs.index(name)] = array.ctypes.data

    def write(self, name: str, value: Any) -> None:
        """Set an input that lives in the state."""
        layout = self.compiled.text.state.get(name)
        if layout is not None:
            self._check_indices(name, value)
            view(self.state, layout)[...] = value

    def _check_indices(self, name: str, array: Any) -> None:
        for checked, rows in self.compiled.text.indices:
            if checked == name and np.size(array) and (np.min(array) < 0 or np.max(array) >= rows):
                check_indices(np.asarray(array), rows, "take")

    def read(self, name: str) -> Array:
        """A copy of an input that lives in the state."""
        return view(self.state, self.compiled.text.state[name]).copy()

    def result(self, name: str) -> Array:
        """A copy of an output."""
        layout, offset, strides, shape = self.compiled.text.results[name]
        memory = self.arena if layout.base == "arena" else self.state
        size = np.dtype(layout.dtype.value).itemsize
        place = layout.offset + offset * size
        bytes_ = tuple(stride * size for stride in strides)
        found: Array = np.ndarray(shape, layout.dtype.value, memory.data, place, bytes_)
        return found.copy()

    def run(self, rows: Array, scalars: Array, step: int = 0, threads: int = 1) -> None:
        """One step: the rows' numbers (int64), the step's numbers (float64)."""
        self.context[ROWS], self.context[SCALARS], self.context[STEP] = rows.ctypes.data, scalars.ctypes.data, step
        run_on(threads, self.compiled.module.address("run"), self.context.ctypes.data)


class CompiledProgram:
    """A graph made ready for one number of rows; called like `ReferenceProgram`.

    Inputs whose first axis is the batch are read where they lie; the others are copied in.

    Args:
        graph: what to compute.
        sizes: the value of each symbolic dimension.
        shards: fixed slices over which sums over rows are cut.
        threads: how many run it; None chooses by its work.

    Raises:
        CompileError: the graph cannot be compiled.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], shards: int = 1, threads: int | None = None) -> None:
        seed, step = _random_inputs(graph)
        names = [name for name in graph.inputs if name not in (seed, step)]
        rows = tuple(name for name in names if graph.inputs[name].type.shape[:1] == (BATCH,))
        state = tuple(name for name in names if name not in rows)
        self._leaves = Leaves(rows=rows, state=state, step=step, seed=seed)
        self._instance = Instance(compile_graph(graph, sizes, self._leaves, shards))
        self._types = {name: graph.inputs[name].type for name in rows}
        self._outputs = tuple(graph.outputs)
        self._rows = max(1, sizes.get(BATCH.name, 1))
        self._order = np.zeros(2 * order_stride(self._rows), dtype=np.int64)
        self._scalars = np.zeros(1)
        self._threads = threads or choose_threads(self.compiled.text)
        self._lock = RLock()

    @property
    def compiled(self) -> Compiled:
        """The program."""
        return self._instance.compiled

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs."""
        with self._lock:
            held = self._given(inputs, self._rows)
            self._run(0, self._rows)
            del held
            return {name: self._instance.result(name) for name in self._outputs}

    def chunked(self, inputs: Mapping[str, Array], count: int) -> dict[str, Array]:
        """Compute outputs that have a row for each row of the inputs, for any number of rows, chunk by chunk."""
        with self._lock:
            held = self._given(inputs, count)
            parts: dict[str, list[Array]] = {name: [] for name in self._outputs}
            for start in range(0, count, self._rows):
                size = min(self._rows, count - start)
                self._run(start, size)
                for name in self._outputs:
                    found = self._instance.result(name)
                    parts[name].append(found[: len(found) // self._rows * size])
            del held
            return {name: part[0] if len(part) == 1 else np.concatenate(part) for name, part in parts.items()}

    def _given(self, inputs: Mapping[str, Array], count: int) -> list[Array]:
        """Copy in or bind the inputs for so many rows; what is returned must live as long as the call."""
        text, leaves = self.compiled.text, self._leaves
        for name in (*text.inputs, *text.state, *((leaves.seed, leaves.step) if text.streams else ())):
            if name is not None and name not in inputs:
                given = ", ".join(inputs) or "none"
                raise ArgumentError(f"the program needs the input {name!r}; given were {given}")
        held = []
        for name in text.inputs:
            held.append(np.ascontiguousarray(inputs[name], dtype=self._types[name].dtype.value))
            _check_shape(name, held[-1], bind(self._types[name].shape, {BATCH.name: count}))
            self._instance.bind_rows(name, held[-1])
        for name, layout in text.state.items():
            _check_shape(name, inputs[name], layout.shape)
            self._instance.write(name, inputs[name])
        if leaves.seed is not None and leaves.seed in inputs:
            self._instance.seed(int(inputs[leaves.seed]))
        self._step = int(inputs[leaves.step]) if leaves.step is not None and leaves.step in inputs else 0
        return held

    def _run(self, start: int, size: int) -> None:
        """One call on rows start … start + size − 1; places beyond them repeat the last."""
        self._order[:] = start + max(size - 1, 0)
        self._order[:size] = np.arange(start, start + size)
        self._instance.run(self._order, self._scalars, self._step, self._threads)


def _check_shape(name: str, value: Any, needed: tuple[int, ...]) -> None:
    if np.shape(value) != needed:
        raise ShapeError(f"input {name!r}: need shape {format_shape(needed)}, found {format_shape(np.shape(value))}")


def _random_inputs(graph: Graph) -> tuple[str | None, str | None]:
    """The names of the inputs that random numbers take their seed and their step from."""
    names = {id(node): name for name, node in graph.inputs.items()}
    for node in graph.nodes():
        if isinstance(node.op.kernel, Random):
            seed, step = node.inputs
            return names.get(id(seed)), names.get(id(step))
    return None, None


def choose_threads(text: ProgramText) -> int:
    """As many threads as a step's work is worth: one for small steps, for which meeting costs more than it saves."""
    work = sum(2 * kernel.multiply_adds / FLOPS + kernel.bytes / BYTES_PER_SECOND for kernel in text.kernels)
    widest = max((kernel.units for kernel in text.kernels), default=1)
    return max(1, min(default_threads(), widest, int(work / SECONDS_PER_THREAD)))


def aligned(size: int) -> Array:
    """That many zero bytes, beginning at a multiple of 64."""
    memory = np.zeros(size + 128, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size + 64]


def view(memory: Array, layout: Layout) -> Array:
    """A tensor of the state or the arena, in place; truth values as bytes."""
    size = np.dtype(layout.dtype.value).itemsize
    strides = tuple(stride * size for stride in layout.strides)
    found: Array = np.ndarray(layout.shape, layout.dtype.value, memory.data, layout.offset, strides)
    return found
