"""The documentation leads somewhere: links, anchors, make targets, and from every number to its results page."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
PAGES = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<(?:a|img)\s[^>]*(?:href|src)=\"([^\"]+)\"")
DEFINITION = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?", re.MULTILINE)
OUTSIDE = re.compile(r"^[a-z][a-z+.-]*:", re.IGNORECASE)  # https:, mailto: …


def prose(markdown: str) -> list[str]:
    """The lines outside fenced blocks."""
    kept, fence = [], ""
    for line in markdown.splitlines():
        found = FENCE.match(line)
        if not fence and found:
            fence = found[1]
        elif fence and re.fullmatch(rf"\s*{fence[0]}{{{len(fence)},}}\s*", line):
            fence = ""
        elif not fence:
            kept.append(line)
    return kept


def links(markdown: str) -> list[str]:
    """The targets of a page's links and pictures; brackets inside code are none."""
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", "\n".join(prose(markdown)))
    return [first or second for first, second in LINK.findall(text)] + DEFINITION.findall(text)


def anchors(markdown: str) -> set[str]:
    """The anchors of a page's headings, named as GitHub names them, and those set by hand."""
    seen: Counter[str] = Counter()
    found = set(re.findall(r"<a\s+(?:name|id)=\"([^\"]+)\"", markdown))
    for line in prose(markdown):
        if heading := re.match(r"^#{1,6}\s+(.*?)\s*#*$", line):
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def broken_links(page: Path, root: Path) -> list[str]:
    """The relative links of a page that lead to no file below `root`, or to no heading."""
    broken = []
    for target in links(page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if OUTSIDE.match(target):
            continue
        if not file.exists() or root not in (file, *file.parents):
            broken.append(f"{target}: no such file")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            broken.append(f"{target}: no such heading")
    return broken


def unproven_rows(markdown: str) -> list[str]:
    """The rows with a number in the tables below a heading on results, that link to no results page."""
    below, rows = False, []
    for line in markdown.splitlines():
        if heading := re.match(r"^#+\s+(.*)", line):
            below = bool(re.search(r"result|measure|benchmark", heading[1], re.IGNORECASE))
        elif below and line.lstrip().startswith("|") and re.search(r"\d", line) and "docs/results/" not in line:
            rows.append(line)
    return rows


def make_targets(markdown: str) -> set[str]:
    """The targets of the lines `make …` in a page's blocks."""
    outside = Counter(prose(markdown))
    inside = "\n".join((Counter(markdown.splitlines()) - outside).keys())
    return set(re.findall(r"^(?:\$ )?make (?:\w+=\S+ )*([a-z]+)", inside, re.MULTILINE))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, ROOT) == []


def test_every_result_in_the_readme_links_to_its_page() -> None:
    assert unproven_rows((ROOT / "README.md").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_make_targets_that_a_page_tells_of_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = {name for line in re.findall(r"^([a-z][a-z ]*):", makefile, re.MULTILINE) for name in line.split()}
    assert make_targets(page.read_text(encoding="utf-8")) <= there


# The checker itself, on pages with planted faults.


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(
        "# One `op`, one *declaration*: why?\n\n## Same\n\n## Same\n\n```sh\n# Not\n```\n"
    )
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#one-op-one-declaration-why) [c](#here) [d](https://example.org/x.md)\n"
        "[e](other.md#same-1) ![f](gone.png) [g](other.md#gone) [h](#gone) [i](other.md#not) [j](../outside.md)\n"
        '`[k](code.md)` <a href="gone.html">l</a>\n\n```text\n[m](fenced.md)\n```\n\n[n]: gone-too.md\n\n# Here\n'
    )
    assert [link.partition(":")[0] for link in broken_links(page, tmp_path)] == [
        "gone.png", "other.md#gone", "#gone", "other.md#not", "../outside.md", "gone.html", "gone-too.md",
    ]  # fmt: skip


def test_a_number_without_its_page_is_found() -> None:
    table = "| data | accuracy |\n| --- | --- |\n| MNIST | [98.2 %](docs/results/mnist.md) |\n| Iris | 97 % |\n"
    assert unproven_rows(f"# Fallline\n\n| 1 | 2 |\n\n## Results\n\n{table}") == ["| Iris | 97 % |"]


def test_a_make_target_is_found() -> None:
    assert make_targets("```sh\nmake PYTHON=python3.12 test\n$ make demo\n```\nmake sure\n") == {"test", "demo"}
