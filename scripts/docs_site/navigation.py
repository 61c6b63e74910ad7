"""What stands where on the site: the parts of the menu, and the pages of each in reading order.

A guide in `docs/` that is named nowhere here comes last among the guides.
"""

from pathlib import Path

START = ("quick-start", "backpropagation-and-sgd")
GUIDES = (
    "decisions-for-you",
    "text-and-dates",
    "table-recipe",
    "report",
    "own-networks",
    "runs",
    "when-the-loss-does-not-fall",
    "explanations",
    "lab",
    "figures",
    "scikit-learn",
    "tables-in-scikit-learn",
    "onnx",
    "serving",
)
PROJECT = ("results/index", "decisions/index", "architecture", "benchmarks", "contributing", "changelog")


def menu(folder: Path) -> dict[str, list[str]]:
    """Each part of the menu with its pages, of all that lie in `folder`; pages of parts of their own have an index."""
    placed = {*START, *GUIDES, *PROJECT, "index"}
    others = sorted(page.stem for page in folder.glob("*.md") if page.stem not in (*placed, "commands"))
    return {
        "Start": list(START),
        "Guides": [*GUIDES, *others],
        "Learn": ["tour/index"],
        "Reference": ["reference/index", "commands"],
        "Project": list(PROJECT),
    }


def toctree(pages: list[str], caption: str = "", hidden: bool = True) -> str:
    """A list of pages as Sphinx takes it."""
    options = ([":hidden:"] if hidden else []) + ([f":caption: {caption}"] if caption else [])
    return "\n".join(["", "```{toctree}", *options, ":titlesonly:", "", *pages, "```", ""])
