"""What a page asks for, checked: every value of a query is text that anybody may have written."""

import math
from collections.abc import Iterable, Mapping

from fallline.errors import ArgumentError, nearest, told

LONGEST = 400


class Asked:
    """A query's values, taken one by one.

    Args:
        values: by name, as text.
        call: who is asked, for errors.
    """

    def __init__(self, values: Mapping[str, str], call: str) -> None:
        self._values, self.call = dict(values), call

    def has(self, name: str) -> bool:
        """Whether something is given under that name."""
        return self._values.get(name, "") != ""

    def text(self, name: str, default: str = "") -> str:
        """A text of at most 400 letters.

        Raises:
            ArgumentError: it is longer.
        """
        value = self._values.get(name, "") or default
        if len(value) > LONGEST:
            raise ArgumentError(f"{self.call}: {name} must have at most {LONGEST} letters, found {len(value):,}")
        return value

    def word(self, name: str, default: str, options: Iterable[str]) -> str:
        """One of some words.

        Raises:
            ArgumentError: it is none of them; with the nearest.
        """
        value, known = self.text(name, default), list(options)
        if value not in known:
            raise ArgumentError(f"{self.call}: no {name} is named {told(value, 60)!r}: {nearest(value[:60], known)}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from low to high.

        Raises:
            ArgumentError: it is none.
        """
        value = self.text(name, str(default))
        if not (value.isascii() and value.removeprefix("-").isdecimal() and low <= int(value) <= high):
            wanted = f"a whole number from {low:,} to {high:,}"
            raise ArgumentError(f"{self.call}: {name} must be {wanted}, found {told(value, 60)!r}")
        return int(value)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number from low to high.

        Raises:
            ArgumentError: it is none.
        """
        value = self.text(name, repr(default))
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            wanted = f"a number from {low:g} to {high:g}"
            raise ArgumentError(f"{self.call}: {name} must be {wanted}, found {told(value, 60)!r}")
        return found

    def wholes(self, name: str, default: str, low: int, high: int, most: int) -> tuple[int, ...]:
        """Whole numbers with commas between them; "none" is no number.

        Raises:
            ArgumentError: one of them is none, or they are too many.
        """
        value = self.text(name, default)
        parts = [] if value == "none" else value.split(",")
        fit = all(p.isascii() and p.isdecimal() and len(p) < 6 and low <= int(p) <= high for p in parts)
        if not fit or len(parts) > most:
            wanted = f"at most {most} whole numbers from {low} to {high} with commas between them, or 'none'"
            raise ArgumentError(f"{self.call}: {name} must be {wanted}, found {told(value, 60)!r}")
        return tuple(int(p) for p in parts)
