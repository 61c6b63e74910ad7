"""A run's receipt: what was recorded is compared, and whatever is not reproduced is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.nn.model_file import read_tensors, write_tensors

ROWS, BATCH = 40, 8
PER_EPOCH = ROWS // BATCH
Array = np.ndarray[Any, Any]


def data() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(ROWS, 4)).astype(np.float32), rng.integers(0, 3, ROWS)


def train(**options: Any) -> fl.Run:
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.BatchNorm(5), nn.Linear(5, 3), seed=0)
    return fl.fit(net, *data(), **{"optimizer": optim.Adam(), "epochs": 6, "batch_size": BATCH, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "a"
    train(run_dir=path, checkpoint_every=1e-9)
    return path


def copied(folder: Path, tmp_path: Path) -> Path:
    for file in folder.rglob("*.*"):
        if file.is_file():
            target = tmp_path / "copy" / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return tmp_path / "copy"


def test_a_run_in_memory_is_reproduced() -> None:
    run = train()
    receipt = fl.verify(run)
    assert receipt.ok
    assert (receipt.steps, receipt.hashes, receipt.losses) == ((30,), 1, 30)
    assert (receipt.checkpoints, receipt.model, receipt.mismatch) == (0, None, None)
    assert (receipt.retrained, receipt.taken, receipt.engine) == (30, 30, "compiled")
    assert "run in memory is reproduced bit for bit: 1 recorded hash, 0 checkpoints, 30 losses." in str(receipt)


@pytest.mark.parametrize("change", [{}, {"validation": 0.25}, {"engine": "reference"}, {"threads": 2}])
def test_a_folder_is_reproduced(change: dict[str, Any], tmp_path: Path) -> None:
    run = train(run_dir=tmp_path / "a", checkpoint_every=1e-9, **change)
    receipt = fl.verify(tmp_path / "a", *data(), threads=1)
    taken = len(run.steps["loss"])
    assert receipt.ok, str(receipt)
    assert receipt.model
    assert receipt.losses == receipt.retrained == receipt.taken == taken
    assert receipt.steps[-1] == taken
    assert receipt.checkpoints == len(list((tmp_path / "a" / "checkpoints").glob("step-*")))
    assert "the model file" in str(receipt)


def test_a_resumed_run_is_reproduced_from_its_start(tmp_path: Path) -> None:
    train(run_dir=tmp_path / "a", callbacks=lambda run, epoch: epoch == 2)
    branch = fl.resume(tmp_path / "a", *data(), branch=tmp_path / "b", optimizer=optim.Adam(lr=0.01))
    receipt = fl.verify(branch)
    assert receipt.ok
    assert (receipt.retrained, receipt.taken) == (15, 30)


def test_intervals_are_chosen_by_the_seed(folder: Path) -> None:
    x, y = data()
    every = fl.verify(folder, x, y)
    assert every.intervals == ()
    found = [fl.verify(folder, x, y, intervals=1, seed=seed) for seed in range(12)]
    assert all(receipt.ok and len(receipt.intervals) == 1 for receipt in found)
    assert len({receipt.intervals for receipt in found}) > 1
    assert fl.verify(folder, x, y, intervals=1, seed=3).intervals == found[3].intervals
    assert min(receipt.retrained for receipt in found) < every.retrained
    assert "looked at: steps " in str(found[0])
    assert fl.verify(folder, x, y, intervals=99).retrained == every.retrained


def test_a_forged_hash(folder: Path, tmp_path: Path) -> None:
    path = copied(folder, tmp_path)
    about = json.loads((path / "run.json").read_text())
    about["weights"]["30"] = "0" * 32
    (path / "run.json").write_text(json.dumps(about))
    receipt = fl.verify(path, *data())
    assert not receipt.ok
    assert receipt.mismatch is not None
    assert (receipt.mismatch.step, receipt.mismatch.what) == (30, "hash")
    assert f"is not reproduced: after step 30 it recorded weights of hash {'0' * 32}, now it is" in str(receipt)


def test_a_forged_loss(folder: Path, tmp_path: Path) -> None:
    path = copied(folder, tmp_path)
    losses = np.fromfile(path / "losses.f64")
    losses[13] = np.nextafter(losses[13], 9)
    losses.tofile(path / "losses.f64")
    receipt = fl.verify(path, *data())
    assert receipt.mismatch is not None
    assert (receipt.mismatch.step, receipt.mismatch.what) == (13, "loss")
    assert "the loss of step 13 (from 0) was " in receipt.mismatch.sentence


def test_another_model_file(folder: Path, tmp_path: Path) -> None:
    path = copied(folder, tmp_path)
    arrays, metadata = read_tensors(path / "model.safetensors")
    weight = arrays["0.weight"].copy()
    weight[1, 2] = -weight[1, 2]
    write_tensors(path / "model.safetensors", {**arrays, "0.weight": weight}, metadata)
    receipt = fl.verify(path, *data())
    assert receipt.mismatch is not None
    assert (receipt.mismatch.step, receipt.mismatch.what, receipt.model) == (30, "model file", None)
    assert "does not hold the weights after step 30: 0.weight[1, 2] is " in receipt.mismatch.sentence
    assert "bit 31 of 32, its sign" in receipt.mismatch.sentence


def test_a_damaged_checkpoint(folder: Path, tmp_path: Path) -> None:
    path = copied(folder, tmp_path)
    last = sorted((path / "checkpoints").glob("step-*"))[-1]
    last.write_bytes(last.read_bytes()[:-5])
    receipt = fl.verify(path, *data())
    assert receipt.mismatch is not None
    assert receipt.mismatch.what == "checkpoint"
    assert "its checkpoint after step 30 cannot be read: " in receipt.mismatch.sentence


def test_what_is_refused(folder: Path) -> None:
    x, y = data()
    with pytest.raises(fl.ArgumentError, match="verify: intervals must be a whole number of at least 1, found 0"):
        fl.verify(folder, x, y, intervals=0)
    with pytest.raises(fl.ArgumentError, match=r"verify: the run folder '.*' holds no data: give x and y"):
        fl.verify(folder)
    with pytest.raises(fl.ArgumentError, match=r"verify: these are not the data of the run"):
        fl.verify(folder, x + 1, y)
