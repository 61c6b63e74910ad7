"""The perceptrons against scikit-learn's: without shuffling, the same settings take the same steps."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.datasets import load_digits, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

from fallline import nn
from fallline.sklearn import MLPClassifier, MLPRegressor
from fallline.sklearn.lbfgs import Objective
from fallline.sklearn.objective import Design
from fallline.training.step import Rows

X_DIGITS, Y_DIGITS = load_digits(return_X_y=True)
X_DIGITS = X_DIGITS / 16.0
X_THREE, Y_THREE = make_regression(200, 10, n_targets=3, noise=5.0, random_state=0)
Y_THREE = scale(Y_THREE)
X_LABELS, Y_LABELS = make_multilabel_classification(250, random_state=0)
SMALL = {"max_iter": 15, "random_state": 0, "shuffle": False}


@pytest.fixture(autouse=True)
def _no_convergence_wanted() -> Iterator[None]:
    with warnings.catch_warnings(), threadpool_limits(1):  # scikit-learn's small products are faster so
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fitted(kind: str, x: Any, y: Any, weight: Any = None, **settings: Any) -> tuple[Any, Any]:
    """Fallline's estimator and scikit-learn's, in the same arithmetic."""
    ours = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[kind](
        **{**SMALL, **settings}, dtype="float64"
    )
    other = getattr(theirs, kind)(**{**SMALL, **settings})
    return ours.fit(x, y, weight), other.fit(x, y, weight)


def assert_same(one: Any, other: Any, tolerance: float = 1e-9) -> None:
    assert (one.n_iter_, one.t_, one.n_layers_, one.n_outputs_, one.out_activation_) == (
        other.n_iter_, other.t_, other.n_layers_, other.n_outputs_, other.out_activation_,
    )  # fmt: skip
    np.testing.assert_allclose(one.loss_, other.loss_, rtol=tolerance)
    for a, b in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=tolerance)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"activation": "logistic", "alpha": 1.0, "hidden_layer_sizes": (20, 10)},
        {"activation": "tanh", "hidden_layer_sizes": [7], "beta_1": 0.5, "epsilon": 0.1},
        {"activation": "identity", "hidden_layer_sizes": ()},
        {"solver": "sgd", "learning_rate_init": 0.1, "batch_size": 33},
        {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.1},
        {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1},
        {"solver": "sgd", "momentum": 1.0, "max_iter": 5},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 1.0},
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 1e-2, "max_iter": 200},
        {"solver": "sgd", "tol": 0.05, "n_iter_no_change": 3, "max_iter": 200},
        {"solver": "lbfgs"},
    ],
    ids=str,
)
def test_classes(settings: dict[str, Any]) -> None:
    ours, other = fitted("MLPClassifier", X_DIGITS[:450], Y_DIGITS[:450], **settings)
    assert_same(ours, other)
    if ours.solver != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=1e-9)
        assert ours.best_loss_ == pytest.approx(other.best_loss_, rel=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X_DIGITS), other.predict_proba(X_DIGITS), atol=1e-9)
    np.testing.assert_array_equal(ours.predict(X_DIGITS), other.predict(X_DIGITS))


def test_adaptive_rates_stop_after_the_same_epoch_though_epochs_run_together() -> None:
    ours, other = fitted(
        "MLPClassifier", X_DIGITS[:450], Y_DIGITS[:450],
        solver="sgd", learning_rate="adaptive", learning_rate_init=0.5, tol=1e-2, max_iter=200,
    )  # fmt: skip
    assert 20 < ours.n_iter_ == other.n_iter_ < 200
    assert ours._optimizer.learning_rate == pytest.approx(other._optimizer.learning_rate)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("settings", [{}, {"solver": "sgd", "learning_rate_init": 0.01, "batch_size": 30}], ids=str)
def test_several_numbers(settings: dict[str, Any], weighted: bool) -> None:
    weight = np.arange(200) % 3 if weighted else None
    assert_same(*fitted("MLPRegressor", X_THREE, Y_THREE, weight, **settings))


def test_counts() -> None:
    y = np.random.default_rng(0).poisson(np.exp(X_THREE[:, 0]))
    for solver in ("adam", "lbfgs"):
        assert_same(*fitted("MLPRegressor", X_THREE, y, loss="poisson", solver=solver), tolerance=1e-7)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_several_labels(solver: str) -> None:
    ours, other = fitted("MLPClassifier", X_LABELS, Y_LABELS, solver=solver)
    assert_same(ours, other, tolerance=1e-7)
    np.testing.assert_array_equal(ours.predict(X_LABELS), other.predict(X_LABELS))


def test_early_stopping_judges_alike() -> None:
    for kind, y in (("MLPClassifier", Y_DIGITS[:450]), ("MLPRegressor", Y_DIGITS[:450])):
        for weight in (None, 1.0 + np.arange(450) % 2):
            ours, other = fitted(kind, X_DIGITS[:450], y, weight, early_stopping=True, n_iter_no_change=3, max_iter=60)
            np.testing.assert_allclose(ours.validation_scores_, other.validation_scores_, atol=1e-9)
            assert ours.best_validation_score_ == pytest.approx(other.best_validation_score_, abs=1e-9)
            assert_same(ours, other)


def test_lbfgs_reaches_a_loss_as_low() -> None:
    long = {"solver": "lbfgs", "max_iter": 2000, "hidden_layer_sizes": (20,), "tol": 1e-5}
    ours, other = fitted("MLPClassifier", X_DIGITS[:300], Y_DIGITS[:300], **long)
    assert ours.loss_ == pytest.approx(other.loss_, rel=0.05)
    ours, other = fitted("MLPRegressor", X_THREE, Y_THREE, **long)
    assert ours.loss_ < 1.05 * other.loss_  # scikit-learn's line search is given another function's gradient


def test_shuffled_training_is_as_accurate_on_digits() -> None:
    settings: dict[str, Any] = {"max_iter": 60, "random_state": 0}
    ours = cross_val_score(MLPClassifier(**settings), X_DIGITS, Y_DIGITS, cv=3)
    other = cross_val_score(theirs.MLPClassifier(**settings), X_DIGITS, Y_DIGITS, cv=3)
    assert ours.mean() == pytest.approx(other.mean(), abs=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_arithmetic_may_be_chosen_and_weights_keep_the_dtype_of_x(dtype: str) -> None:
    net = MLPClassifier(max_iter=3, random_state=0, dtype=dtype).fit(X_DIGITS, Y_DIGITS)
    exact = MLPClassifier(max_iter=3, random_state=0, dtype="float64").fit(X_DIGITS, Y_DIGITS)
    assert net.coefs_[0].dtype == np.float64
    difference = np.abs(net.coefs_[0] - exact.coefs_[0]).max()
    assert (difference == 0.0) == (dtype == "float64")
    assert difference < 1e-5


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "poisson"])
def test_the_gradient_is_that_of_the_loss(loss: str, activation: str) -> None:
    rng = np.random.default_rng(0)
    net = MLPRegressor(hidden_layer_sizes=4, activation=activation, alpha=0.5, solver="lbfgs", max_iter=1)
    y = (rng.uniform(size=(6, 2)) > 0.5).astype(float)
    net.fit(rng.uniform(size=(6, 5)), y)
    out = {"log_loss": "logistic", "squared_error": "identity", "poisson": "exp"}[loss]
    design = Design((5, 4, 2), (activation,), (0.0,), loss, out, "float64")
    objective = Objective(net, design, Rows(rng.uniform(size=(6, 5)), y, rng.uniform(size=6)))
    start = objective.start + 0.01
    _, gradient = objective(start)
    for place in range(len(start)):
        step = np.zeros(len(start))
        step[place] = 1e-6
        slope = (objective(start + step)[0] - objective(start - step)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope, abs=1e-7)


def test_the_learning_rate_of_a_warm_start() -> None:
    x, y = [[3, 2], [1, 6], [5, 6], [-2, -4]], [1, 1, 1, 0]
    for schedule, after in (("constant", 0.001), ("invscaling", 0.001 / 9**0.25)):
        net = MLPClassifier(
            solver="sgd", hidden_layer_sizes=4, learning_rate=schedule, max_iter=1, power_t=0.25, warm_start=True
        )
        net.fit(x, y).fit(x, y)
        assert net._optimizer.learning_rate == pytest.approx(after, rel=1e-14)
        assert net.t_ == 8


def test_the_initial_weights_are_scikit_learns() -> None:
    for activation in ("relu", "logistic"):
        settings: dict[str, Any] = {"random_state": 7, "activation": activation, "learning_rate_init": 1e-300}
        ours = MLPClassifier(**settings, max_iter=1).fit(X_DIGITS[:50], Y_DIGITS[:50])
        other = theirs.MLPClassifier(**settings, max_iter=1).fit(X_DIGITS[:50], Y_DIGITS[:50])
        np.testing.assert_array_equal(ours.coefs_[0], other.coefs_[0])


def test_weight_k_equals_k_copies() -> None:
    counts = np.random.default_rng(0).integers(0, 4, 120)
    many_x, many_y = X_DIGITS[:120].repeat(counts, axis=0), Y_DIGITS[:120].repeat(counts)
    for solver, rows in (("lbfgs", 120), ("adam", 999), ("sgd", 999)):
        settings: dict[str, Any] = {"solver": solver, "random_state": 0, "max_iter": 20, "tol": 0.0}
        settings |= {} if rows == 120 else {"batch_size": 120}  # one batch, so that the steps are the same
        weighted = MLPClassifier(**settings).fit(X_DIGITS[:120], Y_DIGITS[:120], sample_weight=counts)
        settings |= {} if rows == 120 else {"batch_size": len(many_x)}
        copied = MLPClassifier(**settings).fit(many_x, many_y)
        np.testing.assert_allclose(weighted.predict_proba(X_DIGITS), copied.predict_proba(X_DIGITS), atol=1e-6)


def test_names_of_losses_beyond_scikit_learns() -> None:
    x, y = X_THREE, Y_THREE[:, 0]
    for name, same in (("absolute_error", nn.losses.MeanAbsoluteError()), ("huber", nn.losses.Huber())):
        one = MLPRegressor(loss=name, random_state=0, max_iter=5).fit(x, y)
        other = MLPRegressor(loss=same, random_state=0, max_iter=5).fit(x, y)
        np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
        assert one.loss_ > 0.0
