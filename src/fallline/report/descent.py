"""The picture of gradient descent: one start, one valley, three learning rates."""

import math
from collections.abc import Sequence
from typing import Any

from fallline.errors import ArgumentError
from fallline.insight.descent_run import Descent, descend
from fallline.insight.plane import Walk, find_pair, spelled
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.report.axes import Scale, padded, tick_text
from fallline.report.contours import outlines
from fallline.report.svg import BANDS, Picture, figure, number, shortened
from fallline.training.step import check_rows

WIDTH, HEIGHT = 900, 690
SIDE, TOP, LEFTS = 256.0, 112.0, (50.0, 338.0, 626.0)
CURVE_TOP, CURVE_BOTTOM = 494.0, 630.0
COLOURS = ("blue", "green", "orange")
NAMES = ("Too small", "Right", "Too large")
MOST_ROWS = 4096


def descent_picture(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    *,
    sample_weight: Any = None,
    weights: tuple[str, str] | None = None,
    steps: int = 20,
    grid: int = 41,
    call: str = "descent_picture",
) -> str:
    """Gradient descent in small steps to the minimum, for three learning rates, as SVG. All of it is really run.

    The loss is drawn over two weights of the last layer, all others held still, in prediction mode and float64;
    three descents on all rows go from one start, with a learning rate that is too small, right, and too large:
    a fortieth, a half and a little more than the largest with which every step lowers the loss. They start at the
    network's own values, or, where these lie near the bottom already, at a place up its side, which the picture says.

    Args:
        net: the network; nothing is changed.
        x: inputs (rows, …); of more than 4096 the first 4096 are used, which the picture says.
        y: targets.
        loss: a name, a loss object or a function.
        sample_weight: (rows,).
        weights: two weights such as ("2.weight[0,1]", "2.bias[1]"); by default two of the last layer with large
            gradients or values whose valley is neither a round bowl nor a gorge.
        steps: how many steps each descent makes.
        grid: on how many points a side the surface is computed.
        call: who asks, for errors.

    Returns:
        An SVG document, 900 pixels wide.

    Raises:
        ArgumentError, ShapeError, KindError: the data do not fit; a weight does not exist; or there is no valley.
    """
    for name, value in (("steps", steps), ("grid", grid)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 3:
            raise ArgumentError(f"{call}: {name} must be a whole number of at least 3, found {value!r}")
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, call)
    spots = None if weights is None else find_pair(net.parameters(), weights, call)
    found = descend(net, rows.take(slice(0, MOST_ROWS)), chosen, spots, steps, grid, call)
    return _draw(found, len(rows))


def _draw(found: Descent, all_rows: int) -> str:
    a, b = (spelled(spot) for spot in found.spots)
    picture = Picture(
        "descent", WIDTH, HEIGHT, "Gradient descent with three learning rates", _description(found, a, b)
    )  # fmt: skip
    picture.rect(0, 0, WIDTH, HEIGHT, fill="paper", radius=10)
    picture.text(24, 36, "Gradient descent: the same start, three learning rates", size=19, bold=True)
    rows = f"{found.rows:,} rows" + (f" (the first of {all_rows:,})" if all_rows > found.rows else "")
    still = "all other weights held still"
    moved = "; they start up its side, not at the network's own values" if found.moved else ""
    picture.text(24, 57, f"The loss of {rows} over two weights, {still}{moved}.", colour="muted")
    limit = f"With η above {figure(found.limit)} not every step lowers the loss."
    rings = "Rings join places of equal loss, lowest within. Each arrow is one step, w ← w − η·dL/dw."
    picture.text(24, 75, f"{rings} {limit}", colour="muted")
    _define_surface(picture, found)
    for left, colour, name, walk in zip(LEFTS, COLOURS, NAMES, found.walks, strict=True):
        _panel(picture, found, left, colour, name, walk, (a, b))
    _curves(picture, found)
    return picture.svg()


def _description(found: Descent, a: str, b: str) -> str:
    told = " ".join(
        f"{name}: η = {figure(walk.learning_rate, 2)}, {' '.join(_caption(found, walk))}."
        for name, walk in zip(NAMES, found.walks, strict=True)
    )
    return (
        f"The loss over {a} and {b} as contour lines, with its lowest value {figure(found.lowest)}, and three runs of "
        f"gradient descent from ({figure(found.start[0])}, {figure(found.start[1])}). {told}"
    )


