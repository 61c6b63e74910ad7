"""Mutants by the thousand: workers are started, watched, replaced where they die, and counted."""

import json
import os
import selectors
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.worker import WALL_SECONDS, Verdict

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = WALL_SECONDS + 30
"""Seconds without a word after which a worker hangs where no signal reaches it."""


@dataclass
class Tally:
    """What became of the mutants of one kind."""

    kind: str
    mutants: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[Verdict] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0

    def count(self, verdict: Verdict) -> None:
        """One more."""
        self.mutants += 1
        self.outcomes[verdict.outcome] += 1
        self.slowest = max(self.slowest, verdict.seconds)
        self.memory = max(self.memory, verdict.memory)
        if verdict.outcome == "DEFECT":
            self.defects.append(verdict)


def shares(mutants: int, good: Path) -> dict[str, int]:
    """How many mutants of each kind, together so many at least; kinds of which there is no good file have none."""
    there = {name: kind for name, kind in KINDS.items() if any((good / file).is_file() for file in kind.files)}
    weights = sum(kind.weight for kind in there.values())
    return {name: -(-mutants * kind.weight // weights) for name, kind in there.items()}


def campaign(counts: dict[str, int], seed: int, good: Path, place: Path, workers: int = 2) -> list[Tally]:
    """Try so many mutants of each kind."""

    def one(item: tuple[int, tuple[str, int]]) -> Tally:
        number, (kind, count) = item
        folder = place / str(number)
        folder.mkdir()
        tally = Tally(kind)
        for verdict in verdicts(kind, count, seed, good, folder):
            tally.count(verdict)
        return tally

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, enumerate(counts.items())))


def verdicts(kind: str, count: int, seed: int, good: Path, place: Path, first: int = 0) -> Iterator[Verdict]:
    """The verdict of each mutant; where the process dies or hangs, that is the verdict, and another goes on."""
    end = first + count
    while first < end:
        task = {
            "good": str(good),
            "place": str(place),
            "kind": kind,
            "first": first,
            "count": end - first,
            "seed": seed,
        }
        died = ""
        process = _start(task)
        try:
            for line in _lines(process):
                answer = json.loads(line)
                if "begin" in answer:
                    first = answer["begin"]
                else:
                    yield Verdict(**answer)
                    first += 1
        except TimeoutError:
            died = f"it hung for more than {PATIENCE} s"
        finally:
            process.kill()
            code = process.wait()
            process.stdout.close()  # type: ignore[union-attr]
        if first < end:
            said = place / "noise"
            noise = said.read_text(errors="replace")[-2000:] if said.is_file() else ""
            yield Verdict(first, "DEFECT", died or f"the process died with {code}: {noise}", "", 0.0, 0)
            first += 1
            for left in ("work", "temporary"):
                shutil.rmtree(place / left, ignore_errors=True)


def _start(task: dict[str, object]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-m", "benchmarks.fuzz.worker"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.close()
    return process


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a worker writes, line by line; TimeoutError where it is silent for too long."""
    assert process.stdout is not None
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(PATIENCE):
                raise TimeoutError
            more = os.read(process.stdout.fileno(), 1 << 16)
            if not more:
                return
            *whole, buffer = (buffer + more).split(b"\n")
            yield from (line.decode() for line in whole)
