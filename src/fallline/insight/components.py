"""The plane in which a path through all of a network's weights lies best: its two principal components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.ops import philox

Array = NDArray[Any]
FLAT = 1e-12
"""A path with less than this share of its variance off a line lies on the line."""


class Components:
    """A plane through weights: w = origin + a·d₁ + b·d₂, with d₁ and d₂ of length 1 and at right angles.

    Attributes:
        origin: by dotted name.
        directions: d₁ and d₂, (2, all weights), each weight in row-major order after the one before.
        explained: the share of the path's variance along each; their sum is what the plane shows of it.
        labels: of the axes.
    """

    def __init__(self, origin: Mapping[str, Array], directions: Array, explained: tuple[float, float]) -> None:
        self.origin = {name: value.astype(np.float64) for name, value in origin.items()}
        self.directions, self.explained = directions, explained
        self.labels = ("first principal component", "second principal component")
        self._parts = [_unflat(direction, self.origin) for direction in directions]

    def at(self, a: float, b: float) -> dict[str, Array]:
        """The weights of a place."""
        one, other = self._parts
        return {name: value + a * one[name] + b * other[name] for name, value in self.origin.items()}

    def place(self, weights: Mapping[str, Array]) -> tuple[float, float]:
        """The place of the plane that is nearest to weights."""
        a, b = self.directions @ (_flat(weights) - _flat(self.origin))
        return float(a), float(b)


def principal_components(moments: Sequence[Mapping[str, Array]]) -> Components:
    """The plane through the last of some weights, along the two directions in which they vary most.

    The directions are the right singular vectors of the weights less their mean, (moments, all weights); they are
    found from the products of the moments with each other, which are few, and point so that the path begins at their
    negative side. Where all moments lie on a line, the second direction is one drawn at random, at right angles.

    Args:
        moments: weights by dotted name, at least two.

    Raises:
        ArgumentError: they are all the same.
    """
    matrix = np.stack([_flat(moment) for moment in moments])
    matrix -= matrix[-1].copy()  # which loses fewer digits than the mean's differences alone
    start = matrix[0].copy()
    matrix -= matrix.mean(axis=0)
    values, vectors = np.linalg.eigh(matrix @ matrix.T)
    values = np.maximum(values[::-1], 0.0)
    total = float(values.sum())
    if len(moments) < 2 or not total > 0.0:
        raise ArgumentError("landscape: the weights are the same at all moments, so that they have no path")
    first = _unit(vectors[:, -1] @ matrix)
    second = vectors[:, -2] @ matrix if values[1] > FLAT * total else philox.normal((1, 2), matrix.shape[1])
    second = _unit(second - (second @ first) * first)
    directions = np.stack([direction if direction @ start <= 0.0 else -direction for direction in (first, second)])
    return Components(moments[-1], directions, (float(values[0]) / total, float(values[1]) / total))


def _unit(vector: Array) -> Array:
    length = float(np.sqrt(vector @ vector))
    return vector / length if length > 0.0 else vector


def _flat(weights: Mapping[str, Array]) -> Array:
    return np.concatenate([np.asarray(value, dtype=np.float64).ravel() for value in weights.values()])


def _unflat(vector: Array, like: Mapping[str, Array]) -> dict[str, Array]:
    parts, at = {}, 0
    for name, value in like.items():
        parts[name] = vector[at : at + value.size].reshape(value.shape)
        at += value.size
    return parts