def _define_surface(picture: Picture, found: Descent) -> None:
    """The ground, drawn once and shown in each panel: outlines from the highest level down."""
    low, high = min(float(found.surface.min()), found.lowest), float(found.surface.max())
    unit = SIDE / (len(found.across) - 1)
    picture.add(f'<defs><g id="{picture.name}-ground">')
    picture.rect(0, 0, SIDE, SIDE, fill=f"band{BANDS - 1}")
    for band in range(BANDS - 2, -1, -1):
        level = low + (high - low) * ((band + 1) / BANDS) ** 2  # squares: even rings in a bowl
        data = "".join(
            "M" + "L".join(f"{number(x * unit)} {number(SIDE - y * unit)}" for x, y in outline) + "Z"
            for outline in outlines(found.surface, level)
        )
        if data:
            fill = f'class="f-band{band} s-hair" fill-rule="evenodd" stroke-width="0.6"'
            picture.add(f'<path {fill} d="{data}"/>')
    inside = f'<rect width="{number(SIDE)}" height="{number(SIDE)}" rx="6"/>'
    picture.add("</g>", f'<clipPath id="{picture.name}-window">{inside}</clipPath></defs>')


def _panel(
    picture: Picture, found: Descent, left: float, colour: str, name: str, walk: Walk, weights: tuple[str, str]
) -> None:
    """One learning rate: heading, ground, path, axes, and what came of it."""
    picture.text(left, TOP - 10, name, colour=colour, size=14, bold=True)
    picture.text(left + SIDE, TOP - 10, f"η = {figure(walk.learning_rate, 2)}", size=14, bold=True, anchor="end")
    across = Scale(float(found.across[0]), float(found.across[-1]), 0.0, SIDE)
    up = Scale(float(found.up[0]), float(found.up[-1]), SIDE, 0.0)
    window = f'clip-path="url(#{picture.name}-window)"'
    picture.add(f'<g transform="translate({number(left)} {number(TOP)})"><g {window}>')
    picture.add(f'<use href="#{picture.name}-ground"/>')
    _path(picture, _until_outside([(across(a), up(b)) for a, b in walk.places]), colour)
    x, y = across(found.bottom[0]), up(found.bottom[1])
    for dx, dy in ((5, 5), (5, -5)):
        picture.polyline([(x - dx, y - dy), (x + dx, y + dy)], stroke="ink", width=1.8)
    picture.add("</g>")
    picture.rect(0, 0, SIDE, SIDE, stroke="hair", radius=6)
    if colour == COLOURS[0]:
        _landmarks(picture, (across(found.start[0]), up(found.start[1])), (x, y))
    _panel_axes(picture, across, up, weights, first=colour == COLOURS[0])
    for line, text in enumerate(_caption(found, walk)):
        picture.text(0, SIDE + 56 + 17 * line, text, colour="ink" if line == 0 else "muted")
    picture.add("</g>")


def _landmarks(picture: Picture, start: tuple[float, float], bottom: tuple[float, float]) -> None:
    for (x, y), text in ((start, "start"), (bottom, "lowest")):
        outward = -12.0 if text == "start" and start[1] < bottom[1] else 20.0
        side = min(max(x, 24.0), SIDE - 24.0)
        picture.text(side, min(max(y + outward, 14.0), SIDE - 6.0), text, anchor="middle", size=11.5, halo="band2")


