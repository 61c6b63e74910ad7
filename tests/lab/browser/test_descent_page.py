"""Descent: the map has the losses of `fl.evaluate`; a click goes downhill; a race is drawn by three axes."""

from collections.abc import Callable
from typing import Any

import pytest

PLAYED = "#/descent?source=play&rows=60&layers=3&step=80"


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def moment(opened: Any) -> tuple[float, float]:
    """(step, loss) of the moment that is shown."""
    step, loss = opened.locator("#descent-now").inner_text().removeprefix("step ").split(": loss ")
    return number(step), number(loss)


def fine(opened: Any) -> None:
    """Wait for the map, and for a moment to be told."""
    opened.wait_for_selector("#descent-now:has-text('loss')")
    opened.locator(".map .band").nth(3).wait_for(state="attached")


def test_the_path_has_the_losses_of_the_endpoint(page: Callable[..., Any], lab: Any) -> None:
    opened = page(PLAYED)
    fine(opened)
    found = lab.get("descent/surface?source=play&rows=60&layers=3&step=80&grid=15")
    assert moment(opened) == pytest.approx((80.0, found["losses"][-1]), rel=1e-3)
    opened.locator("#descent-moment").evaluate(
        "(input) => { input.value = 10; input.dispatchEvent(new Event('input')); }"
    )
    assert moment(opened) == pytest.approx((found["steps"][10], found["losses"][10]), rel=1e-3)
    assert opened.locator(".map line.walk").count() == 10
    lifted = sum(b > a for a, b in zip(found["losses"][:11], found["losses"][1:11], strict=False))
    assert opened.locator(".map line.rises").count() == lifted
    words = opened.locator(".words").inner_text()
    assert "The loss of all 60 rows" in words
    assert "of the path’s variance" in words


def test_a_click_goes_downhill_with_two_weights(page: Callable[..., Any], until: Callable[..., None]) -> None:
    opened = page(PLAYED)
    fine(opened)
    opened.get_by_role("button", name="Two weights").click()
    opened.wait_for_selector(".map.clickable")
    opened.get_by_label("across").fill("0.weight[1,2]")
    opened.get_by_label("across").press("Enter")
    until(opened, "document.querySelector('.holder .axis .muted')?.textContent === '0.weight[1,2]'")
    opened.wait_for_timeout(500)
    opened.locator(".map").click(position={"x": 90, "y": 120})
    opened.wait_for_selector(".map line.other")
    assert "From the place you clicked, η = 0.5" in opened.locator(".words").inner_text()
    assert "fa=" in opened.url
    again = page(opened.url.split("/", 4)[4])
    again.wait_for_selector(".map line.other")


def test_a_weight_that_is_not_there_is_a_sentence(page: Callable[..., Any]) -> None:
    opened = page(f"{PLAYED}&plane=weights&wa=0.wait[0]", allowed=("400",))
    told = opened.get_by_role("alert")
    told.wait_for()
    assert "no weight '0.wait[0]'; write name[place], the names are: 0.weight" in told.inner_text()


def test_a_stored_run_is_a_source(page: Callable[..., Any], lab: Any) -> None:
    opened = page(f"#/descent?source={lab.listed('penguins')['id']}")
    fine(opened)
    assert opened.locator("#descent-source option:checked").inner_text() == "penguins"


def test_it_plays(page: Callable[..., Any], until: Callable[..., None]) -> None:
    opened = page(PLAYED, motion="no-preference")
    fine(opened)
    opened.locator("#descent-play").click()
    until(opened, "document.getElementById('descent-moment').value > 3")
    opened.keyboard.press("Escape")
    opened.locator("#descent-play").click()
    assert opened.locator("#descent-play").inner_text() == "Play"


def test_a_race_is_drawn_by_three_axes(page: Callable[..., Any], lab: Any, until: Callable[..., None]) -> None:
    opened = page(f"{PLAYED}&view=race&epochs=10")
    opened.wait_for_selector(".race .curves")
    heads = opened.locator(".race figure h2").all_inner_texts()
    assert heads == ["By steps", "By rows seen", "By seconds"]
    found = lab.get(
        "race?source=play&rows=60&layers=3&step=80&epochs=10&racers=sgd:0.3:all,sgd:0.3:16,sgd:0.05:1,adam:0.02:16"
    )
    shown = [number(row.locator("td.number").first.inner_text()) for row in opened.locator(".racers tbody tr").all()]
    assert shown == pytest.approx([lap["losses"][-1] for lap in found["laps"]], rel=1e-2)
    opened.get_by_role("button", name="Add a racer").click()
    until(opened, "document.querySelectorAll('.race .column .curve').length === 5")
    assert "racers=" in opened.url


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_drawn(page: Callable[..., Any], picture: Any, fits: Any, width: int, dark: bool) -> None:
    name = f"{width}-{'dark' if dark else 'light'}"
    opened = page("#/descent?source=play&step=900", width=width, dark=dark)
    fine(opened)
    assert fits(opened)
    picture(opened, f"descent-{name}")
    opened = page("#/descent?source=play&step=900&plane=weights&fa=0.5&fb=0.5&eta=2", width=width, dark=dark)
    opened.wait_for_selector(".map line.other")
    assert fits(opened)
    picture(opened, f"descent-weights-{name}")
    opened = page("#/descent?source=play&step=900&view=race", width=width, dark=dark)
    opened.wait_for_selector(".race .curves")
    assert fits(opened)
    picture(opened, f"race-{name}")
