"""`fl.profile`: network and bits stay, the parts add up. Nothing is asserted about how long anything takes."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.engine.calibration import Limits
from fallline.engine.epochs import Epochs
from fallline.engine.profiled import ProfiledEpochs
from fallline.insight.profile_table import Profile, ProfiledKernel, aligned
from fallline.nn.losses import get
from fallline.training.batches import Batches
from fallline.training.plan import step_graph
from fallline.training.step import Rows
from fallline.training.steppers import CompiledStepper, Snapshot

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 8)).astype(np.float32)
LABELS = RNG.integers(0, 3, 100)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3), seed=0)


def test_the_network_is_not_changed() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm(16), nn.ReLU(), nn.Linear(16, 3), seed=0)
    weights, buffers = net.parameters(), net.buffers()
    found = fl.profile(net, X, LABELS, optimizer="adam", steps=7)
    assert found.steps == 7
    assert all(np.array_equal(weights[name], value) for name, value in net.parameters().items())
    assert all(np.array_equal(buffers[name], value) for name, value in net.buffers().items())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"threads": 1, "batch_size": 100},
        {"threads": 3, "batch_size": "all", "optimizer": optim.SGD(lr=0.01)},
        {"threads": 2, "batch_size": 64, "dtype": "float64", "shards": 2, "clip_norm": 1.0},
        {"sample_weight": np.ones(100), "class_weight": "balanced", "shuffle": False, "clip_value": 1.0},
    ],
)
def test_the_parts_add_up(given: dict[str, Any]) -> None:
    found = fl.profile(network(), X, LABELS, steps=20, **given)
    assert found.threads == given.get("threads", found.threads)
    assert found.batch_size == {"all": 100}.get(given.get("batch_size", 32), given.get("batch_size", 32))
    kernels = sum(kernel.seconds for kernel in found.kernels)
    assert found.seconds_per_step == pytest.approx(kernels + found.waiting_seconds + found.between_seconds)
    assert all(kernel.seconds > 0 and kernel.limit_seconds >= 0 and kernel.calls >= 1 for kernel in found.kernels)
    assert found.waiting_seconds > 0
    assert found.limits.threads == found.threads


def test_the_work_is_that_of_the_plan() -> None:
    given: dict[str, Any] = {"optimizer": "adam", "batch_size": 25}
    planned = fl.plan(network(), X, LABELS, **given)
    found = fl.profile(network(), X, LABELS, steps=3, **given)
    told = [(kernel.part, kernel.what, kernel.calls, kernel.multiply_adds, kernel.bytes) for kernel in found.kernels]
    assert told == [(k.part, k.what, k.calls, k.multiply_adds, k.bytes) for k in planned.kernels]
    assert sum(kernel.multiply_adds for kernel in found.kernels) == planned.multiply_adds_per_step


def test_measuring_changes_no_bits() -> None:
    optimizer, loss = optim.Adam(lr=0.01), get("cross_entropy")
    batches = Batches(Rows(X, LABELS), 32, 0, True)
    weights = network().parameters()
    made = []
    for kind in (Epochs, ProfiledEpochs):
        update = step_graph(network(), batches.rows, loss, optimizer, "float32", None, None)
        start = Snapshot(dict(weights), {}, optimizer.init(weights))
        stepper = CompiledStepper(update, batches, start, lambda first, count: np.ones(count), epochs=kind, threads=2)
        made.append((stepper.run(0, 10), stepper.snapshot().weights))
    (plain_losses, plain), (losses, measured) = made
    assert np.array_equal(plain_losses, losses)
    assert all(np.array_equal(plain[name], measured[name]) for name in weights)


def test_ticks_are_counted_for_each_thread_and_begin_anew() -> None:
    optimizer = optim.SGD(lr=0.01)
    batches = Batches(Rows(X[:96], LABELS[:96]), 32, 0, True)
    weights = network().parameters()
    made: list[ProfiledEpochs] = []

    def epochs(*arguments: Any, **given: Any) -> ProfiledEpochs:
        made.append(ProfiledEpochs(*arguments, **given))
        return made[0]

    update = step_graph(network(), batches.rows, get("cross_entropy"), optimizer, "float32", None, None)
    start = Snapshot(weights, {}, optimizer.init(weights))
    stepper = CompiledStepper(update, batches, start, lambda first, count: np.ones(count), epochs=epochs, threads=2)
    stepper.run(0, 5)
    table = made[0].ticks()
    assert table.shape == (2, len(made[0].text.kernels) + 1)
    assert (table.sum(axis=1) > 0).all()
    assert not made[0].ticks().any()
    assert made[0].seconds > 0


def test_a_learning_rate_at_which_training_fails_is_measured_all_the_same() -> None:
    y = np.ones((100, 3))
    found = fl.profile(network(), X, y, loss="mse", optimizer=optim.SGD(lr=1e30, momentum=0.9), steps=200)
    assert found.steps == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, r"^profile: steps must be a whole number of at least 1, found 0$"),
        ({"threads": 0}, r"^profile: threads must be a whole number of at least 1, found 0$"),
        ({"batch_size": -1}, r"^profile: batch_size must be a whole number of at least 1, or 'all' .*; found -1$"),
        ({"dtype": "int8"}, r"^profile: dtype cannot be 'int8'; "),
        ({"optimizer": 5}, r"^profile: optimizer must be an object of fallline\.optim or its name, found 5$"),
        ({"y": LABELS[:9]}, r"^profile: x has 100 rows but y has 9; they must agree$"),
        ({"x": X[:0]}, r"^profile: x has no rows; there is nothing to learn from$"),
        ({"net": 3}, r"^profile: net must be an object of fallline\.nn\.Module, found 3$"),
        (
            {"loss": "mse", "y": np.full((100, 3), 1e30), "steps": 50},
            r"^profile: the loss is inf at the network's own weights, so there is no training to measure; "
            r"scale x and y, or begin with smaller weights$",
        ),
    ],
)
def test_wrong_arguments_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(fl.FalllineError, match=message):
        fl.profile(**{"net": network(), "x": X, "y": LABELS, **given})


LIMITS = Limits(2, 2e11, ((1 << 20, 1e11),), ((8 << 20, 1e8),), 6e-8)
PRODUCT = ProfiledKernel("forward", "product 32×64×128: matmul", 2, 5e-6, 500_000, 100_000, 2.5e-6)
LONG = ProfiledKernel(
    "backpropagation + gradient descent", "rows 32×10: " + ", ".join(["subtract"] * 12), 1, 1e-6, 0, 2000, 1e-8
)
PROFILE = Profile((PRODUCT, LONG), 2e-6, 2e-6, 1000, 32, 2, LIMITS)


def test_rates_and_shares_are_worked_out() -> None:
    assert PRODUCT.gflops == pytest.approx(200)  # 10⁶ operations in 5 µs
    assert PRODUCT.gbytes == pytest.approx(20)
    assert PRODUCT.of_limit == pytest.approx(0.5)
    assert PROFILE.seconds_per_step == pytest.approx(1e-5)
    assert math.isfinite(replace(PRODUCT, seconds=0.0).gflops + replace(PRODUCT, seconds=0.0).of_limit)


TABLE = """\
1,000 steps of 32 rows on 2 threads: 10.00 µs each

