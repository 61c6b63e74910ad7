"""What the perceptrons can that scikit-learn's cannot."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.utils.class_weight import compute_sample_weight

import fallline as fl
from fallline import nn
from fallline.sklearn import MLPClassifier, MLPRegressor

X, Y = load_digits(return_X_y=True)
X = X / 16.0


pytestmark = pytest.mark.usefixtures("no_convergence_wanted")


def classifier(**settings: Any) -> Any:
    return MLPClassifier(**{"max_iter": 8, "random_state": 0, "hidden_layer_sizes": (16,), **settings})


def log_loss(net: Any, x: Any, y: Any) -> float:
    """−mean log of the true class's probability, by the definition."""
    return float(-np.log(net.predict_proba(x)[np.arange(len(y)), y]).mean())


# dropout


def test_dropout_acts_in_training_alone() -> None:
    plain, dropped = (classifier(dropout=p, max_iter=60).fit(X, Y) for p in (0.0, 0.5))
    assert dropped.loss_ > 2.0 * plain.loss_, "half of the neurons are missing"
    assert log_loss(dropped, X, Y) < 0.7 * dropped.loss_, "none of them is missing"
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))
    again = classifier(dropout=0.5, max_iter=60).fit(X, Y)
    np.testing.assert_array_equal(dropped.coefs_[0], again.coefs_[0])


def test_dropout_may_differ_from_layer_to_layer() -> None:
    one = classifier(hidden_layer_sizes=(16, 8), dropout=(0.0, 0.0)).fit(X, Y)
    same = classifier(hidden_layer_sizes=(16, 8)).fit(X, Y)
    other = classifier(hidden_layer_sizes=(16, 8), dropout=(0.0, 0.4)).fit(X, Y)
    np.testing.assert_array_equal(one.coefs_[0], same.coefs_[0])
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])


# class weights


@pytest.mark.parametrize("weights", [{0: 5.0, 3: 0.5}, "balanced"])
def test_class_weights_are_sample_weights(weights: Any) -> None:
    x, y = X[:300], Y[:300]
    own = 1.0 + np.arange(300) % 2
    of_rows = compute_sample_weight(weights, y)
    named = classifier(class_weight=weights).fit(x, y, sample_weight=own)
    given = classifier().fit(x, y, sample_weight=own * of_rows)
    np.testing.assert_array_equal(named.coefs_[0], given.coefs_[0])


def test_class_weights_of_several_labels() -> None:
    x, y = make_multilabel_classification(60, n_classes=2, random_state=0)
    weights = [{0: 1.0, 1: 3.0}, {0: 1.0, 1: 2.0}]
    named = classifier(class_weight=weights).fit(x, y)
    given = classifier().fit(x, y, sample_weight=compute_sample_weight(weights, y))
    np.testing.assert_array_equal(named.coefs_[0], given.coefs_[0])


def test_balanced_needs_all_rows() -> None:
    with pytest.raises(ValueError, match=r"class_weight='balanced' cannot be used with partial_fit.*give a dict"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=range(10))
    net = classifier(class_weight={3: 2.0}).partial_fit(X[:50], Y[:50], classes=range(10))
    assert net.n_iter_ == 1


# validation


def test_the_loss_of_rows_to_judge_by_is_told() -> None:
    net = classifier().fit(X[:900], Y[:900], X_val=X[900:], y_val=Y[900:])
    assert len(net.validation_loss_curve_) == net.n_iter_ == 8
    assert net.validation_loss_curve_[-1] == pytest.approx(log_loss(net, X[900:], Y[900:]), rel=1e-5)
    assert net.validation_scores_ is None
    unseen = classifier().fit(X[:900], Y[:900])
    np.testing.assert_array_equal(net.coefs_[0], unseen.coefs_[0])
    assert unseen.validation_loss_curve_ is None


def test_early_stopping_on_the_loss_keeps_the_epoch_of_the_least() -> None:
    settings = {"early_stopping": True, "monitor": "loss", "max_iter": 300, "learning_rate_init": 0.02}
    net = classifier(**settings, n_iter_no_change=4).fit(X[:500], Y[:500], X_val=X[900:], y_val=Y[900:])
    curve = net.validation_loss_curve_
    assert net.n_iter_ < 300
    assert net.best_validation_loss_ == min(curve) < curve[-1]
    assert log_loss(net, X[900:], Y[900:]) == pytest.approx(min(curve), rel=1e-5)
    assert len(net.validation_scores_) == len(curve)


