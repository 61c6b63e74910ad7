"""Pieces of a page: every text from outside goes through `text`, so that no name in the data can be markup."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from fallline.report.svg import clean

LONGEST = 160


@dataclass(frozen=True)
class Markup:
    """A cell of HTML made by this room, as it goes into the page; a number stands at the right."""

    html: str
    number: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, an id for links, and its content.

    Attributes:
        key: the id.
        heading: above it; "" for none.
        content: markup, in order; empty ones are left out.
        nav: its name in the list of sections; "" where it is not listed.
    """

    key: str
    heading: str
    content: Sequence[str]
    nav: str = ""

    def html(self) -> str:
        """The section as markup; nothing where it has no content."""
        inside = "\n".join(part for part in self.content if part)
        if not inside:
            return ""
        heading = f'<h2 id="{self.key}-heading">{text(self.heading)}</h2>\n' if self.heading else ""
        named = f' aria-labelledby="{self.key}-heading"' if self.heading else ""
        return f'<section id="{self.key}"{named}>\n{heading}{inside}\n</section>'


def text(value: Any) -> str:
    """Anything as text of a page, its markup made harmless."""
    return _NUMBER_PERCENT.sub("\u00a0%", escape(clean(str(value))))


def name(value: Any, longest: int = 60) -> Markup:
    """A column's name, which may be broken after an underscore."""
    return Markup(text(shown(value, longest)).replace("_", "_<wbr>"))


_NUMBER_PERCENT = re.compile(r"(?<=\d) %")  # these stay together at the end of a line


def shown(value: Any, longest: int = LONGEST) -> str:
    """A cell of a table for a reader: a long text is cut, a missing value is a dash."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, np.datetime64):
        return (
            "–" if np.isnat(value) else str(value).replace("T", " ").removesuffix(".000000").removesuffix(" 00:00:00")
        )
    if isinstance(value, float | np.floating):
        return f"{value:.6g}".replace("-", "−")
    words = str(value)
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def paragraph(*sentences: str, kind: str = "") -> str:
    """Sentences as one paragraph."""
    told = " ".join(sentence for sentence in sentences if sentence)
    return f"<p{f' class={kind}' if kind else ''}>{text(told)}</p>" if told else ""


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """(what, value) pairs, below each other, on a card."""
    rows = "\n".join(f"<dt>{text(what)}</dt><dd>{text(value)}</dd>" for what, value in pairs if value)
    return f'<dl class="card">\n{rows}\n</dl>' if rows else ""


def table(columns: Sequence[str | Markup], rows: Sequence[Sequence[Any]], caption: str, kind: str = "") -> str:
    """A table on a card, which scrolls by itself where the page is narrow.

    Args:
        columns: headings.
        rows: cells: `Markup` goes in as it is, numbers stand at the right, the first of a row is its heading.
        caption: what the table shows, for those who jump from table to table.
        kind: a class of the style sheet.
    """

    def cell(value: Any, heading: bool) -> str:
        tag = 'th scope="row"' if heading else "td"
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        inside = value.html if isinstance(value, Markup) else text(f"{value:,}" if whole else shown(value))
        return f"<{tag}{_right(value)}>{inside}</{tag[:2]}>"

    if not rows:
        return ""
    head = "".join(
        f'<th scope="col"{_right(value)}>{column.html if isinstance(column, Markup) else text(column)}</th>'
        for column, value in zip(columns, rows[0], strict=True)
    )
    body = "\n".join(f"<tr>{''.join(cell(v, k == 0) for k, v in enumerate(row))}</tr>" for row in rows)
    inside = f"<caption>{text(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return scroll(f"<table{f' class={kind}' if kind else ''}>{inside}</table>", caption)


def _right(value: Any) -> str:
    """The class of a cell that holds a number."""
    if isinstance(value, Markup):
        return ' class="number"' if value.number else ""
    return ' class="number"' if isinstance(value, int | float | np.number) and not isinstance(value, bool) else ""


def scroll(inside: str, label: str) -> str:
    """A card that scrolls sideways, by keys, too."""
    return f'<div class="card scroll" tabindex="0" role="region" aria-label="{text(label)}">{inside}</div>'


def folded(summary: str, inside: str) -> str:
    """Content that opens when asked for; on paper it is open."""
    return f"<details><summary>{text(summary)}</summary>\n{inside}\n</details>" if inside else ""


def pair(*cards: str) -> str:
    """Cards beside each other where there is room."""
    return f'<div class="pair">{"".join(cards)}</div>'


def figures(pictures: Sequence[str]) -> str:
    """Small charts side by side."""
    drawn = "\n".join(f'<figure class="picture">{svg}</figure>' for svg in pictures if svg)
    return f'<div class="charts">\n{drawn}\n</div>' if drawn else ""


def figure(svg: str, note: str = "") -> str:
    """A picture as wide as the page, with words below it."""
    below = f"<figcaption>{text(note)}</figcaption>" if note else ""
    return f'<figure class="picture wide" tabindex="0">{svg}{below}</figure>'


def items(notes: Sequence[str], kind: str = "") -> str:
    """Sentences as a list."""
    entries = "\n".join(f"<li>{text(note)}</li>" for note in notes)
    return f"<ul{f' class={kind}' if kind else ''}>\n{entries}\n</ul>" if notes else ""


def bar(share: float, low: float | None = None, high: float | None = None, kind: str = "") -> Markup:
    """A bar of a share of its cell's width, with a whisker from low to high; its number stands beside it in words."""
    inside = f'<i class="fill{" " + kind if kind else ""}" style="width:{_percent(share)}"></i>'
    if low is not None and high is not None:
        left = min(max(low, 0.0), 1.0)
        wide = max(min(max(high, 0.0), 1.0) - left, 0.0)
        inside += f'<i class="whisker" style="left:{_percent(left)};width:{_percent(wide)}"></i>'
    return Markup(f'<span class="bar" aria-hidden="true">{inside}</span>')


def commands(lines: Mapping[str, str]) -> str:
    """What each command line does, and the line, ready to be copied."""
    return "\n".join(
        f'<div class="command"><p>{text(what)}</p><pre tabindex="0">{text(line)}</pre></div>'
        for what, line in lines.items()
        if line
    )


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"
