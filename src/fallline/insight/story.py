"""What a weight's story holds, and its text form; `weight_story` finds it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ops import exact

Array = NDArray[Any]


@dataclass(frozen=True)
class WeightStory:
    """One weight's gradient taken apart, and its update; `str()` tells it in a dozen lines.

    Attributes:
        weight: dotted name and place, such as "0.weight[2,5]".
        is_bias: whether it is a bias, whose activation is 1.
        loss: L of all rows, before the update.
        rows: how many rows.
        activations: the layer's input at each row (and position, where a row has several) and feature: (parts,).
        deltas: dL/dz of the layer's output at the same: (parts,).
        shares: activation × delta, what each contributes to dL/dw: (parts,) in float64.
        gradient: dL/dw as backpropagation computes and stores it.
        difference: (L(w + h) − L(w − h)) / 2h in float64.
        h: the step of that difference.
        before: w.
        after: w after the optimizer's step.
        learning_rate: η of this weight.
        rule: the optimizer as it prints.
        plain: whether the step is w − η·dL/dw and nothing else.
        shown: how many parts `str()` lists.
    """

    weight: str
    is_bias: bool
    loss: float
    rows: int
    activations: Array
    deltas: Array
    shares: Array
    gradient: float
    difference: float
    h: float
    before: float
    after: float
    learning_rate: float
    rule: str
    plain: bool
    shown: int = 4

    @property
    def total(self) -> float:
        """Σ of all shares, added up here: it must be what backpropagation stored."""
        return float(exact.tree_sum(self.shares))

    @property
    def order(self) -> Array:
        """The parts from the largest |share| to the smallest."""
        return np.argsort(-np.abs(self.shares), kind="stable")

    @property
    def remainder(self) -> float:
        """What the parts that `str()` does not list contribute together."""
        return float(exact.tree_sum(self.shares[self.order[self.shown :]]))

    @property
    def step(self) -> float:
        """By how much gradient descent changes the weight."""
        return self.after - self.before

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.weight} = {self.before:.6g}, where the loss of {self.rows:,} rows is L = {self.loss:.6g}",
                "Backpropagation tells how the loss changes with it: dL/dw = Σ over rows of activation × delta",
                *self._table(),
                "Gradient descent uses that, one small step downhill:",
                f"  {self._update_line()}",
            ]
        )

    def _table(self) -> list[str]:
        """The largest shares, the rest, their sum beside the stored gradient and the measured slope."""
        listed = self.order[: self.shown]
        shares = _aligned([*self.shares[listed], self.remainder, self.total, self.gradient, self.difference])
        activations, deltas = _aligned(self.activations[listed]), _aligned(self.deltas[listed])
        positions = len(self.shares) // self.rows
        names = [f"{part // positions}" + (f", {part % positions}" if positions > 1 else "") for part in listed]
        lines = [f"  {'row' if positions == 1 else 'row, position':<16}{'activation':>12}{'delta':>14}{'share':>16}"]
        for name, activation, delta, share in zip(names, activations, deltas, shares, strict=False):
            lines.append(f"  {name:<16}{activation:>12}{delta:>14}{share:>16}")
        if hidden := max(len(self.shares) - self.shown, 0):
            lines.append(f"  {f'{hidden:,} others':<42}{shares[-4]:>16}")
        lines.append(f"  {'sum of all shares = dL/dw':<42}{shares[-3]:>16}")
        lines.append(f"  {'what backpropagation stored':<42}{shares[-2]:>16}")
        lines.append(f"  {f'measured: w moved by ±{self.h:.1e}':<42}{shares[-1]:>16}")
        return lines

    def _update_line(self) -> str:
        if self.learning_rate == 0.0:
            return f"no step: the weight is frozen (η = 0) and stays {self.before:.6g}"
        if self.plain:
            arithmetic = f"{self.before:.6g} − {self.learning_rate:g} × ({self.gradient:.6g})"
            return f"w − η·dL/dw = {arithmetic} = {self.after:.6g}"
        return f"{self.rule}: w = {self.before:.6g} becomes {self.after:.6g}, a step of {self.step:+.6g}"


def _aligned(values: Sequence[float] | Array) -> list[str]:
    """Numbers with their decimal points below each other: six digits for the largest of them."""
    largest = max((abs(float(value)) for value in values), default=0.0)
    if not 1e-6 <= largest < 1e6:
        return [f"{float(value):+.5e}" for value in values]
    whole = len(str(int(largest))) if largest >= 1.0 else 0
    return [f"{float(value):+.{max(6 - whole, 0) + _leading_zeros(largest)}f}" for value in values]


def _leading_zeros(value: float) -> int:
    """How many zeros follow the point of a number below 1."""
    count = 0
    while value < 0.1:
        value *= 10.0
        count += 1
    return count
