"""`fallline train --resume RUN --branch NEW`: another run from some step of one that stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl
from fallline.cli.train_job import TrainJob
from fallline.training.signals import Interrupted

Cli = Callable[..., Any]
Refused = Callable[..., str]


def files(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def begun(cli: Cli, shop: Path, *words: Any) -> None:
    common = (shop, "--target", "kind", "--hidden", "4", "--epochs", "6", "--schedule", "constant", "--batch", "8")
    assert cli("train", *common, *words, "--out", "old", "--quiet").code == 0


def test_a_branch_without_changes_ends_as_the_run_does(
    cli: Cli, shop: Path, bits: Callable[..., Any], told: Callable[..., Any]
) -> None:
    begun(cli, shop)
    before = files("old")
    answer = cli("train", "--resume", "old", "--branch", "new", "--step", "11")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("run         new leaves old at step 11 of 30, after 2 epochs of 6\n")
    assert "4 more epochs on " in answer.out
    assert bits("new") == bits("old")
    assert files("old") == before
    assert (told("new")["score"], told("new")["epochs"]) == (told("old")["score"], 6)
    assert told("new")["branched_from"]["step"] == 11
    assert told("new")["command"].endswith("train --resume old --branch new --step 11")
    assert Path("new/report.html").exists()


def test_a_branch_has_what_it_was_given(
    cli: Cli, shop: Path, bits: Callable[..., Any], told: Callable[..., Any]
) -> None:
    begun(cli, shop)
    words = ("--lr", "0.03", "--epochs", "8", "--patience", "5", "--schedule", "cosine")
    answer = cli("train", "--resume", "old", "--branch", "new", "--step", "10", *words, "--json")
    assert (answer.code, json.loads(answer.out)["run"]) == (0, "new")
    config, options = told("new")["config"], told("new")["options"]
    assert config["optimizer"]["lr"] == 0.03
    assert (config["epochs"], config["patience"], config["schedule"]["name"]) == (8, 5, "cosine")
    assert (options["lr"], options["epochs"], options["schedule"], options["patience"]) == (0.03, 8, "cosine", 5)
    x_changed = fl.load("new/model.safetensors").network.parameters()
    assert x_changed.keys() == fl.load("old/model.safetensors").network.parameters().keys()
    assert bits("new") != bits("old")
    # The same in Python, from the data that the run names.
    from fallline.tables.again import data_of_run
    from fallline.training.run_reader import StoredRun

    given = data_of_run(StoredRun("old"))
    rule = fl.optim.from_config({**told("old")["config"]["optimizer"], "lr": 0.03})
    run = fl.resume(
        "old", given.x, given.y, validation=given.validation, branch="python", step=10, metrics=("accuracy",),
        optimizer=rule, epochs=8, patience=5, schedule="cosine",
    )  # fmt: skip
    assert {name: value.tobytes() for name, value in run.network.parameters().items()} == bits("new")


def test_a_branch_is_a_run_like_others(
    cli: Cli, shop: Path, bits: Callable[..., Any], told: Callable[..., Any]
) -> None:
    begun(cli, shop)
    assert cli("train", "--resume", "old", "--branch", "new", "--epochs", "9", "--quiet").code == 0
    assert told("new")["epochs"] == 9
    again = cli("train", "--resume", "new")
    assert again.code == 0
    assert again.out.startswith(
        "run         new is at its end: step 45 of 45, after 9 epochs of 9; its weights stay as"
    )
    assert cli("verify", "new").code == 0
    assert cli("train", "--resume", "new", "--branch", "newer", "--step", "33", "--quiet").code == 0
    assert bits("newer") == bits("new")


def test_a_branch_trains_all_epochs_that_it_is_given(
    cli: Cli, shop: Path, bits: Callable[..., Any], told: Callable[..., Any]
) -> None:
    words = ("--target", "kind", "--hidden", "4", "--quiet", "--no-refit")
    assert cli("train", shop, *words, "--out", "old").code == 0
    usual = told("old")["config"]["patience"]
    assert usual >= 10
    assert cli("train", "--resume", "old", "--branch", "same", "--step", "4", "--quiet").code == 0
    assert told("same")["config"]["patience"] == usual
    assert bits("same") == bits("old")
    answer = cli("train", "--resume", "old", "--branch", "new", "--step", "4", "--epochs", "7")
    assert told("new")["config"]["patience"] is None
    assert told("new")["epochs"] == 7
    rate = told("old")["config"]["optimizer"]["lr"]  # not that of a run of 7 epochs
    assert (told("new")["config"]["optimizer"]["lr"], told("new")["options"]["lr"]) == (rate, rate)
    assert f"adamw, learning rate {rate:g} (one_cycle)" in answer.out
    assert "the weights of the epoch with the lowest validation loss are kept\n" in answer.out


def test_an_end_that_is_interrupted_says_how_to_go_on(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(job: TrainJob, result: Any) -> None:
        raise Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(TrainJob, "_finish", interrupted)
        answer = cli("train", shop, "--target", "kind", "--hidden", "4", "--epochs", "2", "--out", "run", "--quiet")
    assert answer.code == 143
    assert answer.err.strip().startswith("interrupted; to go on: ")
    words = answer.err.split()
    assert cli(*words[words.index("train") :]).code == 0
    assert Path("run/report.html").exists()


def test_what_a_branch_cannot_be(refused: Refused, cli: Cli, shop: Path) -> None:
    begun(cli, shop)
    here = ("train", "--resume", "old", "--branch", "new")
    sentence = refused(*here, "--hidden", "9")
    assert sentence.startswith(
        "--resume takes data and settings from the run, so --hidden cannot be given beside it; only"
    )
    assert "with --branch NEW also --step, --lr, --epochs, --schedule and --patience" in sentence
    assert refused("train", "--resume", "old", "--step", "3").startswith("--step is where a new run branches off; give")
    assert refused(*here, "--lr", "auto").startswith("--lr auto tries a training from its beginning; a branch needs a")
    assert refused(*here, "--step", "31") == (
        "the run 'old' goes from step 0 to step 30; choose --step among them, found 31"
    )
    assert refused("train", "--resume", "old", "--branch", "old") == (
        "the run folder 'old' exists already and is not empty; choose another name with --branch, or remove it"
    )
    assert "no schedule is named so" in refused(*here, "--schedule", "cosin")


def test_a_run_says_what_it_found(cli: Cli, shop: Path, bits: Callable[..., Any], told: Callable[..., Any]) -> None:
    """--lr auto: the number is in run.json, so that whatever is done with the run later knows it."""
    common = (shop, "--target", "kind", "--hidden", "4", "--epochs", "4")
    answer = cli("train", *common, "--lr", "auto", "--out", "auto")
    assert answer.code == 0
    trial, rate = told("auto")["rate_trial"], told("auto")["options"]["lr"]
    assert trial["found"] == rate == told("auto")["config"]["optimizer"]["lr"]
    assert f"The learning rate {rate:g} was found by trial: of " in " ".join(answer.out.split())
    assert told("auto")["command"].endswith("--lr auto")
    assert "was found by trial" in Path("auto/report.html").read_text(encoding="utf-8")
    assert cli("train", *common, "--lr", f"{rate:g}", "--out", "number", "--quiet").code == 0
    assert bits("auto") == bits("number")
    assert told("auto")["config"] == told("number")["config"]
    assert cli("verify", "auto").code == 0
    assert cli("replay", "auto", "--step", "3", "--json").code == 0
    assert cli("train", "--resume", "auto", "--branch", "more", "--epochs", "5", "--quiet").code == 0
    assert told("more")["options"]["lr"] == rate
