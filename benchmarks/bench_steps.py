"""One training step of small networks, against hand-written NumPy, scikit-learn and PyTorch.

Equal for all: data, rows, batch size, layer widths, loss, float32 (scikit-learn too), update rule, number of steps.
Each contender takes whole epochs in turn, several rounds; the median of the rounds counts.
"""

import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim

NAME = "steps"
PEERS = ("sklearn", "torch")
ROUNDS = 5
WORKLOADS = {"30-64-64-2, batch 32, momentum": ((30, 64, 64, 2), 0.9), "64-128-10, batch 32, SGD": ((64, 128, 10), 0.0)}
ROWS, BATCH, RATE = 16_000, 32, 0.05
Array = NDArray[Any]
Contender = Callable[[], float]
"""Trains one epoch from where it stands and returns the mean loss of the epoch's batches."""


def run() -> str:
    """Both workloads, every contender that is installed."""
    lines = [
        "| network | contender | µs per step | ratio to fallline | loss after the rounds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for title, (widths, momentum) in WORKLOADS.items():
        rng = np.random.default_rng(0)
        x = rng.normal(size=(ROWS, widths[0])).astype(np.float32)
        y = np.argmax(x @ rng.normal(size=(widths[0], widths[-1])), axis=1)
        contenders = make_contenders(widths, momentum, x, y)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        losses: dict[str, float] = {}
        for _ in range(ROUNDS + 1):
            for name, epoch in contenders.items():
                started = time.perf_counter()
                losses[name] = epoch()
                times[name].append((time.perf_counter() - started) / (ROWS // BATCH) * 1e6)
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        for name, value in medians.items():
            ratio = value / medians["fallline (reference)"]
            lines.append(f"| {title} | {name} | {value:.0f} | {ratio:.2f} | {losses[name]:.4f} |")
        spread = max(losses.values()) - min(losses.values())
        if spread > 0.2:
            raise AssertionError(f"the contenders do not reach the same loss: {losses}")
    note = "Shuffled rows, forward, loss, backpropagation and update included; each contender shuffles in its own way."
    return "\n".join(
        [*lines, "", note, f"Median of {ROUNDS} epochs of {ROWS // BATCH} steps each, in turn, after one to warm up."]
    )


def make_contenders(widths: tuple[int, ...], momentum: float, x: Array, y: Array) -> dict[str, Contender]:
    """Every contender from the same initial weights."""
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    net = nn.Sequential(*layers[:-1], seed=0)
    start = list(net.parameters().values())
    found: dict[str, Contender] = {"fallline (reference)": fallline_epoch(net, momentum, x, y)}
    found["NumPy by hand"] = numpy_epoch([w.copy() for w in start], momentum, x, y)
    if importlib.util.find_spec("sklearn"):
        found["scikit-learn"] = sklearn_epoch(widths, momentum, x, y)
    if importlib.util.find_spec("torch"):
        found["PyTorch eager"] = torch_epoch(start, momentum, x, y)
    return found


def fallline_epoch(net: nn.Module, momentum: float, x: Array, y: Array) -> Contender:
    """`fl.fit`, an epoch a call."""
    rule = optim.SGD(lr=RATE, momentum=momentum)
    return lambda: float(fl.fit(net, x, y, optimizer=rule, batch_size=BATCH, epochs=1).history["loss"][0])


def numpy_epoch(weights: list[Array], momentum: float, x: Array, y: Array) -> Contender:
    """Forward, backward and update as one would write them for this network alone."""
    velocity = [np.zeros_like(w) for w in weights]
    rng = np.random.default_rng(1)
    pairs = [(weights[i], weights[i + 1]) for i in range(0, len(weights), 2)]

    def step(batch: Array, labels: Array) -> float:
        activations = [batch]
        for number, (w, b) in enumerate(pairs):
            z = activations[-1] @ w + b
            activations.append(np.maximum(z, 0) if number < len(pairs) - 1 else z)
        logits = activations[-1]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = powers / powers.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float(-np.log(chances[rows, labels]).mean())
        chances[rows, labels] -= 1
        delta = chances / np.float32(len(labels))
        for number in range(len(pairs) - 1, -1, -1):
            w, b = pairs[number]
            gradients = (activations[number].T @ delta, delta.sum(axis=0))
            if number:
                delta = (delta @ w.T) * (activations[number] > 0)
            for k, (value, gradient) in enumerate(zip((w, b), gradients, strict=True)):
                v = velocity[2 * number + k]
                v *= np.float32(momentum)
                v += gradient
                value -= np.float32(RATE) * v
        return loss

    def epoch() -> float:
        order = rng.permutation(len(x))
        starts = range(0, len(x), BATCH)
        return float(np.mean([step(x[order[s : s + BATCH]], y[order[s : s + BATCH]]) for s in starts]))

    return epoch


def sklearn_epoch(widths: tuple[int, ...], momentum: float, x: Array, y: Array) -> Contender:
    """MLPClassifier with warm start; its own initial weights, which cannot be given."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        widths[1:-1], solver="sgd", learning_rate_init=RATE, momentum=momentum, nesterovs_momentum=False, alpha=0.0,
        batch_size=BATCH, random_state=0,
    )  # fmt: skip

    def epoch() -> float:
        model.partial_fit(x, y, classes=np.arange(widths[-1]))
        return float(model.loss_)

    return epoch


def torch_epoch(start: list[Array], momentum: float, x: Array, y: Array) -> Contender:
    """An eager loop with torch.optim.SGD, one thread, as small networks want it."""
    import torch

    torch.set_num_threads(1)
    weights = [torch.tensor(w, requires_grad=True) for w in start]
    rule = torch.optim.SGD(weights, lr=RATE, momentum=momentum)
    inputs, labels = torch.tensor(x), torch.tensor(y)

    def epoch() -> float:
        order = torch.randperm(len(x))
        losses = []
        for s in range(0, len(x), BATCH):
            rows = order[s : s + BATCH]
            z = inputs[rows]
            for number in range(0, len(weights), 2):
                z = z @ weights[number] + weights[number + 1]
                if number < len(weights) - 2:
                    z = torch.relu(z)
            loss = torch.nn.functional.cross_entropy(z, labels[rows])
            rule.zero_grad()
            loss.backward()
            rule.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    return epoch
