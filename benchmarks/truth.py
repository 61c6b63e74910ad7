"""The same training in float64, written plainly: what every contender's losses are held against."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks import Task
from benchmarks.works import Work

Array = NDArray[Any]
BOUNDS = {"sgd": 1e-4, "adam": 0.02, "adamw": 0.02}
"""Largest accepted `distance` of a contender's losses from the float64 ones, by rule.

Adam divides a gradient by its own size: where a gradient is all rounding, its sign decides on a step of η, so that
sound float32 runs differ by up to 0.006 after an epoch; runs of SGD by 2e-6.
"""
REACH = 1.05
"""How much higher the final loss of a learner with other steps may be, as a factor."""
JUDGED = 10_000
"""Rows on which such a learner's final loss is measured."""


@dataclass(frozen=True)
class Truth:
    """What a training must come to.

    Attributes:
        losses: (epochs, steps), each the batch's mean loss before its update.
        final: the loss of the first `JUDGED` rows afterwards.
    """

    losses: Array
    final: float


def train(task: Task, epochs: int = 1) -> Truth:
    """Train in float64 from the task's weights over its first orders."""
    work = task.work
    weights = [np.array(w, dtype=np.float64) for w in task.weights]
    memory = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    losses = np.empty((epochs, work.steps))
    for epoch, order in enumerate(task.order(epochs)):
        for step, rows in enumerate(order.reshape(-1, work.batch)):
            losses[epoch, step], gradients = loss_and_gradients(work, weights, task.x[rows], task.y[rows])
            count = epoch * work.steps + step + 1
            for k, gradient in enumerate(gradients):
                weights[k] = update(work, weights[k], gradient, memory[k], count)
    final, _ = loss_and_gradients(work, weights, task.x[:JUDGED], task.y[:JUDGED])
    return Truth(losses, final)


def loss_and_gradients(work: Work, weights: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
    """The mean loss of a batch and its gradients, by backpropagation."""
    inputs = x * np.float32(work.scale) if work.scale else x  # the same float32 numbers as everybody's
    values = [inputs.astype(np.float64)]
    depth = len(weights) // 2
    for k in range(depth):
        z = values[-1] @ weights[2 * k] + weights[2 * k + 1]
        values.append(z if k == depth - 1 else np.tanh(z) if work.activation == "tanh" else np.maximum(z, 0.0))
    out, n = values[-1], len(x)
    if work.loss == "mse":
        loss, delta = float(np.mean((out - y) ** 2)), 2.0 * (out - y) / out.size
    else:
        shifted = out - out.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss, delta = float(-logs[np.arange(n), y].mean()), np.exp(logs)
        delta[np.arange(n), y] -= 1.0
        delta /= n
    gradients: list[Array] = [np.empty(0)] * len(weights)
    for k in range(depth - 1, -1, -1):
        gradients[2 * k], gradients[2 * k + 1] = values[k].T @ delta, delta.sum(axis=0)
        if k:
            slope = 1.0 - values[k] ** 2 if work.activation == "tanh" else values[k] > 0.0
            delta = (delta @ weights[2 * k].T) * slope
    return loss, gradients


def update(work: Work, w: Array, g: Array, memory: tuple[Array, Array], count: int) -> Array:
    """The weight after step `count` (from 1): SGD with momentum, Adam (Kingma & Ba 2015) or AdamW (1711.05101)."""
    m, v = memory
    if work.rule == "sgd":
        m[:] = work.momentum * m + g
        return w - work.rate * m
    m[:] = 0.9 * m + 0.1 * g
    v[:] = 0.999 * v + 0.001 * g * g
    if work.rule == "adamw":
        w = w - work.rate * work.decay * w
    return w - work.rate * (m / (1.0 - 0.9**count)) / (np.sqrt(v / (1.0 - 0.999**count)) + 1e-8)


def distance(losses: Array, truth: Truth) -> float:
    """How far a contender's losses are from the true ones: the largest difference over the mean true loss.

    Args:
        losses: (epochs, steps), or (epochs, 1) from a contender that tells only the mean of an epoch.
        truth: of the same epochs.

    Returns:
        A number from 0; infinite where a loss is NaN or infinite, or where there are more or fewer losses.
    """
    true = truth.losses[: len(losses)]
    if losses.ndim == 2 and losses.shape[1] == 1:
        true = true.mean(axis=1, keepdims=True)
    if losses.shape != true.shape or not np.all(np.isfinite(losses)):
        return float("inf")
    return float(np.abs(losses - true).max() / true.mean())


def objection(work: Work, losses: Array, truth: Truth, same_steps: bool) -> str:
    """Why a contender's losses are not accepted, or nothing.

    Args:
        work: what was trained.
        losses: as for `distance`; from a learner with other steps its loss of the first `JUDGED` rows after each epoch.
        truth: of at least as many epochs.
        same_steps: whether it takes the same steps.
    """
    if same_steps:
        found = distance(losses, truth)
        return "" if found <= BOUNDS[work.rule] else f"its losses differ from float64 by {found:.2g} of their mean"
    final = float(losses[-1, -1])
    if final <= REACH * truth.final:
        return ""
    return f"its loss is {final:.4g} after the rows at which the others are at {truth.final:.4g}"
