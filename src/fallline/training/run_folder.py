"""A run's folder, as it is written: run.json, start.safetensors, history.jsonl, losses.f64, checkpoints/, the model.

What cannot be written while training goes on is told once, and training goes on; `run_reader.py` reads it all again.
"""

import json
import logging
import math
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fallline.errors import KindError, ModelFileError, RunFolderError
from fallline.nn.model_file import describe_network, save_network, write_tensors, write_whole
from fallline.nn.module import Module
from fallline.training.checkpoint import Checkpoint, write_checkpoint
from fallline.training.control import forget
from fallline.training.folder_lock import FolderLock
from fallline.training.graphs import Graphs
from fallline.training.hashes import data_hash
from fallline.training.pace import Clock
from fallline.training.run import Run
from fallline.training.writer import Writer

__all__ = ["CONTRACT", "RunFolder", "data_hash", "package_version", "plain"]

Array = NDArray[Any]
log = logging.getLogger("fallline")
CONTRACT = 1
"""The number of the exactness contract whose bits this version keeps."""

KEPT_CHECKPOINTS = 3
SHOWN_EVERY = 0.25
"""Seconds, at least, between two times that the losses of steps are put where others can read them."""
MODEL, START, RUN, HISTORY, STEP_LOSSES, OBSERVATIONS = (
    "model.safetensors",
    "start.safetensors",
    "run.json",
    "history.jsonl",
    "losses.f64",
    "observations.jsonl",
)
WRITTEN_WHOLE = (MODEL, START, RUN, HISTORY, STEP_LOSSES, OBSERVATIONS, "control.json", "report.html")
"""Files that are written beside their place, where a killed process may leave them."""
SELECTION = "selection"
"""A folder in the run's own: of the training before it, which chose its number of epochs."""
COLUMNS = "columns"
"""A folder in the run's own: of its data's columns, where these are mapped."""
CHECKPOINTS, STEPS, BEST = "checkpoints", "step-*.safetensors", "best.safetensors"
GRAPHS, SETTINGS, BEGUN = "graphs", "settings", "begun"


