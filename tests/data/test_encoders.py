import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.data.encoders import TableEncoder
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import DataError


@dataclass(frozen=True)
class Info:
    name: str
    kind: str
    date_format: str | None = None


def texts(*cells: str | None) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def fit(table: Table, **kinds: str) -> TableEncoder:
    return TableEncoder.fit(table, [Info(name, kind) for name, kind in kinds.items()])


@given(st.lists(st.integers(-(2**30), 2**30).map(lambda n: n / 1024) | st.just(math.nan), min_size=2, max_size=40))
def test_numbers_have_the_statistics_of_the_training_rows(values: list[float]) -> None:
    present = [Fraction(value) for value in values if value == value]
    if len(set(present)) < 2:
        return
    mean = sum(present) / len(present)
    variance = sum((value - mean) ** 2 for value in present) / len(present)
    spread = float(max(present) - min(present))
    if spread < 1e-3 * float(max(abs(value) for value in present)):
        return  # differences so small that float64 holds few digits of them
    encoder = fit(Table({"x": np.array(values), "unit": np.arange(len(values)) % 2}), x="number", unit="number")
    number = encoder.encoders[0]
    assert number.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-9 * spread)
    assert number.deviation == pytest.approx(math.sqrt(variance), rel=1e-9)
    z = encoder.transform(Table({"x": np.array(values), "unit": np.zeros(len(values))}))
    expected = [0.0 if v != v else (v - float(mean)) / math.sqrt(variance) for v in values]
    np.testing.assert_allclose(z[:, 0], np.clip(expected, -10, 10), rtol=1e-5, atol=1e-6)
    assert ("x is missing" in encoder.feature_names) == (len(present) < len(values))


