"""The order of rows: always a permutation, as good as random, and frozen."""

import hashlib
import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fallline as fl


@settings(max_examples=60)
@given(st.integers(0, 5000), st.integers(0, 2**63), st.integers(0, 2**40))
def test_it_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    order = fl.batch_order(n, seed, epoch)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 100_000])
def test_it_is_a_permutation_around_powers_of_two(n: int) -> None:
    assert np.array_equal(np.sort(fl.batch_order(n, 0, 0)), np.arange(n))


def test_seeds_and_epochs_give_other_orders() -> None:
    orders = {fl.batch_order(50, seed, epoch).tobytes() for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100
    assert fl.batch_order(50, 3, 4).tobytes() == fl.batch_order(np.int64(50), np.int64(3), np.uint8(4)).tobytes()


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_orders_of_few_rows_are_equally_likely(n: int) -> None:
    """χ² over all n! orders, 5 or more expected of each; seeds and epochs both vary."""
    number = {order: i for i, order in enumerate(permutations(range(n)))}
    draws = max(200, 5 * math.factorial(n))
    counts = np.zeros(len(number))
    for i in range(draws):
        counts[number[tuple(fl.batch_order(n, i // 7, i % 7).tolist())]] += 1
    assert stats.chisquare(counts).pvalue > 1e-4


def test_places_are_not_correlated() -> None:
    """For 1000 rows: rank correlation with the identity and with other epochs is that of chance, 1/√999."""
    orders = np.array([fl.batch_order(1000, 0, epoch) for epoch in range(30)])
    correlations = np.corrcoef(np.vstack([np.arange(1000), orders]))[np.triu_indices(31, 1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(999)
    assert abs(correlations.mean()) < 5 / math.sqrt(999 * len(correlations))


def test_neighbours_do_not_stay_neighbours() -> None:
    """The step from one place to the next, mod n, is spread evenly (χ² in 20 bins of 50)."""
    order = fl.batch_order(1000, 1, 0)
    steps = np.diff(order) % 1000
    counts, _ = np.histogram(steps, bins=20, range=(0, 1000))
    assert stats.chisquare(counts).pvalue > 1e-4
    assert np.sum(steps == 1) < 8, "one is expected"


def test_each_row_comes_at_each_place_equally_often() -> None:
    counts = np.zeros((10, 10))
    for epoch in range(300):
        counts[np.arange(10), fl.batch_order(10, 5, epoch)] += 1
    chi_square = ((counts - 30.0) ** 2 / 30.0).sum()
    assert stats.chi2.sf(chi_square, df=81) > 1e-4


def test_frozen_orders() -> None:
    """Frozen: other numbers here are another contract number, for every trained network would change."""
    assert fl.batch_order(10, 0, 0).tolist() == [8, 5, 4, 0, 1, 9, 6, 7, 3, 2]
    assert fl.batch_order(10, 0, 1).tolist() == [6, 8, 0, 3, 9, 7, 1, 4, 5, 2]
    assert fl.batch_order(7, 3, 2).tolist() == [1, 6, 2, 0, 3, 4, 5]
    digest = hashlib.sha256(fl.batch_order(1000, 5, 9).astype("<i8").tobytes()).hexdigest()
    assert digest == "02051dddd31bd3e251a4c2c741a9bb8899331bc31c21af20b410337dfba7e013"


def test_what_is_no_number_of_rows_is_refused() -> None:
    with pytest.raises(fl.ArgumentError, match="n and epoch must be 0 or more, found n=-1, epoch=0"):
        fl.batch_order(-1, 0, 0)
    with pytest.raises(fl.ArgumentError, match="n and epoch must be 0 or more, found n=5, epoch=-2"):
        fl.batch_order(5, 0, -2)
    with pytest.raises(fl.KindError, match=r"must be whole numbers, found n=10\.5, seed=0, epoch=0"):
        fl.batch_order(10.5, 0, 0)
