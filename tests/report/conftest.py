"""Reports of trainings on small tables, and a reader that holds every page to the rules."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fallline.data.sources import read_table
from fallline.report import table_report
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import TableRun, train_table

VOID = {"meta", "br", "wbr", "rect", "path", "circle", "use", "img"}
LOADS = {"script", "link", "iframe", "object", "embed", "base", "form", "audio", "video", "source", "image"}
PLACES = {"src", "srcset", "href", "xlink:href", "action", "formaction", "poster", "data", "background", "ping"}


def require_inside(style: str) -> None:
    """A style may refer to what is on the page, and to nothing else."""
    assert all(place.startswith("#") for place in re.findall(r"url\(\s*['\"]?([^)]*)", style))
    assert "@import" not in style


class Page(HTMLParser):
    """A page's tags, texts and headings; reading it asserts that it is whole and loads nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []
        assert not LOADS & set(self.tags)
        assert "Content-Security-Policy" in self.source
        assert "default-src 'none'; style-src 'unsafe-inline'" in self.source
        assert len(set(self.ids)) == len(self.ids)
        assert set(self.links) <= set(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            require_inside(value or "")
            if name == "id" and value is not None:
                self.ids.append(value)
            if name in PLACES:
                assert value is not None
                if tag in ("image", "img") and value.startswith("data:image/png;base64,"):
                    continue
                assert value.startswith("#"), f"the page refers to {value!r}"
                self.links.append(value[1:])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            require_inside(data)
            return
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All that is to be read, blanks made even."""
        return " ".join(" ".join(self.texts).split())

    def headings(self) -> list[str]:
        """The headings of the sections."""
        parts = self.source.split("<h2 id=")[1:]
        return [part.partition(">")[2].partition("</h2>")[0] for part in parts]


@pytest.fixture
def read() -> Callable[[Path], Page]:
    return Page


@pytest.fixture(scope="session")
def trained() -> Callable[..., TableRun]:
    """`trained(data, target, option=…)`: a training with a tiny network, unless options say otherwise."""

    def train(data: Any, target: str, **options: Any) -> TableRun:
        chosen = TableOptions(**{"epochs": 2, "hidden": (4,), **options})
        return train_table(prepare(read_table(data), target, chosen), chosen, progress=False)

    return train


@pytest.fixture
def reported(trained: Callable[..., TableRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Page]:
    """The same, and its report without the large pictures, which take longer than all the rest."""
    monkeypatch.setattr(table_report, "pictures", lambda result: {})

    def report(data: Any, target: str, **options: Any) -> Page:
        result = trained(data, target, **options)
        return Page(table_report.write_table_report(tmp_path / "report.html", result))

    return report
