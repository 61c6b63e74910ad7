"""The steppers: both engines' steps through one interface, in runs of any length, and back to where all was finite.

The native program is played by one that walks the same graph, so that both steppers must agree bit for bit.
"""

import logging
import math
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.engine.reference import ReferenceProgram
from fallline.errors import CompileError
from fallline.ir.types import BATCH
from fallline.ops.finite import is_finite
from fallline.training.batches import Batches
from fallline.training.callbacks import wants_steps
from fallline.training.pace import Pace
from fallline.training.step import Rows, StepProgram
from fallline.training.steppers import CompiledStepper, ReferenceStepper, Snapshot, Stepper
from fallline.training.update_graph import with_update

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(33, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 33)
WEIGHT = RNG.uniform(0.1, 2.0, 33).astype(np.float32)


class WalkedEpochs:
    """`engine.epochs.Epochs` by the reference walk."""

    made: "list[WalkedEpochs]" = []  # noqa: RUF012 – each test that looks at it empties it first

    def __init__(
        self, graph: Any, *, rows: Any, state: Any, updates: Any, scalars: Any, step: Any, seed: Any, loss: str,
        batch_size: int, shuffle: bool, order_seed: int, threads: int | None, shards: int,
    ) -> None:  # fmt: skip
        self.graph, self.rows, self.updates, self.scalars, self.loss = graph, rows, updates, scalars, loss
        self.state = {name: np.array(value) for name, value in state.items()}
        self.step, self.seed, self.batch_size, self.shuffle, self.order_seed = (
            step,
            seed,
            batch_size,
            shuffle,
            order_seed,
        )
        self.count, self.shards, self.threads_used = len(next(iter(rows.values()))), shards, threads or 2
        self.calls: list[tuple[int, int]] = []
        self.made.append(self)

    def run(self, first_step: int, scalars: Array) -> Array:
        assert scalars.dtype == np.float64
        assert scalars.shape[1] == len(self.scalars)
        self.calls.append((first_step, len(scalars)))
        per_epoch, losses = -(-self.count // self.batch_size), []
        for number, values in enumerate(scalars, first_step):
            epoch, place = divmod(number, per_epoch)
            order = fl.batch_order(self.count, self.order_seed, epoch) if self.shuffle else np.arange(self.count)
            found = self._computed(number, order[place * self.batch_size : (place + 1) * self.batch_size], values)
            losses.append(float(found[self.loss]))
            self.state |= {name: found[output] for name, output in self.updates.items()}  # of a bad step, too
            if not math.isfinite(losses[-1]):
                break
        return np.array(losses)

    def views(self) -> Any:
        return self.state.values()

    def _computed(self, number: int, rows: Array, scalars: Array) -> dict[str, Array]:
        data = {name: array[rows] for name, array in self.rows.items()}
        numbers = dict(zip(self.scalars, scalars, strict=True))
        inputs = self.state | data | numbers | {self.step: number, self.seed[0]: self.seed[1]}
        typed = {
            n: np.asarray(inputs[n], node.type.dtype.value) for n, node in self.graph.inputs.items() if n in inputs
        }
        return ReferenceProgram(self.graph, {BATCH.name: len(rows)}, self.shards)(typed)

    def read(self) -> dict[str, Array]:
        return {name: value.copy() for name, value in self.state.items()}

    def write(self, values: Mapping[str, Array]) -> None:
        self.state |= {name: np.array(value) for name, value in values.items()}


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6), nn.Tanh(), nn.Dropout(0.25), nn.Linear(6, 3), seed=2)


def steppers(
    optimizer: optim.Optimizer, factor: Any = None, net: nn.Module | None = None, x: Array = X, **options: Any
) -> tuple[ReferenceStepper, CompiledStepper]:
    """Both, at the same start."""
    net, factor = net or network(), factor or (lambda step: 1.0 / (1 + step))
    rows = Rows(x, LABELS, WEIGHT)
    batches = Batches(rows, 7, 3, options.pop("shuffle", True))
    shards = options.pop("shards", 1)

    def factors(first: int, count: int) -> Array:
        return np.array([factor(step) for step in range(first, first + count)])

    program = StepProgram(net, rows, nn.losses.get("cross_entropy"), shards=shards, engine="reference")
    weights = net.parameters()
    start = Snapshot(weights, net.buffers(), optimizer.init(weights))
    update = with_update(program.graph, optimizer, **options)
    compiled = CompiledStepper(update, batches, start, factors, epochs=WalkedEpochs, threads=3, shards=shards)
    return ReferenceStepper(program, optimizer, batches, start, factors, **options), compiled


