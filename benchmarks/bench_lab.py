"""What it costs to watch: MNIST's network with three open pages of the lab, and without any.

In one training, blocks of epochs with three pages and with none take turns; the ratio of each pair counts, and of those
the median. The pages are processes that read what a page reads; where there is a Chromium, the real ones in it, too.
Then whole trainings with the lab and three pages take turns with others that know of no lab.
FALLLINE_LAB_ROUNDS and FALLLINE_LAB_SECONDS ask for less, as a trial.
"""

import importlib.util
import math
import os
import shutil
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fallline as fl
from benchmarks.bench_safety import MNIST
from benchmarks.lab_pages import BROWSER, PAGES, SETTLED, Pages, Tabs, processor_seconds, since
from benchmarks.lab_reader import LIST_EVERY
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
LONGER = 4
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
    text = "\n".join([*lines, *in_a_browser(x, y, epochs), *whole_trainings(x, y, epochs)])
    if watched >= LIMIT:
        raise AssertionError(text)
    return text


def fit(
    x: Any, y: Any, epochs: int, folder: Path | None = None, callbacks: Any = (), threads: int | None = None
) -> fl.Run:
    """MNIST's network, trained."""
    options: dict[str, Any] = {"optimizer": optim.SGD(lr=MNIST.rate), "batch_size": MNIST.batch, "epochs": epochs}
    return fl.fit(network(MNIST), x, y, **options, run_dir=folder, callbacks=callbacks, threads=threads)


@contextmanager
def lab() -> Iterator[tuple[Path, str, int]]:
    """(a run folder to be, the address of the lab that shows it, the number of the lab's process)."""
    with tempfile.TemporaryDirectory(prefix="lab-") as place:
        folder = Path(place) / "run"
        with LabBeside(folder) as beside:
            yield folder, beside.address, beside.process_id


@dataclass
class Blocks:
    """One training in blocks of epochs, each with the pages in another state.

    Attributes:
        seconds: state → of each block.
        used: state → processor seconds of the lab's server and of the pages, in all.
        observed: observations that were made.
        events: that the pages got.
    """

    seconds: dict[str, list[float]]
    used: dict[str, list[float]]
    observed: int = 0
    events: int = 0

    def dearer(self, state: str) -> tuple[float, float, float]:
        """By how much an epoch takes longer than with closed pages: (lower quartile, median, upper quartile)."""
        pairs = [one / other - 1 for one, other in zip(self.seconds[state], self.seconds["close"], strict=False)]
        low, middle, high = statistics.quantiles(pairs, n=4)
        return low, middle, high

    def share(self, state: str) -> tuple[float, float]:
        """Of one processor, what the server and what the pages took."""
        server, pages = (each / sum(self.seconds[state]) for each in self.used[state])
        return server, pages


def spent(server: int, pages: Pages | Tabs) -> tuple[dict[int, float], dict[int, float]]:
    """Processor time of the server, and of the pages' processes."""
    return processor_seconds([server]), processor_seconds(pages.processes())


def blocks(
    x: Any, y: Any, epochs: int, kind: type[Pages] | type[Tabs], states: Sequence[str], rounds: int,
    threads: int | None = None,
) -> Blocks:  # fmt: skip
    """One training whose pages go through the states, in turn forwards and backwards."""
    found = Blocks({state: [] for state in states}, {state: [0.0, 0.0] for state in states})
    with lab() as (folder, address, server):
        pages = kind(address, run_id(folder))
        turns = iter([state for number in range(-1, rounds) for state in states[:: 1 if number % 2 else -1]])
        now, begun, used, turn_number = "close", 0.0, spent(server, pages), 0

        def turn(run: fl.Run, epoch: int) -> bool:
            nonlocal now, begun, used, turn_number
            if (epoch + 1) % epochs:
                return False
            if turn_number > len(states):  # what was before is for warming up
                found.seconds[now].append(time.perf_counter() - begun)
                for place, (before, after) in enumerate(zip(used, spent(server, pages), strict=True)):
                    found.used[now][place] += since(before, after)
            turn_number += 1
            following = next(turns, None)
            if following is None:
                return True
            if following != now:
                pages.all(following)
            now, used, begun = following, spent(server, pages), time.perf_counter()
            return False

        fit(x, y, 10**9, folder, [turn, fl.Observer()], threads)
        if now != "close":
            pages.all("close")
        pages.end()
        found.observed = (folder / "observations.jsonl").read_text(encoding="utf-8").count("\n")
    found.events = pages.events
    return found


