"""`fl.replay` shows at any step what a run that logged everything wrote down; whatever watches a run changes no bit.

The log is that of the plain loop: backpropagation by a program of its own, gradient descent by `optimizer.update`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.nn.losses import get as get_loss
from fallline.nn.model_file import read_tensors
from fallline.training.batches import Batches
from fallline.training.checkpoint import read_checkpoint, write_checkpoint
from fallline.training.hashes import weights_hash
from fallline.training.recording import Given
from fallline.training.replay import Replay, replayer_of
from fallline.training.step import Rows, StepProgram

Array = NDArray[Any]
Values = dict[str, Array]
RNG = np.random.default_rng(0)
ROWS = 33
X = RNG.normal(size=(ROWS, 4))
LABELS = RNG.integers(0, 3, ROWS)
WEIGHT = RNG.uniform(0.1, 2.0, ROWS)
HELD_OUT = (RNG.normal(size=(9, 4)), RNG.integers(0, 3, 9))


@dataclass
class Logged:
    """What the loop wrote down of a step; `before` and `after` are weights and buffers."""

    rows: Array
    loss: float
    rate: float
    before: Values
    gradients: Values
    after: Values


def dense(inputs: int = 4, width: int = 6) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, 3), seed=2)


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3), seed=5
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "momentum": (dense, {"optimizer": optim.SGD(lr=0.1, momentum=0.9)}),
    "adamw": (dense, {"optimizer": optim.AdamW(lr=0.01), "batch_size": 10}),
    "nadam, which has a memory": (dense, {"optimizer": optim.NAdam(lr=0.01), "clip_norm": 0.3}),
    "radam, one row a step": (dense, {"optimizer": optim.RAdam(lr=0.01), "batch_size": 1, "epochs": 1}),
    "both clippings": (dense, {"optimizer": optim.SGD(lr=0.3), "clip_value": 0.02, "clip_norm": 0.05}),
    "warm-up and cosine": (dense, {"optimizer": optim.Adam(lr=0.01), "schedule": optim.Warmup(1.0, optim.Cosine())}),
    "plateau": (
        dense,
        {
            "optimizer": optim.SGD(lr=0.9, momentum=0.5),
            "schedule": optim.ReduceOnPlateau(factor=0.5, patience=0),
            "validation": HELD_OUT,
            "restore_best": False,
            "epochs": 4,
        },
    ),
    "norm and dropout": (normed, {"optimizer": optim.AdamW(lr=0.01), "seed": 7}),
    "norm and dropout, float64, weights": (
        normed,
        {"optimizer": optim.Adam(lr=0.01), "dtype": "float64", "sample_weight": WEIGHT, "shuffle": False},
    ),
    "shards": (dense, {"optimizer": optim.SGD(lr=0.1, momentum=0.9), "shards": 3, "batch_size": 10}),
}


def log(net: nn.Module, x: Array, y: Array, later: tuple[int, dict[str, Any]] | None = None, **given: Any) -> Any:
    """The steps of a training as the plain loop takes them; from a step on with other settings."""
    s = {
        "batch_size": 8,
        "epochs": 3,
        "seed": 0,
        "dtype": "float32",
        "shards": 1,
        "schedule": optim.Constant(),
        **given,
    }
    dtype, weight = s["dtype"], s.get("sample_weight")
    rows = Rows(x.astype(dtype), y, None if weight is None else weight.astype(dtype))
    program = StepProgram(net, rows, get_loss("cross_entropy"), dtype=dtype, shards=s["shards"])
    mean_weight = Batches(rows, 1, 0, False).mean_weight
    weights = {name: value.astype(dtype) for name, value in net.parameters().items()}
    buffers = {name: value.astype(dtype) for name, value in net.buffers().items()}
    state, learnt = s["optimizer"].init(weights), s["schedule"].initial_state()
    per_epoch, steps = -(-len(x) // s["batch_size"]), list[Logged]()
    for epoch in range(s["epochs"]):
        order = fl.batch_order(len(x), s["seed"], epoch) if s.get("shuffle", True) else np.arange(len(x))
        for start in range(0, len(x), s["batch_size"]):
            step, numbers = len(steps), order[start : start + s["batch_size"]]
            if later is not None and step == later[0]:
                s |= later[1]
            before = {**weights, **buffers}
            found = program(rows.take(numbers), before, len(numbers) * mean_weight, s["seed"], step)
            factor = s["schedule"].factor(step, per_epoch, s["epochs"] * per_epoch, learnt)
            clipped: Any = found.gradients
            if s.get("clip_value") is not None:
                clipped = optim.clip_by_value(clipped, s["clip_value"])
            if s.get("clip_norm") is not None:
                clipped, _ = optim.clip_by_global_norm(clipped, s["clip_norm"])
            weights, state = s["optimizer"].update(weights, clipped, state, factor)
            buffers = {**buffers, **found.buffers}
            after = {**weights, **buffers}
            rate = s["optimizer"].lr * factor
            steps.append(Logged(numbers, found.loss, rate, before, found.gradients, after))
        if "validation" in s:
            net.load_parameters(weights)
            learnt = s["schedule"].observe(learnt, fl.evaluate(net, *s["validation"])["loss"])
    return steps


def assert_same_bits(one: Values, other: Values) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert value.tobytes() == other[name].tobytes(), name


def assert_shows(replayed: Replay, step: int, logged: Logged) -> None:
    assert replayed.step == step
    assert replayed.rows.tolist() == logged.rows.tolist()
    assert replayed.loss == logged.loss
    assert replayed.learning_rate == logged.rate
    assert_same_bits(replayed.before.values, logged.before)
    assert_same_bits(replayed.gradients, logged.gradients)
    assert_same_bits(replayed.after.values, logged.after)
    for name, gradient in logged.gradients.items():
        assert replayed[f"gradient of {name}"].tobytes() == gradient.tobytes()


def fitted(make: Callable[[], nn.Module], options: dict[str, Any], **more: Any) -> fl.Run:
    return fl.fit(make(), X, LABELS, **{"batch_size": 8, "epochs": 3, **options, **more})


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_what_a_log_of_everything_says(case: str, tmp_path: Path) -> None:
    make, options = CASES[case]
    logged = log(make(), X, LABELS, **options)
    run = fitted(make, options, run_dir=tmp_path / "r", checkpoint_every=1e-9)
    assert run.steps["loss"] == [step.loss for step in logged]
    stored = Given(X, LABELS, sample_weight=options.get("sample_weight"), threads=2)
    in_memory, on_disk = replayer_of(run, stored), replayer_of(tmp_path / "r", stored)
    forth = list(enumerate(logged))
    for step, record in forth:
        assert_shows(in_memory.step(step), step, record)
    for step, record in reversed(forth):
        assert_shows(on_disk.step(step), step, record)
    assert_same_bits({**run.network.parameters(), **run.network.buffers()}, logged[-1].after)


def test_the_loop_of_the_readme_logs_the_same() -> None:
    """`net.predict`, `fl.loss_and_gradients` and `optimizer.update`; activations, too."""
    net, optimizer = dense(), optim.Adam(lr=0.01)
    run = fitted(dense, {"optimizer": optimizer})
    weights = net.parameters()
    state = optimizer.init(weights)
    for step in range(15):
        replayed = fl.replay(run, step)
        epoch, place = divmod(step, 5)
        rows = fl.batch_order(ROWS, 0, epoch)[8 * place : 8 * place + 8]
        first = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
        first.load_parameters({name: weights[name] for name in first.named_parameters()})
        assert replayed["1/tanh"].tobytes() == first.predict(X[rows]).tobytes()
        assert replayed["outputs"].tobytes() == net.predict(X[rows]).tobytes()
        loss, gradients = fl.loss_and_gradients(net, X[rows], LABELS[rows])
        assert (replayed.loss, replayed.rows.tolist()) == (loss, rows.tolist())
        assert_same_bits(replayed.gradients, gradients)
        assert_same_bits(replayed.before.weights, weights)
        weights, state = optimizer.update(weights, gradients, state)
        assert_same_bits(replayed.after.weights, weights)
        net.load_parameters(weights)


class StopAfter(fl.Callback):
    """Breaks a training off after so many steps, as SIGTERM does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, run: fl.Run, step: int) -> None:
        if step + 1 == self.steps:
            run.stopped = "interrupted"


