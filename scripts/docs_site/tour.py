"""The lab's tour as pages: its own text, its figures where a picture that stands still tells enough, its numbers."""

from importlib.resources import files
from typing import Any

from docs_site import tour_figures
from docs_site.navigation import toctree
from fallline.lab.tour.experiments import EXPERIMENTS
from fallline.lab.tour.text import tour_pages

LEAD = """# Learn

What backpropagation and gradient descent do, on ten short pages. In [the lab](../lab.md), `fallline lab`, their figures
are computed anew as you move their sliders; here they stand still, with the settings that each page begins with.
"""


def pages() -> dict[str, str]:
    """File name → its text, Markdown or SVG, the index included."""
    made: dict[str, str] = {}
    listed = [LEAD]
    sources = sorted((files("fallline.lab.tour") / "pages").iterdir(), key=lambda file: file.name)
    for source, page in zip(sources, tour_pages(), strict=True):
        found = EXPERIMENTS[page.name]({})
        text = source.read_text(encoding="utf-8")
        if drawing := tour_figures.DRAWINGS.get(page.name):
            made[f"{page.name}.svg"] = drawing(found)
        made[f"{page.name}.md"] = _page(text, page.name, page.title, found)
        listed.append(f"1. [{page.title}]({page.name}.md)")
    made["index.md"] = "\n".join([*listed, toctree([page.name for page in tour_pages()])])
    return made


def _page(text: str, name: str, title: str, found: dict[str, Any]) -> str:
    """The text with the figure behind its introduction, and at its end what its Python prints."""
    live = f"In the lab this page's figure answers your hand: `fallline lab`, *Learn*, *{title}*."
    drawn = name in tour_figures.DRAWINGS
    figure = f"```{{image}} {name}.svg\n:alt: {title}\n:class: standing\n```\n\n" if drawn else ""
    head, mark, rest = text.partition("\n## ")
    printed = "\n".join(found["printed"])
    return f"{head}\n{figure}{live}\n{mark}{rest}\nIt prints\n\n```text\n{printed}\n```\n"
