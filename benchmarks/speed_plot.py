"""The picture of the speed page: for each work, a bar for each contender."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fallline.report.svg import Picture, figure, shortened

WIDTH, EDGE, GAP, BELOW = 860.0, 24.0, 36.0, 24.0
LABELS, VALUES = 118.0, 62.0
ROW, BAR, HEAD = 19.0, 12.0, 34.0
COLUMNS = 2


@dataclass(frozen=True)
class Bar:
    """One contender: µs per step, NaN where it failed, and whether it is Fallline."""

    label: str
    value: float
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    """One work: its title and its bars from top to bottom."""

    title: str
    bars: list[Bar]

    @property
    def height(self) -> float:
        """Pixels."""
        return HEAD + ROW * len(self.bars)


def speed_picture(panels: Sequence[Panel]) -> str:
    """µs per step as SVG, each work on a scale of its own, two works beside each other."""
    rows = [panels[k : k + COLUMNS] for k in range(0, len(panels), COLUMNS)]
    heights = [max(panel.height for panel in row) + BELOW for row in rows]
    top = 84.0
    picture = Picture("speed", WIDTH, top + sum(heights), "Time of a training step, by contender", described(panels))
    picture.rect(0, 0, WIDTH, top + sum(heights), fill="paper", radius=10)
    picture.text(EDGE, 36, "Time of one training step", size=19, bold=True)
    under = "µs; shorter is faster; each work on a scale of its own; the better of one and two threads"
    picture.text(EDGE, 57, under, colour="muted")
    width = (WIDTH - 2 * EDGE - (COLUMNS - 1) * GAP) / COLUMNS
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            draw_panel(picture, panel, EDGE + column * (width + GAP), top, width)
        top += height
    return picture.svg()


def draw_panel(picture: Picture, panel: Panel, left: float, top: float, width: float) -> None:
    """A work's bars, from the same line to the right."""
    picture.text(left, top + 14, shortened(panel.title, width * 0.95, 13), size=13, bold=True)
    start, room = left + LABELS, width - LABELS - VALUES
    largest = max((bar.value for bar in panel.bars if not math.isnan(bar.value)), default=1.0)
    for number, bar in enumerate(panel.bars):
        y = top + HEAD + ROW * number
        colour = "ink" if bar.ours else "muted"
        picture.text(start - 8, y + 4, shortened(bar.label, LABELS - 10), anchor="end", bold=bar.ours, colour=colour)
        if math.isnan(bar.value):
            picture.text(start + 6, y + 4, "failed the check of its losses", colour="orange", size=11)
            continue
        length = max(room * bar.value / largest, 1.5)
        picture.rect(start, y - BAR / 2, length, BAR, fill="blue" if bar.ours else "band8", radius=2)
        picture.text(start + length + 6, y + 4, micro(bar.value), bold=bar.ours, colour=colour)
    bottom = top + HEAD + ROW * len(panel.bars) - ROW / 2
    picture.polyline([(start, top + HEAD - ROW / 2), (start, bottom)], stroke="hair")


def described(panels: Sequence[Panel]) -> str:
    """The picture in words."""

    def said(bar: Bar) -> str:
        return f"{bar.label} failed" if math.isnan(bar.value) else f"{bar.label} {micro(bar.value)}"

    return " ".join(f"{panel.title}: {', '.join(map(said, panel.bars))} µs." for panel in panels)


def micro(value: float) -> str:
    """Microseconds for a reader."""
    return f"{value:,.0f}" if value >= 100 else figure(value)
