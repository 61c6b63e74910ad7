"""Watch: a training seen while it happens; paused, gone on with, forked, stopped, from the page."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).resolve().parent.parent.parent.parent / "build" / "screenshots"
FRAMES = """
(milliseconds) => new Promise((done) => {
  const gaps = [];
  let last = performance.now(), first = last;
  const frame = (now) => {
    gaps.push(now - last);
    last = now;
    if (now - first < milliseconds) requestAnimationFrame(frame);
    else done(gaps.slice(1));
  };
  requestAnimationFrame(frame);
})
"""

SIGHT = """
(hidden) => {
  Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}
"""
PACED = """
async ([takes, milliseconds]) => {
  const { paced } = await import('./pace.js');
  const began = [], ended = [];
  const pace = paced(() => {
    began.push(performance.now());
    while (performance.now() < began.at(-1) + takes);
    ended.push(performance.now());
    pace.ask();
  });
  pace.ask();
  await new Promise((done) => setTimeout(done, milliseconds));
  pace.end();
  return began.slice(1).map((at, place) => at - ended[place]);
}
"""
THINNED = """
async (ys) => {
  const { thinned } = await import('./pages/watch-course.js');
  return thinned({ xs: ys.map((_, at) => 50 + 3 * at), ys }, 100);
}
"""


def step_of(opened: Any) -> int:
    """The step that the page tells."""
    text = opened.locator(".head dl div", has_text="step").first.locator("dd").inner_text()
    return int(text.split()[0].replace(",", ""))


def test_a_training_is_seen_paused_gone_on_with_and_stopped(
    page: Callable[..., Any], lab: Any, digits: subprocess.Popen[str], until: Callable[..., None]
) -> None:
    opened = page("#/watch")
    run = opened.locator(".runs li", has_text="digits")
    run.locator("button").click()
    head = opened.locator(".head")
    head.get_by_role("button", name="Pause").wait_for()
    first = step_of(opened)
    until(opened, lambda: step_of(opened) > first)
    titles = [
        "Loss",
        "Learning rate",
        "Gradient norm",
        "Update to weight",
        "Activation spread",
        "Dead units",
        "Time of",
    ]
    for title in titles:
        opened.locator(".figure h2", has_text=title).wait_for()
    assert "looking takes less than 2 % of the time" in opened.locator(".sampling").inner_text()

    opened.keyboard.press("p")
    head.get_by_role("button", name="Resume").wait_for()
    assert lab.listed("digits")["status"] == "paused"
    opened.wait_for_timeout(1300)
    held = step_of(opened)
    opened.wait_for_timeout(800)
    assert step_of(opened) == held
    head.get_by_role("button", name="Resume").click()
    until(opened, lambda: step_of(opened) > held)


def test_frames_are_drawn_while_the_digits_train(
    page: Callable[..., Any], lab: Any, digits: subprocess.Popen[str]
) -> None:
    """The median gap, so that a busy machine's hiccups do not count; the numbers are kept beside the pictures."""
    until_run = page(f"#/watch?runs={lab.listed('digits')['id']}")
    until_run.locator(".head").get_by_role("button", name="Pause").wait_for()
    before = step_of(until_run)
    gaps = sorted(until_run.evaluate(FRAMES, 3000))
    assert step_of(until_run) > before
    median = gaps[len(gaps) // 2]
    found = {
        "frames": len(gaps),
        "a second": 1000 * len(gaps) / sum(gaps),
        "median gap, ms": median,
        "longest, ms": gaps[-1],
    }
    (KEPT / "lab-frames.json").write_text(json.dumps(found, indent=1))
    assert median < 1000 / 55


def test_a_page_that_nobody_sees_asks_nothing_and_catches_up(
    page: Callable[..., Any], lab: Any, digits: subprocess.Popen[str], until: Callable[..., None]
) -> None:
    opened = page(f"#/watch?runs={lab.listed('digits')['id']}")
    opened.locator(".head").get_by_role("button", name="Pause").wait_for()
    first = step_of(opened)
    until(opened, lambda: step_of(opened) > first)
    opened.evaluate(SIGHT, True)
    opened.wait_for_timeout(300)
    held, asked = step_of(opened), []
    opened.on("request", lambda request: asked.append(request.url))
    opened.wait_for_timeout(5500)
    assert (step_of(opened), asked) == (held, [])
    opened.evaluate(SIGHT, False)
    until(opened, lambda: len(asked) > 3 and step_of(opened) > held)
    paths = [url.removeprefix(lab.address).partition("?")[0].split("/")[-1] for url in asked]
    assert sorted(paths[:4]) == ["events", "history", "observations", "runs"]


def test_a_redraw_is_followed_by_a_rest_that_its_cost_decides(page: Callable[..., Any]) -> None:
    opened = page("#/watch")
    opened.locator(".head").wait_for()
    dear = opened.evaluate(PACED, [10, 4500])
    assert dear
    assert min(dear) > 100 * 10
    dearest = opened.evaluate(PACED, [150, 5000])
    assert dearest
    assert min(dearest) > 1990
    cheap = opened.evaluate(PACED, [0, 1500])
    assert min(cheap) > 15


def test_fewer_points_lose_no_peak(page: Callable[..., Any]) -> None:
    opened = page("#/watch")
    losses = [((7919 * step) % 1009) / 1009 + 1.0 for step in range(5000)]
    losses[1234], losses[2345], losses[3456] = 9.0, 0.5, None
    found = opened.evaluate(THINNED, losses)
    assert found["xs"] == sorted(set(found["xs"]))
    assert len(found["xs"]) <= 200
    kept = dict(zip(found["xs"], found["ys"], strict=True))
    assert (kept[50 + 3 * 1234], kept[50 + 3 * 2345], kept[50 + 3 * 3456]) == (9.0, 0.5, None)
    assert all(losses[(x - 50) // 3] == y for x, y in kept.items())


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_it_looks_right(
    page: Callable[..., Any], picture: Callable[..., Path], lab: Any, digits: Any, fits: Callable[[Any], bool],
    width: int, dark: bool,
) -> None:  # fmt: skip
    ids = ",".join(lab.listed(name)["id"] for name in ("digits", "penguins"))
    opened = page(f"#/watch?runs={ids.split(',')[0]}", width=width, dark=dark)
    opened.locator(".figure h2", has_text="Dead units").wait_for()
    opened.locator(".card canvas").first.wait_for()
    opened.evaluate("scrollTo(0, document.body.scrollHeight)")
    opened.wait_for_timeout(300)
    opened.evaluate("scrollTo(0, 0)")
    picture(opened, f"watch-{width}-{'dark' if dark else 'light'}")
    assert fits(opened)


def test_two_runs_are_compared(page: Callable[..., Any], picture: Callable[..., Path], lab: Any, digits: Any) -> None:
    opened = page(f"#/watch?runs={lab.listed('penguins')['id']}")
    opened.locator(".runs li", has_text="digits").get_by_role("checkbox").check()
    opened.locator(".u-label", has_text="digits: training, by epoch").first.wait_for()
    opened.locator(".u-label", has_text="penguins: validation").first.wait_for()
    assert opened.evaluate("location.hash").count(",") + opened.evaluate("location.hash").count("%2C") == 1
    picture(opened, "compare-1280-light")


def test_a_fork_begins_with_another_rate(
    page: Callable[..., Any], picture: Callable[..., Path], lab: Any, digits: subprocess.Popen[str],
    until: Callable[..., None],
) -> None:  # fmt: skip
    opened = page(f"#/watch?runs={lab.listed('digits')['id']}")
    head = opened.locator(".head")
    head.get_by_role("button", name="Stop").click()
    until(opened, lambda: lab.listed("digits")["status"] not in ("running", "paused"))
    digits.wait(60)
    penguins = page(f"#/watch?runs={lab.listed('penguins')['id']}")
    penguins.locator(".head").get_by_role("button", name="Fork").click()
    dialog = penguins.get_by_role("dialog")
    dialog.get_by_label("after step").fill("20")
    dialog.get_by_label("learning rate").fill("0.0007")
    picture(penguins, "fork-1280-light", whole=False)
    dialog.get_by_role("button", name="Fork", exact=True).click()
    penguins.locator(".head h2", has_text="penguins-fork-1").wait_for()
    assert "left penguins after step 20" in penguins.locator(".head").inner_text()
    until(penguins, lambda: lab.listed("penguins-fork-1")["status"] == "finished")
    about = json.loads((lab.runs / "penguins-fork-1" / "run.json").read_text())
    assert about["config"]["optimizer"]["lr"] == 0.0007
    assert about["branched_from"]["step"] == 20
