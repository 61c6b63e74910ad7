"""The tour's pages as text, and what the server says of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fallline.lab.tour import text
from fallline.lab.tour.experiments import EXPERIMENTS
from fallline.lab.tour.text import tour_pages


def test_a_page_has_its_parts() -> None:
    page = text._page(
        "03-name.md",
        "# A title\n\nThe **lead**\nof it.\n\nMore `code`, *this*.\n\n## Try it\n\n- one\n- two **bold**\n\n"
        "## In symbols\n\n```\na = b\n```\n\n```python\nprint(1)\n```\n",
    )
    assert (page.name, page.title, page.code) == ("name", "A title", "print(1)\n")
    assert page.lead == ["The ", ["strong", "lead"], " of it."]
    assert page.sections == [
        ("", [{"kind": "paragraph", "text": ["More ", ["code", "code"], ", ", ["em", "this"], "."]}]),
        ("Try it", [{"kind": "list", "items": [["one"], ["two ", ["strong", "bold"]]]}]),
        ("In symbols", [{"kind": "formula", "text": "a = b\n"}, {"kind": "python", "text": "print(1)\n"}]),
    ]


@pytest.mark.parametrize("markdown", ["![a](b.png)", "<script>x</script>", "> quoted", "a [link](x)", "<b>x</b>"])
def test_a_page_holds_nothing_but_text(markdown: str) -> None:
    with pytest.raises(ValueError, match="the tour's pages have no "):
        text._page("01-name.md", f"# Title\n\nLead.\n\n{markdown}\n")


def test_every_page_can_be_tried_and_checked() -> None:
    for page in tour_pages():
        assert [heading for heading, _ in page.sections] == ["", "Try it", "In symbols", "Check it in Python"]
        assert page.code.startswith("import ")


def test_the_server_tells_all_pages_with_their_controls(page: Callable[..., Any]) -> None:
    status, told = page().api("tour")
    assert status == 200
    assert [one["name"] for one in told] == list(EXPERIMENTS)
    assert [control["name"] for control in told[1]["controls"]] == ["w", "lr"]
    assert told[1]["controls"][0] | {"low": -1.0, "value": 0.5, "kind": "slider"} == told[1]["controls"][0]
    assert told[4]["controls"][0]["options"] == [["1", "row 1"], ["2", "row 2"], ["both", "both"]]


def test_the_server_runs_the_experiment(page: Callable[..., Any]) -> None:
    status, told = page().api("tour/slope?w=3.5")
    assert status == 200
    assert told == json.loads(json.dumps(EXPERIMENTS["slope"]({"w": "3.5"})))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("tour/slopes", "tour: there is no page 'slopes': did you mean 'slope'?"),
        ("tour/slope?w=%3Cscript%3E", "tour: w must be a number from -1 to 6, found '<script>'"),
        ("tour/slope?eta=1", "tour: this page has no setting 'eta': choose one of: w, lr"),
    ],
)
def test_the_server_says_what_is_wrong(page: Callable[..., Any], address: str, sentence: str) -> None:
    assert page().api(address) == (400, {"error": sentence})
