"""Which rows two runs' training data differ in: row, columns, both values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permutation
from fallline.insight.sides import Side
from fallline.insight.values import bits
from fallline.training.step import Rows

Array = NDArray[Any]
COLUMNS_SHOWN = 3


@dataclass(frozen=True)
class ChangedRow:
    """A row of the training data that differs.

    Attributes:
        number: its number in the data as they were given, from 0.
        place: its number among the training rows, which validation rows are no part of.
        cells: (column of x, "y" or "sample_weight", value in a, value in b) of each that differs.
    """

    number: int
    place: int
    cells: tuple[tuple[str, Any, Any], ...]

    def __str__(self) -> str:
        shown = [f"{name} {a!r} → {b!r}" for name, a, b in self.cells[:COLUMNS_SHOWN]]
        more = len(self.cells) - len(shown)
        return f"row {self.number}: " + ", ".join(shown) + (f" and {more} more" if more else "")


def changed_rows(a: Side, b: Side) -> list[ChangedRow] | None:
    """The rows that differ, in order; None where the data cannot be compared row by row."""
    one, other = a.recording.rows, b.recording.rows
    if len(one) != len(other) or one.x.shape != other.x.shape or one.y.shape != other.y.shape:
        return None
    different = np.zeros(len(one), dtype=bool)
    for left, right in _pairs(one, other):
        if left.dtype != right.dtype:
            return None
        different |= (bits(left) != bits(right)).reshape(len(one), -1).any(axis=1)
    places = np.flatnonzero(different)
    return [ChangedRow(_number(a, int(i)), int(i), tuple(_cells(one, other, int(i)))) for i in places]


def _pairs(one: Rows, other: Rows) -> list[tuple[Array, Array]]:
    pairs = [(one.x, other.x), (one.y, other.y)]
    if one.weight is not None and other.weight is not None:
        pairs.append((one.weight, other.weight))
    return pairs


def _cells(one: Rows, other: Rows, row: int) -> Sequence[tuple[str, Any, Any]]:
    found = []
    for name, pair in zip(("column ", "y", "sample_weight"), _pairs(one, other), strict=False):
        left, right = (array[row : row + 1] for array in pair)
        for k in np.flatnonzero(bits(left) != bits(right)):
            label = f"{name}{k}" if name == "column " else name if left.size == 1 else f"{name}[{k}]"
            found.append((label, *(_plain(array.reshape(-1)[k]) for array in (left, right))))
    return found


def _number(side: Side, place: int) -> int:
    """A training row's number in the data as `fit` was given them: `split` sets validation rows aside by the seed."""
    validation = side.config.get("validation")
    held_out = int(side.config.get("validation_rows") or 0)
    if not isinstance(validation, float | int) or not held_out:
        return place
    order = permutation(len(side.recording.rows) + held_out, side.recording.settings.seed, "validation")
    return int(np.sort(order[held_out:])[place])


def _plain(value: Any) -> Any:
    return float(str(value)) if isinstance(value, np.floating) else value.item()
