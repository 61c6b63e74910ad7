"""`fl.plan`: what a training will compute, hold in memory and take, told before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from fallline.engine.calibration import Limits, limits
from fallline.engine.compiled import choose_threads, program_text
from fallline.engine.compiler.program import Kernel, Leaves, ProgramText
from fallline.engine.memory import available_memory, in_units
from fallline.engine.prediction import Prediction, predict
from fallline.errors import ArgumentError
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType
from fallline.nn.losses import Loss
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y, check_network
from fallline.optim import Optimizer
from fallline.training.arguments import as_optimizer, one_of, rows_per_step, whole_number
from fallline.training.stand_in import one_row
from fallline.training.step import Rows, build_graph
from fallline.training.update_graph import UpdateGraph, slot_name, with_update


@dataclass(frozen=True)
class PlannedKernel:
    """Kernels of a step that share their code.

    Attributes:
        part: "forward", "backpropagation", "gradient descent", or several, joined by " + ".
        what: what they compute, and of what size.
        calls: how many there are in a step.
        multiply_adds: of all of them.
        bytes: read and written by all of them.
        predicted_seconds: of all of them.
    """

    part: str
    what: str
    calls: int
    multiply_adds: int
    bytes: int
    predicted_seconds: float


@dataclass(frozen=True)
class Plan:
    """What a training will compute, hold and take; `str()` tells it in three lines.

    Attributes:
        parameters: weights and biases, one by one.
        batch_size: rows of a step.
        rows: rows to train on, or None where neither x nor rows was given.
        threads: how many will run each step, at most.
        multiply_adds_per_step: of the products, forward, backpropagation and gradient descent together.
        arena_bytes: memory of a step's intermediate results; of the last, smaller batch, too.
        state_bytes: memory of weights, buffers and the optimizer's arrays.
        data_bytes: of x, y and weights, or None.
        available_bytes: what this process may still take, or None where the system does not tell.
        stages: parts of a step between which all threads meet.
        steps_per_epoch: or None.
        predicted_seconds_per_step: from this machine's limits, measured in about 0.2 s at the first plan.
        predicted_seconds_per_epoch: the steps alone, without validation and metrics; or None.
        kernels: the step's kernels, in the order of their first calls.
        limits: of this machine.
    """

    parameters: int
    batch_size: int
    rows: int | None
    threads: int
    multiply_adds_per_step: int
    arena_bytes: int
    state_bytes: int
    data_bytes: int | None
    available_bytes: int | None
    stages: int
    steps_per_epoch: int | None
    predicted_seconds_per_step: float
    predicted_seconds_per_epoch: float | None
    kernels: tuple[PlannedKernel, ...]
    limits: Limits

    @property
    def fits(self) -> bool:
        """Whether arena and state fit into the memory that is available now."""
        return self.available_bytes is None or self.arena_bytes + self.state_bytes <= self.available_bytes

    @property
    def memory(self) -> str:
        """The memory in one line."""
        told = f"{in_units(self.arena_bytes)} for intermediate results (arena), "
        told += f"{in_units(self.state_bytes)} for weights and optimizer state"
        if self.data_bytes is not None:
            told += f", {in_units(self.data_bytes)} for data"
        if self.available_bytes is None:
            return told
        free = f"{in_units(self.available_bytes)} are available"
        return f"{told}; {free}" if self.fits else f"{told}: too much, {free}"

    def __str__(self) -> str:
        kernels = sum(kernel.calls for kernel in self.kernels)
        rows = "1 row" if self.batch_size == 1 else f"{self.batch_size:,} rows"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        time = f"about {duration(self.predicted_seconds_per_step)} per step on {threads}"
        if self.steps_per_epoch is not None and self.predicted_seconds_per_epoch is not None:
            steps = "1 step" if self.steps_per_epoch == 1 else f"{self.steps_per_epoch:,} steps"
            time += f"; {steps} per epoch: {duration(self.predicted_seconds_per_epoch)}"
        lines = (
            ("network", f"{self.parameters:,} parameters"),
            (
                "step",
                f"{rows}, {self.multiply_adds_per_step:,} multiply-adds, {kernels} kernels in {self.stages} stages",
            ),
            ("memory", self.memory),
            ("time", time),
        )
        return "\n".join(f"{word:<9}{text}" for word, text in lines)


def plan(
    net: Module,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | str = 32,
    rows: int | None = None,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    dtype: str = "float32",
    shards: int = 1,
    threads: int | None = None,
) -> Plan:
    """Tell what `fl.fit` with the same arguments would compute, hold in memory and take. Nothing is trained.

    Args:
        net: the network.
        x: inputs (rows, …); where it is not given, a row is as the network has seen it before, or as its first
            layer takes it.
        y: targets; where they are not given, such as fit the loss.
        batch_size: rows per step, or "all".
        rows: how many rows there will be, where x is not given or is only a part of them.
        loss, optimizer, clip_norm, clip_value, dtype, shards: as in `fl.fit`.
        sample_weight, class_weight: as in `fl.fit`; only whether there are any counts.
        threads: how many run each step; None chooses as `fl.fit` does.

    Returns:
        The `Plan`. The prediction foresees no busy neighbour, and not the work between epochs.

    Raises:
        ArgumentError, ShapeError, KindError: saying which argument, what was needed and what was found.
        CompileError: the network cannot be compiled, so nothing is planned.
    """
    check_network(net, "plan")
    one_of("dtype", dtype, ("float32", "float64"), "plan")
    chosen, rule = get_loss(loss), as_optimizer(optimizer, "plan")
    sample = one_row(net, x, y, chosen, sample_weight is not None or class_weight is not None, dtype)
    count = _rows(x, y, rows)
    if batch_size == "all" and count is None:
        raise ArgumentError("plan: batch_size='all' needs to know how many rows there are; give x or rows")
    batch = rows_per_step(batch_size, 2**62 if count is None else count, "plan")
    update = step_graph(net, sample, chosen, rule, dtype, clip_value, clip_norm)
    cut = whole_number("shards", shards, 1, "plan")
    wanted = None if threads is None else whole_number("threads", threads, 1, "plan")
    texts = [_program(update, sample, size, cut) for size in _batches(batch, count)]
    return _plan(net, sample, texts, count, batch, wanted or choose_threads(texts[0]), wanted is not None)


def step_graph(
    net: Module, rows: Rows, loss: Loss, optimizer: Optimizer, dtype: str, clip_value: Any, clip_norm: Any
) -> UpdateGraph:
    """The graph of a training step as `fl.fit` compiles it."""
    graph = build_graph(net, rows, loss, training=True, backward=True)
    return with_update(
        graph if dtype == "float32" else retype_floats(graph, DType(dtype)), optimizer, clip_value, clip_norm
    )


def gathered(kernels: Sequence[Kernel]) -> list[list[int]]:
    """The places of kernels that share their code, in the order of their first calls."""
    places: dict[str, list[int]] = {}
    for place, kernel in enumerate(kernels):
        places.setdefault(kernel.name, []).append(place)
    return list(places.values())


def in_words(kernel: Kernel) -> str:
    """What a kernel computes, and of what size: "product 32×64×128: matmul, add, relu"."""
    kind, _, ops = kernel.what.partition(": ")
    told = f"{kind} {kernel.size}".rstrip()
    return told if ops == kind else f"{told}: {', '.join(ops.split())}"


def duration(seconds: float) -> str:
    """Seconds with three digits and the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:,.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _rows(x: Any, y: Any, rows: int | None) -> int | None:
    if x is not None and y is not None and len(x) != len(y):
        raise ArgumentError(f"plan: x has {len(x)} rows but y has {len(y)}; they must agree")
    if rows is not None:
        return whole_number("rows", rows, 1, "plan")
    return None if x is None else len(x)


