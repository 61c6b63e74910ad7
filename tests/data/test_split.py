from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.data.split import split_rows
from fallline.errors import ArgumentError, DataError


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=80).filter(lambda codes: max(Counter(codes).values()) > 1),
    st.floats(0.05, 0.95),
    st.integers(0, 2**31),
)
def test_classes_are_split_in_proportion(codes: list[int], fraction: float, seed: int) -> None:
    rest, part = split_rows(codes, len(codes), fraction, seed, "validation")
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(len(codes)))
    assert len(part) >= 1
    assert rest.tolist() == sorted(rest.tolist())
    kept, taken = Counter(np.array(codes)[rest].tolist()), Counter(np.array(codes)[part].tolist())
    singles = sum(1 for count in Counter(codes).values() if count == 1)
    for code, count in Counter(codes).items():
        assert kept[code] >= 1
        if not singles and taken[code] < count - 1:
            share = Fraction(len(part), len(codes)) * count
            assert abs(taken[code] - share) <= 1 + len(set(codes))


def test_the_part_is_exactly_proportional_where_that_is_possible() -> None:
    codes = np.repeat([0, 1, 2], [500, 300, 200])
    rest, part = split_rows(codes, 1000, 0.2, 0, "validation")
    assert Counter(codes[part].tolist()) == {0: 100, 1: 60, 2: 40}
    assert len(rest) == 800


def test_the_split_depends_on_seed_and_purpose_alone() -> None:
    first = split_rows(None, 100, 0.25, 7, "validation")
    split_rows(None, 31, 0.5, 8, "other")
    again = split_rows(None, 100, 0.25, 7, "validation")
    assert first[1].tolist() == again[1].tolist()
    assert len(first[1]) == 25
    assert split_rows(None, 100, 0.25, 8, "validation")[1].tolist() != first[1].tolist()
    assert split_rows(None, 100, 0.25, 7, "test")[1].tolist() != first[1].tolist()


def test_rows_are_taken_evenly() -> None:
    taken = np.zeros(40)
    for seed in range(400):
        taken[split_rows(None, 40, 0.25, seed, "validation")[1]] += 1
    # Each row is taken with probability ¼: 100 of 400 times, standard deviation 8.7.
    assert np.abs(taken - 100).max() < 4 * 8.7


def test_at_least_one_row_on_each_side() -> None:
    assert [len(rows) for rows in split_rows(None, 2, 0.01, 0, "validation")] == [1, 1]
    assert [len(rows) for rows in split_rows(None, 2, 0.99, 0, "validation")] == [1, 1]


def test_splits_that_cannot_be_are_told() -> None:
    with pytest.raises(ArgumentError, match=r"split off for validation needs 0 < fraction < 1, got 1\.0"):
        split_rows(None, 10, 1.0, 0, "validation")
    with pytest.raises(DataError, match="1 rows cannot be split for validation: at least 2 are needed"):
        split_rows(None, 1, 0.5, 0, "validation")
    with pytest.raises(DataError, match="3 rows in 3 classes cannot be split for test: every class has one row only"):
        split_rows([0, 1, 2], 3, 0.5, 0, "test")
    with pytest.raises(ArgumentError, match=r"need the shape \(3,\), one for each row; they have \(2,\)"):
        split_rows([0, 1], 3, 0.5, 0, "test")
