"""Ctrl-C and SIGTERM: the training ends after the step at hand, with its weights whole."""

import json
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
from fallline.nn.model_file import load_network

X = np.random.default_rng(0).normal(size=(64, 3))
LABELS = (X[:, 0] > 0).astype(int)

PROGRAM = """
import os, signal, sys
import numpy as np
import fallline as fl
from fallline import nn
x = np.random.default_rng(0).normal(size=(64, 3))
net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
before = net.parameters()
class Signal(fl.Callback):
    def on_step_end(self, run, step):
        if step == 10:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
run = fl.fit(net, x, (x[:, 0] > 0).astype(int), batch_size=8, epochs=1000, run_dir=sys.argv[2], callbacks=[Signal()])
after = net.parameters()
assert all(np.isfinite(w).all() for w in after.values())
assert not np.array_equal(before["0.weight"], after["0.weight"])
print(run.stopped, run.signal, len(run.steps["loss"]), run.epochs, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_training_after_the_step(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, name, str(folder)],
        env={"PYTHONPATH": str(Path(fl.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["interrupted", str(int(getattr(signal, name))), "11", "1", "True"]
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert about["stopped"] == "interrupted"
    assert load_network(folder / "model.safetensors").predict(X).shape == (64, 2)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-000000011.safetensors"]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def test_the_first_signal_asks_and_the_second_insists() -> None:
    def twice(run: fl.Run, epoch: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    net = network()
    with pytest.raises(KeyboardInterrupt):
        fl.fit(net, X, LABELS, epochs=5, callbacks=twice)
    reference = network()
    fl.fit(reference, X, LABELS, epochs=1)
    assert net.parameters()["0.weight"].tobytes() == reference.parameters()["0.weight"].tobytes()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_with_validation_keeps_the_best_weights() -> None:
    def at_the_end(run: fl.Run, epoch: int) -> None:
        if epoch == 3:
            signal.raise_signal(signal.SIGINT)

    net = network()
    run = fl.fit(net, X, LABELS, epochs=50, validation=(X, 1 - LABELS), callbacks=at_the_end)
    assert run.stopped == "interrupted"
    assert run.best_epoch is not None
    assert fl.evaluate(net, X, 1 - LABELS)["loss"] == min(run.history["validation_loss"])


def test_a_handler_of_somebody_else_is_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        run = fl.fit(network(), X, LABELS, epochs=2, callbacks=lambda run, epoch: signal.raise_signal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.stopped == "epochs"
    assert heard == [signal.SIGTERM, signal.SIGTERM]


def test_training_in_another_thread_sets_no_handlers() -> None:
    found: dict[str, Any] = {}

    def work() -> None:
        found["run"] = fl.fit(network(), X, LABELS, epochs=2)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)
    assert found["run"].stopped == "epochs"


def test_a_signal_from_outside_is_noticed_within_a_step() -> None:
    """Sent while a step computes, not from within a callback."""
    timer = threading.Timer(0.1, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    started = time.monotonic()
    run = fl.fit(network(), X, LABELS, epochs=1_000_000)
    timer.join()
    assert run.stopped == "interrupted"
    assert time.monotonic() - started < 30
