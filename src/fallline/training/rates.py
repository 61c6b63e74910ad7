"""The learning rate's factor through a training, step by step, for a schedule that may learn after each epoch."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.optim.schedules import Schedule

Array = NDArray[np.float64]


class Rates:
    """What the schedule multiplies the learning rate with.

    Args:
        schedule: the schedule.
        steps_per_epoch: steps of an epoch.
        epochs: of the whole training.
        scores: of the epochs that are over: what the schedule has learnt follows from them.
    """

    def __init__(self, schedule: Schedule, steps_per_epoch: int, epochs: int, scores: Iterable[float] = ()) -> None:
        self._schedule, self._per_epoch, self._total = schedule, steps_per_epoch, epochs * steps_per_epoch
        self._states: list[dict[str, Any]] = [schedule.initial_state()]
        for score in scores:
            self.observe(score)

    @property
    def learns(self) -> bool:
        """Whether an epoch's score may change the factors of the next."""
        return type(self._schedule).observe is not Schedule.observe

    def observe(self, score: float) -> None:
        """Take in the score of the epoch that has ended."""
        self._states.append(self._schedule.observe(self._states[-1], score))

    def factors(self, first: int, count: int) -> Array:
        """The factors of `count` steps from `first` on; beyond the last known epoch, with what is known."""
        parts, step = [], first
        while step < first + count:
            epoch = min(step // self._per_epoch, len(self._states) - 1)
            last = not self.learns or epoch == len(self._states) - 1
            end = first + count if last else min(first + count, (epoch + 1) * self._per_epoch)
            parts.append(self._schedule.factors(step, end - step, self._per_epoch, self._total, self._states[epoch]))
            step = end
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])
