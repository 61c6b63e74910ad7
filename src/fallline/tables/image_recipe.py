"""The default recipe for images: what `fallline train` decides for a table whose columns are the points of images.

Each choice stands here, with its reason; `docs/results/mnist_train.md` and `docs/results/images.md` show what the whole
of them reaches.
"""

from dataclasses import replace
from math import prod

from fallline.tables.images import ImagePlan
from fallline.tables.recipe import Recipe, default_recipe, steps_per_epoch

MOVES_IN_FILES = 2
"""By how many points an image that was read from a file is moved at most: see docs/decisions/0017-images.md."""


def image_recipe(rows: int) -> Recipe:
    """The recipe for so many training images."""
    batch_size = 32 if rows < 2_000 else 128
    return replace(
        default_recipe(rows),
        hidden=(512, 512),
        activation="gelu",
        dropout=0.2,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.02,
        schedule="one_cycle",
        batch_size=batch_size,
        epochs=min(200, max(25, 4_000 // steps_per_epoch(rows, batch_size))),
    )


def image_plan(shape: tuple[int, ...], outputs: int, recipe: Recipe, in_files: bool = False) -> ImagePlan:
    """The network's shape for images.

    Images in files are taken for photographs: standardised, and moved further, since what they show is not centred.
    """
    moves = MOVES_IN_FILES if in_files else 1
    return ImagePlan(
        prod(shape), (), recipe.hidden, outputs, recipe.activation, recipe.dropout,
        shape=shape, moves=moves, standardised=in_files,
    )  # fmt: skip
