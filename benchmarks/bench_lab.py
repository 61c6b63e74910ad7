"""What it costs to watch: MNIST's network with three open pages of the lab, and without any.

In one training, blocks of epochs with three pages and with none take turns; the ratio of each pair counts, and of those
the median. Then whole trainings with the lab and three pages take turns with others that know of no lab.
FALLLINE_LAB_ROUNDS and FALLLINE_LAB_SECONDS ask for less, as a trial; FALLLINE_LAB_BROWSER=/usr/bin/chromium opens the
pages in a browser.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fallline as fl
from benchmarks.bench_safety import MNIST
from benchmarks.soak_mnist import DATA, idx
from benchmarks.tasks import network
from fallline import optim
from fallline.cli.train_lab import LabBeside
from fallline.lab.place import run_id
from fallline.training.control import Control
from fallline.training.pace import SECONDS
from fallline.training.signals import StopRequest

NAME = "lab"
ROUNDS = int(os.environ.get("FALLLINE_LAB_ROUNDS", "15"))
BLOCK = float(os.environ.get("FALLLINE_LAB_SECONDS", "2.5"))
"""Seconds of a block, about."""
PAGES = 3
LONGER = 6
"""Blocks that a whole training is long."""
LIMIT = 0.02


def run() -> str:
    """Both ratios, and the page."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the MNIST files are not in {DATA}")
    pixels = idx("train-images-idx3-ubyte.gz")
    x, y = pixels.reshape(len(pixels), -1), idx("train-labels-idx1-ubyte.gz").astype(np.int64)
    epochs = math.ceil(BLOCK / (fit(x, y, 4).seconds / 4))
    lines, watched = in_one_training(x, y, epochs)
    text = "\n".join([*lines, *whole_trainings(x, y, epochs)])
    if watched >= LIMIT:
        raise AssertionError(text)
    return text


def fit(x: Any, y: Any, epochs: int, folder: Path | None = None, callbacks: Any = ()) -> fl.Run:
    """MNIST's network, trained."""
    options: dict[str, Any] = {"optimizer": optim.SGD(lr=MNIST.rate), "batch_size": MNIST.batch, "epochs": epochs}
    return fl.fit(network(MNIST), x, y, **options, run_dir=folder, callbacks=callbacks)


BROWSER = os.environ.get("FALLLINE_LAB_BROWSER", "")
"""Where a Chromium is: then the pages are real ones, in it, on the same processors as the training."""


class Tabs:
    """Open pages in a browser without a window, which is there while they are closed, too.

    Args:
        address: the lab's.
        run: the id of the run that they show.
    """

    def __init__(self, address: str, run: str) -> None:
        from playwright.sync_api import sync_playwright

        self.play = sync_playwright().start()
        self.browser = self.play.chromium.launch(executable_path=BROWSER)
        self.tabs = [self.browser.new_page() for _ in range(PAGES)]
        self.address, self.events = f"{address}#/watch?runs={run}", 0

    def all(self, word: str) -> None:
        """Open or close them."""
        for tab in self.tabs:
            tab.goto(self.address if word == "open" else "about:blank")

    def end(self) -> None:
        """Be rid of them."""
        self.browser.close()
        self.play.stop()


class Pages:
    """Open pages, each in a process of its own that waits while its page is closed.

    Args:
        address: the lab's.
        run: the id of the run that they show.
    """

    def __init__(self, address: str, run: str) -> None:
        command = [sys.executable, "-m", "benchmarks.lab_reader", address, run]
        self.readers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PAGES)
        ]
        self.events = 0

    def all(self, word: str) -> None:
        """Open or close them."""
        for reader in self.readers:
            if reader.stdin is not None:
                reader.stdin.write(f"{word}\n")
                reader.stdin.flush()
        said = [json.loads(reader.stdout.readline()) for reader in self.readers if reader.stdout is not None]
        self.events = sum(each["events"] for each in said)

    def end(self) -> None:
        """Be rid of them."""
        for reader in self.readers:
            reader.communicate()


@contextmanager
def lab() -> Iterator[tuple[Path, str]]:
    """(a run folder to be, the address of the lab that shows it)."""
    with tempfile.TemporaryDirectory(prefix="lab-") as place:
        folder = Path(place) / "run"
        with LabBeside(folder) as beside:
            yield folder, beside.address


