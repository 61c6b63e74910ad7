"""Numbers that stand below each other: their points in one column, six digits of the largest."""

from collections.abc import Sequence
from typing import Any


def aligned(values: Sequence[float] | Any) -> list[str]:
    """Numbers with their points below each other: six digits for the largest of them, always with a sign."""
    largest = max((abs(float(value)) for value in values), default=0.0)
    if not 1e-6 <= largest < 1e6:
        return [_minus(f"{float(value):+.5e}") for value in values]
    whole = len(str(int(largest))) if largest >= 1.0 else 0
    digits = max(6 - whole, 0) + _leading_zeros(largest)
    return [_minus(f"{float(value):+.{digits}f}") for value in values]


def short(value: float) -> str:
    """One number with six digits, with a sign."""
    return _minus(f"{value:+.6g}")


def plain(value: float) -> str:
    """One number with six digits."""
    return _minus(f"{value:.6g}")


def exactly(value: float) -> str:
    """One number with all the digits that tell it from its neighbours."""
    return _minus(repr(float(value)))


def table(rows: Sequence[Sequence[str]], right: Sequence[bool], indent: str = "  ") -> list[str]:
    """Lines of cells in columns, set to the left or to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(right))]
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if flush else f"{cell:<{width}}"
            for cell, width, flush in zip(row, widths, right, strict=True)
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _leading_zeros(value: float) -> int:
    """How many zeros follow the point of a number below 1."""
    count = 0
    while value < 0.1:
        value *= 10.0
        count += 1
    return count