def test_verbose_tells_what_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {"early_stopping": True, "tol": 10.0, "n_iter_no_change": 1, "verbose": True}
    classifier(**settings, monitor="loss").fit(X, Y)
    said = capsys.readouterr().out
    assert "Iteration 3, loss = " in said
    assert "Validation loss did not improve more than tol=10.000000 for 1 consecutive epochs. Stopping." in said
    classifier(solver="lbfgs", max_iter=3, verbose=True).fit(X[:50], Y[:50])
    assert "lbfgs: 3 iterations" in capsys.readouterr().out


def test_labels_that_only_the_rows_to_judge_by_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        classifier().fit(X[:50], Y[:50] % 2, X_val=X[50:60], y_val=Y[50:60])


# activations and losses


def test_every_layer_may_have_its_own_activation() -> None:
    mixed = classifier(hidden_layer_sizes=(16, 8), activation=("gelu", "tanh"), max_iter=60).fit(X, Y)
    assert mixed.score(X, Y) > 0.9
    both = classifier(hidden_layer_sizes=(16, 8), activation=["tanh", "tanh"]).fit(X, Y)
    one = classifier(hidden_layer_sizes=(16, 8), activation="tanh").fit(X, Y)
    np.testing.assert_array_equal(both.coefs_[0], one.coefs_[0])


def test_predictions_are_those_of_the_mathematics() -> None:
    net = classifier(hidden_layer_sizes=(5, 4), activation=("logistic", "relu")).fit(X, Y)
    hidden = 1.0 / (1.0 + np.exp(-(X @ net.coefs_[0] + net.intercepts_[0])))
    hidden = np.maximum(hidden @ net.coefs_[1] + net.intercepts_[1], 0.0)
    z = np.exp(hidden @ net.coefs_[2] + net.intercepts_[2])
    np.testing.assert_allclose(net.predict_proba(X), z / z.sum(axis=1, keepdims=True), atol=1e-12)


def test_a_loss_of_ones_own() -> None:
    def squared(outputs: Any, targets: Any) -> Any:
        return ((outputs - targets) ** 2).sum(axis=1) * 0.5

    x, y = X[:200], np.stack([X[:200, 10], X[:200, 20]], axis=1)
    named = MLPRegressor(max_iter=5, random_state=0).fit(x, y)
    own = MLPRegressor(loss=squared, max_iter=5, random_state=0).fit(x, y)
    np.testing.assert_array_equal(named.coefs_[0], own.coefs_[0])
    assert own.loss_ == pytest.approx(2 * named.loss_, rel=1e-3)  # the mean of two outputs, and the penalty

    smooth = classifier(loss=nn.losses.CrossEntropy(label_smoothing=0.2), max_iter=80).fit(X, Y)
    sharp = classifier(max_iter=80).fit(X, Y)
    assert smooth.predict_proba(X).max(axis=1).mean() < sharp.predict_proba(X).max(axis=1).mean() - 0.05
    assert smooth.score(X, Y) > 0.95


def test_a_loss_that_changes_meanwhile_is_taken_as_it_is() -> None:
    factor = 1.0

    def scaled(outputs: Any, targets: Any) -> Any:
        return ((outputs - targets) ** 2).sum(axis=1) * factor

    net = MLPRegressor(loss=scaled, alpha=0.0, max_iter=2, random_state=0, early_stopping=True)
    before = net.fit(X, Y).validation_loss_curve_[0]
    factor = 100.0
    assert net.fit(X, Y).validation_loss_curve_[0] == pytest.approx(100 * before, rel=0.01)  # Adam knows no scale


def test_cross_entropy_of_two_classes_is_refused() -> None:
    smooth = nn.losses.CrossEntropy(label_smoothing=0.1)
    with pytest.raises(fl.ArgumentError, match="needs an output for each of at least three classes"):
        classifier(loss=smooth).fit(X, Y > 4)
    assert classifier(loss=nn.losses.BinaryCrossEntropy(), max_iter=60).fit(X, Y > 4).score(X, Y > 4) > 0.85


def test_a_loss_that_gives_no_number_per_row_is_refused() -> None:
    with pytest.raises(fl.ShapeError, match=r"must return one number for each row, a tensor of shape \(n,\).*found"):
        MLPRegressor(loss=lambda outputs, targets: (outputs - targets).sum()).fit(X, Y)
    with pytest.raises(ValueError, match="loss='poisson' needs y of 0 or more, found -1"):
        MLPRegressor(loss="poisson").fit(X[:3], [1, -1, 2])


# callbacks


