"""Gathers what the site is made of in one folder, for Sphinx: pages as they are, written-down ones, and their links.

The pages in `docs/` are plain Markdown that also reads well where the code is hosted. Here their links to files of the
checkout become links to pages of the site, and the menu is added.
"""

import os
import re
import shutil
from pathlib import Path

from docs_site import commands, navigation, reference, tour

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "README.md": "index.md",
}
"""Files outside `docs/` that are pages, or in whose place a page stands."""
DECISIONS = "Why things are as they are: context, decision, consequences, alternatives; half a page each."
RESULTS = "Every number is written by the command that measured it, with date, commit, machine and versions."
LINK = re.compile(r"(?P<before>\]\(|(?:href|src)=\")(?P<target>[^)\s\"#]+)(?P<after>#[^)\s\"]*)?")
FENCED = re.compile(r"(^ *(`{3,}|~{3,}).*?^ *\2 *$)", re.MULTILINE | re.DOTALL)


def gather(into: Path) -> None:
    """Fill a folder, which must not be there yet, with the source of the whole site."""
    shutil.copytree(ROOT / "docs", into)
    for source in sorted((ROOT / "docs").rglob("*.md")):
        _put(source, source.relative_to(ROOT / "docs"), into)
    for name, page in PAGES.items():
        if page != "index.md":
            _put(ROOT / name, Path(page), into)
    write(into / "reference", reference.pages())
    write(into / "tour", tour.pages())
    write(into, {"commands.md": commands.page()})
    write(into / "decisions", {"index.md": _list_of(into / "decisions", "Decisions", DECISIONS)})
    measured = _relinked(_section("README.md", "Measured"), ROOT / "README.md", Path("results/index.md"), into)
    lead = f"{RESULTS}\n{measured}\n## All pages\n"
    write(into / "results", {"index.md": _list_of(into / "results", "Results", lead)})
    with (into / "index.md").open("a", encoding="utf-8") as index:
        for caption, pages in navigation.menu(into).items():
            index.write(navigation.toctree(pages, caption))


def write(folder: Path, pages: dict[str, str]) -> None:
    """Write files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _put(source: Path, page: Path, into: Path) -> None:
    text = _relinked(source.read_text(encoding="utf-8"), source, page, into)
    write((into / page).parent, {page.name: text})


def _relinked(text: str, source: Path, page: Path, into: Path) -> str:
    """A page's text whose links lead to the site's pages; other files that it names are laid beside them."""

    def place(found: re.Match[str]) -> str:
        target = (source.parent / found["target"]).resolve()
        if ":" in found["target"] or not target.is_relative_to(ROOT) or not target.exists():
            return found[0]
        inside = _place_of(target)
        if not (into / inside).exists() and target.is_file() and str(inside).startswith("files/"):
            (into / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, into / inside)
        return f"{found['before']}{os.path.relpath(inside, page.parent)}{found['after'] or ''}"

    parts = FENCED.split(text)  # text, fenced block, its fence, text, …
    return "".join(
        reference.linked(LINK.sub(place, part)) if k % 3 == 0 else part for k, part in enumerate(parts) if k % 3 != 2
    )


def _place_of(target: Path) -> Path:
    """Where a file or folder of the checkout stands on the site."""
    name = target.relative_to(ROOT).as_posix()
    if name in PAGES:
        return Path(PAGES[name])
    if target.is_relative_to(ROOT / "docs"):
        inside = target.relative_to(ROOT / "docs")
        return inside / "index.md" if target.is_dir() else inside
    return Path("files") / name


def _list_of(folder: Path, title: str, lead: str) -> str:
    pages = sorted(page.stem for page in folder.glob("*.md") if page.stem != "index")
    return f"# {title}\n\n{lead}\n{navigation.toctree(pages, hidden=False)}"


def _section(name: str, heading: str) -> str:
    """The text below a heading of a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
