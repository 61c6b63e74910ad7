"""The report in a real browser: on a light and a dark screen, on a phone and on paper.

The pictures are kept in build/screenshots, to be looked at; what is tested is that the page is drawn, and in the
colours that the reader asks for. Without Chromium there are none.
"""

import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fallline.report.table_report import write_table_report
from fallline.tables.train import TableRun

KEPT = Path(__file__).resolve().parent.parent.parent / "build" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
DARK = "--blink-settings=preferredColorScheme=0"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser to look at the report with: one of {', '.join(BROWSERS)}")
    profile = tmp_path_factory.mktemp("profile")

    def call(*options: str) -> None:
        words = [found, *QUIET, f"--user-data-dir={profile}", *options]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    return call


@pytest.fixture(scope="module")
def reports(trained: Callable[..., TableRun]) -> dict[str, Path]:
    """A report of classes and one of numbers, kept beside their pictures."""
    KEPT.mkdir(parents=True, exist_ok=True)
    runs = {"penguins": trained("penguins", "species", epochs=40, hidden=(16,)),
            "diabetes": trained("diabetes", "progression", epochs=40, hidden=(16,))}  # fmt: skip
    return {name: write_table_report(KEPT / f"{name}.html", run) for name, run in runs.items()}


def png(path: Path) -> tuple[int, int, tuple[int, int, int], int]:
    """(width, height, the first pixel, how many bytes its picture has)."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colours = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    assert colours in (2, 6)  # red, green, blue, and perhaps how opaque
    packed, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    first = zlib.decompress(packed)[1:4]  # after the filter of the first line, whose first pixel every filter keeps
    return width, height, (first[0], first[1], first[2]), len(packed)


@pytest.mark.parametrize("name", ["penguins", "diabetes"])
@pytest.mark.parametrize(
    ("kind", "width", "corner"), [("light", 1280, (241, 244, 246)), ("dark", 1280, (11, 14, 18)), ("phone", 390, None)]
)
def test_the_page_is_drawn(
    browser: Callable[..., None], reports: dict[str, Path], name: str, kind: str, width: int,
    corner: tuple[int, int, int] | None,
) -> None:  # fmt: skip
    picture = KEPT / f"{name}-{kind}.png"
    options = [DARK] if kind == "dark" else []
    browser(*options, f"--window-size={width},1600", f"--screenshot={picture}", reports[name].as_uri())
    wide, high, first, size = png(picture)
    assert (wide, high) == (width, 1600)
    assert corner in (None, first)
    assert size > 40_000  # an empty page has a few thousand bytes


def test_the_page_is_printed(browser: Callable[..., None], reports: dict[str, Path]) -> None:
    paper = KEPT / "penguins.pdf"
    browser("--no-pdf-header-footer", f"--print-to-pdf={paper}", reports["penguins"].as_uri())
    written = paper.read_bytes()
    assert written.startswith(b"%PDF")
    assert 3 <= written.count(b"/Type /Page\n") <= 9
