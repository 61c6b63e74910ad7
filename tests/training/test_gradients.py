"""Every layer and every loss: backpropagation's gradients equal finite differences in float64."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import fallline as fl
from fallline import nn

Array = NDArray[Any]
ROWS, CLASSES = 6, 3
TOLERANCE = 1e-6


class SharedWeight(nn.Module):
    """The same weight, three times over."""

    def __init__(self) -> None:
        self.step = nn.Linear(4, 4)
        self.scale = nn.Parameter((4,), "ones")
        self.head = nn.Linear(4, CLASSES)

    def __call__(self, x: Any) -> Any:
        for _ in range(3):
            x = fl.tanh(self.step(x) * self.scale)
        return self.head(x + self.scale)


class TwoBranches(nn.Module):
    """Two ways from x that meet again, twice: by a product and by concatenation."""

    def __init__(self) -> None:
        self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3, bias=False)
        self.heads = {"low": nn.Linear(6, CLASSES), "high": nn.Linear(6, CLASSES)}

    def __call__(self, x: Any) -> Any:
        left, right = fl.sigmoid(self.left(x)), fl.softmax(self.right(x))
        joined = fl.concatenate([left * right, left - right], axis=1)
        return self.heads["low"](joined) + self.heads["high"](joined) ** 2


class Pooled(nn.Module):
    """Embedded tokens, averaged: (rows, tokens) whole numbers → (rows, classes)."""

    def __init__(self) -> None:
        self.table = nn.Embedding(5, 4, init="normal")
        self.head = nn.Linear(4, CLASSES)

    def __call__(self, x: Any) -> Any:
        return self.head(fl.mean(self.table(x), axis=1))


def dense(*middle: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(4, 5), *middle, nn.Linear(5, CLASSES), seed=3)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "linear": (lambda: nn.Linear(4, CLASSES), "plain"),
    "linear without bias": (lambda: nn.Linear(4, CLASSES, bias=False), "plain"),
    "linear on 3-D": (lambda: nn.Sequential(nn.Linear(4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(6, CLASSES)), "cube"),
    "flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)), "cube"),
    "dropout": (dense(nn.Tanh(), nn.Dropout(0.4)), "plain"),
    "dropout twice": (dense(nn.Dropout(0.3), nn.SiLU(), nn.Dropout(0.3)), "plain"),
    "embedding": (Pooled, "tokens"),
    "batch norm": (dense(nn.BatchNorm(5), nn.Tanh()), "plain"),
    "batch norm on 3-D": (lambda: nn.Sequential(nn.BatchNorm(4), nn.Flatten(), nn.Linear(12, CLASSES)), "cube"),
    "layer norm": (dense(nn.LayerNorm(5), nn.Tanh()), "plain"),
    "nested": (dense(nn.Sequential(nn.Linear(5, 5), nn.Sequential(nn.Tanh(), nn.Linear(5, 5)))), "plain"),
    "shared weight": (SharedWeight, "plain"),
    "two branches": (TwoBranches, "plain"),
    **{name: (dense(make()), "plain") for name, make in nn.activations.ACTIVATIONS.items()},
}


def inputs(kind: str, rng: np.random.Generator) -> Array:
    if kind == "tokens":
        return rng.integers(0, 4, (ROWS, 7))  # 5 rows of the table, one never used, others used again and again
    return rng.normal(size=(ROWS, 3, 4) if kind == "cube" else (ROWS, 4))


def one_number(outputs: Any, targets: Any) -> Any:
    return fl.sum(fl.log1p((outputs - targets) ** 2)) + fl.mean(outputs) ** 2


def one_per_row(outputs: Any, targets: Any) -> Any:
    return fl.logsumexp(outputs * targets, axis=1)


LOSSES: dict[str, tuple[Any, Callable[[np.random.Generator], Array]]] = {
    "mse": ("mse", lambda rng: rng.normal(size=(ROWS, CLASSES))),
    "mae": ("mae", lambda rng: rng.normal(size=(ROWS, CLASSES)) * 3.0),
    "huber": (nn.losses.Huber(0.7), lambda rng: rng.normal(size=(ROWS, CLASSES))),
    "binary": ("binary_cross_entropy", lambda rng: rng.uniform(size=(ROWS, CLASSES))),
    "cross-entropy": ("cross_entropy", lambda rng: rng.integers(0, CLASSES, ROWS)),
    "soft targets": ("cross_entropy", lambda rng: rng.dirichlet(np.ones(CLASSES), ROWS)),
    "smoothed": (nn.losses.CrossEntropy(label_smoothing=0.1), lambda rng: rng.integers(0, CLASSES, ROWS)),
    "ensemble": (nn.losses.Ensemble("cross_entropy"), lambda rng: rng.integers(0, CLASSES, ROWS)),
    "poisson": ("poisson", lambda rng: rng.poisson(2.0, (ROWS, CLASSES))),
    "hinge of classes": ("hinge", lambda rng: rng.integers(0, CLASSES, ROWS)),
    "hinge of signs": ("hinge", lambda rng: rng.choice([-1, 1], (ROWS, CLASSES))),
    "own, one number": (one_number, lambda rng: rng.normal(size=(ROWS, CLASSES))),
    "own, one per row": (one_per_row, lambda rng: rng.normal(size=(ROWS, CLASSES))),
}


def in_float64(net: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Moved away from the initial zeros and ones, which are special points."""
    net.load_parameters({name: w + 0.1 * rng.normal(size=w.shape) for name, w in net.parameters().items()})
    net.load_buffers({name: b + rng.uniform(0.1, 0.5, b.shape) for name, b in net.buffers().items()})
    return net