def assert_equal(one: Snapshot, other: Snapshot) -> None:
    assert (one.state["step"], one.state["memory"]) == (other.state["step"], other.state["memory"])
    assert list(one.state) == list(other.state)
    slots = [name for name in one.state if name not in ("step", "memory")]
    pairs = [(one.weights, other.weights), (one.buffers, other.buffers)]
    for first, second in pairs + [(one.state[slot], other.state[slot]) for slot in slots]:
        assert list(first) == list(second)
        for name, value in first.items():
            assert value.dtype == second[name].dtype
            assert value.tobytes() == second[name].tobytes(), name


OPTIMIZERS = [
    optim.SGD(0.2),
    optim.SGD(0.1, momentum=0.9, groups={"0.*": 0.0}),
    optim.NAdam(0.01, groups={"0.*": 0.0, "4.bias": 0.1}),
    optim.Adam(0.01, amsgrad=True, weight_decay=0.1),
    optim.Adagrad(0.1, lr_decay=0.2),
]


@pytest.mark.parametrize("lengths", [[1] * 12, [12], [5, 5, 2], [2, 3, 4, 3]], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_both_take_the_same_steps_in_runs_of_any_length(optimizer: optim.Optimizer, lengths: list[int]) -> None:
    """Five steps an epoch, of 7, 7, 7, 7 and 5 rows."""
    reference, compiled = steppers(optimizer)
    whole, _ = steppers(optimizer)
    expected = whole.run(0, 12)
    for stepper in (reference, compiled):
        first, losses = 0, []
        for count in lengths:
            losses += stepper.run(first, count).tolist()
            first += count
        assert losses == expected.tolist()
        assert_equal(stepper.snapshot(), whole.snapshot())
    assert whole.snapshot().state["step"] == 12


@pytest.mark.parametrize("options", [{"shuffle": False}, {"clip_value": 0.01}, {"shards": 3}], ids=str)
def test_options_reach_both(options: dict[str, Any]) -> None:
    reference, compiled = steppers(optim.SGD(0.5), **options)
    plain, _ = steppers(optim.SGD(0.5))
    losses = reference.run(0, 7)
    assert losses.tolist() == compiled.run(0, 7).tolist()
    assert_equal(reference.snapshot(), compiled.snapshot())
    assert losses.tolist() != plain.run(0, 7).tolist(), "the option does something"


def test_clipping_by_norm_differs_by_the_order_of_its_sums_alone() -> None:
    """NumPy's walk adds a node's elements in another order than the kernel form that `clip_by_global_norm` keeps to."""
    reference, compiled = steppers(optim.SGD(0.5), clip_norm=0.1)
    np.testing.assert_allclose(reference.run(0, 10), compiled.run(0, 10), rtol=1e-5)
    for name, value in reference.snapshot().weights.items():
        np.testing.assert_allclose(compiled.snapshot().weights[name], value, rtol=1e-4, atol=1e-6)


# Snapshots, and losses that are not finite.


def explodes(step: int) -> float:
    """A rate that is too large from step 8 on: the loss of step 9 or 10 is not finite."""
    return 1.0 if step < 8 else 1e38


@pytest.mark.parametrize("lengths", [[1] * 20, [5, 5, 5], [20], [4, 1, 4, 11]], ids=str)
@pytest.mark.parametrize("optimizer", [optim.SGD(0.5, momentum=0.9), optim.NAdam(0.5)], ids=repr)
def test_a_bad_loss_ends_a_run_in_the_state_before_it(optimizer: optim.Optimizer, lengths: list[int]) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.25), nn.Linear(6, 3), seed=1)
    whole, _ = steppers(optimizer, explodes, net)
    good = whole.run(0, 20)
    bad = len(good) - 1
    assert 8 < bad < 13
    assert not math.isfinite(good[-1])
    for number in range(2):
        stepper: Stepper = steppers(optimizer, explodes, net)[number]
        first, losses = 0, np.zeros(1)
        for count in lengths:
            if first % 5 == 0:
                stepper.snapshot()
            losses = stepper.run(first, count)
            first += len(losses)
            if not math.isfinite(losses[-1]):
                break
        assert first == bad + 1
        now = stepper.snapshot()
        assert now.state["step"] == bad
        assert_equal(now, whole.snapshot())
        before, _ = steppers(optimizer, explodes, net)
        before.run(0, bad)
        assert_equal(now, before.snapshot())
        again = stepper.run(bad, 1)  # the step is bad again
        assert len(again) == 1
        assert not math.isfinite(again[0])


