"""Descent's and the race's endpoints: surfaces, paths and races are those of the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import optim
from fallline.cli.main import main
from fallline.data.planar import planar
from fallline.insight.playground import Recipe
from fallline.report import table_report

Page = Callable[..., Any]
PLAYED = "source=play&rows=60&layers=3&step=40"


def started(step: int = 40) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """The playground's network after so many steps, by `fl.fit`."""
    x, y = planar("moons", 60, 0.1, 0)
    net = Recipe((3,)).network(2)
    x = x.astype(np.float32)
    if step:
        fl.fit(net, x, y, optimizer=optim.SGD(lr=0.3), batch_size=16, epochs=step // 4)
    return net, x, y


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `fallline train`."""
    folder = tmp_path_factory.mktemp("descent") / "<b>iris<b>"
    words = [
        "train",
        "iris",
        "--target",
        "species",
        "--hidden",
        "8",
        "--epochs",
        "6",
        "--seed",
        "1",
        "--quiet",
        "--out",
        str(folder),
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(table_report, "pictures", lambda result: {})
        assert main(words) == 0
    return folder


def test_the_sources_are_the_runs_and_the_playground(page: Page, stored: Path) -> None:
    lab = page(stored)
    _, found = lab.api("descent/sources")
    assert [source["name"] for source in found] == ["<b>iris<b>", "the playground"]
    assert found[1]["id"] == "play"
    status, about = lab.api(f"descent/about?source={found[0]['id']}")
    assert status == 200
    assert about["title"] == "<b>iris<b>"
    assert len(about["default"]) == 2


def test_a_stored_run_has_a_landscape(page: Page, stored: Path) -> None:
    lab = page(stored)
    name = lab.only()
    _, found = lab.api(f"descent/surface?source={name}&grid=9")
    about = lab.api(f"descent/about?source={name}")[1]
    assert (found["steps"][0], found["steps"][-1]) == (0, about["taken"])
    assert found["path"][-1] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert np.array(found["surface"]).shape == (9, 9)
    assert found["rows"] == found["all_rows"] == about["rows"]
    assert 0.5 < sum(found["explained"]) <= 1.0 + 1e-12
    assert found["losses"][-1] < found["losses"][0]
    status, raced = lab.api(f"race?source={name}&racers=sgd:0.1:all,adam:0.01:32&epochs=3")
    assert status == 200
    assert [lap["steps"][-1] for lap in raced["laps"]] == [3, 3 * -(-about["rows"] // 32)]
    assert raced["laps"][0]["losses"][0] == raced["laps"][1]["losses"][0]


def test_the_path_and_the_heights_are_those_of_fit_and_evaluate(page: Page) -> None:
    lab = page()
    _, found = lab.api(f"descent/surface?{PLAYED}&plane=weights&a=0.weight[1,2]&b=2.bias[0]&grid=7")
    net, x, y = started()
    assert found["losses"][-1] == fl.evaluate(net, x, y)["loss"]
    weights = net.parameters()
    assert found["path"][-1] == [float(weights["0.weight"][1, 2]), float(weights["2.bias"][0])]
    weights["0.weight"][1, 2], weights["2.bias"][0] = found["across"][2], found["up"][5]
    net.load_parameters(weights)
    assert found["surface"][5][2] == fl.evaluate(net, x, y)["loss"]
    first, _, _ = started(0)
    assert found["losses"][0] == fl.evaluate(first, x, y)["loss"]
    lifted = sum(b > a for a, b in zip(found["losses"], found["losses"][1:], strict=False))
    assert found["overshoots"] == lifted
    flat = [ring for rings in found["outlines"] for ring in rings]
    assert flat
    assert all(0.0 <= part <= 6.0 for ring in flat for part in ring)


def test_other_weights_may_be_held_at_an_earlier_step(page: Page) -> None:
    asked = f"{PLAYED}&plane=weights&a=0.weight[1,2]&b=2.bias[0]&grid=5"
    _, late = page().api(f"descent/surface?{asked}")
    _, early = page().api(f"descent/surface?{asked}&at=0")
    assert (late["at"], early["at"]) == (40, 0)
    assert late["path"] == early["path"]
    net, x, y = started(0)
    weights = net.parameters()
    weights["0.weight"][1, 2], weights["2.bias"][0] = early["across"][0], early["up"][0]
    net.load_parameters(weights)
    assert early["surface"][0][0] == fl.evaluate(net, x, y)["loss"]


def test_a_descent_from_a_place_moves_two_weights(page: Page) -> None:
    asked = f"{PLAYED}&a=0.weight[1,2]&b=2.bias[0]&from_a=1&from_b=-1&eta=0.5&count=4"
    _, found = page().api(f"descent/walk?{asked}")
    net, x, y = started()
    weights = net.parameters()
    weights["0.weight"][1, 2], weights["2.bias"][0] = 1.0, -1.0
    for place, loss in zip(found["places"], found["losses"], strict=True):
        assert place == pytest.approx([weights["0.weight"][1, 2], weights["2.bias"][0]], abs=1e-6)
        net.load_parameters(weights)
        value, grads = fl.loss_and_gradients(net, x, y, training=False)
        assert loss == pytest.approx(value, rel=1e-6)
        weights["0.weight"][1, 2] -= 0.5 * grads["0.weight"][1, 2]
        weights["2.bias"][0] -= 0.5 * grads["2.bias"][0]
    assert len(found["losses"]) == 5
    assert found["always_falls"]


def test_a_race_is_fits(page: Page) -> None:
    _, found = page().api(f"race?{PLAYED}&racers=sgd:0.3:all,sgd:0.1:1,adam:0.02:16&epochs=5")
    _, x, y = started(0)
    for lap, (rule, batch) in zip(
        found["laps"], [(optim.SGD(lr=0.3), "all"), (optim.SGD(lr=0.1), 1), (optim.Adam(lr=0.02), 16)], strict=True
    ):
        net, _, _ = started(0)
        fl.fit(net, x, y, optimizer=rule, batch_size=batch, epochs=5)
        assert lap["losses"][-1] == fl.evaluate(net, x, y)["loss"]
        assert lap["rows_seen"][-1] == 300
    assert [len(path) for path in found["map"]["paths"]] == [len(lap["steps"]) for lap in found["laps"]]
    starts = [path[0] for path in found["map"]["paths"]]
    assert starts[0] == starts[1] == starts[2]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("descent/surface?source=nowhere", "there is no such run here, or its folder is gone"),
        ("descent/surface?source=../../etc", "there is no such run here"),
        (f"descent/surface?{PLAYED}&plane=round", "descent: no plane is named 'round'"),
        (f"descent/surface?{PLAYED}&grid=5000", "descent: grid must be a whole number from 5 to 61, found '5000'"),
        (f"descent/surface?{PLAYED}&zoom=nan", "descent: zoom must be a number from 0.05 to 20, found 'nan'"),
        (f"descent/surface?{PLAYED}&plane=weights&a=0.wait[0]&b=2.bias[0]", "descent: no weight '0.wait[0]'; write"),
        (f"descent/surface?{PLAYED}&plane=weights&a=2.bias[0]&b=2.bias[9]", "'2.bias[9]' does not exist"),
        (f"descent/surface?{PLAYED}&plane=weights&a=2.bias[0]&b=2.bias[0]", "weights must name two different weights"),
        (f"descent/surface?{PLAYED}&plane=weights", "descent: no weight ''"),
        (f"descent/surface?{PLAYED}&at=41", "descent: at must be a whole number from 0 to 40, found '41'"),
        ("descent/surface?source=play&step=0", "descent: step must be a whole number from 1 to 200,000, found '0'"),
        (f"descent/walk?{PLAYED}&a=2.bias[0]&b=2.bias[1]&eta=inf", "descent: eta must be a number"),
        (f"descent/walk?{PLAYED}&a=2.bias[0]&b=2.bias[1]&count=100000", "count must be a whole number from 1 to 200"),
        (f"race?{PLAYED}&racers=sgd", "race: a racer is written rule:η:rows a step, such as adam:0.01:16; found 'sgd'"),
        (f"race?{PLAYED}&racers=sgdd:1:1", "race: no rule is named 'sgdd': did you mean 'sgd'?"),
        (f"race?{PLAYED}&racers=sgd:1:0", "race: batch must be a whole number from 1 to 1,000,000, found '0'"),
        (f"race?{PLAYED}&racers={','.join(['sgd:1:1'] * 9)}", "race: takes 1 to 8 racers, found 9"),
        (f"race?{PLAYED}&epochs=501", "race: epochs must be a whole number from 1 to 500, found '501'"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(page: Page, path: str, says: str) -> None:
    status, found = page().api(path)
    assert status == 400
    assert says in found["error"]
