"""What a schedule is, and the register of all schedules.

A schedule is settings only, in epochs (fractions allowed), and gives a factor for a step. What it learns in training
(`ReduceOnPlateau` alone does) is a plain dict that the training loop keeps, so all schedules are used alike:

    state = schedule.initial_state()
    η = lr · schedule.factor(step, steps_per_epoch, total_steps, state)     # each step
    state = schedule.observe(state, score)                                  # after each epoch
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, nearest
from fallline.ops import exact
from fallline.optim.hyper import Hyper, validated

Array = NDArray[np.float64]
State = dict[str, Any]

SCHEDULES: dict[str, type["Schedule"]] = {}


def in_steps(epochs: float, steps_per_epoch: int) -> int:
    """A length in epochs as a whole number of steps: the nearest, but at least 1 unless the length is 0."""
    return max(1, round(epochs * steps_per_epoch)) if epochs > 0.0 else 0


def half_cosines(fractions: Array, start: float, end: float) -> Array:
    """`half_cosine` of each fraction, with the same bits."""
    bounded = np.minimum(np.maximum(fractions, 0.0), 1.0)
    return end + (start - end) * (0.5 * (1.0 + exact.cos_pi_of(bounded)))


def half_cosine(fraction: float, start: float, end: float) -> float:
    """From `start` at fraction 0 to `end` at 1 along half a wave: end + (start−end)·½(1 + cos πf)."""
    bounded = min(max(fraction, 0.0), 1.0)
    return end + (start - end) * (0.5 * (1.0 + exact.cos_pi(bounded)))


class Schedule(ABC):
    """What all schedules share: named settings, each with its range."""

    name: ClassVar[str]
    settings: ClassVar[tuple[Hyper, ...]] = ()
    paper: ClassVar[str] = ""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "name" in vars(cls):
            SCHEDULES[cls.name] = cls

    def __init__(self, **values: Any) -> None:
        self._values = validated(f"optim.{type(self).__name__}", self.settings, values)

    @abstractmethod
    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        """What to multiply the learning rate with, the same bits everywhere.

        Args:
            step: steps taken so far, from 0.
            steps_per_epoch: how many steps an epoch has, at least 1.
            total_steps: how many steps the whole run has at most.
            state: from `initial_state` or `observe`; None is the state before training.

        Returns:
            A number from 0 to 1.
        """

    def factors(
        self, first: int, count: int, steps_per_epoch: int, total_steps: int, state: State | None = None
    ) -> Array:
        """`factor` of `count` steps from `first` on, (count,) float64: the same bits, found together."""
        steps = range(first, first + count)
        return np.array([self.factor(step, steps_per_epoch, total_steps, state) for step in steps], dtype=np.float64)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Schedule":
        """A schedule of this class with these settings, checked by name."""
        return cls(**validated(f"optim.{cls.__name__}", cls.settings, settings))

    def initial_state(self) -> State:
        """What the schedule has learnt before training, as JSON can hold it: for most, nothing ever."""
        return {}

    def observe(self, state: State, score: float) -> State:
        """The state after an epoch with this monitored score (lower is better). `state` is not changed."""
        return dict(state)

    def config(self) -> dict[str, Any]:
        """All settings as JSON can hold them; `schedules.from_config` makes the same schedule of them."""
        return {"name": self.name, **self._values}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash(repr(self))


def by_name(name: str, **settings: Any) -> Schedule:
    """The schedule of that name: `by_name("cosine", final=0.01)`.

    Args:
        name: as in `SCHEDULES`; case, hyphens and underscores do not count.
        settings: what its class takes.

    Raises:
        ArgumentError: the name or a setting is unknown, with the nearest; or a value is out of range.
    """
    plain = {key.replace("_", ""): schedule for key, schedule in SCHEDULES.items()}
    found = plain.get(str(name).lower().replace("_", "").replace("-", ""))
    if found is None:
        raise ArgumentError(f"schedules.by_name({name!r}): no schedule is named so: {nearest(str(name), SCHEDULES)}")
    return found.from_settings(settings)


def from_config(config: Mapping[str, Any]) -> Schedule:
    """The schedule that `config()` describes.

    Raises:
        ArgumentError: the description has no name, or something in it is unknown or out of range.
    """
    if not isinstance(config, Mapping) or "name" not in config:
        raise ArgumentError(f"schedules.from_config: need a mapping with a 'name', found {config!r}.")
    return by_name(config["name"], **{key: value for key, value in config.items() if key != "name"})
