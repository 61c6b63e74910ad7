"""`fallline explain` on runs that `fallline train` made."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl

Refused = Callable[..., str]


def test_a_weight_is_explained(cli: Callable[..., Any], run: str) -> None:
    answer = cli("explain", run, "--step", "3", "--weight", "first.weight[0,2]")
    assert (answer.code, answer.err) == (0, "")
    for words in ("before step 3", "Backpropagation", "The chain rule", "Gradient descent", "shop.csv, row "):
        assert words in answer.out
    told = json.loads(cli("explain", run, "--step", "3", "--weight", "first.weight[0,2]", "--json").out)
    python = fl.explain(run, "first.weight[0,2]", step=3)
    assert told["gradient"] == python.gradient
    shares = [part["share"] for part in told["parts"]]
    assert math.fsum([*shares, told["others"]["sum"], *told["rounding"]]) == python.gradient
    row = told["rows_up"][0]["row"] if told["rows_up"] else told["rows_down"][0]["row"]
    page = cli("explain", run, "--step", "3", "--weight", "first.weight[0,2]", "--row", row, "--markdown").out
    assert page.startswith("# `first.weight[0,2]` at step 3, epoch 4")
    assert f"row {row}" in page


def test_suspects_and_a_run_without_a_row(cli: Callable[..., Any], run: str) -> None:
    answer = cli("explain", run, "--suspects", "2", "--leave-out", "suspects")
    assert (answer.code, answer.err) == (0, "")
    assert "The hardest of " in answer.out
    assert answer.out.count("Without row ") == 2
    assert "validation loss" in answer.out
    told = json.loads(cli("explain", run, "--suspects", "1", "--json").out)
    found = told["suspects"][0]
    assert found["place"].startswith("shop.csv, row ")
    assert found["cells"]["kind"] == found["label"]
    one = json.loads(cli("explain", run, "--leave-out", found["row"], "--step", "4", "--json").out)
    assert (one["row"], one["first"], one["last"]) == (found["row"], 4, 6)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--step", "3"), "Missing option --weight"),
        ((), "Missing option --step and --weight"),
        (("--step", "3", "--weight", "frist.weight[0,0]"), "did you mean 'first.weight'?"),
        (("--step", "3", "--weight", "first.weight[999,0]"), "it needs 2 numbers, counted from 0; the last one is"),
        (("--step", "99", "--weight", "first.weight[0,0]"), "the run took 6 steps, 0 to 5; found step=99"),
        (("--leave-out", "first"), "--leave-out takes a training row's number, from 0; found 'first'"),
        (("--suspects", "2", "--leave-out", "3"), "beside --suspects, --leave-out takes 'suspects'"),
        (("--suspects", "2", "--weight", "x"), "--weight explains a step"),
    ],
)
def test_mistakes_are_told(cli: Callable[..., Any], run: str, words: tuple[str, ...], says: str) -> None:
    answer = cli("explain", run, *words)
    assert answer.code == 2
    assert says in answer.err


def test_a_folder_without_data_asks_for_them(tmp_path: Path) -> None:
    x = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    fl.fit(
        fl.nn.Linear(2, 2), x, [0, 1, 1], epochs=2, batch_size=2, optimizer=fl.optim.SGD(lr=0.1), run_dir=tmp_path / "r"
    )
    with pytest.raises(fl.ArgumentError, match="does not say where its data are: give x and y"):
        fl.explain(tmp_path / "r", "weight[0,0]", step=1)
    found = fl.explain(tmp_path / "r", "weight[0,0]", x, [0, 1, 1], step=1)
    assert found.gradient == float(fl.replay(tmp_path / "r", 1, x, [0, 1, 1]).gradients["weight"][0, 0])
