"""What a page is told while a run trains: all of it, once, and little at a time."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fallline.lab.parts import live
from fallline.lab.parts.live import Follower
from fallline.training.folder_lock import FolderLock


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between two looks."""
    monkeypatch.setattr(live, "EVERY", 0.0)
    monkeypatch.setattr(live, "RARELY", 0.0)


@pytest.fixture
def running(runs: Path, train: Callable[..., Any]) -> Any:
    """The folder of a run of which the lab must think that it trains, after 10 of 20 steps."""
    folder = runs / "one"
    train(folder)
    told = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**told, "stopped": "running"}))
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    (folder / "history.jsonl").write_text("".join(lines[:2]))
    losses = np.fromfile(folder / "losses.f64")
    losses[:10].tofile(folder / "losses.f64")
    lock = FolderLock(folder)
    yield folder, losses, lines
    lock.release()


def write_steps(folder: Path, losses: Any) -> None:
    with (folder / "losses.f64").open("ab") as file:
        file.write(np.asarray(losses, dtype="<f8").tobytes())


@pytest.mark.usefixtures("at_once")
def test_each_step_epoch_and_observation_is_told_once(running: Any) -> None:
    folder, losses, lines = running
    follower = Follower("one", folder, 10)
    first = follower.news()
    assert first is not None
    assert (first["run"], first["status"], first["step"], first["epoch"]) == ("one", "running", 10, 2)
    assert (first["losses"], first["epochs"]) == ([], [])
    assert follower.news() is None
    write_steps(folder, losses[10:13])
    second = follower.news()
    assert second is not None
    assert second["losses"] == [[step, losses[step]] for step in (10, 11, 12)]
    with (folder / "history.jsonl").open("a") as file:
        file.write(lines[2][:-5])
    assert follower.news() is None  # half a line is none
    with (folder / "history.jsonl").open("a") as file:
        file.write(lines[2][-5:])
    third = follower.news()
    assert third is not None
    assert [line["epoch"] for line in third["epochs"]] == [3]
    (folder / "observations.jsonl").write_text('{"step": 12, "sampling": {"rows": 40}}\n{"step": 13, "sampling": {}}\n')
    fourth = follower.news()
    assert fourth is not None
    assert (fourth["observation"], fourth["sampling"]) == ({"step": 13, "sampling": {}}, {})
    assert follower.news() is None


@pytest.mark.usefixtures("at_once")
def test_how_a_run_stands_is_told_when_it_changes(running: Any) -> None:
    folder, _, _ = running
    follower = Follower("one", folder, 10)

    def status() -> Any:
        news = follower.news()
        return news and news["status"]

    assert (status(), status()) == ("running", None)
    (folder / "paused.json").write_text("{}")
    assert (status(), status()) == ("paused", None)
    (folder / "paused.json").unlink()
    assert (status(), status()) == ("running", None)
    told = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**told, "stopped": "epochs"}))
    assert (status(), status()) == ("finished", None)
    (folder / "run.json").write_text("{")
    assert (status(), status()) == ("damaged", None)
    import shutil

    shutil.rmtree(folder)
    assert (status(), status()) == ("gone", None)


@pytest.mark.usefixtures("at_once")
def test_a_run_that_goes_on_from_its_checkpoint_is_told_back(running: Any) -> None:
    folder, losses, lines = running
    follower = Follower("one", folder, 10)
    follower.news()
    losses[:5].tofile(folder / "losses.f64")
    (folder / "history.jsonl").write_text(lines[0])
    news = follower.news()
    assert news is not None
    assert (news["back_to"], news["step"], news["losses"], news["epochs"]) == (5, 5, [], [])
    write_steps(folder, losses[5:7])
    with (folder / "history.jsonl").open("a") as file:
        file.write(lines[1])
    news = follower.news()
    assert news is not None
    assert "back_to" not in news
    assert [step for step, _ in news["losses"]] == [5, 6]
    assert [line["epoch"] for line in news["epochs"]] == [2]


@pytest.mark.usefixtures("at_once")
def test_a_reader_who_comes_back_is_told_what_it_missed(running: Any) -> None:
    folder, losses, _ = running
    news = Follower("one", folder, 7, since=7).news()
    assert news is not None
    assert news["losses"] == [[step, losses[step]] for step in (7, 8, 9)]
    assert [line["epoch"] for line in news["epochs"]] == [2]


@pytest.mark.usefixtures("at_once")
def test_a_slow_reader_gets_fewer_points_that_lose_no_peak(running: Any) -> None:
    folder, _, _ = running
    follower = Follower("one", folder, 10)
    many = np.random.default_rng(1).random(100_000)
    many[5_000] = 9.0
    write_steps(folder, many)
    news = follower.news()
    assert news is not None
    assert len(news["losses"]) <= live.POINTS + 2
    assert [5_010, 9.0] in news["losses"]
    assert len(json.dumps(news)) < 20_000


@pytest.mark.parametrize("query", ["", "?runs=", "?runs=" + ",".join(["x"] * 17)])
def test_no_or_too_many_runs(page: Callable[..., Any], trained: Path, query: str) -> None:
    status, found = page(trained).api(f"events{query}")
    assert status == 400
    assert found["error"].startswith("events?runs=ID,ID follows 1 to 16 runs; found ")


def called(app: Any, address: str, receive: Any, send: Any) -> Any:
    path, _, query = address.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"127.0.0.1")], "http_version": "1.1", "scheme": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    return app(scope, receive, send)


def test_the_stream_ends_with_its_reader(page: Callable[..., Any], trained: Path) -> None:
    lab = page(trained)
    address = f"/{lab.lab.token}/api/events?runs={lab.only()}&since=15"
    said: list[bytes] = []
    begun = False

    async def receive() -> dict[str, Any]:
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while b"data:" not in b"".join(said):
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message.get("body", b""))

    asyncio.run(asyncio.wait_for(called(lab.client.app, address, receive, send), 20))
    text = b"".join(said).decode()
    assert text.startswith("retry: 1000\n\n")
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert [step for step, _ in events[0]["losses"]] == [15, 16, 17, 18, 19]
    assert [line["epoch"] for line in events[0]["epochs"]] == [4]
    assert "id: 20" in text.splitlines()


def test_a_reader_who_takes_nothing_is_dropped(
    page: Callable[..., Any], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "DROPPED_AFTER", 0.05)
    lab = page(trained)
    address = f"/{lab.lab.token}/api/events?runs={lab.only()}"

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(3600)

    async def once() -> None:
        with pytest.raises(BaseException, match=r"the reader takes nothing|unhandled errors"):
            await asyncio.wait_for(called(lab.client.app, address, receive, send), 20)

    for _ in range(3):
        asyncio.run(once())


def test_so_many_readers_and_no_more(page: Callable[..., Any], trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_READERS", 0)
    lab = page(trained)
    status, found = lab.api(f"events?runs={lab.only()}")
    assert (status, found["error"]) == (400, "0 pages are following already; close one")