def test_a_first_step_that_is_bad_leaves_the_start() -> None:
    x = X.copy()
    x[fl.batch_order(33, 3, 0)[2]] = math.nan
    net = nn.Linear(4, 3)
    for stepper in steppers(optim.SGD(0.1), net=net, x=x):
        losses = stepper.run(0, 3)
        assert len(losses) == 1
        assert not math.isfinite(losses[0])
        assert stepper.snapshot().weights["weight"].tobytes() == net.parameters()["weight"].tobytes()
        assert stepper.snapshot().state["step"] == 0


def test_restoring_a_snapshot() -> None:
    for stepper in steppers(optim.NAdam(0.05)):
        stepper.run(0, 3)
        then = stepper.snapshot()
        after = stepper.run(3, 4)
        later = stepper.snapshot()
        stepper.restore(then)
        assert_equal(stepper.snapshot(), then)
        assert stepper.run(3, 4).tolist() == after.tolist()
        assert_equal(stepper.snapshot(), later)


def test_a_bad_step_after_restoring_goes_back_no_further_than_that() -> None:
    WalkedEpochs.made.clear()
    _, stepper = steppers(optim.SGD(0.5), explodes, nn.Linear(4, 3))
    stepper.run(0, 5)
    then = stepper.snapshot()
    stepper.run(5, 3)
    stepper.restore(then)
    bad = 4 + len(stepper.run(5, 20))
    assert WalkedEpochs.made[-1].calls == [(0, 5), (5, 3), (5, 20), (5, bad - 5)]


def test_snapshots_do_not_change_when_training_goes_on() -> None:
    for stepper in steppers(optim.SGD(0.3, momentum=0.5)):
        stepper.run(0, 2)
        then = stepper.snapshot()
        copies = {name: value.copy() for name, value in (then.values | then.state["velocity"]).items()}
        stepper.run(2, 3)
        for name, value in (then.values | then.state["velocity"]).items():
            assert value.tobytes() == copies[name].tobytes()


def test_threads() -> None:
    reference, compiled = steppers(optim.SGD(0.1))
    assert (reference.engine, reference.threads) == ("reference", None)
    assert (compiled.engine, compiled.threads) == ("compiled", 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_a_schedule_that_gives_no_usable_factor(bad: float) -> None:
    messages = []
    for stepper in steppers(optim.SGD(0.1), lambda step: bad if step == 2 else 1.0):
        with pytest.raises(fl.ArgumentError) as error:
            stepper.run(0, 5)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith(f"optim.SGD.update(lr_factor={bad!r}): lr_factor must be ")


# `fit` on either.


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[WalkedEpochs]:
    """`fit(engine="compiled")` steps by the walk; what looks at all rows is left to the reference engine, too."""
    module = ModuleType("fallline.engine.epochs")
    module.Epochs = WalkedEpochs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fallline.engine.epochs", module)
    made = StepProgram.of
    monkeypatch.setattr(StepProgram, "of", lambda *a, **k: made(*a, **{**k, "engine": "reference"}))
    WalkedEpochs.made.clear()
    return WalkedEpochs.made


def both(make: Callable[[], nn.Module] = network, **options: Any) -> list[tuple[fl.Run, nn.Module]]:
    found = []
    for engine in ("reference", "compiled"):
        net = make()
        run = fl.fit(net, X, LABELS, **{"batch_size": 7, "epochs": 4, **options}, engine=engine)
        assert run.engine == run.config["engine"] == engine
        found.append((run, net))
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "nadam", "validation": 0.2, "metrics": "accuracy", "patience": 1, "epochs": 30},
        {"optimizer": optim.SGD(lr=0.3, groups={"0.*": 0.0}), "schedule": "one_cycle", "sample_weight": WEIGHT},
        {"until": "converged", "tol": 0.05, "metrics": ("train_loss", "accuracy"), "schedule": "reduce_on_plateau"},
        {"optimizer": optim.SGD(lr=1e4), "epochs": 50, "clip_value": 1e30, "dtype": "float64"},
        {"batch_size": 1, "shuffle": False, "epochs": 2},
    ],
    ids=lambda options: ", ".join(options),
)
def test_fit_is_the_same_on_both(walked: list[WalkedEpochs], options: dict[str, Any]) -> None:
    (one, net), (other, again) = both(**options)
    assert other.history.keys() == one.history.keys()
    assert {k: v for k, v in one.history.items() if k != "seconds"} == {
        k: v for k, v in other.history.items() if k != "seconds"
    }
    for name in ("steps", "stopped", "problem", "gradient_norm", "best_epoch", "epochs"):
        assert getattr(one, name) == getattr(other, name), name
    assert_equal(
        Snapshot(net.parameters(), net.buffers(), one.state), Snapshot(again.parameters(), again.buffers(), other.state)
    )
    assert len(walked) == 1


