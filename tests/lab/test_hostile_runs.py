"""Run folders that somebody else has written: sentences or nothing, never a traceback, a script or another file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = "<img src=x onerror=alert(1)>"


def every_answer(lab: Any) -> list[Any]:
    """What each address tells of each run."""
    status, listed = lab.api("runs")
    assert status == 200
    found: list[Any] = [listed]
    for run in listed:
        for part in ("history", "observations"):
            status, answer = lab.api(f"runs/{run['id']}/{part}")
            assert status == 200
            found.append(answer)
    return found


CONTENTS = [
    b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 200_000, b'{"config": ' * 5_000 + b"1" + b"}" * 5_000,
    b'{"config": 5, "stopped": ["x"], "score": {}, "metric": 7, "branched_from": "x"}',
    b'{"config": {"rows": -1, "batch_size": 0, "epochs": 1e400, "optimizer": [1]}, "stopped": null}',
    b'{"config": {"rows": 1, "batch_size": 99999999999999999999}, "data": "half \\ud800"}',
    b'{"config": {}, "branched_from": {"run": "\\u0000"}}',
    b'{"problem": "' + b"x" * 3_000_000 + b'"}',
    b'{"stopped": "running", "score": NaN, "metric": "accuracy", "target": "\\u001b[2J"}',
]  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: str(content[:30]))
def test_a_run_json_of_any_kind(page: Callable[..., Any], runs: Path, content: bytes) -> None:
    (runs / "odd").mkdir()
    (runs / "odd" / "run.json").write_bytes(content)
    (listed, *_) = every_answer(page(runs))
    assert [run["name"] for run in listed] == ["odd"]
    assert listed[0]["status"] in ("damaged", "finished", "interrupted")
    assert all(len(str(value)) < 2000 for value in listed[0].values())


def test_a_run_json_that_is_huge_is_not_read(page: Callable[..., Any], runs: Path) -> None:
    (runs / "huge").mkdir()
    with (runs / "huge" / "run.json").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with (runs / "huge" / "losses.f64").open("wb") as file:
        file.truncate(1 << 28)
    (listed, history, _) = every_answer(page(runs))
    assert listed[0]["status"] == "damaged"
    assert history["step"] == 1 << 25
    assert len(history["losses"]) <= 2002


@pytest.mark.parametrize("name", ["history.jsonl", "observations.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        b"\xff\x00\n\n{\n[1]\n",
        b'{"epoch": "one", "loss": [1], "<script>": 3, "x": NaN, "y": 1e999}\n',
        b"[" * 300_000 + b"\n",
        b"x" * 9_000_000,
        b'{"a": ' * 5000 + b"1" + b"}" * 5000 + b"\n",
        b'{"epoch": 1, "half \\ud800": 2}\n{"epoch": 2',
    ],
    ids=lambda content: str(content[:20]),
)
def test_lines_of_any_kind(
    page: Callable[..., Any], runs: Path, name: str, content: bytes, train: Callable[..., Any]
) -> None:
    train(runs / "one", epochs=1)
    (runs / "one" / name).write_bytes(content)
    every_answer(page(runs))


def test_losses_that_are_not_whole(page: Callable[..., Any], runs: Path, train: Callable[..., Any]) -> None:
    train(runs / "one", epochs=1)
    file = runs / "one" / "losses.f64"
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    _, history, _ = every_answer(page(runs))
    assert history["step"] == len(whole) // 8 - 1
    file.write_bytes(b"\xff" * 80)  # NaN
    _, history, _ = every_answer(page(runs))
    assert history["losses"] == [[step, None] for step in range(10)]


def test_names_stay_text(page: Callable[..., Any], runs: Path, train: Callable[..., Any]) -> None:
    """The page puts them where text goes; here: they are JSON, plain ASCII, under a type that no browser runs."""
    folder = runs / SCRIPT.replace("/", "")
    train(folder, epochs=1)
    told = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(
        json.dumps({**told, "data": SCRIPT, "target": "</script>\u2028", "metric": SCRIPT})
    )
    lab = page(runs)
    found = lab.ask("api/runs")
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.text.isascii()
    (run,) = found.json()
    assert (run["name"], run["data"]) == (folder.name, SCRIPT)
    assert run["id"].isalnum()


def test_a_name_that_is_no_text(page: Callable[..., Any], runs: Path) -> None:
    place = os.path.join(os.fsencode(runs), b"bytes-\xff\x1b[2J")
    os.mkdir(place)
    with open(os.path.join(place, b"run.json"), "w", encoding="utf-8") as file:
        file.write('{"stopped": "epochs"}')
    (listed, *_) = every_answer(page(runs))
    assert listed[0]["name"] == "bytes-\\udcff\\x1b[2J"


def test_links_are_not_followed(
    page: Callable[..., Any], runs: Path, tmp_path: Path, train: Callable[..., Any]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    train(elsewhere / "secret", epochs=1)
    (runs / "link").symlink_to(elsewhere / "secret")
    assert page(runs).api("runs") == (200, [])
    train(runs / "one", epochs=1)
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"epoch": 1, "loss": 42.5}\n')
    for name in ("history.jsonl", "observations.jsonl", "losses.f64"):
        (runs / "one" / name).unlink(missing_ok=True)
        (runs / "one" / name).symlink_to(secret)
    listed, history, observations = every_answer(page(runs))
    assert "42.5" not in json.dumps([history, observations, listed[0]["last"]])
    assert (history["step"], history["epochs"], observations) == (0, [], [])
    (runs / "one" / "run.json").unlink()
    (runs / "one" / "run.json").symlink_to(secret)
    assert "42.5" not in json.dumps(page(runs).api("runs"))
    # Who names a link means where it leads.
    assert page(runs / "link").api("runs")[1][0]["status"] == "finished"


def test_a_pipe_does_not_hold_the_lab_up(page: Callable[..., Any], runs: Path, train: Callable[..., Any]) -> None:
    train(runs / "one", epochs=1)
    for name in ("history.jsonl", "losses.f64", "observations.jsonl"):
        (runs / "one" / name).unlink(missing_ok=True)
        os.mkfifo(runs / "one" / name)
    _, history, observations = every_answer(page(runs))
    assert (history["step"], history["epochs"], observations) == (0, [], [])


def test_a_folder_in_the_place_of_a_file(page: Callable[..., Any], runs: Path, train: Callable[..., Any]) -> None:
    (runs / "one" / "run.json").mkdir(parents=True)
    assert page(runs).api("runs") == (200, [])
    train(runs / "two", epochs=1)
    (runs / "two" / "losses.f64").unlink()
    (runs / "two" / "losses.f64").mkdir()
    every_answer(page(runs))
