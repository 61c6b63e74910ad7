"""What a descent is shown of: a run's folder, or the playground; and its path, computed once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import BoundedSemaphore, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.insight.landscape import Path as Walked
from fallline.insight.landscape import path_of
from fallline.insight.playground import MOST_STEPS
from fallline.lab.asked import Asked
from fallline.lab.place import Lab
from fallline.lab.playgrounds import Setting, playground_of, setting_of
from fallline.report.contours import outlines
from fallline.tables.again import data_of_run
from fallline.training.recording import recording_of
from fallline.training.replay import Replayer
from fallline.training.run_folder import HISTORY, RUN
from fallline.training.run_reader import StoredRun

PLAY = "play"
DEFAULT_STEP = "600"
KEPT = 3
SECONDS = 40.0
"""How long the path of a run may take."""
WAIT = 60.0
"""Seconds that a request waits for its turn."""
_turns = BoundedSemaphore(2)


@dataclass(eq=False)
class Source:
    """A training, and its way.

    Attributes:
        title: what it is.
        replayer: goes to any of its steps.
        lock: whoever asks holds it.
    """

    title: str
    replayer: Replayer
    lock: RLock = field(default_factory=RLock)

    @cached_property
    def path(self) -> Walked:
        """Its weights along the way."""
        return path_of(self.replayer, seconds=SECONDS)

    @property
    def taken(self) -> int:
        """How many steps it took."""
        return self.replayer.taken or 0


def source_of(asked: Asked, lab: Lab) -> Source:
    """The source that a query names: source=play with the playground's settings and its step, or a run's id.

    Raises:
        ArgumentError, RunFolderError, DataError: there is none, or its data are not there any more.
    """
    name = asked.assuming({"source": PLAY}).text("source")
    if name != PLAY:
        folder = lab.folder(name)
        return _stored(folder, tuple(_stamp(folder / part) for part in (RUN, HISTORY)))
    setting, step = setting_of(asked, lab), asked.assuming({"step": DEFAULT_STEP}).whole("step", 1, MOST_STEPS)
    return _played(setting, step, lab.data)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=KEPT)
def _stored(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Source:
    stored = StoredRun(folder, "descent")
    given = data_of_run(stored)
    return Source(folder.name, Replayer.of_folder(stored, recording_of(stored, given, validated=False)))


@lru_cache(maxsize=KEPT)
def _played(setting: Setting, step: int, data: str | None) -> Source:
    ground = playground_of(setting, data)
    with ground.lock:
        start, last = ground.moment(0), ground.moment(step).step
    if not last:
        raise ArgumentError(
            "descent: the first loss is not finite already, so that there is no path; choose a smaller η"
        )
    recording = ground.recording
    replayer = Replayer(recording, recording.settings.engine, [], lambda at: iter([start]), {}, last)
    return Source(f"the playground: {ground.data.title}", replayer)


@contextmanager
def turn(source: Source, call: str) -> Iterator[None]:
    """Two surfaces or races are computed at a time, and one of a source; others wait, but not for ever.

    Raises:
        ArgumentError: it took too long.
    """
    if not _turns.acquire(timeout=WAIT):
        raise ArgumentError(f"{call}: the lab is busy with others' surfaces and races; ask again in a minute")
    try:
        with source.lock:
            yield
    finally:
        _turns.release()


def rings(heights: NDArray[Any], levels: list[float]) -> list[list[list[float]]]:
    """For each level the outlines of the lower ground, each a flat list of grid places, to hundredths."""
    finite = np.where(np.isfinite(heights), heights, np.finfo(np.float64).max / 1e9)
    return [
        [[round(part, 2) for place in outline for part in place] for outline in outlines(finite, level)]
        for level in levels
    ]
