"""One step of a network of layers, opened: what each layer gives, and what backpropagation brings back to it.

    forward    z₀ = x·W₀ + b₀,  a₁ = f(z₀), …        the loss of each row, and their mean L
    backward   dL/dz and dL/da of every layer, dL/dW and dL/db
    update     w ← w − η·dw, or what the rule makes of it

The gradients are those of `fl.loss_and_gradients`, the update is `Optimizer.update`: the same bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.programs import make_program
from fallline.ir.graph import Graph, nodes_in
from fallline.ir.types import BATCH
from fallline.nn.layers import Sequential
from fallline.nn.losses import Loss
from fallline.nn.trace import DENOMINATOR, X, Y, tracing
from fallline.ops.leaf import make_input
from fallline.optim import Optimizer
from fallline.training.step import GRADIENT, LOSS, LOSS_SCOPE, ROWS, Rows
from fallline.training.steppers import Snapshot

Array = NDArray[Any]
VALUE, SLOPE = "value of ", "slope at "


@dataclass(frozen=True)
class OpenedStep:
    """One step's numbers.

    Attributes:
        rows: the numbers of its rows in the training set.
        losses: of each of them, (rows,).
        loss: their mean, L.
        values: what each layer gave, (rows, units), in order.
        slopes: dL by each of these, (rows, units).
        gradients: dL/dw by dotted name.
        before, after: weights and state, and what the update made of them.
    """

    rows: Array
    losses: Array
    loss: float
    values: list[Array]
    slopes: list[Array]
    gradients: dict[str, Array]
    before: Snapshot
    after: Snapshot


class Opened:
    """Opens steps of a network of layers.

    Args:
        net: the layers.
        rows: data of the kind that batches will have.
        loss: the loss.
    """

    def __init__(self, net: Sequential, rows: Rows, loss: Loss) -> None:
        x = make_input(X, (BATCH, *rows.x.shape[1:]), str(rows.x.dtype))
        y = make_input(Y, (BATCH, *rows.y.shape[1:]), str(rows.y.dtype))
        denominator = make_input(DENOMINATOR, (), "float32")
        parameters = net.named_parameters()
        self.layers, layer_values = len(net), []
        with tracing(net, training=True):
            inside = x
            for number in range(self.layers):
                inside = net[number](inside)
                layer_values.append(inside)
        with nodes_in(LOSS_SCOPE):
            row_losses = loss.rows(inside, y)
            value = row_losses.sum() / denominator
        wanted = gradients(value, [*layer_values, *parameters.values()])
        outputs = {LOSS: value, ROWS: row_losses}
        outputs |= {f"{VALUE}{k}": tensor for k, tensor in enumerate(layer_values)}
        outputs |= {f"{SLOPE}{k}": tensor for k, tensor in enumerate(wanted[: self.layers])}
        outputs |= {GRADIENT + n: tensor for n, tensor in zip(parameters, wanted[self.layers :], strict=True)}
        inputs = {X: x, Y: y, DENOMINATOR: denominator, **parameters}
        self._graph = Graph({n: t.node for n, t in inputs.items()}, {n: t.node for n, t in outputs.items()})
        self._programs: dict[int, Any] = {}

    def __call__(self, before: Snapshot, batch: Rows, numbers: Array, optimizer: Optimizer) -> OpenedStep:
        """The step that a snapshot stands before.

        Args:
            before: weights and the optimizer's state.
            batch: the step's rows.
            numbers: theirs in the training set.
            optimizer: makes the update.
        """
        if len(batch) not in self._programs:
            self._programs[len(batch)] = make_program(self._graph, {BATCH.name: len(batch)})
        found: Mapping[str, Array] = self._programs[len(batch)](
            {**before.weights, X: batch.x, Y: batch.y, DENOMINATOR: np.float32(len(batch))}
        )
        grads = {name: found[GRADIENT + name] for name in before.weights}
        weights, state = optimizer.update(before.weights, grads, before.state)
        return OpenedStep(
            rows=numbers,
            losses=found[ROWS],
            loss=float(found[LOSS]),
            values=[found[f"{VALUE}{k}"] for k in range(self.layers)],
            slopes=[found[f"{SLOPE}{k}"] for k in range(self.layers)],
            gradients=grads,
            before=before,
            after=Snapshot(weights, before.buffers, state),
        )
