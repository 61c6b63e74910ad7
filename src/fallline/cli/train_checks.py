"""What `fallline train` refuses before it reads or shows anything."""

import os
from pathlib import Path

from fallline.cli.train_text import steps_in_all
from fallline.errors import ArgumentError, RunFolderError
from fallline.training.run_reader import StoredRun


def require_new(folder: Path, option: str) -> None:
    """The same as `RunFolder` asks, before any time is spent on the data."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "is a file" if not folder.is_dir() else "exists already and is not empty"
        raise RunFolderError(f"the run folder {str(folder)!r} {kind}; choose another name with {option}, or remove it")
    place = next((parent for parent in folder.absolute().parents if parent.exists()), folder)
    if not place.is_dir() or not os.access(place, os.W_OK):
        why = "may not be written to" if place.is_dir() else "is a file"
        raise RunFolderError(f"cannot make the run folder {str(folder)!r}: {place} {why}; choose another with {option}")


def require_step(stored: StoredRun, step: int) -> None:
    """The same as `fl.resume` asks, before anything is shown."""
    first, last = stored.steps()[0], steps_in_all(stored)
    if not first <= step <= last:
        raise ArgumentError(
            f"the run {str(stored.path)!r} goes from step {first:,} to step {last:,}; choose --step among them, found "
            f"{step:,}"
        )
