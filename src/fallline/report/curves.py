"""Charts of a training: curves over epochs, predicted against true values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fallline.report.axes import padded
from fallline.report.chart import WIDTH, Chart
from fallline.report.svg import figure, series
from fallline.report.words import count

MOST_DOTS, MOST_POINTS = 2000, 400
STEEP = 30.0
"""From how many times its smallest number on a curve of positive numbers is drawn on a logarithmic axis."""
_COLOURS = {"validation": "orange"}  # the same colour on every chart


def curve_chart(
    name: str,
    title: str,
    curves: Mapping[str, Sequence[float]],
    best_epoch: int | None = None,
    *,
    logarithmic: bool = False,
    percent: bool = False,
) -> Chart:
    """Numbers over epochs, one line for each name, the best epoch marked.

    Args:
        name: prefix of the ids inside.
        title: above the chart.
        curves: what each line is → a number for each epoch; NaN and infinity leave gaps.
        best_epoch: from 0; the epoch whose weights were kept, or None.
        logarithmic: whether numbers that differ by large factors are drawn on a logarithmic axis.
        percent: whether the numbers are shares of 1, shown in per cent.
    """
    longest = max((len(values) for values in curves.values()), default=0)
    told = "; ".join(f"{label}: {figure(values[-1], 4)} at the end" for label, values in curves.items() if len(values))
    finite = [float(v) for values in curves.values() for v in values if math.isfinite(v)]
    steep = logarithmic and bool(finite) and min(finite) > 0 and max(finite) > STEEP * min(finite)
    lines = {label: (_COLOURS.get(label, series(2 * k)[0]), values) for k, (label, values) in enumerate(curves.items())}
    chart = Chart(
        name, title, f"{told}." if told else "", (1, max(longest, 2)),
        (min(finite) / 1.1, max(finite) * 1.1) if steep else padded(finite), below="epoch", logarithmic=steep,
        legend=[(label, colour, "") for label, (colour, _) in lines.items()] if len(lines) > 1 else (), whole=True,
        percent="y" if percent else "",
    )  # fmt: skip
    marked = best_epoch if best_epoch is not None and 0 <= best_epoch < longest else None
    if marked is not None:
        _mark_best(chart, marked, [values for _, values in lines.values()])
    for colour, values in lines.values():
        every = max(1, -(-len(values) // MOST_POINTS))
        kept = sorted({*range(0, len(values), every), len(values) - 1} - {-1})
        chart.curve([(k + 1, values[k]) for k in kept], colour)
        if marked is not None and marked < len(values) and math.isfinite(values[marked]):
            chart.picture.circle(*chart.place(marked + 1, values[marked]), 4, fill=colour, stroke="paper", width=1.5)
    return chart


def _mark_best(chart: Chart, epoch: int, curves: Sequence[Sequence[float]]) -> None:
    """A line at the epoch, its words above or below, where the curves leave room."""
    x, longest = chart.x(epoch + 1), max(len(values) for values in curves)
    beside = range(max(0, epoch - longest // 3), epoch + 1) if x > WIDTH / 2 else range(epoch, epoch + longest // 3)
    near = [values[k] for values in curves for k in beside if k < len(values) and math.isfinite(values[k])]
    heights = [chart.place(1, value)[1] for value in near]
    low = bool(heights) and sum(heights) / len(heights) > (chart.top + chart.bottom) / 2
    chart.picture.polyline([(x, chart.top), (x, chart.bottom)], stroke="muted", dash="2 4")
    side, shift = ("end", -6) if x > WIDTH / 2 else ("start", 6)
    chart.picture.text(
        x + shift,
        chart.top + 10 if low else chart.bottom - 8,
        f"kept: epoch {epoch + 1}",
        colour="muted",
        size=11.5,
        anchor=side,
        halo="paper",
    )


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
    shown = f"{count(len(x), 'row')}{note}"
    chart = Chart(
        name, title, f"{shown}. Dots on the line are predicted exactly.", (low, high), (low, high), below="true value",
        beside="predicted value",
    )  # fmt: skip
    points = [chart.place(float(a), float(b)) for a, b in zip(x[::every], y[::every], strict=True)]
    chart.picture.dots(points, 2.2, fill="blue", opacity=0.4)
    chart.curve([(low, low), (high, high)], "muted", width=1.5, dash="4 4")
    chart.note(shown)
    return chart.svg()
