"""A model of a table in Python: rows of any kind in, labels or numbers out; saved, opened, the same."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fallline as fl
from fallline.errors import ArgumentError, DataError, KindError
from fallline.tables.train import TableRun


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_rows_of_every_kind_are_the_same_rows(fruit: TableRun, columns: dict[str, list[Any]], tmp_path: Path) -> None:
    with (tmp_path / "garden.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    expected = fruit.model.predict_proba(columns)
    frames = {
        "list of rows": rows_of(columns),
        "pandas": pd.DataFrame(columns),
        "polars": pl.DataFrame(columns),
        "pyarrow": pa.table(columns),
        "path": tmp_path / "garden.csv",
        "text of a path": str(tmp_path / "garden.csv"),
    }
    for name, frame in frames.items():
        assert np.array_equal(fruit.model.predict_proba(frame), expected), name
        assert len(fruit.model.predict(frame)) == 160, name


def test_labels_belong_to_the_largest_probability(fruit: TableRun, columns: dict[str, list[Any]]) -> None:
    model = fruit.model
    chances = model.predict_proba(columns)
    assert model.classes == ["ripe", "unripe"]
    assert chances.shape == (160, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-12)
    assert model.predict(columns).tolist() == ["ripe" if first >= second else "unripe" for first, second in chances]
    assert repr(model) == "<TableModel: classification of 'fruit' from 5 columns>"


def test_numbers_come_in_the_units_of_the_target(harvest: TableRun, columns: dict[str, list[Any]]) -> None:
    model = harvest.model
    matrix = model.encoder.transform(fl.tables.model.read_table(columns))
    standardised = model.network.predict(matrix)[:, 0].astype(np.float64)
    training = [float(value) for value in harvest.prepared.parts["training"].column("yield")]
    np.testing.assert_allclose(model.predict(columns), standardised * np.std(training) + np.mean(training), rtol=1e-9)
    with pytest.raises(ArgumentError, match=r"this model predicts numbers \('yield'\); it has no probabilities"):
        model.predict_proba(columns)
    with pytest.raises(ArgumentError, match=r"this model predicts numbers \('yield'\); it has no classes"):
        _ = model.classes


@pytest.mark.parametrize("name", ["fruit", "harvest"])
def test_a_saved_model_gives_the_same_bits(
    name: str, columns: dict[str, list[Any]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name).model
    for number in (1, 2):  # and once more, from the opened one
        model.save(tmp_path / f"{number}.safetensors")
        opened = fl.load(tmp_path / f"{number}.safetensors")
        assert np.array_equal(opened.outputs(columns), model.outputs(columns))
        assert opened.predict(columns).tolist() == model.predict(columns).tolist()
        assert opened.to_json() == model.to_json()
        assert all(np.array_equal(v, model.network.parameters()[k]) for k, v in opened.network.parameters().items())
        model = opened


def test_the_order_of_rows_and_columns_does_not_matter(fruit: TableRun, columns: dict[str, list[Any]]) -> None:
    outputs = fruit.model.outputs(columns)
    backwards = {name: values[::-1] for name, values in reversed(columns.items())}
    assert np.array_equal(fruit.model.outputs(backwards), outputs[::-1])


def test_columns_that_training_did_not_use_are_not_needed(fruit: TableRun, columns: dict[str, list[Any]]) -> None:
    outputs = fruit.model.outputs(columns)
    del columns["fruit"], columns["yield"]
    assert np.array_equal(fruit.model.outputs({**columns, "new": list(range(160))}), outputs)
    del columns["soil"]
    with pytest.raises(DataError, match="the dictionary lacks the column 'soil' of training"):
        fruit.model.predict(columns)


def test_what_a_person_should_know_is_told(fruit: TableRun, columns: dict[str, list[Any]]) -> None:
    columns["soil"][3] = "moon dust"
    notices: list[str] = []
    fruit.model.predict(columns, notices)
    assert notices == ["Column 'soil' holds categories that training did not see: 'moon dust'."]


def test_no_rows_give_no_predictions(fruit: TableRun, columns: dict[str, list[Any]]) -> None:
    frame = pd.DataFrame(columns)
    assert len(fruit.model.predict(frame[:1])) == 1
    assert fruit.model.predict(frame[:0]).shape == (0,)
    assert fruit.model.predict_proba(frame[:0]).shape == (0, 2)


def test_what_is_no_table_is_refused(fruit: TableRun) -> None:
    with pytest.raises(KindError, match="A table is read from a path"):
        fruit.model.predict(7)


def test_a_model_of_a_table_is_no_network_to_load_into(fruit: TableRun, tmp_path: Path) -> None:
    fruit.model.save(tmp_path / "m.safetensors")
    with pytest.raises(KindError, match="load: into must be a network"):
        fl.load(tmp_path / "m.safetensors", into="m")  # type: ignore[arg-type]
    twin = fruit.model.trainable_network()
    fl.load(tmp_path / "m.safetensors", into=twin)
    assert all(np.array_equal(v, fruit.model.network.parameters()[k]) for k, v in twin.parameters().items())


def test_the_plan_counts_the_parameters(fruit: TableRun, harvest: TableRun) -> None:
    for run in (fruit, harvest):
        assert run.model.plan.parameters == sum(a.size for a in run.model.network.parameters().values())
        assert run.model.plan.embedded  # 20 plants
