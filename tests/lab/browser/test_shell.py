"""The page's frame: parts, keys, mistakes as sentences, a lost connection that is found again."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

LUMINANCE = """
(pairs) => pairs.map(([front, back]) => {
  const style = getComputedStyle(document.documentElement);
  const parse = (name) => {
    const canvas = document.createElement('canvas').getContext('2d');
    canvas.fillStyle = style.getPropertyValue('--' + name).trim();
    return canvas.fillStyle.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16) / 255);
  };
  const light = (rgb) => rgb.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const [a, b] = [light(parse(front)), light(parse(back))].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
})
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(page: Callable[..., Any], dark: bool) -> None:
    opened = page("#/watch", dark=dark)
    texts = ["ink", "muted", "accent", "warm", "good"]
    pairs = [[text, behind] for text in texts for behind in ("paper", "page", "panel")]
    pairs += [["paper", "accent"], ["ink", "warn"], ["accent", "tint"], *([f"s{n}", "paper"] for n in range(1, 9))]
    ratios = opened.evaluate(LUMINANCE, pairs)
    assert min(ratios) >= 4.5, dict(zip(map(tuple, pairs), ratios, strict=True))  # WCAG 2.2, 1.4.3, level AA


def test_the_frame_has_landmarks_and_keys(page: Callable[..., Any], until: Callable[..., None]) -> None:
    opened = page("#/watch")
    opened.wait_for_selector(".runs li")
    for role in ("banner", "navigation", "main"):
        assert opened.get_by_role(role).count() == 1
    assert opened.locator("nav [aria-current=page]").inner_text() == "Watch"
    opened.keyboard.press("?")
    dialog = opened.get_by_role("dialog", name="Keys")
    assert "pause or go on" in dialog.inner_text()
    opened.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    opened.keyboard.press("2")
    until(opened, lambda: opened.title() == "Network · Fallline lab")
    until(opened, lambda: opened.locator("main .inner").count() == 1)
    opened.locator("nav a", has_text="Network").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.evaluate("document.activeElement.textContent") == "Watch"
    opened.keyboard.press("Enter")
    until(opened, lambda: opened.locator(".watch").count() == 1)


def test_a_mistake_is_a_sentence(page: Callable[..., Any], lab: Any) -> None:
    opened = page(f"#/network/{lab.listed('penguins')['id']}?step=3", allowed=("400",))
    field = opened.get_by_label("A weight by its name")
    opened.wait_for_selector(".scroll table")
    field.fill("first.weigth[0,0]")
    field.press("Enter")
    said = opened.locator(".explanation .mistake")
    said.wait_for()
    assert "'first.weigth'" in said.inner_text()
    assert "first.weight" in said.inner_text()


def test_a_lost_connection_is_said_and_found_again(page: Callable[..., Any]) -> None:
    opened = page("#/watch", allowed=("ERR_FAILED", "ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED"))
    opened.wait_for_selector(".runs li")
    line = opened.locator("#lost")
    opened.context.set_offline(True)
    line.wait_for(state="visible")
    assert "The lab does not answer" in line.inner_text()
    opened.context.set_offline(False)
    line.wait_for(state="hidden")


def test_a_strangers_names_are_texts(page: Callable[..., Any], lab: Any, until: Callable[..., None]) -> None:
    script = "<img src=x onerror=document.title='caught'>"
    folder = lab.runs / f"a{script}"
    shutil.copytree(lab.runs / "penguins", folder)
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "problem": script, "metric": script, "target": script}))
    history = (folder / "history.jsonl").read_text().splitlines()
    last = {**json.loads(history[-1]), script: 1.0, f"validation_{script}": 2.0}
    (folder / "history.jsonl").write_text("\n".join([*history[:-1], json.dumps(last), ""]))
    observed = folder / "observations.jsonl"
    line = observed.read_text().splitlines()[0]
    observed.write_text(line.replace("first", script.replace("'", "`")) + "\n")
    run = lab.listed(folder.name)
    opened = page(f"#/watch?runs={run['id']}")
    opened.locator(".head h2", has_text=folder.name).wait_for()
    opened.locator(".figure h2").first.wait_for()
    opened.locator(".head").get_by_role("button", name="Fork").click()
    opened.keyboard.press("Escape")
    opened.keyboard.press("2")
    until(opened, lambda: opened.title() == "Network · Fallline lab")
    until(opened, lambda: script in opened.locator("main select").first.inner_text())
    assert opened.locator("img").count() == 1  # the mark of the lab
    shutil.rmtree(folder)
