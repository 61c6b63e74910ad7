"""Explanations: the parts make the engine's gradient to the last bit, differences agree, the chain rule goes on."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fallline as fl
from fallline import nn, optim


def data(rows: int = 24, features: int = 4, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, features)), rng.integers(0, classes, rows)


def in_float64(net: nn.Module) -> nn.Module:
    net.load_parameters({name: w.astype(np.float64) for name, w in net.parameters().items()})
    return net


def place_of(array: np.ndarray, number: int) -> tuple[int, ...]:
    return tuple(int(k) for k in np.unravel_index(number % array.size, array.shape))


def spelled(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{','.join(map(str, place))}]" if place else name


class Tied(nn.Module):
    """One weight used several times, with a way round it."""

    def __init__(self, times: int = 3) -> None:
        self.layer, self.last, self.times = nn.Linear(4, 4), nn.Linear(4, 3), times

    def __call__(self, x: Any) -> Any:
        for _ in range(self.times):
            x = fl.tanh(self.layer(x)) + x * 0.5
        return self.last(x)


class Own(nn.Module):
    """Parameters that meet the graph in other ways than a·W + b."""

    def __init__(self) -> None:
        self.temperature, self.gain = nn.Parameter((), "ones"), nn.Parameter((4,), "ones")
        self.layer, self.norm = nn.Linear(4, 3), nn.LayerNorm(3)

    def __call__(self, x: Any) -> Any:
        return self.norm(self.layer(x * fl.exp(self.gain))) / fl.softplus(self.temperature)


class Words(nn.Module):
    """A text's positions, looked up in a table."""

    def __init__(self) -> None:
        self.table, self.layer, self.head = nn.Embedding(6, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return self.head(fl.tanh(self.layer(self.table(x)))).mean(1)


def plain(activation: type[nn.Module], width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), activation(), nn.Linear(width, 3), seed=2)


def normed() -> nn.Module:
    layers = (nn.Linear(4, 6), nn.BatchNorm(6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, 3))
    return nn.Sequential(*layers, seed=1)


NETWORKS = {
    "tanh": lambda: plain(nn.Tanh, 5),
    "relu": lambda: plain(nn.ReLU, 7),
    "sigmoid": lambda: plain(nn.Sigmoid, 4),
    "gelu": lambda: plain(nn.GELU, 4),
    "batch norm and dropout": normed,
    "tied": Tied,
    "own": Own,
}


def check_explanation(
    net: nn.Module, x: Any, y: Any, name: str, place: tuple[int, ...], loss: Any, **options: Any
) -> Any:
    """What must hold of every explanation; the explanation."""
    found = fl.explain(net, spelled(name, place), x, y, loss=loss, **options)
    _, grads = fl.loss_and_gradients(net, x, y, loss)
    assert found.gradient == float(grads[name][place]), "the engine's gradient, to the last bit"
    assert math.fsum(found.summands) == found.gradient, "what is shown adds up to it, to the last bit"
    epsilon = float(np.finfo(grads[name].dtype).eps)
    allowed = (len(found.shares) + 8) * epsilon * np.abs(found.shares).sum()
    assert abs(math.fsum([found.gradient, *(-found.shares)])) <= allowed, "the rest is rounding of the engine's sums"
    for opening in found.chain:
        shown = [term.share for term in opening.terms]
        assert math.fsum([*shown, opening.others[0], *opening.rounding]) == opening.value
        assert abs(math.fsum(opening.rounding)) <= 100.0 * epsilon * max(map(abs, [*shown, opening.value, 1e-6]))
    assert found.check.agrees or found.check.kink is not None
    assert found.check.gradient == pytest.approx(found.gradient, rel=1e-3, abs=1e-6)
    return found


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(NETWORKS)),
    parameter=st.integers(0, 20),
    element=st.integers(0, 500),
    loss=st.sampled_from(["cross_entropy", "mse", "huber"]),
    wide=st.booleans(),
)
def test_every_weight_of_random_networks(kind: str, parameter: int, element: int, loss: str, wide: bool) -> None:
    net = NETWORKS[kind]()
    if wide:
        in_float64(net)
    x, labels = data()
    y = labels if loss == "cross_entropy" else np.eye(3)[labels]
    names = list(net.parameters())
    name = names[parameter % len(names)]
    found = check_explanation(net, x, y, name, place_of(net.parameters()[name], element), loss)
    assert found.chain[-1].is_loss or not found.chain[-1].terms, "the chain ends at the loss, or where nothing goes on"


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
    found = fl.explain(net, "0.weight[0,0]", x, y, loss="mse", optimizer=optim.SGD(lr=0.05))
    assert found.loss == 0.40625
    assert [(part.row, part.factor, part.delta, part.share) for part in found.parts] == [
        (1, 3.0, -0.75, -2.25), (0, 1.0, 0.5, 0.5),
    ]  # fmt: skip
    assert (found.gradient, found.sum.rounding, found.is_bias) == (-1.75, (), False)
    assert [(row.row, row.share) for row in found.rows_up()] == [(1, -2.25)]
    assert [(row.row, row.share) for row in found.rows_down()] == [(0, 0.5)]
    assert found.update is not None
    assert found.update.after == pytest.approx(0.5875, rel=1e-15)
    relu, linear, loss = found.chain
    assert (relu.through, relu.op, relu.at) == ("1 (ReLU)", "relu", 1.75)
    assert [(term.factor_name, term.factor, term.delta) for term in linear.terms] == [("2.weight[0,0]", 1.0, -0.75)]
    assert (loss.through, loss.value) == ("the loss", -0.75)  # 2·(1.25 − 2) / 2 rows
    bias = fl.explain(net, "0.bias[1]", x, y, loss="mse")
    assert bias.is_bias
    assert [(part.row, part.delta) for part in bias.parts] == [(0, 1.0)]
    dead = fl.explain(net, "0.weight[0,1]", x, y, loss="mse", row=1)
    assert dead.parts[0].share == 0.0
    assert dead.chain[-1].terms == ()
    assert "its derivative is 0 here" in str(dead)