def in_one_training(x: Any, y: Any, epochs: int) -> tuple[list[str], float]:
    """The lines on readers that draw nothing, and by how much an epoch is dearer with them."""
    found = blocks(x, y, epochs, Pages, ("open", "close"), ROUNDS)
    low, middle, high = found.dearer("open")
    lines = [
        f"## Readers that draw nothing, in one training: {MNIST.title}, 60,000 images of bytes",
        "",
        "| | seconds a block, median (fastest) |",
        "| --- | --- |",
        *(
            f"| {words} | {statistics.median(found.seconds[name]):.3f} ({min(found.seconds[name]):.3f}) |"
            for name, words in (("close", "no page open"), ("open", f"{PAGES} pages open"))
        ),
        "",
        f"{ROUNDS} pairs of blocks of {epochs} epochs, in turn. With {PAGES} open pages an epoch takes "
        f"**{100 * middle:+.2f} %** (middle half of the pairs {100 * low:+.2f} to {100 * high:+.2f} %; required: "
        f"within 2 %). {found.observed:,} observations were made; the pages got {found.events:,} events. The lab's "
        f"server took {100 * found.share('open')[0]:.2f} % of a processor meanwhile. A page is a process that reads "
        "what a browser's page reads, as often (history, observations, the stream of events, the list of runs each "
        f"{LIST_EVERY:.0f} s), and draws nothing.",
    ]
    return lines, middle


TABS = {"front": f"{PAGES} tabs, one of them in front", "visible": f"all {PAGES} visible at a time"}


def in_a_browser(x: Any, y: Any, epochs: int) -> list[str]:
    """The lines on the real pages, on a training that leaves the browser a core, and on one that takes all."""
    cores = len(os.sched_getaffinity(0))
    if shutil.which(BROWSER) is None or importlib.util.find_spec("playwright") is None or cores < 2:
        return ["", f"No measurement in a browser: that needs {BROWSER}, Playwright and two cores."]
    rounds, epochs = max(3, ROUNDS // 3), 2 * epochs
    lines = ["", f"## In a browser: {BROWSER} without a window, on the training's own processors", ""]
    lines += ["| threads of a step | pages | an epoch takes | middle half | the browser, the server: of a processor |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for threads, words in ((None, f"up to {cores}, chosen as it trains"), (cores - 1, f"{cores - 1} of {cores} cores")):
        found = blocks(x, y, epochs, Tabs, ("visible", "front", "close"), rounds, threads)
        for state, pages in TABS.items():
            low, middle, high = found.dearer(state)
            server, browser = found.share(state)
            lines.append(
                f"| {words} | {pages} | {100 * middle:+.2f} % | {100 * low:+.2f} to {100 * high:+.2f} % | "
                f"{100 * browser:.1f} %, {100 * server:.2f} % |"
            )
    idle = 100 * found.share("close")[1]
    return [*lines, "", HOW.format(rounds=rounds, epochs=epochs, idle=idle, settled=SETTLED)]


HOW = (
    "{rounds} rounds of blocks of {epochs} epochs: no page, three tabs with one in front, three visible tabs, in turn "
    "forwards and backwards; each block is compared with the one of its round without a page. Opening the pages and "
    "the {settled} s behind it are in no block. A browser without a window takes all of its tabs for visible, so "
    "those behind the front one are told that they are hidden, through the page visibility API; a browser with a "
    "window saves more on them. All visible is the worst case, as if each had a window of its own. Drawing is the "
    "browser's work, without a graphics processor here; with no page open it took {idle:.1f} % of a processor. Where "
    "a training takes all cores, its threads wait for each other whenever one is kept from its core, so that a "
    "neighbour costs more than the processor time it takes."
)


def whole_trainings(x: Any, y: Any, epochs: int) -> list[str]:
    """Whole trainings without a lab, with the lab, and with three pages, in turn."""

    def nothing(run: fl.Run, epoch: int) -> None:
        """Like the callback that opens the pages: with one, the weights are looked at after each epoch."""

    def alone() -> float:
        with tempfile.TemporaryDirectory(prefix="lab-") as place:
            return fit(x, y, LONGER * epochs, Path(place) / "run", [nothing]).seconds

    def unseen() -> float:
        with lab() as (folder, *_):
            return fit(x, y, LONGER * epochs, folder, [nothing, fl.Observer()]).seconds

    def seen() -> float:
        with lab() as (folder, address, _):
            pages = Pages(address, run_id(folder))
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
