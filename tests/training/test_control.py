"""Pause, resume and stop through a file in the run folder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.training import control
from fallline.training.control import ask, is_paused

X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


def train(folder: Path | None, callback: Any = (), epochs: int = 8) -> fl.Run:
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2), seed=1)
    return fl.fit(net, X, LABELS, batch_size=8, epochs=epochs, run_dir=folder, callbacks=callback)


def bits(run: fl.Run) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in run.network.parameters().items()}


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_pause_changes_nothing_but_the_time_of_day(tmp_path: Path) -> None:
    folder, seen = tmp_path / "run", list[Any]()

    def resume_later() -> None:
        wait_until(lambda: is_paused(folder))
        before = time.process_time()
        time.sleep(0.5)
        checkpoints = [path.name for path in (folder / "checkpoints").glob("step-*")]
        seen.append((time.process_time() - before, (folder / "losses.f64").stat().st_size, checkpoints))
        ask(folder, "resume")

    waiter = threading.Thread(target=resume_later)

    def pause(run: fl.Run, epoch: int) -> None:
        if epoch == 2:
            ask(folder, "pause")
            waiter.start()

    run = train(folder, pause)
    waiter.join()
    ((spent, size, checkpoints),) = seen
    assert (run.stopped, run.epochs) == ("epochs", 8)
    assert bits(run) == bits(train(None))
    assert spent < 0.1  # of half a second: it waits, and does not spin
    assert size == 8 * 24  # whoever looks meanwhile finds all losses, and the state
    assert checkpoints == ["step-000000024.safetensors"]
    assert run.seconds < 0.5
    assert max(run.history["seconds"]) < 0.5
    assert {path.name for path in folder.iterdir()} & {control.ASKED, control.PAUSED} == set()


def test_a_stop_is_like_ctrl_c_and_can_be_gone_on_from(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = train(folder, lambda run, epoch: ask(folder, "stop") if epoch == 2 else None)
    assert (run.stopped, run.signal, run.epochs) == ("interrupted", None, 3)
    assert json.loads((folder / "run.json").read_text())["stopped"] == "interrupted"
    assert not (folder / control.ASKED).exists()
    assert bits(fl.resume(folder, X, LABELS)) == bits(train(None))


def test_a_stop_ends_a_pause(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def stop_later() -> None:
        wait_until(lambda: is_paused(folder))
        ask(folder, "stop")

    def pause(run: fl.Run, epoch: int) -> None:
        ask(folder, "pause")
        threading.Thread(target=stop_later).start()

    run = train(folder, pause)
    assert (run.stopped, run.epochs) == ("interrupted", 1)
    assert not is_paused(folder)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from test_control import train
from pathlib import Path
folder = Path(sys.argv[1])
run = train(folder, epochs=100_000_000)
print(run.stopped, run.signal)
"""


def started(folder: Path) -> "subprocess.Popen[str]":
    place = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), place], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(fl.__file__).parents[1])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    wait_until(lambda: (folder / "losses.f64").exists() or process.poll() is not None)
    return process


def test_a_paused_training_answers_ctrl_c(tmp_path: Path) -> None:
    process = started(tmp_path / "run")
    ask(tmp_path / "run", "pause")
    wait_until(lambda: is_paused(tmp_path / "run"))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.split()) == (0, ["interrupted", "2"])
    assert not (tmp_path / "run" / control.PAUSED).exists()


def test_a_training_that_was_killed_while_it_waited_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = started(folder)
    ask(folder, "pause")
    wait_until(lambda: is_paused(folder))
    process.kill()
    process.communicate()
    with pytest.raises(fl.RunFolderError, match=r"no training writes to .* now, so there is nothing to resume"):
        ask(folder, "resume")
    assert is_paused(folder)  # the file is still there, and says nothing to the next training
    steps = fl.resume(folder, X, LABELS, callbacks=lambda run, epoch: True).steps["loss"]
    assert len(steps) >= 8
    assert not is_paused(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"pause"', b'{"action": "pauze"}', b'{"action": ["pause"]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_request_is_none(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "run"
    run = train(folder, lambda run, epoch: (folder / control.ASKED).write_bytes(content) and None)
    assert (run.stopped, run.epochs) == ("epochs", 8)


def test_the_folder_may_go_while_the_training_waits(tmp_path: Path) -> None:
    """Then nobody can ask any more; the training goes on, and says at its end what it could not write."""
    import shutil

    folder = tmp_path / "run"

    def remove() -> None:
        wait_until(lambda: is_paused(folder))
        shutil.rmtree(folder)

    def pause(run: fl.Run, epoch: int) -> None:
        if epoch == 2:
            ask(folder, "pause")
            threading.Thread(target=remove).start()

    with pytest.raises(fl.ModelFileError, match="The trained weights were saved to"):
        train(folder, pause)


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(
        fl.ArgumentError, match="a training cannot be asked to 'halt': choose one of: pause, resume, stop"
    ):
        ask(tmp_path, "halt")
    with pytest.raises(fl.RunFolderError, match=r"no training writes to .* now, so there is nothing to stop"):
        ask(tmp_path, "stop")
    with pytest.raises(fl.RunFolderError, match=r"no training writes to .* now, so there is nothing to pause"):
        ask(tmp_path / "nowhere", "pause")
