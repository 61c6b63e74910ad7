"""Runs whose past steps the page looks at: the last few stay open, with their data and programs."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from fallline.data.encoders import TableEncoder
from fallline.data.targets import ClassTarget, target_from_json
from fallline.errors import FalllineError
from fallline.insight.anatomy import Anatomy, anatomy_of
from fallline.insight.explain import Explainer
from fallline.insight.passes import Passes, PassReader
from fallline.tables.again import prepared_again
from fallline.tables.model import KEY
from fallline.tables.prepare import Prepared
from fallline.training.recording import Given, recording_of
from fallline.training.replay import Replayer
from fallline.training.run_folder import HISTORY, RUN
from fallline.training.run_reader import StoredRun

KEPT_RUNS, KEPT_PASSES = 3, 4


class PastRun:
    """A run's past: its network without its data, its steps with them. One question at a time.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.RLock()
        self._begun = ""
        self._prepared: Prepared | None = None
        self._open: tuple[Any, PassReader, Explainer] | None = None
        self._passes: OrderedDict[int, Passes] = OrderedDict()

    @property
    def stored(self) -> StoredRun:
        """Its folder, as it is now."""
        return StoredRun(self.path, "lab")

    def anatomy(self) -> Anatomy:
        """Its layers; needs no data."""
        graphs = self.stored.graphs
        return anatomy_of(graphs.step, graphs.modules)

    def reader(self) -> PassReader:
        """What computes its steps again, as far as it has got by now.

        Raises:
            RunFolderError, DataError: the run cannot be replayed here; the sentence says why.
        """
        return self._opened()[0]

    def explainer(self) -> Explainer:
        """What explains its weights, likewise."""
        return self._opened()[1]

    def _opened(self) -> tuple[PassReader, Explainer]:
        with self.lock:
            now = tuple(_changed(self.path / name) for name in (RUN, HISTORY))
            if self._open is None or self._open[0] != now:
                self._open = now, *self._open_now()
            return self._open[1:]

    def _open_now(self) -> tuple[PassReader, Explainer]:
        stored = self.stored
        if stored.begun != self._begun:  # another run has taken its place
            self._begun, self._prepared = stored.begun, None
            self._passes.clear()
        prepared = self.prepared()
        x, y = prepared.matrices["training"]
        running = stored.about.get("stopped") == "running"
        given = Given(x, y, prepared.weights, prepared.validation, threads=1 if running else None)
        recording = recording_of(stored, given, validated=False)
        replayer = Replayer.of_folder(stored, recording)
        source = prepared.parts["training"]
        explainer = Explainer(replayer, self.path.name, lambda row: (source.place(row), {}))
        return PassReader(replayer, recording.graphs.modules), explainer

    def prepared(self) -> Prepared:
        """Its table, split and encoded as then."""
        if self._prepared is None:
            self._prepared, _ = prepared_again(self.stored)
        return self._prepared

    def steps(self) -> int:
        """How many steps can be looked at."""
        return self.reader().replayer.taken or 0

    def passes(self, step: int) -> Passes:
        """The passes of a step; the last few are remembered."""
        with self.lock:
            reader = self.reader()
            if step not in self._passes:
                self._passes[step] = reader.at(step)
            self._passes.move_to_end(step)
            while len(self._passes) > KEPT_PASSES:
                self._passes.popitem(last=False)
            return self._passes[step]

    def names(self) -> tuple[list[str], list[str]]:
        """(of the inputs, of the outputs), as far as the run's model tells; no data needed."""
        try:
            about = self.stored.model_extra[KEY]
            target = target_from_json(about["target"])
            classes = [str(label) for label in target.classes] if isinstance(target, ClassTarget) else [target.name]
            return list(TableEncoder.from_json(about["encoder"]).feature_names), classes
        except (FalllineError, KeyError, TypeError, ValueError):
            return [], []


class Past:
    """The runs that are open, the last few of them."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, PastRun] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, path: Path) -> PastRun:
        with self._lock:
            run = self._open.setdefault(path, PastRun(path))
            self._open.move_to_end(path)
            while len(self._open) > KEPT_RUNS:
                self._open.popitem(last=False)
            return run


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
