"""A run's folder that is damaged, edited or mixed with another: the bits of then, or a sentence and nothing changed."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.nn.model_file import read_tensors, write_tensors
from fallline.training.checkpoint import HASH, hash_of
from fallline.training.run_reader import StoredRun

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


class Stop(fl.Callback):
    def on_step_end(self, run: fl.Run, step: int) -> None:
        if step == 9:
            run.stopped = "interrupted"


def trained(folder: Path, seed: int = 0, stop: bool = True) -> fl.Run:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=1)
    return fl.fit(
        net, X, LABELS, epochs=4, batch_size=8, seed=seed, engine="reference", run_dir=folder, checkpoint_every=1e-9,
        schedule=optim.ReduceOnPlateau(patience=0, factor=0.5), callbacks=[Stop()] if stop else (),
        optimizer=optim.NAdam(0.05),
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    trained(tmp_path / "r")
    return tmp_path / "r"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, sentence: str) -> None:
    """Resuming is refused, and no file is touched."""
    before = contents(folder)
    with pytest.raises(fl.RunFolderError) as error:
        fl.resume(folder, X, LABELS)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert contents(folder) == before


def rewritten(path: Path, change: Any, sealed: bool = True) -> None:
    """A checkpoint with other metadata, and the hash of it."""
    arrays, metadata = read_tensors(path)
    change(metadata, arrays)
    if sealed:
        metadata[HASH] = hash_of(arrays, metadata)
    write_tensors(path, arrays, metadata)


def edited(folder: Path, **settings: Any) -> None:
    about = json.loads((folder / "run.json").read_text())
    about["config"] |= settings
    (folder / "run.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("name", "value", "then"),
    [("seed", 3, "0"), ("epochs", 10**18, "4"), ("batch_size", "x", "8"), ("tol", None, "0.")],
)
def test_edited_settings_are_named(name: str, value: Any, then: str, run: Path) -> None:
    edited(run, **{name: value})
    refused(run, f"were edited since the run began, or are another run's: '{name}' was {then}")
    with pytest.raises(fl.RunFolderError, match=f"'{name}' was"):
        fl.replay(run, 3, X, LABELS)


def test_another_engine_is_an_edit_too(run: Path) -> None:
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"engine": "reference"', '"engine": "compiled"', 1))
    refused(run, '\'engine\' was "reference", and is "compiled" now; put it back')


def test_the_number_of_threads_may_differ(run: Path) -> None:
    edited(run, threads=7)
    assert fl.resume(run, X, LABELS).epochs == 4


def test_checkpoints_of_another_run_are_passed_over(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their hash is right, and the step, too."""
    expected = trained(tmp_path / "expected", stop=False)
    trained(tmp_path / "other", seed=5)
    for path in (tmp_path / "other" / "checkpoints").iterdir():
        (run / "checkpoints" / path.name).write_bytes(path.read_bytes())
    with caplog.at_level(logging.WARNING, "fallline"):
        found = fl.resume(run, X, LABELS)
    assert "is the checkpoint of another run or step; the checkpoint before it is used" in caplog.text
    assert found.network.predict(X).tobytes() == expected.network.predict(X).tobytes()


def test_the_start_of_another_run(run: Path, tmp_path: Path) -> None:
    trained(tmp_path / "other", seed=5)
    (run / "start.safetensors").write_bytes((tmp_path / "other" / "start.safetensors").read_bytes())
    refused(run, "or are another run's: 'seed' was 5, and is 0 now")


def test_a_changed_prediction_graph_has_another_hash(run: Path) -> None:
    def change(metadata: Any, arrays: Any) -> None:
        metadata["graph"]["nodes"][-1]["op"] = "negate"

    rewritten(run / "start.safetensors", change, sealed=False)
    refused(run, "the run's start cannot be read: ")


def test_a_changed_training_graph_is_another_program(run: Path) -> None:
    def change(metadata: Any, arrays: Any) -> None:
        nodes = metadata["graphs"]["step"]["nodes"]
        next(node for node in nodes if node["op"] == "tanh")["op"] = "sigmoid"

    rewritten(run / "start.safetensors", change)
    refused(run, "the network or the loss in it is another one")


@pytest.mark.parametrize("count", [40, 4000])
def test_a_graph_that_doubles(count: int, run: Path) -> None:
    """x + x of x + x …: as a tree, 2^4000 terms."""

    def change(metadata: Any, arrays: Any) -> None:
        graph = metadata["graphs"]["step"]
        for _ in range(count):
            last = len(graph["nodes"]) - 1
            graph["nodes"].append({"op": "add", "inputs": [last, last], "attributes": {}})
            graph["provenance"].append(["", None, 0, ""])
        graph["outputs"]["more"] = len(graph["nodes"]) - 1

    rewritten(run / "start.safetensors", change)
    refused(run, "start.safetensors'")


@pytest.mark.parametrize("place", [["a"], ["", None, "x", ""], ["", [], 0, ""]])
def test_nodes_that_come_from_nowhere(place: Any, run: Path) -> None:
    rewritten(run / "start.safetensors", lambda m, _: m["graphs"]["step"]["provenance"].__setitem__(0, place))
    refused(run, "holds no training (TypeError: ")


def _set(name: str, value: Any) -> Any:
    return lambda metadata, arrays: metadata["checkpoint"]["progress"].__setitem__(name, value)


def _losses(metadata: Any, arrays: Any) -> None:
    arrays["@losses of the epoch"] = np.zeros(3)


def _weights(metadata: Any, arrays: Any) -> None:
    arrays["0.weight"] = arrays["0.weight"].T.copy()


