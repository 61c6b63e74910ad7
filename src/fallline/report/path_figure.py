"""Where a run went: its loss as a landscape, seen from above, with the path that the training took over it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.insight import landscape as land
from fallline.insight.plane import find_pair
from fallline.report.axes import Scale, padded, tick_text
from fallline.report.chart import Chart
from fallline.report.contours import outlines
from fallline.report.svg import BANDS, Picture, figure, number, shortened
from fallline.report.words import count, percent
from fallline.training.replay import Replayer

Array = NDArray[Any]
WIDTH, HEIGHT, SIDE, LEFT, TOP, RIGHT = 900.0, 552.0, 400.0, 70.0, 92.0, 530.0
STEEP = 30.0


def path_picture(replayer: Replayer, weights: tuple[str, str] | None, grid: int, call: str) -> str:
    """A run's landscape and path as SVG: on the plane of the path's principal components, or over two weights.

    Args:
        replayer: of the run.
        weights: the two weights; None for the plane.
        grid: points on a side.
        call: who asks, for errors.

    Raises:
        ArgumentError, ShapeError: a weight does not exist, or the run has no path.
    """
    land.check_grid(grid, call)
    path = land.path_of(replayer)
    here, rows = path.moments[-1], replayer.recording.rows
    plane: land.AnyPlane = land.plane_of(path) if weights is None else land.WeightPlane(
        here.weights, find_pair(here.weights, weights, call)
    )  # fmt: skip
    graphs = replayer.recording.graphs
    taken = land.sampled(rows, land.affordable_rows(graphs, len(rows), grid * grid))
    ground = land.Ground(graphs, taken, here.buffers)
    places = [plane.place(moment.weights) for moment in path.moments]
    across, up = land.window(places, grid)
    found = land.compute(ground, plane, across, up, len(rows))
    losses = [ground.loss(moment.weights, moment.buffers) for moment in path.moments]
    return _drawn(found, path.steps, places, losses)


def _drawn(
    found: land.Landscape, steps: Sequence[int], places: Sequence[tuple[float, float]], losses: Sequence[float]
) -> str:
    told = f"{count(steps[-1], 'step')} took the loss from {figure(losses[0])} to {figure(losses[-1])}."
    picture = Picture("path", WIDTH, HEIGHT, "Where the training went", f"{told} {' '.join(_notes(found))}")
    picture.rect(0, 0, WIDTH, HEIGHT, fill="paper", radius=10)
    picture.text(24, 36, "Where the training went", size=19, bold=True)
    rings = "Rings join places of equal loss, lowest within; dots are equally many steps apart."
    picture.text(24, 57, f"{told} {rings}", colour="muted")
    across = Scale(float(found.across[0]), float(found.across[-1]), LEFT, LEFT + SIDE)
    up = Scale(float(found.up[0]), float(found.up[-1]), TOP + SIDE, TOP)
    _ground(picture, found, losses)
    _walked(picture, [(across(a), up(b)) for a, b in places])
    picture.add("</g>")
    picture.rect(LEFT, TOP, SIDE, SIDE, stroke="hair", radius=6)
    _axes(picture, across, up, found.labels)
    picture.inset(_course(steps, losses).picture, RIGHT, TOP - 18)
    for line, note in enumerate(_notes(found)):
        picture.text(RIGHT + 16, TOP + 300 + 19 * line, note, colour="muted")
    return picture.svg()


def _notes(found: land.Landscape) -> list[str]:
    rows = f"The loss is that of {count(found.rows, 'row')}"
    rows += f", chosen from {found.all_rows:,}." if found.all_rows > found.rows else "."
    if found.explained is None:
        return [rows, "Other weights are held where the training ended."]
    first, second = found.explained
    return [
        rows,
        "The plane lies along the path's two principal",
        f"components, with {percent(first)} and {percent(second)} of its variance.",
        "All weights move; what lies beside the plane",
        "is not seen.",
    ]


def _ground(picture: Picture, found: land.Landscape, losses: Sequence[float]) -> None:
    """The landscape, within its window; the caller ends the group."""
    heights = np.where(np.isfinite(found.surface), found.surface, np.inf)
    finite = heights[np.isfinite(heights)]
    heights = np.minimum(heights, float(finite.max()) if finite.size else 0.0)
    unit = SIDE / (len(found.across) - 1)
    window = f'<rect x="{number(LEFT)}" y="{number(TOP)}" width="{number(SIDE)}" height="{number(SIDE)}" rx="6"/>'
    picture.add(f'<defs><clipPath id="{picture.name}-window">{window}</clipPath></defs>')
    picture.add(f'<g clip-path="url(#{picture.name}-window)">')
    picture.rect(LEFT, TOP, SIDE, SIDE, fill=f"band{BANDS - 1}")
    for band, level in reversed(list(enumerate(land.levels(heights, losses, BANDS - 1)))):
        data = "".join(
            "M" + "L".join(f"{number(LEFT + x * unit)} {number(TOP + SIDE - y * unit)}" for x, y in outline) + "Z"
            for outline in outlines(heights, level)
        )
        if data:
            fill = f'class="f-band{band} s-hair" fill-rule="evenodd" stroke-width="0.6"'
            picture.add(f'<path {fill} d="{data}"/>')


def _walked(picture: Picture, points: Sequence[tuple[float, float]]) -> None:
    picture.polyline(list(points), stroke="orange", width=1.8)
    picture.dots(list(points[1:-1]), 2.4, fill="orange")
    picture.circle(*points[0], 5, fill="paper", stroke="ink", width=1.8)
    x, y = points[-1]
    for dx, dy in ((5, 5), (5, -5)):
        picture.polyline([(x - dx, y - dy), (x + dx, y + dy)], stroke="ink", width=2)
    for (x, y), word in ((points[0], "start"), (points[-1], "end")):
        inside = min(max(x, LEFT + 20), LEFT + SIDE - 20)
        picture.text(inside, y - 11 if y > TOP + 24 else y + 20, word, anchor="middle", size=11.5, halo="band2")


def _axes(picture: Picture, across: Scale, up: Scale, labels: tuple[str, str]) -> None:
    for value in across.ticks(5):
        picture.text(across(value), TOP + SIDE + 18, tick_text(value), colour="muted", size=11, anchor="middle")
    label = shortened(labels[0], SIDE, 11.5)
    picture.text(LEFT + SIDE / 2, TOP + SIDE + 38, label, colour="muted", size=11.5, anchor="middle")
    for value in up.ticks(5):
        picture.text(LEFT - 8, up(value) + 4, tick_text(value), colour="muted", size=11, anchor="end")
    picture.add(f'<g transform="translate(22 {number(TOP + SIDE / 2)}) rotate(-90)">')
    picture.text(0, 0, shortened(labels[1], SIDE, 11.5), colour="muted", size=11.5, anchor="middle")
    picture.add("</g>")


def _course(steps: Sequence[int], losses: Sequence[float]) -> Chart:
    """The loss along the path."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    steep = bool(finite) and min(finite) > 0 and max(finite) > STEEP * min(finite)
    up = (min(finite) / 1.1, max(finite) * 1.1) if steep else padded(finite)
    chart = Chart(
        "course", "The loss on the way", f"From {figure(losses[0])} to {figure(losses[-1])}.", (0, max(steps[-1], 1)),
        up, below="step", logarithmic=steep, whole=True,
    )  # fmt: skip
    chart.curve(list(zip(map(float, steps), losses, strict=True)), "orange")
    return chart
