"""Few rows: a first training chooses the number of epochs, a second one has all rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.sklearn import TableClassifier
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.selection import FEW_ROWS, selects, train_well
from fallline.tables.train import TableRun, train_table

OPTIONS = TableOptions(drop=("yield",), hidden=(4,))


def bits(run: TableRun) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in run.model.network.parameters().items()}


@pytest.mark.parametrize(
    "wishes", [{}, {"learning_rate": "auto"}, {"time_column": "height"}, {"weight_column": "size"}]
)
def test_the_second_training_is_one_on_all_rows_for_the_epochs_found(garden: Table, wishes: dict[str, Any]) -> None:
    garden.columns["height"] = np.nan_to_num(garden.column("height"), nan=1.0)
    garden.columns["size"] = 1.0 + np.arange(len(garden)) % 3
    options = replace(OPTIONS, **wishes)
    first = train_table(prepare(garden, "fruit", options), options)
    both = train_well(prepare(garden, "fruit", options), options)
    assert first.run.best_epoch is not None
    known = {"epochs": first.run.best_epoch + 1, "learning_rate": first.prepared.recipe.learning_rate}
    alone = replace(options, validation=None, refit=False, **known)
    assert bits(both) == bits(train_table(prepare(garden, "fruit", alone), alone))
    found = both.prepared.selection
    assert found is not None
    assert (found.epochs, both.run.epochs) == (known["epochs"], known["epochs"])
    assert {**found.history, "seconds": []} == {**first.run.history, "seconds": []}
    assert repr(both.validation_scores) == repr(first.validation_scores)  # one may be NaN
    assert len(both.prepared.parts["training"]) == sum(len(first.prepared.parts[n]) for n in ("training", "validation"))
    assert both.prepared.parts["test"].columns.keys() == first.prepared.parts["test"].columns.keys()
    assert np.array_equal(both.prepared.matrices["test"][1], first.prepared.matrices["test"][1]), "the same test rows"
    assert both.prepared.notices == [*first.prepared.notices, found.told()]


def test_what_is_told(garden: Table) -> None:
    found = train_well(prepare(garden, "fruit", OPTIONS), OPTIONS).prepared.selection
    assert found is not None
    assert found.rows == {"training": 102, "validation": 26}
    words = "1 epoch" if found.epochs == 1 else f"{found.epochs} epochs"
    assert found.told() == (
        f"{words} of training on 102 rows gave the lowest loss on the 26 set aside for validation; all 128 rows are "
        "trained on for as many."
    )


@pytest.mark.parametrize(
    ("wishes", "twice"),
    [
        ({}, True),
        ({"epochs": 3}, False),
        ({"patience": 3}, False),
        ({"validation": None}, False),
        ({"refit": False}, False),
        ({"epochs": 3, "refit": True}, True),
    ],
)
def test_when_there_are_two_trainings(garden: Table, wishes: dict[str, Any], twice: bool) -> None:
    options = replace(OPTIONS, **wishes)
    assert selects(prepare(garden, "fruit", options), options) is twice


def test_many_rows_and_rows_of_a_file_are_trained_on_once(garden: Table) -> None:
    own = replace(OPTIONS, validation=garden)
    assert not selects(prepare(garden, "fruit", own), own)
    many = garden.select(np.arange(len(garden)).repeat(FEW_ROWS // len(garden) + 1))
    options = replace(OPTIONS, test_part=False)
    prepared = prepare(many, "fruit", options)
    assert not selects(prepared, options)
    assert selects(prepared, replace(options, refit=True))


def test_without_a_share_for_validation_nothing_can_be_chosen(garden: Table) -> None:
    options = replace(OPTIONS, validation=None, refit=True)
    with pytest.raises(ArgumentError, match="follows one with a share of them set aside for validation, and there is"):
        selects(prepare(garden, "fruit", options), options)


def test_the_estimators_train_on_all_rows_too(garden: Table) -> None:
    X = {name: values for name, values in garden.columns.items() if name not in ("fruit", "yield")}
    model = TableClassifier(hidden=(4,)).fit(X, garden.column("fruit"))
    assert any("all 160 rows are trained on" in notice for notice in model.notices_)
    assert set(model.validation_scores_) >= {"accuracy", "log_loss"}
