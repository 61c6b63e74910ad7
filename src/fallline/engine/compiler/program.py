"""From a graph to the text of a native program: simplified, grouped, staged, laid out, and written kernel by kernel."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fallline.engine.compiler.barrier import barrier_ir, floating_point_ir
from fallline.engine.compiler.code import BYTES, Code, Value, i64
from fallline.engine.compiler.columns_kernel import column_units, emit_columns
from fallline.engine.compiler.evaluator import (
    ARENA,
    BARRIER,
    KERNEL_PARAMETERS,
    PROFILE,
    ROWS,
    SCALARS,
    STATE,
    STEP,
    Bindings,
    Evaluator,
)
from fallline.engine.compiler.group import Group, Kind
from fallline.engine.compiler.groups import Grouping
from fallline.engine.compiler.index import base_of
from fallline.engine.compiler.layout import Layout, Memory
from fallline.engine.compiler.product_kernel import (
    emit_product_kernel,
    emit_transpose_kernel,
    product_units,
    transpose_units,
)
from fallline.engine.compiler.row_numbers import checked_inputs
from fallline.engine.compiler.rows_kernel import emit_rows, spilled, units
from fallline.engine.compiler.scatter_kernel import emit_scatter, scatter_units
from fallline.engine.compiler.simplify import Simplified
from fallline.engine.compiler.stages import assign_stages
from fallline.engine.compiler.work import work_of
from fallline.engine.target import Target
from fallline.errors import CompileError, FalllineError
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Elementwise, Leaf, Random
from fallline.ir.types import BATCH, DType

STEP_PARAMETERS = "ptr %context, ptr %rows, ptr %scalars, i64 %step, i64 %thread, i64 %threads"
DEEPEST = 1000
"""Elementwise nodes one behind the other. Values are found by calls within calls, of which Python allows no more."""


@dataclass(frozen=True)
class Leaves:
    """What a graph's inputs are to its program.

    Attributes:
        rows: those that lie in the data set, of which each step takes the rows of its batch.
        state: those that live in the program's memory from step to step.
        scalars: those that are given as one number for each step, in this order.
        step, seed: the step's number, and the seed of random streams.
        updates: state input → the output that replaces it at the end of each step.
    """

    rows: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    step: str | None = None
    seed: str | None = None
    updates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kernel:
    """One kernel of a program, as plans and profiles tell of it; see `work.py` for its work."""

    name: str
    what: str
    stage: int
    units: int
    multiply_adds: int
    bytes: int
    tensors: tuple[tuple[str, int], ...] = ()
    part: str = ""
    size: str = ""
    instructions: int = 0
    rows: int = 0


@dataclass
class ProgramText:
    """A program before it is compiled.

    Attributes:
        text: LLVM IR with the functions `step` (one step) and `run` (a call of it from outside).
        state: where each state input lies.
        results: output → (layout, offset and strides in elements), for outputs that are no updates.
        constants: arrays and where they go in the arena.
        streams: (purpose, name) of each random stream, in the order of the keys.
        inputs: names of the data set's inputs, in the order of the context.
        indices: inputs that are used as row numbers, with the number of rows that they count: to be checked.
    """

    text: str
    kernels: list[Kernel]
    state: dict[str, Layout]
    results: dict[str, tuple[Layout, int, tuple[int, ...], tuple[int, ...]]]
    constants: list[tuple[object, Layout]]
    streams: list[tuple[str, str]]
    inputs: list[str]
    indices: list[tuple[str, int]]
    arena_bytes: int
    state_bytes: int
    stages: int


def write_program(
    graph: Graph, sizes: Mapping[str, int], leaves: Leaves, target: Target, shards: int = 1, profile: bool = False
) -> ProgramText:
    """Write the program of a graph for known sizes.

    With `profile`, each thread adds the ticks that each kernel takes to a table of its own, with the waiting at
    barriers behind the kernels.

    Raises:
        CompileError: the graph holds something that has no schedule.
    """
    _refuse_deep(graph)
    try:
        writer = _Writer(graph, sizes, leaves, target, shards)
        writer.profile = profile
        return writer.program()
    except FalllineError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # a graph from a stranger's file may hold anything; whatever it trips, the reference engine can still try
        raise CompileError(f"the compiled engine failed on this graph ({type(error).__name__}: {error})") from error


def _refuse_deep(graph: Graph) -> None:
    """Raise at once where elementwise nodes follow one another farther than Python's stack reaches."""
    depths: dict[int, int] = {}
    for node in graph.nodes():
        below = max((depths[id(parent)] for parent in node.inputs), default=0)
        depths[id(node)] = below + 1 if isinstance(node.op.kernel, Elementwise) else 0
        if below >= DEEPEST:
            raise CompileError("the graph is too deep for the compiler")


