"""`fallline train`: what the options of the training do."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl


def summary(answer: Any) -> dict[str, Any]:
    """The one line of `--json`."""
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") == 1
    line: dict[str, Any] = json.loads(answer.out)
    return line


def config(run: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(run) / "run.json").read_text(encoding="utf-8"))
    return found


def weights(run: str | Path) -> dict[str, np.ndarray]:
    return fl.load(Path(run) / "model.safetensors").network.parameters()


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (("--epochs", "2"), "epochs", 2),
        (("--batch", "7"), "batch_size", 7),
        (("--batch", "1"), "batch_size", 1),
        (("--batch", "all"), "batch_size", 38),
        (("--patience", "9"), "patience", 9),
        (("--shards", "2"), "shards", 2),
        (("--seed", "4"), "seed", 4),
    ],
)
def test_options_reach_the_training(
    train: Callable[..., Any], shop: Path, words: tuple[str, ...], key: str, value: int
) -> None:
    assert train(shop, "kind", *words, "--quiet").code == 0
    assert config("runs/shop-1")["config"][key] == value


def test_options_reach_network_rule_and_schedule(train: Callable[..., Any], shop: Path) -> None:
    words = ("--hidden", "5,3", "--activation", "tanh", "--dropout", "0.25", "--optimizer", "sgd", "--lr", "0.07")
    assert train(shop, "kind", *words, "--schedule", "cosine", "--quiet").code == 0
    made = config("runs/shop-1")["config"]
    plan = fl.load("runs/shop-1/model.safetensors").plan
    assert (plan.hidden, plan.activation, plan.dropout) == ((5, 3), "tanh", 0.25)
    assert (made["optimizer"]["name"], made["optimizer"]["lr"]) == ("sgd", 0.07)
    assert made["schedule"]["name"] == "cosine"


def test_none_hidden_is_a_linear_model(train: Callable[..., Any], shop: Path) -> None:
    line = summary(train(shop, "price", "--hidden", "none", "--json"))
    assert list(weights(line["run"])) == ["direct.weight", "direct.bias"]


def test_patience_ends_a_training_that_does_not_get_better(train: Callable[..., Any], shop: Path) -> None:
    still = ("--optimizer", "sgd", "--lr", "1e-30", "--patience", "2", "--epochs", "50")
    line = summary(train(shop, "kind", *still, "--json"))
    assert (line["stopped"], line["epochs"]) == ("patience", 3)
    _, out, _ = train(shop, "kind", *still)
    told = " ".join(out.split())
    assert "the validation loss has not fallen for 2 epochs; the weights of epoch 1 were kept" in told


def test_a_batch_larger_than_the_data_is_cut_and_told(train: Callable[..., Any], shop: Path) -> None:
    _, out, _ = train(shop, "kind", "--batch", "5000")
    assert "note        The batch of 5,000 rows was cut to the 38 training rows." in out
    assert config("runs/shop-1")["config"]["batch_size"] == 38
    _, out, _ = train(shop, "kind", "--batch", "32")
    assert "note" not in out


@pytest.mark.parametrize("target", ["kind", "price"])
def test_weights_of_one_change_nothing_and_others_do(
    train: Callable[..., Any], table: Callable[..., Path], target: str
) -> None:
    rows = [[i / 7, math.sin(i), 1, 1 + i % 3, "uv"[i % 2], math.cos(i)] for i in range(40)]
    data = table("t.csv", ["a", "b", "ones", "counts", "kind", "price"], rows)
    for folder, words in {
        "none": ("--drop", "ones", "--drop", "counts"),
        "ones": ("--weight-column", "ones", "--drop", "counts"),
        "counts": ("--weight-column", "counts", "--drop", "ones"),
    }.items():
        assert train(data, target, *words, "--out", folder, "--quiet").code == 0
    assert (
        fl.load("counts/model.safetensors").encoder.source_columns
        == fl.load("none/model.safetensors").encoder.source_columns
    )
    assert same(weights("none"), weights("ones"))
    assert not same(weights("none"), weights("counts"))


def test_balanced_class_weights_raise_the_rare_class(
    train: Callable[..., Any], cli: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    data = table("t.csv", ["a", "b", "y"], [[a, b, "rare" if i % 10 == 0 else "usual"] for i, (a, b, _) in
                                            enumerate(numbered(80))])  # fmt: skip
    rare = {}
    for folder, words in {"plain": (), "balanced": ("--class-weight", "balanced")}.items():
        train(data, "y", "--epochs", "10", "--hidden", "none", "--lr", "0.05", *words, "--out", folder, "--quiet")
        chances = fl.load(f"{folder}/model.safetensors").predict_proba(data)
        rare[folder] = chances[:, 0].mean()
    assert rare["plain"] < 0.3
    assert rare["balanced"] == pytest.approx(0.5, abs=0.1)


def test_a_model_goes_on_from_another(train: Callable[..., Any], shop: Path, models: dict[str, Path]) -> None:
    start = fl.load(models["kind"] / "model.safetensors")
    still = ("--optimizer", "sgd", "--lr", "1e-30", "--dropout", start.plan.dropout)
    assert train(shop, "kind", "--init", models["kind"], *still, "--out", "still", "--quiet").code == 0
    gone_on = fl.load("still/model.safetensors")
    assert same(weights("still"), weights(models["kind"]))  # steps of nothing: what it started from is left
    assert gone_on.encoder.to_json() == start.encoder.to_json()
    assert gone_on.target.to_json() == start.target.to_json()
    assert train(shop, "kind", "--init", models["kind"], "--out", "on", "--quiet").code == 0
    assert not same(weights("on"), weights("still"))


def test_the_rate_is_told_in_three_digits_and_kept_in_all(train: Callable[..., Any], shop: Path) -> None:
    answer = train(shop, "kind", "--lr", "0.00100402", "--out", "run")
    assert "adamw, learning rate 0.001 (one_cycle)" in " ".join(answer.out.split())
    assert config("run")["options"]["lr"] == config("run")["config"]["optimizer"]["lr"] == 0.00100402
