"""Charts of chances: ROC, precision against recall, calibration."""

from collections.abc import Mapping, Sequence

import numpy as np

from fallline.report.chart import Chart
from fallline.report.judged import Judged
from fallline.report.statistics import Bin, Ranking, calibration_error, chance_bins
from fallline.report.svg import series
from fallline.report.words import percent

UNIT = (0.0, 1.0)
AIR = (0.0, 1.02)
MOST_POINTS = 250


def roc_chart(rankings: Mapping[str, Ranking]) -> str:
    """True against false positives at every threshold, a line for each class."""
    areas = {label: f"{label}: {one.area:.3f}" for label, one in rankings.items()}
    told = "The area under the curve is the chance that a row of the class gets a higher score than another row. "
    chart = Chart(
        "roc", "ROC: area under the curve", told + "; ".join(areas.values()) + ".", UNIT, AIR, percent="xy",
        below="others taken for the class", beside="rows of the class found", legend=_legend(list(areas.values())),
    )  # fmt: skip
    chart.curve([(0, 0), (1, 1)], "muted", width=1, dash="3 4")
    for number, one in enumerate(rankings.values()):
        colour, dash = series(number)
        chart.curve(_thinned(one.false_positives.tolist(), one.true_positives.tolist()), colour, dash=dash)
    return chart.svg()


def precision_recall_chart(rankings: Mapping[str, Ranking]) -> str:
    """Precision against recall at every threshold, a line for each class."""
    means = {label: f"{label}: {one.average_precision:.3f}" for label, one in rankings.items()}
    told = "How many of the rows said to be of the class are, against how many of the class are found. Average "
    told += "precision: " + "; ".join(means.values()) + "."
    chart = Chart(
        "precision-recall", "Precision and recall: average precision", told, UNIT, AIR, percent="xy",
        below="rows of the class found (recall)", beside="right when said (precision)",
        legend=_legend(list(means.values())),
    )  # fmt: skip
    for number, one in enumerate(rankings.values()):
        colour, dash = series(number)
        if len(rankings) == 1:
            chart.curve([(0, one.share), (1, one.share)], "muted", width=1, dash="3 4")
        recall, precision = [0.0, *one.recall.tolist()], [float(one.precision[0]), *one.precision.tolist()]
        chart.curve(_thinned(recall, precision), colour, dash=dash)
    return chart.svg()


def calibration_chart(judged: Judged) -> str:
    """Whether what is said with a chance of 80 % happens in 80 of 100 rows, with 95 % intervals."""
    chances = judged.chances if judged.chances is not None else np.zeros((0, 2))
    if len(judged.classes) == 2:
        bins = chance_bins(chances[:, 1], judged.true == 1)
        below, beside = f"chance given to {judged.classes[1]!r}", "how often it was"
    else:
        bins = chance_bins(chances.max(axis=1), judged.true == judged.predicted)
        below, beside = "chance given to the answer", "how often it was right"
    return _bins_chart(bins, below, beside)


def _bins_chart(bins: Sequence[Bin], below: str, beside: str) -> str:
    error = calibration_error(list(bins))
    told = "; ".join(f"{percent(b.predicted)} said, {percent(b.found)} found in {b.rows:,} rows" for b in bins)
    chart = Chart(
        "calibration", "Calibration: are the chances true?", f"{told}. On the line they are.", UNIT, AIR, percent="xy",
        below=below, beside=beside, legend=[(f"off by {percent(error)} on average", "blue", "")],
    )  # fmt: skip
    most = max((one.rows for one in bins), default=1)
    for one in bins:  # how many rows there are, as a shadow on the axis
        place = min(int(one.predicted * 10), 9) / 10
        chart.bars([place, place + 0.1], [0.16 * one.rows / most], "hair")
    chart.curve([(0, 0), (1, 1)], "muted", width=1, dash="3 4")
    chart.curve([(one.predicted, one.found) for one in bins], "blue", width=1.5)
    for one in bins:
        chart.whisker(one.predicted, one.low, one.high, "blue")
        chart.picture.circle(*chart.place(one.predicted, one.found), 4, fill="blue", stroke="paper", width=1.5)
    return chart.svg()


def _legend(words: Sequence[str]) -> list[tuple[str, str, str]]:
    return [(text, *series(number)) for number, text in enumerate(words)]


def _thinned(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """The points of a curve, those that lie closer than the eye can tell left out."""
    kept, before = [], (-1.0, -1.0)
    for number, point in enumerate(zip(x, y, strict=True)):
        far = abs(point[0] - before[0]) + abs(point[1] - before[1]) > 1.0 / MOST_POINTS
        if far or number == len(x) - 1:
            kept.append(point)
            before = point
    return kept
