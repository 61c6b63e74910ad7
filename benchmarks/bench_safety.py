"""What it costs never to lose a run: checkpoints, hashes of the weights, the watch for NaN.

Contenders take turns, round by round, in one process; the ratio of each round counts, and of those the median.
FALLLINE_SAFETY_ROUNDS and FALLLINE_SAFETY_SECONDS ask for less, as a trial.
"""

import contextlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import fallline as fl
from benchmarks.soak_mnist import DATA, idx
from benchmarks.tasks import network
from benchmarks.works import WORKS, Work, make_data
from fallline import optim
from fallline.training.checkpoint import Checkpoint
from fallline.training.loop import Training
from fallline.training.pace import SECONDS
from fallline.training.run_folder import RunFolder

NAME = "safety"
ROUNDS = int(os.environ.get("FALLLINE_SAFETY_ROUNDS", "7"))
LONG = float(os.environ.get("FALLLINE_SAFETY_SECONDS", "62"))
"""Seconds of the run that is long enough for two checkpoints 30 s apart."""
BLOCK = 1.5
"""Seconds of a block of epochs, about; a third of it where no checkpoint must fall into it."""
OFTEN = 0.25
"""Seconds between checkpoints where the price of one is measured."""
LIMIT = 0.02
MNIST = Work("mnist", (784, 128, 10), "relu", "cross_entropy", "sgd", 0.1, rows=60_000, batch=32, scale=1 / 255)
Blocks = dict[str, list[float]]
WITHOUT, FOLDER, BOTH = "no run folder", "a run folder, no checkpoint", f"a checkpoint every {OFTEN} s"
AS_IS, OUT, BARE = "as it is", "without hashes and the watch for NaN", "the steps alone"


