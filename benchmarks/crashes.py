"""Kills a training again and again, damages what it left, lets it go on, and compares its end with a quiet one's."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crash_worker import INTERRUPTED, NOT_BEGUN
from fallline.nn.model_file import read_tensors

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 300.0
"""Seconds in which a process must have come to the end of its training."""
STEPS, TEMPORARY = "step-*.safetensors", ".*.*"
DAMAGES = ("truncated", "flipped", "left over", "history", "losses")
REFUSED = "the checkpoint before it is used"


class CrashError(Exception):
    """A process failed in another way than it was made to; the message says what it said."""


@dataclass(frozen=True)
class Cycle:
    """One start of the process, and how it ends.

    Attributes:
        how: "kill" (SIGKILL) or "term" (SIGTERM) after `amount` seconds; "file" kills it before its operation on
            files number `amount`, "last file" the same among those after the training; "" lets it come to its end.
        amount: see there.
        threads: that it computes on.
        own: whether it goes on with the network of the code, not with the stored one.
        damage: one of DAMAGES, done before it starts.
        cold: whether everything must be compiled first.
    """

    how: str = ""
    amount: float = 0
    threads: int = 1
    own: bool = False
    damage: str = ""
    cold: bool = False


@dataclass
class Story:
    """What happened to one run.

    Attributes:
        moments: in which states its folder was when the process was killed, counted.
        ends: how processes ended, counted.
        damages: what was damaged, counted.
        refused: how many checkpoints were refused.
        differences: between its end and the quiet one's.
    """

    moments: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    damages: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How often it was killed or stopped."""
        return sum(self.moments.values())


@dataclass(frozen=True)
class Crashes:
    """Runs of one kind that end early, again and again.

    Args:
        kind: of `crash_worker.KINDS`.
        epochs: of each run.
        place: a folder for all this; the reference is trained there at once.
        every: seconds between checkpoints.
    """

    kind: str
    epochs: int
    place: Path
    every: float = 0.03

    def __post_init__(self) -> None:
        (self.place / "cache").mkdir(parents=True, exist_ok=True)
        if not self.reference.exists():
            self.start(self.reference, Cycle())

    @property
    def reference(self) -> Path:
        """The folder of the run that nothing happened to."""
        return self.place / f"{self.kind}-reference"

    @property
    def seconds(self) -> float:
        """How long the reference's training took."""
        return float(json.loads((self.reference / "run.json").read_text(encoding="utf-8"))["seconds"])

    def startup(self) -> float:
        """Seconds from the start of a process to its first step: of one that finds its run at its end."""
        started = time.perf_counter()
        self.start(self.reference, Cycle())
        return time.perf_counter() - started

    def story(self, cycles: list[Cycle], chance: random.Random, name: str = "run") -> Story:
        """A run that goes through the cycles, then to its end."""
        told, folder = Story(), self.place / f"{self.kind}-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        for cycle in [*cycles, Cycle(threads=2)]:
            if cycle.damage and damage(folder, cycle.damage, chance):
                told.damages[cycle.damage] += 1
            before = set(folder.rglob(TEMPORARY))
            ended, said = self.start(folder, cycle)
            told.refused += said.count(REFUSED)
            if ended == 0:
                told.ends["came to its end"] += 1
                break
            told.ends[said.splitlines()[-1] if cycle.how.endswith("file") else cycle.how] += 1
            told.moments[moment(folder, before)] += 1
        told.differences = list(differences(self.reference, folder, bool(told.damages["losses"])))
        return told

    def start(self, folder: Path, cycle: Cycle) -> tuple[int, str]:
        """(0 or how the process was ended, what it said) of one process.

        Raises:
            CrashError: it failed otherwise.
        """
        for _ in range(3):  # a folder of a run that had not begun is removed, and it is started once more
            ended, said = self._start(folder, cycle)
            if ended != NOT_BEGUN:
                break
        killed = (-signal.SIGKILL, -signal.SIGTERM, INTERRUPTED)
        if ended != 0 and not (cycle.how and ended in killed):
            raise CrashError(f"{self.kind}, {cycle}: exit code {ended}: {said[-3000:]}")
        return ended, said

    def _start(self, folder: Path, cycle: Cycle) -> tuple[int, str]:
        options = ["--every", str(self.every), "--threads", str(cycle.threads), *["--own"] * cycle.own]
        if cycle.how.endswith("file"):
            options += ["--bomb-at-end" if cycle.how == "last file" else "--bomb", str(int(cycle.amount))]
        command = [sys.executable, "-m", "benchmarks.crash_worker", self.kind, str(folder), str(self.epochs), *options]
        with self._cache(cycle.cold) as cache:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "FALLLINE_CACHE": str(cache)}, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                if cycle.how in ("kill", "term"):
                    time.sleep(cycle.amount)
                    process.send_signal(signal.SIGKILL if cycle.how == "kill" else signal.SIGTERM)
                said = process.communicate(timeout=TIMEOUT)[1]
            finally:
                process.kill()
        return process.returncode, said

    @contextmanager
    def _cache(self, cold: bool) -> Iterator[Path]:
        cache = self.place / ("cold" if cold else "cache")
        yield cache
        if cold:
            shutil.rmtree(cache, ignore_errors=True)


