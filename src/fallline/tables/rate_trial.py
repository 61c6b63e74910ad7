"""`--lr auto`: which learning rate a few short trainings do best with.

A trial is a training of its own, of a network of its own, from the same seed: it leaves nothing behind but the number,
and training with it has the bits of training with the same number given by hand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permuted

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
        found: the learning rate to train with: one step below the best.
        best: the rate with the lowest loss; None where all diverged.
        epochs: of each short training.
        losses: its lowest validation loss, by rate, ascending; infinity where it diverged.
    """

    found: float
    best: float | None
    epochs: int
    losses: dict[float, float]

    def told(self) -> str:
        """A sentence for a person."""
        tried = ", ".join(f"{rate:g}" for rate in self.losses)
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        if self.best is None:
            return f"No learning rate of {tried} kept the loss finite for {epochs}; the usual {self.found:g} is used."
        return (
            f"The learning rate {self.found:g} was found by trial: of {tried}, each tried for {epochs}, {self.best:g} "
            f"reached the lowest validation loss, {self.losses[self.best]:.4g}; a whole training gets a third of it. "
            f"--lr {self.found:g} gives the same training without the trial."
        )

    def to_json(self) -> dict[str, object]:
        """For run.json; a loss that is not finite is null there."""
        losses = [[rate, loss if math.isfinite(loss) else None] for rate, loss in self.losses.items()]
        return {"found": self.found, "best": self.best, "epochs": self.epochs, "validation_losses": losses}


def trial_epochs(epochs: int) -> int:
    """How many epochs a trial takes for a training of so many."""
    return min(epochs, max(LEAST_EPOCHS, -(-epochs // SHARE_OF_EPOCHS)))


def trial_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """The training rows of a trial: all, or 20,000 at random."""
    return np.sort(permuted(0, min(rows, MOST_ROWS), rows, seed, "rate trial"))


def search(loss_at: Callable[[float], float], usual: float, epochs: int) -> RateTrial:
    """Try rates around the usual one, each three times the one before; further on where the last one is the best.

    A short training bears, and likes, a larger rate than a long one, so a third of the best is what is found.

    Args:
        loss_at: rate → the lowest validation loss of a short training; what is not finite counts as the worst.
        usual: the rate in the middle, which wins a tie, and is found where all diverge; rounded like the others.
        epochs: of each training, to be told.
    """
    losses: dict[float, float] = {}

    def rate_at(place: int) -> float:
        return _rounded(usual * FACTOR**place)

    def loss_of(place: int) -> float:
        rate = rate_at(place)
        if rate not in losses:
            loss = loss_at(rate)
            losses[rate] = loss if math.isfinite(loss) else math.inf
        return losses[rate]

    def best_of(places: list[int]) -> int:
        return min(places, key=lambda place: (loss_of(place), abs(place)))

    places = list(range(-SIDEWARDS, SIDEWARDS + 1))
    for _ in range(SIDEWARDS):
        if (best := best_of(places)) not in (places[0], places[-1]):
            break
        places = [*places, best + 1] if best == places[-1] else [best - 1, *places]
    best = best_of(places)
    tried = dict(sorted(losses.items()))
    if math.isinf(tried[rate_at(best)]):
        return RateTrial(rate_at(0), None, epochs, tried)
    return RateTrial(rate_at(best - 1), rate_at(best), epochs, tried)


def _rounded(rate: float) -> float:
    """To two digits, so that a person can type it."""
    return float(f"{rate:.2g}")
