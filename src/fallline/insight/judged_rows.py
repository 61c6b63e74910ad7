"""How a network does on each row: its loss, its margin, the class it is taken for; at any weights of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import ForwardProgram
from fallline.errors import ArgumentError
from fallline.ir.graph import Graph
from fallline.nn.trace import SEED, STEP, X, Y
from fallline.training.step import OUTPUTS, ROWS, Rows

Array = NDArray[Any]


@dataclass(frozen=True)
class Judged:
    """Each row, judged in prediction mode.

    Attributes:
        losses: (rows,), float64.
        margins: by how much the row's own class is ahead of the next one, in the network's outputs: negative where
            another is ahead; (rows,). None where the targets are no classes.
        outputs: (rows, …).
    """

    losses: Array
    margins: Array | None
    outputs: Array


class Judge:
    """Judges rows at any weights.

    Args:
        graph: of prediction: outputs and the loss of each row (`Graphs.judge`).
        engine: "compiled" or "reference".
        call: who asks, for errors.

    Raises:
        ArgumentError: the loss is no sum over rows.
    """

    def __init__(self, graph: Graph, engine: str, call: str) -> None:
        if ROWS not in graph.outputs:
            raise ArgumentError(f"{call}: the loss gives one number for all rows, so that no row has a loss of its own")
        self._forward = ForwardProgram(graph, engine)

    def __call__(self, rows: Rows, values: Mapping[str, Array]) -> Judged:
        """Judge rows at weights and buffers by name."""
        size, parts = self._forward.rows_at_once, []
        for start in range(0, len(rows), size):
            part = rows.take(slice(start, start + size))
            still = np.zeros((), dtype=np.int64)
            parts.append(self._forward({**values, X: part.x, Y: part.y, SEED: still, STEP: still}))
        found = {name: np.concatenate([part[name] for part in parts]) for name in (OUTPUTS, ROWS)}
        outputs = found[OUTPUTS].astype(np.float64)
        return Judged(found[ROWS].astype(np.float64), margins(outputs, rows.y), outputs)


def margins(outputs: Array, targets: Array) -> Array | None:
    """Output of the row's own class less the largest of the others; t·o for two classes with one output."""
    if outputs.ndim == 2 and outputs.shape[1] > 1 and targets.ndim == 1 and targets.dtype.kind in "iu":
        own = outputs[np.arange(len(outputs)), targets]
        others = outputs.copy()
        others[np.arange(len(outputs)), targets] = -np.inf
        return np.asarray(own - others.max(axis=1))
    if outputs.size == len(outputs) == targets.size and set(np.unique(targets)) in ({0, 1}, {-1, 1}):
        return np.asarray(np.where(targets.reshape(-1) > 0, 1.0, -1.0) * outputs.reshape(-1))
    return None


def seen_as(outputs: Array, margin: float | None) -> int | None:
    """The class that a row's outputs say; None where they are no classes."""
    if margin is None:
        return None
    if outputs.size > 1:
        return int(np.argmax(outputs))
    return int(outputs.reshape(-1)[0] > 0.0)