class _Writer:
    profile = False

    def __init__(self, graph: Graph, sizes: Mapping[str, int], leaves: Leaves, target: Target, shards: int) -> None:
        self.target, self.leaves, self.batch = target, leaves, sizes.get(BATCH.name, 1)
        self.simplified = Simplified(graph, sizes, shards)
        inputs = self.simplified.graph.inputs
        for name in leaves.updates:  # also a state that nothing reads is kept
            inputs.setdefault(name, graph.inputs[name])
        outputs = self.simplified.graph.outputs
        self.rows = {id(inputs[name]): name for name in leaves.rows if name in inputs}
        self.grouping = Grouping(self.simplified, [inputs[name] for name in leaves.rows if name in inputs])
        for group in self.grouping.groups:
            group.stored += [node for node in spilled(group, self.grouping) if node not in group.stored]
        updates = self._updates(inputs, outputs)
        in_place = assign_stages(self.grouping, updates)
        self.late = {key: leaf for key, leaf in updates.items() if key not in in_place}
        state = {id(inputs[name]): name for name in leaves.state if name in inputs}
        results = {id(base_of(node, self.grouping.stored_views)) for name, node in outputs.items()} - set(in_place)
        self.memory = Memory(self.grouping, state, self.rows, in_place, results)
        self.bindings = self._bind(inputs)
        self.declarations: set[str] = set()

    def _updates(self, inputs: Mapping[str, Node], outputs: Mapping[str, Node]) -> dict[int, Node]:
        updates: dict[int, Node] = {}
        for name, output in self.leaves.updates.items():
            if name in inputs:
                updates[id(outputs[output])] = inputs[name]
        if len(updates) != sum(name in inputs for name in self.leaves.updates):
            raise CompileError(
                "two updates of one step are the same tensor, which the compiled engine cannot store twice"
            )
        return updates

    def _bind(self, inputs: Mapping[str, Node]) -> Bindings:
        bindings = Bindings()
        bindings.scalars = {id(inputs[name]): place for place, name in enumerate(self.leaves.scalars) if name in inputs}
        bindings.inputs = {name: place for place, name in enumerate(self.rows.values())}
        if self.leaves.step in inputs:
            bindings.step = id(inputs[str(self.leaves.step)])
        random = [node for node in self.grouping.nodes if isinstance(node.op.kernel, Random)]
        bindings.streams = {id(node): place for place, node in enumerate(random)}
        seed = inputs.get(str(self.leaves.seed))
        known = set(bindings.scalars) | set(self.memory.layouts) | {bindings.step, id(seed)}
        for node in self.grouping.nodes:
            if (seed in node.inputs and node not in random) or any(n.inputs[0] is not seed for n in random):
                raise CompileError("the compiled engine needs the seed of random numbers to be the program's seed")
            if (
                isinstance(node.op.kernel, Leaf)
                and node.op.name == "input"
                and id(node) not in known
                and id(node) not in self.rows
            ):
                raise CompileError(f"the program's input {node.attributes.get('name')!r} was given no place")
        return bindings

    def program(self) -> ProgramText:
        """All kernels, and the function that calls them."""
        parts: list[str] = [barrier_ir(self.target), floating_point_ir(self.target)]
        kernels: list[Kernel] = []
        written: dict[str, str] = {}
        for group in self.grouping.groups:
            code, evaluator, count = self._kernel(group)
            text = code.text()
            if text not in written:  # layers of equal shape share one kernel
                written[text] = f"kernel{len(written)}"
                parts.append(text.replace("@KERNEL(", f"@{written[text]}(", 1))
                self.declarations |= code.declarations
            kernels.append(self._described(written[text], group, count, tuple(evaluator.tensors)))
        kernels += self._late_copies(parts, kernels)
        parts += [self._step(kernels), _RUN]
        text = "\n".join(sorted(self.declarations)) + "\n" + "\n".join(parts)
        outputs = self.simplified.graph.outputs
        updated = set(self.leaves.updates.values())
        random = [node for node in self.grouping.nodes if isinstance(node.op.kernel, Random)]
        return ProgramText(
            text=text,
            kernels=kernels,
            state=self.memory.state,
            results={name: self._result(node) for name, node in outputs.items() if name not in updated},
            constants=[(node.attributes["value"], layout) for node, layout in self.memory.constants],
            streams=[(str(node.attributes["purpose"]), str(node.attributes["stream"])) for node in random],
            inputs=list(self.bindings.inputs),
            indices=checked_inputs(self.simplified.graph, self.grouping.nodes),
            arena_bytes=self.memory.arena_bytes,
            state_bytes=self.memory.state_bytes,
            stages=1 + max((kernel.stage for kernel in kernels), default=0),
        )

    def _result(self, node: Node) -> tuple[Layout, int, tuple[int, ...], tuple[int, ...]]:
        stored, offset, strides = self.memory.view(node)
        return self.memory.layouts[id(stored)], offset, strides, node.type.shape  # type: ignore[return-value]

    def _kernel(self, group: Group) -> tuple[Code, Evaluator, int]:
        code = Code("KERNEL", "", "noinline")
        evaluator = Evaluator(code, group, self.grouping, self.memory, self.bindings)
        if group.kind is Kind.PRODUCT:
            emit_product_kernel(evaluator, group, self.target)
            count = product_units(evaluator, group, self.target, self.batch)
        else:
            count = self._write_loops(evaluator, group)
        tensors = "".join(f"ptr noalias {register}, " for register in evaluator.tensors.values())
        code.parameters = tensors + KERNEL_PARAMETERS
        return code, evaluator, count

    def _write_loops(self, evaluator: Evaluator, group: Group) -> int:
        schedules: dict[Kind, tuple[Callable[[Evaluator, Group], None], Callable[[Group], int]]] = {
            Kind.COLUMNS: (emit_columns, column_units),
            Kind.SCATTER: (emit_scatter, scatter_units),
            Kind.TRANSPOSE: (emit_transpose_kernel, transpose_units),
        }
        if group.kind in schedules:
            emit, count = schedules[group.kind]
            emit(evaluator, group)
            return count(group)
        emit_rows(evaluator, group)
        return units(group, self.batch)

    def _described(self, name: str, group: Group, count: int, tensors: tuple[tuple[str, int], ...]) -> Kernel:
        work = work_of(group, self.grouping, self.memory)
        what = f"{group.kind}: {' '.join(dict.fromkeys(node.op.name for node in group.nodes))}"
        own = (work.part, work.size, work.instructions, work.rows)
        return Kernel(name, what, group.stage, count, work.multiply_adds, work.bytes, tensors, *own)

    def _late_copies(self, parts: list[str], kernels: list[Kernel]) -> list[Kernel]:
        """Updates that could not be made in place, copied at the end of the step."""
        stage = 1 + max((kernel.stage for kernel in kernels), default=0)
        copies: list[Kernel] = []
        by_id = {id(node): node for node in self.simplified.graph.outputs.values()}
        for key, leaf in self.late.items():
            layout = self.memory.layouts[id(leaf)]
            stored, offset, strides = self.memory.view(by_id[key])
            source = self.memory.layouts[id(stored)]
            if strides != source.strides or offset or source.base not in ("arena", "state"):
                raise CompileError("an update that is a view of another tensor cannot be copied into place")
            name = f"copy{len(copies)}"
            code = Code(name, f"ptr %target, ptr %source, {KERNEL_PARAMETERS}", "noinline")
            with code.when(code.emit("icmp slt i64 %first, %last", DType.BOOL)):
                _copy_rows(code, source, layout)
            parts.append(code.text())
            self.declarations |= code.declarations
            tensors = ((layout.base, layout.offset), (source.base, source.offset))
            copies.append(Kernel(name, "copy: update", stage, 1, 0, 2 * layout.size, tensors))
        return copies

    def _step(self, kernels: list[Kernel]) -> str:
        """One step: the kernels stage by stage, each thread its share of each kernel's units."""
        code = Code("step", STEP_PARAMETERS, linkage="")
        pointers = {}
        for name, place in (("arena", ARENA), ("state", STATE), ("barrier", BARRIER)):
            pointers[name] = code.pointer(f"load ptr, ptr {code.at('%context', i64(8 * place))}, align 8")
        thread = Value("%thread", DType.INT64)
        following = code.add(thread, i64(1))
        clock = _Clock(code, self.target, len(kernels)) if self.profile else None
        own = code.emit(f"zext {code.emit('icmp eq i64 %thread, 0', DType.BOOL)} to i64", DType.INT64)
        shares = {1: (i64(0), own)}  # of so many units; of a single one thread 0 has all
        for number, kernel in enumerate(kernels):
            if number and kernel.stage != kernels[number - 1].stage:
                code.do(f"call void @barrier(ptr {pointers['barrier']}, i64 %threads)")
                if clock is not None:
                    clock.tick(len(kernels))
            if kernel.units not in shares:
                shares[kernel.units] = (_share(code, kernel.units, thread), _share(code, kernel.units, following))
            first, last = shares[kernel.units]
            context = "ptr %context, ptr %rows, ptr %scalars, i64 %step"
            tensors = "".join(f"ptr {code.at(pointers[base], i64(offset))}, " for base, offset in kernel.tensors)
            code.do(f"call void @{kernel.name}({tensors}{context}, {first}, {last})")
            if clock is not None:
                clock.tick(number)
        code.do(f"call void @barrier(ptr {pointers['barrier']}, i64 %threads)")
        if clock is not None:
            clock.tick(len(kernels))
        self.declarations |= code.declarations
        return code.text()


