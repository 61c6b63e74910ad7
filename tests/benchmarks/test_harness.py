"""How times become one number, and who gets none."""

import dataclasses
import os

import pytest
from benchmarks import harness
from benchmarks.harness import Measured, Plan, compare
from benchmarks.tasks import Task, make_task
from benchmarks.truth import Truth, train
from benchmarks.works import Work

WORK = Work("tiny", (6, 5, 3), "relu", "cross_entropy", "sgd", 0.1, rows=24, batch=8)
BRIEF = Plan(seconds=0.001, rounds=1, fit_epochs=1)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_the_median_of_the_undisturbed_blocks_counts() -> None:
    found = Measured("numpy", 1, blocks=[(10.0, 0.0), (90.0, 0.5), (12.0, 0.07), (11.0, 0.01), (95.0, 1.0)])
    assert (found.clean, found.time, found.disturbed) == ([10.0, 12.0, 11.0], 11.0, False)


def test_the_least_disturbed_blocks_count_where_too_few_were_not() -> None:
    found = Measured("numpy", 1, blocks=[(10.0, 0.0), (90.0, 0.5), (12.0, 0.2), (11.0, 0.9), (95.0, 1.0)])
    assert (found.clean, found.time, found.disturbed) == ([10.0, 12.0, 90.0], 12.0, True)


def test_a_trial_is_asked_for_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECONDS", "ROUNDS", "EPOCHS", "WORKS", "CONTENDERS"):
        monkeypatch.delenv(f"FALLLINE_BENCH_{name}", raising=False)
    assert Plan.from_environment() == Plan()
    assert Plan().whole
    monkeypatch.setenv("FALLLINE_BENCH_SECONDS", "0.1")
    monkeypatch.setenv("FALLLINE_BENCH_WORKS", "small softmax")
    asked = Plan.from_environment()
    assert asked == Plan(seconds=0.1, works=("small", "softmax"))
    assert not asked.whole


def test_contenders_are_timed_in_processes_of_their_own() -> None:
    said: list[str] = []
    found = compare(make_task(WORK), ["numpy"], BRIEF, said.append)
    assert [measured.problem for measured in found] == [""] * len(found)
    for measured, line in zip(found, said, strict=True):
        assert measured.time > 0
        assert measured.cold > 0
        assert measured.peak > 1e6
        assert line.startswith(f"  tiny, numpy on {measured.threads}: ")


def test_other_losses_get_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(task: Task) -> Truth:
        true = train(task)
        return dataclasses.replace(true, losses=true.losses * 1.01)

    monkeypatch.setattr(harness, "true_training", wrong)
    for measured in compare(make_task(WORK), ["numpy"], BRIEF):
        assert measured.problem.startswith("its losses differ from float64 by 0.01")
        assert measured.blocks == []


def test_a_contender_that_breaks_is_shown_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dataclasses.replace(make_task(WORK), y=make_task(WORK).y + 7)  # labels that there are not
    monkeypatch.setattr(harness, "true_training", lambda task: Truth(train(make_task(WORK)).losses, 0.0))
    for measured in compare(broken, ["numpy"], BRIEF):
        assert measured.problem.startswith("its process ended: IndexError")
