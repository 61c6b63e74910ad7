"""A small builder of SVG pictures: the same bytes for the same numbers, light and dark, nothing fetched.

Colours are classes (`f-green` fills, `s-green` draws), because a class can be light on one page and dark on
another, where an attribute cannot. Hues are those of Okabe & Ito 2008, "Color universal design", which stay
apart for colour-blind readers; every meaning of a colour is also written in words.
"""

import math
import re
from html import escape

Colours = dict[str, tuple[str, str]]

COLOURS: Colours = {
    "paper": ("#ffffff", "#12161b"),
    "panel": ("#f4f7f9", "#1b2128"),
    "hair": ("#d3dae0", "#37414c"),
    "muted": ("#576370", "#9dabb8"),
    "ink": ("#18202a", "#eaeff4"),
    "blue": ("#0069a6", "#5cb8ee"),
    "green": ("#00765a", "#34cca0"),
    "orange": ("#c0440a", "#ff9457"),
    "purple": ("#7d3f9b", "#c9a0ee"),
    "gold": ("#80610a", "#e0b84a"),
}
SERIES = ("blue", "orange", "green", "purple", "gold")
"""How lines of one chart are told apart, in this order; after these, the same again with dashes."""
BANDS = 10
"""Tones of a surface, from band0 (low) to band9 (high)."""

