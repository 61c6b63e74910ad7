"""Times contenders against each other: a process each, in turn, block by block; medians of undisturbed blocks."""

import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import CONTENDERS, OURS
from benchmarks.tasks import Task, save
from benchmarks.truth import objection
from benchmarks.truth import train as true_training
from benchmarks.workers import Worker, WorkerError, thread_counts

DISTURBED = 0.04
"""A block counts as disturbed when other processes took more than this share of all processors."""
FEWEST_CLEAN = 3


@dataclass(frozen=True)
class Plan:
    """How long to measure, and what. The environment can ask for less, as a trial: see `from_environment`.

    Attributes:
        seconds: of a block, about.
        rounds: blocks of each contender; as many again where too few were undisturbed.
        fit_epochs: fewest epochs of a call of `fl.fit`; 20 is its default.
        works, contenders: names of those wanted; empty means all.
    """

    seconds: float = 0.5
    rounds: int = 7
    fit_epochs: int = 20
    works: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls) -> "Plan":
        """FALLLINE_BENCH_SECONDS, _ROUNDS, _EPOCHS, _WORKS and _CONTENDERS, the last two separated by blanks."""

        def given(name: str, default: Any) -> Any:
            return os.environ.get(f"FALLLINE_BENCH_{name}", default)

        return cls(
            float(given("SECONDS", cls.seconds)),
            int(given("ROUNDS", cls.rounds)),
            int(given("EPOCHS", cls.fit_epochs)),
            tuple(given("WORKS", "").split()),
            tuple(given("CONTENDERS", "").split()),
        )

    @property
    def whole(self) -> bool:
        """Whether nothing was cut short or left out."""
        return self == Plan()


@dataclass
class Measured:
    """What was found of one contender on one number of threads.

    Attributes:
        name, threads: which.
        problem: why it has no time, or nothing.
        cold: seconds from the start of its process to the end of its first epoch.
        compiling: seconds that its first epoch took longer than its later ones.
        blocks: (µs per step, processors that others kept busy) of each block.
        peak: most bytes of memory.
        about: what only the run can tell.
    """

    name: str
    threads: int
    problem: str = ""
    cold: float = 0.0
    compiling: float = 0.0
    blocks: list[tuple[float, float]] = field(default_factory=list)
    peak: int = 0
    about: str = ""

    @property
    def clean(self) -> list[float]:
        """The undisturbed blocks; the three least disturbed ones where fewer were undisturbed."""
        limit = DISTURBED * (os.cpu_count() or 1)
        kept = [time for time, foreign in self.blocks if foreign <= limit]
        quietest = [time for time, _ in sorted(self.blocks, key=lambda block: block[1])]
        return kept if len(kept) >= FEWEST_CLEAN else quietest[:FEWEST_CLEAN]

    @property
    def disturbed(self) -> bool:
        """Whether too few blocks were undisturbed."""
        limit = DISTURBED * (os.cpu_count() or 1)
        return sum(foreign <= limit for _, foreign in self.blocks) < min(FEWEST_CLEAN, len(self.blocks))

    @property
    def time(self) -> float:
        """µs per step: the median."""
        return statistics.median(self.clean)


def compare(task: Task, names: Sequence[str], plan: Plan, tell: Callable[[str], None] | None = None) -> list[Measured]:
    """Time the named contenders on a task, on each of their numbers of threads.

    Every contender's losses are checked against float64 before it is timed and again in each block: from one that comes
    to others no time is taken.
    """
    contest = Contest(task, plan, tell or (lambda line: None))
    with tempfile.TemporaryDirectory(prefix="bench-task-") as place:
        save(task, Path(place))
        try:
            for name in names:
                for threads in thread_counts(name):
                    contest.enter(Worker(Path(place), name, threads), Measured(name, threads))
            contest.rounds()
            contest.finish()
        finally:
            for entry in contest.entries:
                entry.worker.close()
    return [entry.measured for entry in contest.entries]


@dataclass
class Entry:
    """A contender in the race: its process, what was found of it, how many epochs make a block."""

    worker: Worker
    measured: Measured
    epochs: int = 1


class Contest:
    """The contenders of one task, taking turns."""

    def __init__(self, task: Task, plan: Plan, tell: Callable[[str], None]) -> None:
        self.work, self.plan, self.tell = task.work, plan, tell
        self.truth = true_training(task)
        self.entries: list[Entry] = []

    @property
    def running(self) -> list[Entry]:
        """Those with nothing against them."""
        return [entry for entry in self.entries if not entry.measured.problem]

    def enter(self, worker: Worker, measured: Measured) -> None:
        """Wait for the first epoch, check the losses, find out how many epochs make a block."""
        entry = Entry(worker, measured)
        self.entries.append(entry)
        try:
            first = worker.answer()
            measured.cold = time.perf_counter() - worker.started
            measured.about = first["about"]
            checked = worker.ask("check")
            self.judge(entry, checked["losses"])
            measured.compiling = max(0.0, first["first"] - checked["seconds"])
            fewest = self.plan.fit_epochs if measured.name == OURS else 1
            for _ in range(2):  # the second time warm, and over more epochs
                once = checked["seconds"] if entry.epochs == 1 else self.block(entry)["seconds"] / entry.epochs
                entry.epochs = max(fewest, math.ceil(self.plan.seconds / once))
        except WorkerError as problem:
            measured.problem = str(problem)
        state = measured.problem or f"{measured.cold:.1f} s to the end of the first epoch"
        self.tell(f"  {self.work.name}, {measured.name} on {measured.threads}: {state}")

    def judge(self, entry: Entry, losses: Any) -> None:
        """Note what speaks against the losses of a contender."""
        same = CONTENDERS[entry.measured.name].same_steps
        entry.measured.problem = objection(self.work, np.asarray(losses, dtype=np.float64), self.truth, same)

    def block(self, entry: Entry) -> dict[str, Any]:
        """A timed block, its first epoch's losses checked."""
        answer = entry.worker.ask("block", entry.epochs)
        self.judge(entry, answer["losses"])
        return answer

    def rounds(self) -> None:
        """Blocks in turn; once more as many rounds where a contender has too few undisturbed ones."""
        for _ in range(2):
            for _ in range(self.plan.rounds):
                for entry in self.running:
                    try:
                        answer = self.block(entry)
                    except WorkerError as problem:
                        entry.measured.problem = str(problem)
                        continue
                    entry.measured.blocks.append((answer["seconds"] / answer["steps"] * 1e6, answer["foreign"]))
            if not any(entry.measured.disturbed for entry in self.running):
                return

    def finish(self) -> None:
        """Ask for the peak of memory."""
        for entry in self.running:
            try:
                entry.measured.peak = entry.worker.ask("quit")["peak"]
            except WorkerError as problem:
                entry.measured.problem = str(problem)
