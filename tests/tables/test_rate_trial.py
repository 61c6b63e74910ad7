"""A learning rate that is found by trial leaves no trace but the number."""

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fallline as fl
from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.rate_trial import MOST_ROWS, search, trial_epochs, trial_rows
from fallline.tables.train import TableRun, settle_rate, train_table


@given(st.floats(-9, 1), st.floats(0.01, 100))
def test_the_best_of_a_valley_is_found(valley: float, width: float) -> None:
    tried: list[float] = []

    def loss_at(rate: float) -> float:
        tried.append(rate)
        return width * (math.log(rate) - valley) ** 2

    trial = search(loss_at, 2e-3, 3)
    assert len(tried) == len(set(tried)) <= 9, "each rate is tried once"
    assert sorted(tried) == list(trial.losses)
    assert trial.best is not None
    assert trial.losses[trial.best] == min(trial.losses.values())
    assert trial.found == pytest.approx(trial.best / 3, rel=0.05)
    assert all(
        1.2 < large / small < 3.7 for small, large in zip(list(trial.losses)[:-1], list(trial.losses)[1:], strict=True)
    )
    reach = math.log(2e-3) - 4 * math.log(3), math.log(2e-3) + 4 * math.log(3)
    if reach[0] < valley < reach[1]:
        assert abs(math.log(trial.best) - valley) < 0.6 * math.log(3)


def test_what_diverges_is_worst_and_a_tie_is_the_usual() -> None:
    assert search(lambda rate: math.nan if rate > 1e-3 else 1 / rate, 2e-3, 2).best == 0.00067
    assert search(lambda rate: 1.0, 2e-3, 2).best == 2e-3
    assert search(lambda rate: 1.0, 2e-3, 2).found == 0.00067
    assert search(lambda rate: rate, 2e-3, 2).best == 2.5e-5, "two more where the last is the best"
    hopeless = search(lambda rate: math.inf, 2e-3, 2)
    assert hopeless.found == 2e-3
    assert hopeless.told() == (
        "No learning rate of 0.00022, 0.00067, 0.002, 0.006, 0.018 kept the loss finite for 2 epochs; the usual 0.002 "
        "is used."
    )
    assert hopeless.to_json()["validation_losses"] == [[r, None] for r in (0.00022, 0.00067, 0.002, 0.006, 0.018)]


@given(st.floats(1e-6, 1.0), st.sampled_from([1.0, math.inf]), st.floats(-14, 1))
def test_what_is_told_is_what_was_found(usual: float, times: float, valley: float) -> None:
    trial = search(lambda rate: times * (1.0 + abs(math.log(rate) - valley)), usual, 2)
    assert f"{trial.found:g} " in trial.told()
    assert [float(f"{rate:g}") for rate in (trial.found, *trial.losses)] == [trial.found, *trial.losses]


def test_a_trial_is_short() -> None:
    assert [trial_epochs(epochs) for epochs in (1, 2, 19, 20, 21, 300)] == [1, 2, 2, 2, 3, 30]
    assert trial_rows(100, 3).tolist() == list(range(100))
    many = trial_rows(50_000, 3)
    assert len(many) == len(set(many.tolist())) == MOST_ROWS
    assert np.array_equal(many, trial_rows(50_000, 3))
    assert not np.array_equal(many, trial_rows(50_000, 4))


def bits(run: TableRun) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in run.model.network.parameters().items()}


@pytest.mark.parametrize("wishes", [{}, {"optimizer": "sgd", "schedule": "constant", "dropout": 0.2}])
def test_training_has_the_bits_of_the_number_given_by_hand(garden: Table, wishes: dict[str, Any]) -> None:
    options = TableOptions(drop=("yield",), hidden=(4,), epochs=8, learning_rate="auto", **wishes)
    prepared = prepare(garden, "fruit", options)
    found = train_table(prepared, options)
    trial = prepared.rate_trial
    assert trial is not None
    assert prepared.recipe.learning_rate == trial.found
    assert prepared.notices[-1] == trial.told()
    assert f"The learning rate {trial.found:g} was found by trial: of " in trial.told()
    by_hand = replace(options, learning_rate=trial.found)
    given_run = train_table(prepare(garden, "fruit", by_hand), by_hand)
    assert bits(found) == bits(given_run)
    assert found.run.history["loss"] == given_run.run.history["loss"]
    assert found.run.config == given_run.run.config
    again = prepare(garden, "fruit", options)
    settle_rate(again, options)
    assert again.rate_trial == trial, "the trial itself is exact"


def test_the_losses_are_those_of_short_trainings(garden: Table) -> None:
    options = TableOptions(drop=("fruit",), hidden=(), epochs=20, learning_rate="auto", weight_column="height")
    garden.columns["height"] = np.abs(np.nan_to_num(garden.column("height"), nan=1.0))
    prepared = prepare(garden, "yield", options)
    settle_rate(prepared, options)
    assert prepared.rate_trial is not None
    assert prepared.rate_trial.epochs == 2
    for rate, loss in prepared.rate_trial.losses.items():
        short = replace(options, learning_rate=rate, epochs=2)
        run = train_table(prepare(garden, "yield", short), short).run
        assert min(run.history["validation_loss"]) == loss


def test_a_trial_that_diverges_says_nothing(
    garden: Table, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TableOptions(drop=("fruit",), hidden=(4,), epochs=2, learning_rate="auto", optimizer="sgd")
    prepared = prepare(garden, "yield", options)
    prepared.recipe = replace(prepared.recipe, learning_rate=1e25)
    with caplog.at_level(logging.DEBUG, "fallline"):
        settle_rate(prepared, options)
    assert prepared.rate_trial is not None
    assert any(math.isinf(loss) for loss in prepared.rate_trial.losses.values())
    assert caplog.records == []
    assert not logging.getLogger("fallline").disabled


def test_an_interrupted_trial_ends_all(garden: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    from fallline.tables import train

    def interrupted(*args: Any, **given: Any) -> fl.Run:
        run = real(*args, **given)
        run.stopped, run.signal = "interrupted", 15
        return run

    real = train.fit
    monkeypatch.setattr(train, "fit", interrupted)
    options = TableOptions(drop=("yield",), hidden=(4,), epochs=2, learning_rate="auto")
    with pytest.raises(KeyboardInterrupt) as stop:
        train_table(prepare(garden, "fruit", options), options)
    assert vars(stop.value)["number"] == 15


def test_what_cannot_be_found(garden: Table) -> None:
    with pytest.raises(ArgumentError, match="the learning rate must be a number or 'auto'; found 'best'"):
        prepare(garden, "fruit", TableOptions(learning_rate="best"))
    options = TableOptions(learning_rate="auto", validation=None)
    with pytest.raises(ArgumentError, match="a learning rate is found by the validation loss; set validation rows"):
        train_table(prepare(garden, "fruit", options), options)
