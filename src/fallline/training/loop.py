"""The training loop: batches in the epoch's order, a step's gradients, the update, and when to stop.

for each batch:   L, dL/dw = backpropagation (step.py)        w ← w − η·dL/dw = gradient descent (optim)
"""

import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import batch_order
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.ops import exact
from fallline.optim import Optimizer, clip_by_global_norm, clip_by_value
from fallline.optim.schedules import Schedule
from fallline.training.callbacks import Callback
from fallline.training.evaluate import full_gradient_norm, mean_loss
from fallline.training.metrics import Metric
from fallline.training.nonfinite import bad_entry, is_bad, locate
from fallline.training.progress import ProgressView
from fallline.training.run import Run
from fallline.training.run_folder import CheckpointClock, RunFolder
from fallline.training.signals import StopRequest, stop_on_signals
from fallline.training.step import Rows, StepProgram
from fallline.training.watch import Watch

Array = NDArray[Any]
log = logging.getLogger("fallline")


@dataclass(frozen=True)
class Settings:
    """How to train; see `fallline.fit` for each."""

    batch_size: int
    epochs: int
    until: str | None
    tol: float
    patience: int | None
    schedule: Schedule
    clip_norm: float | None
    clip_value: float | None
    restore_best: bool
    seed: int
    shuffle: bool
    dtype: str
    shards: int
    metrics: tuple[Metric, ...]
    train_metrics: tuple[Metric, ...]
    train_loss_each_epoch: bool
    checkpoint_every: float


