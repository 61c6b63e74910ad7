"""Processes killed anywhere, folders damaged in between: the resumed run ends with the bits of an undisturbed one."""

import json
import logging
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.nn.model_file import read_tensors
from fallline.training.checkpoint import read_checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are no installed package

from benchmarks.crashes import STEPS, Crashes, Cycle, Story, damage, differences

EPOCHS = {"perceptron": 8000, "normalised": 1500, "shared": 150}
CYCLES = {
    "perceptron": [
        Cycle("kill", 0.2),
        Cycle("file", 9),
        Cycle("file", 40, threads=3, cold=True),
        Cycle("kill", 0.7, threads=2, own=True, damage="truncated"),
        Cycle("term", 0.6, threads=3, damage="history"),
        Cycle("last file", 12, damage="left over"),
    ],
    "normalised": [
        Cycle("file", 25, threads=2),
        Cycle("kill", 0.8, threads=3, damage="flipped"),
        Cycle("file", 31, threads=2, own=True, damage="losses"),
        Cycle("last file", 20),
    ],
    "shared": [
        Cycle("file", 38),
        Cycle("kill", 1.4, threads=2, damage="truncated"),
        Cycle("term", 1.5, threads=3),
        Cycle("last file", 3, own=True),
    ],
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize("kind", EPOCHS)
def test_killed_processes_end_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    crashes = Crashes(kind, EPOCHS[kind], tmp_path)
    told = crashes.story(CYCLES[kind], random.Random(0))
    assert told.differences == []
    assert told.kills > len(CYCLES[kind]) // 2, told  # a fast machine may come to the end before the last of them
    assert told.ends["came to its end"] == 1


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2), seed=1)


def trained(folder: Path, stop: int = 0) -> fl.Run:
    """Eight epochs of four steps with a checkpoint after each; or broken off after so many."""

    def interrupt(run: fl.Run, epoch: int) -> None:
        if epoch + 1 == stop:
            run.stopped = "interrupted"

    return fl.fit(
        network(), X, LABELS, epochs=8, batch_size=17, validation=(X[:9], 1 - LABELS[:9]), run_dir=folder,
        checkpoint_every=1e-9, callbacks=interrupt,
    )  # fmt: skip


def resumed(folder: Path) -> fl.Run:
    return fl.resume(folder, X, LABELS, validation=(X[:9], 1 - LABELS[:9]))


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob(STEPS))


@pytest.mark.parametrize("kind", ["truncated", "flipped"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_used(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(tmp_path / "quiet")
    refused = 0
    for seed in range(12):
        folder = tmp_path / f"{kind} {seed}"
        trained(folder, stop=5)
        newest = checkpoints(folder)[-1]
        assert damage(folder, kind, random.Random(seed))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            resumed(folder)
        assert list(differences(tmp_path / "quiet", folder)) == []
        refused += f"{newest.name}" in caplog.text and "the checkpoint before it is used" in caplog.text
    assert refused == 12 if kind == "truncated" else refused >= 9  # the graph for predictions is not what resumes


def test_every_flipped_bit_of_the_numbers_is_found(tmp_path: Path) -> None:
    """The numbers of a safetensors file stand behind its header, whose length its first eight bytes tell."""
    trained(tmp_path / "r", stop=5)
    newest = checkpoints(tmp_path / "r")[-1]
    data = newest.read_bytes()
    for place in range(8 + int.from_bytes(data[:8], "little"), len(data), 41):
        newest.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(fl.ModelFileError, match="does not have the hash that it was written with"):
            read_checkpoint(newest)


def test_damaged_checkpoints_do_not_crowd_out_new_ones(tmp_path: Path) -> None:
    """Three are kept, the latest: damaged ones of later steps are not among them."""
    folder = tmp_path / "r"
    trained(tmp_path / "quiet")
    trained(folder, stop=5)
    for path in checkpoints(folder):
        path.write_bytes(b"no checkpoint")

    def interrupt(run: fl.Run, epoch: int) -> None:
        run.stopped = "interrupted"

    fl.resume(folder, X, LABELS, validation=(X[:9], 1 - LABELS[:9]), callbacks=interrupt)
    assert checkpoints(folder)[-1].name == "step-000000004.safetensors"
    resumed(folder)
    assert list(differences(tmp_path / "quiet", folder)) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    trained(folder, stop=3)
    files = ("run.json", "model.safetensors", "start.safetensors", "history.jsonl", "losses.f64", "report.html")
    for name in (*files, "checkpoints/step-000000016.safetensors", "checkpoints/best.safetensors"):
        place = folder / name
        (place.parent / f".{place.name}.x1y2z3").write_bytes(b"half a f")
    (folder / ".mine").write_text("not Fallline's")
    resumed(folder)
    assert [path.name for path in folder.rglob(".*")] == [".mine"]


@pytest.mark.parametrize("left", [0, 3, 8, 50, 79])
def test_losses_that_were_lost_are_not_numbers(left: int, tmp_path: Path) -> None:
    quiet = trained(tmp_path / "quiet").steps["loss"]
    folder = tmp_path / "r"
    trained(folder, stop=5)
    file = folder / "losses.f64"
    assert file.stat().st_size == 8 * 20
    file.write_bytes(file.read_bytes()[:left])
    run = resumed(folder)
    expected = [*[np.nan] * 20, *quiet[20:]]  # what is left of them cannot be checked
    assert np.array_equal(run.steps["loss"], expected, equal_nan=True)
    assert np.array_equal(np.fromfile(file, "<f8"), expected, equal_nan=True)
    assert list(differences(tmp_path / "quiet", folder, losses_lost=True)) == []


def test_a_history_that_was_cut_is_whole_again(tmp_path: Path) -> None:
    trained(tmp_path / "quiet")
    folder = tmp_path / "r"
    trained(folder, stop=5)
    file = folder / "history.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    resumed(folder)
    assert [json.loads(line)["epoch"] for line in file.read_text(encoding="utf-8").splitlines()] == list(range(1, 9))
    assert list(differences(tmp_path / "quiet", folder)) == []


def test_the_best_weights_are_stored_again_where_they_were_not_yet(tmp_path: Path) -> None:
    """Killed between a checkpoint and best.safetensors, with no better epoch to come."""
    quiet = trained(tmp_path / "quiet")
    folder = tmp_path / "r"
    trained(folder, stop=5)
    assert quiet.best_epoch is not None
    assert quiet.best_epoch < 4
    best = folder / "checkpoints" / "best.safetensors"
    content = read_tensors(best)[0]
    best.unlink()
    resumed(folder)
    assert {n: a.tobytes() for n, a in read_tensors(best)[0].items()} == {n: a.tobytes() for n, a in content.items()}


def test_the_comparison_finds_what_differs(tmp_path: Path) -> None:
    """One seed more: everything is another, and the comparison says so."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, seed in ((one, 0), (other, 1)):
        fl.fit(network(), X, LABELS, epochs=2, batch_size=17, run_dir=folder, seed=seed)
    assert list(differences(one, one)) == []
    found = list(differences(one, other))
    assert found[:4] == ["model.safetensors", "the last checkpoint", "losses.f64", "history.jsonl"]
    assert found[4].startswith("gradient_norm in run.json: ")
    assert found[5:] == ["recorded hashes"]
    (other / ".left").write_text("")
    assert next(differences(one, other)).startswith("files: ")
    assert Story().kills == 0
