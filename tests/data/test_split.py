from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.data.split import latest_rows, split_rows
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


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=12, max_size=60).filter(
        lambda rows: len({group for _, group in rows}) > 5
    ),
    st.floats(0.1, 0.6),
    st.integers(0, 2**31),
)
def test_groups_stay_together_and_the_rest_has_every_class(
    rows: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    codes, groups = (np.array(numbers) for numbers in zip(*rows, strict=True))
    try:
        rest, part = split_rows(codes, len(rows), fraction, seed, "validation", groups)
    except DataError:  # only where each group has a class that no other has
        owners = [{groups[i] for i in range(len(rows)) if codes[i] == code} for code in set(codes.tolist())]
        assert any(len(owner) == 1 for owner in owners)
        return
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(len(rows)))
    assert not set(groups[rest]) & set(groups[part])
    assert set(codes[rest]) == set(codes)


@given(st.integers(2, 60), st.floats(0.05, 0.95), st.integers(0, 2**31), st.booleans())
def test_groups_of_one_row_change_nothing(rows: int, fraction: float, seed: int, classes: bool) -> None:
    codes = np.arange(rows) % 2 if classes and rows > 3 else None
    alone = split_rows(codes, rows, fraction, seed, "test")
    grouped = split_rows(codes, rows, fraction, seed, "test", np.arange(rows)[::-1] * 3)
    assert [numbers.tolist() for numbers in grouped] == [numbers.tolist() for numbers in alone]


@given(st.integers(4, 40), st.integers(1, 4), st.integers(0, 2**31))
def test_copies_of_every_row_split_as_the_rows_do(rows: int, copies: int, seed: int) -> None:
    part = split_rows(None, rows, 0.25, seed, "test")[1]
    groups = np.tile(np.arange(rows), copies)
    found = split_rows(None, rows * copies, 0.25, seed, "test", groups)[1]
    assert set(groups[found]) == set(groups[found[found < rows]])
    assert len(found) == len(part) * copies


def test_a_class_that_groups_have_mixed_is_given_back() -> None:
    codes, groups = np.zeros(30, dtype=int), np.arange(30) // 2
    codes[1] = 1  # in the first group, whose class is 0
    taken = [split_rows(codes, 30, 0.5, seed, "test", groups)[1] for seed in range(20)]
    assert all(0 not in part for part in taken)
    assert all(len(part) in (14, 16) for part in taken)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=50), st.floats(0.05, 0.95))
def test_the_latest_rows_are_set_aside_by_whole_moments(times: list[int], fraction: float) -> None:
    values = np.array(times)
    if len(set(times)) == 1:
        with pytest.raises(DataError, match="cannot be split by time for test: they are all of one moment"):
            latest_rows(values, fraction, "test")
        return
    rest, part = latest_rows(values, fraction, "test")
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(len(times)))
    assert values[rest].max() < values[part].min()
    wanted = min(max(1, int(Fraction(fraction) * len(times) + Fraction(1, 2))), len(times) - 1)
    first = sorted(times)[len(times) - wanted]
    assert len(part) >= wanted or first == min(times)


def test_moments_are_put_in_order() -> None:
    days = np.array(["2024-03-01", "2023-01-01", "2024-02-01", "2022-05-05", "2024-03-01"], dtype="datetime64[us]")
    assert [rows.tolist() for rows in latest_rows(days, 0.2, "test")] == [[1, 2, 3], [0, 4]]


def test_splits_that_cannot_be_are_told() -> None:
    with pytest.raises(ArgumentError, match=r"split off for validation needs 0 < fraction < 1, got 1\.0"):
        split_rows(None, 10, 1.0, 0, "validation")
    with pytest.raises(DataError, match="1 rows cannot be split for validation: at least 2 are needed"):
        split_rows(None, 1, 0.5, 0, "validation")
    with pytest.raises(DataError, match="3 rows in 3 classes cannot be split for test: every class has one row only"):
        split_rows([0, 1, 2], 3, 0.5, 0, "test")
    with pytest.raises(ArgumentError, match=r"need the shape \(3,\), one for each row; they have \(2,\)"):
        split_rows([0, 1], 3, 0.5, 0, "test")
    with pytest.raises(DataError, match="3 rows cannot be split for test: they are all of one group"):
        split_rows(None, 3, 0.5, 0, "test", [7, 7, 7])
    with pytest.raises(ArgumentError, match=r"The groups need the shape \(3,\), one for each row; they have \(2,\)"):
        split_rows(None, 3, 0.5, 0, "test", [0, 1])
