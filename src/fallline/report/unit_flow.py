"""One row through a small network, unit by unit: what each unit gives, and how the loss changes with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.report.layer_flow import Units
from fallline.report.svg import Picture, figure, shortened

HEAD, PITCH, FOOT, EDGE = 108.0, 46.0, 24.0, 24.0
BOX_WIDTH, BOX_HEIGHT = 78.0, 36.0
THICKEST = 5.0
THINNEST = 0.02
"""Lines with less than this share of the largest |dL/dw| are drawn hair-thin."""

_TOLD = (
    "In each box is what the unit gives, a, and below it how the loss changes with that, dL/da.",
    "A line is a weight: the thicker, the larger its |dL/dw|; orange where dL/dw is positive, purple where negative.",
)


def units_height(places: Sequence[Units]) -> float:
    """How much room the units need."""
    return HEAD + PITCH * max(len(place.values) for place in places) + FOOT


def draw_units(picture: Picture, places: Sequence[Units], top: float) -> None:
    """Boxes for the units, place by place; lines for the weights between them.

    Args:
        picture: the picture, with `units_height` of room below `top`.
        places: from x to the output.
        top: where the room begins.
    """
    picture.text(EDGE, top + 14, "The same row, unit by unit", size=16, bold=True)
    for line, told in enumerate(_TOLD):
        picture.text(EDGE, top + 35 + 17 * line, told, colour="muted")
    middle = top + HEAD + PITCH * max(len(place.values) for place in places) / 2
    columns = np.linspace(EDGE + BOX_WIDTH / 2, picture.width - EDGE - BOX_WIDTH / 2, len(places))
    rows = [[middle + PITCH * (k - (len(place.values) - 1) / 2) for k in range(len(place.values))] for place in places]
    largest = max(float(np.abs(place.gradient).max()) for place in places if place.gradient is not None)
    for number, place in enumerate(places):
        if place.gradient is not None:
            _lines(picture, place.gradient / (largest or 1.0), columns[number : number + 2], rows[number : number + 2])
    for place, x, heights in zip(places, columns, rows, strict=True):
        room = (picture.width - 2 * EDGE) / len(places)
        anchor = {float(columns[0]): "start", float(columns[-1]): "end"}.get(float(x), "middle")
        side = {"start": x - BOX_WIDTH / 2, "end": x + BOX_WIDTH / 2}.get(anchor, x)
        picture.text(float(side), top + 86, shortened(place.name, room), colour="muted", anchor=anchor, size=11.5)
        for y, value, back in zip(heights, place.values, place.back, strict=True):
            _box(picture, float(x), y, float(value), float(back))


def _lines(picture: Picture, shares: NDArray[Any], columns: NDArray[Any], rows: Sequence[Sequence[float]]) -> None:
    """The weights between two places; the largest slopes are drawn last."""
    left, right = float(columns[0]) + BOX_WIDTH / 2, float(columns[1]) - BOX_WIDTH / 2
    for flat in np.argsort(np.abs(shares), axis=None, kind="stable"):
        i, j = np.unravel_index(flat, shares.shape)
        share = float(shares[i, j])
        thin = abs(share) < THINNEST
        colour = "hair" if thin else "orange" if share > 0 else "purple"
        width = 0.8 if thin else 0.8 + (THICKEST - 0.8) * abs(share)
        picture.polyline([(left, rows[0][i]), (right, rows[1][j])], stroke=colour, width=width)


def _box(picture: Picture, x: float, y: float, value: float, back: float) -> None:
    left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
    picture.rect(left, top, BOX_WIDTH, BOX_HEIGHT, fill="panel", stroke="hair", radius=7)
    picture.text(x, y - 3, figure(value), colour="blue", bold=True, anchor="middle")
    picture.text(x, y + 12, figure(back), colour="orange", size=11.5, anchor="middle")
