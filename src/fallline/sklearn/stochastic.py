"""scikit-learn's stochastic solvers, "sgd" and "adam": the loop over epochs of one call of `fit` or `partial_fit`.

Epochs that nobody looks at run together, some 30 ms of them. Where training should have stopped, or changed its
learning rate, after one that was passed by, the steps up to there are taken again: they have the same bits.
"""

import math
import warnings
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fallline.ops import exact
from fallline.sklearn.epochs import Epochs, State
from fallline.sklearn.held_out import HeldOut
from fallline.sklearn.objective import Design, step_graph, values
from fallline.sklearn.watchers import Watchers
from fallline.training.pace import Pace
from fallline.training.step import Rows
from fallline.training.update_graph import UpdateGraph, slot_name

Array = NDArray[Any]
SMALLEST_RATE = 1e-6
"""An adaptive learning rate that is not greater ends the training instead of being divided by 5 once more."""
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


@dataclass
class OptimizerState:
    """What `partial_fit` goes on with: numbers and arrays, nothing compiled.

    Attributes:
        settings: the rule's, by which it is known whether the arrays fit.
        seed: of the order of rows and of dropout.
        learning_rate: of the next step.
        updates: steps taken.
        epochs: epochs taken.
        slots: the rule's arrays by their names in the graph.
    """

    settings: dict[str, Any]
    seed: int
    learning_rate: float
    updates: int = 0
    epochs: int = 0
    slots: State = field(default_factory=dict)

    def in_graph(self, update: UpdateGraph, weights: State) -> State:
        """The arrays of a graph's slots; zeros before the first step."""
        zeros = {slot_name(slot, name): weights[name] for slot, name in update.slots}
        return {key: np.asarray(self.slots.get(key, 0.0 * w), dtype=w.dtype) for key, w in zeros.items()}


