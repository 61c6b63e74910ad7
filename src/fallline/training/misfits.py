"""Whether a checkpoint from a file belongs to a training: nothing of it is believed before."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import FalllineError
from fallline.ir.graph import Graph
from fallline.optim import Optimizer
from fallline.training.checkpoint import Checkpoint
from fallline.training.watch import Watch

Array = NDArray[Any]
REASONS = ("", "epochs", "converged", "patience", "interrupted", "callback")
"""Why a run with a checkpoint was stopped; after a bad number, none is written."""


def misfit(checkpoint: Checkpoint, step: Graph, optimizer: Optimizer, per_epoch: int, epochs: int) -> str:
    """What of a checkpoint does not fit a training, as a clause; empty where all of it does.

    Args:
        checkpoint: from a file, whose hash was the recorded one.
        step: the graph of a step, which tells the weights and buffers.
        optimizer: the rule, which tells what must be remembered.
        per_epoch, epochs: steps of an epoch, and epochs of the training.
    """
    try:
        return (
            _of_weights(checkpoint, step)
            or _of_state(checkpoint, optimizer)
            or _of_history(checkpoint, per_epoch, epochs)
            or _of_progress(checkpoint.progress)
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, FalllineError) as error:
        return f"it lacks something ({type(error).__name__})"


def _of_weights(checkpoint: Checkpoint, step: Graph) -> str:
    values = checkpoint.now.values
    for name, node in step.inputs.items():
        if name.startswith("@"):
            continue
        found, kind = values.get(name), (node.type.shape, node.type.dtype.value)
        if found is None or (found.shape, found.dtype.name) != kind:
            return f"its {name!r} is not what a step takes"
    for kept in (checkpoint.good, checkpoint.best):
        if kept is not None and not _alike(kept, values):
            return "the weights to fall back to are not like its weights"
    return ""


def _alike(found: Mapping[str, Array], like: Mapping[str, Array]) -> bool:
    """Whether arrays have the same names, shapes and dtypes."""
    return found.keys() == like.keys() and all(
        (array.shape, array.dtype) == (like[name].shape, like[name].dtype) for name, array in found.items()
    )


def _of_state(checkpoint: Checkpoint, optimizer: Optimizer) -> str:
    state, expected = checkpoint.now.state, optimizer.init(checkpoint.now.weights)
    slots = expected.keys() - {"step", "memory"}
    if state.keys() != expected.keys() or not all(_alike(state[slot], expected[slot]) for slot in slots):
        return f"what the optimizer remembers is not what {type(optimizer).__name__} needs"
    memory, needed = state["memory"], expected["memory"]
    if memory.keys() != needed.keys() or any(memory[group].keys() != needed[group].keys() for group in needed):
        return "the optimizer's running numbers are missing"
    numbers = [number for group in memory.values() for number in group.values()]
    return "" if all(type(number) is float for number in numbers) else "the optimizer's running numbers are none"


def _of_history(checkpoint: Checkpoint, per_epoch: int, epochs: int) -> str:
    over, rest = len(checkpoint.history["loss"]), checkpoint.losses
    if not 0 <= checkpoint.step <= per_epoch * epochs or len(checkpoint.scores) != over:
        return f"it stands after {checkpoint.step} steps and {over} epochs of a training of {per_epoch * epochs} steps"
    if rest.shape != (checkpoint.step - over * per_epoch,) or rest.dtype != np.float64:
        return "its losses are not those of the epoch that had begun"
    numbers = [number for each in (checkpoint.scores, *checkpoint.history.values()) for number in each]
    return "" if all(type(number) is float for number in numbers) else "its history is not of numbers"


def _of_progress(found: Mapping[str, Any]) -> str:
    for name in ("early", "convergence"):
        watched = found["scoring"][name]
        if Watch.from_json(watched).to_json() != watched:  # "nan" would be read as a number
            return "what it has seen of scores is no number"
    best, texts = found["best_epoch"], (found["problem"], found["losses"], *found["hashes"].values())
    if found["stopped"] not in REASONS or not all(isinstance(text, str) for text in texts):
        return "why it was stopped is not known"
    if best is not None and type(best) is not int:
        return "its best epoch is no number"
    if not all(type(found[name]) is float and math.isfinite(found[name]) for name in ("seconds", "spent")):
        return "its seconds are no numbers"
    if not all(int(step) >= 0 for step in found["hashes"]):
        return "the steps of its hashes are none"
    callbacks = found["callbacks"]
    named = isinstance(callbacks, list) and all(isinstance(each[0], str) and len(each) == 2 for each in callbacks)
    return "" if named else "the states of its callbacks have no names"
