"""Columns that are the points of images: what counts as such, and how they become bytes."""

from typing import Any

import numpy as np
import pytest

from fallline.data.encoders import TableEncoder
from fallline.data.pixels import are_points, as_bytes
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import DataError
from fallline.tables.columns import ColumnInfo


def bright(rows: int = 5, points: int = 64) -> np.ndarray:
    values = np.arange(rows * points).reshape(rows, points) % 100
    values[0, : points // 2] = 128
    return values


def points(array: Any) -> bool:
    table = read_table(np.asarray(array))
    return are_points(table, table.names)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_bytes_of_any_type_are_points(dtype: str) -> None:
    assert points(bright().astype(dtype))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:, :63],  # fewer than an image of 8 × 8
        lambda a: np.where(a == 128, 127, a),  # grades, not brightness
        lambda a: np.where(a == 99, 256, a),
        lambda a: np.where(a == 99, -1, a),
        lambda a: np.where(a == 99, 0.5, a),
        lambda a: np.where(a == 99, np.nan, a),
        lambda a: a.astype(str),
        lambda a: a > 50,
    ],
)
def test_other_numbers_are_no_points(change: Any) -> None:
    assert not points(change(bright()))


def test_half_of_the_points_must_be_bright() -> None:
    dark = bright()
    dark[0, 31] = 3
    assert not points(dark)


def test_a_cell_that_is_no_byte_is_named() -> None:
    table = Table({"column_1": np.array([0.0, 255.0, 256.0])}, "shop.csv")
    with pytest.raises(DataError) as caught:
        as_bytes(table.column("column_1"), "column_1", table.place)
    assert str(caught.value) == (
        "shop.csv, row 3, column 'column_1': expected a point of an image as in training, a whole number from 0 to "
        "255, found 256. Correct that cell, or scale the images as those of training were."
    )
    with pytest.raises(DataError, match=r"row 1, column 'a': expected a point .* found no number"):
        as_bytes(np.array([None, "3"], dtype=object), "a", table.place)


def test_the_matrix_of_points_stays_bytes() -> None:
    table = read_table(bright().astype(np.uint8))
    encoder = TableEncoder.fit(table, [ColumnInfo(name, "pixel", 0, 2) for name in table.names])
    again = TableEncoder.from_json(encoder.to_json())
    for one in (encoder, again):
        matrix = one.transform(read_table(bright().astype(np.float64)))
        assert matrix.dtype == one.dtype == np.uint8
        np.testing.assert_array_equal(matrix, bright())
