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
    assert re.search(r": \w+ in the forward pass made (nan|infinity) in a tensor of shape \(8, \d\) from", run.problem)
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
    assert "the loss of the whole training set became inf after step 0" in run.problem
    assert net.parameters()["weight"].tobytes() == nn.Linear(3, 1).parameters()["weight"].tobytes()


def test_an_op_that_makes_nan_is_named() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 1)

        def __call__(self, x: Any) -> Any:
            return fl.sqrt(self.inner(x) - 100.0)

    run = fl.fit(Root(), X, Y, loss="mse", epochs=1)
    assert run.stopped == "nan"
    assert (
        "at step 0 (epoch 1): sqrt in the forward pass made nan in a tensor of shape (32, 1) from values -10"
        in run.problem
    )


def test_nan_keeps_the_best_epoch_where_there_was_one() -> None:
    net = nn.Linear(3, 1)
    run = fl.fit(net, X, Y, loss="mse", optimizer=optim.SGD(lr=3.0), batch_size=8, epochs=200, validation=(X, Y))
    assert run.stopped == "nan"
    assert run.best_epoch is not None
    assert f"the weights of the best epoch, {run.best_epoch + 1}, were kept" in run.problem
    assert fl.evaluate(net, X, Y, loss="mse")["loss"] == min(run.history["validation_loss"])
