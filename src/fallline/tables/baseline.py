"""What the simplest answer would score: the measure of every model."""

from dataclasses import dataclass

import numpy as np

from fallline.data.targets import ClassTarget, target_numbers
from fallline.tables.prepare import Prepared
from fallline.training.metrics import METRICS


@dataclass(frozen=True)
class Baseline:
    """The simplest answer.

    Attributes:
        words: what it says: "always 'no'" or "always the mean".
        score: the metric that counts, of that answer.
    """

    words: str
    score: float


def baseline(prepared: Prepared, part: str = "test") -> Baseline:
    """The most frequent class, or the mean, of the training rows, as the answer to every row of a part."""
    codec = prepared.codec
    if isinstance(codec, ClassTarget):
        common = int(np.bincount(prepared.matrices["training"][1]).argmax())
        share = float(np.mean(prepared.matrices[part][1] == common))
        return Baseline(f"always {codec.classes[common]!r}", share)
    mean = target_numbers(prepared.parts["training"].column(codec.name), codec.name).mean()
    true = target_numbers(prepared.parts[part].column(codec.name), codec.name)
    with np.errstate(over="ignore"):
        return Baseline("always the mean", METRICS["rmse"](np.full(len(true), mean), true))