def _until_outside(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points up to the first that lies outside the panel, but no farther out than a few panels."""
    outside = next((k for k, (x, y) in enumerate(points) if not (0 <= x <= SIDE and 0 <= y <= SIDE)), len(points))
    kept = points[: outside + 1]
    return kept if all(math.isfinite(x + y) and abs(x) + abs(y) < 20 * SIDE for x, y in kept) else points[:outside]


def _path(picture: Picture, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Dots where backpropagation was asked, arrows where gradient descent went."""
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        picture.arrow(x0, y0, x1, y1, colour=colour, width=1.6, head=7.5)
    for x, y in points[1:]:
        picture.circle(x, y, 2.1, fill=colour)
    picture.circle(*points[0], 5, fill="paper", stroke="ink", width=1.8)


def _panel_axes(picture: Picture, across: Scale, up: Scale, weights: tuple[str, str], first: bool) -> None:
    for value in across.ticks(3):
        x = across(value)
        picture.polyline([(x, SIDE), (x, SIDE + 4)], stroke="muted")
        picture.text(x, SIDE + 17, tick_text(value), colour="muted", size=11, anchor="middle")
    label = shortened(weights[0], SIDE, 11.5)
    picture.text(SIDE / 2, SIDE + 33, label, colour="muted", size=11.5, anchor="middle")
    for value in up.ticks(4):
        y = up(value)
        picture.polyline([(-4, y), (0, y)], stroke="muted")
        if first:
            picture.text(-7, y + 4, tick_text(value), colour="muted", size=11, anchor="end")
    if first:
        picture.add(f'<g transform="translate(-35 {number(SIDE / 2)}) rotate(-90)">')
        picture.text(0, 0, shortened(weights[1], SIDE, 11.5), colour="muted", size=11.5, anchor="middle")
        picture.add("</g>")


def _caption(found: Descent, walk: Walk) -> list[str]:
    """(what happened in numbers, what that means)."""
    steps, first, last = len(walk.losses) - 1, walk.losses[0], walk.losses[-1]
    numbers = f"{steps} steps: loss {figure(first)} → {figure(last)}"
    drop = first - found.lowest
    left = (last - found.lowest) / drop if drop > 0 else 0.0
    if not math.isfinite(last) or last > first:
        return [numbers, "overshoots, and ends higher than it began"]
    if not walk.always_falls:
        return [numbers, "steps overshoot from side to side"]
    if left < 0.02:
        return [numbers, f"at the lowest, {figure(found.lowest)}, to within {max(left * 100, 0.1):.1f} %"]
    return [numbers, f"{(1 - left) * 100:.0f} % of the way down to {figure(found.lowest)}"]


def _curves(picture: Picture, found: Descent) -> None:
    """The loss before each step, for all three."""
    first, steps = found.walks[0].losses[0], max(len(walk.losses) for walk in found.walks) - 1
    low, high = padded([found.lowest, first + 0.45 * (first - found.lowest)], 0.04)
    across, up = Scale(0, steps, 66, 690), Scale(low, high, CURVE_BOTTOM, CURVE_TOP)
    picture.text(24, CURVE_TOP - 18, "The loss, step by step", size=14, bold=True)
    for value in up.ticks(4):
        picture.polyline([(66, up(value)), (690, up(value))], stroke="hair")
        picture.text(59, up(value) + 4, tick_text(value), colour="muted", size=11, anchor="end")
    for value in across.ticks(5):
        picture.text(across(value), CURVE_BOTTOM + 18, tick_text(value), colour="muted", size=11, anchor="middle")
    picture.text(378, CURVE_BOTTOM + 38, "step", colour="muted", size=11.5, anchor="middle")
    picture.polyline([(66, up(found.lowest)), (690, up(found.lowest))], stroke="ink", dash="2 4")
    ends = []
    for walk, colour in zip(found.walks, COLOURS, strict=True):
        points = _within([(across(k), up(value)) for k, value in enumerate(walk.losses)])
        picture.polyline(points, stroke=colour, width=2)
        for x, y in points[: len(walk.losses)]:
            if y > CURVE_TOP:
                picture.circle(x, y, 2.2, fill=colour)
        ends.append(points[-1])
    _curve_names(picture, ends)


def _curve_names(picture: Picture, ends: Sequence[tuple[float, float]]) -> None:
    """Each curve's name at its end; a curve that left at the top is named there."""
    placed: list[float] = []
    for (_, y), colour, name in sorted(zip(ends, COLOURS, NAMES, strict=True)):
        y = max(y, placed[-1] + 34) if placed else y
        placed.append(y)
        told = {"Too small": "goes down slowly", "Right": "goes down quickly", "Too large": "overshoots"}
        picture.text(704, y + 4, name, colour=colour, bold=True)
        picture.text(704, y + 19, told[name], colour="muted", size=11.5)


def _within(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The curve up to where it leaves the panel at its top."""
    kept: list[tuple[float, float]] = []
    for x, y in points:
        if not y >= CURVE_TOP:
            if kept and math.isfinite(y):
                x0, y0 = kept[-1]
                kept.append((x0 + (x - x0) * (y0 - CURVE_TOP) / (y0 - y), CURVE_TOP))
            break
        kept.append((x, y))
    return kept
