"""A docstring in Google's style as Markdown: its prose as it is, its sections as lists of terms."""

import re
from dataclasses import dataclass, field
from inspect import cleandoc

SECTIONS = ("Args", "Attributes", "Returns", "Raises")
HEADINGS = {"Args": "Arguments", "Attributes": "Attributes", "Returns": "Returns", "Raises": "Raises"}
TERM = re.compile(r"^(?P<names>\*{0,2}[\w.…][\w.,…* ]*?)(?: \([^)]*\))?:(?: +(?P<text>.+))?$")


@dataclass
class Docstring:
    """What a docstring says.

    Attributes:
        prose: Markdown, without the sections.
        terms: section → (names, what is said of them); "Returns" has one without names.
    """

    prose: str
    terms: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first paragraph."""
        return self.prose.partition("\n\n")[0]

    def names(self, section: str) -> set[str]:
        """The single names of a section: `x, y` are two."""
        return {name.strip(" *") for names, _ in self.terms.get(section, []) for name in names.split(",")} - {""}

    def markdown(self) -> str:
        """The whole, for a page."""
        parts = [self.prose]
        for section, terms in self.terms.items():
            parts.append(f"```{{rubric}} {HEADINGS[section]}\n```")
            parts += [f"{_codes(names)}\n: {_indented(text)}" if names else text for names, text in terms]
        return "\n\n".join(part for part in parts if part)


def parse(text: str | None) -> Docstring:
    """Take a docstring apart."""
    prose: list[str] = []
    found: dict[str, list[str]] = {}
    section = ""
    for line in cleandoc(text or "").splitlines():
        if (name := line.removesuffix(":")) in SECTIONS and line.endswith(":"):
            section = name
            found[section] = []
        elif section and (not line.strip() or line.startswith("    ")):
            found[section].append(line[4:])
        else:
            section = ""
            prose.append(line)
    text = re.sub(r":\n(?=    )", ":\n\n", "\n".join(prose).strip())  # Markdown wants a blank line before code
    return Docstring(text, {name: _terms(name, lines) for name, lines in found.items()})


def _terms(section: str, lines: list[str]) -> list[tuple[str, str]]:
    if section == "Returns":
        return [("", "\n".join(lines).strip())]
    terms: list[tuple[str, str]] = []
    for line in lines:
        if (start := TERM.match(line)) and not line.startswith(" "):
            terms.append((start["names"], start["text"] or ""))
        elif terms:
            terms[-1] = (terms[-1][0], f"{terms[-1][1]}\n{line.strip()}".strip())
        elif line.strip():
            raise ValueError(f"a docstring's section {section} begins with {line!r}, which names nothing")
    return terms


def _codes(names: str) -> str:
    """Each name as code: `x`, `y`."""
    return ", ".join("…" if name.strip() == "…" else f"`{name.strip()}`" for name in names.split(","))


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
