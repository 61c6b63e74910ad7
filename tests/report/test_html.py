"""report.html: whole, safe against what data may hold, and complete."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.report.curves import curve_chart, scatter_picture
from fallline.report.html import write_page
from fallline.report.markup import (
    Markup,
    Section,
    bar,
    commands,
    definitions,
    figures,
    folded,
    items,
    name,
    paragraph,
    shown,
    table,
    text,
)


def test_sections_are_listed_and_linked(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    sections = [
        Section("one", "First", ["<p>a</p>"], "One"),
        Section("none", "Without content", ["", ""], "None"),
        Section("two", "Second & last", ["<p>b</p>", "", "<p>c</p>"], "Two"),
        Section("three", "", ["<p>not listed</p>"]),
    ]
    path = tmp_path / "report.html"
    write_page(path, title="A <title>", header="<h1>T</h1>", sections=sections, footer="The end.")
    page = read(path)
    assert page.headings() == ["First", "Second &amp; last"]
    assert page.links == ["content", "one", "two"]
    assert "A <title>" in page.texts
    assert "The end." in page.texts
    for rule in ("prefers-color-scheme: dark", "@media print", "prefers-reduced-motion"):
        assert rule in page.source


def test_names_from_the_data_are_text(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    evil = '<script>alert("x")</script>'
    content = [
        paragraph(evil),
        definitions([(evil, evil)]),
        table([evil, name(evil)], [[evil, 1]], evil),
        items([evil]),
        folded(evil, "<p></p>"),
        commands({evil: evil}),
        figures([curve_chart("c", evil, {evil: [1.0, 2.0], "b": [1.0, 2.0]}).svg()]),
    ]
    path = tmp_path / "report.html"
    write_page(path, title=evil, header="", sections=[Section("s", evil, content, evil)] * 1, footer=evil)
    page = read(path)
    assert page.source.count("&lt;script&gt;") >= 14


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (np.float64(0.1), "0.1"),
        (-1234.5, "−1234.5"),
        (np.int64(2014), "2014"),
        (np.datetime64("2024-05-01T00:00:00"), "2024-05-01"),
        (np.datetime64("NaT"), "–"),
        ("x" * 300, "x" * 159 + "…"),
        ("", ""),
    ],
)
def test_cells_are_written_for_readers(value: Any, words: str) -> None:
    assert shown(value) == words


def test_what_no_page_can_show_is_replaced() -> None:
    assert text("a\x00b\ud800c<") == "a\ufffdb\ufffdc&lt;"
    assert text("95 % of 3 %") == "95\u00a0% of 3\u00a0%"
    assert name("a_b").html == "a_<wbr>b"


def test_numbers_stand_at_the_right() -> None:
    made = table(["a", "b", "c", "d"], [["x", 1234, True, Markup("5", number=True)]], "A caption")
    assert '<td class="number">1,234</td>' in made
    assert "<td>True</td>" in made
    assert made.count('class="number"') == 4  # two numbers and their headings
    assert "<caption>A caption</caption>" in made
    assert table(["a"], [], "nothing") == ""


def test_bars_stay_in_their_cell() -> None:
    assert "width:100.00%" in bar(3.0).html
    assert "width:0.00%" in bar(-1.0).html
    assert "left:0.00%;width:50.00%" in bar(0.2, -0.5, 0.5).html


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(fl.ModelFileError, match=r"cannot write .*report\.html"):
        write_page(tmp_path / "gone" / "report.html", title="", header="", sections=[])


def test_curves_with_gaps_and_lone_points_are_drawn() -> None:
    svg = curve_chart("c", "Loss", {"training": [1.0, float("nan"), float("inf"), 0.5, 0.4], "other": [2.0]}).svg()
    assert svg.count("<circle") == 2  # the lone first point of each
    assert "NaN" not in svg.partition("</desc>")[2]
    assert "nan" not in svg.partition("</desc>")[2]


def test_the_kept_epoch_is_marked_where_there_is_room() -> None:
    falling = [1.0 / (k + 1) for k in range(40)]
    for curve in (falling, falling[::-1]):
        svg = curve_chart("c", "Loss", {"training": curve}, best_epoch=35).svg()
        assert ">kept: epoch 36</text>" in svg
    assert "kept" not in curve_chart("c", "Loss", {"training": falling}, best_epoch=99).svg()


def test_steep_losses_are_drawn_by_factors() -> None:
    svg = curve_chart("c", "Loss", {"training": [1000.0, 10.0, 0.1]}, logarithmic=True).svg()
    assert all(f">{tick}</text>" in svg for tick in ("0.1", "1", "10", "100", "1000"))
    flat = curve_chart("c", "Loss", {"training": [2.0, 1.0]}, logarithmic=True).svg()
    assert ">1.5</text>" in flat or ">1.6</text>" in flat


def test_long_trainings_are_thinned_with_their_last_epoch() -> None:
    svg = curve_chart("c", "Loss", {"training": list(range(10_000))}).svg()
    line = next(part for part in svg.split('d="M')[1:] if part.count("L") > 10)
    assert line.partition('"')[0].count("L") < 420
    assert ">10k</text>" in svg


def test_many_rows_are_thinned_and_it_says_so() -> None:
    svg = scatter_picture("s", "Scatter", np.arange(5000.0), np.arange(5000.0))
    assert svg.count("<circle") == 1667
    assert "5,000 rows, one in 3 shown" in svg
