"""The run folder: run.json, history.jsonl, checkpoints and the model."""

import errno
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.nn.model_file import load_network
from fallline.training.run_folder import RunFolder, data_hash, plain

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))


def strict(text: str) -> Any:
    """JSON as the standard has it: without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    net, folder = network(), tmp_path / "runs" / "first"
    run = fl.fit(
        net, X, LABELS, epochs=3, batch_size=16, validation=0.2, metrics=("accuracy",), run_dir=folder, seed=4,
        optimizer=optim.AdamW(lr=0.01), schedule="cosine", clip_norm=1.0,
    )  # fmt: skip
    assert run.folder == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "history.jsonl",
        "losses.f64",
        "model.safetensors",
        "run.json",
        "start.safetensors",
    ]
    assert load_network(folder / "model.safetensors").predict(X).tobytes() == net.predict(X).tobytes()
    about = strict((folder / "run.json").read_text(encoding="utf-8"))
    assert about["stopped"] == run.stopped == "epochs"
    assert about["epochs"] == 3
    assert about["engine"] == "compiled"
    assert about["contract"] == 1
    assert about["fallline"] == fl.__version__
    assert about["gradient_norm"] == run.gradient_norm
    assert about["best_epoch"] == run.best_epoch
    config = about["config"]
    assert config["optimizer"] == {"name": "adamw", **optim.AdamW(lr=0.01).config()}
    assert optim.from_config(config["optimizer"]).hyper == optim.AdamW(lr=0.01).hyper
    assert config["schedule"]["name"] == "cosine"
    assert (config["seed"], config["batch_size"], config["clip_norm"], config["shards"]) == (4, 16, 1.0, 1)
    assert (config["rows"], config["validation_rows"], config["parameters"]) == (32, 8, 38)
    assert config["network"] == "Sequential(Linear(3, 6), Tanh(), Linear(6, 2))"
    assert config["metrics"] == ["accuracy"]
    lines = [strict(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for name in ("loss", "validation_loss", "validation_accuracy", "learning_rate", "seconds"):
        assert [line[name] for line in lines] == run.history[name], name


def test_checkpoints_are_at_most_three_and_the_best(tmp_path: Path) -> None:
    net = network()
    weights: dict[int, Any] = {}

    class Keep(fl.Callback):
        def on_epoch_end(self, run: fl.Run, epoch: int) -> None:
            weights[len(run.steps["loss"])] = net.parameters()["0.weight"]

    run = fl.fit(
        net, X, LABELS, epochs=4, batch_size="all", run_dir=tmp_path / "r", checkpoint_every=1e-9, callbacks=[Keep()],
        validation=(X, 1 - LABELS), restore_best=False,
    )  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "r" / "checkpoints").iterdir())
    assert names == ["best.safetensors", *(f"step-{step:09d}.safetensors" for step in (2, 3, 4))]
    for step in (2, 3, 4):
        stored = load_network(tmp_path / "r" / "checkpoints" / f"step-{step:09d}.safetensors")
        assert stored.parameters()["0.weight"].tobytes() == weights[step].tobytes()
    best = load_network(tmp_path / "r" / "checkpoints" / "best.safetensors")
    assert run.best_epoch is not None
    assert best.parameters()["0.weight"].tobytes() == weights[run.best_epoch + 1].tobytes()
    assert net.parameters()["0.weight"].tobytes() == weights[4].tobytes()


def test_checkpoints_come_by_time(tmp_path: Path) -> None:
    fl.fit(network(), X, LABELS, epochs=4, run_dir=tmp_path / "r")  # 30 seconds is longer than this lasts
    assert [path.name for path in (tmp_path / "r" / "checkpoints").iterdir()] == ["step-000000008.safetensors"]


def test_a_run_that_went_bad_is_strict_json_too(tmp_path: Path) -> None:
    net = nn.Linear(3, 1)
    fl.fit(net, X, X[:, :1], loss="mse", optimizer=optim.SGD(lr=1e20), epochs=9, run_dir=tmp_path / "r")
    about = strict((tmp_path / "r" / "run.json").read_text(encoding="utf-8"))
    assert about["stopped"] == "nan"
    assert np.isfinite(load_network(tmp_path / "r" / "model.safetensors").predict(X)).all()


def test_the_run_that_breaks_off_says_running(tmp_path: Path) -> None:
    def fails(run: fl.Run, epoch: int) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fl.fit(network(), X, LABELS, run_dir=tmp_path / "r", callbacks=fails)
    assert strict((tmp_path / "r" / "run.json").read_text(encoding="utf-8"))["stopped"] == "running"


def test_an_existing_folder_is_not_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    fl.fit(network(), X, LABELS, epochs=1, run_dir=folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(fl.RunFolderError) as error:
        fl.fit(network(), X, LABELS, epochs=1, run_dir=folder)
    assert str(error.value) == (
        f"the run folder '{folder}' exists already and is not empty; choose another name or remove it"
    )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(fl.RunFolderError, match="exists already and is not empty"):
        fl.fit(network(), X, LABELS, epochs=1, run_dir=tmp_path / "file")
    with pytest.raises(fl.RunFolderError, match=r"cannot make the run folder .*: Not a directory; choose a folder"):
        fl.fit(network(), X, LABELS, epochs=1, run_dir=tmp_path / "file" / "r")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    assert fl.fit(network(), X, LABELS, epochs=1, run_dir=str(tmp_path / "r")).folder == tmp_path / "r"


def test_wrong_arguments_make_no_folder(tmp_path: Path) -> None:
    with pytest.raises(fl.ArgumentError):
        fl.fit(network(), X, LABELS, epochs=0, run_dir=tmp_path / "r")
    with pytest.raises(fl.KindError, match="run_dir must be a folder's path, found 3"):
        fl.fit(network(), X, LABELS, run_dir=3)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_weights_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()

    def fills(run: fl.Run, epoch: int) -> None:
        def full(*arguments: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(fl.ModelFileError, match="No space left on device"):
        fl.fit(net, X, LABELS, epochs=2, run_dir=tmp_path / "r", callbacks=fills)
    reference = network()
    fl.fit(reference, X, LABELS, epochs=2)
    assert net.parameters()["0.weight"].tobytes() == reference.parameters()["0.weight"].tobytes()
    assert not [path for path in (tmp_path / "r").rglob("*") if path.name.startswith(".")]


def test_values_as_strict_json_has_them() -> None:
    assert plain({"a": (1, np.float32(0.5)), 2: [math.nan, np.inf, np.int64(3), True, None]}) == {
        "a": [1, 0.5],
        "2": [None, None, 3, True, None],
    }
    assert plain(nn.Linear(2, 3)) == "Linear(2, 3)"


def test_data_are_named_by_their_content() -> None:
    """BLAKE2b of dtype, shape and bytes, one array after the other."""
    y = np.arange(3)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(b"<f4(2, 3)" + b"\0" * 24 + b"<i8(3,)" + y.tobytes())
    assert data_hash(np.zeros((2, 3), np.float32), y, None) == digest.hexdigest()
    assert data_hash(np.zeros((3, 2), np.float32)) != data_hash(np.zeros((2, 3), np.float32))
    assert data_hash(np.asfortranarray(X)) == data_hash(X)


def test_a_folder_takes_what_others_know(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r", about={"data": "iris"}, model_extra={"recipe": [1, 2]})
    net = network()
    run = fl.fit(net, X, LABELS, epochs=1, run_dir=folder)
    folder.finish(net, run, score=0.5)
    about = strict((tmp_path / "r" / "run.json").read_text(encoding="utf-8"))
    assert (about["data"], about["score"]) == ("iris", 0.5)
    assert load_network(folder.model).metadata["recipe"] == [1, 2]
