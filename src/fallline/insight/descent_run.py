"""What the picture of a descent shows, found by running it: two weights, a start, three learning rates.

The largest learning rate with which every step still lowers the loss is found by doubling and halving on
trial runs. Half of it is called right, a fortieth too small, a little more than it too large. On a surface
of constant curvature that limit is 2/λ, with λ the largest curvature, and half of it, 1/λ, goes straight to
the bottom in the steepest direction (Nocedal & Wright, Numerical Optimization, 2nd ed., section 3.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.insight.plane import Plane, Spot, Walk, walk
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.training.step import Rows, build_graph

Array = NDArray[Any]
CANDIDATES = 5
WANTED_STRETCH = 6.0  # of the valley: steep direction against flat one; a round bowl and a gorge teach less


@dataclass(frozen=True)
class Descent:
    """All numbers of the picture.

    Attributes:
        spots: the two weights.
        start: where they start.
        moved: whether that is a place up the valley's side, not the network's own values.
        bottom: the two weights at the lowest loss.
        lowest: L there.
        limit: the largest learning rate with which every step lowers the loss.
        walks: too small, right, too large.
        across, up: the weights on the grid's axes.
        surface: L on the grid, (len(up), len(across)).
        rows: how many rows L is the loss of.
    """

    spots: tuple[Spot, Spot]
    start: tuple[float, float]
    moved: bool
    bottom: tuple[float, float]
    lowest: float
    limit: float
    walks: tuple[Walk, Walk, Walk]
    across: Array
    up: Array
    surface: Array
    rows: int


def descend(
    net: Module, rows: Rows, loss: Loss, spots: Sequence[Spot] | None, steps: int, grid: int, call: str
) -> Descent:
    """Choose what is not given, run, and compute the surface."""
    names = list(dict.fromkeys(name for name, _ in spots)) if spots else _last_layer(net, rows, loss)
    plane = Plane(net, rows, loss, names)
    here = plane.loss({name: plane.base[name] for name in names})
    if not math.isfinite(here):
        raise ArgumentError(f"{call}: the loss at the network's weights is {here}, so there is no ground to walk on")
    pair = tuple(spots) if spots else _choose(plane, call)
    own = [float(plane.base[name][place]) for name, place in pair]
    bottom = _bottom(plane, pair, own)
    start, moved = _start(plane, pair, own, bottom)
    limit = _limit(plane, pair, start, steps)
    slow, right = (walk(plane, pair, start, _rounded(limit / share), steps) for share in (40.0, 2.0))
    walks = (slow, right, _too_large(plane, pair, start, limit, steps))
    across, up = _window(bottom, walks, grid)
    return Descent(
        spots=(pair[0], pair[1]),
        start=(start[0], start[1]),
        moved=moved,
        bottom=(bottom[0], bottom[1]),
        lowest=plane.loss(plane.at(pair, bottom)),
        limit=limit,
        walks=walks,
        across=across,
        up=up,
        surface=plane.surface(pair, across, up),
        rows=len(rows),
    )


def _last_layer(net: Module, rows: Rows, loss: Loss) -> list[str]:
    """The parameters of the last layer that multiplies by a weight; all of the network's where none does."""
    graph = build_graph(net, rows, loss, training=False, backward=False)
    names = {id(parameter.node): name for name, parameter in net.named_parameters().items()}
    used = [id(node.inputs[1]) for node in graph.nodes() if node.op.name == "matmul"]
    found = [names[key] for key in used if key in names]
    if not found:
        return list(names.values())
    prefix = found[-1].rpartition(".")[0]
    return [name for name in names.values() if name.rpartition(".")[0] == prefix]


