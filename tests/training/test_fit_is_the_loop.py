"""`fit` is the plain loop of backpropagation and gradient descent over `batch_order`, bit for bit."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(33, 4))
LABELS = RNG.integers(0, 3, 33)
EPOCHS = 2

OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "sgd": lambda: optim.SGD(lr=0.1),
    "momentum": lambda: optim.SGD(lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: optim.SGD(lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optim.Adam(lr=0.01),
    "adamw": lambda: optim.AdamW(lr=0.01, groups={"*.bias": {"weight_decay": 0.0}}),
    "rmsprop": lambda: optim.RMSprop(lr=0.01),
    "lion": lambda: optim.Lion(lr=0.001),
}


def dense(dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, 3), seed=2)


def batches(rows: int, size: int, seed: int = 0) -> Iterator[tuple[int, Array]]:
    """(step, the rows of its batch), over all epochs."""
    step = 0
    for epoch in range(EPOCHS):
        order = fl.batch_order(rows, seed, epoch)
        for start in range(0, rows, size):
            yield step, order[start : start + size]
            step += 1


def by_hand(
    net: nn.Module, optimizer: optim.Optimizer, size: int, **options: Any
) -> tuple[dict[str, Array], list[float]]:
    """(the final weights, the loss of each step) of the loop as the README shows it."""
    weights, losses = net.parameters(), []
    state = optimizer.init(weights)
    for step, rows in batches(len(X), size, options.get("seed", 0)):
        loss, gradients = fl.loss_and_gradients(net, X[rows], LABELS[rows], seed=options.get("seed", 0), step=step)
        losses.append(loss)
        if "clip_value" in options:
            gradients = optim.clip_by_value(gradients, options["clip_value"])
        if "clip_norm" in options:
            gradients, _ = optim.clip_by_global_norm(gradients, options["clip_norm"])
        factor = 1.0
        if "schedule" in options:
            per_epoch = -(-len(X) // size)
            factor = options["schedule"].factor(step, per_epoch, EPOCHS * per_epoch)
        weights, state = optimizer.update(weights, gradients, state, factor)
        net.load_parameters(weights)
    return weights, losses


def assert_same_bits(one: dict[str, Array], other: dict[str, Array]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert value.tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize("batch_size", [1, 7, 32, "all"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_and_batch_size(name: str, batch_size: int | str) -> None:
    size = len(X) if batch_size == "all" else int(batch_size)
    weights, losses = by_hand(dense(), OPTIMIZERS[name](), size)
    net = dense()
    run = fl.fit(net, X, LABELS, optimizer=OPTIMIZERS[name](), batch_size=batch_size, epochs=EPOCHS)
    assert_same_bits(weights, net.parameters())
    assert run.steps["loss"] == losses
    assert run.stopped == "epochs"


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.1},
        {"clip_value": 0.01},
        {"clip_value": 0.02, "clip_norm": 0.05},
        {"schedule": optim.Cosine()},
        {"schedule": optim.Warmup(1.0, optim.StepDecay(1.0))},
        {"seed": 11},
    ],
    ids=lambda options: ", ".join(options),
)
def test_clipping_schedules_and_seeds(options: dict[str, Any]) -> None:
    weights, losses = by_hand(dense(), optim.SGD(lr=0.3, momentum=0.5), 8, **options)
    net = dense()
    run = fl.fit(net, X, LABELS, optimizer=optim.SGD(lr=0.3, momentum=0.5), batch_size=8, epochs=EPOCHS, **options)
    assert_same_bits(weights, net.parameters())
    assert run.steps["loss"] == losses
    plain = dense()
    fl.fit(plain, X, LABELS, optimizer=optim.SGD(lr=0.3, momentum=0.5), batch_size=8, epochs=EPOCHS)
    assert not np.array_equal(plain.parameters()["0.weight"], weights["0.weight"]), "the option does something"


@pytest.mark.parametrize("seed", [0, 5])
def test_dropout(seed: int) -> None:
    weights, losses = by_hand(dense(0.4), optim.Adam(lr=0.01), 7, seed=seed)
    net = dense(0.4)
    run = fl.fit(net, X, LABELS, optimizer=optim.Adam(lr=0.01), batch_size=7, epochs=EPOCHS, seed=seed)
    assert_same_bits(weights, net.parameters())
    assert run.steps["loss"] == losses


def test_float64() -> None:
    start = {name: value.astype(np.float64) for name, value in dense().parameters().items()}
    by_loop, by_fit = dense(), dense()
    by_loop.load_parameters(start)
    weights, losses = by_hand(by_loop, optim.AdamW(lr=0.01), 7)
    run = fl.fit(by_fit, X, LABELS, optimizer=optim.AdamW(lr=0.01), batch_size=7, epochs=EPOCHS, dtype="float64")
    assert by_fit.dtype == "float64"
    assert_same_bits(weights, by_fit.parameters())
    assert run.steps["loss"] == losses


def test_the_order_without_shuffling_is_that_of_the_rows() -> None:
    one, other = dense(), dense()
    fl.fit(one, X, LABELS, batch_size=8, epochs=1, shuffle=False)
    inverse = np.argsort(fl.batch_order(len(X), 3, 0))
    fl.fit(other, X[inverse], LABELS[inverse], batch_size=8, epochs=1, seed=3)
    assert_same_bits(one.parameters(), other.parameters())


def test_the_same_call_gives_the_same_bits_and_another_seed_others() -> None:
    def trained(seed: int) -> dict[str, Array]:
        net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.Dropout(0.2), nn.Linear(5, 3))
        fl.fit(net, X, LABELS, epochs=2, batch_size=8, seed=seed)
        return {**net.parameters(), **net.buffers()}

    assert_same_bits(trained(1), trained(1))
    assert not np.array_equal(trained(1)["0.weight"], trained(2)["0.weight"])


def test_fit_goes_on_from_the_current_weights() -> None:
    """Two epochs of plain SGD on all rows are one epoch, twice."""
    once, twice = dense(), dense()
    fl.fit(once, X, LABELS, optimizer=optim.SGD(lr=0.2), batch_size="all", epochs=2, shuffle=False)
    for _ in range(2):
        fl.fit(twice, X, LABELS, optimizer=optim.SGD(lr=0.2), batch_size="all", epochs=1, shuffle=False)
    assert_same_bits(once.parameters(), twice.parameters())


def test_what_does_not_enter_the_arithmetic_does_not_change_bits(tmp_path: Any) -> None:
    plain, watched = dense(), dense()
    options: dict[str, Any] = {"optimizer": optim.Adam(lr=0.01), "batch_size": 8, "epochs": 2}
    fl.fit(plain, X, LABELS, **options)
    fl.fit(
        watched, X, LABELS, **options, metrics=("train_loss", "accuracy"), validation=(X[:5], LABELS[:5]),
        restore_best=False, threads=3, run_dir=tmp_path / "run", checkpoint_every=0.001,
        callbacks=[fl.Callback()], progress=False,
    )  # fmt: skip
    assert_same_bits(plain.parameters(), watched.parameters())


def test_the_optimizers_state_is_that_of_the_loop() -> None:
    net, optimizer = dense(), optim.Adam(lr=0.01)
    run = fl.fit(net, X, LABELS, optimizer=optimizer, batch_size=8, epochs=EPOCHS)
    assert run.state["step"] == 10
    assert set(run.state) == set(optimizer.init(net.parameters()))


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    large, all_rows = dense(), dense()
    fl.fit(large, X, LABELS, batch_size=1000, epochs=1)
    fl.fit(all_rows, X, LABELS, batch_size="all", epochs=1)
    assert_same_bits(large.parameters(), all_rows.parameters())


def test_frozen_weights_stay() -> None:
    net = dense()
    before = net.parameters()
    fl.fit(net, X, LABELS, optimizer=optim.SGD(lr=0.1, groups={"0.*": 0.0}), epochs=1)
    assert net.parameters()["0.weight"].tobytes() == before["0.weight"].tobytes()
    assert net.parameters()["3.weight"].tobytes() != before["3.weight"].tobytes()