@dataclass
class Training:
    """One training in progress: `train()` runs it to its end."""

    net: Module
    rows: Rows
    validation: Rows | None
    loss: Loss
    optimizer: Optimizer
    settings: Settings
    run: Run
    view: ProgressView
    callbacks: list[Callback] = field(default_factory=list)
    folder: RunFolder | None = None

    def __post_init__(self) -> None:
        s = self.settings
        options: Any = {"dtype": s.dtype, "shards": s.shards}
        self.program = StepProgram(self.net, self.rows, self.loss, **options)
        self.forward = StepProgram(self.net, self.rows, self.loss, training=False, backward=False, dtype=s.dtype)
        unweighted = self.rows if self.rows.weight is None else Rows(self.rows.x, self.rows.y)
        self.judge = self.forward
        if self.rows.weight is not None and (self.validation is None or self.validation.weight is None):
            self.judge = StepProgram(self.net, unweighted, self.loss, training=False, backward=False, dtype=s.dtype)
        self.weights = {name: value.astype(s.dtype) for name, value in self.net.parameters().items()}
        self.buffers = {name: value.astype(s.dtype) for name, value in self.net.buffers().items()}
        self.state = self.optimizer.init(self.weights)
        self.schedule_state = s.schedule.initial_state()
        self.steps_per_epoch = -(-len(self.rows) // s.batch_size)
        weight = self.rows.weight
        self.mean_weight = 1.0 if weight is None else float(exact.tree_sum(weight)) / len(weight)
        self.early, self.convergence = Watch(), Watch(tol=s.tol)
        self.good, self.good_epochs = (self.weights, self.buffers), 0
        self.best: tuple[dict[str, Array], dict[str, Array]] | None = None
        self.clock = CheckpointClock(s.checkpoint_every)
        self.step = 0

    @property
    def values(self) -> dict[str, Array]:
        """Weights and buffers together, as programs take them."""
        return {**self.weights, **self.buffers}

    def train(self) -> Run:
        """Run epochs until there is a reason to stop; leave the network at the final (or best) weights."""
        started = time.perf_counter()
        self.view.start(self.run, self.settings.epochs, self.steps_per_epoch)
        try:
            with stop_on_signals() as stop:
                self._tell("on_train_begin")
                for epoch in range(self.settings.epochs):
                    if self.run.stopped or stop:
                        break
                    self._epoch(epoch, stop)
                if stop and not self.run.stopped:
                    self.run.stopped = "interrupted"
                self.run.signal = stop.signal
            self.run.stopped = self.run.stopped or "epochs"
            self._conclude()
        finally:
            self._store()
            self.view.finish(self.run)
        self.run.seconds = time.perf_counter() - started
        self._tell("on_train_end")
        if self.folder is not None:
            self.folder.checkpoint(self.net, self.step)
            self.folder.finish(self.net, self.run)
        return self.run

    def _epoch(self, epoch: int, stop: StopRequest) -> None:
        s, n = self.settings, len(self.rows)
        started = time.perf_counter()
        order = batch_order(n, s.seed, epoch) if s.shuffle else np.arange(n)
        seen = 0.0
        for start in range(0, n, s.batch_size):
            batch = self.rows.take(order[start : start + s.batch_size])
            loss = self._step(batch)
            if self.run.stopped:
                return
            seen += loss * len(batch)
            if stop:
                self.run.stopped = "interrupted"
                return
        if cause := bad_entry(self.values):
            self._went_bad(f"the update at step {self.step - 1} (epoch {epoch + 1}) made {cause}", self.step - 1)
            return
        self._after_epoch(epoch, seen / n, time.perf_counter() - started)

    def _step(self, batch: Rows) -> float:
        """One step: backpropagation gives the gradients, gradient descent uses them."""
        s = self.settings
        denominator = len(batch) * self.mean_weight
        result = self.program(batch, self.values, denominator, s.seed, self.step)
        if not math.isfinite(result.loss):
            self._loss_went_bad(batch, denominator, result.loss)
            return result.loss
        if self.step % self.steps_per_epoch == 0:  # weights are good once a loss at them was finite
            self.good, self.good_epochs = (self.weights, self.buffers), self.step // self.steps_per_epoch
        gradients = result.gradients
        if s.clip_value is not None:
            gradients = clip_by_value(gradients, s.clip_value)
        if s.clip_norm is not None:
            gradients, _ = clip_by_global_norm(gradients, s.clip_norm)
        factor = self._factor(self.step)
        self.weights, self.state = self.optimizer.update(self.weights, gradients, self.state, factor)
        self.buffers = {**self.buffers, **result.buffers}
        self.run.steps["loss"].append(result.loss)
        self.view.step(self.run)
        self._tell("on_step_end", self.step)
        self.step += 1
        if self.folder is not None and self.clock.due():
            self._store()
            self.folder.checkpoint(self.net, self.step)
        return result.loss

    def _factor(self, step: int) -> float:
        s = self.settings
        total = s.epochs * self.steps_per_epoch
        return s.schedule.factor(step, self.steps_per_epoch, total, self.schedule_state)

    def _after_epoch(self, epoch: int, loss: float, seconds: float) -> None:
        s, run = self.settings, self.run
        run.record("loss", loss)
        score = loss
        if self.validation is not None:
            score, outputs = mean_loss(self.judge, self.validation, self.values)
            run.record("validation_loss", score)
            for metric in s.metrics:
                run.record(f"validation_{metric.name}", metric(outputs, self.validation.y))
        self._measure_training(epoch)
        run.record("learning_rate", self.optimizer.lr * self._factor(self.step))
        run.record("seconds", seconds)
        run.epochs = epoch + 1
        self.schedule_state = s.schedule.observe(self.schedule_state, score)
        self._store()
        if self.validation is not None and self.early.observe(score):
            run.best_epoch, self.best = epoch, (self.weights, self.buffers)
            if self.folder is not None and self.clock.due():
                self.folder.best(self.net)
        if self.folder is not None:
            self.folder.append_history(run)
        self.view.epoch(run)
        self._judge(score)
        self._tell("on_epoch_end", epoch)

    def _measure_training(self, epoch: int) -> None:
        """The loss and metrics of the whole training set, in the epochs that need them."""
        s, run = self.settings, self.run
        converging = s.until == "converged"
        if not (converging or s.train_loss_each_epoch or s.train_metrics):
            return
        loss, outputs = mean_loss(self.forward, self.rows, self.values)
        if s.train_loss_each_epoch:
            run.record("train_loss", loss)
        for metric in s.train_metrics:
            run.record(f"train_{metric.name}", metric(outputs, self.rows.y))
        if converging:
            self.convergence.observe(loss)

    def _judge(self, score: float) -> None:
        """Whether there is a reason to stop after this epoch."""
        s = self.settings
        if not math.isfinite(score):
            self.run.stopped = "nan"
            self.run.problem = (
                f"the validation loss became {score} in epoch {self.run.epochs}, though the training loss is finite: "
                "the weights of the best epoch were kept; try a smaller learning rate"
            )
        elif s.until == "converged":
            if self.convergence.stale >= (s.patience or 10):
                self.run.stopped = "converged"
        elif s.patience is not None and self.validation is not None and self.early.stale >= s.patience:
            self.run.stopped = "patience"

    def _conclude(self) -> None:
        """Choose the weights to keep, and measure them on the whole training set."""
        s, run = self.settings, self.run
        if self.best is not None and self.folder is not None:
            self._put(*self.best)
            self.folder.best(self.net)
        loss = self._keep()
        if not math.isfinite(loss) and run.stopped != "nan" and self.step:
            last = self.step - 1
            self._went_bad(f"the loss of the whole training set became {loss} after step {last}", last)
            loss = self._keep()
        if run.stopped == "nan":
            log.error(run.problem)
        if s.train_loss_each_epoch:
            run.history.setdefault("train_loss", [])
        else:
            run.record("train_loss", loss)
        run.state = self.state
        backward = StepProgram(self.net, self.rows, self.loss, training=False, dtype=s.dtype)
        run.gradient_norm = full_gradient_norm(backward, self.rows, self.values)

    def _keep(self) -> float:
        """Put the weights into the network that the run ends with; their loss on the whole training set."""
        s = self.settings
        if self.run.stopped == "nan":
            self.weights, self.buffers = self.good
        if s.restore_best and self.best is not None and s.until != "converged":
            self.weights, self.buffers = self.best
        self._store()
        return mean_loss(self.forward, self.rows, self.values)[0]

    def _loss_went_bad(self, batch: Rows, denominator: float, loss: float) -> None:
        """A loss of NaN or infinity: find out where it came from."""
        program = self.program.program(len(batch))
        inputs = self.program.inputs(batch, self.values, denominator, self.settings.seed, self.step)
        origin = locate(program, inputs, self.values)
        epoch = self.step // self.steps_per_epoch + 1
        self._went_bad(f"the loss became {loss} at step {self.step} (epoch {epoch}): {origin}", self.step)

    def _went_bad(self, what: str, step: int) -> None:
        """Stop, and say what happened, which weights are kept (see `_conclude`) and what may help."""
        rate = self.optimizer.lr * self._factor(step)
        kept = f"the weights after epoch {self.good_epochs}" if self.good_epochs else "the initial weights"
        if self.settings.restore_best and self.run.best_epoch is not None and self.settings.until != "converged":
            kept = f"the weights of the best epoch, {self.run.best_epoch + 1},"
        self.run.stopped = "nan"
        self.run.problem = (
            f"{what}; learning rate {rate:g}. Training stopped and {kept} were kept. "
            f"Try a learning rate of {self.optimizer.lr / 10:g}, or clip the gradients (fl.fit's clip_norm=1)."
        )

    def _store(self) -> None:
        """Put weights and buffers that are finite into the network."""
        if not any(is_bad(array) for array in self.values.values()):
            self._put(self.weights, self.buffers)

    def _put(self, weights: dict[str, Array], buffers: dict[str, Array]) -> None:
        self.net.load_parameters(weights)
        self.net.load_buffers(buffers)

    def _tell(self, method: str, *arguments: int) -> None:
        for callback in self.callbacks:
            if getattr(callback, method)(self.run, *arguments) is True and not self.run.stopped:
                self.run.stopped = "callback"
