"""The measurements of safety: what is taken out is out, what is counted is counted, what is told is what happened."""

import random
from collections import Counter

import numpy as np
import pytest
from benchmarks import bench_safety, soak_crashes
from benchmarks.bench_safety import bare, blocks, counted, fit, ratios, taken_out
from benchmarks.crashes import Story, random_cycles
from benchmarks.works import Work

WORK = Work("small", (5, 4, 3), "relu", "cross_entropy", "sgd", 0.1, rows=64, batch=8)
X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
Y = np.arange(64) % 3


def test_hashes_and_watch_are_taken_out_and_put_back() -> None:
    whole = fit(WORK, X, Y, 2)
    with taken_out():
        without = fit(WORK, X, Y, 2)
    assert [*without.hashes.values()] == [""]
    assert fit(WORK, X, Y, 2).hashes == whole.hashes
    assert without.steps["loss"] == whole.steps["loss"]


def test_checkpoints_are_counted() -> None:
    with counted() as made:
        fit(WORK, X, Y, 50, 1e9)
    assert (made.count, made.copying, made.writing) == (0, 0.0, 0.0)
    with counted() as made:
        fit(WORK, X, Y, 50, 1e-9)
    assert made.count > 0
    assert made.copying > 0.0
    assert made.writing > 0.0


def test_the_steps_alone_take_time() -> None:
    assert 0.0 < bare(WORK, X, Y, 3) < 60.0


def test_rounds_and_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first round is not counted; contenders change places."""
    monkeypatch.setattr(bench_safety, "ROUNDS", 3)
    order: list[str] = []
    found = blocks({"a": lambda: order.append("a") or 2.0, "b": lambda: order.append("b") or 4.0})  # type: ignore[func-returns-value]
    assert found == {"a": [2.0] * 3, "b": [4.0] * 3}
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert ratios(found, "a")["b"] == [2.0] * 3


def test_cycles_follow_from_their_seed_and_end_among_the_last_files() -> None:
    cycles = random_cycles(random.Random(3), 10, 0.5, 2.0)
    assert cycles == random_cycles(random.Random(3), 10, 0.5, 2.0)
    assert [cycle.how for cycle in cycles[-2:]] == ["last file"] * 2
    assert {cycle.how for cycle in cycles} <= {"kill", "term", "file", "last file"}
    assert cycles[0].damage == ""
    assert all(cycle.amount <= 0.5 + 0.6 for cycle in cycles if cycle.how in ("kill", "term"))


def test_the_page_tells_all_runs() -> None:
    good = Story(Counter({"between two checkpoints": 2}), Counter({"kill": 2}), Counter({"flipped": 1}), 1)
    bad = Story(Counter({"among the last files": 1}), Counter({"term": 1}), differences=["losses.f64"])
    assert soak_crashes.story_from({**vars(good), "moments": dict(good.moments)}) == good
    text = soak_crashes.page({"shared": [good, bad]})
    assert "float32 | 2 | 3 | 1 | 1 |" in text
    assert "| between two checkpoints | 2 |" in text
    assert "| term | 1 |" in text
    assert text.endswith("- shared: losses.f64")
