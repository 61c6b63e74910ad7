"""Play: run, pause, take a step apart; the numbers on the page are Python's, and a link shows them again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import optim
from fallline.data.planar import planar
from fallline.insight.playground import Recipe

PLACE = "#/play?rows=60&layers=3&batch=10&seed=2&lr=0.5"


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "").split()[0])


def fact(opened: Any, name: str) -> float:
    return number(opened.locator(f"#play-fact-{name}").inner_text())


def trained(steps: int) -> tuple[Any, Any, Any, Any]:
    """The playground's network after so many steps, by the explicit loop; and the rule's state."""
    x, y = planar("moons", 60, 0.1, 0)
    x = x.astype(np.float32)
    net, rule = Recipe((3,), seed=2).network(2), optim.SGD(lr=0.5)
    state = rule.init(net.parameters())
    for step in range(steps):
        numbers = rows_of(step)
        _, grads = fl.loss_and_gradients(net, x[numbers], y[numbers])
        weights, state = rule.update(net.parameters(), grads, state)
        net.load_parameters(weights)
    return net, x, y, (rule, state)


def rows_of(step: int) -> Any:
    return fl.batch_order(60, 2, step // 6)[step % 6 * 10 :][:10]


def test_it_runs_and_its_link_shows_the_same(page: Callable[..., Any], until: Callable[..., None]) -> None:
    opened = page(PLACE)
    opened.locator("#play-run").click()
    until(opened, "Number(document.querySelector('dd#play-fact-step').textContent.replace(',', '')) >= 40")
    opened.locator("#play-run").click()
    opened.get_by_role("button", name="Run").wait_for()
    until(opened, "location.hash.includes('step=')")
    shown = (-1.0, -1.0)
    for _ in range(50):  # until the last answer is there
        opened.wait_for_timeout(500)
        before, shown = shown, (fact(opened, "step"), fact(opened, "loss"))
        if before == shown:
            break
    step = int(fact(opened, "step"))
    net, x, y, _ = trained(step)
    found = fl.evaluate(net, x, y, metrics="accuracy")
    assert fact(opened, "loss") == pytest.approx(found["loss"], rel=1e-3)
    assert fact(opened, "accuracy") == pytest.approx(100 * found["accuracy"], rel=1e-2)
    picture = "document.querySelector('.surface canvas').toDataURL()"
    again = page(opened.url.split("/", 4)[4])
    again.wait_for_selector(".facts div")
    assert int(fact(again, "step")) == step
    for _ in range(100):  # the first page has drawn its last step, and the rows of the step to come after that
        if again.evaluate(picture) == opened.evaluate(picture):
            break
        opened.wait_for_timeout(50)
    assert again.evaluate(picture) == opened.evaluate(picture)


def test_the_three_phases_have_the_numbers_of_python(page: Callable[..., Any]) -> None:
    opened = page(f"{PLACE}&step=7")
    opened.locator("#play-phase-1").click()
    opened.locator(".network button[aria-label='hidden 1.2']").click()
    opened.wait_for_selector(".opened h2:has-text('hidden 1.2')")
    net, x, y, (rule, state) = trained(7)
    before, numbers = net.parameters(), rows_of(7)
    _, grads = fl.loss_and_gradients(net, x[numbers], y[numbers])
    after, _ = rule.update(before, grads, state)
    row = x[numbers[0]]
    z = float(row @ before["0.weight"][:, 1] + before["0.bias"][1])
    strong = opened.locator(".formula.p1 strong").all_inner_texts()
    assert number(strong[0]) == pytest.approx(z, rel=2e-3)
    assert number(strong[1]) == pytest.approx(np.tanh(z), rel=2e-3)
    assert opened.locator(".formula.p2").count() == 0
    opened.locator("#play-phase-2").click()
    opened.wait_for_selector(".formula.p2")
    opened.locator("#play-phase-3").click()
    opened.wait_for_selector(".formula.p3")
    for place, cells in enumerate(opened.locator(".weights tbody tr").all()):
        texts = [number(text) for text in cells.locator("td").all_inner_texts()]
        name, at = ("0.weight", (place, 1)) if place < 2 else ("0.bias", (1,))
        a, w, _, share, dw, change, new = texts
        assert w == pytest.approx(before[name][at], rel=1e-3)
        assert dw == pytest.approx(grads[name][at], rel=1e-3)
        assert new == pytest.approx(after[name][at], rel=1e-3)
        assert change == pytest.approx(-0.5 * grads[name][at], rel=1e-2)
        assert a == pytest.approx(row[place] if place < 2 else 1.0, rel=1e-3)
        assert abs(share) <= 1.0
    assert "phase=3" in opened.url
    assert "unit=0.1" in opened.url
    opened.locator("#play-phase-1").click()
    opened.wait_for_selector(".opened h2:has-text('Step 8')")


def test_keys_units_and_layers(page: Callable[..., Any], until: Callable[..., None]) -> None:
    opened = page(PLACE)
    opened.wait_for_selector(".facts div")
    opened.keyboard.press("s")
    until(opened, "document.querySelector('dd#play-fact-step').textContent === '1'")
    opened.keyboard.press("b")
    opened.wait_for_selector(".formula.p2")
    opened.get_by_role("button", name="one unit more in hidden layer 1").click()
    opened.wait_for_selector(".network button[aria-label='hidden 1.4']")
    assert "layers=4" in opened.url
    opened.get_by_role("button", name="one hidden layer more").click()
    opened.wait_for_selector(".network button[aria-label='hidden 2.4']")
    opened.get_by_label("Set", exact=True).select_option("waves")
    until(opened, "location.hash.includes('loss=mse')")
    opened.get_by_label("Update rule").select_option("adam")
    until(opened, "location.hash.includes('lr=0.001')")
    assert opened.locator("#play-momentum").count() == 0


def test_steps_that_are_too_long_are_a_sentence(page: Callable[..., Any]) -> None:
    opened = page("#/play?set=plane&layers=none&loss=mse&lr=10&step=300")
    told = opened.get_by_role("alert")
    told.wait_for()
    assert "the steps are too long. Choose a smaller learning rate" in told.inner_text()
    opened.get_by_label("Learning rate").select_option("0.1")
    told.wait_for(state="detached")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_drawn(page: Callable[..., Any], picture: Any, fits: Any, width: int, dark: bool) -> None:
    name = f"{width}-{'dark' if dark else 'light'}"
    opened = page("#/play?step=900&phase=3&unit=1.1&row=2", width=width, dark=dark)
    opened.wait_for_selector(".formula.p3")
    assert fits(opened)
    picture(opened, f"play-{name}")
    if width == 1280:
        for kind, step in (
            ("gaussians", 60),
            ("spirals&layers=8,8,4&optimizer=adam&lr=0.02&noise=0.05", 1200),
            ("waves&lr=0.1&momentum=0.9", 1500),
        ):
            opened = page(f"#/play?set={kind}&step={step}&test=1", width=width, dark=dark)
            opened.wait_for_selector(".facts div")
            picture(opened, f"play-{kind.split('&')[0]}-{name}")