def test_a_weight_used_fifty_times_has_the_shares_of_all_its_uses() -> None:
    net = Tied(times=50)
    x, y = data(6)
    found = check_explanation(net, x, y, "layer.weight", (2, 1), "cross_entropy")
    assert len(found.shares) == 6 * 50
    assert len(found.where) == 50
    assert len(found.by_row()) == 6
    assert sum(row.share for row in found.by_row()) == pytest.approx(found.gradient, rel=1e-4)


def test_tables_and_positions() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 6, (7, 4)), rng.integers(0, 3, 7)
    net = Words()
    for name in ("table.weight", "layer.weight", "layer.bias", "head.weight"):
        found = check_explanation(net, x, y, name, place_of(net.parameters()[name], 7), "cross_entropy")
        if name == "table.weight":
            assert sorted(found.rows) == sorted(np.argwhere(x == 1)[:, 0]), "the rows that look up entry 1"
        else:
            assert sorted(set(found.rows)) == list(range(7))
            assert len(found.shares) == 28


def test_a_batch_norm_hands_back_what_its_derivative_by_every_row_says() -> None:
    net = in_float64(normed())
    x, y = data(9)
    found = check_explanation(net, x, y, "0.weight", (1, 2), "cross_entropy")
    norm = found.chain[0]
    assert norm.through == "1 (BatchNorm)"
    before = x @ net.parameters()["0.weight"] + net.parameters()["0.bias"]
    own = int(norm.row or 0)

    def normalised(column: np.ndarray) -> np.ndarray:
        return np.asarray((column - column.mean()) / np.sqrt(column.var() + 1e-5))

    up, down = before[:, 2].copy(), before[:, 2].copy()
    up[own] += 1e-5
    down[own] -= 1e-5
    slopes = (normalised(up) - normalised(down)) / 2e-5
    for term in norm.terms:
        assert term.factor == pytest.approx(slopes[int(term.row or 0)], rel=1e-6)


def test_rows_of_weights_and_a_row_of_ones_own() -> None:
    x, y = data(6)
    weight = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 3.0])
    net = in_float64(plain(nn.Tanh, 5))
    found = fl.explain(net, "0.weight[1,1]", x, y, sample_weight=weight, row=4, shown=2)
    assert found.shares[found.rows == 0] == 0.0
    assert (found.parts[0].row, found.chain[0].row, found.row) == (4, 4, 4)
    assert found.gradient == float(fl.loss_and_gradients(net, x, y, sample_weight=weight)[1]["0.weight"][1, 1])
    assert "its weight 1" in str(found)


