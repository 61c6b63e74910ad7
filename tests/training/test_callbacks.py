"""Callbacks: told of everything, in order; they may stop the training, but change nothing."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = (X[:, 0] + RNG.normal(size=40) > 0).astype(int)


def classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2), seed=1)


class Recorder(fl.Callback):
    def __init__(self, stop_at: str = "") -> None:
        self.calls: list[str] = []
        self.stop_at = stop_at

    def note(self, call: str) -> bool:
        self.calls.append(call)
        return call == self.stop_at

    def on_train_begin(self, run: fl.Run) -> bool:
        return self.note("begin")

    def on_step_end(self, run: fl.Run, step: int) -> bool:
        assert len(run.steps["loss"]) == step + 1
        return self.note(f"step {step}")

    def on_epoch_end(self, run: fl.Run, epoch: int) -> bool:
        assert len(run.history["loss"]) == epoch + 1
        return self.note(f"epoch {epoch}")

    def on_train_end(self, run: fl.Run) -> bool:
        return self.note(f"end, {run.stopped}")


@pytest.mark.parametrize(
    ("stop_at", "calls"),
    [
        ("", ["begin", "step 0", "step 1", "epoch 0", "step 2", "step 3", "epoch 1", "end, epochs"]),
        ("begin", ["begin", "end, callback"]),
        ("step 2", ["begin", "step 0", "step 1", "epoch 0", "step 2", "end, callback"]),
        ("epoch 0", ["begin", "step 0", "step 1", "epoch 0", "end, callback"]),
    ],
)
def test_callbacks_see_everything_and_may_stop(stop_at: str, calls: list[str]) -> None:
    recorder = Recorder(stop_at)
    run = fl.fit(classifier(), X, LABELS, batch_size=20, epochs=2, callbacks=[recorder])
    assert recorder.calls == calls
    assert run.stopped == ("callback" if stop_at else "epochs")


def test_functions_are_called_after_each_epoch_and_only_true_stops() -> None:
    seen: list[int] = []
    run = fl.fit(
        classifier(), X, LABELS, epochs=9,
        callbacks=[lambda run, epoch: seen.append(epoch), lambda run, epoch: 1, lambda run, epoch: epoch == 2],
    )  # fmt: skip
    assert seen == [0, 1, 2]
    assert (run.stopped, run.epochs) == ("callback", 3)


def test_an_exception_of_a_callback_comes_through_and_leaves_the_weights_of_then() -> None:
    def fails(run: fl.Run, epoch: int) -> None:
        if epoch == 1:
            raise RuntimeError("mine")

    net, reference = classifier(), classifier()
    with pytest.raises(RuntimeError, match="mine"):
        fl.fit(net, X, LABELS, epochs=9, callbacks=fails)
    fl.fit(reference, X, LABELS, epochs=2)
    assert net.parameters()["0.weight"].tobytes() == reference.parameters()["0.weight"].tobytes()


def test_what_is_no_callback_is_refused() -> None:
    with pytest.raises(fl.KindError, match=r"must be a function \(run, epoch\) or a fallline.Callback, found 3"):
        fl.fit(classifier(), X, LABELS, callbacks=[3])
