"""A run's folder, read again: its settings, graphs, checkpoints, history. Nothing of it is believed unchecked."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import FalllineError, ModelFileError, RunFolderError, told
from fallline.nn.model_file import StoredNetwork, network_from, read_tensors
from fallline.training.checkpoint import HASH, PLACE, Checkpoint, checkpoint_from
from fallline.training.graphs import Graphs
from fallline.training.hashes import LossesHash
from fallline.training.run_folder import (
    BEGUN,
    CHECKPOINTS,
    CONTRACT,
    GRAPHS,
    HISTORY,
    RUN,
    SETTINGS,
    START,
    STEP_LOSSES,
)

Array = NDArray[Any]
log = logging.getLogger("fallline")
OWN = (
    "fallline", "contract", "engine", "versions", "machine", "config", "stopped", "problem", "epochs", "seconds",
    "gradient_norm", "weights", "best_epoch",
)  # fmt: skip
"""What run.json says of every run; the rest is what its maker had to say."""
MODEL_KEYS = ("format", "graph", "buffers", HASH, GRAPHS, PLACE, SETTINGS)
ENGINE = "engine"
FREE = ("threads", "program")
"""Settings that decide no bit, or that the graphs themselves are compared with."""
DEEPEST = 100
"""Levels of run.json: fewer than what Python's stack holds while the run goes on."""


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
            self.about: dict[str, Any] = _plain_json(file.read_text(encoding="utf-8"))
            self.config: dict[str, Any] = dict(self.about["config"])
            self.contract, self.engine = int(self.about["contract"]), str(self.about["engine"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise RunFolderError(
                f"{call}: {str(file)!r} is damaged ({type(error).__name__}: {told(error)}); without it the settings "
                "are not known; its checkpoints still open with fl.load"
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
            checkpoint_from(arrays, metadata, path)
        except ModelFileError as error:
            raise RunFolderError(f"{self.call}: the run's start cannot be read: {error}") from None
        self._require_same_settings(metadata.get(SETTINGS))
        return arrays, metadata

    def _require_same_settings(self, begun: Any) -> None:
        """Refuse a run.json that was edited: with other settings, later steps would not follow from earlier ones."""
        if not isinstance(begun, dict):
            raise RunFolderError(
                f"{self.call}: {str(self.path / START)!r} is not the start of a run: it has no settings"
            )
        now = {**self.config, ENGINE: self.engine}
        for name in sorted({*begun, *self.config}):
            one, other = (json.dumps(each[name]) if name in each else "nothing" for each in (begun, now))
            if name not in FREE and one != other:
                raise RunFolderError(
                    f"{self.call}: the settings in {str(self.path / RUN)!r} were edited since the run began, or are "
                    f"another run's: {told(name, 40)!r} was {told(one, 200)}, and is {told(other, 200)} now; put it "
                    "back, or branch a new run off it with other settings: branch='folder'"
                )

    @property
    def begun(self) -> str:
        """The hash of start.safetensors, which the run's checkpoints name."""
        return str(self._start[1][HASH])

    @cached_property
    def graphs(self) -> Graphs:
        """What the training computes.

        Raises:
            RunFolderError: start.safetensors is missing, damaged, or of another run.
        """
        arrays, metadata = self._start
        try:
            graphs = Graphs.from_json(metadata[GRAPHS], arrays)
        except (FalllineError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise RunFolderError(
                f"{self.call}: {str(self.path / START)!r} holds no training ({type(error).__name__}: {told(error)})"
            ) from None
        if graphs.digest != self.config.get("program"):
            raise RunFolderError(
                f"{self.call}: {str(self.path / START)!r} does not belong to the run.json beside it: the network or "
                "the loss in it is another one"
            )
        return graphs

    def network(self) -> StoredNetwork:
        """The network at the run's start, which predicts without the classes that made it."""
        arrays, metadata = self._start
        try:
            network = network_from(dict(arrays), metadata, self.path / START)
        except ModelFileError as error:
            raise RunFolderError(f"{self.call}: the run's network cannot be read: {error}") from None
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
        if step == self.start.step:
            return self.start
        path = self._file(step)
        arrays, metadata = read_tensors(path)
        found = checkpoint_from(arrays, metadata, path)
        if metadata.get(BEGUN) != self.begun or found.step != step:
            raise ModelFileError(f"{str(path)!r} is the checkpoint of another run or step")
        return found

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

    def losses_until(self, checkpoint: Checkpoint) -> list[float]:
        """The losses of the steps before a checkpoint; NaN where losses.f64 is not whole, of which a warning tells.

        Raises:
            RunFolderError: the file holds other losses than the checkpoint was written after.
        """
        file, losses = self.path / STEP_LOSSES, self.losses(checkpoint.step)
        found: list[float] = losses.tolist()
        size = file.stat().st_size if file.is_file() else 0
        if size < 8 * checkpoint.step or (found and np.isnan(losses).all()):  # or lost by the time of the last resume
            log.warning("%s: %s is not whole; the losses of earlier steps are lost.", self.path, STEP_LOSSES)
            return [math.nan] * checkpoint.step  # what is left of them cannot be checked
        name = LossesHash()
        name.take(losses)
        if name.name != checkpoint.progress.get("losses"):
            raise RunFolderError(
                f"{self.call}: {str(file)!r} is damaged: it does not hold the losses of the first {checkpoint.step} "
                "steps; restore it, or remove it to go on without them: the weights do not need them"
            )
        return found

    def history(self) -> list[dict[str, Any]]:
        """The lines of history.jsonl; those behind a damaged one are left out."""
        lines: list[dict[str, Any]] = []
        file = self.path / HISTORY
        for text in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else ():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                break
            if not isinstance(line, Mapping) or line.get("epoch") != len(lines) + 1:
                break
            lines.append(dict(line))
        return lines

    def hashes(self) -> dict[int, str]:
        """Step → the hash of all weights and buffers after so many steps, as far as recorded."""
        found = [(line["step"], line["weights"]) for line in self.history() if "step" in line and "weights" in line]
        stored = self.about.get("weights")
        if isinstance(stored, dict):
            found += [(int(step), name) for step, name in stored.items() if step.isdecimal()]
        return dict(sorted((step, name) for step, name in found if type(step) is int and isinstance(name, str)))


def _plain_json(text: str) -> Any:
    """JSON that can be written again; ValueError where it cannot."""
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()  # an escape such as \ud800 alone is no letter
    level = [value]
    for _ in range(DEEPEST):
        level = [item for each in level if isinstance(each, dict | list) for item in _items(each)]
    if level:
        raise ValueError(f"it has more than {DEEPEST} levels")
    return value


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
