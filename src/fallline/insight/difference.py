"""What a comparison of two runs found, and its text form; `diff` finds it out."""

import textwrap
from dataclasses import dataclass

from fallline.insight.changed_rows import ChangedRow
from fallline.insight.changed_settings import Setting
from fallline.insight.values import Change

INDENT, WIDTH = 16, 110


@dataclass(frozen=True)
class Difference:
    """The first difference of two runs, and why; `str()` tells it.

    Attributes:
        a, b: what the runs are called.
        kind: "none", "length" (one took more steps), "setting", "data", "weights" (they began with others), "fault"
            (a run that its own replay does not reproduce), "version" (the same, of a run that another version made) or
            "kernel" (a defect of the compiler).
        step: the first step, from 0, that left different weights; None where there is none, or where it is not known.
        before: whether they differed before it already.
        since: the earliest step that it may have been, where `step` is only the first that shows it; else None.
        change: the first tensor that differs, where, and how; None where there is none, or where it is not known.
        cause: why, in words.
        steps: how many steps both have taken.
        settings: all that differ, also those that nothing depends on.
        rows: rows of the training data that differ.
        checked: what the statement rests on, in words.
    """

    a: str
    b: str
    kind: str
    step: int | None
    cause: str
    steps: int
    change: Change | None = None
    before: bool = False
    since: int | None = None
    settings: tuple[Setting, ...] = ()
    rows: tuple[ChangedRow, ...] = ()
    checked: str = ""

    @property
    def equal(self) -> bool:
        """Whether both have the same weights, bit for bit, after the same number of steps."""
        return self.kind == "none"

    @property
    def tensor(self) -> str | None:
        """The name of the first tensor that differs."""
        return None if self.change is None else self.change.tensor

    @property
    def sentence(self) -> str:
        """The verdict."""
        if self.equal:
            return f"The same weights, bit for bit, after all {self.steps:,} steps."
        if self.kind == "length":
            return f"The same weights, bit for bit, after the {self.steps:,} steps that both have taken."
        if self.step is None:
            return "The runs differ."
        if self.before:
            return f"The runs differ before step {self.step:,} (steps are numbered from 0)."
        if self.since is not None and self.since < self.step:
            return f"The first step that differs is one of {self.since:,} to {self.step:,} (steps are numbered from 0)."
        return f"The first step that differs is step {self.step:,} (steps are numbered from 0)."

    def __str__(self) -> str:
        lines = [("a", self.a), ("b", self.b), ("verdict", self.sentence)]
        if self.change is not None:
            lines.append(("first tensor", str(self.change)))
        if self.cause:
            lines.append(("cause", self.cause))
        if others := [str(setting) for setting in self.settings if str(setting) not in self.cause]:
            lines.append(("also different", "; ".join(others)))
        if self.checked:
            lines.append(("checked", self.checked))
        return "\n".join(_folded(word, text) for word, text in lines)


def _folded(word: str, text: str) -> str:
    """A line of "word  text", folded under the text."""
    parts = textwrap.wrap(text, WIDTH - INDENT, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(f"{word if not k else '':<{INDENT}}{part}" for k, part in enumerate(parts))
