"""`fl.plan`: counts worked out by hand, sizes that a training really takes, and what it says where it cannot tell."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.engine import epochs
from fallline.nn.losses import LOSSES
from fallline.training.plan import duration

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 8)).astype(np.float32)
LABELS = RNG.integers(0, 3, 100)


def digits_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10), seed=0)


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3), seed=0)


def test_parameters_and_multiply_adds_are_those_of_the_textbook() -> None:
    found = fl.plan(digits_network(), batch_size=32)
    assert found.parameters == 64 * 128 + 128 + 128 * 10 + 10
    forward = 32 * (64 * 128 + 128 * 10)
    # backpropagation: dW of both layers takes as much as the forward pass; dL/dx only the second layer's
    assert found.multiply_adds_per_step == 2 * forward + 32 * 128 * 10
    assert found.batch_size == 32
    assert (found.rows, found.steps_per_epoch, found.data_bytes, found.predicted_seconds_per_epoch) == (None,) * 4


@pytest.mark.parametrize(("optimizer", "arrays"), [("adam", 3), (optim.SGD(lr=0.1), 1), (None, 2)])
@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8)])
def test_the_state_has_room_for_weights_and_slots(optimizer: Any, arrays: int, dtype: str, size: int) -> None:
    net = nn.Sequential(nn.Linear(256, 256, bias=False), seed=0)
    found = fl.plan(net, optimizer=optimizer, loss="mse", dtype=dtype)
    least = arrays * 256 * 256 * size
    assert least <= found.state_bytes < 1.3 * least  # rows are padded, and blocks of them may be written beyond the end


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 32},
        {"batch_size": 25, "optimizer": "adam"},
        {"batch_size": "all", "clip_norm": 1.0, "class_weight": "balanced"},
        {"batch_size": 7, "sample_weight": np.ones(100), "dtype": "float64", "shards": 2, "threads": 2},
    ],
)
def test_sizes_and_threads_are_those_that_fit_takes(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(epochs, "refuse_if_too_large", lambda arena, state, batch: taken.append((arena, state)))
    net = small_network()
    found = fl.plan(net, X, LABELS, **given)
    run = fl.fit(net, X, LABELS, epochs=1, **given)
    assert run.engine == "compiled"
    assert found.arena_bytes == sum(arena for arena, _ in taken)
    assert found.state_bytes == sum(state for _, state in taken)
    assert found.threads == run.config["threads"]
    assert found.batch_size == run.config["batch_size"]
    assert found.steps_per_epoch == len(run.steps["loss"])
    assert found.parameters == run.config["parameters"]


@pytest.mark.parametrize(("rows", "batch", "steps"), [(100, 32, 4), (96, 32, 3), (5, 32, 1), (33, 32, 2)])
def test_the_epoch_is_the_sum_of_its_steps(rows: int, batch: int, steps: int) -> None:
    found = fl.plan(small_network(), rows=rows, batch_size=batch)
    assert found.steps_per_epoch == steps
    assert found.data_bytes == rows * (8 * 4 + 8)  # eight floats, and a label of 64 bits
    each, whole = found.predicted_seconds_per_step, found.predicted_seconds_per_epoch
    assert whole is not None
    assert 0 < each < math.inf
    if rows % batch == 0 or rows < batch:
        assert whole == pytest.approx(steps * each)
    else:
        assert (steps - 1) * each < whole < steps * each


def test_rows_that_are_given_outnumber_those_of_x() -> None:
    found = fl.plan(small_network(), X[:1], LABELS[:1], rows=6400, batch_size=64)
    assert (found.rows, found.steps_per_epoch) == (6400, 100)


def test_kernels_tell_what_they_are_part_of_and_those_of_equal_layers_are_told_together() -> None:
    layers: list[nn.Module] = []
    for _ in range(5):
        layers += [nn.Linear(16, 16), nn.Tanh()]
    found = fl.plan(nn.Sequential(*layers, nn.Linear(16, 3)), optimizer=optim.SGD(lr=0.1))
    forward = next(kernel for kernel in found.kernels if kernel.what.startswith("product 32×16×16: matmul, add, tanh"))
    assert (forward.calls, forward.part, forward.multiply_adds) == (5, "forward", 5 * 32 * 16 * 16)
    parts = " ".join(kernel.part for kernel in found.kernels)
    assert "backpropagation" in parts
    assert "gradient descent" in parts
    assert all(kernel.predicted_seconds > 0 for kernel in found.kernels)
    assert sum(kernel.multiply_adds for kernel in found.kernels) == found.multiply_adds_per_step
    assert sum(kernel.predicted_seconds for kernel in found.kernels) <= found.predicted_seconds_per_step


def test_more_work_is_predicted_to_take_longer() -> None:
    narrow, wide = (fl.plan(nn.Sequential(nn.Linear(n, n), nn.Linear(n, 3)), threads=1) for n in (16, 512))
    assert narrow.predicted_seconds_per_step < wide.predicted_seconds_per_step


def test_nothing_is_trained_or_drawn() -> None:
    net = small_network()
    fl.plan(net)
    fl.plan(net, X, LABELS)
    assert all(parameter.value is None for parameter in net.named_parameters().values())


def test_a_plan_reads_as_four_lines() -> None:
    found = fl.plan(small_network(), rows=100, batch_size=32, threads=1)
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines] == ["network", "step", "memory", "time"]
    assert lines[0] == "network  195 parameters"
    assert lines[1].startswith("step     32 rows, 12,800 multiply-adds, ")
    assert "for intermediate results (arena), " in lines[2]
    assert "4 kB for data" in lines[2]
    assert lines[3].startswith("time     about ")
    assert " per step on 1 thread; 4 steps per epoch: " in lines[3]
    assert "per epoch" not in str(fl.plan(small_network()))


def test_it_says_what_does_not_fit() -> None:
    found = fl.plan(small_network(), batch_size="all", rows=10**14)
    assert found.available_bytes is None or not found.fits
    if found.available_bytes is not None:
        assert "PB for intermediate results (arena)" in str(found)
        assert ": too much, " in str(found)
    assert fl.plan(small_network()).fits


@pytest.mark.parametrize("name", LOSSES)
def test_targets_that_fit_the_loss_are_made_up(name: str) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2), seed=0)
    assert fl.plan(net, loss=name).predicted_seconds_per_step > 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, targets: ((outputs - targets) ** 2).mean(),
        lambda outputs, targets: fl.mean((outputs - targets) ** 2, axis=1),
        nn.losses.CrossEntropy(label_smoothing=0.1),
    ],
)
def test_losses_of_all_kinds_are_planned(loss: Any) -> None:
    assert fl.plan(small_network(), loss=loss).predicted_seconds_per_step > 0


def test_the_input_is_as_the_network_has_seen_it_before() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2), seed=0)
    images = np.zeros((2, 3, 4), dtype=np.uint8)
    net.predict(images)
    assert fl.plan(net, rows=10).data_bytes == 10 * (12 + 8)


@pytest.mark.parametrize(
    ("layers", "bytes_of_a_row"),
    [
        (lambda: [nn.Dropout(0.1), nn.Linear(5, 2)], 20),
        (lambda: [nn.BatchNorm(6), nn.ReLU(), nn.Linear(6, 2)], 24),
        (lambda: [nn.LayerNorm(7), nn.Linear(7, 2)], 28),
    ],
)
def test_the_first_layer_with_weights_tells_the_input(
    layers: Callable[[], list[nn.Module]], bytes_of_a_row: int
) -> None:
    assert fl.plan(nn.Sequential(*layers()), rows=1).data_bytes == bytes_of_a_row + 8


class Own(nn.Module):
    def __init__(self) -> None:
        self.w = nn.Parameter((4, 2))

    def __call__(self, x: fl.Tensor) -> fl.Tensor:
        return x @ self.w


def test_what_cannot_be_told_is_asked_for() -> None:
    asked = r"give plan a row of x, such as x\[:1\], and rows=… for how many there will be$"
    with pytest.raises(
        fl.ArgumentError, match=rf"^plan: the network Own does not tell the shape of its input; {asked}"
    ):
        fl.plan(Own())
    assert fl.plan(Own(), np.zeros((1, 4)), rows=7).rows == 7
    words = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(fl.ArgumentError, match=rf"^plan: the network Sequential does not tell .*; {asked}"):
        fl.plan(words)
    assert fl.plan(words, np.zeros((1, 3), dtype=int)).parameters == 40 + 26
    parallel = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2))
    with pytest.raises(
        fl.ArgumentError, match=rf"^plan: the network's input cannot be told .*Linear\(5, 2\).*; {asked}"
    ):
        fl.plan(parallel)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, r"^plan: batch_size must be a whole number of at least 1, or 'all' .*; found 0$"),
        ({"batch_size": "all"}, r"^plan: batch_size='all' needs to know how many rows there are; give x or rows$"),
        ({"rows": 0}, r"^plan: rows must be a whole number of at least 1, found 0$"),
        ({"threads": 0}, r"^plan: threads must be a whole number of at least 1, found 0$"),
        ({"shards": 1.5}, r"^plan: shards must be a whole number of at least 1, found 1\.5$"),
        ({"dtype": "float16"}, r"^plan: dtype cannot be 'float16'; did you mean 'float64'\?$|^plan: dtype cannot be"),
        ({"x": X, "y": LABELS[:5]}, r"^plan: x has 100 rows but y has 5; they must agree$"),
        ({"x": X[:, :5], "y": LABELS}, r"nn\.Linear\(8, 16\): the input's last axis must be 8"),
        ({"x": X[:, :5]}, r"nn\.Linear\(8, 16\): the input's last axis must be 8"),
        ({"loss": lambda outputs, targets: targets.nonsense}, r"nonsense"),
    ],
)
def test_wrong_arguments_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises((fl.FalllineError, AttributeError), match=message):
        fl.plan(small_network(), **given)


def test_what_is_no_network_or_optimizer_is_refused() -> None:
    with pytest.raises(fl.KindError, match=r"^plan: net must be an object of fallline\.nn\.Module, found 3$"):
        fl.plan(3)  # type: ignore[arg-type]
    with pytest.raises(
        fl.KindError, match=r"^plan: optimizer must be an object of fallline\.optim or its name, found 3$"
    ):
        fl.plan(small_network(), optimizer=3)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 ns"), (5e-9, "5 ns"), (1.5e-5, "15 µs"), (0.00123456, "1.23 ms"), (2.0, "2 s"), (12345.0, "12,345 s")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, told: str) -> None:
    assert duration(seconds) == told
