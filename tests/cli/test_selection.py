"""`fallline train` on few rows: two trainings, in a folder and in one within it; neither is lost."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fallline.tables import selection


@pytest.fixture
def whole(cli: Callable[..., Any], shop: Path) -> tuple[str, ...]:
    words = (str(shop), "--target", "kind", "--hidden", "3")
    answer = cli("train", *words, "--out", "whole")
    assert answer.code == 0
    assert "gave the lowest loss" in " ".join(answer.out.split())
    return words


def test_both_trainings_can_be_verified(
    cli: Callable[..., Any], whole: tuple[str, ...], told: Callable[..., Any]
) -> None:
    assert cli("verify", "whole").code == 0
    assert cli("verify", "whole/selection").code == 0
    about, before = told("whole"), told("whole/selection")
    assert about["selection"]["epochs"] == before["best_epoch"] + 1 == about["epochs"]
    assert about["validation_score"] == before["validation_score"]
    assert about["rows"]["training"] == before["rows"]["training"] + before["rows"]["validation"]
    assert "lowest loss on the" in Path("whole/report.html").read_text(encoding="utf-8")
    assert "whole" in cli("runs", ".").out


@pytest.mark.parametrize("steps", [2, 1_000_000])
@pytest.mark.parametrize("folder", ["part", "part/selection"])
def test_a_first_training_that_was_interrupted_leads_on_to_the_second(
    cli: Callable[..., Any],
    whole: tuple[str, ...],
    interrupted: Callable[..., Any],
    steps: int,
    folder: str,
    bits: Callable[..., Any],
    told: Callable[..., Any],
) -> None:
    answer = interrupted(steps, *whole, "--out", "part")
    if steps == 2:
        assert answer.out.splitlines()[-1].split("train ")[-1] == "--resume part"
    else:  # killed between both trainings
        for left in Path("part").iterdir():
            if left.name != "selection":
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    again = cli("train", "--resume", folder, "--json")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["run"] == "part"
    assert bits("part") == bits("whole")
    assert told("part")["selection"] == told("whole")["selection"]


def test_a_second_training_that_was_interrupted_goes_on(
    cli: Callable[..., Any],
    whole: tuple[str, ...],
    interrupted: Callable[..., Any],
    bits: Callable[..., Any],
    told: Callable[..., Any],
) -> None:
    interrupted(2, *whole, "--out", "part", second=True)
    assert told("part")["stopped"] == "interrupted"
    again = cli("train", "--resume", "part", "--json")
    line, about = json.loads(again.out), told("whole")
    assert bits("part") == bits("whole")
    assert (line["score"], line["validation_score"]) == (about["score"], about["validation_score"])
    assert "lowest loss on the" in Path("part/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "damage", [None, 7, {"epochs": "x"}, {"epochs": 3, "rows": {"training": "<b>", "validation": 1}}]
)
def test_what_a_stranger_wrote_of_the_first_training_is_not_believed(
    cli: Callable[..., Any], whole: tuple[str, ...], damage: Any, told: Callable[..., Any]
) -> None:
    Path("whole/run.json").write_text(json.dumps({**told("whole"), "selection": damage}), encoding="utf-8")
    again = cli("train", "--resume", "whole", "--json")
    assert (again.code, json.loads(again.out)["validation_score"]) == (0, None)


def test_one_training_alone_if_you_say_so(cli: Callable[..., Any], shop: Path, told: Callable[..., Any]) -> None:
    assert cli("train", str(shop), "--target", "kind", "--hidden", "3", "--no-refit", "--out", "once").code == 0
    assert not Path("once/selection").exists()
    assert "--no-refit" in told("once")["command"]


def test_all_rows_need_a_share_for_validation(cli: Callable[..., Any], shop: Path) -> None:
    Path("same.csv").write_bytes(Path(shop).read_bytes())
    answer = cli("train", str(shop), "--target", "kind", "--refit", "--validation", "same.csv")
    assert answer.code == 2
    assert "follows one with a share of them set aside for validation" in answer.err


@pytest.fixture
def noisy(cli: Callable[..., Any], table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A run on a line under noise, for which the plain recipe is found to be the better one."""
    monkeypatch.setattr(selection, "ENOUGH_ROWS", 100)
    chance = random.Random(0)
    rows = [[x := round(chance.uniform(0, 6), 3), round(x + chance.gauss(0, 4), 3)] for _ in range(240)]
    words = (str(table("line.csv", ["x", "y"], rows)), "--target", "y")
    answer = cli("train", *words, "--out", "whole")
    assert answer.code == 0
    assert "numbers as they are was better than" in " ".join(answer.out.split())
    return words


def test_the_recipe_that_was_found_is_told_and_can_be_given(
    cli: Callable[..., Any], noisy: tuple[str, ...], told: Callable[..., Any], bits: Callable[..., Any]
) -> None:
    found, options = told("whole")["selection"], told("whole")["options"]
    assert (found["recipe"], options["recipe"]) == ("plain", "plain")
    assert found["losses"]["plain"] < found["losses"]["usual"]
    assert cli("verify", "whole").code == 0
    assert "was better than the usual one" in Path("whole/report.html").read_text(encoding="utf-8")
    assert cli("train", *noisy, "--recipe", "plain", "--out", "given").code == 0
    assert bits("given") == bits("whole")


def test_a_training_with_the_recipe_that_was_found_goes_on(
    cli: Callable[..., Any],
    noisy: tuple[str, ...],
    interrupted: Callable[..., Any],
    bits: Callable[..., Any],
    told: Callable[..., Any],
) -> None:
    interrupted(2, *noisy, "--out", "part", second=True)
    assert cli("train", "--resume", "part", "--json").code == 0
    assert bits("part") == bits("whole")
    assert told("part")["selection"] == told("whole")["selection"]
    assert "was better than the usual one" in Path("part/report.html").read_text(encoding="utf-8")
