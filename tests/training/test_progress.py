"""What a person sees while a network trains: on standard error, and only where it is a terminal."""

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import fallline as fl
from fallline import nn
from fallline.training.progress import Silent, Terminal, choose

X = np.random.default_rng(0).normal(size=(20, 3))
LABELS = (X[:, 0] > 0).astype(int)


def shown(**options: Any) -> str:
    """The last state of the progress line."""
    console = Console(file=io.StringIO(), force_terminal=True, width=140, no_color=True)
    fl.fit(nn.Linear(3, 2), X, LABELS, progress=Terminal(console), **options)
    assert isinstance(console.file, io.StringIO)
    return [line for line in re.split(r"[\r\n]", console.file.getvalue()) if "epoch" in line][-1]


def test_the_last_line_tells_epoch_loss_and_metrics() -> None:
    last = shown(epochs=3, validation=0.2, metrics="accuracy")
    for part in ("epoch 3/3", "100%", " loss 0.", "validation loss 0.", "validation accuracy "):
        assert part in last, last
    assert "seconds" not in last


def test_without_a_known_end_there_is_no_total() -> None:
    last = shown(until="converged", tol=0.5, patience=1, batch_size="all")
    assert "epoch " in last
    assert "/10000" not in last


def test_the_bar_is_closed_when_a_training_breaks_off() -> None:
    def fails(run: fl.Run, epoch: int) -> None:
        raise RuntimeError("mine")

    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(RuntimeError, match="mine"):
        fl.fit(nn.Linear(3, 2), X, LABELS, progress=Terminal(console), callbacks=fails)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def test_nothing_is_shown_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    fl.fit(nn.Linear(3, 2), X, LABELS, epochs=1)
    fl.fit(nn.Linear(3, 2), X, LABELS, epochs=1, progress=False)
    assert capfd.readouterr() == ("", "")


def test_the_choice() -> None:
    assert isinstance(choose(False), Silent)
    assert isinstance(choose(True), Terminal)
    own = Silent()
    assert choose(own) is own
