"""A run that is to be compared or verified: in memory, or a folder with its data; what it recorded."""

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, FalllineError, KindError
from fallline.training.hashes import data_hash, digest
from fallline.training.recording import Given, Recording, recording_of
from fallline.training.replay import Replayer
from fallline.training.run import Run
from fallline.training.run_folder import CONTRACT, RUN, package_version
from fallline.training.run_reader import StoredRun
from fallline.training.steppers import Snapshot
from fallline.training.update_graph import slot_name

Array = NDArray[Any]


@dataclass
class Side:
    """A run with all that its steps follow from.

    Attributes:
        name: how sentences call it.
        config: its settings.
        recording: what its steps follow from.
        replayer: takes them again.
        stored: its folder, if it has one that is still there.
        first: the step that it began at: 0, or where it branched off.
        taken: how many steps it has taken, those before `first` included.
        losses: of its steps, as far as recorded, NaN elsewhere.
        stopped: why it ended, as `Run.stopped` has it.
    """

    name: str
    config: dict[str, Any]
    recording: Recording
    replayer: Replayer
    stored: StoredRun | None
    first: int
    taken: int
    losses: Array
    stopped: str

    @property
    def hashes(self) -> dict[int, str]:
        """Step → the hash of weights and buffers that it recorded after so many steps."""
        return self.replayer.hashes

    @property
    def data(self) -> str:
        """The name of its training rows."""
        rows = self.recording.rows
        return data_hash(rows.x, rows.y, rows.weight)

    @property
    def made_by(self) -> dict[str, str]:
        """Versions and machine that computed it."""
        now = {"fallline": package_version(), "contract": CONTRACT, "machine": platform.machine()}
        now |= {"python": platform.python_version(), "numpy": np.__version__}
        about = {} if self.stored is None else {**self.stored.about, **dict(self.stored.about.get("versions") or {})}
        return {key: str(about.get(key, value)) for key, value in now.items()}

    @property
    def branched_from(self) -> dict[str, Any] | None:
        """The run, step and weights that it began with, if it is a branch."""
        found = None if self.stored is None else self.stored.about.get("branched_from")
        return found if isinstance(found, dict) else None

    def moments(self) -> list[int]:
        """The steps whose whole state is stored, in order; the first is where it began."""
        found = [] if self.stored is None else self.stored.steps()
        return sorted({self.first, *(step for step in found if self.first <= step <= self.taken)})

    def state(self, step: int) -> Snapshot:
        """What the run had before a step: stored, or replayed from what was stored before it."""
        return self.replayer.state(step)


def side_of(run: Any, given: Given, call: str, name: str) -> Side:
    """A run, or a run's folder with the data of then.

    Raises:
        ArgumentError: it cannot be replayed, or the data are missing or other ones.
        RunFolderError: there is no such run, or it was made under another contract.
    """
    if isinstance(run, Run):
        return _in_memory(run, call, name)
    stored = stored_run(run, call)
    if given.x is None or given.y is None:
        raise ArgumentError(f"{call}: the run folder {str(run)!r} holds no data: give x and y, as fit was given them")
    recording = recording_of(stored, given, validated=False)
    replayer = Replayer.of_folder(stored, recording)
    taken = replayer.taken or 0
    return Side(
        str(run),
        stored.config,
        recording,
        replayer,
        stored,
        stored.start.step,
        taken,
        stored.losses(taken),
        str(stored.about.get("stopped")),
    )


def stored_run(run: Any, call: str) -> StoredRun:
    """A run's folder whose bits this version keeps.

    Raises:
        KindError: it is neither a run nor a path.
        RunFolderError: there is no such run, or it was made under another contract.
    """
    if not isinstance(run, str | os.PathLike):
        raise KindError(f"{call}: a run must be a Run, as fl.fit returns it, or a run's folder; found {run!r:.60}")
    stored = StoredRun(run, call)
    stored.require_contract()
    return stored


def _in_memory(run: Run, call: str, name: str) -> Side:
    if run.recording is None or run.start is None:
        raise ArgumentError(f"{call}: run {name} was not made by fl.fit or fl.resume; give the run's folder")
    taken, start, stored = len(run.steps["loss"]), run.start, _own_folder(run, call)
    if stored is None:
        replayer = Replayer.of_run(run)
    else:
        start = stored.start.now
        replayer = Replayer(run.recording, run.engine, run.scores, _moments(stored), run.hashes, taken)
    name = f"run {name}" if run.folder is None else str(run.folder)
    losses = np.array(run.steps["loss"])
    return Side(name, run.config, run.recording, replayer, stored, start.step, taken, losses, run.stopped)


def _moments(stored: StoredRun) -> Any:
    def sources(step: int) -> Iterator[Snapshot]:
        return (checkpoint.now for checkpoint in stored.whole(step))

    return sources


def _own_folder(run: Run, call: str) -> StoredRun | None:
    """The folder of a run in memory, where it still holds that run and no longer one."""
    if run.folder is None or not (run.folder / RUN).is_file():
        return None
    try:
        stored = StoredRun(run.folder, call)
        same = stored.hashes() == run.hashes and stored.start.step <= run.start.step
    except FalllineError:
        return None
    return stored if same else None


def state_name(moment: Snapshot) -> str:
    """A hash of weights, buffers and the optimizer's state."""
    slots = {
        slot_name(slot, name): array
        for slot, named in moment.state.items()
        if slot not in ("step", "memory")
        for name, array in named.items()
    }
    memory = {pattern: dict(values) for pattern, values in moment.state["memory"].items()}
    return digest({**moment.values, **slots}, json.dumps(memory, sort_keys=True))