def test_a_past_step_of_a_run_is_explained_with_the_bits_of_then() -> None:
    x, y = data(40)
    rule = optim.Adam(lr=0.01, weight_decay=0.1)
    run = fl.fit(normed(), x, y, epochs=4, batch_size=16, optimizer=rule, clip_norm=0.1, schedule="cosine", shards=2)
    for step in (0, 5, 11):
        past = fl.replay(run, step)
        found = fl.explain(run, "4.weight[5,1]", step=step)
        assert found.gradient == float(past.gradients["4.weight"][5, 1])
        assert math.fsum(found.summands) == found.gradient
        assert found.loss == past.loss
        assert sorted(set(found.rows)) == sorted(past.rows)
        assert found.before == float(past.before.weights["4.weight"][5, 1])
        assert found.update is not None
        assert found.update.after == float(past.after.weights["4.weight"][5, 1])
        assert (found.step, found.epoch, found.verified_at) == (step, step // 3, past.verified_at)


def test_as_text_markdown_and_json() -> None:
    x, y = data()
    found = fl.explain(plain(nn.Tanh, 5), "0.weight[2,4]", x, y, optimizer=optim.SGD(lr=0.1), shown=3)
    text = str(found)
    assert text.startswith(f"0.weight[2,4] = {found.before:.6g}".replace("-", "−"))
    for words in (
        "dL/dw = Σ activation × delta",
        "21 others",
        "The chain rule",
        "tanh′(",
        "2.weight[4,",
        "w′ ← w − η · g",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 120
    assert "\x1b" not in text
    page = found.to_markdown()
    assert page.startswith("# `0.weight[2,4]`")
    assert {len(line.split("|")) for line in page.splitlines() if line.startswith("|")} == {7}
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["gradient"] == found.gradient
    shares = [part["share"] for part in stored["parts"]]
    assert math.fsum([*shares, stored["others"]["sum"], *stored["rounding"]]) == found.gradient
    assert stored["chain"][-1]["is_loss"] is True
    assert stored["update"]["lines"][-1]["name"] == "w′"


class Idle(nn.Module):
    """A network with a layer that it does not use."""

    def __init__(self) -> None:
        self.used, self.idle = nn.Linear(4, 3), nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return self.used(x)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weight": "0.weight"}, r"'0.weight' is no place in '0.weight', which has shape \(4, 5\): it needs 2 numbers"),
        ({"weight": "0.weight[1,"}, r"weight must be spelled like '2.weight\[5,3\]' or '0.bias\[7\]', found"),
        ({"weight": "0.wieght[0,0]"}, r"no weight named '0.wieght'; did you mean '0.weight'\?"),
        ({"weight": "0.weight[4,0]"}, r"counted from 0; the last one is 0.weight\[3,4\]"),
        ({"weight": "0.bias[0]", "shown": 0}, r"shown"),
        ({"weight": "0.bias[0]", "optimizer": "sgd"}, r"optimizer must be an object of fallline.optim, found 'sgd'"),
        ({"weight": "0.bias[0]", "row": 24}, r"row 24 is not among the rows of these rows: 0, 1, 2, .* \(24 rows\)"),
        ({"weight": "0.bias[0]", "y": None}, r"of a network, give the rows to look at: x and y"),
        ({"weight": "idle.weight[0,0]", "net": Idle()}, r"the loss does not depend on 'idle.weight'"),
    ],
)
def test_what_cannot_be_explained_is_said(options: dict[str, Any], says: str) -> None:
    x, y = data()
    net = options.pop("net", plain(nn.Tanh, 5))
    given = {"x": x, "y": y, **options}
    with pytest.raises(fl.FalllineError, match=says):
        fl.explain(net, **given)


def test_a_run_says_which_steps_it_took() -> None:
    x, y = data()
    run = fl.fit(plain(nn.Tanh, 5), x, y, epochs=2, batch_size=8, optimizer=optim.SGD(lr=0.1))
    with pytest.raises(fl.ArgumentError, match=r"the run took 6 steps, 0 to 5; found step=6"):
        fl.explain(run, "0.bias[0]", step=6)
    with pytest.raises(fl.ArgumentError, match=r"of a run, say which step, counted from 0"):
        fl.explain(run, "0.bias[0]")


def test_nothing_is_changed() -> None:
    x, y = data()
    net = normed()
    before, buffers = net.parameters(), net.buffers()
    fl.explain(net, "0.bias[0]", x, y, optimizer=optim.Adam())
    assert all(np.array_equal(before[name], w) for name, w in net.parameters().items())
    assert all(np.array_equal(buffers[name], b) for name, b in net.buffers().items())


def test_names_from_a_file_move_no_cursor() -> None:
    x, y = data()
    found = fl.explain(plain(nn.Tanh, 5), "0.bias[0]", x, y)
    hostile = replace(found, weight="\x1b[2Jgone", source=lambda row: ("\x1b]0;title\x07", {"a": "\r1"}))
    for told in (str(hostile), hostile.to_markdown()):
        assert all(letter.isprintable() or letter == "\n" for letter in told)


def test_a_gradient_that_is_not_finite_is_told_as_it_is() -> None:
    x, y = data()
    net = plain(nn.ReLU, 5)
    net.load_parameters({name: np.full_like(w, 1e30) for name, w in net.parameters().items()})
    with np.errstate(all="ignore"):
        found = fl.explain(net, "0.weight[0,0]", x, np.eye(3)[y], loss="mse")
    assert not math.isfinite(found.gradient)
    assert "stored" in str(found)
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["gradient"] is None