PAIRS = [
    (name, loss)
    for i, name in enumerate(NETWORKS)
    for j, loss in enumerate(LOSSES)
    if (i + j) % 3 == 0 or "FALLLINE_SOAK_FACTOR" in os.environ
]
"""Each network with four losses or more, each loss with seven networks; `make soak JOB=properties` has all pairs."""


@pytest.mark.parametrize(("name", "loss_name"), PAIRS)
def test_gradients_equal_finite_differences(name: str, loss_name: str) -> None:
    rng = np.random.default_rng([7, list(NETWORKS).index(name), list(LOSSES).index(loss_name)])
    make, kind = NETWORKS[name]
    loss, targets = LOSSES[loss_name]
    net, x, y = in_float64(make(), rng), inputs(kind, rng), targets(rng)
    weight = None if loss is one_number else rng.uniform(0.2, 2.0, ROWS)
    modes = (False, True) if "batch norm" in name or "dropout" in name else (True,)
    for training in modes:
        report = fl.check_gradients(net, x, y, loss, sample_weight=weight, entries=6, training=training)
        assert report.ok, f"training={training}\n{report}"
        for check in report.checks:  # the rounding of the loss makes differences of that size by itself
            rounding = abs(check.gradient - check.difference) < 1e-10 * max(abs(report.loss), 1.0)
            assert rounding or check.error < TOLERANCE, f"training={training}\n{report}"
        assert {check.name for check in report.checks} == set(net.parameters())


@pytest.mark.parametrize("training", [False, True], ids=["prediction", "training"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_equal_differences_taken_by_hand(name: str, training: bool) -> None:
    """The same by a loop that shares nothing with `check_gradients`: along a random direction of each tensor."""
    rng = np.random.default_rng([11, list(NETWORKS).index(name)])
    make, kind = NETWORKS[name]
    net, x, y = in_float64(make(), rng), inputs(kind, rng), rng.normal(size=(ROWS, CLASSES))
    weights = net.parameters()

    def loss_at(changed: dict[str, Array]) -> float:
        net.load_parameters(changed)
        if training:
            return fl.loss_and_gradients(net, x, y, "mse", seed=5, step=2)[0]
        return fl.evaluate(net, x, y, loss="mse")["loss"]

    loss, gradients = fl.loss_and_gradients(net, x, y, "mse", training=training, seed=5, step=2)
    assert loss == pytest.approx(loss_at(weights), rel=1e-14)
    largest = max(np.abs(g).max() for g in gradients.values())
    for parameter, w in weights.items():
        direction = rng.choice([-1.0, 1.0], w.shape)
        high = loss_at({**weights, parameter: w + 1e-6 * direction})
        low = loss_at({**weights, parameter: w - 1e-6 * direction})
        slope = float(np.sum(gradients[parameter] * direction))
        assert abs((high - low) / 2e-6 - slope) < TOLERANCE * max(largest, abs(slope)), parameter


def test_rows_of_an_embedding_that_no_token_names_have_gradient_zero() -> None:
    net = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(4, 1))
    _, gradients = fl.loss_and_gradients(net, [[1, 1], [3, 1]], [[0.5], [1.0]], "mse")
    used = np.any(gradients["0.weight"] != 0.0, axis=1)
    assert used.tolist() == [False, True, False, True, False]


def test_repeated_tokens_add_their_gradients_up() -> None:
    """L = mean over rows of Σ of the embedded numbers: each use of a row of the table adds 1/rows."""
    net = nn.Embedding(4, 1)
    _, gradients = fl.loss_and_gradients(
        net, [[0, 2, 2], [2, 2, 3]], [0.0, 0.0], loss=lambda outputs, _: fl.sum(outputs, axis=(1, 2))
    )
    assert gradients["weight"][:, 0].tolist() == [0.5, 0.0, 2.0, 0.5]


@st.composite
def stacks(draw: st.DrawFn) -> tuple[nn.Module, int, int, int]:
    """A random stack of layers: (network, inputs, outputs, rows)."""
    smooth = ["tanh", "sigmoid", "gelu", "silu", "mish", "softplus", "identity", "relu", "selu", "leaky_relu"]
    widths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers.append(nn.Linear(before, after, bias=draw(st.booleans()), init="he_normal"))
        layers.append(nn.activations.by_name(draw(st.sampled_from(smooth))))
        if draw(st.booleans()):
            # LayerNorm of one or two features gives constants: what is left to differentiate is rounding
            norms = [nn.BatchNorm(after)] if after < 3 else [nn.BatchNorm(after), nn.LayerNorm(after)]
            layers.append(draw(st.sampled_from([nn.Dropout(0.25), *norms])))
    layers.append(nn.Linear(widths[-1], 2))
    return nn.Sequential(*layers, seed=draw(st.integers(0, 99))), widths[0], 2, draw(st.integers(3, 8))


@settings(max_examples=20)
@given(stacks(), st.booleans(), st.integers(0, 2**16))
def test_random_networks_have_right_gradients(
    stack: tuple[nn.Module, int, int, int], training: bool, seed: int
) -> None:
    net, width, outputs, rows = stack
    rng = np.random.default_rng(seed)
    net = in_float64(net, rng)
    x, y = rng.normal(size=(rows, width)), rng.normal(size=(rows, outputs))
    report = fl.check_gradients(net, x, y, "mse", entries=4, training=training)
    assert report.ok, f"{net!r}\n{report}"
