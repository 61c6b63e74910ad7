"""Backpropagation against finite differences: are these gradients right?

    dL/dw ≈ (L(w + h) − L(w − h)) / 2h       in float64, each entry on its own

Source of the step h = ε^(1/3)·max(|w|, 1): Press et al., Numerical Recipes, 3rd ed., section 5.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.nn.checks import size
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import check_network, values_of
from fallline.ops import exact, philox
from fallline.training.step import Rows, StepProgram, check_rows

Array = NDArray[Any]
TOLERANCE = 1e-5
STEP_SIZE = float(np.finfo(np.float64).eps ** (1 / 3))


@dataclass(frozen=True)
class ParameterCheck:
    """One parameter tensor's comparison.

    Attributes:
        name: dotted name.
        shape: its shape.
        entries: how many entries were compared.
        error: the largest |backpropagation − difference| / max(|…|, |…|, scale), with scale a thousandth
            of the tensor's largest gradient plus what rounding of the loss can make of a difference (so
            that entries near 0 are not judged by their rounding).
        place: the entry with that error.
        gradient: backpropagation's value there.
        difference: the finite difference there.
        kinks: entries left out because the loss has a kink within ±h of the weight.
    """

    name: str
    shape: tuple[int, ...]
    entries: int
    error: float
    place: tuple[int, ...]
    gradient: float
    difference: float
    kinks: int = 0


@dataclass(frozen=True)
class GradientReport:
    """All parameters' comparisons; `str()` is a table.

    Attributes:
        loss: the loss at which was compared.
        checks: one per parameter tensor.
        tolerance: the largest error that counts as agreement.
    """

    loss: float
    checks: tuple[ParameterCheck, ...]
    tolerance: float = TOLERANCE

    @property
    def max_error(self) -> float:
        """The largest relative error of any entry."""
        return max((check.error for check in self.checks), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees with its finite difference."""
        return all(check.error <= self.tolerance for check in self.checks)

    def __str__(self) -> str:
        width = max([len(check.name) for check in self.checks] + [9])
        lines = [f"{'parameter':<{width}}  {'shape':<12} {'compared':>8}  {'error':>8}  worst entry: dL/dw, difference"]
        for check in self.checks:
            shape = "×".join(map(str, check.shape)) or "1"
            worst = f"[{','.join(map(str, check.place))}]: {check.gradient:.9g}, {check.difference:.9g}"
            kinks = f"  ({check.kinks} at a kink left out)" if check.kinks else ""
            lines.append(f"{check.name:<{width}}  {shape:<12} {check.entries:>8}  {check.error:>8.1e}  {worst}{kinks}")
        verdict = "agree" if self.ok else "DISAGREE"
        lines.append(
            f"backpropagation and finite differences {verdict}: "
            f"largest relative error {self.max_error:.1e}, allowed {self.tolerance:.0e}"
        )
        return "\n".join(lines)


def check_gradients(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    *,
    sample_weight: Any = None,
    entries: int = 50,
    tolerance: float = TOLERANCE,
    training: bool = False,
    seed: int = 0,
) -> GradientReport:
    """Compare backpropagation with central finite differences, in float64.

    Args:
        net: the network at its current weights; nothing is changed.
        x: inputs (rows, …); a few dozen rows are enough.
        y: targets.
        loss: a name, a loss object or a function.
        sample_weight: (rows,).
        entries: at most how many entries of each parameter tensor are compared, chosen by `seed`.
        tolerance: largest relative error that counts as agreement.
        training: trace as in training: Dropout acts (the same elements each time), BatchNorm uses the rows.
        seed: of the choice of entries and of Dropout.

    Returns:
        A report; `report.ok` is the verdict, `print(report)` the table.
    """
    check_network(net, "check_gradients")
    if size("check_gradients", "entries", entries) and not net.named_parameters():
        raise ArgumentError(f"check_gradients: {net!r} has no weights, so there is no gradient to check")
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, "float64", "check_gradients")
    program = StepProgram(net, rows, chosen, training=training, dtype="float64")
    forward = StepProgram(net, rows, chosen, training=training, backward=False, dtype="float64")
    values = {name: value.astype(np.float64) for name, value in values_of(net).items()}
    total = len(rows) if rows.weight is None else float(exact.tree_sum(rows.weight))
    result = program(rows, values, total, seed)
    measure = _Loss(forward, rows, values, total, seed, result.loss)
    checks = tuple(_check(name, g, measure, entries, seed) for name, g in result.gradients.items())
    return GradientReport(result.loss, checks, tolerance)


@dataclass
class _Loss:
    """The loss as a function of one weight."""

    program: StepProgram
    rows: Rows
    values: Mapping[str, Array]
    total: float
    seed: int
    loss: float

    def at(self, name: str, place: tuple[int, ...], change: float) -> float:
        moved = self.values[name].copy()
        moved[place] += change
        return self.program(self.rows, {**self.values, name: moved}, self.total, self.seed).loss


def _check(name: str, gradient: Array, measure: _Loss, entries: int, seed: int) -> ParameterCheck:
    size = gradient.size
    if size <= entries:
        chosen = np.arange(size)
    else:  # the entries with the smallest random words: a function of (seed, name)
        words = philox.words(philox.key(seed, "gradient check", name), [0], size)[0]
        chosen = np.sort(np.argsort(words, kind="stable")[:entries])
    # what rounding of the loss makes of a difference, 2ε·|L|/2h, is no disagreement (a bias before BatchNorm)
    noise = float(np.finfo(np.float64).eps) * abs(measure.loss) / STEP_SIZE
    scale = 1e-3 * float(np.max(np.abs(gradient), initial=0.0)) + 4.0 * noise / TOLERANCE + 1e-10
    worst: tuple[float, tuple[int, ...], float, float] = (-1.0, (), 0.0, 0.0)
    kinks = 0
    for flat in chosen:
        place = tuple(int(i) for i in np.unravel_index(flat, gradient.shape))
        own = float(gradient[place])
        difference, error = _compare(own, name, place, measure, scale)
        if error > TOLERANCE and _at_kink(name, place, measure, own, scale):
            kinks += 1
            continue
        if error > worst[0] or not np.isfinite(error):
            worst = (error, place, own, difference)
    return ParameterCheck(name, gradient.shape, len(chosen) - kinks, max(worst[0], 0.0), *worst[1:], kinks=kinks)


def _compare(
    own: float, name: str, place: tuple[int, ...], measure: _Loss, scale: float, shrink: float = 1.0
) -> tuple[float, float]:
    """(the central difference, its relative distance from backpropagation's value)."""
    h = STEP_SIZE * max(abs(float(measure.values[name][place])), 1.0) * shrink
    difference = (measure.at(name, place, h) - measure.at(name, place, -h)) / (2.0 * h)
    return difference, abs(own - difference) / max(abs(own), abs(difference), scale)


def _at_kink(name: str, place: tuple[int, ...], measure: _Loss, own: float, scale: float) -> bool:
    """Whether the two one-sided slopes differ (a relu turns within ±h) and ours is one of them, or between."""
    h = STEP_SIZE * max(abs(float(measure.values[name][place])), 1.0)
    here = measure.at(name, place, 0.0)
    right = (measure.at(name, place, h) - here) / h
    left = (here - measure.at(name, place, -h)) / h
    slack = 1e-3 * max(abs(left), abs(right), scale)
    return abs(right - left) > slack and min(left, right) - slack <= own <= max(left, right) + slack
