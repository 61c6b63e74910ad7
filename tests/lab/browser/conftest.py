"""The lab in a real browser, served by a process of its own; pictures are kept in build/screenshots, to be looked at.

Whatever a page does, it writes no error to the console and asks nobody but the lab. Without Chromium the tests skip.
"""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the lab needs fallline[lab]")
playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser")

KEPT = Path(__file__).resolve().parent.parent.parent.parent / "build" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DIGITS = ("digits", "--target", "digit", "--hidden", "64,32")


def command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "fallline", *map(str, words)]


@contextmanager
def running(words: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended behind the block."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@dataclass
class Served:
    """A lab: its address, and the folder of its runs."""

    address: str
    runs: Path
    ids: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.address}api/{path}", timeout=60) as answer:
            return json.load(answer)

    def listed(self, name: str) -> dict[str, Any]:
        """A run, as the list has it."""
        return next(run for run in self.get("runs") if run["name"] == name)


@pytest.fixture(scope="module")
def train() -> Callable[..., None]:
    """`train(folder, "penguins", "--target", …)`, to its end."""

    def to_the_end(folder: Path, *words: Any) -> None:
        done = subprocess.run(
            command("train", *words, "--out", folder, "--observe", "--quiet"),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr

    return to_the_end


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., None]) -> Iterator[Served]:
    """A lab with one run, 'penguins'."""
    runs = tmp_path_factory.mktemp("lab") / "runs"
    train(runs / "penguins", "penguins", "--target", "species", "--hidden", "24,12", "--epochs", 12)
    said = runs.parent / "lab.log"
    with said.open("w") as log, running(
        command("lab", runs, "--no-browser", "--port", 0), stdout=subprocess.PIPE, stderr=log
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), said.read_text()
        yield Served(address, runs)


@pytest.fixture(scope="module")
def digits(lab: Served) -> Iterator[subprocess.Popen[str]]:
    """A training of the digits in the lab's folder, which goes on until it is stopped."""
    words = (
        "train",
        *DIGITS,
        "--epochs",
        20000,
        "--patience",
        20000,
        "--out",
        lab.runs / "digits",
        "--observe",
        "--quiet",
    )
    with running(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser to open the lab with: one of {', '.join(BROWSERS)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, lab: Served) -> Iterator[Callable[..., Any]]:
    """`page("#/watch", width=390, dark=True)`: the lab, opened there. At the end, nothing may have gone wrong in it."""
    contexts, wrong = [], []

    def heard(opened: Any, allowed: tuple[str, ...]) -> None:
        opened.on("console", lambda line: line.type == "error" and not any(text in line.text for text in allowed)
                  and wrong.append(f"console: {line.text}"))  # fmt: skip
        opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        opened.on("request", lambda asked: asked.url.startswith((lab.address, "data:", "blob:"))
                  or wrong.append(f"external request: {asked.url}"))  # fmt: skip

    def open_page(
        place: str = "", width: int = 1280, dark: bool = False, motion: str = "reduce", allowed: tuple[str, ...] = ()
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844},
            color_scheme="dark" if dark else "light", reduced_motion=motion,
        )  # fmt: skip
        context.set_default_timeout(60_000)
        contexts.append(context)
        opened = context.new_page()
        heard(opened, allowed)
        opened.goto(f"{lab.address}{place}")
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def picture() -> Callable[..., Path]:
    """`picture(page, "watch-1280-light")`: keeps it as build/screenshots/lab-watch-1280-light.png."""

    def keep(opened: Any, name: str, whole: bool = True) -> Path:
        path = KEPT / f"lab-{name}.png"
        opened.evaluate("scrollTo(0, 0)")
        opened.screenshot(path=path, full_page=whole, animations="disabled")
        assert path.stat().st_size > 12_000  # an empty page has fewer bytes
        return path

    return keep


SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def fits() -> Callable[[Any], bool]:
    """Whether a page is no wider than its window."""
    return lambda opened: opened.evaluate(SIDEWAYS) == 0


@pytest.fixture
def until() -> Callable[..., None]:
    """`until(page, lambda: …)`: waits until something is so, a minute at most; or until a script says true, which the
    page's own policy forbids to wait for inside it."""

    def wait(opened: Any, told: Callable[[], bool] | str) -> None:
        for _ in range(600):
            if opened.evaluate(told) if isinstance(told, str) else told():
                return
            opened.wait_for_timeout(100)
        raise AssertionError("it was not so within a minute")

    return wait
