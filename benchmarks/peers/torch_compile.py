"""PyTorch, compiled: gather, forward, backward and update in one graph of torch.compile."""

import importlib
import shutil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contender import Contender
from benchmarks.peers.torch_eager import forward_loss, torch_weights
from benchmarks.tasks import Task

Array = NDArray[Any]


class TorchCompile(Contender):
    """`torch.compile` of the whole step through torch.func, static shapes, C++ wrapper: the least overhead it has."""

    name, label = "torch-compile", "torch.compile"
    needs = ("torch",)

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        torch = self.torch = importlib.import_module("torch")
        settings: Any = importlib.import_module("torch._inductor.config")
        settings.cpp_wrapper = True
        torch.set_num_threads(threads)
        self.x, self.y = torch.from_numpy(task.x), torch.from_numpy(task.y)
        self.start = torch_weights(torch, task)
        self.weights = [w.clone() for w in self.start]
        self.memory = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.start]
        self.count = torch.zeros(())
        self.step = torch.compile(self._make_step(), fullgraph=True, dynamic=False)

    @classmethod
    def absent(cls) -> str:
        compilers = ("c++", "g++", "clang++")
        return super().absent() or ("" if any(map(shutil.which, compilers)) else "no C++ compiler, which it needs")

    def restart(self) -> None:
        for value, start in zip(self.weights, self.start, strict=True):
            value.copy_(start)
        for first, second in self.memory:
            first.zero_()
            second.zero_()
        self.count.zero_()

    def _make_step(self) -> Any:
        """(data, rows, weights, memory, count) → the loss; weights, memory and count change in place."""
        torch, work, loss = self.torch, self.work, forward_loss(self.torch, self.work)

        def step(x: Any, y: Any, rows: Any, weights: list[Any], memory: list[Any], count: Any) -> Any:
            batch, targets = x.index_select(0, rows), y.index_select(0, rows)
            if work.scale:
                batch = batch.float() * work.scale
            gradients, value = torch.func.grad_and_value(lambda w: loss(w, batch, targets))(weights)
            if work.rule != "sgd":
                t = count.add_(1)
                first_share, second_share = 1 - 0.9**t, 1 - 0.999**t
            for w, g, (m, v) in zip(weights, gradients, memory, strict=True):
                if work.rule == "sgd":
                    w.sub_(work.rate * (m.mul_(work.momentum).add_(g) if work.momentum else g))
                    continue
                if work.decay:
                    w.mul_(1 - work.rate * work.decay)
                m.lerp_(g, 0.1)
                v.mul_(0.999).add_(0.001 * g * g)
                w.sub_(work.rate / first_share * m / ((v / second_share).sqrt() + 1e-8))
            return value

        return step

    def epochs(self, orders: Array) -> Array:
        with self.torch.no_grad():
            return np.stack([self._epoch(self.torch.from_numpy(order)) for order in orders])

    def _epoch(self, order: Any) -> Array:
        step, state = self.step, (self.weights, self.memory, self.count)
        losses = [step(self.x, self.y, rows, *state) for rows in order.split(self.work.batch)]
        return np.asarray(self.torch.stack(losses).numpy(), dtype=np.float64)
