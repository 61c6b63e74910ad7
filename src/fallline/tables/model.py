"""A model of a table: encoders and network as one thing, in one file."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.data.by_blocks import computed, first_of
from fallline.data.encoders import TableEncoder
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.data.targets import ClassTarget, NumberTarget, target_from_json
from fallline.errors import ArgumentError, FalllineError, KindError, ModelFileError, told
from fallline.nn.model_file import network_from, read_tensors, save_network
from fallline.nn.module import Module
from fallline.tables.images import network_of, plan_from_json
from fallline.tables.network import NetworkPlan
from fallline.tables.stored import check_table, check_widths
from fallline.training.metrics import METRICS, probabilities

Array = NDArray[Any]
KEY = "table"


class TableModel:
    """What `fallline train` makes: it takes rows as they are and gives labels or values.

    Attributes:
        network: the network, on encoded rows.
        encoder: table → matrix.
        target: labels or values ↔ what the network gives.
        plan: the shape of the network, or None for a network of another kind.
        about: JSON values about its training (scores, rows, versions).
    """

    def __init__(
        self,
        network: Module,
        encoder: TableEncoder,
        target: ClassTarget | NumberTarget,
        plan: NetworkPlan,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.encoder = encoder
        self.target = target
        self.plan = plan
        self.about = about or {}

    def __repr__(self) -> str:
        return f"<TableModel: {self.task} of {self.target.name!r} from {len(self.encoder.source_columns)} columns>"

    @property
    def task(self) -> str:
        """Whether it gives classes ("classification") or numbers ("regression")."""
        return "classification" if isinstance(self.target, ClassTarget) else "regression"

    @property
    def classes(self) -> list[Any]:
        """The labels, in the order of `predict_proba`'s columns.

        Raises:
            ArgumentError: the model predicts numbers.
        """
        if not isinstance(self.target, ClassTarget):
            raise ArgumentError(f"this model predicts numbers ({self.target.name!r}); it has no classes")
        return self.target.classes

    @property
    def loss(self) -> str:
        """The loss it is trained with."""
        return "cross_entropy" if isinstance(self.target, ClassTarget) else "mse"

    def read(self, data: Any, header: bool | None = None) -> Table:
        """The table of data of any kind `read_table` takes; images are brought to the form of training."""
        return read_table(data, header, self.encoder.images)

    def outputs(self, data: Any, notices: list[str] | None = None) -> Array:
        """The network's raw outputs for rows of any kind `read_table` takes.

        Raises:
            ArgumentError: an output is NaN or infinite, so that no label or value can be told from it.
        """
        table = self.read(data)
        found = np.empty((0, 0))
        for part, rows in self.encoder.parts(table, notices):
            outputs = self.network.predict(rows)
            if not part.start:
                found = scratch.empty((len(table), *outputs.shape[1:]), outputs.dtype)
            found[part] = outputs
        row = first_of(len(found), lambda part: ~np.isfinite(found[part]).reshape(len(found[part]), -1).all(axis=1))
        if row is not None:
            raise ArgumentError(
                f"the model gives no number for {table.place(row)}: its weights are not finite or far too large, "
                "because its training diverged or its file is damaged; train again with a smaller learning rate"
            )
        return found

    def predict(self, data: Any, notices: list[str] | None = None) -> Array:
        """Labels as they were in the training data, or values in the target's units.

        Args:
            data: a DataFrame, path, dict of columns, … with the columns of training (others are ignored).
            notices: a list that receives what a person should be told, such as unknown categories.

        Returns:
            Array (rows,).
        """
        return self.decode(self.outputs(data, notices))

    def predict_proba(self, data: Any, notices: list[str] | None = None) -> Array:
        """The probability of each class, (rows, classes), in the order of `classes`.

        Raises:
            ArgumentError: the model predicts numbers.
            DataError: a column is missing, or a cell cannot be what its column was in training.
        """
        if not isinstance(self.target, ClassTarget):
            raise ArgumentError(f"this model predicts numbers ({self.target.name!r}); it has no probabilities")
        return probabilities(self.outputs(data, notices))

    def decode(self, outputs: Array) -> Array:
        """The network's outputs as labels or values."""
        if isinstance(self.target, ClassTarget):
            return self.target.decode(np.argmax(outputs, axis=-1))
        return self.target.decode(outputs)

    def score(self, outputs: Array, table: Table, notices: list[str] | None = None) -> dict[str, float]:
        """Metrics of outputs against a table's own target; the first is the one that counts.

        Classification: accuracy, log_loss and, for two classes, roc_auc. Regression: rmse, mae and r2, in
        the target's units.
        """
        values = table.column(self.target.name)
        if isinstance(self.target, ClassTarget):
            codes = self.target.encode(values, table.place, notices)
            names = ["accuracy", "log_loss", *(["roc_auc"] if len(self.target.classes) == 2 else [])]
            return _measured(names, outputs, codes)
        self.target.encode(values, table.place, notices)  # refuses what is no number
        true = _as_float(values)
        predicted = self.target.decode(outputs)
        return _measured(["rmse", "mae", "r2"], predicted, true)

    def save(self, path: Any) -> None:
        """Write the model to one .safetensors file."""
        save_network(self.network, path, {KEY: self.to_json()}, self.signature())

    def signature(self) -> tuple[tuple[int, ...], str]:
        """(shape of an encoded row, dtype)."""
        return (len(self.encoder.feature_names),), str(self.encoder.dtype)

    def to_json(self) -> dict[str, Any]:
        """Everything but the weights, as JSON can hold it."""
        return {
            "encoder": self.encoder.to_json(),
            "target": self.target.to_json(),
            "plan": self.plan.to_json(),
            "about": self.about,
        }

    def trainable_network(self) -> Module:
        """A network of the same plan with this model's weights, ready to be trained on."""
        network = network_of(self.plan)
        network.load_parameters(self.network.parameters())
        return network


