"""The training loop: steps in the order of epochs, what is measured after each, and when to stop.

for each batch:   L, dL/dw = backpropagation (step.py)        w ← w − η·dL/dw = gradient descent (optim)

The steps themselves are a stepper's (steppers.py), which runs several of them at a time, on either engine.
"""

import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import REFERENCE
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.optim import Optimizer
from fallline.optim.schedules import Schedule
from fallline.training.batches import Batches
from fallline.training.callbacks import Callback, wants_steps
from fallline.training.evaluate import full_gradient_norm, mean_loss
from fallline.training.metrics import Metric
from fallline.training.nonfinite import OriginSearch, bad_entry, bad_state
from fallline.training.pace import Pace
from fallline.training.progress import ProgressView
from fallline.training.run import Run
from fallline.training.run_folder import CheckpointClock, RunFolder
from fallline.training.signals import StopRequest, stop_on_signals
from fallline.training.step import Rows, StepProgram
from fallline.training.steppers import Snapshot, make_stepper
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
    engine: str
    threads: int | None
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
        weights = {name: value.astype(s.dtype) for name, value in self.net.parameters().items()}
        buffers = {name: value.astype(s.dtype) for name, value in self.net.buffers().items()}
        # As they were read last: before the first step, and after each epoch.
        self.now = Snapshot(weights, buffers, self.optimizer.init(weights))
        self.schedule_state = s.schedule.initial_state()
        self.batches = Batches(self.rows, s.batch_size, s.seed, s.shuffle)
        self.steps_per_epoch = self.batches.steps_per_epoch
        # The graph of a step; on the reference engine also what computes it.
        self.program = StepProgram(self.net, self.rows, self.loss, dtype=s.dtype, shards=s.shards, engine=REFERENCE)
        self.stepper = make_stepper(
            s.engine, self.program, self.optimizer, self.batches, self.now, self._factor,
            clip_value=s.clip_value, clip_norm=s.clip_norm, threads=s.threads, shards=s.shards,
        )  # fmt: skip
        self.origin = OriginSearch(
            self.net, self.program, self.optimizer, self.batches, self.stepper, self._factor, s.clip_value, s.clip_norm
        )
        self.run.engine = self.run.config["engine"] = self.stepper.engine
        if self.stepper.threads is not None:
            self.run.config["threads"] = self.stepper.threads
        options: Any = {"training": False, "backward": False, "dtype": s.dtype, "engine": self.stepper.engine}
        self.forward = self.judge = StepProgram(self.net, self.rows, self.loss, **options)
        if self.rows.weight is not None and (self.validation is None or self.validation.weight is None):
            self.judge = StepProgram(self.net, Rows(self.rows.x, self.rows.y), self.loss, **options)
        self.pace = Pace(every_step=wants_steps(self.callbacks))
        self.early, self.convergence = Watch(), Watch(tol=s.tol)
        self.good, self.good_epochs = self.now, 0
        self.best: Snapshot | None = None
        self.kept: Snapshot | None = None
        self.clock = CheckpointClock(s.checkpoint_every)
        self.step = 0

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
        except BaseException:
            self._put(self.kept or self.stepper.snapshot())
            raise
        finally:
            self.view.finish(self.run)
        self.run.seconds = time.perf_counter() - started
        self._tell("on_train_end")
        if self.folder is not None:
            self.folder.checkpoint(self.net, self.step)
            self.folder.finish(self.net, self.run)
        return self.run

    def _epoch(self, epoch: int, stop: StopRequest) -> None:
        started = time.perf_counter()
        end = (epoch + 1) * self.steps_per_epoch
        losses: list[Array] = []
        while self.step < end:
            losses.append(self._steps(min(self.pace.steps, end - self.step)))
            if self.run.stopped:
                return
            if stop:
                self.run.stopped = "interrupted"
                return
        good, self.now = self.now, self.stepper.snapshot()
        if bad_state(self.now):
            self._went_bad(*self.origin.of_update(self.step, good))
            return
        self._after_epoch(epoch, self.batches.mean_loss(np.concatenate(losses)), time.perf_counter() - started)

    def _steps(self, count: int) -> Array:
        """Some steps of an epoch; the loss of each."""
        started, first = time.perf_counter(), self.step
        losses = self.stepper.run(first, count)
        self.pace.observe(len(losses), time.perf_counter() - started)
        if first % self.steps_per_epoch == 0 and math.isfinite(losses[0]):
            # weights are good once a loss at them was finite
            self.good, self.good_epochs = self.now, first // self.steps_per_epoch
        if not math.isfinite(losses[-1]):
            self._taken(losses[:-1])
            self._went_bad(*self.origin.of_loss(float(losses[-1]), self.step, self.now))
            return losses
        self._taken(losses)
        if self.folder is not None and self.clock.due():
            self._put(self.stepper.snapshot())
            self.folder.checkpoint(self.net, self.step)
        return losses

    def _taken(self, losses: Array) -> None:
        """Tell of steps whose loss was finite: where somebody wants to know of each, there is but one."""
        self.run.steps["loss"].extend(losses.tolist())
        self.view.steps(self.run, len(losses))
        for number in range(self.step, self.step + len(losses)) if self.pace.every_step else ():
            self._tell("on_step_end", number)
        self.step += len(losses)

    def _factor(self, step: int) -> float:
        s = self.settings
        total = s.epochs * self.steps_per_epoch
        return s.schedule.factor(step, self.steps_per_epoch, total, self.schedule_state)

    def _after_epoch(self, epoch: int, loss: float, seconds: float) -> None:
        s, run = self.settings, self.run
        run.record("loss", loss)
        score = loss
        if self.validation is not None:
            score, outputs = mean_loss(self.judge, self.validation, self.now.values)
            run.record("validation_loss", score)
            for metric in s.metrics:
                run.record(f"validation_{metric.name}", metric(outputs, self.validation.y))
        self._measure_training(epoch)
        run.record("learning_rate", self.optimizer.lr * self._factor(self.step))
        run.record("seconds", seconds)
        run.epochs = epoch + 1
        self.schedule_state = s.schedule.observe(self.schedule_state, score)
        if self.callbacks:
            self._put(self.now)
        if self.validation is not None and self.early.observe(score):
            run.best_epoch, self.best = epoch, self.now
            if self.folder is not None and self.clock.due():
                self._put(self.now)
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
        loss, outputs = mean_loss(self.forward, self.rows, self.now.values)
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
            rows = self.validation or self.rows
            origin = self.origin.of_rows(self.judge, rows, self.now.values, "the validation rows")
            self.run.stopped = "nan"
            self.run.problem = (
                f"the validation loss became {score} in epoch {self.run.epochs}, though the training loss is finite: "
                f"{origin}. The weights of the best epoch were kept; try a smaller learning rate"
            )
        elif s.until == "converged":
            if self.convergence.stale >= (s.patience or 10):
                self.run.stopped = "converged"
        elif s.patience is not None and self.validation is not None and self.early.stale >= s.patience:
            self.run.stopped = "patience"

    def _conclude(self) -> None:
        """Choose the weights to keep, and measure them on the whole training set."""
        s, run = self.settings, self.run
        self.now = self.stepper.snapshot()
        if self.best is not None and self.folder is not None:
            self._put(self.best)
            self.folder.best(self.net)
        loss = self._keep()
        if not math.isfinite(loss) and run.stopped != "nan" and self.step:
            last, values = self.step - 1, (self.kept or self.now).values
            origin = self.origin.of_rows(self.forward, self.rows, values, "the training set")
            self._went_bad(f"the loss of the whole training set became {loss} after step {last}: {origin}", last)
            loss = self._keep()
        if run.stopped == "nan":
            log.error(run.problem)
        if s.train_loss_each_epoch:
            run.history.setdefault("train_loss", [])
        else:
            run.record("train_loss", loss)
        run.state = self.now.state
        backward = StepProgram(
            self.net, self.rows, self.loss, training=False, dtype=s.dtype, engine=self.stepper.engine
        )
        values = (self.kept or self.now).values
        run.measure_gradient_norm(lambda: full_gradient_norm(backward, self.rows, values))

    def _keep(self) -> float:
        """Put the weights into the network that the run ends with; their loss on the whole training set."""
        s = self.settings
        self.kept = self.good if self.run.stopped == "nan" else self.now
        if s.restore_best and self.best is not None and s.until != "converged":
            self.kept = self.best
        self._put(self.kept)
        return mean_loss(self.forward, self.rows, self.kept.values)[0]

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

    def _put(self, snapshot: Snapshot) -> None:
        """Put weights and buffers into the network: these if they are finite, else the last good ones."""
        chosen = self.good if bad_entry(snapshot.values) else snapshot
        self.net.load_parameters(chosen.weights)
        self.net.load_buffers(chosen.buffers)

    def _tell(self, method: str, *arguments: int) -> None:
        for callback in self.callbacks:
            if getattr(callback, method)(self.run, *arguments) is True and not self.run.stopped:
                self.run.stopped = "callback"