def _batches(batch: int, rows: int | None) -> list[int]:
    """The sizes of an epoch's batches: the whole ones', and the last one's if it is smaller."""
    rest = 0 if rows is None else rows % batch
    return [batch, rest] if rest else [batch]


def _program(update: UpdateGraph, sample: Rows, batch: int, shards: int) -> ProgramText:
    """The program of a step, as `CompiledStepper` has it made."""
    slots = [slot_name(slot, name) for slot, name in update.slots]
    leaves = Leaves(
        rows=(X, Y) if sample.weight is None else (X, Y, SAMPLE_WEIGHT),
        state=(*update.parameters, *update.buffers, *slots),
        scalars=(DENOMINATOR, *update.scalars),
        step=STEP,
        seed=SEED,
        updates=update.updates,
    )
    return program_text(update.graph, {BATCH.name: batch}, leaves, shards)


def _plan(
    net: Module, sample: Rows, texts: list[ProgramText], rows: int | None, batch: int, threads: int, fixed: bool
) -> Plan:
    """What the programs of whole and of last batches need."""
    main = texts[0]
    arrays = [array for array in (sample.x, sample.y, sample.weight) if array is not None]
    row_bytes = sum(array.nbytes for array in arrays)
    sizes = _batches(batch, rows)
    steps = None if rows is None else -(-rows // batch)
    data = row_bytes * (rows or batch)
    # Where the number of threads is left to it, the engine goes on with one while neighbours hold the others up.
    choices = [_predictions(texts, sizes, count, data) for count in sorted({threads, threads if fixed else 1})]
    predicted = min(choices, key=lambda predictions: predictions[0].seconds)
    seconds = [prediction.seconds for prediction in predicted]
    return Plan(
        parameters=sum(math.prod(cast(Any, parameter.shape)) for parameter in net.named_parameters().values()),
        batch_size=batch,
        rows=rows,
        threads=threads,
        multiply_adds_per_step=sum(kernel.multiply_adds for kernel in main.kernels),
        arena_bytes=sum(text.arena_bytes for text in texts),
        state_bytes=main.state_bytes,
        data_bytes=None if rows is None else rows * row_bytes,
        available_bytes=available_memory(),
        stages=main.stages,
        steps_per_epoch=steps,
        predicted_seconds_per_step=seconds[0],
        predicted_seconds_per_epoch=None if steps is None else seconds[0] * (steps - len(sizes) + 1) + sum(seconds[1:]),
        kernels=_kernels(main.kernels, predicted[0].kernels),
        limits=limits(threads),
    )


def _predictions(texts: list[ProgramText], sizes: list[int], threads: int, data_bytes: int) -> list[Prediction]:
    """The time of a whole batch's step, and of the last batch's."""
    return [
        predict(
            text.kernels,
            limits(threads),
            batch=size,
            program_bytes=text.arena_bytes + text.state_bytes,
            data_bytes=data_bytes,
        )
        for text, size in zip(texts, sizes, strict=True)
    ]


def _kernels(kernels: Sequence[Kernel], seconds: Sequence[float]) -> tuple[PlannedKernel, ...]:
    """The kernels of a step, those with the same code together."""
    return tuple(
        PlannedKernel(
            part=kernels[places[0]].part,
            what=in_words(kernels[places[0]]),
            calls=len(places),
            multiply_adds=sum(kernels[place].multiply_adds for place in places),
            bytes=sum(kernels[place].bytes for place in places),
            predicted_seconds=sum(seconds[place] for place in places),
        )
        for places in gathered(kernels)
    )
