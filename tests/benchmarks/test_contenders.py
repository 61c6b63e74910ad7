"""Every contender that is installed comes to the same losses, in its own process; a wrong one is found out."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers import CONTENDERS, OURS
from benchmarks.peers.numpy_by_hand import NumPyByHand
from benchmarks.tasks import make_task, save
from benchmarks.truth import objection, train
from benchmarks.workers import Worker, WorkerError, thread_counts, worker_environment
from benchmarks.works import Work

CLASSES = Work("classes", (6, 9, 8, 2), "relu", "cross_entropy", "sgd", 0.1, rows=64, batch=8, momentum=0.9)
NUMBERS = Work("numbers", (6, 9, 1), "relu", "mse", "adam", 0.001, rows=64, batch=8)
DECAY = dataclasses.replace(NUMBERS, name="decay", rule="adamw", decay=0.01, activation="tanh")
DEEP = Work("deep", (6, 5, 5, 5, 3), "tanh", "cross_entropy", "sgd", 0.1, rows=64, batch=16)
LINEAR = Work("linear", (6, 2), "relu", "cross_entropy", "sgd", 0.1, rows=64, batch=8)
BYTES = dataclasses.replace(CLASSES, name="bytes", momentum=0.0, scale=1 / 255)
WORKS = (CLASSES, NUMBERS, DECAY, DEEP, LINEAR, BYTES)
SLOW_TO_IMPORT = (CLASSES, DECAY, BYTES)
QUICK = [name for name in CONTENDERS if name != "torch-compile"]  # which compiles for half a minute


def data_of(work: Work) -> tuple[np.ndarray, np.ndarray] | None:
    if not work.scale:
        return None
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (work.rows, 6), dtype=np.uint8), rng.integers(0, 2, work.rows)


def test_numpy_by_hand_takes_the_true_steps_and_starts_anew() -> None:
    for work in WORKS:
        task = make_task(work, data_of(work))
        contender, truth = NumPyByHand(task, 1), train(task, 3)
        for _ in range(2):
            contender.restart()
            losses = contender.epochs(task.order(3))
            assert losses.shape == (3, work.steps)
            assert objection(work, losses, truth, same_steps=True) == ""


@pytest.mark.parametrize("changes", [{"rate": 0.11}, {"momentum": 0.8}, {"activation": "tanh"}], ids=str)
def test_another_training_is_found_out(changes: dict[str, object]) -> None:
    task = make_task(CLASSES)
    other = dataclasses.replace(task, work=dataclasses.replace(CLASSES, **changes))
    losses = NumPyByHand(other, 1).epochs(task.order(1))
    assert "its losses differ from float64" in objection(CLASSES, losses, train(task), same_steps=True)


@pytest.mark.peers
@pytest.mark.parametrize("name", QUICK)
def test_contenders_come_to_the_true_losses(name: str, tmp_path: Path) -> None:
    contender = CONTENDERS[name]
    if reason := contender.absent():
        pytest.skip(reason)
    if not contender.same_steps:
        pytest.skip("takes other steps, and needs more rows than a test has time for")
    for work in filter(contender.fits, WORKS if name in (OURS, "numpy") else SLOW_TO_IMPORT):
        folder = tmp_path / work.name
        folder.mkdir()
        task = make_task(work, data_of(work))
        save(task, folder)
        truth = train(task)
        with Worker(folder, name, 1) as worker:
            assert {"prepare", "first", "about"} <= worker.answer().keys()
            for command in (["check"], ["block", 2]):
                answer = worker.ask(*command)
                losses = np.asarray(answer["losses"])
                assert objection(work, losses, truth, same_steps=True) == "", work.name
            assert answer["steps"] == 2 * work.steps
            assert worker.ask("quit")["peak"] > 1e6
        assert not worker.own.exists()


def test_a_worker_that_ends_says_why(tmp_path: Path) -> None:
    with (
        Worker(tmp_path / "nothing", OURS, 1) as worker,
        pytest.raises(WorkerError, match=r"its process ended: FileNotFoundError.*work\.json"),
    ):
        worker.answer()


def test_a_worker_has_its_own_threads_and_empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/before")
    found = worker_environment(tmp_path, 2, None)
    assert found["OPENBLAS_NUM_THREADS"] == found["OMP_NUM_THREADS"] == "2"
    assert found["FALLLINE_CACHE"] == str(tmp_path / "fallline")
    assert found["PYTHONPATH"].split(os.pathsep)[1] == "/before"
    assert worker_environment(tmp_path, 1, tmp_path / "kept")["FALLLINE_CACHE"] == str(tmp_path / "kept")


def test_no_more_threads_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert thread_counts(OURS) == [1]
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert thread_counts(OURS) == [1, 2]
    assert thread_counts("sklearn-sgd") == [1]


def test_an_absent_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTENDERS["torch-eager"], "needs", ("no_such_library",))
    assert CONTENDERS["torch-eager"].absent() == "no_such_library not installed"
