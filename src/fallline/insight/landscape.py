"""The loss as a landscape: over two weights, or over the plane in which a whole run's path lies best.

    two weights    L at (a, b), all other weights held still, exactly
    a plane        L at w_last + a·d₁ + b·d₂, with d₁ and d₂ the two principal components of the run's weights

Every height is the loss of the same rows in prediction mode, computed by the compiled engine: the number that
`fl.evaluate` gives at those weights. Source of the plane: Li, Xu, Taylor, Studer & Goldstein 2018, "Visualizing the
loss landscape of neural nets", arXiv:1712.09913, section 7.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permutation
from fallline.engine.programs import make_program, multiply_adds
from fallline.errors import ArgumentError
from fallline.insight.components import Components, principal_components
from fallline.insight.plane import Spot, find_pair, spelled, surface
from fallline.ir.types import BATCH
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import values_of
from fallline.ops import exact
from fallline.training.evaluate import loss_of_all
from fallline.training.graphs import Graphs
from fallline.training.replay import Replayer
from fallline.training.step import GRADIENT, LOSS, Rows, StepProgram, check_rows
from fallline.training.steppers import Snapshot

Array = NDArray[Any]
Values = Mapping[str, Array]
Told = Callable[[int, int], bool | None]
"""(points computed, of all) → whether to stop there."""
MOST_ROWS, FEWEST_ROWS = 2048, 128
WORK = 3e10
"""Multiply-adds that a surface may take: a second or two."""
POINTS, MOST_NUMBERS = 61, 1 << 24
"""How many moments of a run its path is made of; fewer where all their weights would be more numbers than this."""
GRID = 41


class Ground:
    """The loss of some rows at any weights.

    Args:
        graphs: what a training computes.
        rows: the data; of many rows some are taken, by `sampled`.
        buffers: held still.
    """

    def __init__(self, graphs: Graphs, rows: Rows, buffers: Values) -> None:
        self.rows, self.buffers = rows, dict(buffers)
        self._graphs = graphs
        self._program = StepProgram.of(graphs.forward, graphs.dtype)
        self._slope: Any = None

    @classmethod
    def of_network(cls, net: Module, rows: Rows, loss: Any) -> "Ground":
        """Of a network at its own buffers."""
        return cls(Graphs.of(net, rows, get_loss(loss), net.dtype), rows, net.buffers())

    def loss(self, weights: Values, buffers: Values | None = None) -> float:
        """L at these weights, by dotted name: the bits of `fl.evaluate`."""
        return loss_of_all(self._program, self.rows, self._typed(weights, buffers))

    def loss_and_gradients(self, weights: Values) -> tuple[float, dict[str, Array]]:
        """L and dL/dw by backpropagation."""
        if self._slope is None:
            graph = self._graphs.gradient
            self._slope = StepProgram.of(graph, self._graphs.dtype), make_program(graph, {BATCH.name: len(self.rows)})
        program, run = self._slope
        total = float(len(self.rows) if self.rows.weight is None else exact.tree_sum(self.rows.weight))
        found = run(program.inputs(self.rows, self._typed(weights, None), total, 0, 0))
        return float(found[LOSS]), {n[len(GRADIENT) :]: g for n, g in found.items() if n.startswith(GRADIENT)}

    def _typed(self, weights: Values, buffers: Values | None) -> dict[str, Array]:
        dtype = self._graphs.dtype
        return {name: value.astype(dtype) for name, value in {**(buffers or self.buffers), **weights}.items()}


class WeightPlane:
    """Two weights move, all others stay.

    Args:
        weights: all weights by dotted name.
        spots: the two.
    """

    explained: tuple[float, float] | None = None

    def __init__(self, weights: Values, spots: tuple[Spot, Spot]) -> None:
        self.weights, self.spots = {name: value.astype(np.float64) for name, value in weights.items()}, spots
        self.labels = (spelled(spots[0]), spelled(spots[1]))

    def at(self, a: float, b: float) -> dict[str, Array]:
        """All weights, with the two at (a, b)."""
        moved = dict(self.weights)
        for (name, place), value in zip(self.spots, (a, b), strict=True):
            moved[name] = moved[name].copy() if moved[name] is self.weights[name] else moved[name]
            moved[name][place] = value
        return moved

    def place(self, weights: Values) -> tuple[float, float]:
        """Where weights lie on the plane, seen from straight above."""
        (one, here), (other, there) = self.spots
        return float(weights[one][here]), float(weights[other][there])


AnyPlane = WeightPlane | Components


@dataclass(frozen=True)
class Landscape:
    """A loss over a plane.

    Attributes:
        labels: what the two axes are.
        across, up: the places of the grid's columns and rows.
        surface: L there, (len(up), len(across)); NaN and infinity where it is no number.
        rows: how many rows L is the loss of.
        all_rows: of how many.
        explained: of a run's plane, the share of the path's variance that lies along each axis.
    """

    labels: tuple[str, str]
    across: Array
    up: Array
    surface: Array
    rows: int
    all_rows: int
    explained: tuple[float, float] | None = None


@dataclass(frozen=True)
class Path:
    """Where a run went.

    Attributes:
        steps: after how many steps each moment was.
        moments: weights and buffers then.
        whole: whether it reaches the run's end; not where time ran out.
    """

    steps: list[int]
    moments: list[Snapshot]
    whole: bool


def affordable_rows(graphs: Graphs, total: int, points: int) -> int:
    """How many rows a surface of so many points is computed of: all, or as many as take a second or two."""
    each = max(multiply_adds(graphs.forward, 1), 1)
    most = min(max(int(WORK / (points * each)), FEWEST_ROWS), MOST_ROWS)
    return min(total, most)


def sampled(rows: Rows, count: int) -> Rows:
    """So many of the rows, in their order: all, or those that come first in a fixed permutation."""
    if count >= len(rows):
        return rows
    return rows.take(np.sort(permutation(len(rows), 0, "landscape")[:count]))


def compute(
    ground: Ground, plane: AnyPlane, across: Array, up: Array, all_rows: int | None = None, told: Told | None = None
) -> Landscape:
    """The heights of a grid.

    Args:
        ground: gives the loss.
        plane: gives the weights of a place.
        across, up: the grid.
        all_rows: how many rows there are, where the ground has only some of them.
        told: is told of each point, and may end it by returning True.

    Raises:
        ArgumentError: it was ended.
    """
    done, total = 0, len(across) * len(up)

    def height(a: float, b: float) -> float:
        nonlocal done
        if told is not None and told(done, total):
            raise ArgumentError(f"landscape: ended after {done} of {total} points; ask for a smaller grid")
        done += 1
        return ground.loss(plane.at(a, b))

    with np.errstate(all="ignore"):
        heights = surface(height, across, up)
    count = len(ground.rows)
    return Landscape(plane.labels, across, up, heights, count, all_rows or count, plane.explained)


def landscape(
    net: Module, x: Any, y: Any, loss: Any = "cross_entropy", *,
    weights: tuple[str, str], sample_weight: Any = None, reach: float | None = None, grid: int = GRID,
) -> Landscape:  # fmt: skip
    """The loss of a network over two of its weights, all others held still.

    Args:
        net: the network; nothing is changed.
        x: inputs (rows, …); where it would take long, some of the rows are taken, and `rows` tells how many.
        y: targets.
        loss: a name, a loss object or a function.
        weights: two weights such as ("2.weight[0,1]", "2.bias[1]").
        sample_weight: (rows,).
        reach: how far from the weights' values the grid goes; by default twice the larger of them, at least 1.
        grid: points on a side.

    Returns:
        The `Landscape`.

    Raises:
        ArgumentError, ShapeError, KindError: the data do not fit, or a weight does not exist.
    """
    check_grid(grid, "landscape")
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, "landscape")
    plane = WeightPlane(net.parameters(), find_pair(values_of(net), weights, "landscape"))
    graphs = Graphs.of(net, rows, chosen, net.dtype)
    part = sampled(rows, affordable_rows(graphs, len(rows), grid * grid))
    here = plane.place(plane.weights)
    far = reach or max(1.0, 2.0 * max(map(abs, here)))
    across, up = (np.linspace(value - far, value + far, grid) for value in here)
    return compute(Ground(graphs, part, net.buffers()), plane, across, up, len(rows))


def path_of(replayer: Replayer, points: int = POINTS, seconds: float = 60.0, until: int | None = None) -> Path:
    """Weights along a run: so many moments, evenly apart, by replay.

    Args:
        replayer: of the run.
        points: how many moments; fewer where the network is large.
        seconds: after so long no further moment is computed.
        until: the last step; by default the run's.

    Raises:
        ArgumentError: there are no two moments.
    """
    last = replayer.taken if until is None else until
    if not last:
        raise ArgumentError("landscape: the run has taken no step, so that it has no path; train it first")
    numbers = sum(value.size for value in replayer.state(0).weights.values())
    count = min(points, max(9, MOST_NUMBERS // max(numbers, 1)), last + 1)
    started, steps, moments = time.monotonic(), list[int](), list[Snapshot]()
    for step in (round(last * k / (count - 1)) for k in range(count)):
        steps.append(step)
        moments.append(without_slots(replayer.state(step)))
        if time.monotonic() - started > seconds and len(steps) > 1:
            break
    return Path(steps, moments, steps[-1] == last)


def without_slots(moment: Snapshot) -> Snapshot:
    """Weights and buffers alone: what a rule remembers may be twice as much."""
    return Snapshot(moment.weights, moment.buffers, {"step": moment.step})


def plane_of(path: Path) -> Components:
    """The plane through a path's last moment along its two principal components."""
    return principal_components([moment.weights for moment in path.moments])


