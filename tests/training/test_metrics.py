"""Metrics and `evaluate` against counts by hand and SciPy."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import fallline as fl
from fallline import nn
from fallline.training import metrics

LOGITS = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5], [0.0, 0.0, 5.0]])
TRUE = np.array([0, 1, 2, 2])


def test_accuracy_by_count() -> None:
    """Predicted 0, 1, 0, 2: three of four; of class 2 one of two."""
    assert metrics.get("accuracy")(LOGITS, TRUE) == 3 / 4
    assert metrics.get("accuracy")(LOGITS, np.eye(3)[TRUE]) == 3 / 4
    assert metrics.get("balanced_accuracy")(LOGITS, TRUE) == (1 + 1 + 1 / 2) / 3


def test_one_logit_is_positive_or_not() -> None:
    for outputs, targets in (
        ([[1.0], [-1.0], [0.0], [2.0]], [[1], [0], [1], [1]]),
        ([[1.0], [-1.0], [0.0], [2.0]], [1, 0, 1, 1]),
        ([1.0, -1.0, 0.0, 2.0], [1, 0, 1, 1]),
    ):
        assert metrics.get("accuracy")(np.array(outputs), np.array(targets)) == 3 / 4
        assert metrics.get("balanced_accuracy")(np.array(outputs), np.array(targets)) == (1 + 2 / 3) / 2


def test_log_loss_equals_scipy() -> None:
    expected = -special.log_softmax(LOGITS, axis=1)[np.arange(4), TRUE].mean()
    assert metrics.get("log_loss")(LOGITS, TRUE) == pytest.approx(expected, rel=1e-12)
    one = np.array([2.0, -1.0])
    expected = -(math.log(special.expit(2.0)) + math.log(special.expit(-1.0))) / 2
    assert metrics.get("log_loss")(one, np.array([1, 1])) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_roc_auc_is_the_mann_whitney_statistic(pairs: list[tuple[int, bool]]) -> None:
    score, true = np.array([p[0] for p in pairs], float), np.array([int(p[1]) for p in pairs])
    found = metrics.get("roc_auc")(score, true)
    if true.min() == true.max():
        assert math.isnan(found)
        return
    expected = stats.mannwhitneyu(score[true == 1], score[true == 0]).statistic / (true.sum() * (1 - true).sum())
    assert found == pytest.approx(expected, abs=1e-12)
    two = np.stack([np.zeros_like(score), score], axis=1)
    assert metrics.get("roc_auc")(two, true) == pytest.approx(expected, abs=1e-12)


def test_roc_auc_is_of_two_classes() -> None:
    with pytest.raises(fl.ArgumentError, match="the metric 'roc_auc' needs two classes, found 3 outputs"):
        metrics.get("roc_auc")(LOGITS, TRUE)


def test_errors_of_regression_by_hand() -> None:
    """Errors 1, −1, 2 and 0: their squares add up to 6."""
    outputs, targets = np.array([[1.0], [1.0], [7.0], [6.0]]), np.array([[0.0], [2.0], [5.0], [6.0]])
    assert metrics.get("rmse")(outputs, targets) == math.sqrt(6 / 4)
    assert metrics.get("mae")(outputs, targets) == 1.0
    spread = ((targets - targets.mean()) ** 2).sum()
    assert metrics.get("r2")(outputs, targets) == pytest.approx(1 - 6 / spread, rel=1e-14)
    assert metrics.get("r2")(outputs, targets) == pytest.approx(
        1 - (metrics.get("rmse")(outputs, targets[:, 0]) / targets.std()) ** 2, rel=1e-14
    )
    assert math.isnan(metrics.get("r2")(outputs, np.ones((4, 1))))


def test_which_direction_is_better() -> None:
    better = {name: metric.greater_is_better for name, metric in metrics.METRICS.items()}
    assert better == {
        "accuracy": True, "balanced_accuracy": True, "log_loss": False, "roc_auc": True, "rmse": False, "mae": False,
        "r2": True,
    }  # fmt: skip


def test_own_metrics() -> None:
    def share(outputs: Any, targets: Any) -> float:
        return 0.25

    assert metrics.get(share).name == "share"
    assert metrics.get(metrics.METRICS["mae"]) is metrics.METRICS["mae"]
    assert fl.evaluate(nn.Linear(3, 2), LOGITS, [0, 1, 0, 1], metrics=share)["share"] == 0.25


def test_evaluate_gives_loss_and_metrics_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.5), nn.Linear(4, 3))
    before = {**net.parameters(), **net.buffers()}
    found = fl.evaluate(net, LOGITS, TRUE, metrics=("accuracy", "log_loss"))
    assert list(found) == ["loss", "accuracy", "log_loss"]
    assert found["loss"] == pytest.approx(found["log_loss"], rel=1e-6)
    assert fl.evaluate(net, LOGITS, TRUE, metrics="accuracy") == {"loss": found["loss"], "accuracy": found["accuracy"]}
    after = {**net.parameters(), **net.buffers()}
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_evaluate_weighs_rows() -> None:
    net = nn.Linear(1, 1, bias=False)
    net.load_parameters({"weight": [[1.0]]})
    value = fl.evaluate(net, [[1.0], [2.0]], [[0.0], [0.0]], loss="mse", sample_weight=[3.0, 1.0])
    assert value == {"loss": (3 * 1 + 1 * 4) / 4}


def test_evaluate_of_many_rows_is_that_of_all_at_once() -> None:
    """More rows than are computed at a time; and a loss that is one number sees them all."""
    x = np.arange(10_000.0)[:, None] / 10_000
    net = nn.Linear(1, 1, bias=False)
    net.load_parameters({"weight": np.ones((1, 1))})
    y = np.zeros((10_000, 1))
    assert fl.evaluate(net, x, y, loss="mse")["loss"] == pytest.approx(np.mean(x**2), rel=1e-13)
    assert fl.evaluate(net, x, y, loss=lambda o, t: fl.max(o))["loss"] == pytest.approx(0.9999, rel=1e-13)
