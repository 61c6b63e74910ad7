"""Parts that are not set aside, and weights in the parts that are."""

from typing import Any

import numpy as np
import pytest

from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import DataError
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import train_table


def test_no_test_part_where_none_is_wanted(garden: Table) -> None:
    options = TableOptions(drop=("yield",), hidden=(4,), epochs=2, test_part=False)
    prepared = prepare(garden, "fruit", options)
    assert {name: len(part) for name, part in prepared.parts.items()} == {"training": 128, "validation": 32}
    trained = train_table(prepared, options)
    assert trained.scores == {}
    assert trained.outputs.shape == (0, 2)
    assert set(trained.validation_scores) == {"accuracy", "log_loss", "roc_auc"}


def test_every_row_is_trained_on_where_no_part_is_wanted(garden: Table) -> None:
    options = TableOptions(drop=("fruit",), hidden=(4,), epochs=2, patience=1, test_part=False, validation=None)
    prepared = prepare(garden, "yield", options)
    assert {name: len(part) for name, part in prepared.parts.items()} == {"training": 160}
    assert prepared.validation is None
    trained = train_table(prepared, options)
    assert trained.run.best_epoch is None
    assert trained.run.epochs == 2, "patience needs rows to judge by"
    assert trained.validation_scores == {}


def test_two_rows_are_enough_where_no_part_is_wanted() -> None:
    table = read_table({"x": [1.0, 2.0], "y": [3.5, 4.5]})
    options = TableOptions(task="regression", test_part=False, validation=None)
    assert len(prepare(table, "y", options).parts["training"]) == 2
    with pytest.raises(DataError, match="has 2 rows with a target; 3 are needed: 2 to train on, 1 to judge by"):
        prepare(table, "y", TableOptions(task="regression", test_part=False))


def test_validation_rows_have_their_weights(columns: dict[str, list[Any]]) -> None:
    columns["weight"] = [1.0 + i % 5 for i in range(160)]
    options = TableOptions(drop=("yield",), hidden=(4,), epochs=1, weight_column="weight")
    prepared = prepare(read_table(columns), "fruit", options)
    assert prepared.validation is not None
    x, y, weights = prepared.validation
    assert weights.tolist() == prepared.parts["validation"].column("weight").tolist()
    trained = train_table(prepared, options)
    logits = trained.model.network.predict(x).astype(np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    assert trained.run.history["validation_loss"][0] == pytest.approx(float(np.average(losses, weights=weights)), 1e-5)


def test_validation_rows_without_any_weight_count_alike(columns: dict[str, list[Any]]) -> None:
    options = TableOptions(drop=("yield",), weight_column="weight")
    columns["weight"] = [float(i) for i in range(160)]
    place = prepare(read_table(columns), "fruit", options).parts["validation"].column("weight").astype(int)
    columns["weight"] = [0.0 if i in place else 1.0 for i in range(160)]
    prepared = prepare(read_table(columns), "fruit", options)
    assert prepared.validation is not None
    assert len(prepared.validation) == 2
