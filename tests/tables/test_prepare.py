"""Decisions before training: which rows are for what, statistics of the training rows alone, and what is refused."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import ArgumentError, DataError
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.recipe import LARGEST_RATE, default_recipe, plain_recipe
from fallline.tables.train import train_table


def rows(prepared: Prepared, part: str) -> set[tuple[Any, ...]]:
    return set(zip(*(values.tolist() for values in prepared.parts[part].columns.values()), strict=True))


def prepared_of(table: Table, target: str = "fruit", **options: Any) -> Prepared:
    return prepare(table, target, TableOptions(**options))


def test_every_row_is_in_one_part(columns: dict[str, list[Any]]) -> None:
    columns["height"] = [i + 0.5 for i in range(160)]
    parts = prepared_of(read_table(columns)).parts
    heights = [height for part in parts.values() for height in part.column("height")]
    assert sorted(heights) == columns["height"]
    assert {name: len(part) for name, part in parts.items()} == {"test": 32, "validation": 26, "training": 102}


def test_each_part_has_the_classes_in_proportion() -> None:
    table = read_table(
        {"a": [math.sin(i) for i in range(200)], "y": ["rare" if i % 10 == 0 else "usual" for i in range(200)]}
    )
    parts = prepared_of(table, "y").parts
    counts = {name: (part.column("y") == "rare").sum() for name, part in parts.items()}
    assert counts == {"test": 4, "validation": 3, "training": 13}


def test_the_seed_alone_decides_the_split(garden: Table) -> None:
    first, again, other = (prepared_of(garden, seed=seed) for seed in (1, 1, 2))
    for name in ("training", "validation", "test"):
        assert np.array_equal(first.parts[name].column("yield"), again.parts[name].column("yield"))
        assert not np.array_equal(first.parts[name].column("yield"), other.parts[name].column("yield"))


@pytest.mark.parametrize("target", ["fruit", "yield"])
def test_statistics_are_those_of_the_training_rows_alone(columns: dict[str, list[Any]], target: str) -> None:
    before = prepared_of(read_table(columns), target)
    kept = [float(h) for h in before.parts["training"].column("height") if h == h]
    height = before.encoder.encoders[0].to_json()
    assert height["mean"] == pytest.approx(np.mean(kept), rel=1e-12)
    assert height["deviation"] == pytest.approx(np.std(kept), rel=1e-12)
    training = {float(value) for value in before.parts["training"].column("yield")}
    if target == "yield":
        values = [float(value) for value in before.parts["training"].column("yield")]
        assert before.codec.to_json()["mean"] == pytest.approx(np.mean(values), rel=1e-12)
        assert before.codec.to_json()["deviation"] == pytest.approx(np.std(values), rel=1e-12)

    for row in range(160):  # what the other rows hold must not matter
        if columns["yield"][row] not in training:
            columns["height"][row] = 1e6 + row
            columns["soil"][row] = "moon dust"
            if target == "yield":
                columns["yield"][row] += 1e5
    after = prepared_of(read_table(columns), target)
    assert after.encoder.to_json() == before.encoder.to_json()
    assert after.codec.to_json() == before.codec.to_json()
    assert np.array_equal(after.matrices["training"][0], before.matrices["training"][0])
    assert not np.array_equal(after.matrices["test"][0], before.matrices["test"][0])


def test_the_recipe_is_the_default_but_for_what_was_wished(garden: Table) -> None:
    recipe = prepared_of(garden, hidden=(7,), learning_rate=0.5).recipe
    usual = default_recipe(102)
    assert (recipe.hidden, recipe.learning_rate) == ((7,), 0.5)
    assert (recipe.activation, recipe.epochs, recipe.schedule) == (usual.activation, usual.epochs, usual.schedule)
    assert recipe.batch_size == min(102, int(usual.batch_size))


@pytest.mark.parametrize(("share", "times"), [(1.0, 1.0), (2.0, 1.0), (0.5, 2.0), (0.02, 4.0)])
def test_fewer_epochs_have_larger_steps_to_a_limit(garden: Table, share: float, times: float) -> None:
    rows = read_table({name: [*values.tolist()] * 6 for name, values in garden.columns.items()})
    usual = prepared_of(rows).recipe
    assert usual.learning_rate == LARGEST_RATE / 4
    recipe = prepared_of(rows, epochs=round(share * usual.epochs)).recipe
    assert recipe == replace(usual, epochs=recipe.epochs, learning_rate=times * usual.learning_rate)
    assert prepared_of(rows, epochs=1, learning_rate=1e-4).recipe.learning_rate == 1e-4
    assert prepared_of(rows, epochs=1, optimizer="sgd").recipe.learning_rate == 0.05


@pytest.mark.parametrize("epochs", [0, -1, 2.5, True, "3"])
def test_epochs_are_a_whole_number(garden: Table, epochs: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"fit: epochs must be a whole number of at least 1, found {epochs!r}"):
        prepared_of(garden, epochs=epochs)


@pytest.mark.parametrize(("rows", "classes"), [(60, LARGEST_RATE), (150, 2e-3), (600, 1e-3), (1900, 1e-3)])
def test_narrow_networks_have_small_steps_for_classes_where_there_are_enough(rows: int, classes: float) -> None:
    assert default_recipe(rows).learning_rate == pytest.approx(classes, rel=0.2)
    assert default_recipe(rows, task="regression").learning_rate == LARGEST_RATE
    plain = plain_recipe(default_recipe(rows), rows, "classification")
    assert plain == replace(default_recipe(rows), pieces=0)


def test_a_network_that_was_trained_before_needs_no_larger_steps(garden: Table) -> None:
    prepared = prepared_of(garden, epochs=1)
    model = train_table(prepared, TableOptions(epochs=1), progress=False).model
    assert prepared_of(garden, init=model, epochs=1).recipe.learning_rate == prepared_of(garden).recipe.learning_rate


def test_another_rule_has_its_own_usual_rate(garden: Table) -> None:
    assert prepared_of(garden, optimizer="sgd").recipe.learning_rate == 0.05
    assert prepared_of(garden, optimizer="adam").recipe.learning_rate == 0.001
    assert prepared_of(garden, optimizer="sgd", learning_rate=0.3).recipe.learning_rate == 0.3


def test_only_an_explicit_batch_is_told_to_be_cut(garden: Table) -> None:
    cut = "The batch of 103 rows was cut to the 102 training rows."
    told = prepared_of(garden, batch_size=103)
    assert told.notices == [*prepared_of(garden, batch_size=102).notices, cut]
    assert told.recipe.batch_size == 102
    assert prepared_of(garden, batch_size="all").recipe.batch_size == "all"


def test_parts_from_elsewhere_take_no_training_rows(garden: Table, columns: dict[str, list[Any]]) -> None:
    further = read_table({name: values[:10] for name, values in columns.items()})
    prepared = prepared_of(garden, validation=further, test=further)
    assert {name: len(part) for name, part in prepared.parts.items()} == {"test": 10, "validation": 10, "training": 160}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_is_between_0_and_1(garden: Table, share: float) -> None:
    with pytest.raises(ArgumentError, match="validation must be a share between 0 and 1, or a file; found"):
        prepared_of(garden, validation=share)


def test_the_task_is_one_of_three(garden: Table) -> None:
    with pytest.raises(ArgumentError, match="task must be one of auto, classification, regression; found 'both'"):
        prepared_of(garden, task="both")


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_is_named_with_its_row(columns: dict[str, list[Any]], wrong: float) -> None:
    columns["weight"] = [wrong] * 160
    with pytest.raises(DataError, match=r"row \d+: the weight column 'weight' must hold a finite number of 0 or more"):
        prepared_of(read_table(columns), weight_column="weight")


def test_too_large_a_network_is_refused_with_the_numbers(garden: Table) -> None:
    with pytest.raises(ArgumentError, match=r"has 4,000,[\d,]+ parameters and needs 128,\d+\.\d GB for training; this"):
        prepared_of(garden, hidden=(2_000_000, 2_000_000))


def test_patience_is_a_quarter_of_the_epochs_that_nobody_asked_for(garden: Table) -> None:
    epochs = prepared_of(garden).recipe.epochs
    assert prepared_of(garden).patience == max(10, math.ceil(epochs / 4))
    assert prepared_of(garden, epochs=80).patience is None
    assert prepared_of(garden, epochs=80, patience=3).patience == 3
    assert prepared_of(garden, patience=3, validation=None).patience is None
