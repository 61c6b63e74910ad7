"""The tour's pages: Markdown files, as blocks that a page can put up without trusting any markup."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

Block = dict[str, Any]
_STYLES = {"strong_open": "strong", "em_open": "em"}
_KINDS = {"paragraph_open": "paragraph", "heading_open": "heading", "bullet_list_open": "list"}


@dataclass(frozen=True)
class Page:
    """One page of the tour.

    Attributes:
        name: of its experiment, and in its address.
        title: its heading.
        lead: its first paragraph, as runs of text.
        sections: (heading, blocks), the first without a heading.
        code: the Python that prints the figure's numbers.
    """

    name: str
    title: str
    lead: list[Any]
    sections: list[tuple[str, list[Block]]]
    code: str

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        sections = [{"heading": heading, "blocks": blocks} for heading, blocks in self.sections]
        return {"name": self.name, "title": self.title, "lead": self.lead, "sections": sections}


@cache
def tour_pages() -> tuple[Page, ...]:
    """All pages, in order."""
    folder = files("fallline.lab.tour") / "pages"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return tuple(_page(file.name, file.read_text(encoding="utf-8")) for file in found)


def _page(file: str, markdown: str) -> Page:
    blocks = list(_blocks(MarkdownIt("commonmark").parse(markdown)))
    title, lead = blocks[0]["text"][0], blocks[1]["text"]
    sections: list[tuple[str, list[Block]]] = [("", [])]
    for block in blocks[2:]:
        if block["kind"] == "heading":
            sections.append((block["text"][0], []))
        else:
            sections[-1][1].append(block)
    code = "\n".join(block["text"] for _, part in sections for block in part if block["kind"] == "python")
    name = file.removesuffix(".md").partition("-")[2]
    return Page(name, title, lead, sections, code)


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    """The parts of a page: headings, paragraphs, lists, code. Whatever else there is is an error in our own files."""
    items: list[Any] | None = None
    kind = ""
    for token in tokens:
        if token.type == "bullet_list_open":
            items = []
        elif token.type == "bullet_list_close":
            yield {"kind": "list", "items": items}
            items = None
        elif token.type in _KINDS:
            kind = _KINDS[token.type]
        elif token.type == "inline" and items is not None:
            items.append(_runs(token))
        elif token.type == "inline":
            yield {"kind": kind, "text": _runs(token)}
        elif token.type == "fence":
            yield {"kind": token.info or "formula", "text": token.content}
        elif token.nesting != -1 and token.type != "list_item_open":
            raise ValueError(f"the tour's pages have no {token.type}")


def _runs(inline: Token) -> list[Any]:
    """Text as runs: plain strings, and [style, string] of what is strong, emphasised or code."""
    runs: list[Any] = []
    style = ""
    for token in inline.children or []:
        if token.type in _STYLES:
            style = _STYLES[token.type]
        elif token.type.endswith("_close"):
            style = ""
        elif token.type == "code_inline":
            runs.append(["code", token.content])
        elif token.type in ("text", "softbreak"):
            text = token.content if token.type == "text" else " "
            if not text:
                continue  # the parser leaves one behind what is strong
            if not style and runs and isinstance(runs[-1], str):
                runs[-1] += text
            else:
                runs.append([style, text] if style else text)
        else:
            raise ValueError(f"the tour's pages have no {token.type}")
    return runs
