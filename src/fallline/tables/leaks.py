"""Columns that tell the target almost by themselves: a copy, a renamed label, the parts of a sum.

Only for a warning: nothing here reaches a weight or leaves a column out, so NumPy's own sums will do.
"""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permutation, permuted
from fallline.data.dates import as_moments
from fallline.data.spelling import distinct, is_missing
from fallline.data.table import Table
from fallline.tables.columns import ColumnInfo

Array = NDArray[Any]
SAMPLE, LEAST_ROWS = 2000, 50
"""Rows that are looked at, at most; and at least, for a pattern to mean anything."""
MOST_COLUMNS, MOST_TOGETHER = 50, 3
"""Of how many number columns sums are tried, and how many of them may make the target together."""
KNOWN, FARTHEST, NOTHING = 0.8, 1e150, 1e-3
"""The share of a column's cells that must be there for sums to be tried; how large its numbers may be; and what is not
worth telling of a constant, beside the target's spread."""
CHANGES, EXPECTED = 0.01, 20
"""Changes of class between neighbours, as a share of what chance would give; and how many of those there must be."""
SCATTER, STEP, REST = 1e-3, 0.02, 1e-4
"""What is left of the target's variance within a category; of the mean step in rank between neighbours, beside that of
chance; and of the sum of squares beside a sum of columns."""


def leaks(training: Table, infos: Sequence[ColumnInfo], target: Array, name: str) -> list[str]:
    """A sentence for each column, or few columns, that nearly determine the target.

    A single column is found by what its rows' neighbours say: the rows are put in its order (or by category), and the
    target hardly changes from one to the next, where chance would change it often (for numbers this is Chatterjee's
    coefficient ξ, J. Am. Stat. Assoc. 116:2009, 2021). A sum is found by least squares and left-out columns.

    Args:
        training: the training rows.
        infos: what each column is.
        target: class codes (whole numbers) or the target's values (floats) of those rows.
        name: the target's.
    """
    rows = np.sort(permuted(0, min(SAMPLE, len(training)), len(training), 0, "leaks"))
    used = [info for info in infos if info.used]
    if len(rows) < LEAST_ROWS or len(used) < 2:
        return []
    sample, y = training.select(rows), target[rows]
    shuffled = permutation(len(rows), 1, "leaks")  # so that equal cells come in no order of the file
    found = [info.name for info in used if _tells(sample.select(shuffled), info, y[shuffled])]
    told = [_alone(column, name) for column in found]
    if y.dtype.kind == "f":
        numbers = [info.name for info in used if info.kind == "number" and info.name not in found]
        terms, constant = _sum(sample, numbers, y)
        if terms and len(terms) < len(used):
            told.append(_together(terms, constant, name))
    return told


def _alone(column: str, target: str) -> str:
    return (
        f"{column!r} alone tells {target!r} almost exactly. If it is a copy of the target, or is known only after it, "
        f"leave it out: {_drop([column])}"
    )


def _together(terms: dict[str, float], constant: float, target: str) -> str:
    factors = {column: "" if abs(abs(a) - 1) < 5e-4 else f"{abs(a):.4g} · " for column, a in terms.items()}
    parts = " ".join(f"{'-' if a < 0 else '+'} {factors[column]}{column}" for column, a in terms.items())
    plus = "" if constant == 0 else f" {'-' if constant < 0 else '+'} {abs(constant):.4g}"
    names = ", ".join(repr(column) for column in terms)
    return (
        f"{names} together make {target!r} almost exactly ({target} ≈ {parts.removeprefix('+ ')}{plus}). If "
        f"they are known only after it, leave them out: {_drop(list(terms))}"
    )


def _drop(columns: list[str]) -> str:
    return " ".join(f"--drop {shlex.quote(column)}" for column in columns)


