"""`fallline train`: the plan before training, what it was afterwards, and `--profile`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl
from fallline.insight import profile as profile_room
from fallline.tables import train as table_training


def told(answer: Any) -> str:
    assert answer.code == 0, answer.err
    return " ".join(answer.out.split())


def test_the_plan_is_told_before_training_and_the_time_afterwards(train: Callable[..., Any], shop: Path) -> None:
    text = told(train(shop, "kind"))
    assert re.search(
        r"network .* [\d,]+ parameters, [\d,]+ multiply-adds per step; memory: \S+ kB for intermediate results "
        r"\(arena\), \S+ k?B?(bytes)? for weights and optimizer state, \S+ (kB|bytes) for data",
        text,
    ), text
    assert re.search(r"1 epoch on \d+ threads?: about [\d.]+ (ms|s); Ctrl-C stops and keeps the best", text), text
    assert re.search(r"trained 1 epoch in [\d.]+ (ms|s) \(predicted: [\d.]+ (ms|s)\): all epochs are done", text), text
    assert "µs/step" not in text


def test_a_network_that_is_not_compiled_is_trained_without_a_plan(
    train: Callable[..., Any], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **given: Any) -> Any:
        raise fl.errors.CompileError("no schedule")  # type: ignore[attr-defined]

    monkeypatch.setattr(table_training, "plan", refuse)
    text = told(train(shop, "price"))
    assert "parameters training mse" in text
    assert "1 epoch; Ctrl-C stops and keeps the best" in text
    assert "predicted" not in text


def test_profile_shows_a_table_after_training_and_before_the_next_command(
    train: Callable[..., Any], shop: Path
) -> None:
    answer = train(shop, "kind", "--profile", "--threads", "1")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    words = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert words.index("trained") < words.index("profile") < words.index("next") == len(words) - 1
    start = lines.index("profile")
    assert re.fullmatch(r"  [\d,]+ steps of \d+ rows on 1 thread: [\d,.]+ µs each", lines[start + 1])
    assert re.match(r"  part +kernel +calls +µs/step +share +GFLOP/s +GB/s +of limit$", lines[start + 3])
    assert any("backprop + descent" in line for line in lines[start:])
    assert any(line.startswith("  limits of 1 thread: ") for line in lines[start:])


@pytest.mark.parametrize("quiet", ["--json", "--quiet"])
def test_profile_says_nothing_where_nothing_is_to_be_said(train: Callable[..., Any], shop: Path, quiet: str) -> None:
    code, out, err = train(shop, "kind", "--profile", quiet)
    assert (code, err) == (0, "")
    if quiet == "--json":
        assert out.count("\n") == 1
        assert json.loads(out)["epochs"] == 1
    else:
        assert out == ""


def test_a_profile_that_fails_does_not_spoil_the_training(
    train: Callable[..., Any], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **given: Any) -> Any:
        raise fl.ArgumentError("profile: the loss became nan at step 3")

    monkeypatch.setattr(profile_room, "profile", refuse)
    answer = train(shop, "kind", "--profile")
    text = told(answer)
    assert "profile none: profile: the loss became nan at step 3 next" in text


def test_the_command_to_repeat_leaves_the_profile_out(train: Callable[..., Any], shop: Path) -> None:
    assert train(shop, "kind", "--profile").code == 0
    about = json.loads(Path("runs/shop-1/run.json").read_text(encoding="utf-8"))
    assert "--profile" not in about["command"]
    assert "--target kind" in about["command"]


def test_the_help_tells_of_it(cli: Callable[..., Any]) -> None:
    assert "--profile" in cli("train", "--help").out
