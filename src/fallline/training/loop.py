"""The training loop: steps in the order of epochs, what is measured after each, and when to stop.

for each batch:   L, dL/dw = backpropagation (step.py)        w ← w − η·dL/dw = gradient descent (optim)

The steps themselves are a stepper's (steppers.py), which runs many of them at a time, on either engine. Nothing that
is decided here depends on how many: epochs that nobody looks at run together, and what a longer run of steps has passed
by is found again by taking steps again, with the same bits.
"""

import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import REFERENCE
from fallline.nn.module import Module
from fallline.optim import Optimizer
from fallline.training.batches import Batches
from fallline.training.callbacks import Callback, load_states, states, wants_steps
from fallline.training.checkpoint import Checkpoint
from fallline.training.control import Control
from fallline.training.evaluate import full_gradient_norm, loss_of_all
from fallline.training.graphs import Graphs
from fallline.training.hashes import LossesHash, weights_hash
from fallline.training.nonfinite import OriginSearch, bad_entry
from fallline.training.observers import Observer
from fallline.training.pace import Clock, Pace
from fallline.training.past import Past, Values
from fallline.training.progress import ProgressView
from fallline.training.rates import Rates
from fallline.training.run import Run
from fallline.training.run_folder import RunFolder
from fallline.training.scoring import Scoring
from fallline.training.settings import Settings
from fallline.training.signals import StopRequest, stop_on_signals
from fallline.training.step import Rows, StepProgram
from fallline.training.steppers import Snapshot, make_stepper

Array = NDArray[Any]
log = logging.getLogger("fallline")
HASH_EVERY = 0.5
"""Seconds, at least, between two epochs after which the weights are kept for going back, and their hash recorded."""