@pytest.mark.parametrize("case", ["nadam, which has a memory", "plateau", "norm and dropout, float64, weights"])
def test_of_a_resumed_run(case: str, tmp_path: Path) -> None:
    make, options = CASES[case]
    logged = log(make(), X, LABELS, **options)
    folder = tmp_path / "r"
    fitted(make, options, run_dir=folder, callbacks=[StopAfter(7)])
    again = {name: options[name] for name in ("validation", "sample_weight") if name in options}
    run = fl.resume(folder, X, LABELS, threads=2, **again)
    stored = Given(X, LABELS, sample_weight=options.get("sample_weight"))
    on_disk, in_memory = replayer_of(folder, stored), replayer_of(run, stored)
    for step, record in enumerate(logged):
        assert_shows(on_disk.step(step), step, record)
        if step >= 7:
            assert_shows(in_memory.step(step), step, record)
    with pytest.raises(fl.ArgumentError, match="this run began at step 7; for step 6 give its folder"):
        fl.replay(run, 6)


def test_of_a_branch(tmp_path: Path) -> None:
    """From step 6, in the middle of the second epoch, with a smaller rate and clipped."""
    make, options = CASES["momentum"]
    changes = {"optimizer": optim.SGD(lr=0.01, momentum=0.8), "clip_norm": 0.1}
    logged = log(make(), X, LABELS, later=(6, changes), **options)
    fitted(make, options, run_dir=tmp_path / "r")
    run = fl.resume(tmp_path / "r", X, LABELS, branch=tmp_path / "b", step=6, **changes)
    assert run.steps["loss"] == [step.loss for step in logged]
    on_disk = replayer_of(tmp_path / "b", Given(X, LABELS))
    for step, record in [*enumerate(logged)][6:]:
        assert_shows(on_disk.step(step), step, record)
        assert_shows(fl.replay(run, step), step, record)
    with pytest.raises(fl.RunFolderError, match="no whole checkpoint at or before step 5"):
        fl.replay(tmp_path / "b", 5, X, LABELS)


