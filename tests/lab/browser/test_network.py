"""Network: layers, values and gradients of a real step; a weight's numbers are those that Python gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.tables.again import data_of_run
from fallline.training.run_reader import StoredRun

STEP = 30


def shown_number(opened: Any, name: str) -> float:
    """A number of the explanation, all its digits."""
    text = opened.locator(f"[data-number={name}]").inner_text()
    return float(text.replace("−", "-"))


def replayed(folder: Path, step: int) -> Any:
    given = data_of_run(StoredRun(folder, "test"))
    return fl.replay(folder, step, given.x, given.y, sample_weight=given.sample_weight)


def network(page: Callable[..., Any], lab: Any, step: int, **options: Any) -> Any:
    opened = page(f"#/network/{lab.listed('penguins')['id']}?step={step}", **options)
    opened.locator(".steps ~ p", has_text="computed again").wait_for()
    return opened


def test_a_weight_has_the_numbers_of_python(page: Callable[..., Any], lab: Any) -> None:
    opened = network(page, lab, STEP)
    opened.locator(".unit[data-column='3'][data-unit='5']").click()
    button = opened.locator("button.weight[data-weight^='layers.0.weight']").first
    name = button.get_attribute("data-weight")
    button.click()
    opened.locator(f"[data-explained='{name}']").wait_for()
    place = tuple(int(number) for number in name[name.index("[") + 1 : -1].split(","))
    assert place[1] == 5
    found = replayed(lab.runs / "penguins", STEP)
    for told, array in (
        ("before", found.before.weights), ("gradient", found.gradients), ("after", found.after.weights),
    ):  # fmt: skip
        assert np.float32(shown_number(opened, told)) == array["layers.0.weight"][place]


def test_a_line_of_the_picture_is_a_weight(page: Callable[..., Any], lab: Any) -> None:
    opened = network(page, lab, STEP)
    spots = [
        opened.locator(f".unit[data-column='{column}'][data-unit='{unit}'] .shell").bounding_box()
        for column, unit in ((3, 4), (4, 1))
    ]
    (a, b) = [(spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2) for spot in spots]
    along = 0.13  # near the left end, where the lines of one unit have not met others
    opened.mouse.click(a[0] + along * (b[0] - a[0]), a[1] + along * (b[1] - a[1]))
    opened.locator("[data-explained^='heads.weight[0,4,']").wait_for()


def test_scrubbing_goes_to_any_step(page: Callable[..., Any], lab: Any) -> None:
    opened = network(page, lab, STEP)
    for step in (7, 0):
        slider = opened.get_by_label("Training step", exact=True)
        slider.fill(str(step))
        loss = f"loss {replayed(lab.runs / 'penguins', step).loss:.4g}"
        opened.locator(".steps ~ p", has_text=loss[:9]).wait_for()
        assert opened.get_by_label("Training step, by number").input_value() == str(step)
    opened.keyboard.press("Escape")
    opened.locator("main").click(position={"x": 2, "y": 2})
    opened.keyboard.press("]")
    opened.wait_for_function("document.querySelector('[aria-label=\"Training step, by number\"]').value === '1'")


def test_the_passes_play_and_stand_still_where_asked(page: Callable[..., Any], lab: Any) -> None:
    still = network(page, lab, STEP)
    assert still.locator(".phase").inner_text() == "both passes, whole"
    moving = network(page, lab, STEP, motion="no-preference")
    moving.locator(".phase", has_text="forwards through").wait_for()
    moving.locator(".phase", has_text="backwards through").wait_for()
    moving.locator(".phase", has_text="both passes, whole").wait_for()
    moving.locator("main").click(position={"x": 2, "y": 2})
    moving.keyboard.press("ArrowLeft")
    assert moving.locator(".phase").inner_text().startswith("backwards through")


def test_units_are_reached_by_keyboard(page: Callable[..., Any], lab: Any) -> None:
    opened = network(page, lab, STEP)
    opened.locator(".unit[tabindex='0']").focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowDown")
    opened.keyboard.press("Enter")
    opened.locator(".explanation h2", has_text="Unit 1 of layer first").wait_for()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_it_looks_right(
    page: Callable[..., Any],
    picture: Callable[..., Path],
    lab: Any,
    fits: Callable[[Any], bool],
    width: int,
    dark: bool,
) -> None:
    opened = network(page, lab, STEP, width=width, dark=dark)
    opened.get_by_label("A weight by its name").fill("layers.0.weight[3,5]")
    opened.get_by_role("button", name="Explain").click()
    opened.locator("[data-explained]").wait_for()
    picture(opened, f"network-{width}-{'dark' if dark else 'light'}")
    assert fits(opened)