def _step(metadata: Any, arrays: Any) -> None:
    metadata["checkpoint"]["memory"] = {"*": {"mu_product": "x"}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_set("stopped", "x"), "why it was stopped is not known"),
        (_set("stopped", "nan"), "why it was stopped is not known"),
        (_set("best_epoch", "x"), "its best epoch is no number"),
        (_set("seconds", "x"), "its seconds are no numbers"),
        (_set("hashes", {"-1": "x"}), "the steps of its hashes are none"),
        (_set("hashes", [1]), "it lacks something (AttributeError)"),
        (_set("callbacks", [1]), "it lacks something (TypeError)"),
        (
            _set("scoring", {name: {"tol": "nan", "best": None, "stale": 0} for name in ("early", "convergence")}),
            "what it has seen of scores is no number",
        ),
        (_set("scoring", {}), "it lacks something (KeyError)"),
        (_losses, "its losses are not those of the epoch that had begun"),
        (_weights, "its '0.weight' is not what a step takes"),
        (_step, "the optimizer's running numbers are"),
    ],
)
def test_a_whole_checkpoint_that_does_not_fit(change: Any, sentence: str, run: Path) -> None:
    rewritten(run / "checkpoints" / "step-000000010.safetensors", change)
    refused(run, f"does not fit its training: {sentence}")


def test_changed_losses(run: Path) -> None:
    file = run / "losses.f64"
    good = file.read_bytes()
    file.write_bytes(good[:16] + b"\1" + good[17:])
    refused(run, "losses.f64' is damaged: it does not hold the losses of the first 10 steps; restore it, or remove it")


def test_lost_losses(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are not known, and not 0, in the file as well."""
    expected = trained(tmp_path / "expected", stop=False)
    (run / "losses.f64").unlink()
    with caplog.at_level(logging.WARNING, "fallline"):
        found = fl.resume(run, X, LABELS)
    assert "losses.f64 is not whole; the losses of earlier steps are lost" in caplog.text
    assert np.isnan(found.steps["loss"][:10]).all()
    assert found.steps["loss"][10:] == expected.steps["loss"][10:]
    assert np.array_equal(np.fromfile(run / "losses.f64"), found.steps["loss"], equal_nan=True)
    assert found.network.predict(X).tobytes() == expected.network.predict(X).tobytes()


def test_losses_that_were_lost_before_a_kill(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A resumed run wrote that they are not known, and was killed before its next checkpoint."""
    np.full(10, np.nan).tofile(run / "losses.f64")
    with caplog.at_level(logging.WARNING, "fallline"):
        found = fl.resume(run, X, LABELS)
    assert "losses.f64 is not whole; the losses of earlier steps are lost" in caplog.text
    assert np.isnan(found.steps["loss"][:10]).all()
    assert not np.isnan(found.steps["loss"][10:]).any()


@pytest.mark.parametrize(
    "value",
    ['"\\ud800"', "[" * 200 + "]" * 200, "[" * 100_000 + "]" * 100_000, "9" * 10_000],
    ids=["letter", "200", "100000", "9"],
)
def test_what_could_not_be_written_again_is_not_read(value: str, run: Path) -> None:
    """Otherwise the run would fail at its end, when run.json is written."""
    text = (run / "run.json").read_text()
    (run / "run.json").write_text('{"data": ' + value + "," + text.lstrip()[1:])
    refused(run, "run.json' is damaged (")


def test_a_history_that_is_damaged(tmp_path: Path) -> None:
    """Its steps, hashes and scores may be anything; replaying takes the scores that have a hash."""
    trained(tmp_path / "r", stop=False)
    expected = fl.replay(tmp_path / "r", 17, X, LABELS)
    file = tmp_path / "r" / "history.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0] |= {"loss": 99.0, "step": [1], "weights": "x"}
    lines[1] |= {"loss": None, "step": 10**18, "weights": "x"}
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines[:2], *lines[:2], 5]))
    found = fl.replay(tmp_path / "r", 17, X, LABELS)
    assert found.learning_rate == expected.learning_rate
    assert found.after.values["0.weight"].tobytes() == expected.after.values["0.weight"].tobytes()
    stored = StoredRun(tmp_path / "r")
    assert len(stored.history()) == 2
    assert all(type(step) is int for step in stored.hashes())


def test_a_checkpoint_that_does_not_tell_of_losses(run: Path) -> None:
    """`StoredRun` is asked directly, without the checks of a resumed run."""
    rewritten(
        run / "checkpoints" / "step-000000010.safetensors", lambda m, _: m["checkpoint"]["progress"].pop("losses")
    )
    stored = StoredRun(run)
    with pytest.raises(fl.RunFolderError, match="does not hold the losses of the first 10 steps"):
        stored.losses_until(next(stored.whole()))


def test_numbers_of_a_kind_that_numpy_does_not_have(run: Path) -> None:
    """The type F4, of half a byte."""
    file = run / "start.safetensors"
    file.write_bytes(file.read_bytes().replace(b'"F32"', b'"F4" ', 1))
    refused(run, "the run's start cannot be read: ")


def test_a_progress_that_is_not_finite(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It could not be written into the next checkpoint: the training would fail at its end."""
    file = run / "checkpoints" / "step-000000010.safetensors"
    rewritten(file, lambda m, _: m["checkpoint"]["progress"]["scoring"]["early"].__setitem__("tol", 12345.5))
    arrays, metadata = read_tensors(file)
    metadata["checkpoint"]["progress"]["scoring"]["early"]["tol"] = math.inf
    hashed = hash_of(arrays, metadata)
    text = file.read_bytes().replace(b"12345.5", b"1e999  ").replace(metadata[HASH].encode(), hashed.encode())
    file.write_bytes(text)
    with caplog.at_level(logging.WARNING, "fallline"):
        assert fl.resume(run, X, LABELS).epochs == 4
    assert "its metadata are damaged; save or copy the file again; the checkpoint before it is used" in caplog.text
