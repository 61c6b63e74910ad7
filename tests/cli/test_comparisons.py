"""`fallline replay`, `diff` and `verify` on runs that `fallline train` made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fallline as fl

Refused = Callable[..., str]


def test_replay_shows_a_step_and_a_tensor(cli: Callable[..., Any], run: str) -> None:
    answer = cli("replay", run, "--step", "3")
    assert (answer.code, answer.err) == (0, "")
    losses = np.fromfile("run/losses.f64")
    assert f"{losses[3]:.6g}"[:6] in answer.out
    for name in ("outputs", "gradient of first.weight", "updated first.weight"):
        assert name in answer.out
    shown = cli("replay", run, "--step", "0", "--tensor", "first.weight", "--json")
    start = fl.load("run/start.safetensors").network.parameters()["first.weight"]
    assert np.array_equal(np.array(json.loads(shown.out)["values"], dtype=np.float32), start)


def test_a_run_is_verified(cli: Callable[..., Any], run: str) -> None:
    answer = cli("verify", run)
    assert (answer.code, answer.err) == (0, "")
    about = json.loads(Path("run/run.json").read_text(encoding="utf-8"))
    step = next(reversed(about["weights"]))
    about["weights"][step] = "0" * 32
    Path("run/run.json").write_text(json.dumps(about), encoding="utf-8")
    answer = cli("verify", run)
    assert answer.code == 1
    assert f"{int(step):,}" in answer.out


def test_runs_are_compared(cli: Callable[..., Any], run: str, shop: Path) -> None:
    words = ("--target", "kind", "--hidden", "4", "--epochs", "6", "--quiet")
    assert cli("train", shop, *words, "--seed", "4", "--threads", "2", "--out", "same").code == 0
    same = cli("diff", run, "same")
    assert (same.code, same.err) == (0, "")
    assert "The same weights, bit for bit, after all" in same.out
    assert cli("train", shop, *words, "--seed", "4", "--lr", "0.1", "--out", "faster").code == 0
    other = cli("diff", run, "faster")
    assert other.code == 0
    assert "The first step that differs is step 0" in other.out
    assert "optimizer.lr" in other.out


def test_what_is_refused(refused: Refused, run: str, tmp_path: Path) -> None:
    assert "there is no run in 'nowhere'" in refused("replay", "nowhere", "--step", "1")
    assert "there is no run in 'nowhere'" in refused("diff", run, "nowhere")
    assert "there is no run in 'nowhere'" in refused("verify", "nowhere")
    assert "found step=99" in refused("replay", run, "--step", "99")
    assert "the step has no tensor 'first.wait': did you mean" in refused(
        "replay", run, "--step", "1", "--tensor", "first.wait"
    )
    fl.fit(fl.nn.Linear(2, 1), [[1.0, 2.0]] * 4, [[1.0]] * 4, loss="mse", epochs=1, run_dir=tmp_path / "python")
    assert "was not made by `fallline train`" in refused("verify", "python")