def test_functions_are_told_of_every_epoch_and_may_end_the_training() -> None:
    seen: list[tuple[int, int, float]] = []

    def look(net: Any, epoch: int) -> bool:
        seen.append((epoch, net.n_iter_, net.score(X, Y)))
        return epoch == 3

    net = classifier(callbacks=look).fit(X, Y)
    assert [(epoch, count) for epoch, count, _ in seen] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert seen[-1][2] == net.score(X, Y) > seen[0][2]
    alone = classifier(max_iter=4).fit(X, Y)
    np.testing.assert_array_equal(net.coefs_[0], alone.coefs_[0])
    stopped = classifier(solver="lbfgs", callbacks=[lambda net, number: number == 2], max_iter=20).fit(X[:99], Y[:99])
    assert stopped.n_iter_ == 3
    with pytest.raises(fl.KindError, match=r"callbacks must be functions of \(estimator, epoch\), found 3"):
        classifier(callbacks=[3]).fit(X, Y)


class Recorder:
    """A callback of scikit-learn's own protocol."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.scores: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.told.append(f"setup {context.task_name}")

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any = None) -> None:
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
        self.told.append(f"end {context.task_name}")
        self.scores.append(fitted_estimator.score(X, Y))
        return len(self.scores) == 2

    def teardown(self, estimator: Any, context: Any) -> None:
        self.told.append("teardown")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scikit_learns_own_callbacks(solver: str) -> None:
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
    recorder = Recorder()
    net = classifier(solver=solver).set_callbacks(recorder).fit(X, Y)
    assert net.n_iter_ == 2
    epoch = ["begin epoch", "end epoch"]
    assert recorder.told == ["setup fit", "begin fit", *epoch, *epoch, "end fit", "teardown"]
    assert recorder.scores[-1] == recorder.scores[-2] == net.score(X, Y)


def test_every_iteration_that_begins_also_ends() -> None:
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
    for max_iter in (3, 500):
        recorder = Recorder()
        recorder.scores = [0.0] * 9  # so that it does not stop
        net = classifier(solver="lbfgs", max_iter=max_iter, tol=0.01).set_callbacks(recorder).fit(X[:99], Y[:99])
        assert net.n_iter_ == 3 or 3 < net.n_iter_ < 500
        assert recorder.told.count("begin epoch") == recorder.told.count("end epoch") >= net.n_iter_
        assert recorder.told[-2:] == ["end fit", "teardown"]


# errors


TWO = {"hidden_layer_sizes": (4, 4)}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({**TWO, "activation": ["relu"]}, "activation must have one entry for each hidden layer: there are 2, found 1"),
        ({**TWO, "activation": ["relu", "x"]}, "activation of hidden layer 1 must be one of .*found 'x'"),
        ({**TWO, "dropout": (0.1, 1.0)}, "dropout of hidden layer 1 must be at least 0 and less than 1, found 1.0"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes must be > 0, got \[4, 0\]"),
        ({"monitor": "accuracy"}, "The 'monitor' parameter of MLPClassifier must be a str among"),
        ({"dropout": 1.0}, "The 'dropout' parameter of MLPClassifier must be"),
        ({"solver": "lbfgs", "dropout": 0.5}, "the solver 'lbfgs' cannot train with dropout=0.5"),
    ],
    ids=str,
)
def test_settings_that_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        classifier(**settings).fit(X[:20], Y[:20])
    with pytest.raises(fl.ArgumentError, match="the solver 'lbfgs' has no epochs to judge after, but X_val was given"):
        classifier(solver="lbfgs").fit(X, Y, X_val=X, y_val=Y)
    with pytest.raises(fl.ArgumentError, match="y_val was given without X_val; give both"):
        classifier().fit(X, Y, y_val=Y)


def test_a_warm_start_may_change_solver_and_way_of_judging() -> None:
    net = classifier(solver="lbfgs", warm_start=True).fit(X, Y).set_params(solver="adam")
    before = net.score(X, Y)
    assert net.fit(X, Y).score(X, Y) > before - 0.05
    net.set_params(early_stopping=True).fit(X, Y)
    assert len(net.validation_scores_) == len(net.loss_curve_) == 8
    assert net.set_params(early_stopping=False).fit(X, Y).validation_scores_ is None


def test_weights_of_other_layers_cannot_be_gone_on_from() -> None:
    net = classifier(warm_start=True).fit(X, Y).set_params(hidden_layer_sizes=(9,))
    with pytest.raises(fl.ArgumentError, match=r"layers of \(64, 16, 10\) neurons.*ask for \(64, 9, 10\)"):
        net.fit(X, Y)
