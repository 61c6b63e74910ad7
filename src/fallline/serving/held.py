"""A model made ready to be asked often: its program is made once, and one row takes a short way through its encoders.

`net.predict` traces the network anew in each call, which takes a millisecond; here that is done when the model is
opened. The bits are those of `fl.load(model).predict`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.table import Table
from fallline.engine.programs import ForwardProgram
from fallline.nn.module import Module
from fallline.nn.trace import SEED, STEP, X, prediction_graph, values_of
from fallline.serving.cells import RowEncoder
from fallline.tables.model import TableModel

Array = NDArray[Any]
ROWS_AT_ONCE = 4096
"""As `net.predict` takes them."""
WARM = (1, 16, 128)
"""Numbers of rows whose programs are made before the first request."""


class HeldNetwork(Module):
    """A network that predicts by a program that is made once; its weights must not change any more.

    Args:
        network: the network.
        width: numbers of an encoded row.
        dtype: of an encoded row.
    """

    def __init__(self, network: Module, width: int, dtype: Any) -> None:
        super().__init__()
        self._forward = ForwardProgram(prediction_graph(network, np.zeros((1, width), dtype=dtype)))
        self._values = {**values_of(network), SEED: np.asarray(0), STEP: np.asarray(0)}

    def predict(self, x: Any, batch_size: int = ROWS_AT_ONCE) -> Array:
        """The network's outputs for encoded rows: (rows, width) → (rows, outputs)."""
        starts = range(0, max(len(x), 1), batch_size)
        parts = [self._forward({**self._values, X: x[start : start + batch_size]})["outputs"] for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class HeldModel:
    """A `TableModel` that is asked often.

    Attributes:
        model: the same model, with a network that holds its program.

    Args:
        model: opened by `fallline.load`.
    """

    def __init__(self, model: TableModel) -> None:
        network = HeldNetwork(model.network, len(model.encoder.feature_names), model.encoder.dtype)
        self.model = TableModel(network, model.encoder, model.target, model.plan, model.about)
        self._rows = RowEncoder(model.encoder)
        for rows in WARM:
            network.predict(np.zeros((rows, len(model.encoder.feature_names)), dtype=model.encoder.dtype))

    def outputs(self, table: Table, notices: list[str]) -> Array:
        """The network's outputs for the rows of a table: (rows, outputs).

        Raises:
            DataError: a column is missing, or a cell cannot be what its column was in training.
            ArgumentError: an output is not finite.
        """
        return self.model.outputs(table, notices)

    def one(self, row: dict[str, Any], notices: list[str]) -> Array | None:
        """The network's outputs for one row, (1, outputs), with the bits of `outputs`.

        Args:
            row: a value for each column of the model, as JSON has them.
            notices: what a person should be told is appended here.

        Returns:
            None where an output is not finite; `outputs` says so.

        Raises:
            DataError: a cell cannot be what its column was in training.
        """
        found = self.model.network.predict(self._rows.encode(row, notices))
        return found if np.isfinite(found).all() else None
