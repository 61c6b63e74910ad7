"""How well numbers are predicted: against the true ones, how far off, and whether too high or too low."""

import numpy as np

from fallline.report.axes import padded
from fallline.report.chart import Chart
from fallline.report.curves import scatter_picture
from fallline.report.judged import Judged
from fallline.report.markup import Section, figures, paragraph
from fallline.report.statistics import value_bins
from fallline.report.words import count, plain

BINS = 40


def value_section(judged: Judged) -> Section:
    """Predicted against true values, how the errors are spread, and calibration."""
    within = [float(np.percentile(judged.errors, share)) for share in (50, 90)]
    told = (
        f"What the network says of the {count(len(judged), f'{judged.part} row')}, which it was not trained on. Half "
        f"of them are predicted within ±{plain(within[0])}, nine of ten within ±{plain(within[1])}."
    )
    charts = [
        scatter_picture("scatter", "Predicted against true", judged.true, judged.predicted),
        _errors_chart(judged),
        _calibration_chart(judged),
    ]
    return Section("quality", "How well it predicts", [paragraph(told), figures(charts)], "Predictions")


def _errors_chart(judged: Judged) -> str:
    """A histogram of predicted − true, its far ends left out."""
    errors = judged.predicted - judged.true
    reach = float(np.percentile(np.abs(errors), 99)) or 1.0
    heights, edges = np.histogram(errors, bins=BINS, range=(-reach, reach))
    left = len(errors) - int(heights.sum())
    told = f"Half of the errors lie between {plain(float(np.percentile(errors, 25)))} and "
    told += f"{plain(float(np.percentile(errors, 75)))}; the mean is {plain(float(errors.mean()))}."
    chart = Chart(
        "errors", "How far off", told, (-reach, reach), (0, max(float(heights.max()), 1) * 1.06),
        below="predicted − true", beside="rows",
    )  # fmt: skip
    chart.bars(edges.tolist(), heights.tolist(), "blue")
    zero = chart.x(0.0)
    chart.picture.polyline([(zero, chart.top), (zero, chart.bottom)], stroke="ink", width=1.5)
    if left:
        x = chart.place(reach, 0)[0]
        told = f"{count(left, 'row')} farther off"
        chart.picture.text(x - 4, chart.top + 12, told, colour="muted", size=11.5, anchor="end", halo="paper")
    return chart.svg()


def _calibration_chart(judged: Judged) -> str:
    """The mean true value of rows with alike predictions, with 95 % intervals."""
    bins = value_bins(judged.predicted, judged.true)
    low, high = padded([n for one in bins for n in (one.predicted, one.low, one.high)])
    told = "; ".join(f"{plain(b.predicted)} predicted, {plain(b.found)} found on average" for b in bins)
    groups = f", {count(len(bins), 'group')} of as many rows" if len(bins) > 1 else ""
    chart = Chart(
        "calibration", "Calibration: too high or too low?", f"{told}. On the line they agree.", (low, high),
        (low, high), below=f"mean prediction{groups}",
        beside="mean true value",
    )  # fmt: skip
    chart.curve([(low, low), (high, high)], "muted", width=1, dash="3 4")
    chart.curve([(one.predicted, one.found) for one in bins], "blue", width=1.5)
    for one in bins:
        chart.whisker(one.predicted, one.low, one.high, "blue")
        chart.picture.circle(*chart.place(one.predicted, one.found), 4, fill="blue", stroke="paper", width=1.5)
    return chart.svg()
