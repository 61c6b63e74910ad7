"""Rows with two inputs, and what each loss makes of their targets: for networks that are looked at on the plane."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.numbers import as_numbers, standard, standardised
from fallline.data.planar import PLANAR, planar
from fallline.data.spelling import is_missing
from fallline.data.table import Table
from fallline.data.targets import ClassTarget
from fallline.errors import DataError
from fallline.nn.losses import LOSSES
from fallline.training.metrics import probabilities

Array = NDArray[Any]
MOST_CLASSES, MOST_ROWS = 6, 1000
NUMBERS = ("mse", "mae", "huber")
"""Losses of numbers; of classes they take −1 and 1, or one number for each class."""


@dataclass(frozen=True)
class PlaneData:
    """Rows on a plane.

    Attributes:
        title: what they are.
        names: of the two inputs.
        target: the target's name.
        x: (rows, 2) float32.
        y: (rows,): codes of classes, or numbers.
        classes: the labels; empty where the target is a number.
        test_x, test_y: rows of the same kind that nothing is trained on; there may be none.
        notices: what a person should be told of them.
    """

    title: str
    names: tuple[str, str]
    target: str
    x: Array
    y: Array
    classes: tuple[str, ...]
    test_x: Array
    test_y: Array
    notices: tuple[str, ...] = ()

    @property
    def reach(self) -> float:
        """How far from 0 a picture must go to show all rows."""
        return max(1.25, float(np.abs(self.x).max()) * 1.08)


def built_in(name: str, rows: int, noise: float, seed: int) -> PlaneData:
    """One of the sets of `data.planar`, and as many rows again to test on.

    Raises:
        ArgumentError: there is no such set, or a number is out of range.
    """
    x, y = planar(name, rows, noise, seed)
    test_x, test_y = planar(name, rows, noise, seed + 1)
    kind = PLANAR[name]
    classes = tuple("ABCDEF"[: kind.classes])
    narrow = (np.float32, np.int64 if classes else np.float64)
    return PlaneData(
        kind.title, ("x₁", "x₂"), "class" if classes else "number", x.astype(narrow[0]), y.astype(narrow[1]),
        classes, test_x.astype(narrow[0]), test_y.astype(narrow[1]),
    )  # fmt: skip


def numeric_columns(table: Table) -> list[str]:
    """The columns that can be an input: numbers."""
    return [name for name, values in table.columns.items() if values.dtype.kind in "fiu"]


def of_table(table: Table, first: str, second: str, target: str) -> PlaneData:
    """Two numeric columns of a table as inputs, standardised, and a third column as target.

    Whole numbers of at most six kinds, text and truth values are classes; other numbers are standardised. Rows that
    miss one of the three are left out; of more than 1,000 the first are taken. Every fourth row is one to test on.

    Raises:
        DataError: a column does not exist or is not of its kind, or hardly a row is left.
    """
    names = [table.resolve_column(column) for column in (first, second, target)]
    if len(set(names)) < 3:
        raise DataError(f"{table.source}: choose three different columns, found {', '.join(map(repr, names))}.")
    for name in names[:2]:
        if name not in numeric_columns(table):
            raise DataError(f"{table.source}: the column {name!r} holds no numbers; choose one that does as an input.")
    missing = np.any([is_missing(table.column(name)) for name in names], axis=0)
    kept = table.select(np.flatnonzero(~missing)[:MOST_ROWS])
    if len(kept) < 8:
        raise DataError(
            f"{table.source}: only {len(kept)} rows have all of {', '.join(map(repr, names))}; 8 are needed."
        )
    left = len(table) - len(kept)
    notices = [f"{len(kept):,} of {len(table):,} rows are shown."] if left else []
    inputs = [_standard(kept, name, notices) for name in names[:2]]
    y, classes = _target(kept, names[2], notices)
    x = np.stack(inputs, axis=1)
    held_out = np.arange(len(kept)) % 4 == 3
    return PlaneData(
        table.source, (names[0], names[1]), names[2], x[~held_out], y[~held_out], classes, x[held_out], y[held_out],
        tuple(notices),
    )  # fmt: skip


def _standard(table: Table, name: str, notices: list[str]) -> Array:
    numbers = as_numbers(table.column(name), name, table.place, notices)
    mean, deviation = standard(numbers[~np.isnan(numbers)])
    if not deviation > 0.0:
        raise DataError(f"{table.source}: the column {name!r} is the same in all rows; choose another.")
    return standardised(numbers, mean, deviation * 2.0)  # most rows lie within −1 … 1


def _target(table: Table, name: str, notices: list[str]) -> tuple[Array, tuple[str, ...]]:
    values = table.column(name)
    if values.dtype.kind in "fiu" and not _are_classes(values):
        return _standard(table, name, notices).astype(np.float64), ()
    if values.dtype.kind == "M":
        raise DataError(f"{table.source}: the column {name!r} holds dates; choose a target of classes or numbers.")
    target = ClassTarget.fit(values, name, table.place)
    if len(target.classes) > MOST_CLASSES:
        raise DataError(
            f"{table.source}: the column {name!r} has {len(target.classes)} classes; choose one of at most "
            f"{MOST_CLASSES}."
        )
    return target.encode(values, table.place), tuple(str(label)[:40] for label in target.classes)


def _are_classes(values: Array) -> bool:
    kinds = np.unique(values)
    return len(kinds) <= MOST_CLASSES and bool(np.all(kinds == np.round(kinds)))


def losses_for(classes: int) -> list[str]:
    """The registered losses that fit so many classes; 0 classes are numbers."""
    return [name for name in LOSSES if outputs_for(name, classes)]


def outputs_for(loss: str, classes: int) -> int:
    """How many outputs a network needs for a loss; 0 where it does not fit."""
    if loss in NUMBERS:
        return classes if classes > 2 else 1
    if loss == "cross_entropy":
        return classes
    if loss == "hinge":
        return classes if classes > 2 else int(classes == 2)
    return int(loss == "binary_cross_entropy" and classes == 2)


def targets_for(loss: str, y: Array, classes: int) -> Array:
    """Targets as a loss takes them, for as many outputs as `outputs_for` tells."""
    if loss == "cross_entropy" or (loss == "hinge" and classes > 2):
        return y
    if loss == "binary_cross_entropy":
        return y[:, None].astype(np.float64)
    if classes > 2:
        return np.eye(classes)[y]
    return 2.0 * y[:, None] - 1.0 if classes else y[:, None]


def shares_of(loss: str, outputs: Array, classes: int) -> Array:
    """What a picture shows of outputs: the share of the second of two classes, of each of several, or the number.

    Returns:
        (rows, 1), or (rows, classes) of more than two.
    """
    if not classes:
        return outputs
    if loss == "cross_entropy" or (loss == "hinge" and classes > 2):
        found = probabilities(outputs)
        return found[:, 1:] if classes == 2 else found
    if loss == "binary_cross_entropy":
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-outputs)))
    if classes == 2:
        return np.clip((outputs + 1.0) / 2.0, 0.0, 1.0)
    clipped = np.clip(outputs, 0.0, 1.0) + 1e-9
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def share_right(shares: Array, y: Array, classes: int) -> float | None:
    """The accuracy of shares; None for numbers."""
    if not classes or not len(y):
        return None
    found = shares[:, 0] > 0.5 if classes == 2 else np.argmax(shares, axis=1)
    return float(np.mean(found == y))
