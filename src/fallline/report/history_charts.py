"""A training's numbers as charts: losses, metrics and learning rate over the epochs, and the loss of each step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fallline.report.axes import padded
from fallline.report.chart import Chart
from fallline.report.curves import STEEP, curve_chart
from fallline.report.svg import figure
from fallline.report.words import metric_name

_OF_TRAINING, _OF_VALIDATION = "train_", "validation_"
BUCKETS = 80
"""Into how many pieces many steps are put together: of each the lowest, the mean and the highest loss."""


def history_charts(history: Mapping[str, Sequence[float]], best_epoch: int | None, mark: str = "curve") -> list[Chart]:
    """One chart for the losses, one for each metric with training and validation together, one for the rate.

    Args:
        history: numbers of each epoch by name.
        best_epoch: from 0; the epoch whose weights were kept, or None.
        mark: prefix of the ids inside.
    """
    epochs = max((len(values) for values in history.values()), default=0)
    charts: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in history.items():
        if name == "seconds" or len(values) != epochs or not epochs:
            continue  # a number of the last epoch alone is no curve
        metric = name.removeprefix(_OF_TRAINING).removeprefix(_OF_VALIDATION)
        part = "validation" if name.startswith(_OF_VALIDATION) else "training"
        if name == "train_loss":
            part = "training, after the epoch"
        charts.setdefault(metric, {})[part] = values
    rate = charts.pop("learning_rate", None)
    order = [*charts.items(), *([("learning_rate", rate)] if rate is not None else [])]
    return [
        curve_chart(
            f"{mark}-{number}", _title(metric, curves), curves, best_epoch, logarithmic=metric == "loss",
            percent=metric in ("accuracy", "balanced_accuracy"),
        )
        for number, (metric, curves) in enumerate(order)
    ]  # fmt: skip


def _title(metric: str, curves: Mapping[str, Any]) -> str:
    name = metric_name(metric)
    title = name[:1].upper() + name[1:]
    return f"{title}, validation rows" if list(curves) == ["validation"] else title


def steps_chart(losses: Sequence[float], epochs: int) -> Chart | None:
    """The loss of every step, before its update; of many steps the range and mean of pieces of equal length.

    None where there are no more steps than epochs: the epochs' losses are the same numbers.
    """
    if len(losses) <= max(epochs, 1):
        return None
    each = max(1, -(-len(losses) // BUCKETS))
    pieces = [list(losses[k : k + each]) for k in range(0, len(losses), each)]
    middles = [k * each + (len(piece) + 1) / 2 for k, piece in enumerate(pieces)]
    finite = [value for value in losses if math.isfinite(value)]
    steep = bool(finite) and min(finite) > 0 and max(finite) > STEEP * min(finite)
    told = f"{len(losses):,} steps, from {figure(losses[0], 4)} to {figure(losses[-1], 4)}."
    up = (min(finite) / 1.1, max(finite) * 1.1) if steep else padded(finite)
    words = "mean of each " + (f"{each} steps" if each > 1 else "step")
    chart = Chart(
        "steps", "Loss of each step", told, (1, max(len(losses), 2)), up, below="step", logarithmic=steep, whole=True,
        legend=[(f"lowest to highest of {each}", "hair", ""), (words, "blue", "")] if each > 1 else (),
    )  # fmt: skip
    if each > 1:
        chart.band([(x, min(piece), max(piece)) for x, piece in zip(middles, pieces, strict=True)], "hair")
    means = [(x, sum(piece) / len(piece)) for x, piece in zip(middles, pieces, strict=True)]
    chart.curve(means, "blue", width=1.6)
    return chart
