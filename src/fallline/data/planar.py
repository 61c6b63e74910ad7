"""Small data sets on the plane, for looking at what a network does: two inputs, and a class or a number.

Every row is a function of (set, seed, row), drawn by Philox and computed in stated arithmetic, so the same name, seed,
number of rows and noise give the same bits everywhere. Inputs lie in about −1 … 1 both ways.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, nearest
from fallline.ops import exact, philox

Array = NDArray[np.float64]
Drawn = tuple[Array, Array]
"""(inputs (rows, 2), classes or numbers (rows,))."""
MOST_ROWS = 1000


@dataclass(frozen=True)
class PlanarSet:
    """One kind of set.

    Attributes:
        name: as callers write it.
        title: as a menu shows it.
        classes: how many; 0 where the target is a number.
        draw: (three uniform numbers for each row, (rows, 3); the row's number) → inputs without noise, targets.
    """

    name: str
    title: str
    classes: int
    draw: Callable[[Array, NDArray[np.int64]], Drawn]


def planar(name: str, rows: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[Array, NDArray[Any]]:
    """A set by its name.

    Args:
        name: one of `PLANAR`.
        rows: 2 to 1,000; classes take turns.
        noise: the standard deviation of what is added to each input, or, where the target is a number, to that.
        seed: of all random numbers.

    Returns:
        (inputs (rows, 2) float64, targets (rows,): classes as int64, or numbers as float64).

    Raises:
        ArgumentError: there is no such set, or a number is out of range.
    """
    if name not in PLANAR:
        raise ArgumentError(f"there is no set {name!r} on the plane: {nearest(name, PLANAR)}")
    if isinstance(rows, bool) or not isinstance(rows, int) or not 2 <= rows <= MOST_ROWS:
        raise ArgumentError(f"planar: rows must be a whole number from 2 to {MOST_ROWS:,}, found {rows!r}")
    if not (isinstance(noise, int | float) and 0.0 <= noise <= 1.0):
        raise ArgumentError(f"planar: noise must be a number from 0 to 1, found {noise!r}")
    kind = PLANAR[name]
    uniform = philox.uniform53(philox.key(seed, "planar", name), 3 * rows).reshape(rows, 3)
    normal = philox.normal(philox.key(seed, "planar noise", name), 3 * rows).reshape(rows, 3)
    x, y = kind.draw(uniform, np.arange(rows))
    if kind.classes:
        return x + noise * normal[:, :2], y.astype(np.int64)
    return x, y + noise * normal[:, 2]


def _circle(turn: Array) -> tuple[Array, Array]:
    """(cos, sin) of so many turns."""
    return exact.cos_pi_of(2.0 * turn), exact.cos_pi_of(2.0 * turn - 0.5)


def _pair(a: Array, b: Array) -> Array:
    return np.stack([a, b], axis=1)


def _moons(u: Array, row: NDArray[np.int64]) -> Drawn:
    """Two half circles that reach into one another."""
    which = row % 2
    cos, sin = _circle(u[:, 0] / 2.0)
    x = np.where(which == 0, cos, 1.0 - cos)
    y = np.where(which == 0, sin, 0.5 - sin)
    return _pair((x - 0.5) / 1.6, (y - 0.25) / 1.2), which.astype(np.float64)


def _circles(u: Array, row: NDArray[np.int64]) -> Drawn:
    """A disc, and a ring around it."""
    which = row % 2
    radius = np.where(which == 0, 0.45 * np.sqrt(u[:, 1]), 0.75 + 0.2 * u[:, 1])
    cos, sin = _circle(u[:, 0])
    return _pair(radius * cos, radius * sin), which.astype(np.float64)


def _spirals(u: Array, row: NDArray[np.int64]) -> Drawn:
    """Two arms of one and a half turns."""
    which = row % 2
    along = np.sqrt(u[:, 0])
    cos, sin = _circle(1.5 * along + which / 2.0)
    return _pair(0.95 * along * cos, 0.95 * along * sin), which.astype(np.float64)


def _xor(u: Array, row: NDArray[np.int64]) -> Drawn:
    """Four squares, of which the two on a diagonal belong together."""
    quarter = row % 4
    right, upper = (quarter % 2).astype(np.float64), (quarter // 2).astype(np.float64)
    x = (0.08 + 0.87 * u[:, 0]) * (2.0 * right - 1.0)
    y = (0.08 + 0.87 * u[:, 1]) * (2.0 * upper - 1.0)
    return _pair(x, y), np.where(right == upper, 0.0, 1.0)


def _gaussians(u: Array, row: NDArray[np.int64]) -> Drawn:
    """Three round clouds at the corners of a triangle."""
    which = row % 3
    cos, sin = _circle(which / 3.0 + 0.25)
    spread = philox.inverse_normal(np.clip(u[:, :2], 2.0**-30, 1.0 - 2.0**-30)) * 0.18
    return _pair(0.58 * cos, 0.58 * sin) + spread, which.astype(np.float64)


def _plane(u: Array, row: NDArray[np.int64]) -> Drawn:
    """A number that rises evenly to the upper right."""
    x = 2.0 * u[:, :2] - 1.0
    return x, 0.6 * x[:, 0] + 0.4 * x[:, 1]


def _waves(u: Array, row: NDArray[np.int64]) -> Drawn:
    """A number that goes up and down twice."""
    x = 2.0 * u[:, :2] - 1.0
    return x, exact.cos_pi_of(1.5 * x[:, 0]) * exact.cos_pi_of(x[:, 1])


PLANAR: dict[str, PlanarSet] = {
    kind.name: kind
    for kind in (
        PlanarSet("moons", "two moons", 2, _moons),
        PlanarSet("circles", "disc and ring", 2, _circles),
        PlanarSet("spirals", "two spirals", 2, _spirals),
        PlanarSet("xor", "exclusive or", 2, _xor),
        PlanarSet("gaussians", "three clouds", 3, _gaussians),
        PlanarSet("plane", "a plane (numbers)", 0, _plane),
        PlanarSet("waves", "waves (numbers)", 0, _waves),
    )
}
