"""Where a surface lies below a level: closed outlines from a grid of heights, by marching squares.

Each cell of the grid whose corners lie on both sides of the level is crossed by a straight line; the lines
link up to outlines. The grid is walled in by heights above every level, at the border's own place, so that
every outline is closed and runs along the border where the low ground leaves the grid. Source: Lorensen &
Cline, "Marching cubes", SIGGRAPH 1987, in two dimensions; a saddle is decided by the mean of its corners.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Edge = tuple[int, int, int]  # (row, column, 0 for the edge to the right, 1 for the edge downwards)
Outline = list[tuple[float, float]]

# The edges of a cell, with its corners numbered round: top left, top right, bottom right, bottom left.
_SIDES = ((0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1))


def outlines(heights: Array, level: float) -> list[Outline]:
    """The outlines of the ground at or below `level`, in grid places (column, row), each closed.

    Args:
        heights: (rows, columns), finite.
        level: the height.

    Returns:
        Outlines; ground and holes are told apart by the even-odd rule.
    """
    grid = np.asarray(heights, dtype=np.float64)
    wall = max(float(grid.max()), level) * 2.0 + abs(level) + 1.0
    walled = np.pad(grid, 1, constant_values=wall)
    following = dict(_crossings(walled, level))
    found = []
    while following:
        edge = start = next(iter(following))
        places: Outline = []
        while True:
            places.append(_place(walled, level, edge, grid.shape))
            edge = following.pop(edge)
            if edge == start:
                break
        found.append(_without_repeats(places))
    return [outline for outline in found if len(outline) > 2]


def _crossings(grid: Array, level: float) -> Iterator[tuple[Edge, Edge]]:
    """(edge where a line enters a cell, edge where it leaves), with the low ground always on the same hand."""
    low = grid <= level
    mixed = low[:-1, :-1] * 8 + low[:-1, 1:] * 4 + low[1:, 1:] * 2 + low[1:, :-1] * 1
    for row, column in np.argwhere((mixed > 0) & (mixed < 15)):
        corners = [bool(low[row + r, column + c]) for r, c in ((0, 0), (0, 1), (1, 1), (1, 0))]
        sides = [(int(row) + r, int(column) + c, along) for r, c, along in _SIDES]
        # Walking round the cell: where low turns to high, a line leaves; where high turns to low, one enters.
        leaves = [k for k in range(4) if corners[k] and not corners[(k + 1) % 4]]
        enters = [k for k in range(4) if not corners[k] and corners[(k + 1) % 4]]
        if len(leaves) == 2:
            centre_low = float(grid[row : row + 2, column : column + 2].mean()) <= level
            enters = [(k + 1) % 4 for k in leaves] if centre_low else [(k - 1) % 4 for k in leaves]
        for enter, leave in zip(enters, leaves, strict=True):
            yield sides[enter], sides[leave]


def _place(grid: Array, level: float, edge: Edge, shape: tuple[int, ...]) -> tuple[float, float]:
    """Where the level crosses an edge, as (column, row) of the grid without its wall."""
    row, column, down = edge
    here, there = float(grid[row, column]), float(grid[row + down, column + 1 - down])
    share = (level - here) / (there - here)
    x = column - 1 + (0.0 if down else share)
    y = row - 1 + (share if down else 0.0)
    rows, columns = shape
    return min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)


def _without_repeats(places: Outline) -> Outline:
    return [place for place, before in zip(places, [places[-1], *places[:-1]], strict=True) if place != before]
