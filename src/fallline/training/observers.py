"""Observers: how large gradients, updates and activations are while a network trains, on a budget of its time.

Between two chunks of steps, with the weights as they are then, one program computes loss, backpropagation and the
update on a fixed sample of rows, and of every tensor that matters only a few numbers. Nothing of it reaches the
training: its bits are the same with and without. What a step itself computed, exactly, is found by `fl.replay`.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import make_program
from fallline.errors import FalllineError
from fallline.ir.graph import Graph, Node
from fallline.ir.types import BATCH
from fallline.ops.tensor import Tensor
from fallline.training.arguments import positive_number, whole_number
from fallline.training.callbacks import Callback
from fallline.training.step import GRADIENT, LOSS, LOSS_SCOPE, UPDATED
from fallline.training.steppers import Snapshot
from fallline.training.update_graph import UpdateGraph, with_update

if TYPE_CHECKING:
    from fallline.training.loop import Training

Array = NDArray[Any]
log = logging.getLogger("fallline")
SHORTEST, THINNED = 0.25, 1000
"""Seconds between two observations, at least; and this part of the time since the first, so that long runs have no more
than some thousand."""
MEAN, VARIANCE, LOW, HIGH = "mean of ", "variance of ", "lowest of ", "highest of "
SQUARES = {"gradient": "squares of gradient of ", "update": "squares of update of ", "weight": "squares of "}


class Observer(Callback):
    """Notes norms, spreads and times during training, for the lab: `fl.fit(…, callbacks=[fl.Observer()])`.

    For each weight w, over all of its entries, on a fixed sample of rows:

        gradient = ‖dL/dw‖₂     update = ‖Δw‖₂, what the update rule would add to w     ratio = ‖Δw‖₂ / ‖w‖₂

    For the output of each layer: mean and spread (standard deviation) over rows and units, and how many units are dead:
    give the same number for every row of the sample. Beside them the step, the learning rate and the seconds of a step.

    Observations go to `observations`, and with a run folder to its observations.jsonl. They never change a bit of the
    training.

    Args:
        rows: of the sample, evenly spaced over the training set.
        budget: the share of the training's time that observing may take. After an observation of t seconds the next one
            comes not before t / budget have passed. Compiling the program, once, is not counted.
    """

    def __init__(self, rows: int = 256, budget: float = 0.02) -> None:
        self.rows = whole_number("rows", rows, 1, "Observer")
        self.budget = positive_number("budget", budget)
        self.observations: list[dict[str, Any]] = []
        self._training: Callable[[], Training | None] = lambda: None
        self._view: _View | None = None
        self._began = self._at = self._due = 0.0
        self._step = 0

    def look(self, training: "Training") -> None:
        """Observe, if it is time to; called between two chunks of steps."""
        now = time.perf_counter()
        if self._training() is not training:
            self._training, self._view = ref(training), None
            self._began = self._at = self._due = now
            self._step = training.step
        if now < self._due:
            return
        try:
            self._observe(training)
        except (FalllineError, MemoryError) as reason:
            self._due = math.inf
            log.warning("Training goes on, but is not observed any more: %s", reason)

    def waited(self, seconds: float) -> None:
        """Take in that the training was paused for so long."""
        self._at, self._began = self._at + seconds, self._began + seconds

    def _observe(self, training: "Training") -> None:
        if self._view is None:
            self._view = _View(training, self.rows)
            self._view(training)  # what a first call prepares is no cost of observing
        view, started = self._view, time.perf_counter()
        found = view(training)
        cost = time.perf_counter() - started
        wait = max(cost / self.budget, SHORTEST, (started - self._began) / THINNED)
        steps = training.step - self._step
        observed = {
            "step": training.step,
            "epoch": training.step / training.steps_per_epoch,
            "learning_rate": training.rate(training.step),
            "step_seconds": (started - self._at) / steps if steps else None,
            **found,
            "sampling": {
                "rows": view.count,
                "of": len(training.rows),
                "seconds": cost,
                "next_after": wait,
                "budget": self.budget,
            },
        }
        self._step, self._at, self._due = training.step, time.perf_counter(), started + wait
        self.observations.append(observed)
        if training.folder is not None:
            training.folder.observation(observed)


class _View:
    """The program of observations of one training.

    Args:
        training: what is observed.
        rows: of the sample, at most.
    """

    def __init__(self, training: "Training", rows: int) -> None:
        s, total = training.settings, len(training.rows)
        self.count = min(rows, total)
        self.sample = training.rows.take(np.arange(self.count) * total // self.count)
        self.update = with_update(training.graphs.step, training.optimizer, s.clip_value, s.clip_norm)
        self.layers = _layers(training.graphs.step)
        outputs = _norms(training.graphs.step, self.update)
        for name, node in self.layers.items():
            outputs |= _spread(name, Tensor(node))
        graph = Graph(self.update.graph.inputs, outputs)
        self.program = make_program(graph, {BATCH.name: self.count}, engine=training.engine)

    def __call__(self, training: "Training") -> dict[str, Any]:
        """What is seen now."""
        now = training.stepper.snapshot()
        found: dict[str, Array] = self.program(self._inputs(training, now))
        with np.errstate(all="ignore"):
            parameters = {name: _of_parameter(name, found) for name in self.update.parameters}
            activations = {name: {"op": node.op.name, **_of_layer(name, found)} for name, node in self.layers.items()}
        return {"loss": float(found[LOSS]), "parameters": parameters, "activations": activations}

    def _inputs(self, training: "Training", now: Snapshot) -> dict[str, Any]:
        """What the program is given: `step_inputs`, on the sample."""
        denominator = self.count * training.batches.mean_weight
        given = training.program.inputs(self.sample, now.values, denominator, training.settings.seed, now.step)
        factors = training.rates.factors(now.step, 1)
        scalars, _ = self.update.scalar_values(now.step + 1, now.state["memory"], factors)
        names, dtype = self.update.scalars, training.program.dtype
        numbers = {name: np.asarray(number, dtype) for name, number in zip(names, scalars[0], strict=True)}
        given |= {**self.update.state_inputs(now.weights, now.buffers, now.state), **numbers}
        return {name: value for name, value in given.items() if name in self.update.graph.inputs}


def _layers(step: Graph) -> dict[str, Node]:
    """The output of each layer by its dotted name: the last tensor of rows that its own call computed forwards."""
    found: dict[str, Node] = {}
    for node in step.nodes():
        origin, scope, *_ = node.provenance
        forwards = not origin and scope is not None and scope != LOSS_SCOPE and bool(node.inputs)
        if forwards and node.type.shape[:1] == (BATCH,) and node.type.dtype.is_float:
            found.pop(str(scope), None)
            found[str(scope)] = node
    return found


def _norms(step: Graph, update: UpdateGraph) -> dict[str, Node]:
    """Sums of squares of each weight, its gradient and its update, and the loss."""
    outputs = {LOSS: step.outputs[LOSS]}
    for name in update.parameters:
        w = Tensor(step.inputs[name])
        tensors = {"gradient": Tensor(step.outputs[GRADIENT + name]), "weight": w}
        if UPDATED + name in update.graph.outputs:  # else it is frozen
            tensors["update"] = Tensor(update.graph.outputs[UPDATED + name]) - w
        outputs |= {SQUARES[what] + name: (tensor * tensor).sum().node for what, tensor in tensors.items()}
    return outputs


def _spread(name: str, output: Tensor) -> dict[str, Node]:
    """Mean and variance of a layer's output, and the lowest and highest number of each of its units."""
    mean = output.mean()
    off = output - mean
    return {
        MEAN + name: mean.node,
        VARIANCE + name: (off * off).mean().node,
        HIGH + name: output.max(0).node,
        LOW + name: (-output).max(0).node,
    }


def _of_parameter(name: str, found: Mapping[str, Array]) -> dict[str, float]:
    norms = {what: math.sqrt(found[key + name]) if key + name in found else 0.0 for what, key in SQUARES.items()}
    return {**norms, "ratio": norms["update"] / norms["weight"] if norms["weight"] else math.nan}


def _of_layer(name: str, found: Mapping[str, Array]) -> dict[str, float | int]:
    high, low = found[HIGH + name], -found[LOW + name]
    return {
        "mean": float(found[MEAN + name]),
        "spread": math.sqrt(max(float(found[VARIANCE + name]), 0.0)),
        "units": int(high.size),
        "dead": int(np.count_nonzero(high == low)),
    }