part                kernel                                        calls  µs/step    share  GFLOP/s  GB/s  of limit
forward             product 32×64×128: matmul                         2     5.00   50.0 %    200.0  20.0      50 %
backprop + descent  rows 32×10: subtract, subtract, subtract, s…      1     1.00   10.0 %            2.0       1 %
                    waiting for other threads                               2.00   20.0 %
                    between the steps                                       2.00   20.0 %
                    all                                                    10.00  100.0 %

limits of 2 threads: 200 GFLOP/s; GB/s 100 (in 1 MB); a barrier 60 ns"""


def test_the_table_is_neat() -> None:
    assert str(PROFILE) == TABLE


def test_a_disturbed_calibration_is_told() -> None:
    fast = replace(PROFILE, kernels=(replace(PRODUCT, limit_seconds=1e-5),))
    assert str(fast).endswith("more than 100 % of a limit: something else was running while the limits were measured")


def test_a_real_table_is_aligned_and_complete() -> None:
    text = str(fl.profile(network(), X, LABELS, steps=5, threads=1, batch_size=1))
    lines = text.splitlines()
    assert re.fullmatch(r"5 steps of 1 row on 1 thread: [\d,.]+ µs each", lines[0])
    table = lines[2 : lines.index("", 2)]
    widest = max(len(line) for line in table)
    assert len(table[0]) == widest <= 120
    assert {len(line) for line in table if line.endswith(" %") and "forward" in line} == {widest}
    assert "gradient descent" not in text
    assert any("backprop + descent" in line for line in table)


def test_columns_are_aligned() -> None:
    assert aligned([("a", "bb", "1"), ("aaa", "b", "100")]) == ["a    bb    1", "aaa  b   100"]
