"""The default recipe for tables: what `fallline train` decides where the user says nothing.

Each choice stands here, with its reason; `docs/results/tables.md` shows what the whole of them reaches.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import different, ordered
from fallline.data.encoders import TableEncoder
from fallline.tables.network import NetworkPlan

TEXT_FEATURES = 8
"""Features of a text: the bag of its n-grams."""
Array = NDArray[Any]
USUAL, PLAIN = "usual", "plain"
NARROW = (96, 96), 0.15, 0.1
"""Hidden layers, dropout and weight decay of a narrow network: for few rows, and for noisy ones."""
LARGEST_RATE = 4e-3
"""To which the learning rate rises where few epochs are asked for."""
LEAST_STEPS = 1_500
"""Of gradient descent, for a narrow network on a small table."""
NARROWEST = 1e-3
"""Standard deviations that a piece of a number must span: narrower ones would be steep enough to lose digits."""


@dataclass(frozen=True)
class Recipe:
    """Training settings for a table of some size.

    Attributes:
        hidden, activation, dropout, members: of each network in the ensemble, and how many there are.
        pieces: into how many a number is cut at most; see `quantile_knots`.
        optimizer, learning_rate, beta2, weight_decay, schedule, batch_size, epochs: of gradient descent.
    """

    hidden: tuple[int, ...]
    activation: str
    dropout: float
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    batch_size: int | str
    epochs: int
    members: int = 1
    pieces: int = 0
    beta2: float = 0.999


def default_recipe(rows: int, held_out: int = 0, task: str = "classification") -> Recipe:
    """The recipe for so many training rows, and so many more of the same table set aside for validation.

    - Sixteen networks that share most weights, each trained by its own loss (TabM, arXiv:2410.24210), on numbers in
      pieces (arXiv:2203.05556): the more rows, the finer.
    - AdamW with a one-cycle schedule: warm-up guards the first steps, the long decay to 0 does what much
      tuning of a constant rate would (Smith & Topin 2018, arXiv:1708.07120).
    - Few rows: a narrow network, dropout and weight decay; many rows: none of them is needed.
    - At least 1,500 steps (300 epochs at most) on small tables, 4,000 to 6,000 on larger ones: enough for
      the validation loss to turn; the best epoch is kept.
    """
    of_table = rows + held_out
    batch_size = 64 if of_table < 10_000 else 256
    steps_of_epoch = steps_per_epoch(rows, batch_size)
    few, most, steps = (
        (100, 300, LEAST_STEPS) if of_table < 2_000 else (30, 100, 4_000) if of_table < 10_000 else (10, 40, 6_000)
    )
    epochs = min(most, max(few, steps // steps_of_epoch))
    if of_table < 2_000:
        rate = _narrow_rate(epochs * steps_of_epoch, task)
        (hidden, dropout, decay), pieces = NARROW, 16
    elif of_table < 10_000:
        hidden, dropout, pieces, rate, decay = (256, 256), 0.25, 32, 2e-3, 0.03
    else:
        hidden, dropout, pieces, rate, decay = (192, 192), 0.0, 128, 2e-3, 0.03
    return Recipe(
        hidden=hidden,
        activation="relu",
        dropout=dropout,
        members=16,
        pieces=pieces,
        optimizer="adamw",
        learning_rate=rate,
        beta2=0.99,
        weight_decay=decay,
        schedule="one_cycle",
        batch_size=batch_size,
        epochs=epochs,
    )


def steps_per_epoch(rows: int, batch_size: int | str) -> int:
    """How many steps of so many rows, or of "all", it takes to see all rows once."""
    return 1 if isinstance(batch_size, str) else max(1, -(-rows // batch_size))


def in_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe in so many epochs; where they are fewer than its own, steps are larger, so that they lead as far."""
    rate = recipe.learning_rate
    if epochs < recipe.epochs:
        rate = min(LARGEST_RATE, rate * recipe.epochs / epochs)
    return replace(recipe, epochs=epochs, learning_rate=rate)


def plain_recipe(usual: Recipe, rows: int, task: str) -> Recipe:
    """A narrow network on the numbers as they are, for so many training rows.

    Pieces let a network follow every bend of a number; where the rows are noisy, it follows the noise, too.
    """
    hidden, dropout, decay = NARROW
    rate = _narrow_rate(usual.epochs * steps_per_epoch(rows, usual.batch_size), task)
    return replace(usual, hidden=hidden, dropout=dropout, pieces=0, learning_rate=rate, weight_decay=decay)


def _narrow_rate(steps: int, task: str) -> float:
    """The learning rate of a narrow network.

    It is smaller for classes, of which cross-entropy soon makes a network too sure; but not where there are few steps.
    """
    rate = 1e-3 if task == "classification" else LARGEST_RATE
    return min(LARGEST_RATE, rate * max(1.0, LEAST_STEPS / max(1, steps)))


def embedding_width(categories: int) -> int:
    """How many features a category's embedding has: it grows slowly, 8 at 20 categories, 16 at 100 or more."""
    return min(16, 2 + categories // 3)


def network_plan(encoder: TableEncoder, outputs: int, recipe: Recipe, training: Array) -> NetworkPlan:
    """The network's shape for encoded columns.

    Args:
        encoder: of the columns.
        outputs: classes, or 1.
        recipe: the settings.
        training: the encoded training rows, whose quantiles the pieces lie between.
    """
    embedded = tuple((count, embedding_width(count)) for _, count in encoder.embedded)
    bags = tuple((count, TEXT_FEATURES, slots) for _, count, slots in encoder.bags)
    knots = tuple(quantile_knots(training[:, column], recipe.pieces) for column in range(encoder.dense_width))
    return NetworkPlan(
        encoder.dense_width,
        embedded,
        recipe.hidden,
        outputs,
        recipe.activation,
        recipe.dropout,
        bags,
        recipe.members,
        knots,
    )


def quantile_knots(values: Array, pieces: int) -> tuple[float, ...]:
    """Ascending numbers between which a column's pieces lie; none for two values or fewer.

    They cut the rows into parts of about equal size. Where that makes less than half of the pieces, because most rows
    have one value (a capital gain of 0), the rest of them cut the distinct values likewise.
    """
    if pieces < 1:
        return ()
    ascending = ordered(values)
    distinct = different(values)
    if len(distinct) <= 2:
        return ()
    chosen = np.unique(_evenly(ascending, pieces))
    if 2 * len(chosen) <= pieces:
        chosen = np.unique(np.concatenate([chosen, _evenly(distinct, pieces + 1 - len(chosen))]))
    knots = [float(chosen[0])]
    for value in chosen.tolist():
        if value - knots[-1] >= NARROWEST:
            knots.append(value)
    return tuple(knots) if len(knots) > 2 else ()


def _evenly(ordered: Array, pieces: int) -> Array:
    """pieces + 1 of the values, from the first to the last."""
    return ordered[(np.arange(pieces + 1) * (len(ordered) - 1)) // pieces]
