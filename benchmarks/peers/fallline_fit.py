"""Fallline: `fl.fit`, several epochs a call."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender
from benchmarks.tasks import Task, network
from benchmarks.works import SEED

Array = NDArray[Any]


class FalllineFit(Contender):
    """`fl.fit` with its defaults.

    It finds the order of rows itself, the same as `Task.orders`; each call begins with an empty memory of the rule.
    All that a call does is timed: checks of the data, the loss and the gradient of the whole training set at its end.
    """

    name, label = "fallline", "Fallline"
    needs = ("fallline",)

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        from fallline import optim

        work = task.work
        rules: dict[str, Any] = {
            "sgd": lambda: optim.SGD(lr=work.rate, momentum=work.momentum),
            "adam": lambda: optim.Adam(lr=work.rate),
            "adamw": lambda: optim.AdamW(lr=work.rate, weight_decay=work.decay),
        }
        self.rule = rules[work.rule]()
        self.net = network(work)
        self.start = dict(zip(self.net.parameters(), task.weights, strict=True))
        self.engine = ""

    def restart(self) -> None:
        self.net.load_parameters(self.start)

    def epochs(self, orders: Array) -> Array:
        import fallline as fl

        run = fl.fit(
            self.net, self.task.x, self.task.y, loss=self.work.loss, optimizer=self.rule, batch_size=self.work.batch,
            epochs=len(orders), seed=SEED, threads=self.threads, progress=False,
        )  # fmt: skip
        self.engine = run.engine
        return np.asarray(run.steps["loss"], dtype=np.float64).reshape(-1, self.work.steps)

    def about(self) -> str:
        return f"{self.engine} engine"
