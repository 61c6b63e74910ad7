"""scikit-learn's linear classifier by SGD: a row a step, in Cython."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender
from benchmarks.tasks import Task
from benchmarks.truth import JUDGED
from benchmarks.works import Work

Array = NDArray[Any]


class SklearnSGD(Contender):
    """SGDClassifier with the logistic loss, in an order of its own; a "step" is as many rows as the others' batch."""

    name, label = "sklearn-sgd", "scikit-learn SGD"
    needs = ("sklearn",)
    same_steps = False
    thread_counts = (1,)

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        self.make = importlib.import_module("sklearn.linear_model").SGDClassifier
        self.restart()

    @classmethod
    def fits(cls, work: Work) -> bool:
        return len(work.sizes) == 2 and work.sizes[1] == 2 and work.loss == "cross_entropy"

    @classmethod
    def note(cls, work: Work) -> str:
        return f"SGDClassifier; a step for each row; the time is for {work.batch} rows"

    def restart(self) -> None:
        self.model = self.make(loss="log_loss", alpha=1e-4, max_iter=1, tol=None, random_state=0, warm_start=True)

    def epochs(self, orders: Array) -> Array:
        losses = np.empty((len(orders), 1))
        for epoch in range(len(orders)):
            self.model.fit(self.task.x, self.task.y)
            margins = self.model.decision_function(self.task.x[:JUDGED])
            losses[epoch] = np.logaddexp(0.0, np.where(self.task.y[:JUDGED] == 1, -margins, margins)).mean()
        return losses
