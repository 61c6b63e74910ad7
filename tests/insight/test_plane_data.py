"""Tables as rows on a plane, and what outputs say."""

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.data.sources import read_table
from fallline.insight.plane_data import numeric_columns, of_table, share_right, shares_of


def table(**columns: Any) -> Any:
    count = 40
    base = {"a": np.arange(count) * 1.0, "b": np.arange(count)[::-1] * 3.0, "kind": ["x", "y"] * (count // 2)}
    return read_table({**base, **columns})


def test_inputs_are_standardised_and_every_fourth_row_is_kept_for_testing() -> None:
    data = of_table(table(), "a", "b", "kind")
    whole = np.arange(40.0)
    expected = (whole - whole.mean()) / whole.std() / 2.0
    held_out = np.arange(40) % 4 == 3
    assert data.x[:, 0] == pytest.approx(expected[~held_out], abs=1e-6)
    assert data.test_x[:, 1] == pytest.approx(-expected[held_out], abs=1e-6)
    assert (data.classes, data.names, data.target) == (("x", "y"), ("a", "b"), "kind")
    assert np.array_equal(data.y, np.array([0, 1] * 20)[~held_out])
    assert data.reach >= np.abs(data.x).max()


def test_whole_numbers_of_few_kinds_are_classes_and_others_are_numbers() -> None:
    assert of_table(table(t=np.arange(40) % 3), "a", "b", "t").classes == ("0", "1", "2")
    numbers = of_table(table(t=np.arange(40) ** 1.5), "a", "b", "t")
    assert numbers.classes == ()
    assert np.abs(np.concatenate([numbers.y, numbers.test_y]).mean()) < 1e-6
    assert of_table(table(t=[True, False] * 20), "a", "b", "t").classes == ("False", "True")


def test_rows_that_miss_something_are_left_out_and_that_is_said() -> None:
    holed = np.arange(40.0)
    holed[3] = np.nan
    data = of_table(table(c=holed), "c", "b", "kind")
    assert len(data.x) + len(data.test_x) == 39
    assert data.notices == ("39 of 40 rows are shown.",)


@pytest.mark.parametrize(
    ("columns", "chosen", "says"),
    [
        ({}, ("a", "a", "kind"), "choose three different columns"),
        ({}, ("kind", "b", "a"), "the column 'kind' holds no numbers"),
        ({}, ("a", "c", "kind"), "has no column 'c'"),
        ({"c": np.ones(40)}, ("c", "b", "kind"), "the column 'c' is the same in all rows"),
        ({"t": [f"class {k}" for k in range(40)]}, ("a", "b", "t"), "has 40 classes; choose one of at most 6"),
        ({"c": np.where(np.arange(40) < 5, 1.0, np.nan)}, ("c", "b", "kind"), "only 5 rows have all of"),
    ],
)
def test_columns_that_do_not_do_are_said(columns: Any, chosen: Any, says: str) -> None:
    with pytest.raises(fl.DataError, match=says):
        of_table(table(**columns), *chosen)


def test_numeric_columns() -> None:
    assert numeric_columns(table()) == ["a", "b"]


def test_shares_are_probabilities_where_the_loss_knows_them() -> None:
    logits = np.array([[0.0, 1.0], [2.0, -1.0]])
    assert shares_of("cross_entropy", logits, 2)[:, 0] == pytest.approx(1.0 / (1.0 + np.exp([-1.0, 3.0])))
    assert shares_of("binary_cross_entropy", np.array([[0.0], [-800.0]]), 2)[:, 0] == pytest.approx([0.5, 0.0])
    assert shares_of("mse", np.array([[-3.0], [0.0], [0.5]]), 2)[:, 0] == pytest.approx([0.0, 0.5, 0.75])
    three = shares_of("mse", np.array([[2.0, 0.0, 1.0]]), 3)
    assert three == pytest.approx(np.array([[0.5, 0.0, 0.5]]), abs=1e-6)
    assert shares_of("mse", np.array([[7.0]]), 0)[0, 0] == 7.0
    assert share_right(np.array([[0.2], [0.9]]), np.array([0, 0]), 2) == 0.5
    assert share_right(np.array([[0.2]]), np.array([0.2]), 0) is None
