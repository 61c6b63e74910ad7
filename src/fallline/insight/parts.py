"""A sum told by its largest parts, so that what is told adds up to the stored number to the last bit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class PartedSum:
    """A stored number as a sum of parts, the largest of which are shown.

    Each part is a product of two stored numbers, exact where they are float32 and rounded to float64 else. `rounding`
    is what is missing between the exact sum of the parts and the stored number: what the engine's own rounding of
    each operation left.

        math.fsum(sum.summands) == sum.stored      to the last bit

    Attributes:
        stored: the number as the engine stored it.
        parts: all parts, float64.
        order: places of the parts, from the largest magnitude to the smallest.
        shown: how many are shown.
        others: the sum of the parts that are not shown, rounded to float64.
        rounding: the rest, as numbers that add up to it exactly: nearly always one.
    """

    stored: float
    parts: Float64s
    order: NDArray[np.int64]
    shown: int
    others: float
    rounding: tuple[float, ...]

    @classmethod
    def of(cls, stored: float, parts: Float64s, shown: int, first: Sequence[int] = ()) -> "PartedSum":
        """Take a sum apart.

        Args:
            stored: the number.
            parts: what it is the sum of.
            shown: how many parts to show at most.
            first: places of parts to show before all others.
        """
        order = np.argsort(-np.abs(parts), kind="stable")
        if len(first):
            order = np.concatenate([np.asarray(first, dtype=np.int64), order[~np.isin(order, first)]])
        count = min(shown, len(order))
        hidden = parts[order[count:]].tolist()
        listed = parts[order[:count]].tolist()
        if not all(map(math.isfinite, (stored, *listed, *hidden))):
            return cls(stored, parts, order, count, math.nan, (math.nan,))
        others = math.fsum(hidden)
        known = [stored, *(-part for part in listed), -others]
        rounding: list[float] = []
        while (rest := math.fsum([*known, *(-part for part in rounding)])) != 0.0:
            rounding.append(rest)
        return cls(stored, parts, order, count, others, tuple(rounding))

    @property
    def listed(self) -> NDArray[np.int64]:
        """Places of the parts that are shown, the largest first."""
        return self.order[: self.shown]

    @property
    def hidden(self) -> int:
        """How many are not shown."""
        return len(self.parts) - self.shown

    @property
    def rest(self) -> float:
        """`rounding` as one number."""
        return math.fsum(self.rounding)

    @property
    def summands(self) -> tuple[float, ...]:
        """The parts that are shown, the others, and the rounding: `math.fsum` of them is the stored number."""
        return (*self.parts[self.listed].tolist(), self.others, *self.rounding)
