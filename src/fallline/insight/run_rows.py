"""A run with its rows: its replayer, and where each of its training rows is in the source."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.tables.again import prepared_again
from fallline.training.recording import Given, recording_of
from fallline.training.replay import Replayer
from fallline.training.run import Run
from fallline.training.run_reader import StoredRun

CELLS = 8
"""Columns of a row that are shown."""


@dataclass(frozen=True)
class RunRows:
    """A run and its rows.

    Attributes:
        replayer: goes to any of its steps.
        name: the run's.
        source: a training row's number → its place in the source, its cells by column; None where that is not known.
        classes: the classes' names by number; empty where there are none.
    """

    replayer: Replayer
    name: str
    source: Callable[[int], tuple[str, dict[str, str]]] | None
    classes: tuple[str, ...] = ()


def rows_of(run: Any, x: Any = None, y: Any = None, sample_weight: Any = None, call: str = "explain") -> RunRows:
    """The rows of a `Run`, or of a run's folder.

    Args:
        run: a `Run` or a folder.
        x, y, sample_weight: the data of a folder that `fallline train` did not make.
        call: who asks, for errors.

    Raises:
        ArgumentError: a folder's data are needed, or are other ones.
        RunFolderError, DataError: the run, or the data that it names, cannot be used.
    """
    if isinstance(run, Run):
        return RunRows(Replayer.of_run(run), "" if run.folder is None else str(run.folder), None)
    stored, source = StoredRun(run, call), None
    classes: tuple[str, ...] = ()
    if x is not None or y is not None:
        if x is None or y is None:
            raise ArgumentError(f"{call}: give x and y, as fit was given them")
        given = Given(x, y, sample_weight)
    elif "options" in stored.made_by:
        prepared, _ = prepared_again(stored)
        inputs, targets = prepared.matrices["training"]
        given = Given(inputs, targets, prepared.weights, prepared.validation)
        source = _Source(prepared.parts["training"], prepared.target)
        classes = tuple(map(str, getattr(prepared.codec, "classes", ())))
    else:
        raise ArgumentError(
            f"{call}: this run's folder does not say where its data are: give x and y, as fit was given them"
        )
    recording = recording_of(stored, given, validated=False)
    return RunRows(Replayer.of_folder(stored, recording), str(Path(run)), source, classes)


class _Source:
    """Where training rows are in the table, and what stands there: the target first."""

    def __init__(self, table: Table, target: str) -> None:
        self.table = table
        self.columns = [target, *(name for name in table.names if name != target)][:CELLS]

    def __call__(self, row: int) -> tuple[str, dict[str, str]]:
        return self.table.place(row), {name: str(self.table.column(name)[row]) for name in self.columns}
