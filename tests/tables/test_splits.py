"""Copies of a row are on one side of the split; by time, the latest rows are set aside."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.data.sources import read_table
from fallline.errors import ArgumentError, DataError
from fallline.tables.prepare import Prepared, TableOptions, prepare

STAY = "rows with the same inputs stay on one side of the split: none is judged by its copy."


def inputs_of(prepared: Prepared, *names: str) -> dict[str, set[tuple[Any, ...]]]:
    return {
        part: set(zip(*(table.column(name).tolist() for name in names), strict=True))
        for part, table in prepared.parts.items()
    }


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(1, 6), min_size=30, max_size=60),
    st.booleans(),
    st.sampled_from(["none", "identifier", "weight", "drop"]),
)
def test_copies_are_never_on_both_sides(seed: int, copies: list[int], classes: bool, differing: str) -> None:
    rng = np.random.default_rng(seed)
    row = rng.permutation(np.repeat(np.arange(len(copies)), copies))
    noise, words = rng.normal(size=len(copies)).round(4), [f"w{i % 5}" for i in range(len(copies))]
    y = [("big" if noise[i] > 0 else "small") if classes else noise[i] * 2 + i for i in row]
    columns: dict[str, Any] = {"a": noise[row], "w": [words[i] for i in row], "y": y}
    name = {"none": "", "identifier": "row_id", "weight": "weight", "drop": "more"}[differing]
    if name:  # what a network does not see makes no row another one
        columns[name] = np.arange(len(row)) + 1
    options = TableOptions(
        seed=seed,
        weight_column="weight" if differing == "weight" else None,
        drop=("more",) if differing == "drop" else (),
    )
    prepared = prepare(read_table(columns), "y", options)
    parts = inputs_of(prepared, "a", "w")
    assert not parts["training"] & parts["validation"]
    assert not parts["training"] & parts["test"]
    assert not parts["validation"] & parts["test"]
    assert sum(len(part) for part in prepared.parts.values()) == len(row)
    told = [notice for notice in prepared.notices if notice.endswith(STAY)]
    repeated = len(row) - len(copies)
    number = "1 row has the inputs of another row" if repeated == 1 else f"{repeated} rows have inputs of other rows"
    assert told == ([f"{number}; {STAY}"] if repeated else [])


def test_classes_stay_in_proportion_where_rows_are_copied() -> None:
    x = [i % 500 + 0.5 for i in range(1000)]
    prepared = prepare(read_table({"x": x, "y": ["rare" if v % 5 < 1 else "usual" for v in x]}), "y", TableOptions())
    counts = {name: Counter(part.column("y").tolist()) for name, part in prepared.parts.items()}
    assert counts["test"] == {"usual": 160, "rare": 40}
    assert counts["validation"] == {"usual": 128, "rare": 32}


def test_a_few_combinations_with_several_outcomes_are_split_one_by_one() -> None:
    chance = np.random.default_rng(0)
    columns = {"sex": ["m", "f"] * 300, "class": [1, 2, 3] * 200, "y": chance.integers(0, 2, 600)}
    prepared = prepare(read_table(columns), "y", TableOptions())
    assert prepared.notices == [
        "The 600 rows are 6 combinations of inputs, repeated: rows are split one by one, so that training sees each "
        "combination, and the scores are those of combinations that it has seen."
    ]
    parts = inputs_of(prepared, "sex", "class")
    assert all(len(part) == 6 for part in parts.values())


def days(count: int) -> list[str]:
    return [str(np.datetime64("2020-01-01") + (i * 37) % count) for i in range(count)]


@pytest.mark.parametrize(
    "time",
    [days(100), [float(i * 37 % 100) for i in range(100)], np.array(days(100), dtype="datetime64[us]")],
    ids=["text", "number", "moment"],
)
def test_the_latest_rows_are_set_aside(time: Any) -> None:
    columns = {"t": time, "x": np.random.default_rng(0).normal(size=100), "y": np.arange(100) % 9 + 0.5}
    prepared = prepare(read_table(columns), "y", TableOptions(time_column="t"))
    times = {name: part.column("t") for name, part in prepared.parts.items()}
    assert {name: len(values) for name, values in times.items()} == {"test": 20, "validation": 16, "training": 64}
    assert max(times["training"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    assert "t" in prepared.encoder.source_columns
    told = "Rows are set aside by time: the latest by 't', "
    assert f"{told}which stays an input (--drop leaves it out)." in prepared.notices
    dropped = prepare(read_table(columns), "y", TableOptions(time_column="t", drop=("t",)))
    assert f"{told}which is no input itself." in dropped.notices
    assert "t" not in dropped.encoder.source_columns
    for name in times:
        assert np.array_equal(dropped.parts[name].column("x"), prepared.parts[name].column("x"))


def test_a_date_that_could_be_read_twice_is_read_as_in_the_whole_table() -> None:
    """Of 03.04. to 12.04. alone nobody could tell; the first of the rows can."""
    time = ["2020-01-31"] + [f"2020-02-{i + 1:02d}" for i in range(12)]
    american = [f"{t[5:7]}/{t[8:]}/{t[:4]}" for t in time] * 3
    columns = {"t": american, "x": np.arange(39.0) ** 2, "y": np.arange(39) * 0.7}
    prepared = prepare(read_table(columns), "y", TableOptions(time_column="t"))
    assert set(prepared.parts["test"].column("t")) == {"02/12/2020", "02/11/2020", "02/10/2020"}


@pytest.mark.parametrize(
    ("column", "error", "sentence"),
    [
        ([1.0, None] * 20, DataError, "row 2, time column 't': the time is missing. Fill it in,"),
        (["soon", "later"] * 20, DataError, "the time column 't' holds text that is no date, such as 'soon'; choose"),
        ([1.0] * 40, DataError, "40 rows cannot be split by time for test: they are all of one moment."),
        ([1.0] * 10 + [2.0] * 30, DataError, "10 rows cannot be split by time for validation: they are all of one"),
    ],
)
def test_a_time_that_is_none(column: list[Any], error: type[Exception], sentence: str) -> None:
    table = read_table({"t": column, "x": range(40), "y": np.arange(40) * 0.7})
    with pytest.raises(error) as problem:
        prepare(table, "y", TableOptions(time_column="t"))
    assert sentence in str(problem.value)


def test_a_time_is_no_target() -> None:
    table = read_table({"t": range(40), "x": np.arange(40.0) ** 2})
    with pytest.raises(ArgumentError, match="the target 't' cannot be dropped, or be the weight or time column as"):
        prepare(table, "t", TableOptions(time_column="t"))


def test_a_time_without_rows_to_set_aside_decides_nothing() -> None:
    table = read_table({"t": range(1, 41), "x": np.arange(40.0) ** 2, "y": np.arange(40) * 0.7})
    prepared = prepare(table, "y", TableOptions(time_column="t", test=table, validation=table))
    assert "The time column 't' decides nothing: no rows are set aside." in prepared.notices


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 10**6), st.sampled_from(["numbers", "uuids", "names"]), st.integers(0, 10**6))
def test_identifiers_are_left_out(start: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, last = ("Ann", "Bo", "Cy", "Di", "Ed"), ("Lee", "Poe", "Roe", "Sue", "Tan")
    column: Any = {
        "numbers": range(start, start + 60),
        "uuids": [rng.bytes(16).hex() for _ in range(60)],
        "names": [f"{first[i % 5]}{i} {last[i // 12]}" for i in range(60)],
    }[kind]
    table = read_table({"who": column, "x": rng.normal(size=60), "y": rng.normal(size=60)})
    prepared = prepare(table, "y", TableOptions())
    assert prepared.encoder.source_columns == ["x"]
    assert prepared.infos[0].reason.startswith("'who' is left out: it ")
