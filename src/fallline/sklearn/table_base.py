"""What the estimators for tables share: settings, fitting, and what a pickle of them holds."""

import tempfile
import warnings
from dataclasses import asdict
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from fallline.data.table import Table
from fallline.errors import DataError, KindError
from fallline.sklearn import table_rows as rows
from fallline.tables.columns import ColumnInfo
from fallline.tables.copies import content_order, different_rows
from fallline.tables.model import TableModel, load
from fallline.tables.parts import HELD_OUT
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.selection import train_well
from fallline.tables.train import TableRun, require_settings

Array = NDArray[Any]
FEW_ROWS = 20
"""With fewer different rows, those set aside would be missed more than they could tell."""


class TableEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What `TableClassifier` and `TableRegressor` share; the arguments and attributes are told there."""

    _task = ""

    def __init__(
        self,
        *,
        validation: Any = None,
        drop: Any = None,
        hidden: Any = None,
        activation: str | None = None,
        dropout: float | None = None,
        optimizer: str | None = None,
        learning_rate: float | str | None = None,
        schedule: str | None = None,
        batch_size: int | str | None = None,
        epochs: int | None = None,
        patience: int | None = None,
        time_column: str | None = None,
        recipe: str = "auto",
        random_state: Any = None,
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.validation = validation
        self.drop = drop
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.time_column = time_column
        self.recipe = recipe
        self.random_state = random_state
        self.threads = threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on a table.

        A row of weight k counts as k copies of it: rows that occur more than once are trained on once, with the sum of
        their weights, and rows of weight 0 not at all.

        Args:
            X: a pandas, polars or pyarrow table, a mapping from names to columns, a list of mappings, or an array
                (rows, columns) of numbers, text, dates; cells may be missing. Sparse matrices are refused.
            y: a label or number for each row.
            sample_weight: (rows,), finite, ≥ 0.

        Raises:
            ValueError, TypeError: what was wrong with X, y, the weights or a setting, and what to do.
        """
        table = rows.rows_to_fit(self, X)
        self._column_names = table.names
        values = self._targets(y)
        check_consistent_length(table, values)
        weights = self._weights(values, sample_weight)
        target = getattr(y, "name", None)
        target = rows.free_name(target if isinstance(target, str) else "target", table.names)
        weight = rows.free_name("sample_weight", [*table.names, target])
        notices: list[str] = []
        whole = {**table.columns, target: self._target_column(values, notices), weight: weights}
        table = different_rows(Table(whole, table.source, table.notices), weight)
        if len(table) < 2:
            name = type(self).__name__
            raise DataError(
                f"{name}.fit: all rows of weight above 0 are equal; 2 different ones are needed to train on"
            )
        if len(table) < len(values):
            different = f"{len(table):,} different ones of weight above 0"
            notices.append(f"{len(values):,} rows hold {different}; each counts by its weight.")
        options = self._options(table, target, weight if weight in table else None, notices)
        table = self._balanced(table, target, options)
        prepared = prepare(table, target, options)
        prepared.notices[:0] = notices
        require_settings(prepared, options)
        self._keep(train_well(prepared, options, progress=bool(self.verbose)))
        return self

    def save(self, path: Any) -> None:
        """Write the model to one .safetensors file, which `fl.load` and `fallline predict` open."""
        check_is_fitted(self)
        self.model_.save(path)

    def _targets(self, y: Any) -> Array:
        raise NotImplementedError

    def _target_column(self, values: Array, notices: list[str]) -> Array:
        return values

    def _weights(self, values: Array, sample_weight: Any) -> Array:
        return rows.weights(self, sample_weight, len(values))

    def _balanced(self, table: Table, target: str, options: TableOptions) -> Table:
        return table

    def _options(self, table: Table, target: str, weight: str | None, notices: list[str]) -> TableOptions:
        """The settings as `fallline train` has them, without a test part."""
        return TableOptions(
            task=self._task,
            validation=self._validation(table, target, weight, notices),
            test_part=False,
            drop=_several("drop", self.drop, str),
            hidden=None if self.hidden is None else _several("hidden", self.hidden, Integral),
            activation=self.activation,
            dropout=self.dropout,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=self.patience,
            weight_column=weight,
            time_column=self.time_column,
            recipe=self.recipe,
            seed=_seed(self.random_state),
            threads=self.threads,
        )

    def _validation(self, table: Table, target: str, weight: str | None, notices: list[str]) -> float | Table | None:
        """A share of the rows, rows of their own, or none."""
        given = self.validation
        if isinstance(given, tuple | list) and len(given) == 2:
            further = rows.rows_to_predict(self, given[0])
            values = self._targets(given[1])
            check_consistent_length(further, values)
            column = self._target_column(values, [])
            return Table({**further.columns, target: column}, further.source, further.notices)
        if given is None:
            inputs = [values for name, values in table.columns.items() if name not in (target, weight)]
            different = int(content_order(inputs, len(table)).max()) + 1
            classes = len(set(table.column(target).tolist())) if self._task == "classification" else 0
            if different >= FEW_ROWS and len(table) > classes:
                return HELD_OUT
            notices.append(
                f"All rows are trained on, and none is set aside to tell when to stop: fewer than {FEW_ROWS} differ."
            )
            return None
        if isinstance(given, bool) or not isinstance(given, Real):
            raise KindError(f"validation must be a share of the rows, or a pair (X, y), found {given!r:.60}")
        return None if given == 0 else float(given)

    def _keep(self, trained: TableRun) -> None:
        run, prepared = trained.run, trained.prepared
        self.model_, self.run_ = trained.model, run
        self.columns_, self.notices_ = prepared.infos, prepared.notices
        self.history_, self.n_iter_ = run.history, run.epochs
        self.validation_scores_, self.selection_ = trained.validation_scores, prepared.selection
        if run.stopped == "nan":
            warnings.warn(f"{type(self).__name__}: {run.problem}", stacklevel=3)
        if run.stopped == "interrupted":
            warnings.warn(f"{type(self).__name__}: training was interrupted by the user", stacklevel=3)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Settings, plain values, and the model as the bytes of its file; the training, `run_`, is left out."""
        state: dict[str, Any] = {**super().__getstate__()}
        state.pop("run_", None)
        if "model_" in state:
            state["model_"] = _to_bytes(state["model_"])
            state["columns_"] = [asdict(info) for info in state["columns_"]]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` gave; the model is read, with all its checks, from its file's bytes."""
        state = dict(state)
        if "model_" in state:
            state["model_"] = _from_bytes(state["model_"])
            state["columns_"] = [ColumnInfo(**info) for info in state["columns_"]]
        super().__setstate__(state)


def _several(name: str, given: Any, kind: type) -> tuple[Any, ...]:
    """One value or several as a tuple."""
    values = () if given is None else (given,) if isinstance(given, kind) else given
    if isinstance(values, str) or not np.iterable(values) or not all(isinstance(value, kind) for value in values):
        wanted = "names of columns" if kind is str else "whole numbers"
        raise KindError(f"{name} must be one or several {wanted}, found {given!r:.60}")
    return tuple(values)


def _seed(random_state: Any) -> int:
    if random_state is None:
        return 0
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _to_bytes(model: TableModel) -> bytes:
    with tempfile.TemporaryDirectory(prefix="fallline-") as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        return path.read_bytes()


def _from_bytes(data: bytes) -> Any:
    with tempfile.TemporaryDirectory(prefix="fallline-") as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(data)
        return load(path)