def test_what_went_bad_is_told_alike(walked: list[WalkedEpochs]) -> None:
    class Grows(optim.Schedule):
        def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: Any = None) -> float:
            return 1.0 if step < 12 else 1e38

        def config(self) -> dict[str, Any]:
            return {"name": "grows"}

    (one, net), (other, again) = both(
        lambda: nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)), schedule=Grows(), epochs=9
    )
    assert one.stopped == other.stopped == "nan"
    assert one.problem == other.problem
    assert "at step 13 (epoch 3): " in one.problem
    assert "the weights after epoch 2 were kept" in one.problem
    assert one.steps == other.steps
    assert net.parameters()["0.weight"].tobytes() == again.parameters()["0.weight"].tobytes()
    assert one.state["step"] == other.state["step"] == 13


def test_callbacks_of_steps_see_every_step(walked: list[WalkedEpochs]) -> None:
    class Steps(fl.Callback):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def on_step_end(self, run: fl.Run, step: int) -> bool:
            self.seen.append(step)
            assert len(run.steps["loss"]) == step + 1
            return step == 8

    callback = Steps()
    run = fl.fit(network(), X, LABELS, batch_size=7, engine="compiled", callbacks=callback)
    assert callback.seen == list(range(9))
    assert run.stopped == "callback"
    assert walked[0].calls == [(step, 1) for step in range(9)]


def test_runs_of_steps_grow_and_end_with_the_epoch(walked: list[WalkedEpochs], monkeypatch: pytest.MonkeyPatch) -> None:
    from fallline.training import pace

    monkeypatch.setattr(pace, "SECONDS", 1e9)
    fl.fit(network(), X, LABELS, batch_size=3, epochs=3, engine="compiled")
    assert walked[0].calls == [(0, 1), (1, 2), (3, 4), (7, 4), (11, 11), (22, 11)]


def test_callbacks_of_epochs_see_the_weights(walked: list[WalkedEpochs]) -> None:
    seen: list[list[bytes]] = []
    for engine in ("reference", "compiled"):
        weights: list[bytes] = []
        fl.fit(
            network(), X, LABELS, epochs=3, engine=engine,
            callbacks=lambda run, epoch, kept=weights: kept.append(run.network.parameters()["0.weight"].tobytes()),
        )  # fmt: skip
        seen.append(weights)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 3


def test_threads_are_recorded(walked: list[WalkedEpochs]) -> None:
    assert fl.fit(network(), X, LABELS, epochs=1, engine="compiled").config["threads"] == 2
    assert fl.fit(network(), X, LABELS, epochs=1, engine="compiled", threads=5).config["threads"] == 5
    assert fl.fit(network(), X, LABELS, epochs=1, engine="reference", threads=5).config["threads"] == 5


