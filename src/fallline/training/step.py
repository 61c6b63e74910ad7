"""One step's computation: the one place that joins a network, a loss and backpropagation.

    forward: x → outputs        loss: (outputs, y) → L        backpropagation: L → dL/dw for every w

The update, w ← w − η·dL/dw, is not here: that is gradient descent's (`optim`), and `loop.py` calls it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.programs import COMPILED, ForwardProgram, make_program
from fallline.errors import ArgumentError, KindError, ShapeError
from fallline.ir.graph import Graph, nodes_in
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType, format_shape
from fallline.nn.checks import as_array, first_place, in_words
from fallline.nn.losses import FunctionLoss, Loss
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import (
    DENOMINATOR,
    SAMPLE_WEIGHT,
    SEED,
    STEP,
    TracedNetwork,
    X,
    Y,
    as_input,
    check_network,
    remember_input,
    trace_network,
    values_of,
)
from fallline.ops import exact
from fallline.ops.finite import is_finite
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor

Array = NDArray[Any]
LOSS, OUTPUTS, ROWS = "loss", "outputs", "row_losses"
LOSS_SCOPE = "@loss"
GRADIENT = "gradient of "
UPDATED = "updated "


@dataclass
class Rows:
    """Data checked and converted once: what steps take their batches from.

    Attributes:
        x: (rows, …), floats in the network's dtype or whole numbers.
        y: (rows, …) as the loss wants them.
        weight: (rows,) sample weights in the network's dtype, or None.
    """

    x: Array
    y: Array
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Any) -> "Rows":
        """Some of the rows, in the given order."""
        return Rows(self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])


def check_rows(net: Module, x: Any, y: Any, loss: Loss, sample_weight: Any, dtype: str, call: str) -> Rows:
    """x, y and weights as arrays that fit the network, the loss and each other.

    Raises:
        ShapeError, KindError, ArgumentError: saying which argument, what was needed and what was found.
    """
    check_network(net, call)
    inputs = as_input(x, dtype, call)
    if not len(inputs):
        raise ShapeError(f"{call}: x has no rows; there is nothing to learn from")
    if not is_finite(inputs):
        place = first_place(~np.isfinite(inputs))
        raise ArgumentError(
            f"{call}: x must be finite, found {inputs[place]} in {in_words(place)}; fill or drop it first"
        )
    traced = _trace(net, inputs, training=False)
    remember_input(net, inputs)
    targets = loss.check_targets(y, dtype, traced.outputs.shape[1:])
    if len(targets) != len(inputs):
        raise ShapeError(f"{call}: x has {len(inputs)} rows but y has {len(targets)}; they must agree")
    weight = None if sample_weight is None else check_weight(sample_weight, len(inputs), dtype, call)
    return Rows(inputs, targets, weight)


def check_weight(sample_weight: Any, rows: int, dtype: str, call: str) -> Array:
    """Sample weights as an array (rows,), finite, ≥ 0, not all 0."""
    weight = as_array(f"{call}: sample_weight", sample_weight)
    if weight.shape != (rows,):
        raise ShapeError(f"{call}: sample_weight must have shape ({rows},), found {format_shape(weight.shape)}")
    if weight.dtype.kind not in "fiub" or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise ArgumentError(f"{call}: sample_weight must be finite numbers of 0 or more, not all of them 0")
    return weight.astype(dtype)


def _trace(net: Module, x: Array, training: bool) -> TracedNetwork:
    dtype = DType.FLOAT32 if x.dtype.kind == "f" else DType(str(x.dtype))
    return trace_network(net, x.shape[1:], dtype, training)


def build_graph(net: Module, rows: Rows, loss: Loss, *, training: bool, backward: bool) -> Graph:
    """The graph of loss, outputs and row losses; with `backward`, of every dL/dw too.

    The loss is Σ wᵢ·lᵢ / denominator (or what a function loss returns, where that is one number).
    """
    traced = _trace(net, rows.x, training)
    float_targets = rows.y.dtype.kind == "f"
    y = make_input(Y, (BATCH, *rows.y.shape[1:]), "float32" if float_targets else str(rows.y.dtype))
    weight = None if rows.weight is None else make_input(SAMPLE_WEIGHT, (BATCH,), "float32")
    denominator = make_input(DENOMINATOR, (), "float32")
    with nodes_in(LOSS_SCOPE):
        value, row_losses = _loss_tensors(loss, traced.outputs, y, weight, denominator)
    results = {LOSS: value, OUTPUTS: traced.outputs}
    if row_losses is not None:
        results[ROWS] = row_losses
    if backward:
        parameters = net.named_parameters()
        wanted = gradients(value, list(parameters.values()))
        results |= {GRADIENT + name: tensor for name, tensor in zip(parameters, wanted, strict=True)}
        results |= {UPDATED + name: tensor for name, tensor in traced.updates.items()}
    further = {Y: y, DENOMINATOR: denominator, **({} if weight is None else {SAMPLE_WEIGHT: weight})}
    return traced.graph(results, further)


def typed_graph(net: Module, rows: Rows, loss: Loss, dtype: str, *, training: bool, backward: bool) -> Graph:
    """`build_graph`, in a dtype of floats."""
    graph = build_graph(net, rows, loss, training=training, backward=backward)
    return graph if dtype == "float32" else retype_floats(graph, DType(dtype))


def _loss_tensors(
    loss: Loss, outputs: Tensor, y: Tensor, weight: Tensor | None, denominator: Tensor
) -> tuple[Tensor, Tensor | None]:
    """(the loss as one number, the loss of each row if there is such a thing)."""
    rows = loss.rows(outputs, y)
    if not isinstance(rows, Tensor):
        raise KindError(
            f"the loss {loss!r} must return a tensor made of its arguments, found {type(rows).__name__}; "
            "use operators and fl.* functions instead of NumPy's"
        )
    if isinstance(loss, FunctionLoss) and rows.shape == ():
        if weight is not None:
            raise ArgumentError(
                f"the loss {loss!r} returns one number, so rows cannot be weighted; let it return one number per row"
            )
        return rows, None
    if rows.ndim > 1 and rows.shape[0] == BATCH:
        rows = rows.mean(tuple(range(1, rows.ndim)))
    if rows.shape != (BATCH,):
        raise ShapeError(
            f"the loss {loss!r} must return one number, or one per row, (n,); found {format_shape(rows.shape)}"
        )
    weighted = rows if weight is None else rows * weight
    return weighted.sum() / denominator, rows


@dataclass
class StepResult:
    """What a step computes before any update.

    Attributes:
        loss: of the batch.
        gradients: dL/dw by dotted name.
        buffers: new values of buffers by dotted name.
    """

    loss: float
    gradients: dict[str, Array]
    buffers: dict[str, Array]


class StepProgram:
    """Loss and gradients of batches of one network: traced once, specialised to each number of rows.

    Args:
        net: the network.
        rows: data of the kind that batches will have (their shapes and dtypes count, not their values).
        loss: the loss.
        training: whether Dropout acts and BatchNorm uses the batch.
        backward: whether to backpropagate.
        dtype: "float32" or "float64".
        shards: see `ReferenceProgram`.
        engine: "compiled" or "reference".
    """

    def __init__(
        self,
        net: Module,
        rows: Rows,
        loss: Loss,
        *,
        training: bool = True,
        backward: bool = True,
        dtype: str = "float32",
        shards: int = 1,
        engine: str = COMPILED,
    ) -> None:
        self._take(typed_graph(net, rows, loss, dtype, training=training, backward=backward), dtype, shards, engine)

    @classmethod
    def of(cls, graph: Graph, dtype: str, *, shards: int = 1, engine: str = COMPILED) -> "StepProgram":
        """The program of a graph that `typed_graph` has built, or that was stored."""
        made = cls.__new__(cls)
        made._take(graph, dtype, shards, engine)
        return made

    def _take(self, graph: Graph, dtype: str, shards: int, engine: str) -> None:
        self.graph, self.dtype, self.shards, self.engine = graph, dtype, shards, engine
        self._programs: dict[int, Any] = {}
        per_row = {name: node for name, node in self.graph.outputs.items() if name in (OUTPUTS, ROWS)}
        self.forward = ForwardProgram(Graph(self.graph.inputs, per_row), engine)

    def program(self, rows: int) -> Any:
        """The program for batches of that many rows."""
        if rows not in self._programs:
            self._programs[rows] = make_program(self.graph, {BATCH.name: rows}, self.shards, self.engine)
        return self._programs[rows]

    def inputs(self, batch: Rows, values: Mapping[str, Array], denominator: float, seed: int, step: int) -> Any:
        """Everything a program is given, by input name."""
        given: dict[str, Any] = {**values, X: batch.x, Y: batch.y, SEED: np.int64(seed), STEP: np.int64(step)}
        given[DENOMINATOR] = np.asarray(denominator, dtype=self.dtype)
        if batch.weight is not None:
            given[SAMPLE_WEIGHT] = batch.weight
        return given

    def __call__(
        self, batch: Rows, values: Mapping[str, Array], denominator: float, seed: int = 0, step: int = 0
    ) -> StepResult:
        """Loss, gradients and new buffers of one batch, at the given weights and buffers."""
        results = self.program(len(batch))(self.inputs(batch, values, denominator, seed, step))
        return StepResult(
            float(results[LOSS]),
            {name.removeprefix(GRADIENT): a for name, a in results.items() if name.startswith(GRADIENT)},
            {name.removeprefix(UPDATED): a for name, a in results.items() if name.startswith(UPDATED)},
        )


def loss_and_gradients(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    sample_weight: Any = None,
    *,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
) -> tuple[float, dict[str, Array]]:
    """Backpropagation alone: the loss of these rows, and dL/dw for every weight and bias. Nothing is changed.

        L = Σᵢ wᵢ·lᵢ / Σᵢ wᵢ        (the mean over rows where no weights are given)

    Args:
        net: the network, at its current weights.
        x: inputs (rows, …).
        y: targets, as the loss wants them.
        loss: a name ("mse", "cross_entropy", …), an object of `nn.losses`, or a function of (outputs, targets).
        sample_weight: (rows,), finite, ≥ 0.
        training: trace the network as in training (Dropout acts, BatchNorm uses these rows) or for prediction.
        seed: of Dropout's random numbers; `fl.fit` uses its own `seed`.
        step: the training step, from 0, which Dropout's random numbers depend on.

    Returns:
        (loss, gradients): a float, and arrays of each parameter's shape by dotted name.
    """
    check_network(net, "loss_and_gradients")
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, "loss_and_gradients")
    program = StepProgram(net, rows, chosen, training=training, dtype=net.dtype)
    total = len(rows) if rows.weight is None else float(exact.tree_sum(rows.weight))
    result = program(rows, values_of(net), total, seed, step)
    return result.loss, result.gradients


def trace(net: Module, x: Any, y: Any = None, loss: Any = None) -> Graph:
    """The graph that a network becomes; `print(fl.trace(net, x, y, loss="mse"))` shows it, one line a node.

    With targets and a loss it is the graph of a training step, in which the nodes that backpropagation
    added are marked; without, that of a prediction. Rows stay symbolic (`n`).

    Args:
        net: the network.
        x: inputs (rows, …); only their shape and dtype count.
        y: targets, for the graph of a training step.
        loss: a name, a loss object or a function, for the same.

    Returns:
        The graph.

    Raises:
        ArgumentError, ShapeError, KindError: saying which argument, what was needed and what was found.
    """
    check_network(net, "trace")
    if y is None:
        traced = _trace(net, as_input(x, "float32", "trace"), training=False)
        return traced.graph({OUTPUTS: traced.outputs})
    chosen = get_loss(loss or "cross_entropy")
    rows = check_rows(net, x, y, chosen, None, "float32", "trace")
    return build_graph(net, rows, chosen, training=True, backward=True)
