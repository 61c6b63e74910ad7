"""Hyper-parameters: their names, ranges and documentation, and the sentence for a value outside them."""

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fallline.errors import ArgumentError, KindError, nearest

Hypers = Mapping[str, Any]  # name → float, bool, or (float, float)


@dataclass(frozen=True)
class Hyper:
    """One hyper-parameter of an update rule or of a schedule.

    Its kind follows from the default: True or False is a flag, a tuple is a pair of numbers, and anything
    else is a number; `default=None` is a number that has to be given.

    Attributes:
        name: as callers write it.
        default: the value when nothing is said, or None where a value is required.
        low, high: the range of a number, or of both numbers of a pair; None leaves that side open.
        doc: one phrase for help texts.
        low_open, high_open: whether the end itself is excluded.
        advice: a sentence added to the error, such as "Try 0.1."
    """

    name: str
    default: Any
    low: float | None
    high: float | None
    doc: str
    low_open: bool = False
    high_open: bool = False
    advice: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be given, because it has no default."""
        return self.default is None

    @property
    def range(self) -> str:
        """The range in words: "at least 0 and less than 1"; empty where any number will do."""
        words = []
        if self.low is not None:
            words.append(f"{'greater than' if self.low_open else 'at least'} {self.low:g}")
        if self.high is not None:
            words.append(f"{'less than' if self.high_open else 'at most'} {self.high:g}")
        return " and ".join(words)

    def validated(self, call: str, value: Any, asked: str = "") -> Any:
        """`value` as a Python float, bool or pair of floats.

        Args:
            call: who was asked, for the error: `optim.SGD`.
            value: what was given.
            asked: the whole call, where it is more than `call(name=value)`.

        Raises:
            KindError: it is not of the right kind.
            ArgumentError: it is outside the range.
        """
        asked = asked or f"{call}({self.name}={shown(value)})"
        if isinstance(self.default, bool):
            if not is_flag(value):
                raise KindError(f"{asked}: {self.name} must be True or False, found {_described(value)}.")
            return bool(value)
        if isinstance(self.default, tuple):
            if not isinstance(value, tuple | list) or len(value) != len(self.default):
                shape = f"{len(self.default)} numbers, such as {self.default}"
                raise KindError(f"{asked}: {self.name} must be {shape}, found {_described(value)}.")
            return tuple(self._number(asked, f"{self.name}[{i}]", item) for i, item in enumerate(value))
        return self._number(asked, self.name, value)

    def _number(self, asked: str, label: str, value: Any) -> float:
        advice = f" {self.advice}" if self.advice else ""
        if is_flag(value) or not isinstance(value, numbers.Real):
            raise KindError(f"{asked}: {label} must be a number, found {_described(value)}.{advice}")
        number = float(value)
        if not math.isfinite(number):
            raise ArgumentError(f"{asked}: {label} must be a finite number, found {shown(value)}.{advice}")
        low = self.low is None or (number > self.low if self.low_open else number >= self.low)
        high = self.high is None or (number < self.high if self.high_open else number <= self.high)
        if not (low and high):
            raise ArgumentError(f"{asked}: {label} must be {self.range}, found {shown(value)}.{advice}")
        return number


def is_flag(value: Any) -> bool:
    """Whether the value is a Python or NumPy bool."""
    return isinstance(value, bool) or type(value).__name__ == "bool"


def validated(call: str, hypers: Iterable[Hyper], given: Hypers) -> dict[str, Any]:
    """Every hyper-parameter's value, in the order of `hypers`: given ones checked, others at their default.

    Raises:
        ArgumentError: a name is unknown, a required one is missing, or a value is outside its range.
        KindError: a value is of the wrong kind.
    """
    known = {hyper.name: hyper for hyper in hypers}
    for name in given:
        if name not in known:
            raise unknown(f"{call}({name}={shown(given[name])})", name, known)
    values = {}
    for name, hyper in known.items():
        if name not in given and hyper.required:
            advice = f" {hyper.advice}" if hyper.advice else ""
            raise ArgumentError(f"{call}(): {name} is required, found none.{advice}")
        values[name] = hyper.validated(call, given[name]) if name in given else hyper.default
    return values


def unknown(asked: str, name: str, known: Iterable[str]) -> ArgumentError:
    """The error for a hyper-parameter that does not exist."""
    return ArgumentError(f"{asked}: there is no hyper-parameter {name!r}: {nearest(name, known)}")


def shown(value: Any) -> str:
    """A value as a caller would type it: NumPy's scalars as plain numbers."""
    return repr(value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value)


def _described(value: Any) -> str:
    return "None" if value is None else f"the {type(value).__name__} {shown(value)}"
