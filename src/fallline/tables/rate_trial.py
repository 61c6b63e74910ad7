"""`--lr auto`: which learning rate a few short trainings do best with.

A trial is a training of its own, of a network of its own, from the same seed: it leaves nothing behind but the number,
and training with it has the bits of training with the same number given by hand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permutation

FACTOR = 3.0
"""Between neighbouring rates: finer than half a decade, trials of a tenth of the epochs hardly tell them apart."""
SIDEWARDS = 2
"""How many rates are tried on each side of the usual one, and how many more where the last of them is the best."""
MOST_ROWS, SHARE_OF_EPOCHS, LEAST_EPOCHS = 20_000, 10, 2
"""Rows that a trial trains on at most; it takes a tenth of the epochs, and two at least."""


@dataclass(frozen=True)
class RateTrial:
    """What a trial found.

    Attributes:
        found: the learning rate.
        epochs: of each short training.
        losses: its lowest validation loss, by rate, ascending; infinity where it diverged.
    """

    found: float
    epochs: int
    losses: dict[float, float]

    def told(self) -> str:
        """A sentence for a person."""
        tried = ", ".join(f"{rate:g}" for rate in self.losses)
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        least = self.losses[self.found]
        if not math.isfinite(least):
            return f"No learning rate of {tried} kept the loss finite for {epochs}; the usual {self.found:g} is used."
        return (
            f"The learning rate {self.found:g} was found by trial: of {tried}, each tried for {epochs}, it reached the "
            f"lowest validation loss, {least:.4g}. --lr {self.found:g} gives the same training without the trial."
        )

    def to_json(self) -> dict[str, object]:
        """For run.json; a loss that is not finite is null there."""
        losses = [[rate, loss if math.isfinite(loss) else None] for rate, loss in self.losses.items()]
        return {"found": self.found, "epochs": self.epochs, "validation_losses": losses}


def trial_epochs(epochs: int) -> int:
    """How many epochs a trial takes for a training of so many."""
    return min(epochs, max(LEAST_EPOCHS, -(-epochs // SHARE_OF_EPOCHS)))


def trial_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """The training rows of a trial: all, or 20,000 at random."""
    return np.sort(permutation(rows, seed, "rate trial")[:MOST_ROWS])


def search(loss_at: Callable[[float], float], usual: float, epochs: int) -> RateTrial:
    """Try rates around the usual one, each three times the one before; further on where the last one is the best.

    Args:
        loss_at: rate → the lowest validation loss of a short training; what is not finite counts as the worst.
        usual: the rate in the middle, taken where none is better.
        epochs: of each training, to be told.
    """
    losses: dict[float, float] = {}

    def try_out(place: int) -> float:
        rate = _rounded(usual * FACTOR**place) if place else usual
        if rate not in losses:
            loss = loss_at(rate)
            losses[rate] = loss if math.isfinite(loss) else math.inf
        return losses[rate]

    def best() -> int:
        return min(places, key=lambda place: (try_out(place), abs(place), place))

    places = list(range(-SIDEWARDS, SIDEWARDS + 1))
    for _ in range(SIDEWARDS):
        at = best()
        if at not in (places[0], places[-1]):
            break
        places = [*places, at + 1] if at == places[-1] else [at - 1, *places]
    at = best()
    found = _rounded(usual * FACTOR**at) if at else usual
    return RateTrial(found, epochs, dict(sorted(losses.items())))


def _rounded(rate: float) -> float:
    """To two digits, so that a person can type it."""
    return float(f"{rate:.2g}")
