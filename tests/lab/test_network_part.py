"""What Network asks of the server: layers, a step's passes, an explanation; each number as Python has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.cli.main import main
from fallline.insight.passes import PassReader
from fallline.lab.parts.network import moved, shown
from fallline.tables.again import data_of_run
from fallline.training.replay import Replayer
from fallline.training.run_reader import StoredRun

STEP = 5


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of a table, which says where its data are."""
    folder = tmp_path_factory.mktemp("table")
    words = ["train", "penguins", "--target", "species", "--hidden", "40,12", "--epochs", "3", "--quiet"]
    assert main([*words, "--out", str(folder / "penguins")]) == 0
    return folder


def replayed(folder: Path, step: int) -> Any:
    given = data_of_run(StoredRun(folder / "penguins", "test"))
    return fl.replay(folder / "penguins", step, given.x, given.y, sample_weight=given.sample_weight)


def test_layers_of_a_run_without_its_data(page: Callable[..., Any], trained: Path) -> None:
    opened = page(trained)
    status, found = opened.api(f"runs/{opened.only()}/network")
    assert status == 200
    assert [(stage["name"], stage["then"], stage["multiply_adds"]) for stage in found["stages"]] == [
        ("0", ["ReLU"], 12), ("2", [], 8),
    ]  # fmt: skip
    assert found["parameters"] == 3 * 4 + 4 + 4 * 2 + 2
    assert found["steps"] == 0
    assert "in Python, fl.resume and fl.replay take x and y" in found["refusal"]
    status, found = opened.api(f"runs/{opened.only()}/step/0")
    assert status == 400
    assert "does not say where its data are" in found["error"]


def test_a_wide_network_is_cut_to_what_can_be_drawn(
    page: Callable[..., Any], runs: Path, train: Callable[..., Any]
) -> None:
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10), seed=0)
    x, y = np.zeros((4, 784), np.float32), np.arange(4)
    fl.fit(net, x, y, batch_size=4, epochs=1, validation=None, run_dir=runs / "wide")
    opened = page(runs)
    _, found = opened.api(f"runs/{opened.only()}/network")
    assert [column["units"] for column in found["columns"]] == [784, 512, 512, 10]
    assert [len(column["shown"]) for column in found["columns"]] == [24, 24, 24, 10]
    assert [column["shown"][-1] for column in found["columns"]] == [783, 511, 511, 9]
    assert found["parameters"] == 669_706
    assert found["multiply_adds"] == 784 * 512 + 512 * 512 + 512 * 10


def test_a_steps_passes_are_those_of_python(page: Callable[..., Any], table: Path) -> None:
    opened = page(table)
    _, about = opened.api(f"runs/{opened.only()}/network")
    status, found = opened.api(f"runs/{opened.only()}/step/{STEP}?rows=3&member=2")
    assert status == 200
    step = replayed(table, STEP)
    assert about["steps"] == 12
    assert about["outputs"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert (found["loss"], found["learning_rate"]) == (step.loss, step.learning_rate)
    assert found["rows"] == step.rows[:3].tolist()
    given = data_of_run(StoredRun(table / "penguins", "test"))
    assert found["targets"] == np.asarray(given.y)[step.rows[:3]].tolist()
    assert found["columns"][0] == np.asarray(given.x)[step.rows[:3]].astype(np.float64).tolist()
    heads = found["stages"]["heads"]
    assert heads["prefix"] == [2]
    assert np.array_equal(np.float32(heads["weights"]), step.before.weights["heads.weight"][2])
    assert np.array_equal(np.float32(heads["gradients"]), step.gradients["heads.weight"][2])
    chosen = np.ix_(shown(40), shown(12))
    assert np.array_equal(
        np.float32(found["stages"]["layers.0"]["weights"]), step.before.weights["layers.0.weight"][chosen]
    )
    lengths = {each["name"]: each for each in found["sizes"]}
    assert lengths["first.weight"]["update"] == pytest.approx(np.linalg.norm(step.updates["first.weight"]), rel=1e-5)


def test_an_explanation_is_that_of_python(page: Callable[..., Any], table: Path) -> None:
    opened = page(table)
    status, found = opened.api(f"runs/{opened.only()}/explain?step={STEP}&weight=layers.0.weight[39,11]")
    assert status == 200
    step = replayed(table, STEP)
    assert np.float32(found["before"]) == step.before.weights["layers.0.weight"][39, 11]
    assert np.float32(found["gradient"]) == step.gradients["layers.0.weight"][39, 11]
    assert np.float32(found["update"]["after"]) == step.after.weights["layers.0.weight"][39, 11]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("step/12", "the run took 12 steps, numbered from 0; found step 12"),
        ("step/1?rows=0", "rows must be a whole number from 1 to 32; found '0'"),
        ("explain?step=1&weight=first.weigth[0,0]", "'first.weigth'"),
        ("explain?step=1&weight=first.weight[99,0]", "first.weight"),
        ("explain?step=99&weight=first.weight[0,0]", "the run took 12 steps"),
        ("explain?step=x&weight=first.weight[0,0]", "step must be a whole number"),
        ("explain?step=1", "''"),
    ],
)
def test_mistakes_are_sentences(page: Callable[..., Any], table: Path, path: str, sentence: str) -> None:
    opened = page(table)
    status, found = opened.api(f"runs/{opened.only()}/{path}")
    assert status == 400
    assert sentence in found["error"]


def test_units_are_shown_from_the_first_to_the_last() -> None:
    assert shown(5) == [0, 1, 2, 3, 4]
    assert shown(24) == list(range(24))
    for units in (25, 100, 4096):
        found = shown(units)
        assert (len(set(found)), found[0], found[-1]) == (24, 0, units - 1)
        assert found == sorted(found)


class Regrouped(nn.Module):
    """Whose second layer takes the first one's numbers in other groups."""

    def __init__(self) -> None:
        super().__init__(0)
        self.first, self.second = nn.Linear(4, 6), nn.Linear(3, 2)

    def __call__(self, x: Any) -> Any:
        return self.second(self.first(x).reshape((-1, 2, 3))).mean(1)


def test_numbers_that_belong_to_no_drawn_unit_are_left_out() -> None:
    x, y = np.ones((8, 4), np.float32), np.ones((8, 2), np.float32)
    run = fl.fit(Regrouped(), x, y, loss="mse", batch_size=8, epochs=1, validation=None)
    reader = PassReader(Replayer.of_run(run), {})
    found = moved(reader.at(0), reader.anatomy, 2, 0)
    assert found["first"] == {"given": [], "deltas": [], "weights": None}
    assert np.shape(found["second"]["given"]) == (2, 2)
    assert np.shape(found["second"]["weights"]) == (3, 2)
