"""Metrics: numbers for people. Nothing here reaches a weight; decisions compare losses.

Each takes raw outputs (rows, outputs) and targets, and says whether more is better.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.data.by_blocks import blocks, chosen, computed
from fallline.errors import ArgumentError, KindError, nearest

Array = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A named function of (outputs, targets).

    Attributes:
        name: as `metrics=(…)` spells it.
        function: (outputs, targets) → number.
        greater_is_better: the direction.
        text: how to print a value, as a format specification.
    """

    name: str
    function: Callable[[Array, Array], float]
    greater_is_better: bool = True
    text: str = ".4f"

    def __call__(self, outputs: Array, targets: Array) -> float:
        """The metric's value; outputs (rows,) or (rows, outputs)."""
        return float(self.function(_doubles(np.asarray(outputs)), np.asarray(targets)))


def _doubles(outputs: Array) -> Array:
    """Outputs in float64."""
    if outputs.dtype == np.float64 or not outputs.ndim:
        return outputs.astype(np.float64, copy=False)
    found = scratch.empty(outputs.shape, np.float64)
    for part in blocks(len(outputs)):
        found[part] = outputs[part]
    return found


def predicted_classes(outputs: Array) -> Array:
    """The class of each row: the largest logit; for a single logit, whether it is positive."""
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        return (outputs.reshape(len(outputs)) > 0.0).astype(np.int64)
    return np.asarray(np.argmax(outputs, axis=-1))


def true_classes(outputs: Array, targets: Array) -> Array:
    """The class of each row from labels, soft targets, or (rows, 1) labels."""
    if outputs.ndim > 1 and targets.ndim == outputs.ndim and targets.shape[-1] != 1:
        return np.asarray(np.argmax(targets, axis=-1))
    return targets.reshape(predicted_classes(outputs).shape)


def probabilities(outputs: Array) -> Array:
    """Softmax of logits (rows, classes); for one logit per row, (1 − p, p) with p = sigmoid."""
    logits = np.asarray(outputs, dtype=np.float64)
    if logits.ndim == 1 or logits.shape[-1] == 1:
        logits = np.stack([np.zeros(len(logits)), logits.reshape(len(logits))], axis=-1)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _accuracy(outputs: Array, targets: Array) -> float:
    def right(part: slice) -> Array:
        return np.asarray(predicted_classes(outputs[part]) == true_classes(outputs[part], targets[part]))

    return float(np.mean(computed(len(outputs), bool, right)))


def _balanced_accuracy(outputs: Array, targets: Array) -> float:
    predicted, true = predicted_classes(outputs), true_classes(outputs, targets)
    return float(np.mean([np.mean(predicted[true == label] == label) for label in np.unique(true)]))


def _log_loss(outputs: Array, targets: Array) -> float:
    def losses(part: slice) -> Array:
        true = true_classes(outputs[part], targets[part]).astype(np.int64)
        chance = np.take_along_axis(probabilities(outputs[part]), true[..., None], axis=-1)
        return np.asarray(-np.log(np.maximum(chance, np.finfo(np.float64).tiny)).reshape(len(chance), -1))

    if outputs.ndim > 2:
        return float(np.mean(losses(slice(None))))
    return float(np.mean(computed(len(outputs), np.float64, lambda part: losses(part)[:, 0])))


def _roc_auc(outputs: Array, targets: Array) -> float:
    """The chance that a positive row scores above a negative one, ties counting half (Mann–Whitney)."""
    if outputs.ndim > 1 and outputs.shape[-1] > 2:
        raise ArgumentError(f"the metric 'roc_auc' needs two classes, found {outputs.shape[-1]} outputs")

    def scores(label: int, part: slice) -> Array:
        return np.asarray(probabilities(outputs[part])[true_classes(outputs[part], targets[part]) == label, 1])

    negative, positive = (chosen(len(outputs), np.float64, partial(scores, label)) for label in (0, 1))
    if not len(positive) or not len(negative):
        return float("nan")
    negative.sort()
    above = 0.0  # pairs with the positive row above; halves, and so exact
    for part in blocks(len(positive)):
        below = [np.searchsorted(negative, positive[part], side=side).sum() for side in ("left", "right")]
        above += sum(below) / 2.0
    return float(above / (len(positive) * len(negative)))


def _in_range(outputs: Array, targets: Array) -> tuple[Array, Array, float]:
    """(errors, targets), both divided by a power of two so that their squares stay in range; and that power."""
    shape = outputs.shape
    given, true = outputs.reshape(-1), targets.reshape(shape).reshape(-1)
    sizes = [np.abs(values[part].astype(np.float64)).max() for values in (given, true) for part in blocks(len(given))]
    size = float(np.max(sizes, initial=0.0))
    usual = size == 0.0 or 2.0**-400 < size < 2.0**400 or not math.isfinite(size)
    scale = 1.0 if usual else math.ldexp(1.0, math.frexp(size)[1] - 1)
    scaled = computed(len(true), np.float64, lambda part: true[part].astype(np.float64) / scale)
    errors = computed(len(true), np.float64, lambda part: given[part] / scale - scaled[part])
    return errors.reshape(shape), scaled.reshape(shape), scale


def _squares(values: Array, less: Array | float = 0.0) -> Array:
    flat = values.reshape(values.shape[0], -1)
    found = scratch.empty(flat.shape, np.float64)
    for part in blocks(len(flat)):
        found[part] = (flat[part] - less) ** 2
    return found.reshape(values.shape)


def _rmse(outputs: Array, targets: Array) -> float:
    errors, _, scale = _in_range(outputs, targets)
    return float(np.sqrt(np.mean(_squares(errors))) * scale)


def _mae(outputs: Array, targets: Array) -> float:
    errors, _, scale = _in_range(outputs, targets)
    return float(np.mean(np.abs(errors, out=errors)) * scale)


def _r2(outputs: Array, targets: Array) -> float:
    errors, true, _ = _in_range(outputs, targets)
    spread = float(np.sum(_squares(true, true.mean(axis=0))))
    return 1.0 - float(np.sum(_squares(errors))) / spread if spread else math.nan


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy),
        Metric("balanced_accuracy", _balanced_accuracy),
        Metric("log_loss", _log_loss, greater_is_better=False),
        Metric("roc_auc", _roc_auc),
        Metric("rmse", _rmse, greater_is_better=False, text=".5g"),
        Metric("mae", _mae, greater_is_better=False, text=".5g"),
        Metric("r2", _r2),
    )
}


def one_or_several(metrics: Any) -> tuple[Any, ...]:
    """`metrics=` as a tuple, where a user gave a single one."""
    return (metrics,) if isinstance(metrics, str | Metric) or callable(metrics) else tuple(metrics)


def get(metric: Any) -> Metric:
    """A metric by name, as an object, or made of a function of (outputs, targets)."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ArgumentError(f"no metric is named {metric!r}: {nearest(metric, METRICS)}")
        return METRICS[metric]
    if callable(metric):
        return Metric(getattr(metric, "__name__", "metric"), metric)
    raise KindError(f"a metric must be a name or a function of (outputs, targets), found {metric!r}")
