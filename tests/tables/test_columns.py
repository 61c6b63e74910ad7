from pathlib import Path

import numpy as np
import pytest

from fallline.data.samples import load_sample, sample_names, sample_target
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import DataError
from fallline.tables.columns import DROPPED_KINDS, describe_columns, guess_target, infer_task

DATA = Path(__file__).parents[3] / "shared" / "data"


def kinds(name: str, target: str | None = None) -> dict[str, str]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return {info.name: info.kind for info in describe_columns(read_table(path), target)}


def texts(cells: list[str | None]) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def only(values: np.ndarray, name: str = "v") -> tuple[str, str]:
    spare = np.sin(np.arange(len(values)))
    info = describe_columns(Table({name: values, "spare": spare}))[0]
    assert info.used == (info.kind not in DROPPED_KINDS)
    return info.kind, info.reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tabular/titanic.csv", {"PassengerId": "identifier", "Name": "name", "Ticket": "category", "Cabin": "category",
                                 "Sex": "category", "Age": "number", "Pclass": "number", "Survived": "number"}),
        ("tabular/mpg.csv", {"name": "name", "model_year": "number", "origin": "category"}),
        ("tabular/insurance.csv", {"smoker": "boolean", "region": "category", "children": "number"}),
        ("tabular/mushrooms.csv", {"veil_type": "constant", "bruises": "boolean", "odor": "category"}),
        ("tabular/german.csv", {"column_1": "category", "column_2": "number", "column_21": "number"}),
        ("tabular/bank_additional.csv", {"pdays": "number", "default": "category", "month": "category"}),
        ("tabular/diamonds.csv.gz", {"carat": "number", "clarity": "category", "price": "number"}),
        ("timeseries/beijing_pm25.csv.gz", {"No": "identifier", "year": "number", "cbwd": "category"}),
        ("timeseries/airline_passengers.csv", {"Month": "date", "Passengers": "number"}),
        ("timeseries/daily_min_temperatures.csv", {"Date": "date", "Temp": "number"}),
        ("text/sms_spam.tsv", {"column_1": "category", "column_2": "text"}),
    ],
)  # fmt: skip
def test_kinds_of_public_data(name: str, expected: dict[str, str]) -> None:
    found = kinds(name)
    assert {column: found[column] for column in expected} == expected


@pytest.mark.parametrize(
    "name", ["heart_cleveland.csv", "sonar.csv", "winequality_red.csv", "abalone.csv", "california_housing.csv",
             "adult_train.csv.gz", "higgs_7k_train.tsv.gz", "pima_indians_diabetes.csv", "penguins.csv"]
)  # fmt: skip
def test_nothing_is_dropped_where_every_column_tells_something(name: str) -> None:
    assert not set(kinds(f"tabular/{name}").values()) & set(DROPPED_KINDS)


def test_columns_of_the_bundled_sets() -> None:
    dropped = {
        name: [info.name for info in describe_columns(load_sample(name), sample_target(name)) if not info.used]
        for name in sample_names()
    }
    assert dropped.pop("digits") == ["pixel_0_0", "pixel_4_0", "pixel_4_7"]
    assert not any(dropped.values())