@dataclass
class Training:
    """One training in progress: `train()` runs it to its end.

    Args:
        net: receives the weights.
        graphs: what it computes.
        rows, validation: the data.
        optimizer: the update rule.
        settings: how to train.
        run: what is told of it.
        view, callbacks: who is told.
        folder: where it is written to, or None.
        resumed: where to go on from; None begins with the network's weights.
    """

    net: Module
    graphs: Graphs
    rows: Rows
    validation: Rows | None
    optimizer: Optimizer
    settings: Settings
    run: Run
    view: ProgressView
    callbacks: list[Callback] = field(default_factory=list)
    folder: RunFolder | None = None
    resumed: Checkpoint | None = None

    def __post_init__(self) -> None:
        s = self.settings
        self.observers = [each for each in self.callbacks if isinstance(each, Observer)]
        self.callbacks = [each for each in self.callbacks if not isinstance(each, Observer)]
        self.control = None if self.folder is None else Control(self.folder.path)
        self.batches = Batches(self.rows, s.batch_size, s.seed, s.shuffle)
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.rates = Rates(s.schedule, self.steps_per_epoch, s.epochs)
        self.kept: Values | None = None
        self.step, self.pending = 0, list[Array]()  # of the epoch that has begun: losses of its steps
        self.losses_hash = LossesHash()
        self.spent, self.lines = 0.0, list[dict[str, Any]]()  # seconds in it; what is to be written of those before
        start = self._start()
        self.past = Past(start, self.steps_per_epoch, None if self.resumed is None else self.resumed.good)
        # The graph of a step; on the reference engine also what computes it.
        self.program = StepProgram.of(self.graphs.step, s.dtype, shards=s.shards, engine=REFERENCE)
        self.stepper = make_stepper(
            s.engine, self.program, self.optimizer, self.batches, start, self.rates.factors,
            clip_value=s.clip_value, clip_norm=s.clip_norm, threads=s.threads, shards=s.shards,
        )  # fmt: skip
        self.origin = OriginSearch(
            self.graphs.modules, self.program, self.optimizer, self.batches, self.stepper, self.rates.factors,
            s.clip_value, s.clip_norm,
        )  # fmt: skip
        self.engine = self.stepper.engine
        self.run.engine = self.run.config["engine"] = self.engine
        if self.stepper.threads is not None:
            self.run.config["threads"] = self.stepper.threads
        self.scoring = Scoring(s, self.run, self.rows, self.validation, self.graphs, self.engine)
        self.pace = Pace(every_step=wants_steps(self.callbacks))
        self.checkpoints, self.hashing = Clock(s.checkpoint_every), Clock(HASH_EVERY)
        self.started = self.lap = time.perf_counter()
        self.run.start = start
        if self.resumed is not None:
            self._restore(self.resumed)

    def _start(self) -> Snapshot:
        """Weights, buffers and state at the first step, in the network's order."""
        if self.resumed is None:
            dtype = self.settings.dtype
            weights = {name: value.astype(dtype) for name, value in self.net.parameters().items()}
            buffers = {name: value.astype(dtype) for name, value in self.net.buffers().items()}
            return Snapshot(weights, buffers, self.optimizer.init(weights))
        now, names = self.resumed.now, [*self.net.named_parameters(), *self.net.named_buffers()]
        return Snapshot(_in_order(now.weights, names), _in_order(now.buffers, names), now.state)

    # the state beside the weights, into a checkpoint and out of it

    def checkpoint(self) -> Checkpoint:
        """Everything, at this moment between two steps."""
        now = time.perf_counter()
        progress = {
            "scoring": self.scoring.to_json(),
            "best_epoch": self.run.best_epoch,
            "stopped": self.run.stopped,
            "problem": self.run.problem,
            "seconds": self.run.seconds + now - self.started,
            "spent": self.spent + now - self.lap,
            "hashes": {str(step): name for step, name in self.run.hashes.items()},
            "callbacks": states(self.callbacks),
            "losses": self.losses_hash.name,
        }
        return Checkpoint(
            now=self.stepper.snapshot(),
            good=self.past.good(self.step, self.stepper),
            best=self.scoring.best,
            losses=np.concatenate([np.empty(0), *self.pending]),
            scores=list(self.run.scores),
            history={name: list(numbers) for name, numbers in self.run.history.items()},
            progress=progress,
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        run, found = self.run, checkpoint.progress
        self.step, self.spent = checkpoint.step, found["spent"]
        self.scoring.restore(found["scoring"], checkpoint.best)
        self.pending = [checkpoint.losses] if len(checkpoint.losses) else []
        self.losses_hash.take(run.steps["loss"])
        run.history = {name: list(numbers) for name, numbers in checkpoint.history.items()}
        run.best_epoch, run.stopped, run.problem = (found[key] for key in ("best_epoch", "stopped", "problem"))
        run.stopped = "" if run.stopped == "interrupted" else run.stopped
        run.epochs, run.seconds, run.scores = len(run.history["loss"]), found["seconds"], list(checkpoint.scores)
        run.hashes = {int(step): name for step, name in found["hashes"].items()}
        for score in run.scores:
            self.rates.observe(score)
        load_states(self.callbacks, found["callbacks"])

    # the loop

    def train(self) -> Run:
        """Run epochs until there is a reason to stop; leave the network at the final (or best) weights."""
        run, total = self.run, self.settings.epochs * self.steps_per_epoch
        self.started = self.lap = time.perf_counter()
        self.view.start(run, self.settings.epochs, self.steps_per_epoch)
        self.view.steps(run, self.step)
        try:
            with stop_on_signals() as stop:
                if not run.stopped:
                    self._tell("on_train_begin")
                if self.step // self.steps_per_epoch > run.epochs and not run.stopped:
                    self._epochs_over(whole=True)  # the run was stopped at its end
                while not (run.stopped or stop or self.step == total):
                    self._chunk(total, stop)
                    self._look_around(stop)
                run.signal = stop.signal
            if not run.stopped:
                run.stopped = "interrupted" if stop else "epochs"
            last = self.checkpoint() if self.folder is not None and run.stopped != "nan" else None
            if self.folder is not None and last is not None and run.stopped == "interrupted":
                self.folder.checkpoint(last, behind=False)  # before anything else that takes time
                last = None
            self._conclude()
        except BaseException:
            self._put(self.kept or self.stepper.snapshot().values)
            if self.folder is not None:
                self.folder.close()
            raise
        finally:
            self.view.finish(run)
        run.seconds += time.perf_counter() - self.started
        self._tell("on_train_end")
        if self.folder is not None:
            if last is not None:
                self.folder.checkpoint(last, behind=False)
            self.folder.finish(self.net, run)
        return run

    def _look_around(self, stop: StopRequest) -> None:
        """Between two chunks: who wants to know, and what is asked."""
        if self.run.stopped or stop:
            return
        for observer in self.observers:
            observer.look(self)
        if self.control is not None:
            waited = self.control.obey(stop, self._before_waiting)
            self.started, self.lap = self.started + waited, self.lap + waited
            for observer in self.observers:
                observer.waited(waited)

    def _before_waiting(self) -> None:
        if self.folder is not None:
            self.folder.checkpoint(self.checkpoint(), behind=False)

    def taken_to(self, step: int) -> Checkpoint:
        """Everything after so many steps, which are taken without looking left or right."""
        while self.step < step and not self.run.stopped:
            self._chunk(step)
        return self.checkpoint()

    def _chunk(self, total: int, stop: StopRequest | None = None) -> None:
        """One run of steps, and what follows from it."""
        started, first = time.perf_counter(), self.step
        losses = self.stepper.run(first, self._length(total))
        self.pace.observe(len(losses), time.perf_counter() - started)
        taken = losses if math.isfinite(losses[-1]) else losses[:-1]
        self._taken(taken)
        if self.step // self.steps_per_epoch > self.run.epochs and not self.run.stopped:
            self._epochs_over(whole=len(taken) == len(losses))
        if len(taken) < len(losses) and not self.run.stopped:
            self._went_bad(*self.origin.of_loss(float(losses[-1]), self.step, self.past.last))
        if self.folder is not None:
            self.folder.losses(first, taken[: self.step - first])
            self.folder.append_history(self.lines)
            self.lines = []
            if not self.run.stopped and not stop and self.checkpoints.due():
                self.folder.checkpoint(self.checkpoint())

    def _length(self, total: int) -> int:
        """How many steps to run before looking up: to the end of an epoch, or of several that nobody looks at."""
        per_epoch, steps = self.steps_per_epoch, self.pace.steps
        rest = per_epoch - self.step % per_epoch
        if self.looked_at or rest < per_epoch or steps < per_epoch:
            return min(steps, rest, total - self.step)
        return min(steps // per_epoch * per_epoch, total - self.step)

    @property
    def looked_at(self) -> bool:
        """Whether somebody looks at the weights after each single epoch."""
        return bool(self.callbacks) or self.scoring.looks

    def _taken(self, losses: Array) -> None:
        """Tell of steps whose loss was finite: where somebody wants to know of each, there is but one."""
        self.run.steps["loss"].extend(losses.tolist())
        self.view.steps(self.run, len(losses))
        for number in range(self.step, self.step + len(losses)) if self.pace.every_step else ():
            self._tell("on_step_end", number)
        self.step += len(losses)
        self.pending.append(losses)
        self.losses_hash.take(losses)

    def _epochs_over(self, whole: bool) -> None:
        """Take note of the epochs that have ended.

        Args:
            whole: whether the last of them ended with the last step that was run.
        """
        per_epoch, losses, spoiled = self.steps_per_epoch, np.concatenate(self.pending), None
        here, due = whole and self.step % per_epoch == 0, False
        if here and not self.stepper.finite():
            spoiled = self.origin.of_update(self.step, self.past.last)
            self.step = (spoiled[1] // per_epoch + 1) * per_epoch  # the end of the epoch that it happened in
            del self.run.steps["loss"][self.step :]
        elif here:
            due = self.hashing.due()
            if due or self.looked_at:
                self.past.keep(self.stepper.snapshot())
        count = self.step // per_epoch - self.run.epochs - (spoiled is not None)
        now = time.perf_counter()
        seconds, self.spent, self.lap = (self.spent + now - self.lap) / max(count, 1), 0.0, now
        for number in range(count):
            self._after_epoch(losses[number * per_epoch : (number + 1) * per_epoch], seconds)
        self.pending = [losses[count * per_epoch :]]
        if spoiled is not None:
            self._went_bad(*spoiled)
        elif due:
            self.run.hashes[self.step] = weights_hash(self.past.last.values)
            self.lines[-1] = history_line(self.run, self.run.epochs - 1, self.step)

    def _after_epoch(self, losses: Array, seconds: float) -> None:
        """What follows from an epoch; the weights after it are at hand where somebody looks at single epochs."""
        run, epoch, values = self.run, self.run.epochs, self.past.last.values
        score = self.scoring.measure(self.batches.mean_loss(losses), values)
        run.record("learning_rate", self.rate((epoch + 1) * self.steps_per_epoch))
        run.record("seconds", seconds)
        run.epochs = epoch + 1
        run.scores.append(score)
        self.rates.observe(score)
        if self.callbacks:
            self._put(values)
        self.scoring.note(score, values)
        self.lines.append(history_line(run, epoch))
        self.view.epoch(run)
        if not math.isfinite(score):
            self._score_went_bad(score)
        run.stopped = run.stopped or self.scoring.reason
        self._tell("on_epoch_end", epoch)

    def rate(self, step: int) -> float:
        """The learning rate η of a step."""
        return self.optimizer.lr * float(self.rates.factors(step, 1)[0])

    # the end

    def _conclude(self) -> None:
        """Choose the weights to keep, and measure them on the whole training set, unless somebody wants to go."""
        run, now = self.run, self.stepper.snapshot()
        values = self._keep(now)
        if run.stopped != "interrupted":
            values = self._measure(now, values)
        run.state = now.state
        run.hashes[now.step] = weights_hash(now.values)
        s, forward = self.settings, self.graphs
        run.measure_gradient_norm(
            lambda: full_gradient_norm(StepProgram.of(forward.gradient, s.dtype, engine=self.engine), self.rows, values)
        )

    def _measure(self, now: Snapshot, values: Values) -> Values:
        """The loss of the whole training set at the weights to keep; where it is not finite, others are kept."""
        s, run = self.settings, self.run
        loss = loss_of_all(self.scoring.forward, self.rows, values)
        if not math.isfinite(loss) and run.stopped != "nan" and self.step:
            last = self.step - 1
            origin = self.origin.of_rows(self.scoring.forward, self.rows, values, "the training set")
            self._went_bad(f"the loss of the whole training set became {loss} after step {last}: {origin}", last)
            values = self._keep(now)
            loss = loss_of_all(self.scoring.forward, self.rows, values)
        if run.stopped == "nan":
            log.error(run.problem)
        if s.train_loss_each_epoch:
            run.history.setdefault("train_loss", [])
        else:
            run.record("train_loss", loss)
        return values

    def _keep(self, now: Snapshot) -> Values:
        """Put the weights into the network that the run ends with."""
        self.kept = self.past.good(self.step, self.stepper) if self.run.stopped == "nan" else now.values
        if self.scoring.keeps_best:
            self.kept = self.scoring.best or self.kept
        self._put(self.kept)
        return self.kept

    # bad numbers

    def _score_went_bad(self, score: float) -> None:
        """A validation loss of NaN or infinity."""
        rows, values = self.validation or self.rows, self.past.last.values
        origin = self.origin.of_rows(self.scoring.judge, rows, values, "the validation rows")
        self.run.stopped = "nan"
        self.run.problem = (
            f"the validation loss became {score} in epoch {self.run.epochs}, though the training loss is finite: "
            f"{origin}. The weights of the best epoch were kept; try a smaller learning rate"
        )

    def _went_bad(self, what: str, step: int) -> None:
        """Stop, and say what happened, which weights are kept (see `_conclude`) and what may help."""
        rate, epochs = self.rate(step), self.past.good_epochs(self.step)
        kept = f"the weights after epoch {epochs}" if epochs else "the initial weights"
        if self.scoring.keeps_best and self.run.best_epoch is not None:
            kept = f"the weights of the best epoch, {self.run.best_epoch + 1},"
        self.run.stopped = "nan"
        self.run.problem = (
            f"{what}; learning rate {rate:g}. Training stopped and {kept} were kept. "
            f"Try a learning rate of {self.optimizer.lr / 10:g}, or clip the gradients (fl.fit's clip_norm=1)."
        )

    def _put(self, values: Values) -> None:
        """Put weights and buffers into the network: these if they are finite, else the last good ones."""
        chosen = self.past.good(self.step, self.stepper) if bad_entry(values) else values
        self.net.load_parameters({name: chosen[name] for name in self.net.named_parameters()})
        self.net.load_buffers({name: chosen[name] for name in self.net.named_buffers()})

    def _tell(self, method: str, *arguments: int) -> None:
        for callback in self.callbacks:
            if getattr(callback, method)(self.run, *arguments) is True and not self.run.stopped:
                self.run.stopped = "callback"


def history_line(run: Run, epoch: int, step: int | None = None) -> dict[str, Any]:
    """An epoch (from 0) as a line of history.jsonl; with the hash of the weights after it, where that is known."""
    line: dict[str, Any] = {"epoch": epoch + 1}
    line |= {name: values[epoch] for name, values in run.history.items() if epoch < len(values)}
    return line | ({"step": step, "weights": run.hashes[step]} if step in run.hashes else {})


def _in_order(values: Values, names: list[str]) -> Values:
    return {name: values[name] for name in names if name in values}
