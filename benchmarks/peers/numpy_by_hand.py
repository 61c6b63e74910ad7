"""NumPy, written by hand for a perceptron: arrays made once, all weights in one array so that the rule is few calls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender
from benchmarks.tasks import Task

Array = NDArray[Any]


class NumPyByHand(Contender):
    """Forward, backward and update in float32, with `out=` wherever NumPy has it."""

    name, label = "numpy", "NumPy by hand"

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        work, total = task.work, sum(w.size for w in task.weights)
        self.flat, self.gradient, self.first, self.second, self.spare = (np.zeros(total, np.float32) for _ in range(5))
        self.weights, self.gradients = self._views(self.flat), self._views(self.gradient)
        self.inputs = np.empty((work.batch, work.sizes[0]), task.x.dtype)
        self.values = [np.empty((work.batch, width), np.float32) for width in work.sizes]
        self.deltas = [np.empty((work.batch, width), np.float32) for width in work.sizes]
        self.rows = np.arange(work.batch)
        self.restart()

    def _views(self, flat: Array) -> list[Array]:
        """The parts of a flat array in the shapes of the weights."""
        ends = np.cumsum([w.size for w in self.task.weights])
        parts = zip(self.task.weights, ends, strict=True)
        return [flat[end - w.size : end].reshape(w.shape) for w, end in parts]

    def restart(self) -> None:
        for value, start in zip(self.weights, self.task.weights, strict=True):
            value[:] = start
        self.first[:] = self.second[:] = 0.0
        self.count = 0

    def epochs(self, orders: Array) -> Array:
        losses = np.empty((len(orders), self.work.steps))
        for epoch, order in enumerate(orders):
            for step, rows in enumerate(order.reshape(-1, self.work.batch)):
                losses[epoch, step] = self._loss(rows)
                self._backward()
                self._update()
        return losses

    def _loss(self, rows: Array) -> float:
        """Gather and forward; leaves dL/dz of the outputs in the last delta."""
        work, values = self.work, self.values
        if work.scale:
            np.take(self.task.x, rows, axis=0, out=self.inputs, mode="clip")
            np.multiply(self.inputs, np.float32(work.scale), out=values[0])
        else:
            np.take(self.task.x, rows, axis=0, out=values[0], mode="clip")
        depth = len(self.weights) // 2
        for k in range(depth):
            z = np.matmul(values[k], self.weights[2 * k], out=values[k + 1])
            z += self.weights[2 * k + 1]
            if k < depth - 1:
                np.tanh(z, out=z) if work.activation == "tanh" else np.maximum(z, 0.0, out=z)
        out, delta, targets = values[-1], self.deltas[-1], self.task.y[rows]
        if work.loss == "mse":
            np.subtract(out, targets, out=delta)
            loss = float(np.vdot(delta, delta)) / delta.size
            delta *= np.float32(2.0 / delta.size)
            return loss
        out -= out.max(axis=1, keepdims=True)
        np.exp(out, out=delta)
        sums = delta.sum(axis=1, keepdims=True)
        loss = float((np.log(sums[:, 0]) - out[self.rows, targets]).mean())
        delta /= sums
        delta[self.rows, targets] -= 1.0
        delta *= np.float32(1.0 / work.batch)
        return loss

    def _backward(self) -> None:
        for k in range(len(self.weights) // 2 - 1, -1, -1):
            delta, value = self.deltas[k + 1], self.values[k]
            np.matmul(value.T, delta, out=self.gradients[2 * k])
            np.sum(delta, axis=0, out=self.gradients[2 * k + 1])
            if k:
                before = np.matmul(delta, self.weights[2 * k].T, out=self.deltas[k])
                if self.work.activation == "tanh":
                    value *= value
                    np.subtract(1.0, value, out=value)
                    before *= value
                else:
                    before *= value > 0.0

    def _update(self) -> None:
        work, g, m, v, spare = self.work, self.gradient, self.first, self.second, self.spare
        rate = np.float32(work.rate)
        if work.rule == "sgd":
            if work.momentum:
                m *= np.float32(work.momentum)
                m += g
                np.multiply(m, rate, out=spare)
            else:
                np.multiply(g, rate, out=spare)
            self.flat -= spare
            return
        self.count += 1
        m *= np.float32(0.9)
        m += np.multiply(g, np.float32(0.1), out=spare)
        v *= np.float32(0.999)
        np.multiply(g, g, out=spare)
        spare *= np.float32(0.001)
        v += spare
        np.sqrt(v, out=spare)
        spare *= np.float32((1.0 - 0.999**self.count) ** -0.5)
        spare += np.float32(1e-8)
        np.divide(m, spare, out=spare)
        spare *= np.float32(work.rate / (1.0 - 0.9**self.count))
        if work.decay:
            self.flat *= np.float32(1.0 - work.rate * work.decay)
        self.flat -= spare
