"""The runs that the lab lists, and what it tells of them."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.lab.losses import losses_between
from fallline.lab.parts import runs as runs_part
from fallline.lab.place import Lab, run_id
from fallline.training.folder_lock import FolderLock


def test_a_run_is_listed(page: Callable[..., Any], trained: Path) -> None:
    status, (run,) = page(trained).api("runs")
    told = json.loads((trained / "first" / "run.json").read_text())
    assert status == 200
    assert (run["name"], run["path"], run["status"]) == ("first", str(trained / "first"), "finished")
    assert (run["epoch"], run["epochs"], run["step"], run["steps_per_epoch"]) == (4, 4, 20, 5)
    assert (run["rows"], run["batch_size"], run["lr"], run["parent"]) == (40, 8, 0.1, None)
    losses = np.fromfile(trained / "first" / "losses.f64")
    assert run["loss"] == losses[-1]
    assert run["seconds"] == told["seconds"]
    assert page(trained / "first").api("runs") == page(trained).api("runs")


def test_history_and_observations_are_those_of_the_run(page: Callable[..., Any], trained: Path) -> None:
    lab = page(trained)
    status, found = lab.api(f"runs/{lab.only()}/history")
    losses = np.fromfile(trained / "first" / "losses.f64")
    assert status == 200
    assert found["losses"] == [[step, loss] for step, loss in enumerate(losses.tolist())]
    assert (found["step"], found["steps_per_epoch"], found["decimated"], found["status"]) == (20, 5, False, "finished")
    lines = [json.loads(line) for line in (trained / "first" / "history.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in found["epochs"]] == [line["loss"] for line in lines]
    assert [line["learning_rate"] for line in found["epochs"]] == [0.1] * 4
    _, observed = lab.api(f"runs/{lab.only()}/observations")
    assert observed
    assert set(observed[0]["parameters"]) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_no_such_run(page: Callable[..., Any], trained: Path, runs: Path) -> None:
    lab = page(trained)
    for path in ("runs/nobody/history", "runs/nobody/observations", "events?runs=nobody", "runs/..%2f..%2fetc/history"):
        status, found = lab.api(path)
        assert status in (400, 404)
        assert found["error"] in (
            "there is no such run here, or its folder is gone; the list of runs has those there are",
            "the lab has nothing at this address, or not for this method",
        )
    assert page(runs).api("runs") == (200, [])
    assert page(runs / "gone").api("runs") == (200, [])


@pytest.mark.parametrize("points", ["1", "0", "-5", "1e3", "٣", "20001", "9" * 400, ""])
def test_a_number_of_points_that_is_none(page: Callable[..., Any], trained: Path, points: str) -> None:
    lab = page(trained)
    status, found = lab.api(f"runs/{lab.only()}/history?points={points}")
    assert status == 400
    assert found["error"].startswith("points must be a whole number from 2 to 20,000; found ")


def test_a_million_steps_open_in_a_second_and_lose_no_peak(
    page: Callable[..., Any], runs: Path, train: Callable[..., Any]
) -> None:
    folder = runs / "long"
    train(folder, epochs=1)
    losses = np.random.default_rng(3).random(1_000_000) + np.linspace(2, 0, 1_000_000)
    losses[654_321], losses[123_456], losses[777_777] = 50.0, -7.0, math.nan
    losses.tofile(folder / "losses.f64")
    lab = page(runs)
    name = lab.only()
    started = time.perf_counter()
    status, found = lab.api(f"runs/{name}/history?points=2000")
    assert time.perf_counter() - started < 1.0
    assert (status, found["step"], found["decimated"]) == (200, 1_000_000, True)
    steps = [step for step, _ in found["losses"]]
    assert steps == sorted(set(steps))
    assert 1900 < len(steps) <= 2000
    assert [654_321, 50.0] in found["losses"]
    assert [123_456, -7.0] in found["losses"]
    assert [777_777, None] in found["losses"]
    assert all(value is None or value == losses[step] for step, value in found["losses"])


@pytest.mark.parametrize(("count", "points"), [(1, 2), (7, 2), (10, 10), (11, 10), (1001, 20), (70_000, 200)])
def test_each_stretch_shows_its_lowest_and_highest(tmp_path: Path, count: int, points: int) -> None:
    losses = np.random.default_rng(count).random(count)
    losses.tofile(tmp_path / "losses.f64")
    found, steps = losses_between(tmp_path, 0, points)
    assert steps == count
    assert len(found) <= points + 2  # the last stretch may be a short one
    values = [value for _, value in found]
    assert (min(values), max(values)) == (losses.min(), losses.max())
    assert losses_between(tmp_path, count, points) == ([], count)
    later, _ = losses_between(tmp_path, count - 1, points)
    assert later == [[count - 1, losses[-1]]]


def test_more_losses_than_anybody_has_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fallline.lab import losses

    monkeypatch.setattr(losses, "MOST_STEPS", 100)
    np.arange(1000.0).tofile(tmp_path / "losses.f64")
    found, steps = losses_between(tmp_path, 0, 50)
    assert steps == 1000
    assert all(step == value and step % 10 == 0 for step, value in found)


def test_observations_of_a_long_run_are_thinned_with_the_last_kept() -> None:
    lines = [{"step": step} for step in range(1000)]
    found = runs_part._at_most(100, iter(lines))
    assert len(found) <= 101
    assert (found[0], found[-1]) == ({"step": 0}, {"step": 999})


def test_how_a_run_stands(page: Callable[..., Any], runs: Path, train: Callable[..., Any]) -> None:
    folder = runs / "one"
    train(folder, epochs=1)
    told = json.loads((folder / "run.json").read_text())

    def status(stopped: str) -> str:
        (folder / "run.json").write_text(json.dumps({**told, "stopped": stopped}))
        return str(page(runs).api("runs")[1][0]["status"])

    assert status("epochs") == status("patience") == status("converged") == status("callback") == "finished"
    assert status("nan") == "nan"
    assert status("interrupted") == "interrupted"
    assert status("running") == "interrupted"  # nobody writes to it: it was killed
    lock = FolderLock(folder)
    assert status("running") == "running"
    (folder / "paused.json").write_text("{}")
    assert status("running") == "paused"
    lock.release()
    assert status("running") == "interrupted"


def test_looking_at_a_run_does_not_keep_a_training_out(page: Callable[..., Any], runs: Path) -> None:
    """The lab takes the folder's lock for a moment to see whether it is held; who wants it meanwhile waits a little."""
    import fcntl
    import os
    import threading

    handle = os.open(runs, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [handle]).start()
    FolderLock(runs).release()


