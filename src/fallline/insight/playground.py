"""A small network on two inputs, at any step of its training: what the page for playing shows.

Settings and a step decide everything, with the bits that `fl.fit` gives: so a link that names them shows the same
numbers to everybody. What has been computed is kept only to be quick.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import nn, optim
from fallline.engine.programs import COMPILED, REFERENCE, ForwardProgram
from fallline.errors import ArgumentError
from fallline.insight.opened import Opened, OpenedStep
from fallline.insight.plane_data import PlaneData, outputs_for, shares_of, targets_for
from fallline.nn.activations import by_name as activation_by_name
from fallline.nn.losses import get as get_loss
from fallline.nn.trace import SEED, STEP, X, prediction_graph
from fallline.ops.functions import concatenate
from fallline.ops.tensor import Tensor
from fallline.optim.schedules import Constant
from fallline.training.arguments import rows_per_step
from fallline.training.batches import Batches
from fallline.training.evaluate import loss_of_all
from fallline.training.graphs import Graphs
from fallline.training.recording import Recording
from fallline.training.settings import Settings
from fallline.training.step import Rows, StepProgram, check_rows
from fallline.training.steppers import Snapshot, make_stepper

Array = NDArray[Any]
MOST_LAYERS, MOST_UNITS, MOST_STEPS = 4, 12, 200_000
KEPT = 400
"""Snapshots, at most, that are kept for going back."""


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
        layers: units of each hidden layer; none makes a network of one affine layer.
        activation, loss, optimizer: names in their registers.
        lr: η.
        momentum: for rules that have it.
        batch_size: rows of a step, or "all".
        seed: of the initial weights and of the order of rows.
    """

    layers: tuple[int, ...] = (4, 4)
    activation: str = "tanh"
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    lr: float = 0.3
    momentum: float = 0.0
    batch_size: int | str = 16
    seed: int = 0

    def rule(self) -> optim.Optimizer:
        """The optimizer.

        Raises:
            ArgumentError: its name or a number is none that it could be.
        """
        if self.optimizer not in optim.RULES:
            return optim.by_name(self.optimizer, self.lr)  # which says so
        has = any(hyper.name == "momentum" for hyper in optim.RULES[self.optimizer].hypers)
        return optim.by_name(self.optimizer, self.lr, **({"momentum": self.momentum} if has and self.momentum else {}))

    def network(self, outputs: int) -> nn.Sequential:
        """The network at its initial weights: affine layers, with the activation between them.

        Raises:
            ArgumentError: it is larger than what the page can show, or the activation is unknown.
        """
        if len(self.layers) > MOST_LAYERS or not all(1 <= units <= MOST_UNITS for units in self.layers):
            raise ArgumentError(
                f"play: a network here has at most {MOST_LAYERS} hidden layers of 1 to {MOST_UNITS} units, found "
                f"{', '.join(map(str, self.layers))}"
            )
        widths, made = (2, *self.layers, outputs), list[nn.Module]()
        for number, (fan_in, fan_out) in enumerate(zip(widths, widths[1:], strict=False)):
            made.append(nn.Linear(fan_in, fan_out))
            if number < len(self.layers):
                made.append(activation_by_name(self.activation))
        return nn.Sequential(*made, seed=self.seed)


class _Watched(nn.Sequential):
    """The same layers, giving the values of all hidden units and of the outputs side by side."""

    def __call__(self, x: Tensor) -> Tensor:
        seen = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number % 2 == 1 or number == len(self.layers) - 1:
                seen.append(x)
        return concatenate(seen, axis=1) if len(seen) > 1 else x