@pytest.mark.parametrize("missing", [False, True])
def test_what_cannot_be_compiled_is_trained_by_the_reference_engine(
    missing: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*arguments: Any, **options: Any) -> None:
        raise CompileError("op 'riddle' has no schedule")

    module = ModuleType("fallline.engine.epochs")
    module.Epochs = refuses  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fallline.engine.epochs", None if missing else module)  # type: ignore[arg-type]
    net, reference = network(), network()
    with caplog.at_level(logging.WARNING, "fallline"):
        run = fl.fit(net, X, LABELS, epochs=2, engine="compiled")
    assert run.engine == run.config["engine"] == "reference"
    (record,) = caplog.records
    why = "import of fallline.engine.epochs halted" if missing else "op 'riddle' has no schedule"
    assert f"The compiled engine could not be used ({why}" in record.getMessage()
    fl.fit(reference, X, LABELS, epochs=2, engine="reference")
    assert net.parameters()["0.weight"].tobytes() == reference.parameters()["0.weight"].tobytes()


# The parts.


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 90), st.integers(1, 12))
def test_rows_and_denominators_of_steps(rows: int, size: int, first: int, count: int) -> None:
    weight = np.linspace(0.5, 1.5, rows)
    batches = Batches(Rows(np.arange(rows), np.arange(rows), weight), min(size, rows), 4, True)
    taken = [batches.rows_of(step).x for step in range(first, first + count)]
    assert [len(x) for x in taken] == batches.sizes(first, count).tolist()
    np.testing.assert_allclose(batches.denominators(first, count), [len(x) * weight.mean() for x in taken])
    epoch = [batches.rows_of(step).x for step in range(batches.steps_per_epoch)]
    assert np.concatenate(epoch).tolist() == fl.batch_order(rows, 4, 0).tolist()
    assert (taken[0] == batches.rows_of(first).x).all(), "also after another epoch was looked at"


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_the_mean_loss_of_an_epoch(rows: int, size: int, seed: int) -> None:
    batches = Batches(Rows(np.zeros(rows), np.zeros(rows)), min(size, rows), 0, False)
    sizes = batches.sizes(0, batches.steps_per_epoch).tolist()
    losses = np.random.default_rng(seed).normal(size=len(sizes)) * 10.0 ** np.arange(len(sizes))
    total = 0.0
    for loss, count in zip(losses.tolist(), sizes, strict=True):
        total += loss * count
    assert batches.mean_loss(losses) == total / rows
    exact = sum((Fraction(loss) * count for loss, count in zip(losses.tolist(), sizes, strict=True)), Fraction(0))
    assert batches.mean_loss(losses) == pytest.approx(float(exact / rows), rel=1e-9, abs=1e-9)
    assert math.copysign(1.0, batches.mean_loss(-0.0 * losses**2)) == 1.0
    assert batches.mean_loss(np.full(len(sizes), 1e308)) in (1e308, pytest.approx(1e308), math.inf)


def test_the_pace() -> None:
    """It doubles while there is time, falls at once when there is not, and never below one step."""
    pace = Pace()
    for expected in (2, 4, 8):
        pace.observe(pace.steps, 0.0)
        assert pace.steps == expected
    pace.observe(3, 0.001)
    assert pace.steps == 16, "a run that an epoch's end cut short counts by its time per step"
    pace.observe(16, 0.16)
    assert pace.steps == 3
    pace.observe(3, 30.0)
    assert pace.steps == 1
    told = Pace(every_step=True)
    told.observe(1, 0.0)
    assert told.steps == 1


def test_who_wants_steps() -> None:
    class Epochs(fl.Callback):
        def on_epoch_end(self, run: fl.Run, epoch: int) -> None: ...

    class Steps(Epochs):
        def on_step_end(self, run: fl.Run, step: int) -> None: ...

    late = fl.Callback()
    late.on_step_end = lambda run, step: None  # type: ignore[method-assign]
    assert not wants_steps([])
    assert not wants_steps([fl.Callback(), Epochs()])
    assert wants_steps([Epochs(), Steps()])
    assert wants_steps([late])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_that_are_not_finite_are_found_and_large_ones_are_not(dtype: type) -> None:
    array = np.full((3, 4, 5), np.finfo(dtype).max, dtype=dtype)
    assert is_finite(array), "though the sum of its squares is infinite"
    for bad in (math.nan, math.inf, -math.inf):
        array[1, 2, 3] = bad
        assert not is_finite(array)
        assert not is_finite(array[1:, ::2].T)
    assert is_finite(np.zeros((0, 3), dtype=dtype))
    assert is_finite(np.array([1, 2]))
