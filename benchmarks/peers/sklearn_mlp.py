"""scikit-learn's multilayer perceptron: `partial_fit`, an epoch a call."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender
from benchmarks.tasks import Task
from benchmarks.works import Work

Array = NDArray[Any]
NEVER = np.float32(-1e4)
"""The bias of a class that does not occur: its probability, and with it every gradient to it, is exactly 0."""


class SklearnMLP(Contender):
    """MLPClassifier and MLPRegressor, with our initial weights, on rows put in the epoch's order beforehand.

    It tells the mean loss of an epoch only. With two classes it would train one logistic output; a third class that
    never occurs makes it the same softmax as the others'. Its squared error is half of the others', and so is its
    gradient: Adam takes the same steps.
    """

    name, label = "sklearn-mlp", "scikit-learn"
    needs = ("sklearn",)

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        networks = importlib.import_module("sklearn.neural_network")
        work = task.work
        self.squares = work.loss == "mse"
        kind = networks.MLPRegressor if self.squares else networks.MLPClassifier
        self.model = kind(
            hidden_layer_sizes=work.sizes[1:-1], activation=work.activation, alpha=0.0, batch_size=work.batch,
            solver="sgd" if work.rule == "sgd" else "adam", learning_rate_init=work.rate, momentum=work.momentum,
            nesterovs_momentum=False, shuffle=False, random_state=0,
        )  # fmt: skip
        self.y = task.y.ravel() if self.squares else task.y
        classes = {} if self.squares else {"classes": np.arange(max(work.sizes[-1], 3))}
        self.model.partial_fit(self._floats(task.x[: work.batch]), self.y[: work.batch], **classes)
        self.restart()

    @classmethod
    def fits(cls, work: Work) -> bool:
        return len(work.sizes) > 2 and (work.rule != "sgd" or work.loss != "mse")

    @classmethod
    def note(cls, work: Work) -> str:
        adam = "Adam without decay in place of AdamW, which it lacks"
        softmax = "a third class, which has no rows, so that it trains the same softmax"
        return adam if work.rule == "adamw" else softmax if work.sizes[-1] == 2 else ""

    def restart(self) -> None:
        places = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        starts = zip(self.task.weights[::2], self.task.weights[1::2], strict=True)
        for (matrix, bias), (weight, shift) in zip(places, starts, strict=True):
            columns = weight.shape[1]
            matrix[:, :columns], bias[:columns] = weight, shift
            matrix[:, columns:], bias[columns:] = 0.0, NEVER
        if hasattr(self.model, "_optimizer"):
            del self.model._optimizer  # made anew, with an empty memory, by the next partial_fit

    def _floats(self, x: Array) -> Array:
        return x * np.float32(self.work.scale) if self.work.scale else x

    def epochs(self, orders: Array) -> Array:
        factor = 2.0 if self.squares else 1.0
        if self.work.scale:  # bytes: only a batch at a time becomes numbers
            return factor * np.stack([[self._fit(rows) for rows in self._batches(order)] for order in orders])
        return factor * np.array([[self._fit(order)] for order in orders])

    def _batches(self, order: Array) -> Array:
        return order.reshape(-1, self.work.batch)

    def _fit(self, rows: Array) -> float:
        self.model.partial_fit(self._floats(self.task.x[rows]), self.y[rows])
        return float(self.model.loss_)
