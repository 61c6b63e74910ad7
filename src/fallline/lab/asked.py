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
        assumed: what is meant where the query does not say.
    """

    def __init__(self, values: Mapping[str, str], call: str, assumed: Mapping[str, str] | None = None) -> None:
        self._values, self.call, self._assumed = dict(values), call, dict(assumed or {})

    def assuming(self, assumed: Mapping[str, str]) -> "Asked":
        """The same query, with more that is meant where it does not say."""
        return Asked(self._values, self.call, {**self._assumed, **assumed})

    def given(self, name: str) -> bool:
        """Whether the query says something of it."""
        return self._values.get(name, "") != ""

    def text(self, name: str) -> str:
        """A text of at most 400 letters.

        Raises:
            ArgumentError: it is longer.
        """
        value = self._values.get(name, "") or self._assumed.get(name, "")
        if len(value) > LONGEST:
            raise ArgumentError(f"{self.call}: {name} must have at most {LONGEST} letters, found {len(value):,}")
        return value

    def word(self, name: str, options: Iterable[str]) -> str:
        """One of some words.

        Raises:
            ArgumentError: it is none of them; with the nearest.
        """
        value, known = self.text(name), list(options)
        if value not in known:
            raise ArgumentError(f"{self.call}: no {name} is named '{told(value, 60)}': {nearest(value[:60], known)}")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high.

        Raises:
            ArgumentError: it is none.
        """
        value = self.text(name)
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 16 and low <= int(value) <= high):
            wanted = f"a whole number from {low:,} to {high:,}"
            raise ArgumentError(f"{self.call}: {name} must be {wanted}, found '{told(value, 60)}'")
        return int(value)

    def number(self, name: str, low: float, high: float) -> float:
        """A number from low to high.

        Raises:
            ArgumentError: it is none.
        """
        value = self.text(name)
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            wanted = f"a number from {low:g} to {high:g}"
            raise ArgumentError(f"{self.call}: {name} must be {wanted}, found '{told(value, 60)}'")
        return found

    def wholes(self, name: str, low: int, high: int, most: int) -> tuple[int, ...]:
        """Whole numbers with commas between them; "none" is no number.

        Raises:
            ArgumentError: one of them is none, or they are too many.
        """
        value = self.text(name)
        parts = [] if value == "none" else value.split(",")
        fit = all(part.isascii() and part.isdecimal() and len(part) < 6 and low <= int(part) <= high for part in parts)
        if not fit or len(parts) > most:
            wanted = f"at most {most} whole numbers from {low} to {high} with commas between them, or 'none'"
            raise ArgumentError(f"{self.call}: {name} must be {wanted}, found '{told(value, 60)}'")
        return tuple(int(part) for part in parts)
