"""Rows with the same cells, against Python's own comparison of tuples."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fallline.data.duplicates import equal_rows
from fallline.data.sources import read_table

CELLS = st.one_of(
    st.lists(st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, 2.0])), min_size=12, max_size=12),
    st.lists(st.integers(-2, 2), min_size=12, max_size=12),
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "1", "1.0"])), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
)


def spelled(cell: Any) -> Any:
    return "1" if cell == "1.0" else cell


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_equal_rows_have_the_number_of_the_first(columns: list[list[Any]]) -> None:
    table = read_table({f"c{i}": cells for i, cells in enumerate(columns)})
    found = equal_rows(list(table.columns.values()), len(table))
    first: dict[tuple[Any, ...], int] = {}
    rows = zip(*[[spelled(cell) for cell in cells] for cells in columns], strict=True)
    assert found.tolist() == [first.setdefault(row, number) for number, row in enumerate(rows)]


def test_moments_and_bytes_are_cells_too() -> None:
    days = np.array(["2024-01-01", "NaT", "2024-01-01", "NaT", "2024-01-02"], dtype="datetime64[us]")
    assert equal_rows([days], 5).tolist() == [0, 1, 0, 1, 4]
    assert equal_rows([days, np.array([0, 9, 0, 8, 0], dtype=np.uint8)], 5).tolist() == [0, 1, 0, 3, 4]


def test_rows_without_cells_are_equal() -> None:
    assert equal_rows([], 3).tolist() == [0, 0, 0]
