"""The points of images: columns that share one scale, whole numbers from 0 to 255, and stay bytes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import any_of
from fallline.data.numbers import as_numbers
from fallline.data.objects import Place
from fallline.data.table import Column, Table
from fallline.errors import DataError

FEWEST_POINTS = 64  # an image of 8 × 8; fewer columns are measurements of their own
BRIGHT = 128  # half of all points reach it somewhere: else the numbers are counts or grades, not brightness
LARGEST = 255


def are_points(table: Table, names: Iterable[str]) -> bool:
    """Whether columns are the points of images.

    They are where there are at least 64, all with whole numbers from 0 to 255 in every row, and half of them or more
    reach 128 in some row.
    """
    columns = [table.column(name) for name in names]
    if len(columns) < FEWEST_POINTS or not len(table):
        return False
    bright = 0
    for values in columns:
        if values.dtype.kind not in "iuf" or any_of(len(values), partial(_no_bytes, values)):
            return False
        bright += int(values.max() >= BRIGHT)
    return 2 * bright >= len(columns)


def _no_bytes(values: Column, part: slice) -> NDArray[np.bool_]:
    return ~_are_bytes(values[part])


def _are_bytes(values: Column) -> NDArray[np.bool_]:
    if values.dtype == np.uint8:
        return np.ones(1, dtype=bool)
    with np.errstate(invalid="ignore"):  # NaN is no byte
        return np.asarray((values >= 0) & (values <= LARGEST) & (values == np.floor(values)))


def as_bytes(values: Column, name: str, place: Place) -> NDArray[np.uint8]:
    """A column as bytes: (rows,).

    Raises:
        DataError: a cell is missing, or no whole number from 0 to 255.
    """
    if values.dtype == np.uint8:
        return values
    numbers = as_numbers(values, name, place, [])
    wrong = ~_are_bytes(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = "no number" if np.isnan(numbers[row]) else f"{numbers[row]:g}"
        raise DataError(
            f"{place(row)}, column {name!r}: expected a point of an image as in training, a whole number from 0 to "
            f"{LARGEST}, found {found}. Correct that cell, or scale the images as those of training were."
        )
    return numbers.astype(np.uint8)


@dataclass
class PixelEncoder:
    """A point of an image as it is, a byte; the network scales all points alike."""

    kind: ClassVar[str] = "pixel"
    name: str

    @classmethod
    def fit(cls, values: Column, name: str, place: Place, notices: list[str]) -> Self:
        """The encoder of a point; nothing is learnt from the rows."""
        return cls(name)

    @property
    def features(self) -> list[str]:
        """The column itself."""
        return [self.name]

    def remarks(self, values: Column, place: Place) -> list[str]:
        """Nothing."""
        return []

    def encode(self, values: Column, place: Place, notices: list[str]) -> NDArray[np.uint8]:
        """The column as bytes, (rows, 1)."""
        return as_bytes(values, self.name, place)[:, None]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs."""
        return {"name": self.name}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """The encoder that `to_json` described."""
        return cls(**saved)
