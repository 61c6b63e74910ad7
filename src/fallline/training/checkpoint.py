"""Checkpoints: everything of a training at one moment, as a model file that predicts, too.

Weights and buffers stand under their dotted names. What gradient descent remembers, the weights to fall back to, and
the history stand under names that begin with "@"; everything else is JSON in the metadata, with a hash over all that
the file holds: a checkpoint that is not whole is never taken for one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ModelFileError, told
from fallline.nn.model_file import read_tensors, write_tensors
from fallline.training.hashes import digest
from fallline.training.past import Values
from fallline.training.steppers import Snapshot

Array = NDArray[Any]
SLOT, GOOD, BEST, HISTORY = "@slot ", "@good ", "@best ", "@history "
LOSSES, SCORES = "@losses of the epoch", "@scores"
PLACE, HASH = "checkpoint", "hash"


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps.

    Attributes:
        now: weights, buffers and the optimizer's state, whose "step" is the number of the step to come.
        good: weights and buffers to keep if the next loss is not finite.
        best: weights and buffers with the best validation score so far, or None.
        losses: of the steps of the epoch that has begun.
        scores: one per epoch that is over: what the schedule and early stopping were told.
        history: one number per epoch that is over, by name.
        progress: counters and states of what watches the training, as JSON can hold them.
    """

    now: Snapshot
    good: Values
    best: Values | None
    losses: Array
    scores: list[float]
    history: dict[str, list[float]]
    progress: dict[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return int(self.now.state["step"])


def write_checkpoint(
    path: Path, checkpoint: Checkpoint, constants: Mapping[str, Array], model: Mapping[str, Any]
) -> str:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the file.
        checkpoint: what to write.
        constants, model: of the model file, from `nn.model_file.describe_network`.

    Returns:
        The hash of all that the file holds.

    Raises:
        ModelFileError: it cannot be written.
    """
    now = checkpoint.now
    arrays: dict[str, Array] = {**now.values, **constants}
    arrays |= {
        name: np.array(v, dtype=np.float64) for name, v in ((LOSSES, checkpoint.losses), (SCORES, checkpoint.scores))
    }
    for slot, named in now.state.items():
        if slot not in ("step", "memory"):
            arrays |= {f"{SLOT}{slot} {name}": array for name, array in named.items()}
    for prefix, values in ((GOOD, checkpoint.good), (BEST, checkpoint.best or {})):
        arrays |= {prefix + name: array for name, array in values.items()}
    arrays |= {HISTORY + name: np.array(numbers, dtype=np.float64) for name, numbers in checkpoint.history.items()}
    slots = [slot for slot in now.state if slot not in ("step", "memory")]
    content = {
        "step": checkpoint.step,
        "memory": now.state["memory"],
        "slots": slots,
        "buffers": list(now.buffers),
        "has_best": checkpoint.best is not None,
        "history": list(checkpoint.history),
        "progress": checkpoint.progress,
    }
    metadata = {**model, PLACE: content}
    hashed = hash_of(arrays, metadata)
    write_tensors(path, arrays, {**metadata, HASH: hashed})
    return hashed


def hash_of(arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> str:
    """The hash of all that a checkpoint's file holds; JSON keeps the order of its names, and so their text."""
    return digest(arrays, json.dumps({name: value for name, value in metadata.items() if name != HASH}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises:
        ModelFileError: it is missing, damaged, or not a checkpoint.
    """
    return checkpoint_from(*read_tensors(path), path)


def checkpoint_from(arrays: Mapping[str, Array], metadata: Mapping[str, Any], path: Path) -> Checkpoint:
    """`read_checkpoint`, of a file that has been read."""
    content = metadata.get(PLACE)
    if not isinstance(content, dict):
        raise ModelFileError(
            f"{str(path)!r} is a model file, not a checkpoint; give the run's folder to resume from it"
        )
    try:
        if metadata[HASH] != hash_of(arrays, metadata):
            raise ModelFileError(
                f"{str(path)!r} is damaged: its content does not have the hash that it was written with"
            )
        return _checkpoint(arrays, content)
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelFileError(
            f"{str(path)!r} is no whole checkpoint ({type(error).__name__}: {told(error)}); remove it to use the one "
            "before"
        ) from None


def _checkpoint(arrays: Mapping[str, Array], content: Mapping[str, Any]) -> Checkpoint:
    values = {name: array for name, array in arrays.items() if not name.startswith("@")}
    buffers = {name: values.pop(name) for name in content["buffers"]}
    state: dict[str, Any] = {"step": int(content["step"]), "memory": content["memory"]}
    for slot in content["slots"]:
        state[slot] = _under(arrays, f"{SLOT}{slot} ")
    best = _under(arrays, BEST) if content["has_best"] else None
    return Checkpoint(
        now=Snapshot(values, buffers, state),
        good=_under(arrays, GOOD),
        best=best,
        losses=arrays[LOSSES],
        scores=arrays[SCORES].tolist(),
        history={name: arrays[HISTORY + name].tolist() for name in content["history"]},
        progress=dict(content["progress"]),
    )


def _under(arrays: Mapping[str, Array], prefix: str) -> Values:
    """The arrays whose names begin so, by the rest of their names."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
