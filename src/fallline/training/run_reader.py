"""A run's folder, read again: its settings, graphs, checkpoints, history. Nothing of it is believed unchecked."""

import json
import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import FalllineError, ModelFileError, RunFolderError
from fallline.nn.model_file import StoredNetwork, network_from, read_tensors
from fallline.training.checkpoint import PLACE, Checkpoint, checkpoint_from, read_checkpoint
from fallline.training.graphs import Graphs
from fallline.training.run_folder import CHECKPOINTS, CONTRACT, GRAPHS, HISTORY, RUN, START, STEP_LOSSES

Array = NDArray[Any]
log = logging.getLogger("fallline")
OWN = (
    "fallline", "contract", "engine", "versions", "machine", "config", "stopped", "problem", "epochs", "seconds",
    "gradient_norm", "weights", "best_epoch",
)  # fmt: skip
"""What run.json says of every run; the rest is what its maker had to say."""
MODEL_KEYS = ("format", "graph", "buffers", "hash", GRAPHS, PLACE)


class StoredRun:
    """A run's folder.

    Args:
        path: the folder.
        call: who asks, for errors.

    Raises:
        RunFolderError: there is no run, or run.json is damaged.
    """

    def __init__(self, path: Any, call: str = "resume") -> None:
        self.path, self.call = Path(path), call
        file = self.path / RUN
        if not file.is_file():
            raise RunFolderError(
                f"{call}: there is no run in {str(path)!r}: it has no run.json; `fallline runs` lists those made here"
            )
        try:
            self.about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            self.config: dict[str, Any] = dict(self.about["config"])
            self.contract, self.engine = int(self.about["contract"]), str(self.about["engine"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunFolderError(
                f"{call}: {str(file)!r} is damaged ({type(error).__name__}: {error}); without it the settings are "
                "not known; its checkpoints still open with fl.load"
            ) from None

    def require_contract(self) -> None:
        """Refuse a run whose bits this version does not keep.

        Raises:
            RunFolderError: it was made under another contract.
        """
        if self.contract != CONTRACT:
            raise RunFolderError(
                f"{self.call}: the run {str(self.path)!r} was made by Fallline {self.about.get('fallline')} under "
                f"exactness contract {self.contract}, this version keeps contract {CONTRACT}: its steps would give "
                "other bits; use the version that made it"
            )

    @property
    def made_by(self) -> dict[str, Any]:
        """What its maker had to say: the name of the data, the command."""
        return {key: value for key, value in self.about.items() if key not in OWN}

    @cached_property
    def _start(self) -> tuple[dict[str, Array], dict[str, Any]]:
        path = self.path / START
        try:
            arrays, metadata = read_tensors(path)
        except ModelFileError as error:
            raise RunFolderError(f"{self.call}: the run's start cannot be read: {error}") from None
        return arrays, metadata

    @cached_property
    def graphs(self) -> Graphs:
        """What the training computes.

        Raises:
            RunFolderError: start.safetensors is missing, damaged, or of another run.
        """
        arrays, metadata = self._start
        try:
            graphs = Graphs.from_json(metadata[GRAPHS], arrays)
        except (FalllineError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RunFolderError(f"{self.call}: {str(self.path / START)!r} holds no training ({error!r})") from None
        if graphs.digest != self.config.get("program"):
            raise RunFolderError(
                f"{self.call}: {str(self.path / START)!r} does not belong to the run.json beside it: the network or "
                "the loss in it is another one"
            )
        return graphs

    def network(self) -> StoredNetwork:
        """The network at the run's start, which predicts without the classes that made it."""
        arrays, metadata = self._start
        network = network_from(dict(arrays), metadata, self.path / START)
        if not isinstance(network, StoredNetwork):
            raise RunFolderError(f"{self.call}: {str(self.path / START)!r} holds no network")
        return network

    @property
    def model_extra(self) -> dict[str, Any]:
        """What the model files say beside the network."""
        return {key: value for key, value in self._start[1].items() if key not in MODEL_KEYS}

    @cached_property
    def start(self) -> Checkpoint:
        """The checkpoint of the run's start."""
        return checkpoint_from(*self._start, self.path / START)

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, the start's included, in order."""
        found = []
        for path in (self.path / CHECKPOINTS).glob("step-*.safetensors"):
            digits = path.stem.removeprefix("step-")
            if digits.isdecimal():
                found.append(int(digits))
        return sorted({self.start.step, *found})

    def checkpoint(self, step: int) -> Checkpoint:
        """One of them.

        Raises:
            ModelFileError: it is damaged.
        """
        return self.start if step == self.start.step else read_checkpoint(self._file(step))

    def whole(self, most: int | None = None) -> Iterator[Checkpoint]:
        """Checkpoints that are whole, of at most some step, the latest first; of damaged ones a warning tells."""
        for step in reversed(self.steps()):
            if most is not None and step > most:
                continue
            try:
                found = self.checkpoint(step)
            except ModelFileError as error:
                log.warning("%s; the checkpoint before it is used.", error)
                continue
            if found.step == step:
                yield found

    def _file(self, step: int) -> Path:
        return self.path / CHECKPOINTS / f"step-{step:09d}.safetensors"

    def losses(self, count: int) -> Array:
        """The losses of the first so many steps, (count,); NaN where they were not written."""
        losses = np.full(count, np.nan)
        file = self.path / STEP_LOSSES
        if file.is_file():
            found = np.fromfile(file, dtype="<f8", count=count)
            losses[: len(found)] = found
        return losses

    def history(self) -> list[dict[str, Any]]:
        """The lines of history.jsonl; those behind a damaged one are left out."""
        lines: list[dict[str, Any]] = []
        file = self.path / HISTORY
        for text in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else ():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                break
            if not isinstance(line, Mapping):
                break
            lines.append(dict(line))
        return lines

    def hashes(self) -> dict[int, str]:
        """Step → the hash of all weights and buffers after so many steps, as far as recorded."""
        found = {line["step"]: line["weights"] for line in self.history() if "step" in line and "weights" in line}
        stored = self.about.get("weights")
        found |= {int(step): name for step, name in stored.items()} if isinstance(stored, dict) else {}
        return {step: name for step, name in sorted(found.items()) if isinstance(step, int) and isinstance(name, str)}