@settings(max_examples=8)
@given(
    rows=st.integers(1, 30),
    inputs=st.integers(1, 6),
    width=st.integers(1, 9),
    batch=st.integers(1, 12),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_of_any_size(rows: int, inputs: int, width: int, batch: int, seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(rows, inputs)), random.integers(0, 3, rows)
    options: dict[str, Any] = {
        "optimizer": optim.Adam(lr=0.05), "batch_size": min(batch, rows), "epochs": 2, "seed": seed,
    }  # fmt: skip
    logged = log(dense(inputs, width), x, y, **options)
    run = fl.fit(dense(inputs, width), x, y, **options)
    step = data.draw(st.integers(0, len(logged) - 1))
    assert_shows(fl.replay(run, step), step, logged[step])


WATCHED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "nothing": lambda place: {},
    "a callback of epochs": lambda place: {"callbacks": lambda run, epoch: None},
    "a callback of steps": lambda place: {"callbacks": [StopAfter(-1)]},
    "checkpoints": lambda place: {"run_dir": place / "r", "checkpoint_every": 1e-9},
    "progress": lambda place: {"progress": True},
    "metrics": lambda place: {"metrics": ("train_loss", "accuracy")},
    **{f"{threads} threads": lambda place, threads=threads: {"threads": threads} for threads in (1, 2, 3, 4)},
    "everything": lambda place: {
        "callbacks": [StopAfter(-1), lambda run, epoch: None],
        "run_dir": place / "r",
        "checkpoint_every": 1e-9,
        "progress": True,
        "metrics": ("train_loss", "accuracy"),
        "threads": 3,
    },
}


