"""A loss or weight that turns NaN or infinite: the training stops, says why, and keeps good weights."""

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.3 * RNG.normal(size=(40, 1)) + 0.7


def test_an_exploding_training_names_step_tensor_and_op_and_keeps_good_weights() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 1))
    run = fl.fit(net, X, Y, loss="mse", optimizer=optim.SGD(lr=1e6), batch_size=8, epochs=5)
    assert run.stopped == "nan"
    step = len(run.steps["loss"])
    assert f"at step {step} (epoch {step // 5 + 1}): " in run.problem
    assert re.search(
        r": matmul overflowed in layer \d \(Linear\), in rows .* of the training set \(the whole batch\): a sum",
        run.problem,
    )
    assert "learning rate 1e+06. Training stopped and the initial weights were kept. " in run.problem
    assert run.problem.endswith("Try a learning rate of 100000, or clip the gradients (fl.fit's clip_norm=1).")
    fresh = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 1)).parameters()
    assert all(value.tobytes() == fresh[name].tobytes() for name, value in net.parameters().items())
    assert run.history["loss"] == []
    assert all(math.isfinite(loss) for loss in run.steps["loss"])


@pytest.mark.parametrize("batch_size", [8, "all"])
def test_weights_are_kept_at_which_a_loss_was_finite(batch_size: Any) -> None:
    """The rate grows too large only after some good epochs; the loss of what is kept is finite."""
    net = nn.Linear(3, 1)

    class Grows(optim.Schedule):
        def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: Any = None) -> float:
            return 1.0 if step < 3 * steps_per_epoch else 1e12

        def config(self) -> dict[str, Any]:
            return {"name": "grows"}

    run = fl.fit(net, X, Y, loss="mse", optimizer=optim.SGD(lr=0.05), batch_size=batch_size, epochs=9, schedule=Grows())
    assert run.stopped == "nan"
    assert "the weights after epoch " in run.problem
    assert math.isfinite(fl.evaluate(net, X, Y, loss="mse")["loss"])
    assert math.isfinite(run.history["train_loss"][-1])


def test_an_update_that_spoils_a_weight_is_told_though_no_loss_was_bad() -> None:
    """One step on all rows: the loss is finite, the weights after it are not."""
    net = nn.Linear(3, 1)
    x = X * 1e15
    run = fl.fit(net, x, Y, loss="mse", optimizer=optim.SGD(lr=1e30), batch_size="all", epochs=1)
    assert run.stopped == "nan"
    assert "the update at step 0 (epoch 1) made 'weight' " in run.problem
    assert "the initial weights were kept" in run.problem
    assert net.parameters()["weight"].tobytes() == nn.Linear(3, 1).parameters()["weight"].tobytes()


def test_weights_whose_loss_is_infinite_at_the_end_are_not_kept() -> None:
    net = nn.Linear(3, 1)
    run = fl.fit(net, X, Y, loss="mse", optimizer=optim.SGD(lr=1e30), batch_size="all", epochs=1)
    assert run.stopped == "nan"
    assert "the loss of the whole training set became inf after step 0: multiply overflowed in the loss" in run.problem
    assert ", in rows 0, 1, 2 and 37 more of the training set: the square of " in run.problem
    assert net.parameters()["weight"].tobytes() == nn.Linear(3, 1).parameters()["weight"].tobytes()


def test_an_op_that_makes_nan_is_named() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 1)

        def __call__(self, x: Any) -> Any:
            return fl.sqrt(self.inner(x) - 100.0)

    run = fl.fit(Root(), X, Y, loss="mse", epochs=1)
    assert run.stopped == "nan"
    rows = ", ".join(str(number) for number in fl.batch_order(40, seed=0, epoch=0)[:3])
    assert (
        f"at step 0 (epoch 1): sqrt made nan in the network (Root), in rows {rows} and 29 more of the training set "
        "(the whole batch): the square root of -10"
    ) in run.problem


def test_nan_keeps_the_best_epoch_where_there_was_one() -> None:
    net = nn.Linear(3, 1)
    run = fl.fit(net, X, Y, loss="mse", optimizer=optim.SGD(lr=3.0), batch_size=8, epochs=200, validation=(X, Y))
    assert run.stopped == "nan"
    assert run.best_epoch is not None
    assert f"the weights of the best epoch, {run.best_epoch + 1}, were kept" in run.problem
    assert fl.evaluate(net, X, Y, loss="mse")["loss"] == min(run.history["validation_loss"])


def test_a_validation_loss_that_goes_bad_alone_names_its_rows() -> None:
    net = nn.Linear(1, 1, bias=False, init="ones")
    x, held_out = np.ones((8, 1)), np.array([[1.0], [1e25], [1.0]])
    options: dict[str, Any] = {"optimizer": optim.SGD(lr=1e-9), "batch_size": 4, "epochs": 2}
    run = fl.fit(net, x, 0 * x, loss="mse", validation=(held_out, 0 * held_out), **options)
    assert run.stopped == "nan"
    assert run.problem.startswith(
        "the validation loss became inf in epoch 1, though the training loss is finite: multiply"
    )
    assert "multiply overflowed in the loss, in row 1 of the validation rows: the square of 1e+25 is bey" in run.problem


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_bad_numbers_that_never_reach_the_loss_stop_nothing(engine: str) -> None:
    """A dead branch, and a mask of infinities."""

    class Dead(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 2)

        def __call__(self, x: Any) -> Any:
            safe = fl.where(x * x < 0.0, fl.log(x * 0.0), x)
            masked = fl.where(safe < 100.0, safe, -np.inf)
            return self.inner(fl.maximum(masked, -10.0))

    run = fl.fit(Dead(), X, np.zeros((40, 2)), loss="mse", batch_size=8, epochs=2, engine=engine)
    assert run.stopped == "epochs"


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_a_dead_branch_is_not_blamed_for_another_fault(engine: str) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 1)

        def __call__(self, x: Any) -> Any:
            dead = fl.log(fl.sum(x * 0.0, -1, keepdims=True))
            return fl.where(self.inner(x) > 1e6, dead, fl.sqrt(self.inner(x) - 100.0))

    run = fl.fit(Both(), X, Y, loss="mse", batch_size=8, epochs=1, engine=engine)
    assert "(epoch 1): sqrt made nan in the network (Both), in rows " in run.problem


def test_data_that_change_while_an_epoch_runs_are_told_of() -> None:
    """Taking the epoch's steps again finds the bad row sooner than the training did."""
    x = np.ones((40, 1), dtype=np.float32)
    order = fl.batch_order(40, seed=0, epoch=0)

    class Spoil(fl.Callback):
        def on_step_end(self, run: Any, step: int) -> None:
            if step == 2:
                x[order[[0, -1]]] = np.nan

    run = fl.fit(nn.Linear(1, 1), x, 0 * x, loss="mse", batch_size=8, epochs=1, shuffle=True, callbacks=[Spoil()])
    assert run.stopped == "nan"
    assert "the loss became nan at step 4 (epoch 1); taking the step again did not show where" in run.problem
    assert "have the data changed during the training?" in run.problem