def window(
    places: Sequence[tuple[float, float]], grid: int, air: float = 0.3, least: float = 1e-3
) -> tuple[Array, Array]:
    """A square grid around places, with some air: (across, up)."""
    array = np.array(places, dtype=np.float64)
    array = array[np.isfinite(array).all(axis=1)]
    low, high = array.min(axis=0), array.max(axis=0)
    reach = max(float((high - low).max()) * (0.5 + air), least)
    middle = (low + high) / 2.0
    across, up = (np.linspace(float(at) - reach, float(at) + reach, grid) for at in middle)
    return across, up


def check_grid(grid: Any, call: str) -> int:
    """A number of points on a side.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(grid, bool) or not isinstance(grid, int) or not 3 <= grid <= 201:
        raise ArgumentError(f"{call}: grid must be a whole number from 3 to 201, found {grid!r}")
    return grid


def levels(heights: Array, path: Sequence[float] = (), count: int = 9) -> list[float]:
    """Heights for contour lines: close together near the bottom, up to somewhat above the path's highest place.

    Args:
        heights: of the grid.
        path: losses along a path.
        count: how many.
    """
    finite = heights[np.isfinite(heights)]
    if not finite.size:
        return []
    low, high = float(finite.min()), float(finite.max())
    walked = [loss for loss in path if math.isfinite(loss)]
    if walked:
        high = min(high, low + 1.6 * (max(walked) - low) or high)
    return [low + (high - low) * ((k + 1) / (count + 1)) ** 2 for k in range(count)]
