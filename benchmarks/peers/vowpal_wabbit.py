"""Vowpal Wabbit: its own driver over its binary cache file, a row a step."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender, one_core
from benchmarks.tasks import Task
from benchmarks.truth import JUDGED
from benchmarks.works import Work

Array = NDArray[Any]
MOST_ROWS = 199_936
"""Rows written for it: enough for a pass of tenths of a second, few enough to be written in seconds."""


class VowpalWabbit(Contender):
    """Logistic regression, a pass an epoch. Writing the rows as text and the first pass, which parses it, are untimed.

    An epoch is `MOST_ROWS` rows here, not all of the work's. Parsing and learning are two threads of its
    own; with one thread asked for, the process is held to one core.
    """

    name, label = "vowpal-wabbit", "Vowpal Wabbit"
    needs = ("vowpalwabbit",)
    same_steps = False

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        if threads == 1:
            one_core()
        self.make = importlib.import_module("vowpalwabbit").Workspace
        self.rows_read = min(MOST_ROWS, task.work.rows)
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "rows.vw"
        with self.file.open("w", encoding="ascii") as file:
            for label, row in zip(task.y[: self.rows_read].tolist(), task.x[: self.rows_read].tolist(), strict=True):
                values = " ".join([f"{i}:{value:.5g}" for i, value in enumerate(row)])
                file.write(f"{1 if label else -1} |f {values}\n")

    @classmethod
    def fits(cls, work: Work) -> bool:
        return len(work.sizes) == 2 and work.sizes[1] == 2 and work.loss == "cross_entropy"

    @classmethod
    def note(cls, work: Work) -> str:
        how = "--sgd, the fastest of its rules; a step for each row, read from its cache file"
        return f"{how}; the time is for {work.batch} rows"

    @property
    def steps(self) -> int:
        return self.rows_read // self.work.batch

    def restart(self) -> None:
        """Every pass begins with empty weights."""

    def epochs(self, orders: Array) -> Array:
        losses = np.empty((len(orders), 1))
        for epoch in range(len(orders)):
            model = self.make(
                f"--quiet -d {self.file} --cache --loss_function logistic -b 10 --holdout_off --sgd -l 0.1"
            )
            names = [str(i) for i in range(self.work.sizes[0])]
            weights = np.array([model.get_weight_from_name(name, "f") for name in names])
            constant = model.get_weight_from_name("Constant")
            model.finish()
            margins = self.task.x[:JUDGED] @ weights + constant
            losses[epoch] = np.logaddexp(0.0, np.where(self.task.y[:JUDGED] == 1, -margins, margins)).mean()
        return losses
