"""How many threads run: one while a neighbour keeps the cores, many when it has gone; by a clock of its own."""

from collections.abc import Callable, Iterator

import pytest

from fallline.engine import crew
from fallline.engine.crew import Crew

STEPS = 400
UNIT = 0.03 / STEPS
"""Seconds of a step, so that a run is as long as those of a training."""
ALONE = {1: 1.8, 2: 1.0}
CROWDED = {1: 2.0, 2: 3.0}


class Machine:
    """Takes as long for a step as it is told, by its own clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace: Callable[[int], float] = ALONE.__getitem__
        self.calls: list[tuple[int, int, int]] = []

    def steps(self, first: int, count: int, threads: int) -> bool:
        self.calls.append((first, count, threads))
        self.now += UNIT * count * self.pace(threads)
        return True

    def runs(self, chosen: Crew, number: int, steps: int = STEPS) -> list[int]:
        """The number of threads behind each of so many runs."""
        found = []
        for _ in range(number):
            chosen.run(steps, self.steps)
            found.append(chosen.threads)
        return found


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setattr(crew, "perf_counter", lambda: made.now)
    return made


def test_it_follows_what_is_faster_and_never_stays_behind(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    assert set(machine.runs(chosen, 60)) == {2}
    for _ in range(3):
        machine.pace = CROWDED.__getitem__
        assert machine.runs(chosen, 20)[-1] == 1
        assert set(machine.runs(chosen, 60)) == {1}
        machine.pace = ALONE.__getitem__
        assert machine.runs(chosen, 30)[-1] == 2
        assert set(machine.runs(chosen, 60)) == {2}


def test_where_one_is_faster_from_the_start_it_is_found_soon(machine: Machine) -> None:
    machine.pace = {1: 1.0, 2: 1.1}.__getitem__
    assert machine.runs(Crew(2, fixed=False), 6)[-1] == 1


def test_long_runs_are_judged_at_once(machine: Machine) -> None:
    machine.pace = {1: 10.0, 2: 11.0}.__getitem__
    assert machine.runs(Crew(2, fixed=False), 1) == [1]


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 10, 19, 25])
def test_runs_of_few_long_steps_are_judged_as_others_are(machine: Machine, steps: int) -> None:
    long = STEPS / steps
    chosen = Crew(2, fixed=False)
    for _ in range(3):
        machine.pace = lambda threads: CROWDED[threads] * long
        assert machine.runs(chosen, 400, steps)[-1] == 1
        machine.pace = lambda threads: ALONE[threads] * long
        assert machine.runs(chosen, 400, steps)[-1] == 2
    before = machine.now
    machine.runs(chosen, 400, steps)
    assert machine.now - before < 1.02 * 400 * UNIT * STEPS * ALONE[2]


def test_one_step_that_was_disturbed_or_spared_decides_nothing(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    first = True

    def spared(threads: int) -> float:
        nonlocal first
        pace = 5.0 if threads == 1 and first else 55.0 * ALONE[threads]
        first = first and threads == 2
        return pace

    machine.pace = spared
    assert set(machine.runs(chosen, 100, steps=12)) == {2}


def test_the_rests_of_epochs_of_short_steps_are_not_judged(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    machine.pace = {1: 1.0, 2: 40.0}.__getitem__
    assert set(machine.runs(chosen, 200, steps=1)) == {2}


def test_one_disturbed_run_decides_nothing(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    machine.runs(chosen, 20)
    machine.pace = {1: 1.8, 2: 3.5}.__getitem__
    assert machine.runs(chosen, 1) == [2]
    machine.pace = ALONE.__getitem__
    assert set(machine.runs(chosen, 40)) == {2}


def test_one_look_that_was_spared_decides_nothing(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    machine.runs(chosen, 4)
    machine.pace = {1: 2.0, 2: 5.0}.__getitem__
    assert machine.runs(chosen, 20)[-1] == 1
    looks = 0

    def spared(threads: int) -> float:
        nonlocal looks
        looks += threads == 2
        return 1.0 if threads == 2 and looks % 3 == 0 else CROWDED[threads]

    machine.pace = spared
    assert set(machine.runs(chosen, 100)) == {1}
    assert looks > 10


def test_looking_takes_a_small_part_of_the_time(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    machine.runs(chosen, 160)
    assert machine.now < 1.006 * 160 * UNIT * STEPS * ALONE[2]


@pytest.mark.parametrize("pace", [ALONE, CROWDED])
def test_every_step_is_taken_once_in_order(machine: Machine, pace: dict[int, float]) -> None:
    machine.pace = pace.__getitem__
    chosen = Crew(2, fixed=False)
    for _ in range(40):
        machine.calls.clear()
        chosen.run(STEPS, machine.steps)
        ends = [first + count for first, count, _ in machine.calls]
        assert [first for first, _, _ in machine.calls] == [0, *ends[:-1]]
        assert ends[-1] == STEPS


@pytest.mark.parametrize("last", [0, 1, STEPS // 20, STEPS // 20 + 1, STEPS - 1])
def test_steps_that_end_early_are_not_followed_by_others(machine: Machine, last: int) -> None:
    chosen, done = Crew(2, fixed=False), []

    def ends(first: int, count: int, threads: int) -> bool:
        done.extend(range(first, min(first + count, last + 1)))
        return first + count <= last

    chosen.run(STEPS, ends)
    assert done == list(range(last + 1))
    assert chosen.threads == 2


def test_what_waking_a_thread_takes_is_no_part_of_a_look(machine: Machine) -> None:
    chosen = Crew(2, fixed=False)
    machine.pace = CROWDED.__getitem__
    assert machine.runs(chosen, 20)[-1] == 1
    machine.pace = ALONE.__getitem__
    slept = machine.steps

    def wakes(first: int, count: int, threads: int) -> bool:
        machine.now += 0.01 if threads == 2 and first == 0 and chosen.threads == 1 else 0.0
        return slept(first, count, threads)

    machine.steps = wakes  # type: ignore[method-assign]
    assert machine.runs(chosen, 30)[-1] == 2


def test_a_number_that_was_asked_for_stays(machine: Machine) -> None:
    machine.pace = CROWDED.__getitem__
    assert set(machine.runs(Crew(2, fixed=True), 50)) == {2}
    assert {threads for _, _, threads in machine.calls} == {2}
    assert set(machine.runs(Crew(1, fixed=False), 50)) == {1}
