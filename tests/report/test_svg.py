"""The builder of pictures: numbers as people write them, escaped text, light and dark."""

import xml.etree.ElementTree as ET

import pytest

from fallline.report.axes import Scale, padded, tick_text, ticks
from fallline.report.svg import Picture, all_colours, figure, number, shortened, width_of


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 3, "0"),
        (1.0, 3, "1.00"),
        (-0.037125, 3, "−0.0371"),
        (123456.0, 3, "123456"),
        (9.996, 3, "10.0"),
        (1234567.0, 3, "1.23·10⁶"),
        (-4.32e-5, 4, "−4.320·10⁻⁵"),
        (float("inf"), 3, "∞"),
        (float("-inf"), 3, "−∞"),
        (float("nan"), 3, "NaN"),
    ],
)
def test_figures_are_written_for_readers(value: float, digits: int, text: str) -> None:
    assert figure(value, digits) == text


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (-0.001, "0"), (2.5, "2.5"), (3.14159, "3.14"), (10.0, "10")])
def test_coordinates_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_text_is_escaped_and_the_picture_says_what_it_is() -> None:
    picture = Picture("name", 100, 50, "A <title> & more", "It's a <description>.")
    picture.text(1, 2, '<script>alert("x")</script>')
    root = ET.fromstring(picture.svg())
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["aria-labelledby"] == "name-title name-description"
    assert [element.text for element in root.iter(f"{space}title")] == ["A <title> & more"]
    assert [element.text for element in root.iter(f"{space}desc")] == ["It's a <description>."]
    assert [element.text for element in root.iter(f"{space}text")] == ['<script>alert("x")</script>']


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "muted", "blue", "green", "orange"])
def test_text_has_enough_contrast_on_paper_and_panel(name: str, mode: int) -> None:
    colours = all_colours()
    for ground in ("paper", "panel"):
        high, low = sorted((luminance(colours[name][mode]), luminance(colours[ground][mode])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.1, level AA


def test_a_long_text_keeps_its_ends() -> None:
    short = shortened("a_very_long_column_name.weight[12,345]", 120)
    assert short.startswith("a_very")
    assert short.endswith("345]")
    assert "…" in short
    assert width_of(short) <= 120
    assert shortened("short", 120) == "short"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.0, 7.0, [-2.0, 0.0, 2.0, 4.0, 6.0]),
        (0.0011, 0.0049, [0.002, 0.003, 0.004]),
        (2.0, 2.0, []),
        (0.0, float("inf"), []),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_scales_and_ranges() -> None:
    scale = Scale(0.0, 10.0, 100.0, 0.0)
    assert [scale(value) for value in (0.0, 5.0, 10.0)] == [100.0, 50.0, 0.0]
    assert padded([1.0, float("nan"), 3.0], 0.5) == (0.0, 4.0)
    assert padded([]) == (0.0, 1.0)
    low, high = padded([2.0, 2.0])
    assert low < 2.0 < high
    assert [tick_text(value) for value in (0.1 + 0.2, -2.0, 1e-17)] == ["0.3", "−2", "0"]