def _copy_rows(code: Code, source: Layout, target: Layout) -> None:
    """Copy a tensor, row by row, because the two may be padded differently."""
    size = BYTES[target.dtype]
    columns = target.shape[-1] if target.shape else 1
    leads = [layout.strides[-2] * size if len(layout.shape) > 1 else 0 for layout in (target, source)]
    with code.loop(i64(0), i64(math.prod(target.shape[:-1]))) as row:
        to, at = (
            code.at(f"%{name}", code.times(row.index, lead))
            for name, lead in zip(("target", "source"), leads, strict=True)
        )
        code.call_void("llvm.memcpy.p0.p0.i64", [f"ptr {to}", f"ptr {at}", f"i64 {columns * size}", "i1 false"])


def _share(code: Code, units: int, thread: Value) -> Value:
    """Where a thread's share of a kernel's units begins."""
    return code.emit(f"udiv {code.times(thread, units)}, %threads", DType.INT64)


class _Clock:
    """Adds the ticks since the last look to a place of the thread's row of the profile's table."""

    def __init__(self, code: Code, target: Target, kernels: int) -> None:
        self.code = code
        # AArch64's cycle counter is closed to programs; its steady counter is open
        self.name = "llvm.readcyclecounter" if target.triple.startswith("x86") else "llvm.readsteadycounter"
        table = code.pointer(f"load ptr, ptr {code.at('%context', i64(8 * PROFILE))}, align 8")
        self.table = code.at(table, code.times(Value("%thread", DType.INT64), 8 * (kernels + 1)))
        self.before = self._now()

    def _now(self) -> Value:
        return self.code.call(self.name, [], DType.INT64)

    def tick(self, place: int) -> None:
        """Add what has passed."""
        now = self._now()
        passed = self.code.emit(f"sub i64 {now.text}, {self.before.text}", DType.INT64)
        address = self.code.at(self.table, i64(8 * place))
        total = self.code.load(address, DType.INT64)
        self.code.store(self.code.emit(f"add i64 {total.text}, {passed.text}", DType.INT64), address)
        self.before = now


_RUN = f"""
define void @run(ptr %context, i64 %thread, i64 %threads) {{
  %mode = call i64 @enter_floating_point()
  %rows.at = getelementptr i64, ptr %context, i64 {ROWS}
  %rows = load ptr, ptr %rows.at, align 8
  %scalars.at = getelementptr i64, ptr %context, i64 {SCALARS}
  %scalars = load ptr, ptr %scalars.at, align 8
  %step.at = getelementptr i64, ptr %context, i64 {STEP}
  %number = load i64, ptr %step.at, align 8
  call void @step(ptr %context, ptr %rows, ptr %scalars, i64 %number, i64 %thread, i64 %threads)
  call void @leave_floating_point(i64 %mode)
  ret void
}}
"""
