"""The default recipe for tables: what `fallline train` decides where the user says nothing.

Each choice stands here, with its reason; `docs/results/tables.md` shows what the whole of them reaches.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.encoders import TableEncoder
from fallline.tables.network import NetworkPlan

Array = NDArray[Any]
NARROWEST = 1e-3
"""Standard deviations that a piece of a number must span: narrower ones would be steep enough to lose digits."""


@dataclass(frozen=True)
class Recipe:
    """Training settings for a table of some size."""

    hidden: tuple[int, ...]
    activation: str
    dropout: float
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    batch_size: int | str
    epochs: int
    members: int = 16
    pieces: int = 32
    label_smoothing: float = 0.0
    beta2: float = 0.99
    restore_best: bool = True


def default_recipe(rows: int) -> Recipe:
    """The recipe for so many training rows.

    - AdamW with a one-cycle schedule: warm-up guards the first steps, the long decay to 0 does what much
      tuning of a constant rate would (Smith & Topin 2018, arXiv:1708.07120).
    - Few rows: a small network, dropout and strong weight decay, since the linear path alone is near the
      best there; many rows: width pays.
    - At least 1,500 steps (300 epochs at most) on small tables, 30 to 100 epochs on larger ones: enough for
      the validation loss to turn; the best epoch is kept.
    """
    small = rows < 2_000
    hidden = (32, 32) if small else (128, 128) if rows < 10_000 else (256, 256)
    batch_size = 32 if small else 64 if rows < 10_000 else 256
    steps_per_epoch = max(1, -(-rows // batch_size))
    few, most, steps = (100, 300, 1_500) if small else (30, 100, 4_000)
    epochs = min(most, max(few, steps // steps_per_epoch))
    return Recipe(
        hidden=hidden,
        activation="relu",
        dropout=0.3 if small else 0.1,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.5 if small else 0.02,
        schedule="one_cycle",
        batch_size=batch_size,
        epochs=epochs,
    )


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
    knots = tuple(quantile_knots(training[:, column], recipe.pieces) for column in range(encoder.dense_width))
    return NetworkPlan(
        encoder.dense_width,
        embedded,
        recipe.hidden,
        outputs,
        recipe.activation,
        recipe.dropout,
        recipe.members,
        knots,
    )


def quantile_knots(values: Array, pieces: int) -> tuple[float, ...]:
    """Ascending numbers that cut the values into pieces of about as many rows; none for two values or fewer."""
    ordered = np.sort(values)
    if len(np.unique(ordered)) <= 2:
        return ()
    places = (np.arange(pieces + 1) * (len(ordered) - 1)) // pieces
    knots = [float(ordered[0])]
    for value in ordered[places].tolist():
        if value - knots[-1] >= NARROWEST:
            knots.append(value)
    return tuple(knots) if len(knots) > 2 else ()
