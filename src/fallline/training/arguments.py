"""Checks of `fl.fit`'s plain arguments: numbers, names, optimizers and schedules."""

from typing import Any

import numpy as np

from fallline import optim
from fallline.errors import ArgumentError, KindError, nearest
from fallline.optim.schedules import Constant, Schedule


def rows_per_step(batch_size: Any, rows: int, call: str = "fit") -> int:
    """The batch size, at most all rows."""
    if batch_size == "all":
        return rows
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ArgumentError(
            f"{call}: batch_size must be a whole number of at least 1, or 'all' for batch gradient descent; "
            f"found {batch_size!r}"
        )
    return min(int(batch_size), rows)


def whole_number(name: str, value: Any, least: int, call: str = "fit") -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{call}: {name} must be a whole number of at least {least}, found {value!r}")
    return int(value)


def seed_number(value: Any) -> int:
    """A seed, 0 ≤ seed < 2⁶³."""
    seed = whole_number("seed", value, 0)
    if seed >= 2**63:
        raise ArgumentError(f"fit: seed must be less than 2^63, found {seed}")
    return seed


def positive_number(name: str, value: Any, zero: bool = False) -> float:
    """A number greater than 0 (or 0 itself, with `zero`)."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not (value >= 0 if zero else value > 0):
        raise ArgumentError(f"fit: {name} must be {'0 or greater' if zero else 'greater than 0'}, found {value!r}")
    return float(value)


def one_of(name: str, value: Any, options: tuple[str, ...], call: str = "fit") -> None:
    """Refuse what is not among the options."""
    if value not in options:
        raise ArgumentError(f"{call}: {name} cannot be {value!r}; {nearest(str(value), options)}")


def as_optimizer(optimizer: Any, call: str = "fit") -> optim.Optimizer:
    """An optimizer by name or as it is; SGD(lr=0.1, momentum=0.9) for None."""
    if optimizer is None:
        return optim.SGD(lr=0.1, momentum=0.9)
    if isinstance(optimizer, str):
        return optim.by_name(optimizer)
    if not isinstance(optimizer, optim.Optimizer):
        raise KindError(f"{call}: optimizer must be an object of fallline.optim or its name, found {optimizer!r}")
    return optimizer


def as_schedule(schedule: Any) -> Schedule:
    """A schedule by name or as it is; a constant one for None."""
    if schedule is None:
        return Constant()
    if isinstance(schedule, str):
        return optim.schedules.by_name(schedule)
    if not isinstance(schedule, Schedule):
        raise KindError(f"fit: schedule must be an object of optim.schedules or its name, found {schedule!r}")
    return schedule
