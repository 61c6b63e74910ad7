"""Which columns the predictions rest on: how much worse they become when a column is shuffled (Breiman 2001)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.report.judged import Judged
from fallline.report.statistics import interval, resampled

Array = NDArray[Any]
MOST_ROWS, LEAST_ROWS, REPEATS, TOGETHER = 1000, 50, 5, 8192


@dataclass(frozen=True)
class Importance:
    """How much each column matters for the metric that counts.

    Attributes:
        names: the columns, the most important one first.
        loss: how much the metric gets worse when the column is shuffled (in its units; accuracy as a share).
        low, high: the 95 % interval of `loss` over other rows of the same kind.
        rows, repeats: among how many rows, and how often, each column was shuffled.
        left: how many columns were not tried, for lack of time.
    """

    names: list[str]
    loss: Array
    low: Array
    high: Array
    rows: int
    repeats: int
    left: int


def permutation_importance(
    judged: Judged,
    places: Mapping[str, Array],
    predict: Callable[[Array], Array],
    cost: Callable[[Array, Array], Array],
    seed: int = 0,
    seconds: float = 1.5,
) -> Importance | None:
    """Shuffle one column after the other among the rows a model is judged by.

    What is shuffled are the encoded features of a column together, which is the same as shuffling its cells.

    Args:
        judged: the rows.
        places: column → which encoded features are its own.
        predict: encoded rows → outputs.
        cost: (outputs, row numbers) → what each row adds to the metric: 1 for a wrong class, or the
            squared error.
        seed: of the rows taken and the shuffles.
        seconds: about how long it may take; rows and repeats are as many as fit.

    Returns:
        None where there are fewer than 2 rows.
    """
    if len(judged) < 2:
        return None
    chance = np.random.default_rng(seed)
    chosen = chance.permutation(len(judged))[:MOST_ROWS]
    rows, repeats, columns = _affordable(judged.matrix[chosen], predict, len(places), seconds)
    chosen = np.sort(chosen[:rows])
    matrix = judged.matrix[chosen]
    names = list(places)[:columns]
    blocks = [(name, _shuffles(len(chosen), repeats, chance)) for name in names]
    per_call = max(1, TOGETHER // (rows * repeats))
    shuffled = np.empty((rows, len(names)))
    for begin in range(0, len(blocks), per_call):
        part = blocks[begin : begin + per_call]
        inputs = np.concatenate([_with_shuffled(matrix, places[name], orders) for name, orders in part])
        costs = cost(predict(inputs), np.tile(chosen, repeats * len(part)))
        shuffled[:, begin : begin + len(part)] = costs.reshape(len(part), repeats, rows).mean(axis=1).T
    before = cost(predict(matrix), chosen)
    return _measured(names, before, shuffled, judged.chances is None, repeats, len(places) - columns)


def _affordable(matrix: Array, predict: Callable[[Array], Array], columns: int, seconds: float) -> tuple[int, int, int]:
    """(rows, repeats, columns) that can be predicted in the time."""
    trial = matrix[np.arange(max(len(matrix), 500)) % len(matrix)]
    predict(trial)  # the first call may compile
    begun = time.perf_counter()
    predict(trial)
    each = max((time.perf_counter() - begun) / len(trial), 1e-9)
    budget = int(seconds / each)  # rows
    rows = min(len(matrix), max(LEAST_ROWS, budget // (columns * REPEATS)))
    repeats = max(1, min(REPEATS, budget // (columns * rows)))
    return rows, repeats, max(1, min(columns, budget // (rows * repeats)))


def _shuffles(rows: int, repeats: int, chance: np.random.Generator) -> Array:
    return np.stack([chance.permutation(rows) for _ in range(repeats)])


def _with_shuffled(matrix: Array, features: Array, orders: Array) -> Array:
    """The rows once for each order, some features taken from the rows of that order: (repeats · rows, features)."""
    repeated = np.tile(matrix, (len(orders), 1))
    repeated[:, features] = matrix[orders.reshape(-1)][:, features]
    return repeated


def _measured(names: list[str], before: Array, shuffled: Array, root: bool, repeats: int, left: int) -> Importance:
    """From the costs of rows to the metric; `root` where it is the root of their mean."""
    table = np.column_stack([before, shuffled])
    means, samples = table.mean(axis=0), resampled(table)
    if root:
        means, samples = np.sqrt(means), np.sqrt(samples)
    loss = means[1:] - means[0]
    low, high = interval(samples[:, 1:] - samples[:, :1])
    order = np.argsort(-loss, kind="stable")
    return Importance([names[k] for k in order], loss[order], low[order], high[order], len(before), repeats, left)
