"""Schedules: what the learning rate is multiplied with, step by step.

A schedule is settings only, in epochs (fractions allowed), and gives a factor for a step. What it learns in training
(`ReduceOnPlateau` alone does) is a plain dict that the training loop keeps, so all schedules are used alike:

    state = schedule.initial_state()
    η = lr · schedule.factor(step, steps_per_epoch, total_steps, state)     # each step
    state = schedule.observe(state, score)                                  # after each epoch
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from fallline.errors import ArgumentError, KindError, nearest
from fallline.ops import exact
from fallline.optim.hyper import Hyper, unknown

State = dict[str, Any]

SCHEDULES: dict[str, type["Schedule"]] = {}


def in_steps(epochs: float, steps_per_epoch: int) -> int:
    """A length in epochs as a whole number of steps, at least 1 unless it is 0."""
    return max(1, round(epochs * steps_per_epoch)) if epochs > 0.0 else 0


def half_cosine(fraction: float, start: float, end: float) -> float:
    """From `start` at fraction 0 to `end` at 1 (and beyond) along half a wave: end + (start−end)·½(1 + cos πf)."""
    bounded = min(max(fraction, 0.0), 1.0)
    return end + (start - end) * (0.5 * (1.0 + exact.cos_pi(bounded)))


@dataclass(frozen=True)
class Schedule:
    """What all schedules share. Subclasses are frozen dataclasses whose fields are described in `settings`."""

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    settings: ClassVar[tuple[Hyper, ...]] = ()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        SCHEDULES[cls.name] = cls

    def __post_init__(self) -> None:
        call = f"optim.{type(self).__name__}"
        for setting in self.settings:
            object.__setattr__(self, setting.name, setting.validated(call, getattr(self, setting.name)))

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        """What to multiply the learning rate with, in float64 and the same bits everywhere.

        Args:
            step: steps taken so far, from 0.
            steps_per_epoch: how many steps an epoch has, at least 1.
            total_steps: how many steps the whole run has at most.
            state: from `initial_state` or `observe`.

        Returns:
            A number from 0 to 1.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its factor is")

    def initial_state(self) -> State:
        """What the schedule has learnt before training, as JSON can hold it: for most, nothing ever."""
        return {}

    def observe(self, state: State, score: float) -> State:
        """The state after an epoch with this monitored score; lower is better."""
        return state

    def config(self) -> dict[str, Any]:
        """All settings as JSON can hold them; `from_config` makes the same schedule of them."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {"name": self.name} | {
            name: value.config() if isinstance(value, Schedule) else value for name, value in values
        }


_FACTOR = Hyper("factor", 0.1, 0.0, 1.0, "what the rate is multiplied with each time", low_open=True)
_FINAL = Hyper("final", 0.0, 0.0, 1.0, "the factor at the end")


@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate as it is: factor 1."""

    name: ClassVar[str] = "constant"

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiplied by `factor` after every `every` epochs: factor^⌊epochs / every⌋."""

    every: float
    factor_: float = field(default=0.1)
