"""Two runs differ in one thing: `fl.diff` names the step, the tensor and that thing."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fallline as fl
from fallline import nn, optim
from fallline.data.batches import batch_order
from fallline.engine import compiled
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.nn.model_file import read_tensors, write_tensors
from fallline.training.checkpoint import hash_of

ROWS, BATCH = 40, 8
PER_EPOCH = ROWS // BATCH
Array = np.ndarray[Any, Any]


def data() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(ROWS, 4)).astype(np.float32), rng.integers(0, 3, ROWS)


def train(x: Array | None = None, y: Array | None = None, *, network_seed: int = 0, **change: Any) -> fl.Run:
    given_x, given_y = data()
    net = change.pop("net", None) or nn.Sequential(
        nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.1), nn.Linear(5, 3), seed=network_seed
    )
    options: dict[str, Any] = {
        "optimizer": optim.SGD(lr=0.1, momentum=0.9),
        "epochs": 4,
        "batch_size": BATCH,
        "seed": 5,
    }
    return fl.fit(net, given_x if x is None else x, given_y if y is None else y, **{**options, **change})


def changed(row: int, column: int) -> Array:
    x, _ = data()
    x[row, column] += 0.5
    return x


# Runs that are equal.


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), epochs=st.integers(1, 3), batch=st.integers(3, ROWS))
def test_a_run_does_not_differ_from_itself(seed: int, epochs: int, batch: int) -> None:
    run = train(seed=seed, epochs=epochs, batch_size=batch)
    found = fl.diff(run, run)
    assert found.equal
    assert (found.step, found.tensor, found.cause, found.settings) == (None, None, "", ())
    steps = epochs * -(-ROWS // batch)
    assert found.sentence == f"The same weights, bit for bit, after all {steps:,} steps."


def test_settings_that_nothing_depends_on_make_no_difference() -> None:
    found = fl.diff(train(), train(threads=2, metrics=("train_accuracy",), checkpoint_every=7.0))
    assert found.equal
    assert {setting.name for setting in found.settings} == {"threads", "train_metrics", "checkpoint_every"}
    assert "also different  " in str(found)
    assert "cause" not in str(found)


def test_the_longer_of_two_runs_goes_on_from_the_shorter() -> None:
    found = fl.diff(train(), train(epochs=6))
    assert (found.equal, found.kind, found.step, found.steps) == (False, "length", None, 4 * PER_EPOCH)
    assert found.cause == "a took 20 steps, b 30: setting epochs 4 → 6"
    assert "The same weights, bit for bit, after the 20 steps that both have taken." in str(found)


# One thing that differs.


def first_step_with(row: int, seed: int = 5) -> int:
    """Where the documented order of rows takes a row first."""
    return int(np.flatnonzero(batch_order(ROWS, seed, 0) == row)[0]) // BATCH


@pytest.mark.parametrize("row", [0, 17, 39])
def test_a_changed_row(row: int) -> None:
    x, other = data()[0], changed(row, 2)
    found = fl.diff(train(), train(other))
    assert (found.kind, found.step, found.tensor) == ("data", first_step_with(row), "x")
    assert [(changed.number, changed.cells) for changed in found.rows] == [
        (row, (("column 2", float(str(x[row, 2])), float(str(other[row, 2]))),))
    ]
    assert f"the training data, row {row}: column 2 {x[row, 2]!s} → {other[row, 2]!s}" in found.cause
    back = fl.diff(train(other), train())
    assert (back.kind, back.step, back.tensor) == ("data", found.step, "x")
    assert back.rows[0].cells[0][1:] == found.rows[0].cells[0][:0:-1]


def test_a_changed_target_and_rows_that_come_later() -> None:
    _, y = data()
    order = batch_order(ROWS, 5, 0)
    first, later = int(order[BATCH]), int(order[-1])
    for row in (first, later):
        y[row] = (y[row] + 1) % 3
    found = fl.diff(train(), train(y=y))
    assert (found.kind, found.step, found.tensor) == ("data", 1, "y")
    assert [row.number for row in found.rows] == [first, later]
    assert f"row {first}: y " in found.cause
    assert "1 more rows differ, which come later" in found.cause


def test_a_changed_row_is_numbered_as_in_the_data_that_were_given() -> None:
    # where rows are set aside for validation, the training rows have other numbers than the data
    plain, other = train(validation=0.25), train(changed(20, 1), validation=0.25)
    kept = plain.recording.rows.x
    found = fl.diff(plain, other)
    if (kept == data()[0][20]).all(axis=1).any():
        assert [(row.number, row.cells[0][0]) for row in found.rows] == [(20, "column 1")]
        assert np.array_equal(kept[found.rows[0].place], data()[0][20])
    else:
        assert found.equal
    assert (kept == data()[0][20]).all(axis=1).any(), "choose another row: this one is among those set aside"


def test_another_number_of_rows() -> None:
    x, y = data()
    found = fl.diff(train(), train(x[:-1], y[:-1]))
    orders = [fl.batch_order(rows, 5, 0) for rows in (40, 39)]  # that of fewer rows leaves out the numbers beyond
    first = next(k for k in range(PER_EPOCH) if len({tuple(rows[k * BATCH : (k + 1) * BATCH]) for rows in orders}) == 2)
    assert (found.kind, found.step) == ("data", first)
    assert found.cause == "the training data: 40 rows → 39 rows"


@pytest.mark.parametrize(
    ("change", "step", "tensor", "cause"),
    [
        ({"seed": 6}, 0, "x", "setting seed 5 → 6"),
        ({"shuffle": False}, 0, "x", "setting shuffle True → False"),
        ({"optimizer": optim.SGD(lr=0.01, momentum=0.9)}, 0, "*:lr", "setting optimizer.lr 0.1 → 0.01"),
        (
            {"optimizer": optim.SGD(lr=0.1, momentum=0.8)},
            1,
            "0.weight/constant in gradient descent",
            "setting optimizer.momentum 0.9 → 0.8",
        ),
        ({"clip_norm": 0.1}, 0, "updated velocity of 0.weight", "setting clip_norm not set → 0.1"),
        ({"shards": 2}, 0, "gradient of 0.weight", "setting shards 1 → 2"),
        ({"engine": "reference"}, 0, "1/tanh", "setting engine compiled → reference"),
        ({"class_weight": {0: 2.0, 1: 1.0, 2: 1.0}}, 0, None, "setting class_weight"),
        ({"schedule": "cosine"}, 1, "*:lr", "settings schedule.name constant → cosine, schedule.final"),
        ({"validation": 0.25}, 0, "x", "setting validation not set → 0.25"),
    ],
)
def test_a_changed_setting(change: dict[str, Any], step: int, tensor: str | None, cause: str) -> None:
    run, other = train(), train(**change)
    found, back = fl.diff(run, other), fl.diff(other, run)
    assert (found.kind, found.step, found.before) == ("setting", step, False)
    assert cause in found.cause
    assert tensor is None or found.tensor == tensor
    assert (back.kind, back.step) == ("setting", step)
    assert {setting.name for setting in back.settings} == {setting.name for setting in found.settings}


def test_steps_of_other_batch_sizes_cannot_be_compared() -> None:
    found = fl.diff(train(), train(batch_size=10))
    assert (found.kind, found.step, found.tensor) == ("setting", 0, "x")
    assert str(found.change) == "x: float32 (8, 4) in a, float32 (10, 4) in b"
    assert found.cause == (
        "setting batch_size 8 → 10; steps of different batch sizes see different rows, so that they cannot be compared "
        "one to one"
    )


def test_the_seed_of_dropout_alone() -> None:
    found = fl.diff(train(shuffle=False), train(shuffle=False, seed=6))
    assert (found.kind, found.step, found.tensor, found.cause) == ("setting", 0, "seed", "setting seed 5 → 6")


@pytest.mark.parametrize(
    ("change", "cause"),
    [({"network_seed": 1}, "setting network_seed 0 → 1"), ({"dtype": "float64"}, "setting dtype float32 → float64")],
)
def test_other_initial_weights(change: dict[str, Any], cause: str) -> None:
    found = fl.diff(train(), train(**change))
    assert (found.kind, found.step, found.before, found.tensor) == ("setting", 0, True, "0.weight")
    assert found.cause == cause
    assert "The runs differ before step 0 (steps are numbered from 0)." in str(found)


def test_initial_weights_that_no_setting_explains() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.1), nn.Linear(5, 3), seed=0)
    net.load_parameters({**net.parameters(), "3.bias": np.array([0, 0, 1e-3], dtype=np.float32)})
    found = fl.diff(train(), train(net=net))
    assert (found.kind, found.before, found.tensor) == ("weights", True, "3.bias")
    assert found.change is not None
    assert found.change.place == (2,)
    assert "no setting: the same network and seed, but other initial weights" in found.cause


def test_another_network_with_the_same_weights() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.1), nn.Linear(5, 3), seed=0)
    found = fl.diff(train(), train(net=net))
    assert (found.kind, found.step, found.before) == ("setting", 0, False)
    assert "setting network Sequential(Linear(4, 5), Tanh(), " in found.cause


# Folders.


STEPS = 205 * PER_EPOCH


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    train(epochs=205, run_dir=folder)
    return folder


def test_the_learning_rate_of_a_branch(long_run: Path, tmp_path: Path) -> None:
    x, y = data()
    run = fl.resume(long_run, x, y, branch=tmp_path / "b", step=1000, optimizer=optim.SGD(lr=0.01, momentum=0.9))
    for b in (tmp_path / "b", run):
        found = fl.diff(long_run, b, x, y)
        assert (found.kind, found.step, found.tensor) == ("setting", 1000, "*:lr")
        assert str(found.change) == "*:lr: 0.1 in a, 0.01 in b"
        assert found.cause == (
            f"setting optimizer.lr 0.1 → 0.01, from step 1,000 on, where b branched off ({long_run})"
        )
    assert "The first step that differs is step 1,000 (steps are numbered from 0)." in str(found)
    assert f"{long_run} after step {STEPS:,}" in found.checked
    back = fl.diff(tmp_path / "b", long_run, x, y)
    assert (back.kind, back.step, back.tensor) == ("setting", 1000, "*:lr")


def test_a_branch_that_changes_nothing(long_run: Path, tmp_path: Path) -> None:
    x, y = data()
    fl.resume(long_run, x, y, branch=tmp_path / "b", step=123)
    assert fl.diff(long_run, tmp_path / "b", x, y).equal


def flip(path: Path, name: str, place: tuple[int, ...], bit: int) -> tuple[float, float]:
    """Flip one bit of one weight of a checkpoint, whose own hash is made right again; the value before and after."""
    arrays, metadata = read_tensors(path)
    array = arrays[name].copy()
    before = float(str(array[place]))
    array.view(np.uint32)[place] ^= np.uint32(1 << bit)
    arrays[name] = array
    metadata["hash"] = hash_of(arrays, metadata)
    write_tensors(path, arrays, metadata)
    return before, float(str(array[place]))


def stop_after(step: int) -> fl.Callback:
    class Stop(fl.Callback):
        def on_step_end(self, run: fl.Run, number: int) -> bool:
            return number == step - 1

    return Stop()


def go_on(folder: Path) -> fl.Run:
    """Resume a run that a callback has ended."""
    path = sorted((folder / "checkpoints").glob("step-*.safetensors"))[-1]
    arrays, metadata = read_tensors(path)
    metadata["checkpoint"]["progress"]["stopped"] = ""
    metadata["hash"] = hash_of(arrays, metadata)
    write_tensors(path, arrays, metadata)
    return fl.resume(folder, *data())


def test_one_flipped_bit(long_run: Path, tmp_path: Path) -> None:
    x, y = data()
    train(epochs=205, run_dir=tmp_path / "b", callbacks=stop_after(777))
    file = tmp_path / "b" / "checkpoints" / "step-000000777.safetensors"
    before, after = flip(file, "3.weight", (2, 1), 12)
    run = go_on(tmp_path / "b")
    assert len(run.steps["loss"]) == STEPS
    for b in (tmp_path / "b", run):
        found = fl.diff(long_run, b, x, y)
        assert (found.kind, found.step, found.tensor) == ("fault", 776, "3.weight")
        assert found.change is not None
        assert (found.change.place, found.change.a, found.change.b) == ((2, 1), before, after)
        assert (found.change.count, found.change.bit) == (1, 12)
        assert "no setting, row or version explains it (bit 12 of 32, in its mantissa)" in found.cause
        assert "do not give the checkpoint that it stored after step 777" in found.cause
        assert "Memory, disk or another part of the hardware was at fault, or somebody edited it" in found.cause
    back = fl.diff(tmp_path / "b", long_run, x, y)
    assert (back.kind, back.step, back.tensor) == ("fault", 776, "3.weight")
    receipt = fl.verify(tmp_path / "b", x, y)
    assert not receipt.ok
    assert receipt.mismatch is not None
    assert (receipt.mismatch.what, receipt.mismatch.step) == ("checkpoint", 777)
    assert "3.weight[2, 1]" in receipt.mismatch.sentence
    assert "bit 12 of 32, in its mantissa" in receipt.mismatch.sentence


def test_a_recorded_hash_that_the_run_itself_does_not_give() -> None:
    run, other = train(), train()
    other.hashes[4 * PER_EPOCH] = "0" * 32
    found = fl.diff(run, other)
    assert (found.kind, found.since, found.step, found.tensor) == ("fault", 0, 4 * PER_EPOCH - 1, None)
    assert found.sentence == "The first step that differs is one of 0 to 19 (steps are numbered from 0)."
    assert "the steps 0 to 19 of run b, taken again, do not give the hash" in found.cause


def test_a_run_of_another_version_that_is_not_reproduced(tmp_path: Path) -> None:
    train(run_dir=tmp_path / "a")
    train(run_dir=tmp_path / "b")
    path = tmp_path / "b" / "run.json"
    about = json.loads(path.read_text())
    about["fallline"], about["weights"]["20"] = "0.0.1", "0" * 32
    path.write_text(json.dumps(about))
    found = fl.diff(tmp_path / "a", tmp_path / "b", *data())
    assert found.kind == "version"
    assert "was made by fallline 0.0.1 (now " in found.cause


def test_folders_of_other_data(tmp_path: Path) -> None:
    x, y = data()
    other = changed(17, 2)
    train(run_dir=tmp_path / "a")
    train(other, run_dir=tmp_path / "b")
    unknown = fl.diff(tmp_path / "a", tmp_path / "b", x, y)
    assert (unknown.equal, unknown.kind, unknown.step) == (False, "data", None)
    assert "Give b's data as well, other=(x, y)" in unknown.cause
    found = fl.diff(tmp_path / "a", tmp_path / "b", x, y, other=(other, y))
    assert (found.kind, found.step, found.rows[0].number) == ("data", first_step_with(17), 17)


# A defect of the compiler.


SUBTRACT, FMA = LlvmEmitter.subtract, LlvmEmitter.fma
MISTAKES: dict[str, tuple[str, Any, str]] = {
    "the wrong way round, which makes the loss NaN": ("subtract", lambda e, a, b: SUBTRACT(e, b, a), "1/tanh (tanh)"),
    "of another sign": ("fma", lambda e, a, b, c: FMA(e, e.negate(a), b, c), "0/matmul (matmul)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_miscompiled_kernel(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    name, instruction, tensor = MISTAKES[mistake]
    right = train()
    with monkeypatch.context() as patch:
        patch.setattr(LlvmEmitter, name, instruction)
        patch.setattr(compiled, "_kept", OrderedDict())
        wrong = train()
        for found in (fl.diff(right, wrong), fl.diff(wrong, right)):
            assert (found.kind, found.step, found.tensor) == ("kernel", 0, tensor.split()[0])
            assert f"the kernel that computes {tensor} is wrong: its result is up to " in found.cause
            assert "away from the reference walk, where at most " in found.cause
            assert "This is a defect of Fallline" in found.cause


@pytest.mark.parametrize(
    ("mistake", "stored"),
    list(zip(MISTAKES, ("NaN or infinite loss that it stored after step 1", "hash that it"), strict=True)),
)
def test_a_run_that_a_miscompiled_kernel_has_made(monkeypatch: pytest.MonkeyPatch, mistake: str, stored: str) -> None:
    # computed by the right kernels again, it is the run that is not reproduced
    right = train()
    with monkeypatch.context() as patch:
        patch.setattr(LlvmEmitter, *MISTAKES[mistake][:2])
        patch.setattr(compiled, "_kept", OrderedDict())
        wrong = train()
    monkeypatch.setattr(compiled, "_kept", OrderedDict())
    for found in (fl.diff(right, wrong), fl.diff(wrong, right)):
        assert (found.kind, found.step) == ("fault", 0)  # the first loss was another one
        assert f"taken again, do not give the {stored}" in found.cause


# What cannot be done.


def test_what_is_refused(tmp_path: Path) -> None:
    run = train(run_dir=tmp_path / "a")
    with pytest.raises(
        fl.KindError, match=r"diff: a run must be a Run, as fl.fit returns it, or a run's folder; found 3"
    ):
        fl.diff(run, 3)
    with pytest.raises(fl.ArgumentError, match=r"diff: the run folder '.*a' holds no data: give x and y"):
        fl.diff(tmp_path / "a", run)
    with pytest.raises(fl.RunFolderError, match=r"diff: there is no run in '.*nothing'"):
        fl.diff(run, tmp_path / "nothing")
    with pytest.raises(fl.ArgumentError, match=r"diff: other must be \(x, y\) or \(x, y, sample_weight\)"):
        fl.diff(run, tmp_path / "a", other=3)
    path = tmp_path / "a" / "run.json"
    path.write_text(path.read_text().replace('"contract": 1', '"contract": 0'))
    with pytest.raises(fl.RunFolderError, match=r"diff: the run .* under exactness contract 0, this version keeps"):
        fl.diff(tmp_path / "a", tmp_path / "a", *data())