def moment(folder: Path, before: set[Path]) -> str:
    """In what state a folder is that a process was killed over; `before` are left-over files of earlier ones."""
    steps = list((folder / "checkpoints").glob(STEPS))
    if not (folder / "run.json").exists():
        return "before the folder's first file"
    if set(folder.rglob(TEMPORARY)) - before:
        return "while a file was being written"
    if not (folder / "start.safetensors").exists():
        return "before the start was stored"
    if not steps:
        return "before the first checkpoint"
    if len(steps) > 3:
        return "between a checkpoint and the removal of an old one"
    return "among the last files" if (folder / "model.safetensors").exists() else "between two checkpoints"


def damage(folder: Path, kind: str, chance: random.Random) -> bool:
    """Damage what a run left; whether there was such a thing."""
    steps = sorted((folder / "checkpoints").glob(STEPS))
    targets = {"history": folder / "history.jsonl", "losses": folder / "losses.f64"}
    file = targets.get(kind, steps[-1] if steps else None)
    if file is None or not file.exists():
        return False
    data = file.read_bytes()
    place = chance.randrange(max(len(data), 1))
    if kind == "flipped":
        flipped = bytes([data[place] ^ 1 << chance.randrange(8)])
        file.write_bytes(data[:place] + flipped + data[place + 1 :])
    elif kind == "left over":
        (file.parent / f".{file.name}.left").write_bytes(data[:place])
        (folder / ".run.json.left").write_bytes((folder / "run.json").read_bytes()[:place])
    else:
        file.write_bytes(data[:place])
    return True


def differences(one: Path, other: Path, losses_lost: bool = False) -> Iterator[str]:
    """What differs between two ended runs, apart from times.

    Args:
        one, other: their folders.
        losses_lost: whether losses of steps may be missing from the other's losses.f64.
    """
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if not path.name.startswith("step-"))
    found = sorted(str(path.relative_to(other)) for path in other.rglob("*") if not path.name.startswith("step-"))
    if names != found:
        yield f"files: {names} and {found}"
    for name in (name for name in names if name.endswith(".safetensors") and name in found):
        if _tensors(one / name) != _tensors(other / name):
            yield name
    if _tensors(_last(one)) != _tensors(_last(other)):
        yield "the last checkpoint"
    yield from _losses(one, other, losses_lost)
    (first, first_hashes), (second, second_hashes) = _history(one), _history(other)
    if first != second:
        yield "history.jsonl"
    abouts = [json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in (one, other)]
    for key in ("stopped", "problem", "epochs", "gradient_norm", "best_epoch", "contract", "engine"):
        if abouts[0][key] != abouts[1][key]:
            yield f"{key} in run.json: {abouts[0][key]} and {abouts[1][key]}"
    hashes = [{**known, **about["weights"]} for known, about in zip((first_hashes, second_hashes), abouts, strict=True)]
    last = max(hashes[0], key=int)
    if last not in hashes[1] or any(hashes[0].get(step, name) != name for step, name in hashes[1].items()):
        yield "recorded hashes"


def _last(folder: Path) -> Path:
    return max((folder / "checkpoints").glob(STEPS))


def _tensors(path: Path) -> dict[str, Any]:
    """Tensors by name, as (dtype, shape, bytes), but for measured seconds."""
    arrays = read_tensors(path)[0]
    return {n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items() if n != "@history seconds"}


def _losses(one: Path, other: Path, lost: bool) -> Iterator[str]:
    first, second = (np.fromfile(folder / "losses.f64", dtype="<f8") for folder in (one, other))
    same = len(first) == len(second) and (first.view(np.int64) == second.view(np.int64)) | (lost & np.isnan(second))
    if not np.all(same):
        yield "losses.f64"


def _history(folder: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(the lines without seconds and hashes, the hashes by step)."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    hashes = {str(line.pop("step")): line.pop("weights") for line in lines if "weights" in line}
    for line in lines:
        line.pop("seconds")
    return lines, hashes


def random_cycles(chance: random.Random, count: int, startup: float, seconds: float) -> list[Cycle]:
    """Kills everywhere: while starting, compiling, training, writing; the last two among the last files.

    Args:
        chance: where they come from.
        count: how many, at least 3.
        startup: seconds from the start of a process to its first step.
        seconds: that the whole training takes.
    """
    cycles = []
    for number in range(count):
        how = chance.choices(("kill", "term", "file"), (6, 1, 3))[0]
        amount: float = chance.randint(1, 60)
        if how != "file":
            span = startup if chance.random() < 0.2 else startup + 3 * seconds / count
            amount = chance.uniform(0, span)
        if number >= count - 2:
            how, amount = "last file", chance.randint(1, 24)
        damaged = chance.choice(DAMAGES) if number and chance.random() < 0.3 else ""
        cold = chance.random() < 0.1
        # more threads than processors wait for each other: only where the process does not come to its end
        threads = chance.randint(1, {"kill": 3, "term": 3, "file": 2}.get(how, 1))
        cycles.append(Cycle(how, amount, threads, chance.random() < 0.3, damaged, cold))
    return cycles
