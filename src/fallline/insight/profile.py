"""`fl.profile`: what each kernel of a training step takes, beside what this machine can do."""

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.calibration import limits
from fallline.engine.prediction import limit_seconds
from fallline.engine.profiled import ProfiledEpochs
from fallline.engine.ticks import seconds_per_tick
from fallline.errors import ArgumentError
from fallline.insight.profile_table import Profile, ProfiledKernel
from fallline.ir.types import DType
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import check_network
from fallline.optim import Optimizer
from fallline.training.arguments import as_optimizer, one_of, rows_per_step, seed_number, whole_number
from fallline.training.batches import Batches
from fallline.training.class_weight import row_weights
from fallline.training.plan import gathered, in_words, step_graph
from fallline.training.step import Rows, check_rows
from fallline.training.steppers import CompiledStepper, Snapshot

Array = NDArray[Any]
SECONDS = 0.4
"""Of a profile whose number of steps is not given."""
STRETCH_SECONDS = 0.003
"""Of steps that are measured together."""
MOST_TOGETHER = 4096
QUIET = 0.25
"""Of all stretches' times of a kernel, the one that counts is larger than this share of them: a neighbour that takes
the core away for a while spoils some stretches."""
LEAST_STRETCHES = 5


def profile(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    *,
    batch_size: int | str = 32,
    steps: int | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    seed: int = 0,
    shuffle: bool = True,
    dtype: str = "float32",
    shards: int = 1,
    threads: int | None = None,
) -> Profile:
    """Run the steps of a training on a copy of a network for a moment, and measure every kernel. Nothing is changed.

    The learning rate is 0, so that no loss can grow beyond all bounds: a step does the same work whatever its rate.

    Time is the mean over the threads, read from the processor's own clock before and after each kernel; of stretches
    of some 3 ms the lower quartile counts, so that busy neighbours are left out. Rates count the multiply-adds of
    products and each tensor's bytes once.

    Args:
        net: the network, from whose weights the copy starts.
        x: inputs (rows, …).
        y: targets.
        loss, optimizer, batch_size, sample_weight, class_weight, clip_norm, clip_value, seed, shuffle, dtype, shards:
            as in `fl.fit`. Only whole batches are measured.
        steps: how many; as many as take about 0.4 s by default.
        threads: how many run each step; None chooses as `fl.fit` does.

    Returns:
        The `Profile`; `print` shows it as a table.

    Raises:
        ArgumentError, ShapeError, KindError: saying which argument, what was needed and what was found.
        CompileError: the network cannot be compiled, so there are no kernels to measure.
    """
    check_network(net, "profile")
    one_of("dtype", dtype, ("float32", "float64"), "profile")
    chosen, rule = get_loss(loss), as_optimizer(optimizer, "profile")
    rows = check_rows(net, x, y, chosen, row_weights(sample_weight, class_weight, y), dtype, "profile")
    batch = rows_per_step(batch_size, len(rows), "profile")
    wanted = None if steps is None else whole_number("steps", steps, 1, "profile")
    batches = Batches(rows.take(slice(0, len(rows) // batch * batch)), batch, seed_number(seed), shuffle)
    made: list[ProfiledEpochs] = []

    def epochs(*arguments: Any, **given: Any) -> ProfiledEpochs:
        made.append(ProfiledEpochs(*arguments, **given))
        return made[-1]

    stepper = CompiledStepper(
        step_graph(net, batches.rows, chosen, rule, dtype, clip_value, clip_norm),
        batches,
        _start(net, rule, dtype),
        _no_rate,
        epochs=epochs,
        threads=None if threads is None else whole_number("threads", threads, 1, "profile"),
        shards=whole_number("shards", shards, 1, "profile"),
    )
    return _profile(_Measurement(stepper, made[0], wanted), made[0], batches, DType(dtype))


def _no_rate(first: int, count: int) -> Array:
    """What the learning rate is multiplied with."""
    return np.zeros(count)


def _start(net: Module, optimizer: Optimizer, dtype: str) -> Snapshot:
    """The state of a training that begins at the network's weights."""
    weights = {name: value.astype(dtype) for name, value in net.parameters().items()}
    buffers = {name: value.astype(dtype) for name, value in net.buffers().items()}
    return Snapshot(weights, buffers, optimizer.init(weights))


class _Measurement:
    """Runs stretches of steps, and keeps what each took.

    Attributes:
        steps: how many were measured.
        kernels: seconds a step of each kernel, and of waiting: (kernels + 1,).
        between: seconds a step outside the kernels.
    """

    def __init__(self, stepper: CompiledStepper, epochs: ProfiledEpochs, wanted: int | None) -> None:
        self._stepper, self._epochs, self.steps = stepper, epochs, 0
        self._next = 0
        self._tick = seconds_per_tick()
        self._kernels: list[Array] = []
        self._between: list[float] = []
        self._measure(wanted, self._stretch())
        self.kernels = np.quantile(self._kernels, QUIET, axis=0)
        self.between = max(0.0, float(np.quantile(self._between, QUIET)))

    def _stretch(self) -> int:
        """How many steps are measured together, from how long some take after the first."""
        self._run(1)
        count = 1
        while True:
            self._run(count)
            seconds = self._epochs.seconds
            if seconds > STRETCH_SECONDS / 4 or count >= MOST_TOGETHER:
                return max(1, int(count * STRETCH_SECONDS / seconds))
            count *= 2

    def _measure(self, wanted: int | None, stretch: int) -> None:
        end = time.perf_counter() + SECONDS
        while self.steps < wanted if wanted else len(self._kernels) < LEAST_STRETCHES or time.perf_counter() < end:
            count = min(stretch, wanted - self.steps) if wanted else stretch
            self._epochs.ticks()
            self._run(count)
            table = self._epochs.ticks() * (self._tick / count)  # (threads, kernels + 1), seconds a step
            self._kernels.append(table.mean(axis=0))
            self._between.append(self._epochs.seconds / count - float(table[0].sum()))
            self.steps += count

    def _run(self, count: int) -> None:
        """The next steps.

        Raises:
            ArgumentError: the loss is not finite.
        """
        losses = self._stepper.run(self._next, count)
        if not math.isfinite(losses[-1]):
            raise ArgumentError(
                f"profile: the loss is {losses[-1]} at the network's own weights, so there is no training to measure; "
                "scale x and y, or begin with smaller weights"
            )
        self._next += count


def _profile(measured: _Measurement, epochs: ProfiledEpochs, batches: Batches, dtype: DType) -> Profile:
    """The measured times beside the work of the kernels and the machine's limits."""
    kernels, roof = epochs.text.kernels, limits(epochs.threads_used)
    data = _bytes(batches.rows)
    found = []
    for places in gathered(kernels):
        group = [kernels[place] for place in places]
        found.append(
            ProfiledKernel(
                part=group[0].part,
                what=in_words(group[0]),
                calls=len(group),
                seconds=float(measured.kernels[places].sum()),
                multiply_adds=sum(kernel.multiply_adds for kernel in group),
                bytes=sum(kernel.bytes for kernel in group),
                limit_seconds=sum(limit_seconds(kernel, roof, data, dtype) for kernel in group),
            )
        )
    return Profile(
        kernels=tuple(found),
        waiting_seconds=float(measured.kernels[-1]),
        between_seconds=measured.between,
        steps=measured.steps,
        batch_size=batches.batch_size,
        threads=epochs.threads_used,
        limits=roof,
    )


def _bytes(rows: Rows) -> int:
    return sum(array.nbytes for array in (rows.x, rows.y, rows.weight) if array is not None)
