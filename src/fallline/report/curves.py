"""Charts of a training: curves over epochs, predicted against true values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fallline.report.axes import Scale, padded, tick_text
from fallline.report.svg import Picture, figure

WIDTH, HEIGHT = 440.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 18.0, 56.0, 42.0
COLOURS = ("blue", "green", "ink")
_VALIDATION = {"validation": "orange"}  # the same colour on every chart
MOST_DOTS = 2000


def curve_picture(name: str, title: str, curves: Mapping[str, Sequence[float]], best_epoch: int | None = None) -> str:
    """Numbers over epochs as SVG, one line for each name, the best epoch marked.

    Args:
        name: prefix of the ids inside.
        title: above the chart.
        curves: what each line is → a number for each epoch; NaN and infinity leave gaps.
        best_epoch: from 0; the epoch whose weights were kept, or None.
    """
    longest = max((len(values) for values in curves.values()), default=0)
    told = "; ".join(f"{label}: {figure(values[-1], 4)} at the end" for label, values in curves.items() if len(values))
    picture = _chart(name, title, told)
    low, high = padded([value for values in curves.values() for value in values])
    across = Scale(1, max(longest, 2), LEFT, WIDTH - RIGHT)
    up = Scale(low, high, HEIGHT - BOTTOM, TOP)
    _axes(picture, [value for value in across.ticks(6) if value == int(value)], across, up, "epoch", "")
    left = LEFT
    for number, (label, values) in enumerate(curves.items()):
        colour = _VALIDATION.get(label, COLOURS[number % len(COLOURS)])
        _curve(
            picture, [(across(k + 1), up(v) if math.isfinite(v) else math.nan) for k, v in enumerate(values)], colour
        )
        if best_epoch is not None and best_epoch < len(values) and math.isfinite(values[best_epoch]):
            picture.circle(across(best_epoch + 1), up(values[best_epoch]), 3.5, fill=colour, stroke="paper", width=1.5)
        picture.polyline([(left, 39), (left + 16, 39)], stroke=colour, width=2.5)
        picture.text(left + 22, 43, label, size=11.5)
        left += 40 + 7 * len(label)
    if best_epoch is not None and 0 <= best_epoch < longest:
        x = across(best_epoch + 1)
        picture.polyline([(x, TOP), (x, HEIGHT - BOTTOM)], stroke="muted", dash="2 4")
        side, shift = ("end", -6) if x > WIDTH / 2 else ("start", 6)
        picture.text(
            x + shift, TOP + 10, f"best: epoch {best_epoch + 1}", colour="muted", size=11, anchor=side, halo="paper"
        )
    return picture.svg()


def scatter_picture(name: str, title: str, true: Any, predicted: Any) -> str:
    """Predicted against true values as SVG; on the line they agree. Of many rows, one in k is drawn.

    Args:
        name: prefix of the ids inside.
        title: above the chart.
        true, predicted: (rows,).
    """
    x, y = (np.asarray(values, dtype=np.float64).ravel() for values in (true, predicted))
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    low, high = padded([*x.tolist(), *y.tolist()])
    every = max(1, -(-len(x) // MOST_DOTS))
    note = f", one in {every} shown" if every > 1 else ""
    picture = _chart(name, title, f"{len(x):,} rows{note}. Dots on the line are predicted exactly.")
    across, up = Scale(low, high, LEFT, WIDTH - RIGHT), Scale(low, high, HEIGHT - BOTTOM, TOP)
    _axes(picture, across.ticks(5), across, up, "true", "predicted")
    picture.polyline([(across(low), up(low)), (across(high), up(high))], stroke="muted", dash="4 4")
    picture.add('<g fill-opacity="0.55">')
    for a, b in zip(x[::every], y[::every], strict=True):
        picture.circle(across(float(a)), up(float(b)), 2.4, fill="blue")
    picture.add("</g>")
    picture.text(WIDTH - RIGHT, 43, f"{len(x):,} rows{note}", colour="muted", size=11, anchor="end")
    return picture.svg()


def _chart(name: str, title: str, description: str) -> Picture:
    picture = Picture(name, WIDTH, HEIGHT, title, description)
    picture.rect(0, 0, WIDTH, HEIGHT, fill="paper", radius=10)
    picture.text(18, 22, title, size=13.5, bold=True)
    return picture


def _axes(picture: Picture, columns: Sequence[float], across: Scale, up: Scale, below: str, beside: str) -> None:
    for value in up.ticks(5):
        picture.polyline([(LEFT, up(value)), (WIDTH - RIGHT, up(value))], stroke="hair")
        picture.text(LEFT - 7, up(value) + 4, tick_text(value), colour="muted", size=11, anchor="end")
    for value in columns:
        picture.text(across(value), HEIGHT - BOTTOM + 17, tick_text(value), colour="muted", size=11, anchor="middle")
    middle = (LEFT + WIDTH - RIGHT) / 2
    picture.text(middle, HEIGHT - 9, below, colour="muted", size=11.5, anchor="middle")
    if beside:
        picture.text(18, 43, f"{beside} ↑", colour="muted", size=11.5)


def _curve(picture: Picture, points: Sequence[tuple[float, float]], colour: str) -> None:
    """A line through the points, broken where one is missing; a lone point as a dot."""
    part: list[tuple[float, float]] = []
    for x, y in [*points, (math.nan, math.nan)]:
        if not math.isnan(y):
            part.append((x, y))
            continue
        if len(part) > 1:
            picture.polyline(part, stroke=colour, width=2)
        elif part:
            picture.circle(*part[0], 3, fill=colour)
        part = []
