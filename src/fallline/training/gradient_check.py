"""Are these gradients right, and how many of their digits?

Backpropagation in float64 against finite differences of the loss, each weight on its own (`differences.py`): is the
rule right? Backpropagation in float32, by the engine that trains, against float64: what does the rounding cost?
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.nn.checks import size
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import check_network, values_of
from fallline.ops import exact, philox
from fallline.training import differences
from fallline.training.gradient_report import (
    FLOAT32_DIGITS,
    FLOAT64_DIGITS,
    TOLERANCE,
    Entry,
    GradientReport,
    ParameterCheck,
    Precision,
    digits,
)
from fallline.training.step import Rows, StepProgram, StepResult, check_rows

Array = NDArray[Any]
DRAWS = 4
"""How often weights and inputs are moved by their rounding; the worst counts."""

MOST_ENTRIES, FEWEST_ENTRIES = 50, 5
"""Of a tensor, where their number is not given."""
NODES = 200_000
"""Of the network's graph, computed once for such an entry of each tensor; where they would be more, fewer will do."""

SPREADS = 4
"""Of so many entries of a tensor it is found out how sure a difference is; it is the same loss for all of them."""


def check_gradients(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    *,
    sample_weight: Any = None,
    entries: int | None = None,
    tolerance: float = TOLERANCE,
    training: bool = False,
    seed: int = 0,
) -> GradientReport:
    """Compare backpropagation with finite differences, and its float32 with its float64, tensor by tensor.

    The verdict is that of the finite differences, in float64 (Richardson's extrapolation of central differences). What
    float32 keeps is told beside it, over all entries: digits = −log₁₀(|a − b| / max(|a|, |b|, s)), once with s the
    tensor's largest entry, once with s = 0, the entry's own.

    Args:
        net: the network at its current weights; nothing is changed.
        x: inputs (rows, …); a few dozen rows are enough.
        y: targets.
        loss: a name, a loss object or a function.
        sample_weight: (rows,).
        entries: at most how many entries of each parameter tensor are compared with differences, chosen by `seed`;
            None takes 50, and fewer where the network has thousands of operations.
        tolerance: largest relative error that counts as agreement.
        training: trace as in training: Dropout acts (the same elements each time), BatchNorm uses the rows.
        seed: of the choice of entries and of Dropout.

    Returns:
        A report; `report.ok` is the verdict, `report.float32_digits` what float32 keeps, `print(report)` the table.

    Raises:
        ArgumentError: the network has no weights, or an argument is not usable.
        ShapeError, KindError: saying which argument, what was needed and what was found.
    """
    check_network(net, "check_gradients")
    if entries is not None:
        size("check_gradients", "entries", entries)
    if not net.named_parameters():
        raise ArgumentError(f"check_gradients: {net!r} has no weights, so there is no gradient to check")
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, "float64", "check_gradients")
    program = StepProgram(net, rows, chosen, training=training, dtype="float64")
    forward = StepProgram(net, rows, chosen, training=training, backward=False, dtype="float64")
    total = len(rows) if rows.weight is None else float(exact.tree_sum(rows.weight))
    point = _Point(rows, values_of(net), total, seed).cast("float64")
    result = point.run(program)
    measure = _Loss(forward, point, result.loss)
    if entries is None:
        visits = len(forward.graph.nodes()) * len(result.gradients)
        entries = max(FEWEST_ENTRIES, min(MOST_ENTRIES, NODES // max(visits, 1)))
    precisions = _precisions(StepProgram(net, rows, chosen, training=training), program, point)
    checks = tuple(
        replace(_check(name, gradient, measure, entries, seed), precision=precisions.get(name))
        for name, gradient in result.gradients.items()
    )
    return GradientReport(result.loss, checks, tolerance)


@dataclass(frozen=True)
class _Point:
    """Where gradients are compared: data, weights and buffers, the sum of the row weights, and Dropout's seed."""

    rows: Rows
    values: Mapping[str, Array]
    total: float
    seed: int

    def run(self, program: StepProgram) -> StepResult:
        return program(self.rows, self.values, self.total, self.seed)

    def cast(self, dtype: str) -> "_Point":
        """The same in floats of another type; what float32 cannot hold becomes infinite, and keeps no digit."""
        with np.errstate(over="ignore"):
            parts = (a if a is None or a.dtype.kind != "f" else a.astype(dtype) for a in vars(self.rows).values())
            values = {name: value.astype(dtype) for name, value in self.values.items()}
            return _Point(Rows(*parts), values, float(np.dtype(dtype).type(self.total)), self.seed)

    def moved(self, draw: int) -> "_Point":
        """Weights, buffers and inputs, each by half a unit in float32's last place, up or down by chance."""

        def move(purpose: str, name: str, array: Array) -> Array:
            words = philox.words(philox.key(draw, purpose, name), [0], array.size)[0].reshape(array.shape)
            return np.asarray(array * (1.0 + np.where(words & np.uint32(1), 2.0**-24, -(2.0**-24))))

        x = self.rows.x
        rows = replace(self.rows, x=move("rounding of inputs", "", x) if x.dtype.kind == "f" else x)
        values = {name: move("rounding of values", name, value) for name, value in self.values.items()}
        return replace(self, rows=rows, values=values)


@dataclass(frozen=True)
class _Loss:
    """The loss as a function of one weight."""

    program: StepProgram
    point: _Point
    loss: float

    def along(self, name: str, place: tuple[int, ...]) -> differences.Function:
        """Change of the weight → loss."""

        def at(change: float) -> float:
            moved = self.point.values[name].copy()
            moved[place] += change
            return replace(self.point, values={**self.point.values, name: moved}).run(self.program).loss

        return at


def _check(name: str, gradient: Array, measure: _Loss, entries: int, seed: int) -> ParameterCheck:
    # what rounding of the loss makes of a difference is no disagreement (a bias before BatchNorm)
    largest = float(np.max(np.abs(gradient), initial=0.0))
    scale = 1e-3 * largest + 4.0 * differences.rounding(measure.loss) / TOLERANCE + 1e-10
    worst: tuple[float, tuple[int, ...], float, float] = (-1.0, (), 0.0, 0.0)
    fewest, kinks, spreads = FLOAT64_DIGITS, 0, list[float]()
    chosen = _chosen(name, gradient.size, entries, seed)
    for flat in chosen:
        place = tuple(int(i) for i in np.unravel_index(flat, gradient.shape))
        own, function = float(gradient[place]), measure.along(name, place)
        width = max(abs(float(measure.point.values[name][place])), 1.0)
        difference = differences.slope(function, measure.loss, width)
        error = abs(own - difference) / max(abs(own), abs(difference), scale)
        if error > TOLERANCE and _at_kink(function, width, own, scale):
            kinks += 1
            continue
        if error > TOLERANCE and len(spreads) < SPREADS:
            spreads.append(differences.spread(function, width))
        if error > TOLERANCE and abs(own - difference) <= 3.0 * max(spreads):
            error = TOLERANCE  # the differences themselves are no surer: of a small remainder of large numbers
        fewest = min(fewest, float(digits(own, difference, max(largest, scale))))
        if error > worst[0] or not np.isfinite(error):
            worst = (error, place, own, difference)
    return ParameterCheck(
        name, gradient.shape, len(chosen) - kinks, max(worst[0], 0.0), *worst[1:], kinks=kinks, digits=fewest
    )


def _chosen(name: str, size: int, entries: int, seed: int) -> Array:
    """The entries with the smallest random words: a function of (seed, name)."""
    if size <= entries:
        return np.arange(size)
    words = philox.words(philox.key(seed, "gradient check", name), [0], size)[0]
    return np.sort(np.argsort(words, kind="stable")[:entries])


def _at_kink(function: differences.Function, width: float, own: float, scale: float) -> bool:
    """Whether the two one-sided slopes differ (a relu turns within ±h) and ours is one of them, or between."""
    left, right = differences.one_sided(function, width)
    slack = 1e-3 * max(abs(left), abs(right), scale)
    return abs(right - left) > slack and min(left, right) - slack <= own <= max(left, right) + slack


def _precisions(single: StepProgram, double: StepProgram, point: _Point) -> dict[str, Precision]:
    """What float32 keeps of every gradient: both types at the same point, that of numbers rounded to float32."""
    rounded = point.cast("float32")
    widened = rounded.cast("float64")
    lossy, exactly = rounded.run(single).gradients, widened.run(double).gradients
    moved = [widened.moved(draw).run(double).gradients for draw in range(DRAWS)]
    return {
        name: _precision(lossy[name].astype(np.float64), gradient, [other[name] for other in moved])
        for name, gradient in exactly.items()
        if gradient.size
    }


def _precision(single: Array, double: Array, moved: list[Array]) -> Precision:
    scale = float(np.max(np.abs(double), initial=0.0))
    own, of_tensor = digits(single, double, most=np.inf), digits(single, double, scale, np.inf)

    def entry(flat: Any) -> Entry:
        place = tuple(int(i) for i in np.unravel_index(flat, double.shape))
        return Entry(place, _held(own[place]), float(single[place]), float(double[place]))

    return Precision(
        digits=_held(of_tensor.min()),
        farthest=entry(of_tensor.argmin()),
        loosest=entry(own.argmin()),
        attainable=_held(min(digits(other, double, scale).min() for other in moved)),
    )


def _held(found: Any) -> float:
    """As many digits as float32 holds, where more agree by chance."""
    return min(float(found), FLOAT32_DIGITS)
