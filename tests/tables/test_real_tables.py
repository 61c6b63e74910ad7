"""Real tables with `--target` alone: understood without a crash, odd columns explained, one epoch learnt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fallline.data.sources import read_table
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import train_table

TABLES = {  # file → (target, task, columns left out)
    "california_housing.csv": ("median_house_value", "regression", set()),
    "titanic.csv": ("Survived", "classification", {"PassengerId", "Name"}),
    "penguins.csv": ("species", "classification", set()),
    "mushrooms.csv": ("type", "classification", {"veil_type"}),
    "german.csv": ("last", "classification", set()),
    "winequality_red.csv": ("last", "regression", set()),
    "winequality_white.csv": ("last", "regression", set()),
    "insurance.csv": ("charges", "regression", set()),
    "heart_cleveland.csv": ("num", "classification", set()),
    "pima_indians_diabetes.csv": ("last", "classification", set()),
    "sonar.csv": ("last", "classification", set()),
    "abalone.csv": ("last", "regression", set()),
    "mpg.csv": ("mpg", "regression", {"name"}),
    "bank_additional.csv": ("y", "classification", set()),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_real_table_is_understood(name: str, shared_data: Callable[[str], Path]) -> None:
    target, task, left_out = TABLES[name]
    table = read_table(shared_data(f"tabular/{name}"))
    prepared = prepare(table, target, TableOptions(hidden=(8,), epochs=1))
    assert prepared.task == task
    reasons = {info.name: info.reason for info in prepared.infos if not info.used}
    assert set(reasons) == left_out
    assert all(repr(column) in reason for column, reason in reasons.items())
    assert sum(len(part) for part in prepared.parts.values()) == len(table)
    if len(table) < 6000:
        result = train_table(prepared, TableOptions(hidden=(8,), epochs=1), progress=False)
        assert np.isfinite(list(result.scores.values())).all()


def test_the_labels_of_the_adult_test_part_end_in_a_dot(shared_data: Callable[[str], Path]) -> None:
    table = read_table(shared_data("tabular/adult_train.csv.gz"))
    test = read_table(shared_data("tabular/adult_test.csv.gz"))
    prepared = prepare(table, "last", TableOptions(test=test, hidden=(), epochs=1))
    assert prepared.target == "column_15"
    assert len(prepared.parts["test"]) == 16281
    assert any("'<=50K.' was taken as the class '<=50K'" in notice for notice in prepared.notices)