_LOW, _HIGH = ("#fdfefe", "#171d23"), ("#a9bac9", "#55687a")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def _between(low: str, high: str, share: float) -> str:
    pairs = [(int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def all_colours() -> Colours:
    """Every colour by name: (on light paper, on dark paper)."""
    bands = {
        f"band{k}": (_between(_LOW[0], _HIGH[0], k / (BANDS - 1)), _between(_LOW[1], _HIGH[1], k / (BANDS - 1)))
        for k in range(BANDS)
    }
    return COLOURS | bands


def series(number: int) -> tuple[str, str]:
    """(colour, dashes) of line `number` (from 0) of a chart."""
    return SERIES[number % len(SERIES)], "" if number < len(SERIES) else "5 3"


def clean(text: str) -> str:
    """Text without what no page can show: control characters and halves of characters become �."""
    return _UNSHOWN.sub("\ufffd", text)


_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def picture_style() -> str:
    """The style that every picture needs, for a page that holds several."""

    def rules(mode: int) -> str:
        return "".join(
            f".f-{name}{{fill:{tones[mode]}}}.s-{name}{{stroke:{tones[mode]}}}"  # no ancestor: <use> would not see it
            for name, tones in all_colours().items()
        )

    fixed = (
        f"svg.fallline{{font-family:{FONT};font-size:12px}}svg.fallline text{{font-variant-numeric:tabular-nums}}"
        "svg .b{font-weight:600}svg .n{fill:none}svg .r{stroke-linecap:round;stroke-linejoin:round}"
        "svg .h{stroke-linejoin:round;stroke-width:3.5px;paint-order:stroke}"
    )
    return f"{fixed}{rules(0)}@media screen and (prefers-color-scheme:dark){{{rules(1)}}}"


def number(value: float) -> str:
    """A coordinate: two decimals at most, no trailing zeros, no −0."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def figure(value: float, digits: int = 3) -> str:
    """A number for a reader: `digits` significant ones, a true minus sign, 1.2·10⁻⁷ for the extremes."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0.0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        text = f"{value:.{max(digits - 1 - power, 0)}f}"
    else:
        text = f"{mantissa}·10{str(power).translate(_RAISED)}"
    return text.replace("-", "−")


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def width_of(text: str, size: float = 12.0) -> float:
    """About how wide a text is, in pixels: a guess that errs on the wide side for common fonts."""
    narrow = sum(character in "iljtfr.,:;'|!()[] ·" for character in text)
    return size * (0.58 * (len(text) - narrow) + 0.32 * narrow)


def shortened(text: str, width: float, size: float = 12.0) -> str:
    """The text, with … in its middle where it would be wider than `width` pixels."""
    if width_of(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        head = (kept + 1) // 2
        cut = f"{text[:head]}…{text[len(text) - (kept - head) :]}"
        if width_of(cut, size) <= width:
            return cut
    return "…"


class Picture:
    """An SVG picture that is being drawn.

    Args:
        name: prefix of the ids inside, so that several pictures can stand on one page.
        width, height: in pixels; it scales to the page.
        title: what it is, for those who cannot see it.
        description: what it shows, in sentences.
    """

    def __init__(self, name: str, width: float, height: float, title: str, description: str) -> None:
        self.name, self.width, self.height = name, width, height
        self.title, self.description = title, description
        self._parts: list[str] = []

    def add(self, *parts: str) -> None:
        """Markup as it is; the other methods escape what they are given."""
        self._parts.extend(parts)

    def inset(self, picture: "Picture", x: float, y: float) -> None:
        """Another picture's drawing, its upper left corner at x, y; its words for those who do not see it stay."""
        told = f"<title>{_escaped(picture.title)}</title><desc>{_escaped(picture.description)}</desc>"
        self.add(f'<g transform="translate({number(x)} {number(y)})">{told}', *picture._parts, "</g>")

    def text(
        self, x: float, y: float, text: str, *, colour: str = "ink", size: float = 12, anchor: str = "start",
        bold: bool = False, halo: str = "",
    ) -> None:  # fmt: skip
        """A line of text whose baseline starts (or is centred, or ends) at x, y; `halo` is a colour around it."""
        classes = f"f-{colour}{' b' if bold else ''}{f' h s-{halo}' if halo else ''}"
        shift = "" if anchor == "start" else f' text-anchor="{anchor}"'
        scale = "" if size == 12 else f' font-size="{number(size)}"'
        place = f'x="{number(x)}" y="{number(y)}"'
        self.add(f'<text class="{classes}" {place}{shift}{scale}>{_escaped(text)}</text>')

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str = "", stroke: str = "", radius: float = 0
    ) -> None:
        """A rectangle, with rounded corners where there is a radius."""
        corner = f' rx="{number(radius)}"' if radius else ""
        size = f'width="{number(width)}" height="{number(height)}"'
        self.add(f'<rect class="{_paint(fill, stroke)}" x="{number(x)}" y="{number(y)}" {size}{corner}/>')

    def circle(self, x: float, y: float, radius: float, *, fill: str = "", stroke: str = "", width: float = 1) -> None:
        """A dot, or a ring."""
        thick = f' stroke-width="{number(width)}"' if stroke and width != 1 else ""
        place = f'cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"'
        self.add(f'<circle class="{_paint(fill, stroke)}" {place}{thick}/>')

    def path(self, data: str, *, fill: str = "", stroke: str = "", width: float = 1, dash: str = "") -> None:
        """A path from its `d`."""
        thick = f' stroke-width="{number(width)}"' if stroke and width != 1 else ""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(f'<path class="{_paint(fill, stroke)} r" d="{data}"{thick}{dashes}/>')

    def polyline(self, points: list[tuple[float, float]], *, stroke: str, width: float = 1, dash: str = "") -> None:
        """Straight lines from point to point."""
        self.path(_along(points), stroke=stroke, width=width, dash=dash)

    def arrow(
        self, x0: float, y0: float, x1: float, y1: float, *, colour: str, width: float = 1.5, head: float = 6
    ) -> None:
        """A line with a head at x1, y1; a line shorter than its head is drawn without."""
        length = math.hypot(x1 - x0, y1 - y0)
        if length < head:
            self.path(_along([(x0, y0), (x1, y1)]), stroke=colour, width=width)
            return
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        bx, by = x1 - ux * head, y1 - uy * head
        self.path(_along([(x0, y0), (bx, by)]), stroke=colour, width=width)
        side = head * 0.5
        wings = [(x1, y1), (bx - uy * side, by + ux * side), (bx + uy * side, by - ux * side)]
        self.path(_along(wings) + "Z", fill=colour)

    def dots(self, points: list[tuple[float, float]], radius: float, *, fill: str, opacity: float = 1) -> None:
        """Many dots of one size and colour."""
        through = f' fill-opacity="{number(opacity)}"' if opacity != 1 else ""
        size = number(radius)
        circles = "".join(f'<circle cx="{number(x)}" cy="{number(y)}" r="{size}"/>' for x, y in points)
        self.add(f'<g class="f-{fill}"{through}>{circles}</g>')

    def svg(self, styled: bool = True) -> str:
        """The whole picture as text; `styled=False` for a page that has `picture_style` itself."""
        title, described = f"{self.name}-title", f"{self.name}-description"
        size = f'viewBox="0 0 {number(self.width)} {number(self.height)}"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="fallline" {size} width="{number(self.width)}" '
            f'role="img" aria-labelledby="{title} {described}">'
        )
        return "\n".join(
            [
                head,
                f'<title id="{title}">{_escaped(self.title)}</title>',
                f'<desc id="{described}">{_escaped(self.description)}</desc>',
                *([f"<style>{picture_style()}</style>"] if styled else []),
                *self._parts,
                "</svg>\n",
            ]
        )


def _escaped(text: str) -> str:
    return escape(clean(text), quote=False)


def _along(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def _paint(fill: str, stroke: str) -> str:
    return f"{f'f-{fill}' if fill else 'n'}{f' s-{stroke}' if stroke else ''}"