class RunFolder:
    """Writes a run's files, each one whole or not at all. Nobody else may write there until `release`.

    Args:
        path: a folder that does not exist yet, or is empty; with `again`, that of a run to go on with.
        about: JSON values for run.json (the data's name, the command, …).
        model_extra: JSON values stored in every model file beside the network (a table's encoders).
        again: whether the run exists.

    Raises:
        RunFolderError: the folder is not empty, cannot be made, or is in use.
    """

    def __init__(
        self,
        path: Any,
        about: dict[str, Any] | None = None,
        model_extra: dict[str, Any] | None = None,
        *,
        again: bool = False,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise KindError(f"run_dir must be a folder's path, found {path!r}")
        self.path = Path(path)
        self.about = about or {}
        self.model_extra = model_extra or {}
        self._writer = Writer()
        self._told: set[str] = set()
        self._best_epoch: int | None = None  # whose weights this process has put into best.safetensors
        self._model: tuple[dict[str, Array], dict[str, Any]] = {}, {}
        self._begun = ""  # the hash of start.safetensors: whose checkpoints these are
        self._losses: list[tuple[int, Array]] = []  # (first step, losses) that are in no file yet
        self._shown = Clock(SHOWN_EVERY)
        if not again:
            self._require_empty()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.path)
            if not again:
                self._require_empty()  # who was here first has begun to write
            (self.path / CHECKPOINTS).mkdir(exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"cannot make the run folder {str(path)!r}: {error.strerror}; choose a folder you may write to"
            ) from None

    def _require_empty(self) -> None:
        if self.path.exists() and (
            not self.path.is_dir() or any(at.name not in (SELECTION, COLUMNS) for at in self.path.iterdir())
        ):
            raise RunFolderError(
                f"the run folder {str(self.path)!r} exists already and is not empty; choose another name or remove it"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others write here."""
        self._lock.release()

    @property
    def model(self) -> Path:
        """Where the model file is."""
        return self.path / MODEL

    def write_about(self, run: Run, **more: Any) -> None:
        """run.json: everything that is known now."""
        content = {
            "fallline": package_version(),
            "contract": CONTRACT,
            "engine": run.engine,
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "machine": platform.machine(),
            **self.about,
            "config": run.config,
            "stopped": run.stopped or "running",
            "problem": run.problem,
            "epochs": run.epochs,
            "seconds": round(run.seconds, 3),
            "gradient_norm": None if run.stopped == "interrupted" else run.gradient_norm,  # takes too long
            "weights": {str(step): name for step, name in run.hashes.items()},
            "best_epoch": run.best_epoch,
            **more,
        }
        text = json.dumps(plain(content), indent=2, ensure_ascii=False)
        write_whole(self.path / RUN, f"{text}\n".encode())

    def begin(self, net: Module, graphs: Graphs, start: Checkpoint, run: Run) -> None:
        """start.safetensors: a checkpoint of the start, the graphs of all that the training computes, its settings.

        A branch has losses of steps before its start: losses.f64.

        Raises:
            ModelFileError: it cannot be written.
        """
        self.describe(net)
        constants, model = self._model
        arrays = {**start.now.values, **constants}
        stored = graphs.to_json(arrays)
        constants = {name: array for name, array in arrays.items() if name not in start.now.values}
        about = {GRAPHS: stored, SETTINGS: plain(run.config)}
        if run.steps["loss"]:
            self._write_all_losses(run.steps["loss"])
        self._begun = write_checkpoint(self.path / START, start, constants, {**model, **about})

    def go_on(
        self, net: Module, checkpoint: Checkpoint, lines: Iterable[dict[str, Any]], losses: list[float], begun: str
    ) -> None:
        """Begin to write again where a checkpoint stands: what was written of later steps is taken away.

        Args:
            net: the network.
            checkpoint: where the training goes on.
            lines: of history.jsonl, until then.
            losses: of the steps until then.
            begun: the hash of start.safetensors.

        Raises:
            ModelFileError: the folder cannot be written to.
        """
        self.describe(net)
        self._begun = begun
        text = "".join(f"{json.dumps(plain(line))}\n" for line in lines)
        write_whole(self.path / HISTORY, text.encode())
        self._clear(checkpoint.step)
        file = self.path / STEP_LOSSES
        if not file.exists() or file.stat().st_size != 8 * len(losses):
            self._write_all_losses(losses)

    def _write_all_losses(self, losses: list[float]) -> None:
        write_whole(self.path / STEP_LOSSES, np.array(losses, dtype="<f8").tobytes())

    def _clear(self, step: int) -> None:
        """Remove checkpoints of later steps, which are damaged, and what a killed process had not finished writing."""
        folder = self.path / CHECKPOINTS
        for place, names in ((self.path, WRITTEN_WHOLE), (folder, (STEPS, BEST))):
            for left in (left for name in names for left in place.glob(f".{name}.*")):
                left.unlink(missing_ok=True)
        for later in (path for path in folder.glob(STEPS) if path.name > _name(step)):
            later.unlink(missing_ok=True)
        self._try(OBSERVATIONS, lambda: keep_observations(self.path / OBSERVATIONS, step))
        forget(self.path)

    def describe(self, net: Module) -> None:
        """Find what every model file says beside weights and buffers; the network's shape is known by now."""
        self._model = describe_network(net, self.model_extra)

    def append_history(self, lines: Iterable[dict[str, Any]]) -> None:
        """Lines of history.jsonl: epochs that have just ended."""
        text = "".join(f"{json.dumps(plain(line))}\n" for line in lines)

        def append() -> None:
            with (self.path / HISTORY).open("a", encoding="utf-8") as file:
                file.write(text)

        self._try("history.jsonl", append)

    def losses(self, first: int, losses: Array) -> None:
        """The losses of the steps from number `first` on: soon in the file, and safe with the next checkpoint."""
        self._losses.append((first, losses))
        if self._shown.due() and not self._writer.busy:
            self._writer.submit(lambda: self._try("losses.f64", self._write_losses))

    def observation(self, observed: dict[str, Any]) -> None:
        """A line of observations.jsonl."""
        line = f"{json.dumps(plain(observed))}\n"

        def append() -> None:
            with (self.path / OBSERVATIONS).open("a", encoding="utf-8") as file:
                file.write(line)

        self._try(OBSERVATIONS, append)

    def checkpoint(self, checkpoint: Checkpoint, behind: bool = True) -> None:
        """Write a checkpoint, behind the training's back if asked; the last three are kept."""
        self._writer.wait()  # for the one before: memory for two, and a slow disk slows the training
        self._writer.submit(lambda: self._try("a checkpoint", lambda: self._write_checkpoint(checkpoint)))
        if not behind:
            self._writer.wait()

    def _write_checkpoint(self, checkpoint: Checkpoint) -> None:
        folder = self.path / CHECKPOINTS
        self._try("losses.f64", lambda: self._write_losses(safely=True))
        constants, model = self._model
        file = folder / _name(checkpoint.step)
        write_checkpoint(file, checkpoint, constants, {**model, BEGUN: self._begun})
        if checkpoint.best is not None and checkpoint.progress["best_epoch"] != self._best_epoch:
            write_tensors(folder / BEST, {**checkpoint.best, **constants}, model)
            self._best_epoch = checkpoint.progress["best_epoch"]
        for old in sorted(folder.glob(STEPS))[:-KEPT_CHECKPOINTS]:
            old.unlink(missing_ok=True)

    def _write_losses(self, safely: bool = False) -> None:
        """Put the losses of steps at their places; those that cannot be written wait for the next time."""
        losses = self._losses
        with open(os.open(self.path / STEP_LOSSES, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            while losses:
                file.seek(8 * losses[0][0])
                file.write(losses[0][1].astype("<f8").tobytes())
                file.flush()
                losses.pop(0)
            if safely:
                os.fsync(file.fileno())

    def finish(self, net: Module, run: Run, **more: Any) -> None:
        """The model file and the final run.json.

        Raises:
            ModelFileError: they cannot be written; the sentence says where the weights were saved instead, if anywhere.
        """
        self.close()
        try:
            save_network(net, self.model, self.model_extra)
        except ModelFileError as error:
            with suppress(ModelFileError):
                self.write_about(run, **more)
            raise ModelFileError(f"{error}{self._rescued(net)}") from None
        self.write_about(run, **more)

    def _rescued(self, net: Module) -> str:
        """The end of a sentence: where the weights were saved that cannot be saved here."""
        try:
            place = Path(tempfile.mkdtemp(prefix=f"{self.path.name}-"))
        except OSError:
            return ""
        try:
            save_network(net, place / MODEL, self.model_extra)
        except ModelFileError:
            place.rmdir()
            return ""
        return f". The trained weights were saved to {str(place / MODEL)!r} instead"

    def close(self) -> None:
        """Wait for what is being written; nobody can be asked any more."""
        self._writer.close()
        forget(self.path)

    def _try(self, what: str, write: Callable[[], None]) -> None:
        """Write while training goes on: what fails is told, once for each reason."""
        try:
            write()
        except (OSError, ModelFileError) as error:
            reason = f"{error.strerror}: {error.filename!r}" if isinstance(error, OSError) else str(error)
            if reason not in self._told:
                self._told.add(reason)
                log.warning("Training goes on, but %s could not be written (%s).", what, reason)


def keep_observations(file: Path, step: int) -> None:
    """Leave in observations.jsonl what was seen until a step; later lines, and those that are not whole, go."""
    if not file.is_file():
        return
    kept = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        with suppress(ValueError, RecursionError, TypeError, KeyError):
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
    write_whole(file, "".join(kept).encode())


def _name(step: int) -> str:
    """The name of a checkpoint's file."""
    return STEPS.replace("*", f"{step:09d}")


@contextmanager
def owned(place: Any, again: bool = False) -> Iterator[RunFolder]:
    """A caller's `RunFolder`, which stays the caller's; or one of our own at a path, released at the end.

    Args:
        place: a `RunFolder` or a path.
        again: whether the run exists.
    """
    if isinstance(place, RunFolder):
        yield place
        return
    with RunFolder(place, again=again) as folder:
        yield folder


def package_version() -> str:
    """Fallline's version."""
    return version("fallline")


def plain(value: Any) -> Any:
    """A value as strict JSON has it: NaN and infinity become null, NumPy's numbers plain ones."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return repr(value)
