"""Asking a training to pause, go on or stop: a small file in its run folder, which it looks at between chunks of steps.

Whoever may write to the folder may ask, from any process; the training answers with a file of its own while it waits.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fallline.errors import ArgumentError, ModelFileError, RunFolderError, nearest
from fallline.nn.model_file import write_whole
from fallline.training.folder_lock import in_use
from fallline.training.signals import StopRequest

ASKED, PAUSED = "control.json", "paused.json"
PAUSE, RESUME, STOP = ACTIONS = ("pause", "resume", "stop")
LONGEST = 200
"""Bytes of a request; what is longer is none."""
NAP = 0.1
"""Seconds between two looks at the file while a training waits."""


def ask(folder: Path, action: str) -> None:
    """Ask the training that writes to a run folder to pause, to go on, or to stop as Ctrl-C stops it.

    Raises:
        ArgumentError: there is no such action.
        RunFolderError: no training writes to the folder, or it cannot be asked.
    """
    if action not in ACTIONS:
        raise ArgumentError(f"a training cannot be asked to {action!r}: {nearest(str(action), ACTIONS)}")
    if not in_use(folder):
        raise RunFolderError(f"no training writes to {str(folder)!r} now, so there is nothing to {action}")
    try:
        write_whole(folder / ASKED, json.dumps({"action": action}).encode())
    except ModelFileError as error:
        raise RunFolderError(f"the training in {str(folder)!r} cannot be asked to {action}: {error}") from None


def is_paused(folder: Path) -> bool:
    """Whether the training in a folder has said that it waits; whether it still runs is another question."""
    return (folder / PAUSED).is_file()


class Control:
    """What a training is asked.

    Args:
        folder: its run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._asked, self._paused = folder / ASKED, folder / PAUSED

    def obey(self, stop: StopRequest, before_waiting: Callable[[], None]) -> float:
        """Do what was asked since the last look.

        Args:
            stop: is set where the training is asked to stop; ends the waiting where a signal sets it.
            before_waiting: called once before the training waits: whoever looks meanwhile finds all that there is.

        Returns:
            How many seconds it waited.
        """
        action, waited = self._action(), 0.0
        if action == PAUSE and not stop:
            started = time.perf_counter()
            before_waiting()
            with suppress(OSError):
                self._paused.write_text(json.dumps({"since": time.time()}), encoding="utf-8")
            while action == PAUSE and not stop:
                time.sleep(NAP)
                action = self._action()
            self._paused.unlink(missing_ok=True)
            waited = time.perf_counter() - started
        if action == STOP:
            stop.asked = True
        if action in (RESUME, STOP):
            self._asked.unlink(missing_ok=True)
        return waited

    def _action(self) -> str | None:
        try:
            with self._asked.open("rb") as file:
                found = json.loads(file.read(LONGEST))
        except (OSError, ValueError, RecursionError):
            return None
        action = found.get("action") if isinstance(found, dict) else None
        return action if action in ACTIONS else None


def forget(folder: Path) -> None:
    """Remove what was asked and answered before: by or of a training that is over."""
    for name in (ASKED, PAUSED):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
