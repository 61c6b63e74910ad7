"""The batches of a training: which rows each step takes, and what its loss is divided by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permuted
from fallline.ops import exact
from fallline.training.step import Rows

Array = NDArray[Any]


class Batches:
    """The rows of every step, numbered through the whole training.

    Args:
        rows: the training set.
        batch_size: rows of a step; the last batch of an epoch may be smaller.
        seed: the run's: of the order of rows here, and of Dropout.
        shuffle: whether each epoch takes the rows in another order.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int, shuffle: bool) -> None:
        self.rows, self.batch_size, self.seed, self.shuffle = rows, batch_size, seed, shuffle
        self.steps_per_epoch = -(-len(rows) // batch_size)
        self.mean_weight = 1.0 if rows.weight is None else float(exact.tree_sum(rows.weight)) / len(rows)
        self._sizes = np.full(self.steps_per_epoch, batch_size)
        self._sizes[-1] = len(rows) - (self.steps_per_epoch - 1) * batch_size

    def sizes(self, first: int, count: int) -> Array:
        """How many rows each of `count` steps takes, (count,), whole numbers."""
        return self._sizes[np.arange(first, first + count) % self.steps_per_epoch]

    def denominators(self, first: int, count: int) -> Array:
        """Rows × the training set's mean weight, (count,), float64: what each step's loss is divided by."""
        return self.sizes(first, count) * self.mean_weight

    def numbers_of(self, step: int) -> Array:
        """The numbers of one step's rows in the training set, in its order."""
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = len(self.rows)
        start = place * self.batch_size
        stop = min(start + self.batch_size, rows)
        return permuted(start, stop, rows, self.seed, "order", epoch) if self.shuffle else np.arange(start, stop)

    def rows_of(self, step: int) -> Rows:
        """The rows of one step, in its order."""
        return self.rows.take(self.numbers_of(step))

    def mean_loss(self, losses: Array) -> float:
        """The mean over an epoch's rows of its steps' losses, (steps,): Σ lossₛ·rowsₛ, one after the other, / rows."""
        with np.errstate(over="ignore"):
            return float(np.cumsum(losses * self._sizes)[-1] + 0.0) / len(self.rows)
