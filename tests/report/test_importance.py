"""Importance of columns: zero for what is not used, what theory says for what is, and only as many tries as fit."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline.data.encoders import TableEncoder
from fallline.data.table import Table
from fallline.report.importance import permutation_importance
from fallline.report.judged import Judged
from fallline.tables.columns import describe_columns


def judged_table(rows: int, width: int = 0) -> tuple[Judged, TableEncoder]:
    chance = np.random.default_rng(5)
    columns = {
        "colour": np.array([("red", "green", "blue")[k] for k in chance.integers(0, 3, rows)], dtype=object),
        "size": chance.normal(size=rows),
        "code": np.array([f"c{k}" for k in chance.integers(0, 30, rows)], dtype=object),
        **{f"other{k}": chance.normal(size=rows) for k in range(width)},
    }
    table = Table(columns)
    encoder = TableEncoder.fit(table, describe_columns(table))
    matrix = encoder.transform(table)
    true = matrix[:, encoder.places()["size"][0]].astype(np.float64)
    return Judged("test", table, matrix, true, true, None, np.zeros(rows), {"rmse": 0.0}, [], rows), encoder


def test_every_feature_belongs_to_one_column() -> None:
    table = judged_table(200)[0].table
    told = np.array([f"some words about row {k}, and {k * k} more" for k in range(200)], dtype=object)
    table = Table({**table.columns, "text": told, "day": np.arange("2020-01-01", "2020-07-19", dtype="M8[D]")})
    encoder = TableEncoder.fit(table, describe_columns(table))
    places = encoder.places()
    assert list(places) == encoder.source_columns
    assert sorted(np.concatenate(list(places.values()))) == list(range(encoder.transform(table).shape[1]))
    names = encoder.feature_names
    for column, features in places.items():
        assert all(names[feature].startswith(column) for feature in features)


def test_a_column_is_worth_what_its_loss_costs() -> None:
    judged, encoder = judged_table(1500)
    size = encoder.places()["size"][0]
    calls: list[int] = []

    def predict(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(len(inputs))
        return inputs[:, size]  # a model that knows the target, and looks at nothing else

    def cost(outputs: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((outputs - judged.true[rows]) ** 2)

    found = permutation_importance(judged, encoder.places(), predict, cost)
    assert found is not None
    loss = dict(zip(found.names, found.loss.tolist(), strict=True))
    assert found.names[0] == "size"
    assert loss["size"] == pytest.approx(np.sqrt(2), rel=0.1)  # √E(a − a′)² of two independent standardised values
    assert (loss["colour"], loss["code"]) == (0.0, 0.0)
    assert found.low[0] < found.loss[0] < found.high[0]
    assert (found.rows, found.repeats, found.left) == (1000, 5, 0)
    again = permutation_importance(judged, encoder.places(), predict, cost)
    assert again is not None
    assert (again.loss == found.loss).all()
    assert max(calls) <= 8192


def test_time_bounds_rows_then_repeats_then_columns() -> None:
    judged, encoder = judged_table(400, width=40)

    def predict(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return inputs[:, 0]

    def cost(outputs: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.abs(outputs - judged.matrix[rows, 0]).astype(np.float64)

    none = permutation_importance(judged, encoder.places(), predict, cost, seconds=0.0)
    assert none is not None
    assert (none.rows, none.repeats, len(none.names), none.left) == (50, 1, 1, 42)
    whole = permutation_importance(judged, encoder.places(), predict, cost, seconds=60.0)
    assert whole is not None
    assert (whole.rows, whole.repeats, whole.left) == (400, 5, 0)


def test_a_single_row_cannot_be_shuffled() -> None:
    judged, encoder = judged_table(30)
    one = Judged("test", judged.table.select([0]), judged.matrix[:1], judged.true[:1], judged.true[:1], None,
                 np.zeros(1), {"rmse": 0.0}, [], 1)  # fmt: skip
    assert permutation_importance(one, encoder.places(), lambda x: x[:, 0], lambda o, r: o) is None
