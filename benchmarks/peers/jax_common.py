"""What both ways of using JAX share: data on the device, the state, one step as a pure function."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender, one_core
from benchmarks.tasks import Task
from benchmarks.works import Work

Array = NDArray[Any]
State = dict[str, Any]


def forward_loss(jax: Any, work: Work) -> Any:
    """(weights, x, y) → the batch's mean loss."""
    activate = jax.numpy.tanh if work.activation == "tanh" else jax.nn.relu

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        for k in range(0, len(weights) - 2, 2):
            x = activate(x @ weights[k] + weights[k + 1])
        out = x @ weights[-2] + weights[-1]
        if work.loss == "mse":
            return jax.numpy.mean((out - y) ** 2)
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).mean()

    return loss


def update(jax: Any, work: Work, state: State, gradients: Any) -> State:
    """The state after the update rule."""
    each, new = jax.tree.map, dict(state)
    if work.rule == "sgd":
        if work.momentum:
            gradients = new["m"] = each(lambda m, g: work.momentum * m + g, state["m"], gradients)
        new["w"] = each(lambda w, g: w - work.rate * g, state["w"], gradients)
        return new
    t = new["t"] = state["t"] + 1
    new["m"] = each(lambda m, g: 0.9 * m + 0.1 * g, state["m"], gradients)
    new["v"] = each(lambda v, g: 0.999 * v + 0.001 * g * g, state["v"], gradients)
    kept, rate, second = 1 - work.rate * work.decay, work.rate / (1 - 0.9**t), 1 - 0.999**t

    def one(w: Any, m: Any, v: Any) -> Any:
        return w * kept - rate * m / (jax.numpy.sqrt(v / second) + 1e-8)

    new["w"] = each(one, state["w"], new["m"], new["v"])
    return new


class JaxContender(Contender):
    """JAX on the processor; with one thread, the process is held to one core, since XLA counts those."""

    needs = ("jax",)

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        if threads == 1:
            one_core()
        self.jax = importlib.import_module("jax")
        self.np = importlib.import_module("jax.numpy")
        y = task.y.astype(np.int32) if task.y.dtype == np.int64 else task.y
        self.x, self.y = self.np.asarray(task.x), self.np.asarray(y)
        self.loss = forward_loss(self.jax, task.work)
        self.restart()

    def restart(self) -> None:
        work = self.work
        self.state: State = {"w": [self.np.array(w) for w in self.task.weights]}
        if work.momentum or work.rule != "sgd":
            self.state["m"] = [self.np.zeros_like(w) for w in self.state["w"]]
        if work.rule != "sgd":
            self.state.update(v=[self.np.zeros_like(w) for w in self.state["w"]], t=self.np.float32(0))

    def step(self, state: State, x: Any, y: Any, rows: Any) -> tuple[State, Any]:
        """(the next state, the loss): a pure function of arrays on the device."""
        batch, targets = (data.at[rows].get(mode="promise_in_bounds") for data in (x, y))
        if self.work.scale:
            batch = batch.astype(self.np.float32) * self.work.scale
        value, gradients = self.jax.value_and_grad(self.loss)(state["w"], batch, targets)
        return update(self.jax, self.work, state, gradients), value
