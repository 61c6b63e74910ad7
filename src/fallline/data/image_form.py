"""The form that all images of a table have: so many points, grey or in colours."""

import re
from dataclasses import dataclass
from typing import Any, Self

from fallline.errors import ArgumentError

LARGEST_SIDE = 256
"""Points of a side that can be asked for."""


@dataclass(frozen=True)
class ImageForm:
    """What every image is brought to.

    Attributes:
        width, height: in points.
        channels: 1 for grey, 3 for red, green and blue.
    """

    width: int
    height: int
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image as an array: (height, width) or (height, width, 3)."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    @property
    def points(self) -> int:
        """How many numbers an image is."""
        return self.width * self.height * self.channels

    def __str__(self) -> str:
        return f"{self.width} × {self.height} points, {'grey' if self.channels == 1 else 'in colours'}"

    def to_json(self) -> list[int]:
        """What `from_json` needs."""
        return [self.width, self.height, self.channels]

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """The form that `to_json` wrote."""
        return cls(*saved)

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> Self | None:
        """The form of arrays of a shape; None for what is no image, grey or in three colours."""
        if len(shape) == 2 or (len(shape) == 3 and shape[2] == 3):
            return cls(shape[1], shape[0], 1 if len(shape) == 2 else 3)
        return None


def size_of(text: str) -> tuple[int, int]:
    """(width, height) of text such as 32x48, or 32 for a square.

    Raises:
        ArgumentError: it is none.
    """
    found = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text.strip().lower())
    size = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise ArgumentError(
            f"an image's size is width x height in points, such as 32x32, each from 1 to {LARGEST_SIDE:,}; "
            f"found {text!r}"
        )
    return size
