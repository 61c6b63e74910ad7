"""One weight's story: the parts make the gradient, the difference agrees, the update is the optimizer's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fallline as fl
from fallline import nn, optim
from fallline.insight.weight_story import weight_story


def data(rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, 4)), rng.integers(0, 3, rows)


def network(**change: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), seed=change.get("seed", 0))


def in_float64(net: nn.Module) -> nn.Module:
    net.load_parameters({name: w.astype(np.float64) for name, w in net.parameters().items()})
    return net


WEIGHTS = ["0.weight[2,5]", "0.bias[3]", "2.weight[0,2]", "2.bias[1]"]


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize(("wide", "allowed"), [(True, 1e-12), (False, 1e-6)])
def test_the_shares_make_the_gradient_that_backpropagation_stores(weight: str, wide: bool, allowed: float) -> None:
    x, y = data()
    net = in_float64(network()) if wide else network()
    story = weight_story(net, x, y, weight=weight)
    name, _, inside = weight.removesuffix("]").partition("[")
    place = tuple(map(int, inside.split(",")))
    _, grads = fl.loss_and_gradients(net, x, y)
    assert story.gradient == float(grads[name][place])
    assert abs(story.total - story.gradient) <= allowed * np.abs(story.shares).sum()
    listed = story.shares[story.order[: story.shown]].sum()
    assert listed + story.remainder == pytest.approx(story.total, rel=1e-12)
    assert np.all(np.diff(np.abs(story.shares[story.order])) <= 0)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_finite_difference_agrees(weight: str) -> None:
    x, y = data()
    story = weight_story(in_float64(network()), x, y, weight=weight)
    assert story.difference == pytest.approx(story.gradient, rel=1e-7, abs=1e-10)


def test_activations_and_deltas_are_those_worked_out_by_hand() -> None:
    # The network of docs/backpropagation-and-sgd.md, whose numbers are small enough for paper.
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net.load_parameters(
        {
            "0.weight": np.array([[0.5, -1.0], [0.25, 0.5]]),
            "0.bias": np.array([0.0, 0.5]),
            "2.weight": np.array([[1.0], [2.0]]),
            "2.bias": np.array([-0.5]),
        }
    )
    x, y = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[1.0], [2.0]])
    story = weight_story(net, x, y, "mse", optim.SGD(lr=0.05), "0.weight[0,0]")
    assert story.loss == 0.40625
    assert story.activations.tolist() == [1.0, 3.0]
    assert story.deltas.tolist() == [0.5, -0.75]
    assert story.shares.tolist() == [0.5, -2.25]
    assert (story.gradient, story.total, story.is_bias) == (-1.75, -1.75, False)
    assert story.after == pytest.approx(0.5875, rel=1e-15)
    bias = weight_story(net, x, y, "mse", weight="0.bias[1]")
    assert (bias.activations.tolist(), bias.deltas.tolist(), bias.is_bias) == ([1.0, 1.0], [1.0, 0.0], True)


def test_the_text_tells_it_in_at_most_fourteen_lines() -> None:
    x, y = data()
    story = weight_story(network(), x, y, weight="0.weight[2,5]")
    lines = str(story).splitlines()
    assert len(lines) <= 14
    assert lines[0].startswith(f"0.weight[2,5] = {story.before:.6g}, where the loss of 40 rows is L = ")
    assert any(line.startswith("  36 others") for line in lines)
    assert lines[-1] == f"  w − η·dL/dw = {story.before:.6g} − 0.1 × ({story.gradient:.6g}) = {story.after:.6g}"
    tables = [line for line in lines if line.startswith("  ") and "w −" not in line]
    assert len({len(line) for line in tables}) == 1, "the numbers stand below each other"


def test_other_rules_tell_their_step() -> None:
    x, y = data()
    net, rule = network(), optim.Adam(lr=0.01)
    story = weight_story(net, x, y, optimizer=rule, weight="2.bias[1]")
    weights = net.parameters()
    _, grads = fl.loss_and_gradients(net, x, y)
    after, state = rule.update(weights, grads, rule.init(weights))
    assert story.after == float(after["2.bias"][1])
    assert "Adam(lr=0.01): w = " in str(story)
    second = weight_story(net, x, y, optimizer=rule, weight="2.bias[1]", state=state)
    assert second.after == float(rule.update(weights, grads, state)[0]["2.bias"][1])
    frozen = weight_story(net, x, y, optimizer=optim.SGD(lr=0.1, groups={"0.*": 0}), weight="0.bias[0]")
    assert frozen.step == 0.0
    assert "no step: the weight is frozen (η = 0)" in str(frozen)


def test_weighted_rows_and_rows_with_positions() -> None:
    x, y = data(6)
    weight = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 3.0])
    story = weight_story(in_float64(network()), x, y, weight="0.weight[1,1]", sample_weight=weight)
    assert story.shares[0] == 0.0
    assert story.total == pytest.approx(story.difference, rel=1e-7)
    text = np.random.default_rng(0).normal(size=(5, 3, 4))
    net = in_float64(nn.Sequential(nn.Linear(4, 2)))
    story = weight_story(net, text, np.zeros((5, 3, 2)), "mse", weight="0.weight[3,1]")
    assert (story.rows, len(story.shares)) == (5, 15)
    assert story.total == pytest.approx(story.difference, rel=1e-7)
    assert "row, position" in str(story)


def test_dropout_and_batch_norm_are_held_as_in_the_step() -> None:
    x, y = data(12)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3), seed=1)
    story = weight_story(in_float64(net), x, y, weight="0.weight[0,1]", seed=3, step=7)
    _, grads = fl.loss_and_gradients(net, x, y, seed=3, step=7)
    assert story.gradient == float(grads["0.weight"][0, 1])
    assert story.total == pytest.approx(story.gradient, rel=1e-10, abs=1e-14)
    assert story.difference == pytest.approx(story.gradient, rel=1e-6, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.integers(0, 5), st.integers(0, 50))
def test_every_weight_of_every_network_has_a_true_story(i: int, j: int, seed: int) -> None:
    x, y = data(9)
    story = weight_story(in_float64(network(seed=seed)), x, y, weight=f"0.weight[{i},{j}]")
    assert story.total == pytest.approx(story.gradient, rel=1e-9, abs=1e-15)
    assert story.difference == pytest.approx(story.gradient, rel=1e-6, abs=1e-9)


class Tied(nn.Module):
    """A network that uses one weight twice."""

    def __init__(self) -> None:
        self.layer = nn.Linear(4, 4)

    def __call__(self, x: Any) -> Any:
        return self.layer(fl.tanh(self.layer(x)))


class Idle(nn.Module):
    """A network with a layer that it does not use."""

    def __init__(self) -> None:
        self.used, self.idle = nn.Linear(4, 3), nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return self.used(x)


NORMED = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6), nn.Linear(6, 3))


@pytest.mark.parametrize(
    ("net", "options", "says"),
    [
        (network(), {"weight": "0.weight"}, r"weight must be spelled like '0.weight\[2,5\]' .* got '0.weight'"),
        (network(), {"weight": "0.wieght[0,0]"}, r"no weight named '0.wieght'; did you mean '0.weight'\?"),
        (network(), {"weight": "0.weight[4,0]"}, r"'0.weight' has shape \(4, 6\).*the last one is 0.weight\[3,5\]"),
        (network(), {"weight": "0.bias[0,0]"}, r"each place needs 1 number, counted from 0"),
        (network(), {"weight": "0.bias[0]", "shown": 0}, r"shown must be a whole number of at least 1, found 0"),
        (network(), {"weight": "0.bias[0]", "optimizer": "sgd"}, r"optimizer must be an object of fallline.optim"),
        (NORMED, {"weight": "1.weight[2]"}, r"'1.weight' enters the network by broadcast, not by one matrix product"),
        (Tied(), {"weight": "layer.weight[0,0]"}, r"enters the network by matmul, matmul, not by one"),
        (Idle(), {"weight": "idle.weight[0,0]"}, r"the loss does not depend on 'idle.weight'"),
    ],
)
def test_what_cannot_be_told_is_said(net: nn.Module, options: dict[str, Any], says: str) -> None:
    x, y = data()
    with pytest.raises(fl.FalllineError, match=says):
        weight_story(net, x, y, **options)


def test_nothing_is_changed() -> None:
    x, y = data()
    net = network()
    before = net.parameters()
    weight_story(net, x, y, weight="0.bias[0]")
    assert all(np.array_equal(before[name], w) for name, w in net.parameters().items())