@pytest.mark.parametrize(
    ("name", "values", "kind", "reason"),
    [
        ("v", np.arange(30), "identifier", "'v' is left out: it counts the rows from 0 to 29."),
        ("v", np.random.default_rng(0).permutation(30) + 1, "identifier", "it counts the rows from 1 to 30"),
        ("v", np.arange(30) ** 2, "number", ""),
        ("customer_id", np.arange(30) ** 2, "identifier", "its name says that it identifies"),
        ("customerId", np.arange(30) ** 2, "identifier", "its name says that it identifies"),
        ("humid", np.arange(30) ** 2, "number", ""),
        ("year", np.arange(1990, 2020), "number", ""),
        ("v", np.arange(10), "number", ""),  # too few rows to say
        ("v", np.arange(30) + 0.5, "number", ""),
        ("v", np.array([3.0] * 30), "constant", "'v' is left out: it is 3.0 in every row."),
        ("v", np.array([3.0] * 29 + [np.nan]), "number", ""),  # that it is missing may tell something
        ("v", np.full(30, np.nan), "empty", "'v' is left out: it has no value in any row."),
        ("v", np.array([True, False] * 15), "boolean", ""),
        ("v", texts(["Yes", "no", None] * 10), "boolean", ""),
        ("v", texts(["x"] * 30), "constant", "'v' is left out: it is 'x' in every row."),
        ("v", texts([f"k{i}" for i in range(30)]), "identifier", "it names single rows (30 different values"),
        ("v", texts([f"a story of {i} words" for i in range(30)]), "text", "'v' is read as free text (30 different"),
        ("v", texts([f"Rose Tyler {i}" for i in range(30)]), "name", "'v' is left out: it holds names or short texts"),
        ("v", texts([f"Rose Tyler {i}" for i in range(1000)]), "text", "'v' is read as free text"),
        ("v", texts([f"今日は良い天気です、{chr(0x4e00 + i)}" for i in range(30)]), "text", "'v' is read as free text"),
        ("v", texts(["red", "green", None] * 10), "category", ""),
        ("v", texts(["2020-01-05", "2021-03-04"] * 15), "date", "'v' is read as dates written YYYY-MM-DD."),
        ("v", texts(["01/05/2020", "03/04/2020"] * 15), "date", "no day is beyond the 12th, so that day"),
        ("v", np.arange("2020-01-01", "2020-01-31", dtype="datetime64[D]").astype("datetime64[us]"), "date", ""),
    ],
)  # fmt: skip
def test_kinds_and_their_reasons(name: str, values: np.ndarray, kind: str, reason: str) -> None:
    found, why = only(values, name)
    assert found == kind
    assert reason in why
    assert bool(why) == bool(reason)


def test_counts_of_missing_and_distinct() -> None:
    info = describe_columns(Table({"v": np.array([1.0, np.nan, 1.0, 2.0]), "t": np.zeros(4)}), target="t")[0]
    assert (info.missing, info.distinct) == (1, 2)


def test_a_counter_is_used_where_there_is_nothing_else() -> None:
    infos = describe_columns(Table({"v": np.arange(50), "result": np.arange(50) * 2.0}), target="result")
    assert [(info.name, info.kind) for info in infos] == [("v", "number")]
    assert "it is used because there is no other column to learn from" in infos[0].reason


@pytest.mark.parametrize(
    ("columns", "guess"),
    [
        (["age", "y", "default"], "y"),
        (["x", "y", "z", "Price"], "Price"),
        (["Survived", "Name"], "Survived"),
        (["a", "b", "c"], "c"),
    ],
)
def test_the_target_is_guessed(columns: list[str], guess: str) -> None:
    name, reason = guess_target(Table({column: np.sin(np.arange(30)) for column in columns}))
    assert name == guess
    assert repr(name) in reason


def test_samples_know_their_target() -> None:
    assert guess_target(load_sample("wine"))[0] == "cultivar"


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        (texts(["a", "b", None]), "classification", "text with 2 different values"),
        (np.array([True, False]), "classification", "true or false"),
        (np.array([1, 2, 1]), "classification", "two values, 1 and 2"),
        (np.array([-1.0, 1.0, np.nan]), "classification", "two values, -1 and 1"),
        (np.array([0, 1, 2, 3, 4]), "classification", "counts from 0 to 4 without a gap"),
        (np.arange(20), "classification", "counts from 0 to 19"),
        (np.arange(21), "regression", "a number with 21 different values"),
        (np.array([3, 4, 5, 6]), "regression", "a number with 4 different values"),
        (np.array([1, 2, 4]), "regression", "a number with 3 different values"),
        (np.array([0.0, 0.5, 1.0]), "regression", "a number with 3 different values"),
        (np.array([0, 1, 2], dtype=np.uint8), "classification", "counts from 0 to 2"),
    ],
)
def test_the_task_follows_from_the_values(values: np.ndarray, task: str, reason: str) -> None:
    found, why = infer_task(values)
    assert found == task
    assert reason in why


def test_targets_without_a_task_are_told() -> None:
    with pytest.raises(DataError, match="The target has no value in any row"):
        infer_task(np.full(3, np.nan))
    with pytest.raises(DataError, match="The target holds dates, which cannot be predicted"):
        infer_task(np.array(["2020-01-01"], dtype="datetime64[us]"))
