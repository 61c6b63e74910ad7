"""How things are written for a person: numbers, lists, the command to type next."""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from fallline.report.words import count, duration, metric_name, metric_value, size

__all__ = [
    "command", "console", "count", "duration", "metric_name", "metric_value", "print_grid", "print_listing",
    "print_next", "print_table", "program", "size",
]  # fmt: skip
INDENT = 12


def console(quiet: bool = False) -> Console:
    """Standard output, with colour where it is a terminal; nothing where quiet."""
    return Console(quiet=quiet, highlight=False)


def program() -> str:
    """How the user calls Fallline: `fallline`, `.venv/bin/fallline`, `python -m fallline`."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "fallline":
        python = Path(sys.executable)
        return f"{python.name if _on_path(python) else shlex.quote(sys.executable)} -m fallline"
    if called.stem != "fallline" or _on_path(called) or not called.exists():
        return "fallline"
    return shlex.quote(str(called))


def _on_path(program: Path) -> bool:
    """Whether the program's bare name, typed in this shell, starts that same program."""
    found = shutil.which(program.name)
    return found is not None and Path(found).absolute() == program.absolute()


def command(*words: Any) -> str:
    """A command line that works when pasted."""
    return " ".join([program(), *(shlex.quote(str(word)) for word in words)])


def print_listing(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Lines of "word  what there is to say", long ones folded under themselves."""
    width = (min(console.width, 100) if console.is_terminal else 100) - INDENT
    for word, text in rows:
        folded = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
        for number, line in enumerate(folded):
            label = f"{word if number == 0 else '':<{INDENT}}"
            console.print(Text.assemble((label, "bold"), line), soft_wrap=True)


def print_next(console: Console, *words: Any) -> None:
    """The command to type next, unbroken, so that it can be pasted."""
    console.print(Text.assemble((f"{'next':<{INDENT}}", "bold"), (command(*words), "cyan")), soft_wrap=True)


def print_table(console: Console, word: str, text: str) -> None:
    """A word, and below it lines that are never broken."""
    console.print(Text(word, style="bold"))
    for line in text.splitlines():
        console.print(Text(f"  {line}".rstrip()), soft_wrap=True)


def print_grid(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose lines are never broken, so that names in it can be copied."""
    texts = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in [headings, *texts]) for k in range(len(headings))]
    for number, row in enumerate([headings, *texts]):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        console.print(Text(line, style="bold" if number == 0 else ""), soft_wrap=True)