def _tells(sample: Table, info: ColumnInfo, y: Array) -> bool:
    """Whether one column nearly determines the target."""
    values = sample.column(info.name)
    if info.kind == "date":
        values = as_moments(values, info.name, info.date_format, sample.place)
    present = ~is_missing(values)
    if 2 * present.sum() < len(y) or present.sum() < LEAST_ROWS:
        return False
    values, y = values[present], y[present]
    in_order = info.kind in ("number", "date") and values.dtype.kind != "O"
    cells = values if in_order else distinct(values)[1]
    order = np.argsort(cells, kind="stable")
    cells, y = cells[order], y[order]
    pairs = np.ones(len(y) - 1, dtype=bool) if in_order else cells[1:] == cells[:-1]
    if 2 * pairs.sum() < len(y):
        return False
    return _same_class(y, pairs, in_order) if y.dtype.kind != "f" else _same_value(y, pairs, in_order)


def _same_class(y: Array, pairs: Array, in_order: bool) -> bool:
    shares = np.unique(y, return_counts=True)[1] / len(y)
    expected = pairs.sum() * (1 - (shares**2).sum())
    free = len(shares) - 1 if in_order else 0  # in order, each class follows another one once
    changes = ((y[1:] != y[:-1]) & pairs).sum() - free
    return bool(expected >= EXPECTED and changes <= CHANGES * expected)


def _same_value(y: Array, pairs: Array, in_order: bool) -> bool:
    if not in_order:
        variance = y.var()
        within = ((np.diff(y) ** 2)[pairs]).mean() / 2
        return bool(variance > 0 and within <= SCATTER * variance)
    _, ranks = np.unique(y, return_inverse=True)
    by_chance = np.abs(ranks - ranks[permutation(len(ranks), 2, "leaks")]).mean()
    at_least = np.ptp(ranks) / len(ranks)  # the step where the one grows with the other
    return bool(np.abs(np.diff(ranks)).mean() <= at_least + STEP * by_chance)


def _sum(sample: Table, names: list[str], y: Array) -> tuple[dict[str, float], float]:
    """The columns, three at most, whose weighted sum and a constant make the target; none where there are none."""
    columns = {name: sample.column(name).astype(np.float64) for name in names}
    kept = [name for name, values in columns.items() if np.isfinite(values).mean() > KNOWN]
    if not 2 <= len(kept) <= MOST_COLUMNS:
        return {}, 0.0
    matrix = np.stack([*(columns[name] for name in kept), y], axis=1)  # (rows, columns and the target)
    matrix = matrix[np.isfinite(matrix).all(axis=1)]
    if len(matrix) < max(LEAST_ROWS, 2 * len(kept)):
        return {}, 0.0
    with np.errstate(all="ignore"):
        middle = matrix.mean(axis=0)
        centred = matrix - middle
        scale = np.abs(centred).max(axis=0)
    if not np.all((scale > 0) & (scale < FARTHEST)):  # what does not vary, or squares would overflow
        return {}, 0.0
    triangle: Any = np.linalg.qr(centred / scale, mode="r")  # keeps all lengths and angles
    places = _fewest(triangle[:, :-1], triangle[:, -1])
    weights: Array = np.linalg.lstsq(triangle[:, places], triangle[:, -1], rcond=None)[0]
    factors = weights * scale[-1] / scale[places]
    constant = float(middle[-1] - middle[places] @ factors)
    terms = {kept[place]: float(factor) for place, factor in zip(places, factors, strict=True)}
    return terms, 0.0 if abs(constant) < NOTHING * scale[-1] else constant


def _fewest(matrix: Array, y: Array) -> list[int]:
    """Columns that make y, found by leaving out one after the other; none where they are more than three."""
    most = REST * float(y @ y)

    def rest(places: list[int]) -> float:
        weights = np.linalg.lstsq(matrix[:, places], y, rcond=None)[0]
        return float(((matrix[:, places] @ weights - y) ** 2).sum())

    places = list(range(matrix.shape[1]))
    if rest(places) > most:
        return []
    while len(places) > 2:
        least, gone = min((rest([p for p in places if p != place]), place) for place in places)
        if least > most:
            break
        places.remove(gone)
    return places if len(places) <= MOST_TOGETHER else []