class Playground:
    """A network and its rows, at any step.

    Attributes:
        lock: for threads that share it; whoever asks holds it.
        ended: the step whose loss was not finite; −1 where there is none so far.

    Args:
        data: the rows.
        recipe: what is trained on them.

    Raises:
        ArgumentError: they do not go together, or a name or number is none that it could be.
    """

    def __init__(self, data: PlaneData, recipe: Recipe) -> None:
        self.data, self.recipe, self.classes = data, recipe, len(data.classes)
        loss = get_loss(recipe.loss)
        outputs = outputs_for(recipe.loss, self.classes)
        if not outputs:
            what = f"{self.classes} classes" if self.classes else "numbers"
            raise ArgumentError(f"play: the loss {recipe.loss!r} does not fit a target of {what}; choose another")
        self.net, self.optimizer = recipe.network(outputs), recipe.rule()
        self.rows = self._rows(data.x, data.y, loss)
        self.test_rows = self._rows(data.test_x, data.test_y, loss) if len(data.test_x) else None
        self.graphs = Graphs.of(self.net, self.rows, loss, "float32")
        size = rows_per_step(recipe.batch_size, len(self.rows), "play")
        self.batches = Batches(self.rows, size, recipe.seed, shuffle=True)
        self.recording = Recording(self.net, self.graphs, self.rows, None, loss, self.optimizer, self._settings(size))
        weights = self.net.parameters()
        start = Snapshot(weights, {}, self.optimizer.init(weights))
        self.lock = RLock()
        self._moments, self._curve, self.ended = {0: start}, dict[int, tuple[float, float | None]](), -1
        self._stepper = make_stepper(
            COMPILED, StepProgram.of(self.graphs.step, "float32", engine=REFERENCE), self.optimizer, self.batches,
            start, lambda first, count: np.ones(count), clip_value=None, clip_norm=None, threads=1, shards=1,
        )  # fmt: skip
        self._judge = StepProgram.of(self.graphs.forward, "float32")
        self._opened: Opened | None = None
        watched = _Watched(*self.net.layers, seed=recipe.seed)
        self._watched = ForwardProgram(prediction_graph(watched, self.rows.x))

    def _rows(self, x: Array, y: Array, loss: Any) -> Rows:
        return check_rows(self.net, x, targets_for(self.recipe.loss, y, self.classes), loss, None, "float32", "play")

    def _settings(self, size: int) -> Settings:
        per_epoch = -(-len(self.data.x) // size)
        return Settings(
            batch_size=size, epochs=-(-MOST_STEPS // per_epoch), until=None, tol=0.0, patience=None,
            schedule=Constant(),
            clip_norm=None, clip_value=None, restore_best=False, seed=self.recipe.seed, shuffle=True, dtype="float32",
            engine=COMPILED, threads=1, shards=1, metrics=(), train_metrics=(), train_loss_each_epoch=False,
            checkpoint_every=math.inf,
        )  # fmt: skip

    def moment(self, step: int) -> Snapshot:
        """Weights and state before step `step`; the last that are finite where the training ended before.

        Raises:
            ArgumentError: the step is none that can be asked for.
        """
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= MOST_STEPS:
            raise ArgumentError(f"play: step must be a whole number from 0 to {MOST_STEPS:,}, found {step!r}")
        step = step if self.ended < 0 else min(step, self.ended)
        if step in self._moments:
            return self._moments[step]
        now = self._moments[max(at for at in self._moments if at <= step)]
        self._stepper.restore(now)
        for mark in [*(at for at in self.marks(step) if at > now.step), step]:
            now = self._onward(now, mark)
            if now.step < mark:  # the loss was not finite
                break
        return now

    def _onward(self, now: Snapshot, step: int) -> Snapshot:
        """Take steps, and keep where that leads."""
        losses = self._stepper.run(now.step, step - now.step)
        if len(losses) and not math.isfinite(losses[-1]):
            self.ended = now.step + len(losses) - 1
        found = self._stepper.snapshot()
        self._moments[found.step] = found
        if len(self._moments) > KEPT:
            del self._moments[sorted(self._moments)[1 + found.step % (KEPT // 2)]]
        return found

    def marks(self, step: int) -> list[int]:
        """The steps before `step` at which the losses of all rows are measured: ends of epochs, ever fewer."""
        per_epoch, found, epoch = self.batches.steps_per_epoch, [0], 0
        while (epoch + max(1, epoch // 25)) * per_epoch < step:
            epoch += max(1, epoch // 25)
            found.append(epoch * per_epoch)
        return [at for at in found if at < step]

    def curve(self, step: int) -> list[tuple[int, float, float | None]]:
        """(step, the loss of all rows, that of the rows to test on) at the marks and at `step` itself."""
        found = []
        for mark in [*self.marks(step), step]:
            if mark not in self._curve:
                moment = self.moment(mark)
                if moment.step < mark:
                    break
                self._curve[mark] = self.losses(moment)
            found.append((mark, *self._curve[mark]))
        return found

    def losses(self, moment: Snapshot) -> tuple[float, float | None]:
        """The loss of all rows, and that of the rows to test on."""
        test = None if self.test_rows is None else loss_of_all(self._judge, self.test_rows, moment.values)
        return loss_of_all(self._judge, self.rows, moment.values), test

    def pictures(self, moment: Snapshot, points: int) -> tuple[Array, Array]:
        """Over a square of so many points a side, its first row the highest: (hidden units, shares of the outputs).

        Returns:
            (units, points, points), and (shares, points, points) as `shares_of` tells.
        """
        side = np.linspace(-self.data.reach, self.data.reach, points)
        across, up = np.meshgrid(side, side[::-1])
        values = self.units(moment, np.stack([across.ravel(), up.ravel()], axis=1))
        hidden = sum(self.recipe.layers)
        shares = shares_of(self.recipe.loss, values[:, hidden:], self.classes)
        return values[:, :hidden].T.reshape(-1, points, points), shares.T.reshape(-1, points, points)

    def units(self, moment: Snapshot, x: Any) -> Array:
        """The values of all hidden units, and then the outputs, for rows: (rows, units)."""
        rows = np.ascontiguousarray(x, dtype=np.float32)
        return self._watched({**moment.values, X: rows, SEED: np.asarray(0), STEP: np.asarray(0)})["outputs"]

    def shares(self, moment: Snapshot, x: Any) -> Array:
        """What the outputs say of rows, as `shares_of` tells."""
        return shares_of(self.recipe.loss, self.units(moment, x)[:, sum(self.recipe.layers) :], self.classes)

    def opened(self, step: int) -> OpenedStep:
        """The step to come, with all its numbers."""
        before = self.moment(step)
        if self._opened is None:
            self._opened = Opened(self.net, self.rows, self.recording.loss)
        numbers = self.batches.numbers_of(before.step)
        return self._opened(before, self.rows.take(numbers), numbers, self.optimizer)

    def layer_names(self) -> Iterable[tuple[str, str]]:
        """(weight's name, bias's name) of each affine layer."""
        return [(f"{k}.weight", f"{k}.bias") for k in range(0, len(self.net), 2)]


def activation_formulas() -> dict[str, str]:
    """Each registered activation with the formula of its docstring."""
    return {name: _first_line(made) for name, made in nn.activations.ACTIVATIONS.items()}


def _first_line(made: Any) -> str:
    text = (made.__doc__ or "").strip().split("\n")[0]
    return text.split(". Source")[0].rstrip(".")