class StochasticSolver:
    """Trains an estimator, whose settings and fitted attributes it reads and writes as scikit-learn's solver does.

    Args:
        estimator: has its initial weights.
        design: the network and its loss.
        rows: the training set, in the design's dtype.
        held_out: rows to judge by after every epoch, or None.
        watchers: who is told of every epoch.
    """

    def __init__(
        self, estimator: Any, design: Design, rows: Rows, held_out: HeldOut | None, watchers: Watchers
    ) -> None:
        self.estimator, self.design, self.rows = estimator, design, rows
        self.held_out, self.watchers = held_out, watchers
        self.optimizer: OptimizerState = estimator._optimizer
        update = step_graph(design, rows.weight is not None, tuple(self.optimizer.settings.items()))
        weights = values(estimator.coefs_, estimator.intercepts_, estimator.alpha, design.dtype)
        batch_size = rows_per_step(estimator.batch_size, len(rows))
        self.steps_per_epoch = -(-len(rows) // batch_size)
        self.epochs = Epochs(
            update,
            rows,
            weights | self.optimizer.in_graph(update, weights),
            batch_size=batch_size,
            shuffle=estimator.shuffle,
            seed=self.optimizer.seed,
            updates=self.optimizer.updates,
            threads=estimator.threads,
        )
        self.saved = self.epochs.snapshot()

    def run(self, most: int, incremental: bool) -> None:
        """Train for so many epochs at most; leave weights, curves and the optimizer's state in the estimator."""
        est, pace, stopped = self.estimator, Pace(), False
        looked_at = self.held_out is not None or self.watchers.active
        est.n_iter_ = 0
        try:
            while est.n_iter_ < most and not stopped:
                count = 1 if looked_at else max(1, min(most - est.n_iter_, pace.steps // self.steps_per_epoch))
                self.watchers.begin_epoch()
                started = perf_counter()
                rates = self._rates(count)
                losses = self.epochs.run(self.optimizer.epochs, rates)
                pace.observe(count * self.steps_per_epoch, perf_counter() - started)
                stopped = self._taken(losses, rates)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
        else:
            if not (stopped or incremental):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({most}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=6,
                )
        self._put()

    def _taken(self, losses: Array, rates: Array) -> bool:
        """Take note of the epochs that were run, up to one after which something changes; whether training ends."""
        first = self.optimizer.epochs
        for number, loss in enumerate(losses.tolist(), 1):
            stop, changed = self._after_epoch(loss)
            if (stop or changed) and number < len(losses):
                self.epochs.restore(self.saved)
                self.epochs.run(first, rates[:number])
            if stop or changed:
                break
        self.saved = self.epochs.snapshot()
        return stop

    def _after_epoch(self, loss: float) -> tuple[bool, bool]:
        """What follows from an epoch: whether training ends, and whether the learning rate is another from now on."""
        est, rate = self.estimator, self.optimizer.learning_rate
        est.n_iter_ += 1
        est.t_ += len(self.rows)
        self.optimizer.epochs += 1
        est.loss_ = loss
        est.loss_curve_.append(loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
        if self.held_out is not None or self.watchers.active:
            self.saved = self.epochs.snapshot()
            self._put()
        if self.held_out is not None:
            self.held_out.judge(est)
        if not math.isfinite(loss):
            return self._diverged(), False
        est._count_improvement()
        if self._scheduled == "invscaling":
            self.optimizer.learning_rate = self._inverse(est.t_)
            rate = self.optimizer.learning_rate  # the rates of the epochs to come have been told already
        stop = est._no_improvement_count > est.n_iter_no_change and self._no_better()
        stop = self.watchers.end_epoch(est.n_iter_ - 1) or stop
        return stop, self.optimizer.learning_rate != rate

    def _no_better(self) -> bool:
        """Whether training ends because it gets no better, or goes on with a smaller learning rate."""
        est = self.estimator
        what = (
            f"{est._watched} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."
        )
        if self._scheduled != "adaptive" or self.optimizer.learning_rate <= SMALLEST_RATE:
            small = " Learning rate too small." if self._scheduled == "adaptive" else ""
            if est.verbose:
                print(f"{what}{small} Stopping.")
            return True
        self.optimizer.learning_rate /= 5.0
        if est.verbose:
            print(f"{what} Setting learning rate to {self.optimizer.learning_rate:f}")
        est._no_improvement_count = 0
        return False

    def _diverged(self) -> bool:
        est = self.estimator
        if not est.early_stopping:
            raise ValueError(NOT_FINITE)
        warnings.warn(
            f"The training loss became {est.loss_} in epoch {est.n_iter_}: the best weights before it are kept. "
            "Try a smaller learning_rate_init, or scale the input data.",
            ConvergenceWarning,
            stacklevel=9,
        )
        return True

    @property
    def _scheduled(self) -> str:
        """The schedule of the learning rate: Adam has none."""
        return str(self.estimator.learning_rate) if self.optimizer.settings["solver"] == "sgd" else "constant"

    def _rates(self, count: int) -> Array:
        """The learning rate of each of the next epochs."""
        rates = np.full(count, self.optimizer.learning_rate)
        if self._scheduled == "invscaling":
            seen = self.estimator.t_
            rates[1:] = [self._inverse(seen + number * len(self.rows)) for number in range(1, count)]
        return rates

    def _inverse(self, seen: int) -> float:
        """learning_rate_init / (t + 1)^power_t, where t rows have been seen."""
        est = self.estimator
        return float(est.learning_rate_init) / exact.power(float(seen + 1), float(est.power_t))

    def _put(self) -> None:
        """Weights and the optimizer's state into the estimator, as they were saved last."""
        state, self.optimizer.updates = self.saved
        est, layers = self.estimator, range(self.design.layers)
        est.coefs_ = [state[f"coefs.{number}"].astype(est._dtype) for number in layers]
        est.intercepts_ = [state[f"intercepts.{number}"].astype(est._dtype) for number in layers]
        self.optimizer.slots = {name: array for name, array in state.items() if " of " in name}


def rows_per_step(batch_size: Any, rows: int) -> int:
    """scikit-learn's batch size: "auto" is 200; never more than there are rows."""
    return min(200 if batch_size == "auto" else int(batch_size), rows)