@pytest.mark.parametrize("watched", WATCHED)
@pytest.mark.parametrize("make", [dense, normed])
def test_equal_hashes_whoever_watches(
    make: Callable[[], nn.Module], watched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes after each epoch, or after some of them, and at the end, are those of the log."""
    monkeypatch.setattr("fallline.training.loop.HASH_EVERY", 0.0)
    options: dict[str, Any] = {"optimizer": optim.NAdam(lr=0.01), "epochs": 4, "seed": 3}
    logged = log(make(), X, LABELS, **options)
    run = fitted(make, options, **WATCHED[watched](tmp_path))
    assert run.hashes == {step: weights_hash(logged[step - 1].after) for step in run.hashes}
    assert max(run.hashes) == 20
    if "callback" in watched or watched in ("everything", "metrics"):
        assert [*run.hashes] == [5, 10, 15, 20]
    assert run.steps["loss"] == [step.loss for step in logged]


def test_a_profile_changes_nothing() -> None:
    options: dict[str, Any] = {"optimizer": optim.SGD(lr=0.1, momentum=0.9)}
    quiet, net = fitted(normed, options), normed()
    fl.profile(net, X, LABELS, optimizer=options["optimizer"], batch_size=8, steps=20)
    run = fl.fit(net, X, LABELS, batch_size=8, epochs=3, **options)
    fl.profile(net, X, LABELS, optimizer=options["optimizer"], batch_size=8, steps=20)
    assert run.hashes[15] == quiet.hashes[15] == weights_hash({**net.parameters(), **net.buffers()})
    assert_shows(fl.replay(run, 3), 3, log(normed(), X, LABELS, **options)[3])


def test_of_a_run_whose_validation_loss_became_infinite(tmp_path: Path) -> None:
    """JSON knows no infinity: the score is null in history.jsonl."""
    huge, numbers = np.full((2, 4), 3e38), X[:, :1]
    run = fl.fit(
        nn.Linear(4, 1), X, numbers, loss="mse", optimizer=optim.SGD(lr=0.01), schedule=optim.ReduceOnPlateau(),
        batch_size=8, validation=(huge, huge[:, :1]), run_dir=tmp_path / "r",
    )  # fmt: skip
    assert (run.stopped, run.epochs, len(run.steps["loss"])) == ("nan", 1, 5)
    assert [fl.replay(tmp_path / "r", step, X, numbers).loss for step in range(5)] == run.steps["loss"]


@pytest.mark.parametrize("left", ["", '{"epoch": 1, "loss"', '{"epoch": 1}\n'])
def test_a_damaged_history_does_not_change_the_schedule(left: str, tmp_path: Path) -> None:
    """The rates that a plateau has found follow from the scores in the checkpoint."""
    make, options = CASES["plateau"]
    logged = log(make(), X, LABELS, **options)
    assert len({step.rate for step in logged}) > 1
    fitted(make, options, run_dir=tmp_path / "r")
    (tmp_path / "r" / "history.jsonl").write_text(left, encoding="utf-8")
    on_disk = replayer_of(tmp_path / "r", Given(X, LABELS))
    for step, record in enumerate(logged):
        assert_shows(on_disk.step(step), step, record)


def test_the_steps_themselves_are_verified_not_a_checkpoint_behind_them(tmp_path: Path) -> None:
    """A checkpoint with other weights but a hash of its own leads to other weights than those recorded."""
    make, options = CASES["momentum"]
    fitted(make, options, run_dir=tmp_path / "r", checkpoint_every=1e-9, callbacks=[StopAfter(-1)])
    path = tmp_path / "r" / "checkpoints" / "step-000000013.safetensors"
    found = read_checkpoint(path)
    other = {**found.now.weights, "0.bias": found.now.weights["0.bias"] + np.float32(0.001)}
    model = {key: value for key, value in read_tensors(path)[1].items() if key in ("format", "graph", "begun")}
    write_checkpoint(path, replace(found, now=replace(found.now, weights=other)), {}, model)
    assert fl.replay(tmp_path / "r", 12, X, LABELS).verified_at == 15
    with pytest.raises(fl.RunFolderError, match="gives other weights after step 15 than the run recorded"):
        fl.replay(tmp_path / "r", 13, X, LABELS)
