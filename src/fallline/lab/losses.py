"""The losses of all steps, as a page can draw them: a million in a few thousand points that lose no peak."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.lab.run_files import LOSS_BYTES, opened, size_of
from fallline.training.run_folder import STEP_LOSSES

Array = NDArray[Any]
MOST_STEPS = 1 << 24
"""Losses that are looked at; of more, every second, third … one is."""
Point = list[float | int | None]


def losses_between(folder: Path, first: int, points: int, last: int | None = None) -> tuple[list[Point], int]:
    """Of the steps from `first` on, [[step, loss], …], at most `points`; and how many steps have a loss.

    Args:
        folder: the run's.
        first: a step.
        points: at most so many; where there are more steps, the lowest and the highest loss of each stretch of them.
        last: the step before which to end; the end by default.
    """
    path = folder / STEP_LOSSES
    file = opened(path)
    if file is None:
        return [], 0
    with file:
        count = size_of(path) // LOSS_BYTES
        end = count if last is None else min(last, count)
        if first >= end:
            return [], count
        stride = -(-(end - first) // MOST_STEPS)
        if stride == 1 and end - first < 1 << 16:
            file.seek(LOSS_BYTES * first)
            losses: Array = np.frombuffer(file.read(LOSS_BYTES * (end - first)), dtype="<f8")
        else:
            losses = np.memmap(file, dtype="<f8", mode="r", shape=(count,))[first:end:stride]
        return _points(losses, first, stride, points), count


def _points(losses: Array, first: int, stride: int, points: int) -> list[Point]:
    if len(losses) <= points:
        kept = np.arange(len(losses))
    else:
        kept = _extremes(losses, max(points // 2, 1))
    found = losses[kept]
    finite = np.isfinite(found)
    return [
        [first + stride * step, loss if known else None]
        for step, loss, known in zip(kept.tolist(), found.tolist(), finite.tolist(), strict=True)
    ]


def _extremes(losses: Array, stretches: int) -> Array:
    """Where the lowest and the highest loss of each of so many stretches are; what is not finite counts as highest."""
    size = -(-len(losses) // stretches)
    whole = len(losses) // size
    kept = [_of_stretches(losses[: whole * size].reshape(whole, size), 0)]
    if whole * size < len(losses):
        kept.append(_of_stretches(losses[whole * size :].reshape(1, -1), whole * size))
    return np.unique(np.concatenate(kept))


def _of_stretches(losses: Array, first: int) -> Array:
    starts = first + losses.shape[1] * np.arange(len(losses))
    known = np.where(np.isfinite(losses), losses, np.inf)
    return np.concatenate([starts + known.argmin(axis=1), starts + known.argmax(axis=1)])