def _measured(names: list[str], outputs: Array, targets: Array) -> dict[str, float]:
    """Metrics by name; of outputs that are not finite they are NaN, without a warning."""
    with np.errstate(all="ignore"):
        return {name: METRICS[name](outputs, targets) for name in names}


def _as_float(values: Array) -> NDArray[np.float64]:
    if values.dtype.kind != "O":
        return computed(len(values), np.float64, lambda part: values[part])
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def load(path: Any, into: Module | None = None) -> Any:
    """Open a model file.

    Args:
        path: written by `net.save`, `fallline train` or as a checkpoint. Nothing in it is ever run.
        into: a network made in Python, whose weights and buffers are set from the file; needed to train on.

    Returns:
        `into`; or a `TableModel` for a model of a table; or a network that predicts.

    Raises:
        ModelFileError: the file is missing, damaged, of another version, or does not fit `into`.
        KindError: `into` is no network.
    """
    if into is not None and not isinstance(into, Module):
        raise KindError(f"load: into must be a network (an nn.Module), found {type(into).__name__}")
    arrays, metadata = read_tensors(path)
    network = network_from(arrays, metadata, path, into)
    if into is not None or KEY not in metadata:
        return network
    return _checked(lambda: _table_model(network, metadata[KEY]), path)


def _table_model(network: Module, saved: Any) -> TableModel:
    check_table(saved)
    encoder, target = TableEncoder.from_json(saved["encoder"]), target_from_json(saved["target"])
    plan = plan_from_json(saved["plan"])
    outputs = len(target.classes) if isinstance(target, ClassTarget) else 1
    features = len(encoder.feature_names)
    check_widths(encoder, outputs, plan)
    given = network.predict(np.zeros((1, features), dtype=encoder.dtype))
    if given.shape != (1, outputs):
        raise ModelFileError(f"its network gives {given.shape[1:]} for a row, where {(outputs,)} is needed")
    return TableModel(network, encoder, target, plan, dict(saved["about"]))


def _checked(make: Callable[[], TableModel], path: Any) -> TableModel:
    try:
        return make()
    except FalllineError as error:
        raise ModelFileError(f"{str(path)!r} does not hold a whole model: {told(error)}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ModelFileError(
            f"{str(path)!r} does not hold a whole model ({type(error).__name__}: {told(error)}); save or copy it again"
        ) from None
