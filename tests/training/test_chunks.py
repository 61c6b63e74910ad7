"""How many steps run at a time decides nothing: neither the run, nor where it goes bad, nor what is kept then."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fallline as fl
from fallline import nn, optim
from fallline.training import loop, pace
from fallline.training.loop import Training
from fallline.training.past import Past
from fallline.training.steppers import Snapshot

RNG = np.random.default_rng(5)
X = RNG.normal(size=(33, 4)).astype(np.float32)
NUMBERS = X[:, :1] * 2.0 - 0.3


class Short(pace.Pace):
    """One step at a time, though nobody asked for it."""

    def observe(self, count: int, seconds: float) -> None:
        self.steps = 1


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1), seed=2)


def ran(monkeypatch: pytest.MonkeyPatch, short: bool, **options: Any) -> tuple[fl.Run, list[int]]:
    """A run, and the lengths of its chunks."""
    lengths: list[int] = []
    chunk = Training._length

    def length(self: Training, total: int) -> int:
        lengths.append(chunk(self, total))
        return lengths[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_length", length)
        patch.setattr(pace, "SECONDS", 1e9)
        if short:
            patch.setattr(loop, "Pace", Short)
        return fl.fit(network(), X, NUMBERS, loss="mse", **options), lengths


def numbers(run: fl.Run) -> dict[str, Any]:
    return {name: values for name, values in run.history.items() if name != "seconds"}


class Leap(optim.Schedule):
    """Constant, but for the last step, whose rate makes weights infinite."""

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: Any = None) -> float:
        return 1e39 if step == total_steps - 1 else 1.0

    def config(self) -> dict[str, Any]:
        return {"name": "leap"}


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 40, "batch_size": 8, "optimizer": optim.SGD(0.05, momentum=0.9)},
        {"epochs": 400, "batch_size": 8, "optimizer": optim.SGD(0.5)},
        {"epochs": 400, "batch_size": "all", "optimizer": optim.SGD(0.8)},
        {"epochs": 9, "batch_size": "all", "optimizer": optim.SGD(0.1), "schedule": Leap()},
    ],
    ids=["good", "a loss", "a loss, batch", "the last update"],
)
def test_epochs_that_nobody_looks_at_run_together(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    one, lengths = ran(monkeypatch, short=False, **options)
    other, single = ran(monkeypatch, short=True, **options)
    assert set(single) == {1}
    assert max(lengths) >= (4 if options["batch_size"] == "all" else 10), "some epochs ran together"
    assert (one.stopped == "nan") == (options["epochs"] != 40)
    assert numbers(one) == numbers(other)
    assert one.steps == other.steps
    assert (one.stopped, one.problem, one.epochs) == (other.stopped, other.problem, other.epochs)
    kept, same = one.network.parameters(), other.network.parameters()
    assert {name: value.tobytes() for name, value in kept.items()} == {n: v.tobytes() for n, v in same.items()}


def test_epochs_run_alone_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for options in (
        {"callbacks": lambda run, epoch: None},
        {"validation": 0.2},
        {"metrics": ("train_loss",)},
        {"until": "converged", "tol": 0.0},
        {"schedule": "reduce_on_plateau"},
    ):
        _, lengths = ran(monkeypatch, short=False, epochs=20, batch_size=8, **options)
        assert max(lengths) <= 5, options


class Counter:
    """A stepper whose one weight is the number of steps taken."""

    engine, threads = "none", None

    def __init__(self, step: int) -> None:
        self.step, self.taken = step, 0

    def run(self, first: int, count: int) -> Any:
        assert first == self.step
        self.step, self.taken = self.step + count, self.taken + count
        return np.zeros(count)

    def snapshot(self) -> Snapshot:
        return Snapshot({"w": np.array(float(self.step))}, {}, {"step": self.step, "memory": {}})

    def finite(self) -> bool:
        return True

    def restore(self, snapshot: Snapshot) -> None:
        self.step = snapshot.step


@given(
    per_epoch=st.integers(1, 9), chunks=st.lists(st.integers(1, 5), min_size=1, max_size=6), beyond=st.integers(0, 20)
)
def test_the_past_finds_the_weights_at_the_beginning_of_an_epoch(
    per_epoch: int, chunks: list[int], beyond: int
) -> None:
    stepper = Counter(0)
    past = Past(stepper.snapshot(), per_epoch)
    for epochs in chunks:
        stepper.run(stepper.step, epochs * per_epoch)
        past.keep(stepper.snapshot())
    stepper.run(stepper.step, beyond)
    bad = stepper.step
    expected = (bad // per_epoch if bad % per_epoch else max(bad // per_epoch - 1, 0)) * per_epoch
    assert past.good(bad, stepper)["w"] == expected  # type: ignore[arg-type]
    assert past.good_epochs(bad) * per_epoch == expected
    assert stepper.step == bad, "the stepper is left where it was"
