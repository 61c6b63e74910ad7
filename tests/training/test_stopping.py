"""When a training stops (converged, patience), which weights it leaves, and its history."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, special

import fallline as fl
from fallline import nn, optim

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.3 * RNG.normal(size=(40, 1)) + 0.7
LABELS = (X[:, 0] + RNG.normal(size=40) > 0).astype(int)


def classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2), seed=1)


# Convex problems, whose minimum others know.


def test_least_squares_converges_to_the_solution_of_lapack() -> None:
    net = nn.Linear(3, 1)
    run = fl.fit(
        net, X, Y, loss="mse", optimizer=optim.SGD(lr=0.1, momentum=0.5), batch_size="all", until="converged",
        tol=1e-14, patience=5, dtype="float64",
    )  # fmt: skip
    design = np.hstack([X, np.ones((40, 1))])
    solution, residual, _, _ = np.linalg.lstsq(design, Y, rcond=None)
    found = np.vstack([net.parameters()["weight"], net.parameters()["bias"][None]])
    np.testing.assert_allclose(found, solution, rtol=1e-5)
    assert run.stopped == "converged"
    assert run.history["train_loss"] == [pytest.approx(residual[0] / 40, rel=1e-12)]
    assert run.gradient_norm < 1e-5


def test_logistic_regression_converges_to_the_minimum_of_scipy() -> None:
    """With the penalty ½·0.1·‖w‖², which is what a weight decay of 0.1 minimises."""
    net = nn.Linear(3, 1, bias=False)
    fl.fit(
        net, X, LABELS[:, None], loss="binary_cross_entropy", optimizer=optim.SGD(lr=1.0, weight_decay=0.1),
        batch_size="all", epochs=400, dtype="float64",
    )  # fmt: skip

    def penalised(w: Array) -> Any:
        z = X @ w
        return -np.mean(LABELS * special.log_expit(z) + (1 - LABELS) * special.log_expit(-z)) + 0.05 * w @ w

    best = optimize.minimize(penalised, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(net.parameters()["weight"][:, 0], best, rtol=1e-5)


def test_convergence_waits_patience_epochs_without_a_fall_of_tol() -> None:
    run = fl.fit(
        classifier(), X, LABELS, optimizer=optim.SGD(lr=0.3), batch_size="all", until="converged", tol=0.01, patience=3,
        metrics="train_loss",
    )  # fmt: skip
    losses = run.history["train_loss"]
    assert run.stopped == "converged"
    assert len(losses) == run.epochs
    best, stale, stops = math.inf, 0, []
    for loss in losses:  # by the sentence of the docstring
        fell = loss < best - 0.01 * best if best < math.inf else True
        best, stale = (loss, 0) if fell else (best, stale + 1)
        stops.append(stale >= 3)
    assert stops == [False] * (run.epochs - 1) + [True]


def test_epochs_bound_the_search_for_convergence() -> None:
    run = fl.fit(classifier(), X, LABELS, until="converged", epochs=2)
    assert (run.stopped, run.epochs) == ("epochs", 2)


# Validation.


def test_patience_and_the_best_weights() -> None:
    """Labels of the validation rows are wrong on purpose, so that training makes their loss rise."""
    seen: list[dict[str, Array]] = []
    net = classifier()
    run = fl.fit(
        net, X, LABELS, validation=(X, 1 - LABELS), patience=4, epochs=50, metrics=("accuracy",),
        callbacks=lambda run, epoch: seen.append(run.network.parameters()),
    )  # fmt: skip
    losses = run.history["validation_loss"]
    assert run.stopped == "patience"
    assert run.best_epoch == int(np.argmin(losses))
    assert run.epochs == len(losses) == run.best_epoch + 1 + 4
    for name, value in net.parameters().items():
        assert value.tobytes() == seen[run.best_epoch][name].tobytes()
    assert fl.evaluate(net, X, 1 - LABELS)["loss"] == losses[run.best_epoch]
    assert set(run.history) == {
        "loss", "validation_loss", "validation_accuracy", "learning_rate", "seconds", "train_loss"
    }  # fmt: skip
    assert run.history["train_loss"] == [pytest.approx(fl.evaluate(net, X, LABELS)["loss"], rel=1e-6)]


def test_without_restore_best_the_last_weights_stay() -> None:
    net, last = classifier(), []
    run = fl.fit(
        net, X, LABELS, validation=(X, 1 - LABELS), epochs=6, restore_best=False,
        callbacks=lambda run, epoch: last.append(run.network.parameters()),
    )  # fmt: skip
    assert run.stopped == "epochs"
    assert run.best_epoch != 5
    assert net.parameters()["0.weight"].tobytes() == last[-1]["0.weight"].tobytes()


def test_a_fraction_is_set_aside_and_never_trained_on() -> None:
    """Of rows that all differ, those whose label could not be learnt by heart are the ones set aside."""
    run = fl.fit(nn.Linear(3, 2), X, LABELS, validation=0.25, epochs=1, batch_size=1)
    assert run.config["rows"] == 30
    assert run.config["validation_rows"] == 10
    assert len(run.steps["loss"]) == 30
    table = nn.Embedding(40, 1, init="zeros")
    fl.fit(table, np.arange(40), np.ones((40, 1)), loss="mse", validation=0.25, epochs=1, restore_best=False)
    untouched = np.flatnonzero(table.parameters()["weight"][:, 0] == 0.0)
    assert len(untouched) == 10
    other = nn.Embedding(40, 1, init="zeros")
    fl.fit(other, np.arange(40), np.ones((40, 1)), loss="mse", validation=0.25, epochs=1, restore_best=False, seed=1)
    assert not np.array_equal(untouched, np.flatnonzero(other.parameters()["weight"][:, 0] == 0.0)), "the seed decides"


def test_validation_is_in_prediction_mode() -> None:
    net = nn.Sequential(nn.BatchNorm(3), nn.Dropout(0.5), nn.Linear(3, 2))
    run = fl.fit(net, X, LABELS, validation=(X, LABELS), epochs=1, restore_best=False)
    assert run.history["validation_loss"] == [fl.evaluate(net, X, LABELS)["loss"]]


def test_reduce_on_plateau_watches_the_validation_loss() -> None:
    run = fl.fit(
        classifier(), X, LABELS, validation=(X, 1 - LABELS), epochs=8, optimizer=optim.SGD(lr=0.5),
        schedule=optim.ReduceOnPlateau(patience=1, factor=0.5),
    )  # fmt: skip
    rates = run.history["learning_rate"]
    assert rates[0] == 0.5
    assert rates[-1] < 0.5


# History.


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows() -> None:
    run = fl.fit(classifier(), X, LABELS, batch_size=16, epochs=3)
    steps = np.array(run.steps["loss"]).reshape(3, 3)
    np.testing.assert_allclose(run.history["loss"], steps @ [16, 16, 8] / 40, rtol=1e-14)
    assert len(run.history["train_loss"]) == 1
    assert run.epochs == 3
    assert run.best_epoch is None
    assert repr(run).startswith("<Run: 3 epochs, stopped by 'epochs', loss=")


def test_metrics_without_validation_are_of_the_training_set() -> None:
    def share_of_ones(outputs: Array, targets: Array) -> float:
        return float(np.mean(targets))

    net = classifier()
    run = fl.fit(net, X, LABELS, epochs=2, metrics=("accuracy", share_of_ones, "train_loss"))
    assert run.history["train_share_of_ones"] == [LABELS.mean()] * 2
    assert run.history["train_accuracy"][-1] == np.mean(net.predict(X).argmax(axis=1) == LABELS)
    assert run.history["train_loss"][-1] == fl.evaluate(net, X, LABELS)["loss"]
    assert len(run.history["train_loss"]) == 2


def test_metrics_of_the_training_set_beside_validation() -> None:
    run = fl.fit(classifier(), X, LABELS, epochs=2, validation=0.5, metrics=("accuracy", "train_accuracy"))
    assert {"validation_accuracy", "train_accuracy"} < set(run.history)
    assert "train_validation_accuracy" not in run.history


def test_the_gradient_norm_is_that_of_the_whole_training_set() -> None:
    net = classifier()
    run = fl.fit(net, X, LABELS, epochs=1, dtype="float64")
    _, gradients = fl.loss_and_gradients(net, X, LABELS, training=False)
    assert run.gradient_norm == pytest.approx(math.sqrt(sum((g**2).sum() for g in gradients.values())), rel=1e-12)