def test_a_fork_names_its_parent(page: Callable[..., Any], runs: Path, train: Callable[..., Any], data: Any) -> None:
    train(runs / "old")
    fl.resume(runs / "old", *data, branch=runs / "new", step=7, optimizer=fl.optim.SGD(lr=0.01, momentum=0.9))
    _, found = page(runs).api("runs")
    by_name = {run["name"]: run for run in found}
    assert by_name["new"]["parent"] == {"id": by_name["old"]["id"], "name": "old", "step": 7}
    assert by_name["new"]["lr"] == 0.01
    (alone,) = page(runs / "new").api("runs")[1]
    assert alone["parent"] == {"id": None, "name": "old", "step": 7}


def test_the_training_that_chose_the_epochs_is_listed_too(
    page: Callable[..., Any], runs: Path, train: Callable[..., Any]
) -> None:
    train(runs / "few" / "selection")
    assert [run["name"] for run in page(runs).api("runs")[1]] == ["few/selection"]
    train(runs / "few")
    assert sorted(run["name"] for run in page(runs).api("runs")[1]) == ["few", "few/selection"]
    (runs / "other").mkdir()
    (runs / "other" / "selection").symlink_to(runs / "few" / "selection")
    assert len(page(runs).api("runs")[1]) == 2, "no link is followed"


def test_an_id_is_that_of_the_folder() -> None:
    assert run_id(Path("/a/b")) == run_id(Path("/a/b")) != run_id(Path("/a/c"))
    assert run_id(Path("/a/\udcff<script>")).isalnum()
    assert Lab(runs=[Path("/nowhere")]).folders() == {}


def test_what_nobody_can_be_asked(page: Callable[..., Any], trained: Path) -> None:
    lab = page(trained)
    where = f"runs/{lab.only()}"
    status, found = lab.api(f"{where}/control", {"action": "pause"})
    assert (status, found["error"]) == (
        400, f"no training writes to {str(trained / 'first')!r} now, so there is nothing to pause",
    )  # fmt: skip
    assert lab.api(f"{where}/control", {"action": "pauze"})[1]["error"] == (
        "a training cannot be asked to 'pauze': did you mean 'pause'?"
    )
    assert lab.api(f"{where}/control", {})[0] == 400
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"step": -1, "lr": 0.1}, "a fork leaves its run after some step: a whole number from 0; found step=-1"),
        ({"step": "1; rm -rf /", "lr": 0.1}, "a fork leaves its run after some step: a whole number from 0; "),
        ({"step": 1, "lr": "x"}, "a fork needs a learning rate above 0; found lr=x"),
        ({"step": 1, "lr": 0}, "a fork needs a learning rate above 0; found lr=0"),
        ({"step": 1, "lr": True}, "a fork needs a learning rate above 0; found lr=True"),
        ({"step": 1, "lr": 0.1, "epochs": 0}, "epochs must be a whole number from 1; found 0"),
        ({"step": 1, "lr": 0.1, "schedule": "--out=/x"}, "a schedule is given by its name, such as constant or "),
        ({"step": 1, "lr": 0.1, "out": "/x"}, "a fork takes step, lr, epochs and schedule; found 'out'"),
        ({"step": 1, "lr": 0.1}, "the fork did not begin: train --resume: "),  # it was not made by `fallline train`
    ]
    for body, sentence in wrong:
        status, found = lab.api(f"{where}/fork", body)
        assert status == 400
        assert found["error"].startswith(sentence)
    assert lab.lab.forks.started == []