def test_later_rows_change_nothing() -> None:
    train = Table({"x": np.array([1.0, 2.0, 6.0]), "c": texts("a", "b", "a")})
    encoder = fit(train, x="number", c="category")
    before = encoder.transform(train)
    other = Table({"x": np.array([1e9, np.nan]), "c": texts("z", None)})
    both = encoder.transform(other)
    np.testing.assert_array_equal(encoder.transform(train), before)
    assert both.tolist() == [[10.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # clipped; missing → mean; unknown → no slot


def test_missing_numbers_have_a_column_of_their_own() -> None:
    encoder = fit(Table({"x": np.array([1.0, np.nan, 3.0])}), x="number")
    assert encoder.feature_names == ["x", "x is missing"]
    matrix = encoder.transform(Table({"x": np.array([1.0, np.nan, 3.0])}))
    assert matrix.tolist() == [[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    assert matrix.dtype == np.float32


def test_infinite_values_are_missing_and_told() -> None:
    encoder = fit(Table({"x": np.array([1.0, np.inf, 3.0, -np.inf])}, "t.csv"), x="number")
    assert encoder.notices == ["t.csv, row 2, column 'x': 2 infinite values, taken as missing."]
    notices: list[str] = []
    assert encoder.transform(Table({"x": np.array([np.inf])}, "u.csv"), notices).tolist() == [[0.0, 1.0]]
    assert notices == ["u.csv, row 1, column 'x': an infinite value, taken as missing."]


@pytest.mark.parametrize("size", [1e300, 1e308, 1e-300])
def test_numbers_of_any_size_are_standardised(size: float) -> None:
    encoder = fit(Table({"x": np.array([-size, size, -size, size])}), x="number")
    assert encoder.encoders[0].deviation == pytest.approx(size, rel=1e-12)
    assert encoder.transform(Table({"x": np.array([size, -size])})).ravel().tolist() == [1.0, -1.0]


def test_a_column_equal_in_all_training_rows_is_dropped_and_told() -> None:
    table = Table({"x": np.full(7, 0.1), "k": np.arange(7)})
    encoder = fit(table, x="number", k="number")
    assert encoder.feature_names == ["k"]
    assert encoder.dropped == ["x"]
    assert encoder.notices == ["Not used, because all training rows have one value: 'x'."]
    with pytest.raises(DataError, match="no column is left to learn from"):
        fit(table, x="number")


def test_one_hot_slots_and_their_names() -> None:
    train = Table({"island": texts("Dream", "Biscoe", None, "Dream")})
    encoder = fit(train, island="category")
    assert encoder.feature_names == ["island=Biscoe", "island=Dream", "island is missing"]
    assert encoder.transform(train).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    notices: list[str] = []
    assert encoder.transform(Table({"island": texts("Torgersen")}), notices).tolist() == [[0, 0, 0]]
    assert notices == ["Column 'island' holds categories that training did not see: 'Torgersen'."]


def test_many_categories_are_embedded_and_rare_ones_share_a_slot() -> None:
    cells = [f"c{k:02}" for k in range(20) for _ in range(3)] + ["rare1", "rare2", "rare2", None]
    train = Table({"c": texts(*cells), "x": np.arange(64)})
    encoder = fit(train, c="category", x="number")
    assert encoder.embedded == [("c", 22)]  # 20 categories, missing, other
    assert encoder.dense_width == 1
    assert encoder.feature_names == ["x", "c"]
    later = Table({"c": texts("c00", "c19", None, "rare1", "never seen"), "x": np.arange(5)})
    assert encoder.transform(later)[:, 1].tolist() == [0, 19, 20, 21, 21]


def test_rare_categories_may_leave_few_enough_for_one_hot() -> None:
    cells = ["a"] * 5 + ["b"] * 5 + [f"r{k}" for k in range(20)]
    encoder = fit(Table({"c": texts(*cells)}), c="category")
    assert encoder.feature_names == ["c=a", "c=b", "c is another"]
    assert encoder.transform(Table({"c": texts("a", "r3", "new", None)})).tolist() == [[1, 0, 0]] + [[0, 0, 1]] * 3


def test_a_category_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("code,k\n1,a\n2,b\n10,c\n")
    encoder = fit(read_table(tmp_path / "t.csv"), code="category")
    assert encoder.feature_names == ["code=1", "code=2", "code=10"]
    for column in ([1, 2, 10], [1.0, 2.0, 10.0], ["1", "2.0", " 10"], pd.Categorical([1, 2, 10])):
        frame = pd.DataFrame({"code": column})
        np.testing.assert_array_equal(encoder.transform(read_table(frame)), np.eye(3))
    truth = fit(Table({"t": np.array([True, False])}), t="category")
    np.testing.assert_array_equal(truth.transform(Table({"t": texts("False", "true")})), np.eye(2))


def test_truth_values() -> None:
    train = Table({"t": texts("yes", "No", None)})
    encoder = fit(train, t="boolean")
    assert encoder.feature_names == ["t", "t is missing"]
    assert encoder.transform(train).tolist() == [[1, 0], [0, 0], [0.5, 1]]
    notices: list[str] = []
    matrix = encoder.transform(Table({"t": texts("maybe", "TRUE")}, "u.csv"), notices)
    assert matrix.tolist() == [[0.5, 1], [1, 0]]
    assert "u.csv, row 1, column 't': 'maybe' is neither true nor false" in notices[0]


def test_dates_become_elapsed_days_and_places_on_circles() -> None:
    days = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]").astype("datetime64[us]")
    encoder = fit(Table({"d": days}), d="date")
    cycles = ["month", "day of year", "day of month", "weekday"]  # no time of day: all are midnights
    waves = [f"d {cycle} {wave}" for cycle in cycles for wave in ("sin", "cos")]
    assert encoder.feature_names == ["d elapsed", *waves]
    matrix = encoder.transform(Table({"d": texts("2020-01-01", "2020-12-31", "2020-07-04")}))
    assert matrix[0, 0] == pytest.approx(-matrix[1, 0])
    phases = 2 * np.pi * np.array([[0, 11, 6], [0, 365, 185], [0, 30, 3], [2, 3, 5]]) / [[12], [366], [31], [7]]
    expected = np.stack([np.sin(phases), np.cos(phases)], axis=1).reshape(8, 3).T
    np.testing.assert_allclose(matrix[:, 1:], expected, atol=1e-7)


def test_parts_of_dates_that_do_not_vary_are_left_out() -> None:
    mondays = texts("2021-03-01 08:00", "2021-03-08 20:00", None)
    encoder = fit(Table({"d": mondays}), d="date")
    assert encoder.feature_names == [
        "d elapsed", "d day of year sin", "d day of year cos", "d day of month sin", "d day of month cos",
        "d time sin", "d time cos", "d is missing",
    ]  # fmt: skip
    matrix = encoder.transform(Table({"d": texts(None, "2021-03-01 23:59", "2021-03-01 00:00")}))
    assert matrix[0].tolist() == [0.0] * 7 + [1.0]
    np.testing.assert_allclose(matrix[1, 5:7], matrix[2, 5:7], atol=0.005)  # a minute before midnight is near it
    once = fit(Table({"d": texts("2021-03-01", "2021-03-01"), "k": np.arange(2)}), d="date", k="number")
    assert once.dropped == ["d"]


def test_columns_are_found_by_name() -> None:
    train = Table({"x": np.arange(4.0), "c": texts("a", "b", "a", "b")})
    encoder = fit(train, x="number", c="category")
    turned = Table({"extra": np.zeros(4), "c": train.column("c"), "x": train.column("x")})
    np.testing.assert_array_equal(encoder.transform(turned), encoder.transform(train))
    assert encoder.source_columns == ["x", "c"]


def test_json_keeps_every_bit() -> None:
    random = np.random.default_rng(0)
    train = Table(
        {
            "x": np.where(random.random(200) < 0.1, np.nan, random.standard_normal(200) / 3),
            "t": texts(*(["yes", "no"] * 100)),
            "c": texts(*(f"k{k % 23}" for k in range(200))),
            "d": texts(*(f"2020-01-{1 + k % 28:02}" for k in range(200))),
        }
    )
    infos = [Info("x", "number"), Info("t", "boolean"), Info("c", "category"), Info("d", "date", "YYYY-MM-DD")]
    encoder = TableEncoder.fit(train, infos)
    again = TableEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.transform(train).tobytes() == encoder.transform(train).tobytes()
    assert again.feature_names == encoder.feature_names
    assert again.embedded == encoder.embedded
    assert again.dense_width == encoder.dense_width


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"age": texts("31", "old"), "d": texts(None, None)},
         "p.csv, row 2, column 'age': expected a number as in training, found 'old'. Correct that cell"),
        ({"ages": np.zeros(1), "d": texts(None)}, "p.csv lacks the column 'age' of training: did you mean 'ages'?"),
        ({"z": np.zeros(1)}, "p.csv lacks 2 columns 'age', 'd' of training: choose one of: z"),
        ({"age": np.zeros(1), "d": texts("1/2/2020")},
         "p.csv, row 1, column 'd': expected a date as in training (YYYY-MM-DD), found '1/2/2020'."),
        ({"age": np.zeros(1), "d": np.ones(1)},
         "p.csv, row 1, column 'd': expected a date as in training, found 1."),
        ({"age": np.zeros(1, dtype="datetime64[us]"), "d": texts(None)},
         "p.csv, row 1, column 'age': expected a number as in training, found a date."),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_told(table, sentence: str) -> None:
    encoder = fit(Table({"age": np.array([1.0, 2.0]), "d": texts("2020-01-01", "2020-01-05")}), age="number", d="date")
    with pytest.raises(DataError) as problem:
        encoder.transform(Table(table, "p.csv"))
    assert sentence in str(problem.value)


def test_numbers_as_text_are_read_where_training_had_numbers() -> None:
    encoder = fit(Table({"x": np.array([-1.0, 1.0])}), x="number")
    assert encoder.transform(Table({"x": texts("1", "-1.0", None)})).ravel().tolist() == [1.0, -1.0, 0.0]