def _choose(plane: Plane, call: str) -> tuple[Spot, Spot]:
    """The two weights, among those with large gradients or values, with a long way down and a well-formed valley."""
    loss, grads = plane.loss_and_gradients({name: plane.base[name] for name in plane.names})
    spots: list[Spot] = []
    for name in plane.names:
        for sizes in (np.abs(grads[name]), np.abs(plane.base[name])):
            for flat in np.argsort(-sizes, axis=None, kind="stable")[:CANDIDATES]:
                spot = (name, tuple(int(i) for i in np.unravel_index(flat, sizes.shape)))
                spots += [spot] if spot not in spots else []
    curvature = plane.curvature(spots, [float(plane.base[name][place]) for name, place in spots])
    steepest = float(np.max(np.diag(curvature), initial=0.0))
    best: tuple[float, tuple[Spot, Spot]] | None = None
    for i in range(len(spots)):
        for j in range(i + 1, len(spots)):
            pair = curvature[np.ix_([i, j], [i, j])]
            flat, steep = np.linalg.eigvalsh(pair)
            if not flat > 1e-6 * steepest > 0.0:
                continue
            slope = np.array([grads[name][place] for name, place in (spots[i], spots[j])])
            fall = (
                0.5 * float(slope @ np.linalg.solve(pair, slope)) / max(abs(loss), 1e-12)
            )  # what Newton's step promises
            score = abs(math.log(steep / flat / WANTED_STRETCH)) + 0.5 * math.log(1.0 + 0.05 / (fall + 1e-4))
            score += 0.5 * math.log(steepest / steep + 1.0)
            if best is None or score < best[0] - 1e-9:
                best = (score, (spots[i], spots[j]))
    if best is None:
        raise ArgumentError(
            f"{call}: the loss has no valley over two weights of {', '.join(plane.names)}: it does not curve upwards "
            "there; train the network a little first, or name two weights with weights=('…', '…')"
        )
    return best[1]


def _bottom(plane: Plane, spots: Sequence[Spot], own: Sequence[float]) -> list[float]:
    """The lowest place near the weights' own values: Newton's method, damped, kept going downhill."""
    here = np.array(own)
    loss, slope = plane.slope(spots, list(here))
    for _ in range(40):
        values, directions = np.linalg.eigh(plane.curvature(spots, list(here)))
        size = np.maximum(np.abs(values), 1e-9 * max(float(np.max(np.abs(values))), 1e-30))
        step = -directions @ ((directions.T @ slope) / size)
        for _ in range(30):
            there = here + step
            lower, its_slope = plane.slope(spots, list(there))
            if lower < loss:
                break
            step = step / 2.0
        else:
            break
        here, loss, slope = there, lower, its_slope
    return [float(value) for value in here]


def _start(
    plane: Plane, spots: Sequence[Spot], own: Sequence[float], bottom: Sequence[float]
) -> tuple[list[float], bool]:
    """(where to start, whether that is not the network's own values).

    These serve where they lie up a slope. After a training they lie near the bottom; then the start is up the
    side, mostly along the valley, partly across.
    """
    curvature = plane.curvature(spots, bottom)
    _, directions = np.linalg.eigh(curvature)
    along, over = (directions[:, k] * np.sign(directions[np.argmax(np.abs(directions[:, k])), k]) for k in (0, 1))
    high, low = (plane.loss(plane.at(spots, values)) for values in (own, bottom))
    if high - low > 0.02 * abs(low) and high > low + 1e-9:
        return [float(value) for value in own], False
    size = max(float(np.sqrt(np.mean(np.concatenate([plane.base[name].ravel() for name, _ in spots]) ** 2))), 0.25)
    start = np.array(bottom) + 2.0 * size * (-0.9 * along + 0.44 * over)
    return [float(value) for value in start], True


def _limit(plane: Plane, spots: Sequence[Spot], start: Sequence[float], steps: int) -> float:
    """The largest η with which every step lowers the loss, to 1 %."""
    high = 1.0
    while not walk(plane, spots, start, high, steps).always_falls and high > 1e-12:
        high /= 2.0
    while walk(plane, spots, start, high, steps).always_falls and high < 1e12:
        high *= 2.0
    low = high / 2.0
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if walk(plane, spots, start, middle, steps).always_falls else (low, middle)
    return low


def _too_large(plane: Plane, spots: Sequence[Spot], start: Sequence[float], limit: float, steps: int) -> Walk:
    """The first rate above the limit whose descent ends higher than it began."""
    tried = walk(plane, spots, start, _rounded(limit * 1.05), steps)
    for factor in (1.1, 1.2, 1.35, 1.5, 2.0):
        if not tried.losses[-1] <= tried.losses[0]:
            break
        tried = walk(plane, spots, start, _rounded(limit * factor), steps)
    return tried


def _rounded(rate: float) -> float:
    """Two significant digits, so that the picture tells exactly the rate that was used."""
    return float(f"{rate:.1e}")


def _window(bottom: Sequence[float], walks: Sequence[Walk], grid: int) -> tuple[Array, Array]:
    """A square around the bottom that holds the two good descents and some of the third."""
    centre = np.array(bottom)
    good = max(float(np.max(np.abs(one.places - centre))) for one in walks[:2])
    wild = walks[2].places[np.isfinite(walks[2].places).all(axis=1)]
    reach = min(max(good * 1.18, float(np.max(np.abs(wild - centre))) * 1.05), good * 1.45) or 1.0
    side = np.linspace(-reach, reach, grid)
    return centre[0] + side, centre[1] + side
