"""Rows that occur more than once, as rows with weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import DataError
from fallline.tables.copies import content_order, different_rows


def rows(table: Table) -> list[tuple[object, ...]]:
    """Its rows, NaN and NaT as None."""
    return [
        tuple(None if cell != cell else cell for cell in row)
        for row in zip(*(values.tolist() for values in table.columns.values()), strict=True)
    ]


def weighted(weights: list[float], **columns: list[object]) -> Table:
    return read_table({**columns, "w": weights})


def test_a_table_without_copies_comes_back_in_its_order() -> None:
    table = weighted([1.0, 1.0, 1.0], a=[3.0, 1.0, 2.0], b=["x", None, "y"])
    assert rows(different_rows(table, "w")) == [(3.0, "x"), (1.0, None), (2.0, "y")]


def test_rows_of_no_weight_are_absent() -> None:
    table = weighted([1.0, 0.0, 1.0], a=[3.0, 1.0, 2.0])
    assert rows(different_rows(table, "w")) == [(3.0,), (2.0,)]


def test_copies_are_counted_and_sorted() -> None:
    table = weighted([1.0, 2.0, 0.5, 1.0], a=[3.0, 1.0, 3.0, 1.0], b=["x", None, "x", "z"])
    assert rows(different_rows(table, "w")) == [(1.0, None, 2.0), (1.0, "z", 1.0), (3.0, "x", 1.5)]


@pytest.mark.parametrize("order", [[0, 1, 2, 0, 1, 2], [2, 2, 1, 1, 0, 0], [1, 0, 2, 2, 0, 1]])
def test_as_many_copies_of_every_row_weigh_nothing(order: list[int]) -> None:
    copies = weighted([1.0] * 6, a=[[3.0, 1.0, 2.0][k] for k in order])
    assert rows(different_rows(copies, "w")) == [(1.0,), (2.0,), (3.0,)]
    assert rows(different_rows(weighted([2.0] * 3, a=[3.0, 1.0, 2.0]), "w")) == [(1.0,), (2.0,), (3.0,)]


def test_missing_cells_and_both_zeros_are_equal() -> None:
    columns = {
        "number": np.array([np.nan, 0.0, np.nan, -0.0]),
        "text": np.array([None, "a", None, "a"], dtype=object),
        "date": np.array(["NaT", "2020-01-01", "NaT", "2020-01-01"], dtype="datetime64[us]"),
        "w": np.array([1.0, 1.0, 1.0, 3.0]),
    }
    assert sorted(different_rows(Table(columns), "w").column("w").tolist()) == [2.0, 4.0]


def test_a_weight_that_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="row 2: the weight column 'w' must hold a finite number of 0 or more"):
        different_rows(weighted([1.0, -1.0], a=[1.0, 2.0]), "w")


CELL = st.sampled_from([None, "a", "b", "ä", ""])
ROW = st.tuples(st.integers(-1, 1), CELL, st.booleans())


@given(st.lists(st.tuples(ROW, st.integers(0, 3)), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_weights_and_copies_in_any_order_give_one_table(
    drawn: list[tuple[tuple[object, ...], int]], random: object
) -> None:
    if not any(weight for _, weight in drawn):
        return
    copies = [row for row, weight in drawn for _ in range(weight)]
    shuffled = list(drawn)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = different_rows(_table([row for row, _ in shuffled], [float(weight) for _, weight in shuffled]), "w")
    other = different_rows(_table(copies, [1.0] * len(copies)), "w")
    counts = {row: copies.count(row) for row in copies}
    assert {row[:3]: row[3] if len(row) > 3 else None for row in rows(other)} == (
        counts if len(set(counts.values())) > 1 else dict.fromkeys(counts)
    )
    assert sorted(map(str, rows(one))) == sorted(map(str, rows(other)))
    if len(set(copies)) < len(copies):
        assert rows(one) == rows(other)


def _table(content: list[tuple[object, ...]], weights: list[float]) -> Table:
    whole, text, truth = zip(*content, strict=True)
    cells = np.empty(len(text), dtype=object)
    cells[:] = text
    return Table({"i": np.array(whole), "t": cells, "b": np.array(truth), "w": np.array(weights)})


@given(st.lists(ROW, min_size=1, max_size=12))
def test_the_order_is_that_of_the_cells(content: list[tuple[object, ...]]) -> None:
    table = _table(content, [1.0] * len(content)).drop(["w"])
    keys = [(row[0], "" if row[1] is None else f"!{row[1]}", row[2]) for row in content]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    found = content_order(list(table.columns.values()), len(table))
    order = np.argsort(found, kind="stable")
    assert [keys[k] for k in order] == sorted(keys)
    assert len(set(found.tolist())) == len(places)
