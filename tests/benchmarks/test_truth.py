"""What all are held against: its gradients against differences, its rules against `fl.fit` in float64."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from benchmarks.peers.fallline_fit import FalllineFit
from benchmarks.tasks import make_task, network
from benchmarks.truth import Truth, distance, loss_and_gradients, objection, train
from benchmarks.works import Work
from numpy.typing import NDArray

import fallline as fl

WORK = Work("tiny", (5, 7, 6, 3), "tanh", "cross_entropy", "sgd", 0.1, rows=32, batch=8, momentum=0.9)
SQUARES = dataclasses.replace(WORK, sizes=(5, 7, 2), loss="mse")


@pytest.mark.parametrize("work", [WORK, SQUARES], ids=lambda work: work.loss)
def test_gradients_agree_with_finite_differences(work: Work) -> None:
    task = make_task(work)
    weights = [w.astype(np.float64) for w in task.weights]
    _, gradients = loss_and_gradients(work, weights, task.x, task.y)
    for w, gradient in zip(weights, gradients, strict=True):
        measured = np.empty_like(w)
        for place in np.ndindex(w.shape):
            before = w[place]
            sides = []
            for shift in (1e-6, -1e-6):
                w[place] = before + shift
                sides.append(loss_and_gradients(work, weights, task.x, task.y)[0])
            w[place] = before
            measured[place] = (sides[0] - sides[1]) / 2e-6
        np.testing.assert_allclose(gradient, measured, rtol=1e-6, atol=1e-8)


RULES: list[dict[str, Any]] = [
    {"rule": "sgd", "momentum": 0.0},
    {"rule": "sgd", "momentum": 0.9},
    {"rule": "adam", "rate": 0.01, "momentum": 0.0},
    {"rule": "adamw", "rate": 0.01, "momentum": 0.0, "decay": 0.1},
]


@pytest.mark.parametrize("changes", RULES, ids=str)
@pytest.mark.parametrize("work", [WORK, SQUARES], ids=lambda work: work.loss)
def test_training_agrees_with_fit_in_float64(work: Work, changes: dict[str, Any]) -> None:
    work = dataclasses.replace(work, activation="relu", **changes)
    task = make_task(work)
    net = network(work)
    rule = FalllineFit(task, 1).rule
    options: Any = {"dtype": "float64", "engine": "reference", "progress": False, "seed": 0}
    run = fl.fit(net, task.x, task.y, work.loss, rule, work.batch, 3, **options)
    losses = train(task, 3).losses
    np.testing.assert_allclose(losses.ravel(), run.steps["loss"], rtol=1e-6)


def test_bytes_become_the_float32_numbers_that_all_get() -> None:
    work = dataclasses.replace(WORK, scale=1 / 255)
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (32, 5), dtype=np.uint8), rng.integers(0, 3, 32)
    numbers = (pixels * np.float32(1 / 255)).astype(np.float32)
    weights = [w.astype(np.float64) for w in make_task(WORK).weights]
    of_bytes = loss_and_gradients(work, weights, pixels, labels)
    assert of_bytes[0] == loss_and_gradients(WORK, weights, numbers, labels)[0]


def losses(*rows: list[float]) -> NDArray[np.float64]:
    return np.array(rows)


TRUE = Truth(losses([2.0, 1.0], [0.6, 0.4]), final=0.3)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (losses([2.0, 1.0], [0.6, 0.4]), 0.0),
        (losses([2.0, 1.003]), 0.002),  # of the mean of the epochs given, 1.5
        (losses([1.5]), 0.0),  # the mean of an epoch alone
        (losses([1.53]), 0.02),
        (losses([2.0, float("nan")]), float("inf")),
        (losses([2.0, 1.0, 0.5]), float("inf")),
    ],
)
def test_the_distance_of_losses(found: NDArray[np.float64], expected: float) -> None:
    assert distance(found, TRUE) == pytest.approx(expected)


def test_other_losses_are_refused() -> None:
    assert objection(WORK, losses([2.0, 1.0]), TRUE, same_steps=True) == ""
    said = objection(WORK, losses([2.0, 1.03]), TRUE, same_steps=True)
    assert said == "its losses differ from float64 by 0.02 of their mean"
    assert objection(WORK, losses([float("nan"), 1.0]), TRUE, same_steps=True)


def test_a_learner_with_other_steps_must_reach_the_same_loss() -> None:
    assert objection(WORK, losses([0.31]), TRUE, same_steps=False) == ""
    said = objection(WORK, losses([0.4]), TRUE, same_steps=False)
    assert said == "its loss is 0.4 after the rows at which the others are at 0.3"
    assert objection(WORK, losses([float("nan")]), TRUE, same_steps=False)
