"""A chart with axes, on which curves, dots and bars are drawn; its words say all that its colours say."""

import math
from collections.abc import Sequence

from fallline.report.axes import LogScale, Scale, tick_text
from fallline.report.svg import Picture, number, shortened, width_of

WIDTH, HEIGHT = 330.0, 282.0
LEFT, RIGHT, BOTTOM = 54.0, 22.0, 44.0
TITLE, UNDER, LEGEND_LINE = 24.0, 34.0, 19.0
Point = tuple[float, float]
Range = tuple[float, float]


class Chart:
    """A picture with a title, a legend and two axes.

    Args:
        name: prefix of the ids inside.
        title: above the chart.
        description: what it shows, in sentences, for those who do not see it.
        across, up: the ranges of the two axes.
        below, beside: what the axes say.
        legend: (words, colour, dashes) of each line.
        logarithmic: whether equal factors are equally far apart on the axis that goes up.
        percent: which axes are shares of 1, shown in per cent: "", "x", "y" or "xy".
        whole: whether only whole numbers are marked on the axis across.
    """

    def __init__(
        self, name: str, title: str, description: str, across: Range, up: Range, *, below: str = "", beside: str = "",
        legend: Sequence[tuple[str, str, str]] = (), logarithmic: bool = False, percent: str = "", whole: bool = False,
    ) -> None:  # fmt: skip
        places = _legend_places([words for words, _, _ in legend])
        lines = places[-1][1] + 1 if legend else 0
        self.top = UNDER + 8 + lines * LEGEND_LINE + (18 if beside else 0)
        self.bottom = HEIGHT - BOTTOM + max(lines - 1, 0) * LEGEND_LINE
        self.picture = Picture(name, WIDTH, self.bottom + BOTTOM, title, description)
        self.x = Scale(*across, LEFT, WIDTH - RIGHT)
        self.y = (LogScale if logarithmic else Scale)(*up, self.bottom, self.top)
        self.picture.text(16, TITLE, shortened(title, WIDTH - 32, 14.5), size=14, bold=True)
        for (words, colour, dash), (x, line) in zip(legend, places, strict=True):
            y = UNDER + 9 + line * LEGEND_LINE
            self.picture.polyline([(x, y), (x + 16, y)], stroke=colour, width=2.5, dash=dash)
            self.picture.text(x + 22, y + 4, shortened(words, WIDTH - 60))
        self._axes(below, beside, percent, whole)

    def _axes(self, below: str, beside: str, percent: str, whole: bool) -> None:
        picture = self.picture
        for value in self.y.ticks(5):
            picture.polyline([(LEFT, self.y(value)), (WIDTH - RIGHT, self.y(value))], stroke="hair")
            shown = _tick(value, "y" in percent)
            picture.text(LEFT - 7, self.y(value) + 4, shown, colour="muted", size=11.5, anchor="end")
        for value in self.x.ticks(5):
            if not whole or value == int(value):
                shown = _tick(value, "x" in percent)
                place = min(self.x(value), WIDTH - 4 - width_of(shown, 11.5) / 2)
                picture.text(place, self.bottom + 17, shown, colour="muted", size=11.5, anchor="middle")
        picture.text(
            (LEFT + WIDTH - RIGHT) / 2,
            self.bottom + 36,
            shortened(below, WIDTH - LEFT),
            colour="muted",
            anchor="middle",
        )
        if beside:
            picture.text(16, self.top - 9, shortened(f"↑ {beside}", WIDTH - 32), colour="muted")

    def place(self, x: float, y: float) -> Point:
        """The pixels of a point; what lies outside the axes is drawn at their edge."""
        return (
            min(max(self.x(x), LEFT), WIDTH - RIGHT),
            min(max(self.y(max(y, self.y.low)), self.top), self.bottom),
        )

    def curve(self, points: Sequence[Point], colour: str, *, width: float = 2, dash: str = "") -> None:
        """A line through the points, broken where one is not finite; a lone point is a dot."""
        part: list[Point] = []
        for x, y in [*points, (math.nan, math.nan)]:
            if math.isfinite(x) and math.isfinite(y):
                part.append(self.place(x, y))
                continue
            if len(part) > 1:
                self.picture.polyline(part, stroke=colour, width=width, dash=dash)
            elif part:
                self.picture.circle(*part[0], 3, fill=colour)
            part = []

    def band(self, points: Sequence[tuple[float, float, float]], colour: str) -> None:
        """The area from low to high at each x, without the points where one of them is not finite."""
        whole = [(x, low, high) for x, low, high in points if math.isfinite(low + high)]
        outline = [self.place(x, high) for x, _, high in whole] + [self.place(x, low) for x, low, _ in reversed(whole)]
        if outline:
            data = "L".join(f"{number(x)} {number(y)}" for x, y in outline)
            self.picture.path(f"M{data}Z", fill=colour)

    def whisker(self, x: float, low: float, high: float, colour: str) -> None:
        """An upright error bar."""
        (column, bottom), (_, top) = self.place(x, low), self.place(x, high)
        for line in ([(column, bottom), (column, top)], *([(column - 4, y), (column + 4, y)] for y in (bottom, top))):
            self.picture.polyline(line, stroke=colour, width=1.5)

    def bars(self, edges: Sequence[float], heights: Sequence[float], colour: str) -> None:
        """Upright bars that stand on the axis, one between each two edges."""
        for low, high, height in zip(edges[:-1], edges[1:], heights, strict=True):
            if height > 0:
                (left, top), (right, _) = self.place(low, height), self.place(high, height)
                self.picture.rect(left + 0.5, top, max(right - left - 1, 0.5), self.bottom - top, fill=colour)

    def note(self, text: str, line: int = 0) -> None:
        """A line of small words in the lower right corner."""
        y = self.bottom - 10 - 16 * line
        self.picture.text(WIDTH - RIGHT - 8, y, text, colour="muted", size=11.5, anchor="end", halo="paper")

    def svg(self) -> str:
        """The chart, for a page that has the pictures' style."""
        return self.picture.svg(styled=False)


def _tick(value: float, percent: bool) -> str:
    """A tick, short enough to stand beside an axis: 80 %, 0.25, 400k."""
    if percent:
        return f"{tick_text(round(100 * value, 6))} %"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e3 * max(size, 1e6):
            return f"{tick_text(value / (1e3 if letter == 'k' else size))}{letter}"
    return tick_text(value)


def _legend_places(words: Sequence[str]) -> list[tuple[float, int]]:
    """(x, line) of each entry of a legend, in lines as wide as the chart."""
    places, x, line = [], 16.0, 0
    for text in words:
        wide = 22 + width_of(shortened(text, WIDTH - 60)) + 16
        if x > 16 and x + wide > WIDTH:
            x, line = 16.0, line + 1
        places.append((x, line))
        x += wide
    return places
