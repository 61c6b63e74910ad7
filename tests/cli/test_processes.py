"""What can only be seen from outside: signals, a reader that goes away, a command that is pasted."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl

SOURCE = Path(fl.__file__).parents[1]


def start(*words: str, folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "fallline", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  a shell with & ignores it
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_keeps_what_it_has(
    cli: Callable[..., Any], tmp_path: Path, number: int, code: int
) -> None:
    words = ("train", "iris", "--target", "species", "--hidden", "4", "--batch", "all", "--epochs", "1000000")
    process = start(*words, "--out", "run", folder=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "history.jsonl").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")
    assert "you interrupted it" in out
    told = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert told["stopped"] == "interrupted"
    assert told["epochs"] >= 1
    assert len(fl.load(tmp_path / "run" / "model.safetensors").predict("iris")) == 150
    assert (tmp_path / "run" / "report.html").exists()
    again = cli(*words, "--out", "run")
    assert again.code == 2
    assert again.err.startswith("error: the run folder 'run' exists already and is not empty")


def test_the_command_to_type_next_works(tmp_path: Path) -> None:
    process = start("train", "diabetes", "--target", "last", "--hidden", "none", "--epochs", "1", folder=tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    typed = next(line[12:] for line in out.splitlines() if line.startswith("next"))
    answer = subprocess.run(
        typed,
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.count("\n") == 443
    assert shlex.split(typed)[-1] == "diabetes"


def test_a_reader_may_go_away(tmp_path: Path, models: dict[str, Path], table: Any) -> None:
    names = ["size", "weight", "colour", "fresh", "day"]
    table("many.csv", names, [[i / 7, i % 5, "red", "true", "2024-01-02"] for i in range(20_000)])
    process = start("predict", str(models["price"]), "many.csv", folder=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "prediction\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0
