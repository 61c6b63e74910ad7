"""From numbers to places on a picture: scales with round ticks."""

import math
from dataclasses import dataclass

from fallline.ops import exact


@dataclass(frozen=True)
class Scale:
    """A straight line from numbers to pixels.

    Attributes:
        low, high: the numbers at the two ends.
        start, end: their pixels; end < start for an axis that goes up.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round numbers inside."""
        return ticks(self.low, self.high, count)


@dataclass(frozen=True)
class LogScale(Scale):
    """As `Scale`, but equal factors are equally far apart; all numbers must be above 0."""

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Powers of ten inside, with 2 and 5 times them where there is room."""
        powers = range(math.floor(math.log10(self.low)) - 1, math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [factor * exact.power(10.0, power) for power in powers for factor in factors]
            inside = [value for value in found if self.low <= value <= self.high]
            if len(inside) <= count + 1:
                break
        return inside[:: -(-len(inside) // (count + 1)) or 1]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between low and high, about `count` of them."""
    if not math.isfinite(high - low) or high <= low:
        return []
    rough = (high - low) / max(count, 1)
    power = exact.power(10.0, math.floor(math.log10(rough)))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if rough <= factor * power * 1.000001)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def padded(values: list[float], share: float = 0.06) -> tuple[float, float]:
    """The range of the finite numbers with some air; 0 to 1 where there are none, and never empty."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = (high - low) * share or max(abs(high), 1.0) * share
    return low - air, high + air


def tick_text(value: float) -> str:
    """A tick's number, short: 0.25, 1500, −2, 3e−07."""
    return f"{value:.6g}".replace("-", "−") if abs(value) > 1e-12 else "0"