def run() -> str:
    """Both prices, and the page."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the MNIST files are not in {DATA}")
    lines, share = checkpoints()
    more, dearer = hashes()
    text = "\n".join([*lines, *more])
    if max(share, dearer) >= LIMIT:
        raise AssertionError(text)
    return text


def checkpoints() -> tuple[list[str], float]:
    """The lines on checkpoints, and the share of the time that they take at one in 30 s."""
    pixels = idx("train-images-idx3-ubyte.gz")
    x, y = pixels.reshape(len(pixels), -1), idx("train-labels-idx1-ubyte.gz").astype(np.int64)
    epoch = fit(MNIST, x, y, 5).seconds / 5
    few = math.ceil(BLOCK / epoch)
    with counted() as made:
        contenders: dict[str, Callable[[], float]] = {
            WITHOUT: lambda: fit(MNIST, x, y, few).seconds,
            FOLDER: lambda: fit(MNIST, x, y, few, 1e9).seconds,
            BOTH: lambda: fit(MNIST, x, y, few, OFTEN).seconds,
        }
        found = blocks(contenders)
    of_a_block = made.count / (ROUNDS + 1)  # the round for warming up is counted, too
    lost = [(late - early) / of_a_block for early, late in zip(found[FOLDER], found[BOTH], strict=True)]
    share = statistics.median(lost) / 30
    lines = [
        f"## Checkpoints: {MNIST.title}, 60,000 images of bytes",
        "",
        *table(found, WITHOUT),
        "",
        f"{of_a_block:.0f} checkpoints in a block of {few} epochs. One makes the training wait for "
        f"{made.copying / made.count * 1e3:.2f} ms (copies, and steps taken again for the weights "
        "to fall back to, those of the epoch's start); a thread beside it then takes "
        f"{made.writing / made.count * 1e3:.1f} ms to hash, write and flush it. Against the run folder alone, the "
        f"training lost {in_ms(lost)} by each: every 30 s, that is **{100 * share:.3f} %** (required: under 2 %; "
        "predicted: 10 ms, 0.03 %).",
        "",
        *directly(x, y, math.ceil(LONG / epoch)),
    ]
    return lines, share


def directly(x: Any, y: Any, epochs: int) -> list[str]:
    """A long run with a checkpoint every 30 s, between two without."""
    totals, medians, kept = [], [], 0
    for every in (None, 30.0, None):
        with counted() as made:
            done = fit(MNIST, x, y, epochs, every)
        totals.append(done.seconds)
        medians.append(statistics.median(done.history["seconds"]))
        kept += made.count
    ratio, noise = totals[1] / statistics.mean(totals[::2]), abs(totals[2] / totals[0] - 1)
    return [
        f"Directly, {epochs} epochs, one run after the other: without {totals[0]:.2f} s, with a checkpoint every 30 s "
        f"({kept} and the last) {totals[1]:.2f} s, without {totals[2]:.2f} s: {100 * (ratio - 1):+.2f} %, where the "
        f"two without differ by {100 * noise:.2f} %; median epoch {medians[0] * 1e3:.1f}, {medians[1] * 1e3:.1f} and "
        f"{medians[2] * 1e3:.1f} ms.",
    ]


def hashes() -> tuple[list[str], float]:
    """The lines on hashes and the watch for NaN, and by how much a training is dearer with them."""
    work = WORKS["digits"]
    x, y = make_data(work)
    few = math.ceil(BLOCK / 3 / (fit(work, x, y, 50).seconds / 50))

    def without() -> float:
        with taken_out():
            return fit(work, x, y, few).seconds

    found = blocks({AS_IS: lambda: fit(work, x, y, few).seconds, OUT: without, BARE: lambda: bare(work, x, y, few)})
    dearer = statistics.median(ratios(found, OUT)[AS_IS]) - 1
    lines = [
        "",
        f"## Hashes and the watch for NaN: {work.title}",
        "",
        *table(found, OUT),
        "",
        f"{few} epochs of {work.steps} steps a block. Taken out were the hash of all weights (each half second) and "
        "the search of weights and state for NaN (after each stretch of some 30 ms); the native program still compares "
        f"each step's loss. The training as it is takes **{100 * dearer:+.2f} %** (required: under 2 %; predicted: "
        "0.1 %). The steps alone are the native program in stretches of whole epochs, without history, copies of the "
        "weights to go back to, hashes and watch.",
    ]
    return lines, dearer


def fit(work: Work, x: Any, y: Any, epochs: int, every: float | None = None) -> fl.Run:
    """A training of a work; with `every`, into a run folder with a checkpoint every so many seconds."""
    options: dict[str, Any] = {"optimizer": optim.SGD(lr=work.rate), "batch_size": work.batch, "epochs": epochs}
    if every is None:
        return fl.fit(network(work), x, y, **options)
    with tempfile.TemporaryDirectory(prefix="safety-") as place:
        return fl.fit(network(work), x, y, **options, run_dir=Path(place) / "run", checkpoint_every=every)


def bare(work: Work, x: Any, y: Any, epochs: int) -> float:
    """Seconds of the steps of so many epochs, without all that `fit` does between them."""
    taken: list[float] = []

    def steps_alone(self: Training) -> fl.Run:
        per_epoch = self.steps_per_epoch
        self.stepper.run(0, per_epoch)
        started = time.perf_counter()
        self.stepper.run(per_epoch, per_epoch)
        stretch = max(1, int(SECONDS / (time.perf_counter() - started)))
        started = time.perf_counter()
        for first in range(0, epochs, stretch):
            self.stepper.run((2 + first) * per_epoch, min(stretch, epochs - first) * per_epoch)
        taken.append(time.perf_counter() - started)
        return self.run

    with mock.patch.object(Training, "train", steps_alone):
        fit(work, x, y, epochs + 2)
    return taken[0]


@contextmanager
def taken_out() -> Iterator[None]:
    """Neither hashes of weights nor a search for NaN, wherever a training would have them."""
    nothing = {"weights_hash": lambda values: "", "bad_state": lambda snapshot: ""}
    with contextlib.ExitStack() as stack:
        for name, module in [*sys.modules.items()]:
            if name.startswith("fallline.training."):
                for function in (function for function in nothing if hasattr(module, function)):
                    stack.enter_context(mock.patch.object(module, function, nothing[function]))
        yield


@dataclass
class Made:
    """Checkpoints made while training went on.

    Attributes:
        count: how many.
        copying: seconds in which the training waited for them.
        writing: seconds of the thread that wrote them.
    """

    count: int = 0
    copying: float = 0.0
    writing: float = 0.0


@contextmanager
def counted() -> Iterator[Made]:
    """Count and time the checkpoints made within the block, but for the start's and the last one's."""
    made, take, submit, write = Made(), Training.checkpoint, RunFolder.checkpoint, RunFolder._write_checkpoint

    def taken(self: Training) -> Checkpoint:
        started = time.perf_counter()
        found = take(self)
        if found.step and not self.run.stopped:
            made.copying += time.perf_counter() - started
        return found

    def submitted(self: RunFolder, checkpoint: Checkpoint, behind: bool = True) -> None:
        started = time.perf_counter()
        submit(self, checkpoint, behind)
        if behind:
            made.count += 1
            made.copying += time.perf_counter() - started

    def written(self: RunFolder, checkpoint: Checkpoint) -> None:
        started = time.perf_counter()
        write(self, checkpoint)
        if not checkpoint.progress["stopped"]:
            made.writing += time.perf_counter() - started

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Training, "checkpoint", taken))
        stack.enter_context(mock.patch.object(RunFolder, "checkpoint", submitted))
        stack.enter_context(mock.patch.object(RunFolder, "_write_checkpoint", written))
        yield made


def blocks(contenders: dict[str, Callable[[], float]]) -> Blocks:
    """Seconds of each contender in each round; every second round in the opposite order."""
    found: Blocks = {name: [] for name in contenders}
    for number in range(-1, ROUNDS):
        for name in [*contenders][:: 1 if number % 2 else -1]:
            seconds = contenders[name]()
            if number >= 0:  # the first round is for warming up
                found[name].append(seconds)
    return found


def ratios(found: Blocks, base: str) -> Blocks:
    """Each contender's time over that of the base, round by round."""
    return {name: [a / b for a, b in zip(times, found[base], strict=True)] for name, times in found.items()}


def table(found: Blocks, base: str) -> list[str]:
    """Times and ratios as a table."""
    lines = ["| | seconds, median (fastest) | ratio, median | middle half of the ratios |", "| --- | --- | --- | --- |"]
    for name, relative in ratios(found, base).items():
        low, middle, high = statistics.quantiles(relative, n=4)
        seconds = f"{statistics.median(found[name]):.3f} ({min(found[name]):.3f})"
        lines.append(f"| {name} | {seconds} | {middle:.4f} | {low:.4f} to {high:.4f} |")
    return lines


def in_ms(seconds: list[float]) -> str:
    """The median, and the middle half, in ms."""
    low, middle, high = (1e3 * part for part in statistics.quantiles(seconds, n=4))
    return f"{middle:.1f} ms ({low:.1f} to {high:.1f})"