def in_one_training(x: Any, y: Any, epochs: int) -> tuple[list[str], float]:
    """Blocks of epochs of one training, with and without open pages."""
    found: dict[str, list[float]] = {"open": [], "close": []}
    with lab() as (folder, address):
        pages = (Tabs if BROWSER else Pages)(address, run_id(folder))
        turns = iter([word for number in range(-1, ROUNDS) for word in ("open", "close")[:: 1 if number % 2 else -1]])
        now, since = "close", 0.0

        def turn(run: fl.Run, epoch: int) -> bool:
            nonlocal now, since
            if (epoch + 1) % epochs:
                return False
            if epoch >= 3 * epochs:  # what was before is for warming up
                found[now].append(time.perf_counter() - since)
            following = next(turns, None)
            if following is None:
                return True
            if following != now:
                pages.all(following)
            now, since = following, time.perf_counter()
            return False

        fit(x, y, 10**9, folder, [turn, fl.Observer()])
        if now == "open":
            pages.all("close")
        pages.end()
        observed = (folder / "observations.jsonl").read_text(encoding="utf-8").count("\n")
    few = min(map(len, found.values()))
    pairs = [one / other for one, other in zip(found["open"][:few], found["close"][:few], strict=True)]
    low, middle, high = statistics.quantiles(pairs, n=4)
    lines = [
        f"## In one training: {MNIST.title}, 60,000 images of bytes",
        "",
        "| | seconds a block, median (fastest) |",
        "| --- | --- |",
        *(
            f"| {words} | {statistics.median(found[name]):.3f} ({min(found[name]):.3f}) |"
            for name, words in (("close", "no page open"), ("open", f"{PAGES} pages open"))
        ),
        "",
        f"{few} pairs of blocks of {epochs} epochs, in turn. With {PAGES} open pages an epoch takes "
        f"**{100 * (middle - 1):+.2f} %** (middle half of the pairs {100 * (low - 1):+.2f} to "
        f"{100 * (high - 1):+.2f} %; required: within 2 %). {observed:,} observations were made. {_pages(pages)}",
    ]
    return lines, middle - 1


def _pages(pages: Pages | Tabs) -> str:
    """What an open page is here."""
    if isinstance(pages, Tabs):
        return "The pages are those of a Chromium without a window, on the same processors as the training."
    return (
        f"The pages got {pages.events:,} events. A page is a process that reads what a browser's page reads, as often "
        "(history, observations, the stream of events, the list of runs each 2 s), and draws nothing: what a browser "
        "takes to draw depends on it and its machine."
    )


def whole_trainings(x: Any, y: Any, epochs: int) -> list[str]:
    """Whole trainings without a lab, with the lab, and with three pages, in turn."""

    def nothing(run: fl.Run, epoch: int) -> None:
        """Like the callback that opens the pages: with one, the weights are looked at after each epoch."""

    def alone() -> float:
        with tempfile.TemporaryDirectory(prefix="lab-") as place:
            return fit(x, y, LONGER * epochs, Path(place) / "run", [nothing]).seconds

    def unseen() -> float:
        with lab() as (folder, _):
            return fit(x, y, LONGER * epochs, folder, [nothing, fl.Observer()]).seconds

    def seen() -> float:
        with lab() as (folder, address):
            pages = (Tabs if BROWSER else Pages)(address, run_id(folder))
            opened: list[bool] = []

            def begin(run: fl.Run, epoch: int) -> None:
                if not opened:
                    opened.append(True)
                    pages.all("open")

            seconds = fit(x, y, LONGER * epochs, folder, [begin, fl.Observer()]).seconds
            pages.all("close")
            pages.end()
            return seconds

    contenders: dict[str, Callable[[], float]] = {
        "without a lab": alone, "with the lab, no page": unseen, f"with the lab, {PAGES} pages": seen,
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(max(3, ROUNDS // 4)):
        for name in [*contenders][:: 1 if number % 2 else -1]:
            found[name].append(contenders[name]())
    base = found["without a lab"]
    lines = ["", "## Whole trainings", "", "| | seconds, median (fastest) | ratio, median | middle half |"]
    lines.append("| --- | --- | --- | --- |")
    for name, times in found.items():
        ratios = [one / other for one, other in zip(times, base, strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        seconds = f"{statistics.median(times):.3f} ({min(times):.3f})"
        lines.append(f"| {name} | {seconds} | {ratio:.4f} | {low:.4f} to {high:.4f} |")
    lines += [
        "",
        f"{LONGER * epochs} epochs each, in turn. The lab brings observers with it, which may take 2 % of the time and "
        "compile one program at the start; without a lab there are none.",
        "",
        f"Looking whether somebody asks the training to pause takes {1e6 * a_look():.1f} µs for each run of steps of "
        f"some {1e3 * SECONDS:.0f} ms.",
    ]
    return lines


def a_look() -> float:
    """Seconds that one look at a run folder's control.json takes, where there is none."""
    with tempfile.TemporaryDirectory(prefix="lab-") as place:
        control, stop = Control(Path(place)), StopRequest()
        return min(timeit.repeat(lambda: control.obey(stop, lambda: None), number=1000, repeat=5)) / 1000
