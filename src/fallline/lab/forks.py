"""Trainings that the lab starts: forks of a run.

Each is a process of its own, `fallline train --resume RUN --branch NEW`.
"""

import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fallline.errors import ArgumentError, RunFolderError, told
from fallline.training.run_folder import RUN

SOON, LOOK = 8.0, 0.1
"""Seconds that a page waits for a fork's folder, and between two looks."""
PATIENCE = 10.0
"""Seconds that a training has to write its checkpoint when the lab ends."""
MOST = 8
"""Forks that may run at once."""


@dataclass
class Fork:
    """One of them.

    Attributes:
        folder: its run folder.
        process: what trains.
        said: the file with what it says on standard error.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    said: Any

    @property
    def failed(self) -> bool:
        """Whether it has ended before there was a run."""
        return self.process.poll() not in (None, 0) and not (self.folder / RUN).exists()

    @property
    def problem(self) -> str:
        """Its last words."""
        self.said.seek(0)
        lines = self.said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        return told(lines[-1].removeprefix("error: ") if lines else "it ended without a word", 1000)


@dataclass
class Forks:
    """The trainings that a lab has started."""

    started: list[Fork] = field(default_factory=list)

    @property
    def folders(self) -> list[Path]:
        """Their run folders."""
        return [fork.folder for fork in self.started]

    def start(self, run: Path, changes: dict[str, Any]) -> Path:
        """Start a training that leaves a run after some step, with changes, and wait a little for its folder.

        Args:
            run: the run's folder.
            changes: "step" and "lr", and where wanted "epochs" and "schedule".

        Returns:
            The folder of the new run, beside the old one.

        Raises:
            ArgumentError: a change is not one.
            RunFolderError: the training did not begin; the sentence says why.
        """
        words = _words(changes)
        if sum(fork.process.poll() is None for fork in self.started) >= MOST:
            raise RunFolderError(f"{MOST} forks are training already; wait for one to end, or stop one")
        folder = self._new(run)
        said = tempfile.TemporaryFile()  # noqa: SIM115 – it lives as long as the fork
        command = [sys.executable, "-m", "fallline", "train", "--resume", str(run), "--branch", str(folder), *words]
        process = subprocess.Popen(
            [*command, "--observe", "--quiet"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
        )  # fmt: skip
        fork = Fork(folder, process, said)
        self.started.append(fork)
        until = time.monotonic() + SOON
        while time.monotonic() < until and process.poll() is None and not (folder / RUN).exists():
            time.sleep(LOOK)
        if fork.failed:
            self.started.remove(fork)
            with said:
                raise RunFolderError(f"the fork did not begin: {fork.problem}")
        return folder

    def _new(self, run: Path) -> Path:
        taken, number = set(self.folders), 1
        while (folder := run.parent / f"{run.name}-fork-{number}").exists() or folder in taken:
            number += 1
        return folder

    def end(self) -> list[Path]:
        """Ask those that still train to stop, as Ctrl-C does; the folders of these."""
        left = [fork for fork in self.started if fork.process.poll() is None]
        for fork in left:
            fork.process.send_signal(signal.SIGINT)
        for fork in left:
            try:
                fork.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                fork.process.kill()
        for fork in self.started:
            fork.said.close()
        return [fork.folder for fork in left]


def _words(changes: dict[str, Any]) -> list[str]:
    unknown = sorted(set(changes) - {"step", "lr", "epochs", "schedule"})
    if unknown:
        raise ArgumentError(f"a fork takes step, lr, epochs and schedule; found {told(unknown[0], 40)!r}")
    step, lr = changes.get("step"), changes.get("lr")
    if type(step) is not int or not 0 <= step < 1 << 53:
        raise ArgumentError(
            f"a fork leaves its run after some step: a whole number from 0; found step={told(step, 40)}"
        )
    words = ["--step", str(step)]
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < 1e30:
        raise ArgumentError(f"a fork needs a learning rate above 0; found lr={told(lr, 40)}")
    words += ["--lr", repr(float(lr))]
    epochs, schedule = changes.get("epochs"), changes.get("schedule")
    if epochs is not None:
        if type(epochs) is not int or not 1 <= epochs < 1 << 31:
            raise ArgumentError(f"epochs must be a whole number from 1; found {told(epochs, 40)}")
        words += ["--epochs", str(epochs)]
    if schedule is not None:
        if not isinstance(schedule, str) or not schedule.isidentifier():
            raise ArgumentError(
                f"a schedule is given by its name, such as constant or cosine; found {told(schedule, 40)!r}"
            )
        words += ["--schedule", schedule]
    return words
