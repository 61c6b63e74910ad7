"""The tour in a real browser: every page opens, draws, moves, and asks nobody but the lab.

The pictures are kept in build/screenshots, to be looked at. Without Chromium there are none.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fallline.lab.app import make_app
from fallline.lab.parts.tour import routes
from fallline.lab.place import Lab
from fallline.lab.tour.experiments import EXPERIMENTS
from fallline.lab.tour.text import tour_pages

uvicorn = pytest.importorskip("uvicorn", reason="the lab needs fallline[lab]")

KEPT = Path(__file__).resolve().parent.parent.parent.parent / "build" / "screenshots"
NAMES = [page.name for page in tour_pages()]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A lab on a free port, in a thread of its own."""
    lab = Lab()
    server = uvicorn.Server(uvicorn.Config(make_app(lab, [routes]), port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/{lab.token}/"
    server.should_exit = True
    thread.join()


class Watched:
    """A page of a browser, and all that went wrong on it."""

    def __init__(self, context: Any, address: str) -> None:
        self.page: Any = context.new_page()
        self.page.set_default_timeout(10_000)
        self.address = address
        self.wrong: list[str] = []
        self.page.on(
            "console", lambda message: message.type in ("error", "warning") and self.wrong.append(message.text)
        )
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(self.address):
            self.wrong.append(f"asked {url}")

    def open(self, place: str) -> Any:
        self.page.goto(f"{self.address}#/{place}")
        self.page.wait_for_selector(".learn .tour-drawing svg")
        return self.page

    def wait_for(self, condition: str, argument: Any = None) -> None:
        self.page.wait_for_function(condition, arg=argument, timeout=10_000)


@pytest.fixture
def watched(browser: Any, address: str) -> Iterator[Watched]:
    with browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce") as context:
        seen = Watched(context, address)
        yield seen
        assert seen.wrong == []


def fits(page: Any) -> None:
    """Nothing is wider than the screen, and nothing in a figure reaches beyond it."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outside = page.evaluate(
        """() => [...document.querySelectorAll('.tour-drawing > svg')].flatMap((svg) => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter((text) => {
                const own = text.getBoundingClientRect();
                return own.width && (own.left < box.left - 1 || own.right > box.right + 1);
            }).map((text) => text.textContent);
        })"""
    )
    assert outside == []


@pytest.mark.parametrize(
    ("kind", "width", "dark"), [("light", 1280, False), ("dark", 1280, True), ("phone", 390, False)]
)
def test_every_page_opens(browser: Any, address: str, kind: str, width: int, dark: bool) -> None:
    scheme: Any = "dark" if dark else "light"
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        seen = Watched(context, address)
        for number, name in enumerate(NAMES, start=1):
            page = seen.open(f"learn/{name}")
            seen.wait_for(
                "([title]) => document.querySelector('h1')?.textContent === title", [tour_pages()[number - 1].title]
            )
            page.wait_for_function("() => document.querySelector('.printed').textContent !== ''")
            fits(page)
            page.screenshot(path=KEPT / f"learn-{number:02d}-{name}-{kind}.png", full_page=True)
        assert seen.wrong == []


def test_the_figure_shows_the_engines_numbers(watched: Watched) -> None:
    for name in NAMES:
        page = watched.open(f"learn/{name}")
        watched.wait_for(
            "(lines) => document.querySelector('.printed').textContent === lines",
            "\n".join(EXPERIMENTS[name]({})["printed"]),
        )
        assert page.locator(".mistake").is_hidden()


def test_moving_a_slider_computes_the_figure_anew(watched: Watched) -> None:
    page = watched.open("learn/slope")
    page.locator("#set-w").fill("3.5")
    expected = EXPERIMENTS["slope"]({"w": "3.5"})
    watched.wait_for(
        "(lines) => document.querySelector('.printed').textContent === lines", "\n".join(expected["printed"])
    )
    assert "w = 3.5\n" in (page.locator(".python code").text_content() or "")
    assert page.url.endswith("#/learn/slope?w=3.5")
    page.reload()
    watched.wait_for(
        "(lines) => document.querySelector('.printed')?.textContent === lines", "\n".join(expected["printed"])
    )
    assert page.locator("#set-w").input_value() == "3.5"


def test_a_choice_and_the_walk_by_hand(watched: Watched) -> None:
    page = watched.open("learn/backward")
    page.get_by_label("row 2").check()
    watched.wait_for("() => document.querySelector('.printed').textContent.startsWith('loss 0.5625')")
    assert "row = 2\n" in (page.locator(".python code").text_content() or "")
    page.locator("#set-stage").fill("0")
    watched.wait_for("() => document.querySelector('.step').textContent.startsWith('1 of 7')")
    assert page.locator(".tour-drawing text.orange").count() == 0  # nothing flows back yet
    page.get_by_role("button", name="play").click()
    watched.wait_for("() => document.querySelector('.step').textContent.startsWith('7 of 7')")
    cells = page.locator(".tour-drawing tbody tr").nth(3).locator("td").all_text_contents()
    assert cells == ["0.5", "0"]  # 0.weight[1,1]: its unit is off


def test_the_arrow_keys_turn_the_pages(watched: Watched) -> None:
    page = watched.open("learn")
    first, second = (one.title for one in tour_pages()[:2])
    assert page.locator("h1").text_content() == first
    page.keyboard.press("ArrowRight")
    watched.wait_for("(title) => document.querySelector('h1')?.textContent === title", second)
    slider = page.locator("#set-w")
    slider.focus()
    page.keyboard.press("ArrowRight")  # moves the slider, and stays
    watched.wait_for("() => document.querySelector('#set-w').value === '0.55'")
    assert page.locator("h1").text_content() == second
    page.locator("h1").click()
    page.keyboard.press("ArrowLeft")
    watched.wait_for("(title) => document.querySelector('h1')?.textContent === title", first)


def test_a_hostile_address_is_inert(watched: Watched) -> None:
    page = watched.open("learn/neuron")
    page.goto(f"{watched.address}#/learn/neuron?w=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    page.wait_for_selector(".mistake:not([hidden])")
    assert "tour: w must be a number from -1 to 6" in (page.locator(".mistake").text_content() or "")
    assert page.locator("main img").count() == 0
    watched.wrong = [text for text in watched.wrong if "400" not in text]  # the browser tells of the refused request
