"""`fallline train --resume`: a run needs nothing but its folder, and ends as if nothing had happened."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl

Refused = Callable[..., str]


@pytest.mark.parametrize(
    "words",
    [
        ("--target", "kind"),
        ("--target", "price", "--patience", "2", "--optimizer", "adam"),
        ("--target", "kind", "--class-weight", "balanced", "--batch", "7", "--shards", "2"),
        ("--target", "price", "--weight-column", "size", "--drop", "day", "--schedule", "reduce_on_plateau"),
        ("--target", "3", "--no-header", "--hidden", "none"),
        ("--target", "price", "--validation", "same.csv", "--test", "same.csv", "--dropout", "0.2"),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_resumed_run_ends_as_if_nothing_had_happened(
    cli: Callable[..., Any],
    interrupted: Callable[..., Any],
    shop: Path,
    words: tuple[str, ...],
    bits: Callable[..., Any],
    told: Callable[..., Any],
) -> None:
    Path("same.csv").write_bytes(Path(shop).read_bytes())
    common = (str(shop), *words, "--epochs", "6", "--seed", "4")
    assert cli("train", *common, "--out", "whole", "--quiet").code == 0
    stopped = interrupted(4, *common, "--out", "part")
    assert "you interrupted it" in stopped.out
    assert stopped.out.splitlines()[-1].split("train ")[-1] == "--resume part"
    assert told("part")["stopped"] == "interrupted"
    answer = cli("train", "--resume", "part", "--json", "--threads", "2")
    assert (answer.code, answer.err) == (0, "")
    assert bits("part") == bits("whole")
    line, whole = json.loads(answer.out), told("whole")
    assert (line["score"], line["validation_score"]) == (whole["score"], whole["validation_score"])
    assert (line["epochs"], line["stopped"], line["run"]) == (whole["epochs"], whole["stopped"], "part")
    assert Path("part/report.html").exists()
    assert told("part")["weights"] == {**told("part")["weights"], **dict([list(whole["weights"].items())[-1]])}
    again = cli("train", "--resume", "part", "--json")  # a finished run stays as it is
    assert json.loads(again.out)["score"] == whole["score"]
    assert bits("part") == bits("whole")


def test_a_model_to_start_from(
    cli: Callable[..., Any], interrupted: Callable[..., Any], shop: Path, bits: Callable[..., Any]
) -> None:
    words = (str(shop), "--target", "kind", "--hidden", "4", "--epochs", "3")
    assert cli("train", *words, "--out", "first", "--quiet").code == 0
    common = (str(shop), "--target", "kind", "--epochs", "4", "--init", "first/model.safetensors")
    assert cli("train", *common, "--out", "whole", "--quiet").code == 0
    interrupted(3, *common, "--out", "part", "--quiet")
    assert cli("train", "--resume", "part", "--quiet").code == 0
    assert bits("part") == bits("whole")


def test_from_another_folder(
    cli: Callable[..., Any],
    interrupted: Callable[..., Any],
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    told: Callable[..., Any],
) -> None:
    interrupted(3, str(shop), "--target", "kind", "--epochs", "4", "--out", "part", "--quiet")
    folder = Path("part").resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli("train", "--resume", folder, "--quiet").code == 0
    assert told(str(folder))["stopped"] == "epochs"


def test_what_is_refused(
    refused: Refused, cli: Callable[..., Any], interrupted: Callable[..., Any], shop: Path, told: Callable[..., Any]
) -> None:
    assert refused("train").startswith("train needs DATA, a file or the name of a bundled set; or --resume RUN; ")
    assert refused("train", "--resume", "nowhere").startswith("train --resume: there is no run in 'nowhere': ")
    interrupted(3, str(shop), "--target", "kind", "--epochs", "4", "--out", "part", "--quiet")
    for words in (("--lr", "0.1"), ("--target", "price"), ("--out", "new")):
        sentence = refused("train", "--resume", "part", *words)
        assert sentence.startswith(f"--resume takes data and settings from the run, so {words[0]} cannot be given")
    assert "so iris cannot be given" in refused("train", "iris", "--resume", "part")
    before = Path(shop).read_bytes()
    Path(shop).write_bytes(before + before.splitlines(keepends=True)[-1])
    assert "has changed since the run 'part' began; put the old one back" in refused("train", "--resume", "part")
    Path(shop).unlink()
    assert f"the file '{shop}' of the run 'part' is no longer there" in refused("train", "--resume", "part")
    assert told("part")["stopped"] == "interrupted"
    Path(shop).write_bytes(before)
    assert cli("train", "--resume", "part", "--quiet").code == 0


def test_a_run_that_was_made_in_python(refused: Refused, tmp_path: Path) -> None:
    fl.fit(fl.nn.Linear(2, 1), [[1.0, 2.0]] * 4, [[1.0]] * 4, loss="mse", epochs=1, run_dir=tmp_path / "r")
    sentence = refused("train", "--resume", tmp_path / "r")
    assert "was not made by `fallline train`, so it does not say where its data are" in sentence


@pytest.mark.skipif(os.name != "posix", reason="the lock is of Unix")
def test_one_writer_at_a_time(
    refused: Refused, cli: Callable[..., Any], interrupted: Callable[..., Any], shop: Path
) -> None:
    from fallline.training.run_folder import RunFolder

    interrupted(3, str(shop), "--target", "kind", "--epochs", "4", "--out", "part", "--quiet")
    with RunFolder("part", again=True):
        sentence = refused("train", "--resume", "part", "--quiet")
        assert sentence.startswith("the run folder 'part' is in use: another training writes to it; wait for its end")
    assert cli("train", "--resume", "part", "--quiet").code == 0
