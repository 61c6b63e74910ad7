"""The gradient checker itself: it finds a wrong rule, and raises no false alarm."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.ir.op import REGISTRY
from fallline.training import gradient_check


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=1)


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 3)), rng.integers(0, 2, 8)


def plant(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[list[Any]], Any]) -> None:
    """Let an op have a wrong gradient rule for the length of a test."""
    op = REGISTRY[name]
    assert op.gradient is not None
    right = op.gradient

    def wrong(g: Any, y: Any, *inputs: Any, **attributes: Any) -> Any:
        return change(list(right(g, y, *inputs, **attributes)))

    monkeypatch.setitem(REGISTRY, name, dataclasses.replace(op, gradient=wrong))


@pytest.mark.parametrize("sure", [4.0, 10.0, 14.0])
def test_the_small_loss_of_large_logits_is_no_false_alarm(sure: float) -> None:
    """Rows on their own side of the border, by logits of ±sure: the loss is e^−2·sure, made of numbers of that size."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(40, 1)) * (1.0 + 0.1 * rng.random((40, 1)))
    net = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 2), seed=1)
    weights = net.parameters()
    weights["0.weight"][:] = 2.0
    weights["2.weight"][:] = np.array([-sure, sure]) / 6.0
    net.load_parameters(weights)
    report = fl.check_gradients(net, x, (x[:, 0] > 0).astype(int))
    assert report.loss < 3.0 * np.exp(-1.8 * sure)
    assert report.ok, str(report)


def test_right_rules_agree() -> None:
    report = fl.check_gradients(network(), *data())
    assert report.ok
    assert str(report).splitlines()[-1].startswith("backpropagation and finite differences agree: ")
    assert [check.name for check in report.checks] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [check.entries for check in report.checks] == [12, 4, 8, 2]


@pytest.mark.parametrize(
    ("op", "change", "spared"),
    [
        ("tanh", lambda flows: [flows[0] * 1.001], {"2.weight", "2.bias"}),
        ("tanh", lambda flows: [-flows[0]], {"2.weight", "2.bias"}),
        ("exp", lambda flows: [flows[0] * 0.5], set()),
        ("matmul", lambda flows: [flows[0], flows[1] * 1.0001], {"0.bias", "2.bias"}),
    ],
    ids=["tanh by a thousandth", "tanh's sign", "exp by half", "matmul by a ten-thousandth"],
)
def test_a_wrong_rule_disagrees(monkeypatch: pytest.MonkeyPatch, op: str, change: Any, spared: set[str]) -> None:
    plant(monkeypatch, op, change)
    report = fl.check_gradients(network(), *data())
    assert not report.ok
    assert "DISAGREE" in str(report)
    assert report.max_error > 5e-5
    wrong = {check.name for check in report.checks if check.error > report.tolerance}
    assert wrong == set(network().parameters()) - spared


def test_a_lost_gradient_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "broadcast", lambda flows: [flows[0] * 0.0])  # biases reach the outputs by broadcasting
    report = fl.check_gradients(network(), *data())
    assert {check.name for check in report.checks if check.error > report.tolerance} >= {"0.bias", "2.bias"}


def test_a_nan_gradient_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "tanh", lambda flows: [flows[0] * float("nan")])
    assert not fl.check_gradients(network(), *data()).ok


def test_a_kink_is_left_out_and_counted() -> None:
    """|w − 0| at w = 0: the derivative is taken as 0, the central difference happens to be 0, the slopes are ±1."""
    net = nn.Linear(1, 1, bias=False)
    net.load_parameters({"weight": [[0.0]]})
    report = fl.check_gradients(net, [[1.0], [1.0]], [[0.0], [0.0]], loss="mae")
    assert report.ok
    asymmetric = nn.Sequential(nn.Linear(1, 1, bias=False), nn.LeakyReLU(0.25))
    asymmetric.load_parameters({"0.weight": [[0.0]]})
    report = fl.check_gradients(asymmetric, [[1.0], [1.0]], [[1.0], [1.0]], loss="mse")
    assert report.ok
    assert report.checks[0].kinks == 1
    assert "1 at a kink left out" in str(report)


def test_a_wrong_rule_is_not_excused_as_a_kink(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "relu", lambda flows: [flows[0] * 1.5])
    net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))
    report = fl.check_gradients(net, *data())
    assert not report.ok
    assert sum(check.kinks for check in report.checks) == 0


def test_a_bias_before_batch_normalisation_is_no_false_alarm() -> None:
    """Its gradient is exactly 0, and its finite difference nothing but rounding."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 2))
    report = fl.check_gradients(net, *data(), loss=lambda o, t: fl.sum(o * o) + 100.0, training=True)
    assert report.ok, str(report)
    assert report.checks[1].kinks == 0


def test_nothing_is_changed() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.5), nn.Linear(4, 2))
    before = {**net.parameters(), **net.buffers()}
    fl.check_gradients(net, *data(), training=True)
    after = {**net.parameters(), **net.buffers()}
    for name, value in before.items():
        assert value.dtype == after[name].dtype == np.float32
        assert value.tobytes() == after[name].tobytes(), name


def test_of_a_network_of_very_many_operations_fewer_entries_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    nodes = len(fl.trace(network(), x, y).nodes())
    monkeypatch.setattr(gradient_check, "NODES", 4 * 6 * nodes)
    assert fl.check_gradients(network(), x, y).checks[0].entries in range(5, 12)
    assert fl.check_gradients(network(), x, y, entries=12).checks[0].entries == 12
    monkeypatch.setattr(gradient_check, "NODES", 1)
    report = fl.check_gradients(network(), x, y)
    assert report.ok
    assert [check.entries for check in report.checks] == [5, 4, 5, 2]


def test_the_entries_compared_are_a_function_of_the_seed() -> None:
    net = nn.Linear(30, 20)
    x, y = np.random.default_rng(0).normal(size=(4, 30)), [0, 1, 2, 3]
    first = fl.check_gradients(net, x, y, entries=5)
    assert first.checks[0].entries == 5
    assert first == fl.check_gradients(net, x, y, entries=5)
    assert first.checks[0].place != fl.check_gradients(net, x, y, entries=5, seed=1).checks[0].place


def test_refused_arguments() -> None:
    x, y = data()
    with pytest.raises(fl.ArgumentError, match="entries must be a whole number of at least 1, found 0"):
        fl.check_gradients(network(), x, y, entries=0)
    with pytest.raises(fl.ArgumentError, match="has no weights, so there is no gradient to check"):
        fl.check_gradients(nn.Sequential(nn.Tanh()), x, y)
    with pytest.raises(fl.KindError, match=r"check_gradients: net must be an object of fallline.nn.Module, found None"):
        fl.check_gradients(None, x, y)
