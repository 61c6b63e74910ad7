"""Few rows: a first training chooses the number of epochs, a second one has all rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.sklearn import TableClassifier
from fallline.tables import selection
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.recipe import plain_recipe
from fallline.tables.selection import FEW_ROWS, Selection, selects, train_well
from fallline.tables.train import TableRun, train_table
from fallline.training.signals import Interrupted

OPTIONS = TableOptions(drop=("yield",), hidden=(4,))


def two_columns(bent: bool) -> Table:
    """A target with six teeth of its column that nothing disturbs; or a straight line under much noise."""
    draw = np.random.default_rng(0)
    x, idle, noise = draw.uniform(0, 6, 240), draw.normal(size=240), draw.normal(size=240)
    return read_table({"x": x, "idle": idle, "y": x % 1.0 if bent else x + 4.0 * noise})


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both recipes are tried on small tables, too."""
    monkeypatch.setattr(selection, "ENOUGH_ROWS", 100)


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


@pytest.mark.parametrize(("bent", "better"), [(True, "usual"), (False, "plain")])
def test_of_two_recipes_the_one_with_the_lower_validation_loss_is_trained_with(
    bent: bool, better: str, few_are_enough: None
) -> None:
    table, options = two_columns(bent), TableOptions(epochs=60, refit=True)
    alone = {}
    for name in ("usual", "plain"):
        by_name = replace(options, recipe=name, refit=False)
        alone[name] = train_table(prepare(table, "y", by_name), by_name)
    both = train_well(prepare(table, "y", options), options)
    found = both.prepared.selection
    assert found is not None
    assert found.losses == {name: min(run.run.history["validation_loss"]) for name, run in alone.items()}
    assert found.recipe == better == min(found.losses, key=lambda name: found.losses[name])
    assert found.epochs == (alone[better].run.best_epoch or 0) + 1
    assert found.scores == alone[better].validation_scores == both.validation_scores
    assert found.history["validation_loss"] == alone[better].run.history["validation_loss"]
    by_hand = replace(options, validation=None, epochs=found.epochs, recipe=better)
    assert bits(both) == bits(train_table(prepare(table, "y", by_hand), by_hand))
    assert ("no better than" in found.told()) is (better == "usual")
    assert f"validation losses {found.losses['plain']:.4g} and {found.losses['usual']:.4g}" in found.told()
    assert both.prepared.notices[-1] == found.told()


@pytest.mark.parametrize(
    "wishes",
    [{"hidden": (8,)}, {"dropout": 0.1}, {"learning_rate": 0.01}, {"batch_size": 100}, {"recipe": "usual"}],
)
def test_a_wish_for_the_network_or_its_training_leaves_it_at_one_recipe(
    wishes: dict[str, Any], few_are_enough: None
) -> None:
    options = TableOptions(**wishes, epochs=1, refit=True)
    found = train_well(prepare(two_columns(bent=True), "y", options), options).prepared.selection
    assert found is not None
    assert (found.recipe, found.losses) == ("auto", {})


def test_one_recipe_is_tried_on_few_rows_and_on_columns_without_pieces(few_are_enough: None) -> None:
    table, options = two_columns(bent=True), TableOptions(epochs=1, refit=True)
    kinds = read_table({"kind": (table.column("x") > 3).tolist(), "y": table.column("y").tolist()})
    found = train_well(prepare(kinds, "y", options), options).prepared.selection
    assert found is not None
    assert not found.losses
    selection.ENOUGH_ROWS = 2_000
    found = train_well(prepare(table, "y", options), options).prepared.selection
    assert found is not None
    assert not found.losses


def test_a_recipe_that_diverges_is_not_taken(few_are_enough: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "plain_recipe", lambda *of: replace(plain_recipe(*of), learning_rate=1e30))
    options = TableOptions(epochs=2, refit=True)
    found = train_well(prepare(two_columns(bent=False), "y", options), options).prepared.selection
    assert found is not None
    assert (found.recipe, found.losses["plain"]) == ("usual", np.inf)
    assert found.to_json()["losses"] == {"usual": found.losses["usual"], "plain": None}


def test_an_interruption_while_the_second_recipe_is_tried_ends_it_all(
    few_are_enough: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def interrupted(prepared: Any, options: Any, **more: Any) -> TableRun:
        result = train_table(prepared, options, **more)
        trained.append(result)
        if len(trained) == 2:
            result.run.stopped = "interrupted"
        return result

    monkeypatch.setattr(selection, "train_table", interrupted)
    options = TableOptions(epochs=1, refit=True)
    with pytest.raises(Interrupted):
        train_well(prepare(two_columns(bent=False), "y", options), options)
    assert len(trained) == 2


def test_an_unknown_recipe_is_refused(garden: Table) -> None:
    with pytest.raises(ArgumentError, match="the recipe must be one of auto, usual, plain; found 'good'"):
        prepare(garden, "fruit", replace(OPTIONS, recipe="good"))


def test_what_was_found_is_json() -> None:
    found = Selection(3, {"training": 4, "validation": 2}, {"rmse": 1.0}, {"loss": [1.0], "seconds": [2.0]}, "plain")
    assert found.to_json()["history"] == {"loss": [1.0]}
