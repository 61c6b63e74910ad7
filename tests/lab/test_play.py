"""Play's endpoints: the numbers are the engine's, and nothing that is asked makes more than a sentence of trouble."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.data.planar import PLANAR, planar
from fallline.nn.activations import ACTIVATIONS
from fallline.nn.losses import LOSSES

Page = Callable[..., Any]


def test_the_menus_are_the_registers(page: Page) -> None:
    status, menu = page().api("play/menu")
    assert status == 200
    assert [kind["name"] for kind in menu["sets"]] == list(PLANAR)
    assert list(menu["activations"]) == list(ACTIVATIONS)
    assert [rule["name"] for rule in menu["rules"]] == list(optim.RULES)
    assert menu["losses"]["2"] == [name for name in LOSSES if name not in ("poisson", "ensemble")]
    assert menu["own"] is None


def test_a_state_is_that_of_fit(page: Page) -> None:
    lab = page()
    asked = "set=circles&rows=50&noise=0.05&layers=3&lr=0.2&batch=10&seed=5"
    _, data = lab.api(f"play/data?{asked}")
    x, y = planar("circles", 50, 0.05, 0)
    assert data["x"] == pytest.approx(x, abs=1e-4)
    assert data["y"] == y.tolist()
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2), seed=5)
    x = x.astype(np.float32)
    run = fl.fit(net, x, y, optimizer=optim.SGD(lr=0.2), batch_size=10, epochs=4, seed=5)
    _, state = lab.api(f"play/state?{asked}&step=20")
    assert state["loss"] == fl.evaluate(net, x, y)["loss"]
    assert state["accuracy"] == fl.evaluate(net, x, y, metrics="accuracy")["accuracy"]
    assert state["layers"][1]["weight"] == run.network.parameters()["2.weight"].tolist()
    assert (state["step"], state["epoch"], state["ended"]) == (20, 4.0, None)
    picture = np.frombuffer(base64.b64decode(state["shares"][0]["bytes"]), dtype=np.uint8).reshape(40, 40)
    side = np.linspace(-data["reach"], data["reach"], 40)
    logits = net.predict(np.array([[side[7], side[::-1][30]]], dtype=np.float32))[0]
    assert picture[30, 7] / 255 == pytest.approx(1.0 / (1.0 + np.exp(logits[0] - logits[1])), abs=0.003)


def test_phases_are_backpropagation_and_update(page: Page) -> None:
    asked = "rows=50&layers=3&lr=0.2&batch=10&seed=5&optimizer=adam&step=7&row=2"
    _, phases = page().api(f"play/phases?{asked}")
    x, y = planar("moons", 50, 0.1, 0)
    x = x.astype(np.float32)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2), seed=5)
    rule = optim.Adam(lr=0.2)
    weights = net.parameters()
    state = rule.init(weights)
    for step in range(8):
        numbers = fl.batch_order(50, 5, step // 5)[step % 5 * 10 :][:10]
        net.load_parameters(weights)
        before = weights
        loss, grads = fl.loss_and_gradients(net, x[numbers], y[numbers])
        weights, state = rule.update(weights, grads, state)
    assert phases["rows"] == numbers.tolist()
    assert phases["loss"] == loss
    assert (phases["place"], phases["target"]) == (2, int(y[numbers[2]]))
    for number, layer in enumerate(phases["layers"]):
        name = f"{2 * number}.weight"
        assert layer["weight"] == before[name].tolist()
        assert layer["dweight"] == grads[name].tolist()
        assert layer["new_weight"] == weights[name].tolist()
        assert layer["weight_slots"]["first_moment"]["after"] == state["first_moment"][name].tolist()
    first = x[numbers[2]] @ before["0.weight"] + before["0.bias"]
    assert phases["layers"][0]["z"] == pytest.approx(first, abs=1e-6)
    assert phases["layers"][0]["a"] == pytest.approx(np.tanh(first), abs=1e-6)


def test_a_loss_that_runs_away_is_told_with_what_to_do(page: Page) -> None:
    _, state = page().api("play/state?set=plane&layers=none&lr=10000&step=3000")
    assert "is not finite: the steps are too long. Choose a smaller learning rate, η = 10000 now." in state["ended"]
    assert state["step"] < 3000


@pytest.fixture
def cells(tmp_path: Path) -> str:
    """A table whose names and cells are hostile."""
    path = tmp_path / "<img src=x onerror=alert(1)>.csv"
    rows = [f"{k * 0.5},{40 - k},{'<script>alert(1)</script>' if k % 2 else 'plain'}" for k in range(40)]
    path.write_text("\n".join(["a,<b>up</b>,kind", *rows]) + "\n")
    return str(path)


def test_a_table_of_ones_own_is_played_with(page: Page, cells: str) -> None:
    lab = page(data=cells)
    _, menu = lab.api("play/menu")
    assert menu["own"]["numbers"] == ["a", "<b>up</b>"]
    assert {name: menu["defaults"][name] for name in ("set", "a", "b", "target")} == {
        "set": "own", "a": "a", "b": "<b>up</b>", "target": "kind",
    }  # fmt: skip
    status, data = lab.api("play/data")
    assert status == 200
    assert data["classes"] == ["<script>alert(1)</script>", "plain"]
    assert len(data["x"]) == 30
    assert lab.api("play/state?step=50")[1]["loss"] < lab.api("play/state?step=0")[1]["loss"]
    assert lab.api("play/data?a=a&b=kind&target=a")[1]["error"].endswith("found 'a', 'kind', 'a'.")
    assert page().api("play/data?set=own") == (
        400,
        {"error": "play: no set is named 'own': did you mean 'moons'?"},
    ) or ("play: no set is named 'own'" in page().api("play/data?set=own")[1]["error"])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("lr=abc", "play: lr must be a number from 1e-07 to 10000, found 'abc'"),
        ("lr=nan", "play: lr must be a number from 1e-07 to 10000, found 'nan'"),
        ("lr=inf", "found 'inf'"),
        ("lr=-1", "found '-1'"),
        ("rows=1000000", "play: rows must be a whole number from 10 to 1,000, found '1000000'"),
        ("rows=1e3", "found '1e3'"),
        ("rows=9999999999999999999999999999", "rows must be a whole number"),
        ("rows=²", "rows must be a whole number from 10 to 1,000, found '²'"),
        ("step=-1", "play: step must be a whole number from 0 to 200,000, found '-1'"),
        ("step=200001", "found '200001'"),
        ("layers=99", "play: layers must be at most 4 whole numbers from 1 to 12 with commas between them, or 'none'"),
        ("layers=1,1,1,1,1", "at most 4 whole numbers"),
        ("layers=4,,4", "found '4,,4'"),
        ("optimizer=adm", "play: no optimizer is named 'adm': did you mean 'adam'?"),
        ("loss=ensemble", "play: no loss is named 'ensemble'"),
        ("loss=mse&set=gaussians&layers=", ""),
        ("loss=binary_cross_entropy&set=gaussians", "does not fit a target of 3 classes; choose another"),
        ("batch=0", "play: batch must be a whole number from 1 to 1,000, found '0'"),
        ("batch=some", "found 'some'"),
        ("set=../../etc/passwd", "play: no set is named '../../etc/passwd'"),
        ("activation=%1b[2J", r"no activation is named '\x1b[2J'"),
        ("activation=" + "x" * 5000, "play: activation must have at most 400 letters, found 5,000"),
        ("noise=1", "play: noise must be a number from 0 to 0.5, found '1'"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(page: Page, query: str, says: str) -> None:
    for endpoint in ("state", "phases"):
        status, found = page().api(f"play/{endpoint}?{query}")
        if not says:
            assert status == 200
        else:
            assert status == 400
            assert says in found["error"]
