"""A run folder's files, as somebody else may have written them: read in part, with limits, and believed in nothing.

Only plain files are opened, never links or pipes; what is damaged or of another kind is left out.
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fallline.errors import told
from fallline.training.control import is_paused
from fallline.training.folder_lock import in_use
from fallline.training.run_folder import RUN, STEP_LOSSES

MOST_JSON = 16 << 20
"""Bytes of a run.json; a run of millions of hashes has some."""
LONGEST_LINE = 1 << 20
DEEPEST = 20
RUNNING, PAUSED, FINISHED, INTERRUPTED, NAN, DAMAGED, GONE = (
    "running", "paused", "finished", "interrupted", "nan", "damaged", "gone",
)  # fmt: skip
LOSS_BYTES = 8


def opened(path: Path) -> BinaryIO | None:
    """A plain file, to be read; None where there is none, or something else."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")


def size_of(path: Path) -> int:
    """Bytes of a plain file; 0 where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def mapping(text: bytes) -> dict[str, Any]:
    """A JSON object; empty where it is none, or is nested deeper than any that Fallline writes."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    level: list[Any] = [found] if isinstance(found, dict) else []
    for _ in range(DEEPEST):
        nested = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in nested for item in items if isinstance(item, dict | list)]
    return found if isinstance(found, dict) and not level else {}


def lines_from(path: Path, place: int) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of JSON behind a byte, at most a few megabytes of them, and the byte behind the last."""
    file = opened(path)
    if file is None:
        return [], 0
    with file:
        file.seek(place)
        text = file.read(4 * LONGEST_LINE)
    end = text.rfind(b"\n") + 1
    if not end and len(text) == 4 * LONGEST_LINE:
        end = len(text)  # no line is so long
    return [found for line in text[:end].splitlines() if (found := mapping(line))], place + end


def all_lines(path: Path) -> Iterator[dict[str, Any]]:
    """All of them."""
    place = 0
    while True:
        lines, end = lines_from(path, place)
        yield from lines
        if end <= place:
            return
        place = end


def text(value: Any, most: int = 300) -> str:
    """A text or number as one printable line; nothing for anything else."""
    return told(value, most) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return value if known else None


def whole(value: Any, least: int = 0) -> int | None:
    """A whole number of at least so much; None for anything else."""
    return value if type(value) is int and least <= value < 1 << 53 else None


def numbers(values: dict[str, Any]) -> dict[str, Any]:
    """Those entries that are numbers or null, under printable names."""
    return {text(key, 80): number(value) for key, value in values.items() if value is None or number(value) is not None}


def part(values: dict[str, Any], name: str) -> dict[str, Any]:
    """An entry that is an object; empty where it is something else."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class About:
    """What run.json says, as far as it makes sense.

    Attributes:
        content: its entries; empty where it is damaged.
        status: running, paused, finished, interrupted, nan, damaged or gone.
        batches: steps of an epoch, or None.
        epochs: how many there will be, or None.
    """

    content: dict[str, Any]
    status: str
    batches: int | None
    epochs: int | None

    @classmethod
    def of(cls, folder: Path) -> "About":
        """Read it."""
        file = opened(folder / RUN)
        if file is None:
            return cls({}, GONE, None, None)
        with file:
            found = file.read(MOST_JSON + 1)
        content = mapping(found) if len(found) <= MOST_JSON else {}
        config = part(content, "config")
        rows, batch = whole(config.get("rows"), 1), whole(config.get("batch_size"), 1)
        return cls(
            content,
            _status(folder, content),
            None if rows is None or batch is None else -(-rows // batch),
            whole(config.get("epochs"), 1),
        )


def status_of(folder: Path, stopped: Any) -> str:
    """How a training stands whose run.json says so."""
    if stopped == RUNNING:
        if not in_use(folder):
            return INTERRUPTED
        return PAUSED if is_paused(folder) else RUNNING
    return stopped if stopped in (INTERRUPTED, NAN) else FINISHED


def _status(folder: Path, content: dict[str, Any]) -> str:
    return status_of(folder, content.get("stopped")) if content else DAMAGED


def last_loss(folder: Path) -> tuple[int, float | None]:
    """(how many steps have a loss in losses.f64, the last of them)."""
    import numpy as np

    path = folder / STEP_LOSSES
    count = size_of(path) // LOSS_BYTES
    file = opened(path)
    if file is None or not count:
        return 0, None
    with file:
        file.seek(LOSS_BYTES * (count - 1))
        found = np.frombuffer(file.read(LOSS_BYTES), dtype="<f8")
    value = float(found[0]) if len(found) else math.nan
    return count, value if math.isfinite(value) else None
