"""The report of a training on a table: what `report.html` says."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.targets import ClassTarget
from fallline.errors import FalllineError
from fallline.report.backward_flow import backward_picture
from fallline.report.descent import descent_picture
from fallline.report.html import Tables, write_report
from fallline.tables.train import TableRun, make_optimizer

Array = NDArray[Any]
MOST_CLASSES = 20
MOST_POINTS = 2000
PICTURED_ROWS = 512


def write_table_report(path: Path, result: TableRun, notes: list[str], command: str = "") -> Path:
    """Write the report of a finished training on a table.

    Args:
        path: the file, usually `report.html` in the run folder.
        result: the training with its scores.
        notes: what was decided about the data.
        command: the command line that makes this result again.
    """
    prepared, run = result.prepared, result.run
    write_report(
        path,
        title=f"{prepared.target} from {Path(prepared.parts['training'].source).name}",
        summary=_summary(result),
        history={name: values for name, values in run.history.items() if name != "seconds"},
        pictures=pictures(result),
        notes=notes,
        tables=_columns(result),
        confusion=_confusion(result),
        scatter=_scatter(result),
        best_epoch=run.best_epoch,
        commands=[command] if command else [],
    )
    return path


def pictures(result: TableRun) -> dict[str, str]:
    """Backpropagation and gradient descent on this run's network and training rows."""
    x, y = (part[:PICTURED_ROWS] for part in result.prepared.matrices["training"])
    rule = make_optimizer(result.prepared.recipe)
    network, loss = result.model.network, result.model.loss
    drawers: dict[str, Callable[[], str]] = {
        "Backpropagation at the final weights": partial(backward_picture, network, x, y, loss, optimizer=rule),
        "Gradient descent over two of the weights": partial(descent_picture, network, x, y, loss),
    }
    drawn = {}
    for heading, draw in drawers.items():
        try:
            drawn[heading] = draw()
        except FalllineError as error:  # a picture that cannot be drawn (no valley, say) must not cost the report
            logging.getLogger("fallline").warning("the report has no picture %r: %s", heading, error)
    return drawn


def _summary(result: TableRun) -> list[tuple[str, str]]:
    prepared, run = result.prepared, result.run
    rows = {name: f"{len(part):,}" for name, part in prepared.parts.items()}
    best = "" if run.best_epoch is None else f"; the weights of epoch {run.best_epoch + 1} were kept"
    recipe = prepared.recipe
    parameters = sum(value.size for value in result.model.network.parameters().values())
    return [
        *((f"test {name.replace('_', ' ')}", f"{value:.6g}") for name, value in result.scores.items()),
        *((f"validation {name.replace('_', ' ')}", f"{value:.6g}") for name, value in result.validation_scores.items()),
        ("target", f"{prepared.target}: {prepared.task} ({prepared.task_reason})"),
        ("rows", f"{rows['training']} training, {rows['validation']} validation, {rows['test']} test"),
        ("network", f"{result.model.plan.describe()} ({parameters:,} parameters)"),
        ("training", f"{result.model.loss}, {recipe.optimizer}, learning rate {recipe.learning_rate:g}"),
        ("stopped", f"{run.stopped} after {run.epochs} epochs, {run.seconds:.1f} s{best}"),
        ("engine", run.engine),
    ]


def _columns(result: TableRun) -> Tables:
    infos = result.prepared.infos
    rows = [[info.name, info.kind, info.missing, info.distinct, "" if info.used else "left out"] for info in infos]
    return {"Columns": (("column", "kind", "missing", "distinct", ""), rows)}


def _confusion(result: TableRun) -> tuple[list[str], Array] | None:
    codec = result.prepared.codec
    if not isinstance(codec, ClassTarget) or len(codec.classes) > MOST_CLASSES:
        return None
    true = codec.encode(result.prepared.parts["test"].column(codec.name))
    size = len(codec.classes)
    flat = np.bincount(true * size + np.argmax(result.outputs, axis=-1), minlength=size * size)
    return [str(label) for label in codec.classes], flat.reshape(size, size)


def _scatter(result: TableRun) -> tuple[Array, Array] | None:
    codec = result.prepared.codec
    if isinstance(codec, ClassTarget):
        return None
    true = result.prepared.parts["test"].column(codec.name).astype(np.float64)
    every = max(1, len(true) // MOST_POINTS)
    return true[::every], codec.decode(result.outputs)[::every]
