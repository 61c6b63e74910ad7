"""Estimators for tables as they are: the networks of `fallline train`, for scikit-learn's users."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fallline.data.spelling import distinct
from fallline.data.table import Table
from fallline.errors import ArgumentError, KindError
from fallline.sklearn import table_rows as rows
from fallline.sklearn.table_base import TableEstimator
from fallline.tables.prepare import TableOptions
from fallline.tables.train import TableRun

Array = NDArray[Any]


class TableClassifier(ClassifierMixin, TableEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network for classes from a table as it is, as `fallline train` makes it.

    Numbers, categories, truth values and dates are told apart, encoded and standardised; missing cells and unknown
    categories are no error. What is None is decided from the data: `fallline train` decides alike, and gives the same
    weights, bit for bit, for the same different rows, seed and validation rows.

    Args:
        validation: the share of the rows set aside to tell when training is best, 0 for none, or (X, y); by default
            0.2, and none where fewer than 20 rows differ.
        drop: names of columns to leave out.
        hidden: width of each hidden layer.
        activation: a name of `nn.activations`.
        dropout: probability after each hidden layer.
        optimizer: a name of `optim`.
        learning_rate: of the optimizer, or "auto": found by a short trial, of which nothing else remains.
        schedule: a name of `optim.schedules`.
        batch_size: rows of a step, or "all".
        epochs: passes over the rows.
        patience: stop after so many epochs without a lower validation loss.
        time_column: the column by which the latest rows are the validation rows; by default they are random ones.
        recipe: "usual" (numbers in pieces, wide layers), "plain" (numbers as they are, narrow layers), or "auto": where
            there are 2,000 to 10,000 rows both are tried, and the better one is taken.
        class_weight: {label: weight}, or "balanced": rows of all classes together weigh alike.
        random_state: a whole number, 0 by default; the same number gives the same bits. A `RandomState` gives one.
        threads: how many compute; never changes the result.
        verbose: whether to show the training's progress.

    Attributes:
        classes_: the labels, in order.
        n_features_in_, feature_names_in_: columns of X, and their names where they have such.
        model_: the `TableModel`, which also `save` writes.
        run_: the `Run` of the training; it is not part of a pickle.
        history_: its history, one number for each epoch.
        n_iter_: how many epochs were trained.
        selection_: of few rows, what was found for the training on all: `epochs`, `recipe`, `history`; or None.
        validation_scores_: accuracy, log_loss and roc_auc on the validation rows; empty without such.
        columns_: what each column is, and why one is left out.
        notices_: what was decided or noticed, in sentences.
    """

    _task = "classification"

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
        class_weight: Any = None,
        random_state: Any = None,
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            validation=validation,
            drop=drop,
            hidden=hidden,
            activation=activation,
            dropout=dropout,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            batch_size=batch_size,
            epochs=epochs,
            patience=patience,
            time_column=time_column,
            recipe=recipe,
            random_state=random_state,
            threads=threads,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def predict(self, X: Any) -> Array:
        """The most probable label of each row: (rows,)."""
        most = np.argmax(self.predict_proba(X), axis=1)
        labels: Array = self.classes_[most]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class: (rows, classes), in the order of `classes_`."""
        check_is_fitted(self)
        probabilities: Array = self.model_.predict_proba(rows.rows_to_predict(self, X))[:, self._places]
        return probabilities

    def _targets(self, y: Any) -> Array:
        values = rows.labels(self, y)
        check_classification_targets(values)
        return values

    def _weights(self, values: Array, sample_weight: Any) -> Array:
        weights = super()._weights(values, sample_weight)
        given = self.class_weight
        if isinstance(given, Mapping):
            weights = weights * _weights_by_label(given, values)
        elif given is not None and given != "balanced":
            raise KindError(f"class_weight must be 'balanced' or {{label: weight}}, found {given!r:.60}")
        self.classes_ = np.unique(values[weights > 0.0])
        return weights

    def _target_column(self, values: Array, notices: list[str]) -> Array:
        """Labels as the model will know them: as they are, or where two are spelled alike, by their places."""
        if len(distinct(rows.label_column(self.classes_))[0]) == len(self.classes_):
            return rows.label_column(values)
        notices.append(f"The model knows the labels as numbers from 0, since two of {len(self.classes_)} look alike.")
        known = np.isin(values, self.classes_)
        return np.where(known, np.searchsorted(self.classes_, values), -1)

    def _keep(self, trained: TableRun) -> None:
        super()._keep(trained)
        codec = trained.prepared.codec
        self._places = codec.encode(self._target_column(self.classes_, []))  # of our classes among the model's

    def _balanced(self, table: Table, target: str, options: TableOptions) -> Table:
        """n / (classes × rows of the class) for each row, where rows and weights count alike."""
        if self.class_weight != "balanced":
            return table
        if options.weight_column is None:
            options.class_weight = "balanced"
            return table
        weights = table.column(options.weight_column)
        _, codes = np.unique(table.column(target), return_inverse=True)
        sums = np.bincount(codes, weights)
        factors = np.bincount(np.zeros(len(weights), dtype=np.int64), weights) / (len(sums) * sums)
        columns = {**table.columns, options.weight_column: weights * factors[codes]}
        return Table(columns, table.source, table.notices, table.lines)


class TableRegressor(RegressorMixin, TableEstimator):  # type: ignore[misc]
    """A network for numbers from a table as it is, as `fallline train` makes it.

    Args:
        target_scale: "linear", "log" for positive values that span orders of magnitude, or "auto", which decides by
            them. Predictions are in the units of y.
        validation, drop, …: as `TableClassifier` has them, without class_weight.

    Attributes:
        validation_scores_: rmse, mae and r2 on the validation rows; empty without such.
        model_, run_, …: as `TableClassifier` has them, without classes_.
    """

    _task = "regression"

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
        target_scale: str = "auto",
        random_state: Any = None,
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            validation=validation,
            drop=drop,
            hidden=hidden,
            activation=activation,
            dropout=dropout,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            batch_size=batch_size,
            epochs=epochs,
            patience=patience,
            time_column=time_column,
            recipe=recipe,
            random_state=random_state,
            threads=threads,
            verbose=verbose,
        )
        self.target_scale = target_scale

    def predict(self, X: Any) -> Array:
        """The value of each row, in the units of y: (rows,) float64."""
        check_is_fitted(self)
        values: Array = self.model_.predict(rows.rows_to_predict(self, X))
        return values

    def _targets(self, y: Any) -> Array:
        return rows.numbers(self, y)

    def _options(self, table: Table, target: str, weight: str | None, notices: list[str]) -> TableOptions:
        return replace(super()._options(table, target, weight, notices), target_scale=self.target_scale)


def _weights_by_label(given: Mapping[Any, Any], values: Array) -> Array:
    """(rows,) weight of each row's label; 1 for a label that is not named."""
    labels, codes = np.unique(values, return_inverse=True)
    known = labels.tolist()
    for label, weight in given.items():
        if label not in known:
            raise ArgumentError(f"class_weight names the class {label!r}, which no row has; y has {known[:20]}")
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0.0 < float(weight) < np.inf:
            raise ArgumentError(f"class_weight of {label!r} must be a finite number above 0, found {weight!r}")
    return np.array([float(given.get(label, 1.0)) for label in known])[codes]
