"""The loss and metrics of a network on data, in prediction mode."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import check_network, values_of
from fallline.ops import exact
from fallline.optim import global_norm
from fallline.training import metrics as metric_registry
from fallline.training.step import LOSS, OUTPUTS, ROWS, Rows, StepProgram, check_rows

Array = NDArray[Any]
CHUNK = 4096


def mean_loss(program: StepProgram, rows: Rows, values: Mapping[str, Array]) -> tuple[float, Array]:
    """(Σ wᵢ·lᵢ / Σ wᵢ over all rows, the outputs), many rows at a time.

    The row losses are added in float64 by halving, so the result does not depend on how rows are cut.
    A loss that is one number for a whole batch is computed on all rows at once.
    """
    kept: list[Array] = []
    loss = loss_of_all(program, rows, values, kept.append)
    return loss, kept[0] if len(kept) == 1 else np.concatenate(kept)


def loss_of_all(
    program: StepProgram, rows: Rows, values: Mapping[str, Array], see: Callable[[Array], None] = lambda outputs: None
) -> float:
    """The loss of `mean_loss` alone; `see` is shown the outputs, part by part."""
    if ROWS not in program.graph.outputs:
        results = program.program(len(rows))(program.inputs(rows, values, 1.0, 0, 0))
        see(results[OUTPUTS])
        return float(results[LOSS])
    losses = scratch.empty(len(rows), np.float64)
    chunk = program.forward.rows_at_once
    for start in range(0, len(rows), chunk):
        part = rows.take(slice(start, start + chunk))
        found = program.forward(program.inputs(part, values, 1.0, 0, 0))
        losses[start : start + chunk] = found[ROWS]
        see(found[OUTPUTS])
    if rows.weight is None:
        return float(exact.tree_sum(losses)) / len(rows)
    weight = rows.weight

    def weighted(start: int, stop: int) -> Array:
        return np.asarray(losses[start:stop] * weight[start:stop].astype(np.float64))

    def alone(start: int, stop: int) -> Array:
        return weight[start:stop].astype(np.float64)

    return float(exact.tree_sum_of(len(rows), weighted)) / float(exact.tree_sum_of(len(rows), alone))


def full_gradient_norm(program: StepProgram, rows: Rows, values: Mapping[str, Array]) -> float:
    """‖dL/dw‖₂ over all weights, of the loss of all rows: chunk by chunk, each divided by the whole."""
    total = len(rows) if rows.weight is None else float(exact.tree_sum(rows.weight))
    chunk = CHUNK if ROWS in program.graph.outputs else len(rows)
    gradients: dict[str, Array] = {}
    for start in range(0, len(rows), chunk):
        part = program(rows.take(slice(start, start + chunk)), values, total).gradients
        gradients = {name: gradients[name] + g for name, g in part.items()} if gradients else part
    return float(global_norm(gradients))


def evaluate(
    net: Module, x: Any, y: Any, metrics: Any = (), loss: Any = "cross_entropy", sample_weight: Any = None
) -> dict[str, float]:
    """The loss and the metrics of a network on data; nothing is changed.

    Args:
        net: the network.
        x: inputs (rows, …).
        y: targets.
        metrics: names ("accuracy", "rmse", …) or functions of (outputs, targets); one, or several.
        loss: a name, a loss object or a function.
        sample_weight: (rows,), for the loss.

    Returns:
        {"loss": …, "accuracy": …}.
    """
    check_network(net, "evaluate")
    chosen = get_loss(loss)
    functions = [metric_registry.get(metric) for metric in metric_registry.one_or_several(metrics)]
    rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, "evaluate")
    program = StepProgram(net, rows, chosen, training=False, backward=False, dtype=net.dtype)
    value, outputs = mean_loss(program, rows, values_of(net))
    return {"loss": value, **{metric.name: metric(outputs, rows.y) for metric in functions}}
