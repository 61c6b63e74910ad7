"""A run's folder: run.json, history.jsonl, checkpoints/, model.safetensors."""

import hashlib
import json
import math
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import KindError, RunFolderError
from fallline.nn.model_file import save_network, write_whole
from fallline.nn.module import Module
from fallline.training.run import Run

CONTRACT = 1
"""The number of the exactness contract whose bits this version keeps."""

KEPT_CHECKPOINTS = 3


class RunFolder:
    """Writes a run's files, each one whole or not at all.

    Args:
        path: a folder that does not exist yet, or is empty.
        about: JSON values for run.json (the data's name, the command, …).
        model_extra: JSON values stored in every model file beside the network (a table's encoders).
    """

    def __init__(self, path: Any, about: dict[str, Any] | None = None, model_extra: dict[str, Any] | None = None):
        if not isinstance(path, str | os.PathLike):
            raise KindError(f"run_dir must be a folder's path, found {path!r}")
        self.path = Path(path)
        self.about = about or {}
        self.model_extra = model_extra or {}
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunFolderError(
                f"the run folder {str(path)!r} exists already and is not empty; choose another name or remove it"
            )
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"cannot make the run folder {str(path)!r}: {error.strerror}; choose a folder you may write to"
            ) from None

    @property
    def model(self) -> Path:
        """Where the model file is."""
        return self.path / "model.safetensors"

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
            "epochs": run.epochs,
            "seconds": round(run.seconds, 3),
            "gradient_norm": run.gradient_norm,
            "best_epoch": run.best_epoch,
            **more,
        }
        text = json.dumps(plain(content), indent=2, ensure_ascii=False)
        write_whole(self.path / "run.json", f"{text}\n".encode())

    def append_history(self, run: Run) -> None:
        """One line of history.jsonl: the epoch that has just ended."""
        line = {"epoch": run.epochs} | {name: values[-1] for name, values in run.history.items() if values}
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(line)) + "\n")

    def checkpoint(self, net: Module, step: int) -> None:
        """A model file of the weights at this step; the last three are kept."""
        folder = self.path / "checkpoints"
        save_network(net, folder / f"step-{step:09d}.safetensors", self.model_extra)
        for old in sorted(folder.glob("step-*.safetensors"))[:-KEPT_CHECKPOINTS]:
            old.unlink(missing_ok=True)

    def best(self, net: Module) -> None:
        """A model file of the best weights so far."""
        save_network(net, self.path / "checkpoints" / "best.safetensors", self.model_extra)

    def finish(self, net: Module, run: Run, **more: Any) -> None:
        """The model file and the final run.json."""
        save_network(net, self.model, self.model_extra)
        self.write_about(run, **more)


class CheckpointClock:
    """Says when a checkpoint is due: every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the interval has passed; if so, it begins anew."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True


def package_version() -> str:
    """Fallline's version."""
    return version("fallline")


def data_hash(*arrays: NDArray[Any] | None) -> str:
    """BLAKE2b over shapes, dtypes and bytes: the name of these data."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


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
