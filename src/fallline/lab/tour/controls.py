"""What a reader may set on a page of the tour, and the experiment that is run with it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fallline.errors import ArgumentError, nearest

KEPT = 64
"""Answers that are kept for each experiment: a slider that goes back is answered at once."""


@dataclass(frozen=True)
class Slider:
    """A number between two ends.

    Attributes:
        name: of the argument, and of the variable in the page's Python.
        label: beside it.
        low, high, step: what it may be.
        value: at first.
        logarithmic: whether equal factors are equally far apart; `step` then is the factor's power of ten.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    logarithmic: bool = False

    def check(self, text: str) -> float:
        """The number that a text says.

        Raises:
            ArgumentError: it says none, or one beyond the ends.
        """
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            raise ArgumentError(
                f"tour: {self.name} must be a number from {self.low:g} to {self.high:g}, found {text!r}"
            )
        return value

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        return {"kind": "slider", **vars(self)}


@dataclass(frozen=True)
class Count(Slider):
    """A whole number between two ends."""

    def check(self, text: str) -> int:
        """The whole number that a text says."""
        value = super().check(text)
        if value != int(value):
            raise ArgumentError(f"tour: {self.name} must be a whole number, found {text!r}")
        return int(value)


@dataclass(frozen=True)
class Choice:
    """One of a few.

    Attributes:
        name: of the argument, and of the variable in the page's Python.
        label: beside it.
        options: what may be chosen → its words.
        value: at first.
    """

    name: str
    label: str
    options: Mapping[str, str] = field(hash=False)
    value: str

    def check(self, text: str) -> str:
        """The option that a text names.

        Raises:
            ArgumentError: there is none of that name.
        """
        if text not in self.options:
            raise ArgumentError(f"tour: there is no {self.name} {text!r}: {nearest(text, self.options)}")
        return text

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        return {"kind": "choice", **vars(self), "options": list(self.options.items())}


Control = Slider | Choice
Found = dict[str, Any]


class Experiment:
    """What the figure of a page shows, computed anew whenever the reader moves something.

    Args:
        run: takes the controls' values by name; returns what the figure needs, as JSON can hold it, and under
            "printed" the lines that the page's Python prints.
        controls: what the reader may set.
    """

    def __init__(self, run: Callable[..., Found], *controls: Control) -> None:
        self.controls = {control.name: control for control in controls}
        self._run = lru_cache(KEPT)(run)

    def __call__(self, given: Mapping[str, str]) -> Found:
        """The experiment at the given settings; what is not given is as at first.

        Raises:
            ArgumentError: a setting is unknown, or not what it may be.
        """
        for name in given:
            if name not in self.controls:
                raise ArgumentError(f"tour: this page has no setting {name!r}: {nearest(name, self.controls)}")
        values = {
            name: control.check(given[name]) if name in given else control.value
            for name, control in self.controls.items()
        }
        return self._run(**values)


def finite(values: Any) -> list[float | None]:
    """Numbers as JSON can hold them: None for what is not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]
