"""The site is made without a warning, its links lead somewhere, and it asks nobody for anything."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs_site import navigation, stage
from fallline.lab.tour.text import tour_pages

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = str(ROOT / "scripts")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOADING = {"script", "img", "link", "iframe", "source", "video", "audio", "object", "embed"}
SCHEME = re.compile(r"^(?:[a-z][a-z+.-]*:|//)", re.IGNORECASE)


class Page(HTMLParser):
    """What a page points at: `links`, targets that a reader follows; `loads`, what a browser fetches; `ids`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.ids.add(value)
            elif name in ("href", "src", "data", "poster") and value:
                (self.loads if tag in LOADING else self.links).append(value)


def pages_of(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def broken(site: Path) -> list[str]:
    """Every link and picture of a page that leads to no file of the site, or to no place in it."""
    pages, found = pages_of(site), []
    for path, page in pages.items():
        for target in [*page.links, *page.loads]:
            if SCHEME.match(target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / unquote(name.partition("?")[0])).resolve() if name else path
            if not file.is_file() or site not in file.parents:
                found.append(f"{path.relative_to(site)}: {target}: no such file")
            elif anchor and file in pages and unquote(anchor) not in pages[file].ids:
                found.append(f"{path.relative_to(site)}: {target}: no such place")
    return found


def foreign(site: Path) -> list[str]:
    """What a browser would fetch from elsewhere: scripts, styles, fonts, pictures."""
    found = []
    for path, page in pages_of(site).items():
        found += [
            f"{path.relative_to(site)}: {load}" for load in page.loads if SCHEME.match(load) and "data:" not in load
        ]
    for path in sorted(site.rglob("*.css")):
        asked = re.findall(
            r"(?:url\(|@import)\s*['\"]?(?!data:)((?:https?:)?//[^)'\"\s]+)", path.read_text(encoding="utf-8")
        )
        found += [f"{path.relative_to(site)}: {target}" for target in asked]
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made") / "site"
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs.py"), str(made)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"`make docs` says:\n{done.stdout}{done.stderr}"
    assert done.stdout == f"The site is in {made}; open {made / 'index.html'}\n"
    assert done.stderr == ""
    return made


def test_no_link_is_broken(site: Path) -> None:
    assert broken(site) == []


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    assert foreign(site) == []


def test_every_page_of_the_checkout_is_a_page_of_the_site(site: Path) -> None:
    sources = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert [path for path in sources if not (site / path.with_suffix(".html")).is_file()] == []
    for name in ("contributing", "changelog", "benchmarks", "commands", "reference/index", "results/index"):
        assert (site / f"{name}.html").is_file()


def test_every_example_on_the_site_is_run_by_the_tests(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("docs_tests", ROOT / "tests" / "test_docs.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["docs_tests"] = tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    run = {block.text for page in tests.PAGES for block in tests.blocks(page.read_text(encoding="utf-8"))}
    run |= {page.code for page in tour_pages()}  # tests/lab/test_tour_numbers.py runs each page's
    stage.gather(tmp_path / "docs")
    examples = [
        (page.name, block)
        for page in (tmp_path / "docs").rglob("*.md")
        for block in tests.blocks(page.read_text(encoding="utf-8"))
        if block.language == "python" or (block.language in tests.SHELLS and tests.commands(block))
    ]
    assert len(examples) > 80
    assert [f"{name}:{block.line}" for name, block in examples if block.text not in run] == []


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    pages = pages_of(site)
    reached, ahead = set(), [site / "index.html"]
    while ahead:
        path = ahead.pop()
        if path in reached or path not in pages:
            continue
        reached.add(path)
        ahead += [
            (path.parent / link.partition("#")[0]).resolve() for link in pages[path].links if not SCHEME.match(link)
        ]
    made_by_the_theme = {"search.html", "genindex.html", "py-modindex.html"}
    assert {path.relative_to(site).as_posix() for path in pages.keys() - reached} <= made_by_the_theme


def test_the_tour_has_its_text_its_figures_and_its_numbers(site: Path) -> None:
    for page in tour_pages():
        shown = (site / "tour" / f"{page.name}.html").read_text(encoding="utf-8")
        assert page.title in shown
        assert "figure answers your hand" in shown
    assert "loss 35.7500, slope -39.4000" in (site / "tour" / "slope.html").read_text(encoding="utf-8")
    assert (site / "_images" / "slope.svg").read_text(encoding="utf-8").startswith("<svg")


def test_search_and_menu_work_in_a_browser_from_a_file(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        asked, faults = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto((site / "search.html").as_uri() + "?q=label_smoothing")
        page.wait_for_selector("#search-results li a")
        links = page.eval_on_selector_all("#search-results li a", "all => all.map(one => one.href)")
        assert any("reference/losses.html" in link for link in links)
        for name in ("index", "results/speed", "reference/training", "commands", "tour/rate"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than a phone"
        browser.close()
    assert faults == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_the_colours_are_the_labs() -> None:
    lab = (ROOT / "src" / "fallline" / "lab" / "static" / "base.css").read_text(encoding="utf-8")
    ours = (ROOT / "scripts" / "docs_site" / "static" / "site.css").read_text(encoding="utf-8")
    theirs = set(re.findall(r"--[a-z]+: #[0-9a-f]+", lab))
    colours = re.findall(r"--[a-z]+: #[0-9a-f]+", ours)
    assert len(colours) > 20
    assert set(colours) <= theirs


# The checkers themselves, on a site with planted faults.


def test_planted_faults_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<h1 id="here">A</h1>')
    (tmp_path / "index.html").write_text(
        '<a href="other.html#here">a</a><a href="other.html#gone">b</a><a href="gone.html">c</a><a href="#gone">d</a>'
        '<a href="../outside.html">e</a><a href="https://example.org">f</a><img src="gone.png">'
        '<script src="https://cdn.example.org/x.js"></script><link rel="stylesheet" href="//fonts.example.org/x.css">'
    )
    (tmp_path / "style.css").write_text(
        '@import "https://example.org/a.css"; b { background: url(//example.org/b.png) }'
    )
    assert [fault.split(": ")[1] for fault in broken(tmp_path)] == [
        "other.html#gone", "gone.html", "#gone", "../outside.html", "gone.png",
    ]  # fmt: skip
    assert len(foreign(tmp_path)) == 4


def test_a_warning_ends_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "index.md").write_text("# Title\n\n[a](gone.md) [b](#nowhere)\n")
    script = "import sys, pathlib, docs_site.build as b; sys.exit(b.make(*map(pathlib.Path, sys.argv[1:])))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(tmp_path / "site")], env=os.environ | {"PYTHONPATH": SCRIPTS},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "gone.md" in done.stderr
    assert "nowhere" in done.stderr


def test_links_of_the_checkout_become_links_of_the_site(tmp_path: Path) -> None:
    text = (
        "[a](../README.md#measured) [b](decisions/) [c](../CONTRIBUTING.md#bits) [d](../LICENSE)\n"
        "[e](results/speed.md) [f](https://example.org) [g](#here) `fl.fit` [`fl.fit`](lab.md) `fl.unknown`\n\n"
        "```text\n[h](decisions/)\n```\n"
    )
    done = stage._relinked(text, ROOT / "docs" / "page.md", Path("page.md"), tmp_path)
    assert done == (
        "[a](index.md#measured) [b](decisions/index.md) [c](contributing.md#bits) [d](files/LICENSE)\n"
        "[e](results/speed.md) [f](https://example.org) [g](#here) {py:obj}`fl.fit` [`fl.fit`](lab.md) `fl.unknown`\n\n"
        "```text\n[h](decisions/)\n```\n"
    )
    assert (tmp_path / "files" / "LICENSE").is_file()


def test_a_guide_that_is_named_nowhere_comes_last(tmp_path: Path) -> None:
    for name in (*navigation.START, *navigation.GUIDES, "zebras", "index"):
        (tmp_path / f"{name}.md").touch()
    menu = navigation.menu(tmp_path)
    assert menu["Guides"] == [*navigation.GUIDES, "zebras"]
    assert "index" not in [page for pages in menu.values() for page in pages]
