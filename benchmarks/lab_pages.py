"""Open pages of the lab: in a browser, or as processes that read what a page reads. For `bench_lab.py`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

BROWSER = "chromium"
PAGES = 3
SETTLED = 2
"""Seconds that pages have before they count: a person's are open longer than a block."""
TICKS = os.sysconf("SC_CLK_TCK")


class Tabs:
    """Tabs of one window of a browser that draws without a screen; the browser is there while they are closed, too.

    Args:
        address: the lab's.
        run: the id of the run that they show.
    """

    def __init__(self, address: str, run: str) -> None:
        from playwright.sync_api import sync_playwright

        self.play = sync_playwright().start()
        before = set(descendants(os.getpid()))
        self.browser = self.play.chromium.launch(executable_path=shutil.which(BROWSER))
        self.own = set(descendants(os.getpid())) - before
        window = self.browser.new_context()
        self.tabs = [window.new_page() for _ in range(PAGES)]
        self.address, self.events = f"{address}#/watch?runs={run}", 0

    def all(self, word: str) -> None:
        """Close them, or open them: with one in "front" of the others, or each "visible"."""
        for tab in self.tabs:
            tab.goto("about:blank")
        for place, tab in enumerate(self.tabs if word != "close" else ()):
            tab.goto(self.address)
            tab.locator(".head dl").wait_for()
            if word == "front" and place:
                tab.evaluate(HIDE)
        if word != "close":
            self.tabs[0].wait_for_timeout(1000 * SETTLED)

    def processes(self) -> list[int]:
        """The browser's, those of its tabs among them."""
        return [each for one in self.own for each in (one, *descendants(one))]

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

    def processes(self) -> list[int]:
        """Theirs."""
        return [reader.pid for reader in self.readers]

    def end(self) -> None:
        """Be rid of them."""
        for reader in self.readers:
            reader.communicate()


HIDE = """() => {
  Object.defineProperty(document, 'hidden', { get: () => true });
  Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def processor_seconds(processes: Iterable[int]) -> dict[int, float]:
    """Processor time that each of some processes has taken."""
    found = {process: _status(process) for process in set(processes)}
    return {process: (int(words[11]) + int(words[12])) / TICKS for process, words in found.items() if words}


def since(before: dict[int, float], now: dict[int, float]) -> float:
    """What processes have taken, in all, since a moment; those that ended meanwhile count no more."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in now.items())


def descendants(process: int) -> list[int]:
    """A process's children, and theirs."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if words := _status(int(folder.name)):
            parents[int(folder.name)] = int(words[1])
    found, new = [], [process]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def _status(process: int) -> list[str]:
    """/proc/PID/stat behind the name, which may hold anything."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
