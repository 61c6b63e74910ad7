"""PyTorch, eager: functional calls, autograd, the fused optimizers of torch.optim."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender
from benchmarks.tasks import Task
from benchmarks.works import Work

Array = NDArray[Any]


def forward_loss(torch: Any, work: Work) -> Any:
    """(weights as (out, in) matrices and biases, x, y) → the batch's mean loss."""
    functions = torch.nn.functional
    activate = torch.tanh if work.activation == "tanh" else functions.relu
    measure = functions.mse_loss if work.loss == "mse" else functions.cross_entropy

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        for k in range(0, len(weights) - 2, 2):
            x = activate(functions.linear(x, weights[k], weights[k + 1]))
        return measure(functions.linear(x, weights[-2], weights[-1]), y)

    return loss


def torch_weights(torch: Any, task: Task) -> list[Any]:
    """The initial weights in PyTorch's layout, (out, in)."""
    return [torch.from_numpy(np.ascontiguousarray(w.T)) for w in task.weights]


class TorchEager(Contender):
    """A plain training loop. No step waits for its loss; the losses of an epoch are read at its end."""

    name, label = "torch-eager", "PyTorch eager"
    needs = ("torch",)

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        torch = self.torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
        self.x, self.y = torch.from_numpy(task.x), torch.from_numpy(task.y)
        self.loss = forward_loss(torch, task.work)
        self.restart()

    def restart(self) -> None:
        work, rules = self.work, self.torch.optim
        self.weights = [w.clone().requires_grad_() for w in torch_weights(self.torch, self.task)]
        if work.rule == "sgd":
            self.rule = rules.SGD(self.weights, lr=work.rate, momentum=work.momentum, fused=True)
        elif work.rule == "adam":
            self.rule = rules.Adam(self.weights, lr=work.rate, fused=True)
        else:
            self.rule = rules.AdamW(self.weights, lr=work.rate, weight_decay=work.decay, fused=True)

    def epochs(self, orders: Array) -> Array:
        return np.stack([self._epoch(self.torch.from_numpy(order)) for order in orders])

    def _epoch(self, order: Any) -> Array:
        losses = []
        for rows in order.split(self.work.batch):
            x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
            if self.work.scale:
                x = x.float() * self.work.scale
            loss = self.loss(self.weights, x, y)
            self.rule.zero_grad()
            loss.backward()
            self.rule.step()
            losses.append(loss.detach())
        return np.asarray(self.torch.stack(losses).numpy(), dtype=np.float64)
