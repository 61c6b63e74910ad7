"""The oracle itself: its multiply-add against fractions, its comparisons against planted differences."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
DTYPES = [np.float32, np.float64]


def near_cancellation(rng: np.random.Generator, dtype: Any, count: int) -> list[Array]:
    """c within a few units of −a·b: where two roundings differ from one."""
    a, b = (rng.normal(size=count).astype(dtype) for _ in range(2))
    return [a, b, (-(a * b) * (1.0 + rng.integers(-3, 4, count) * np.finfo(dtype).eps)).astype(dtype)]


def any_bits(rng: np.random.Generator, dtype: Any, count: int) -> list[Array]:
    """Numbers of all magnitudes, subnormals, infinities and NaN."""
    unsigned = np.uint32 if dtype is np.float32 else np.uint64
    return [rng.integers(0, np.iinfo(unsigned).max, count, dtype=unsigned).view(dtype) for _ in range(3)]


def ordinary(rng: np.random.Generator, dtype: Any, count: int) -> list[Array]:
    """With some zeros."""
    return [np.where(rng.uniform(size=count) < 0.1, 0.0, rng.normal(size=count)).astype(dtype) for _ in range(3)]


@pytest.mark.parametrize("draw", [near_cancellation, any_bits, ordinary])
@pytest.mark.parametrize("dtype", DTYPES)
def test_its_multiply_add_is_the_nearest_number(oracle: SimpleNamespace, dtype: Any, draw: Any) -> None:
    a, b, c = draw(np.random.default_rng(3), dtype, 2000)
    found = oracle.ExactEmitter().fma(a, b, c)
    assert found.dtype == dtype
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found[~finite], (a * b + c)[~finite])
        below, above = np.nextafter(found, dtype(-np.inf)), np.nextafter(found, dtype(np.inf))
    largest = Fraction(float(np.finfo(dtype).max))
    for i in np.flatnonzero(finite):
        exact = Fraction(float(a[i])) * Fraction(float(b[i])) + Fraction(float(c[i]))
        if np.isinf(found[i]):
            assert abs(exact) > largest
            continue
        gap = abs(Fraction(float(found[i])) - exact)
        for other in (below[i], above[i]):
            assert np.isinf(other) or gap <= abs(Fraction(float(other)) - exact)


def test_it_rounds_ties_to_even_and_keeps_signs_of_zero(oracle: SimpleNamespace) -> None:
    fma = oracle.ExactEmitter().fma
    one = np.float64(1.0)
    half = np.array([2.0**-53, 3 * 2.0**-53])
    np.testing.assert_array_equal(fma(one, half, one), [1.0, 1.0 + 2 * 2.0**-52])
    for zero in (-0.0, 0.0):
        assert np.signbit(fma(one, np.float64(zero), np.float64(zero))) == np.signbit(zero)
    assert not np.signbit(fma(one, one, -one))


def test_its_comparison_sees_every_bit(oracle: SimpleNamespace) -> None:
    numbers = np.array([0.0, 1.0, np.nan, np.inf])
    oracle.same_bits(numbers, numbers.copy())
    for place, other in ((0, -0.0), (1, np.nextafter(1.0, 2.0)), (2, 1.0), (3, -np.inf)):
        changed = numbers.copy()
        changed[place] = other
        with pytest.raises(AssertionError, match=rf"x: 1 of 4 differ, first at \({place},\): found"):
            oracle.same_bits(changed, numbers, "x")
    with pytest.raises(AssertionError):
        oracle.same_bits(numbers.astype(np.float32), numbers)
    with pytest.raises(AssertionError):
        oracle.same_bits(numbers[None], numbers)


def test_its_bounds_are_relative_to_the_largest_entry(oracle: SimpleNamespace) -> None:
    wanted = {"y": np.array([1e-3, 100.0])}
    oracle.all_close({"y": np.array([1e-3 + 0.9e-10, 100.0])}, wanted, 1e-12)
    with pytest.raises(AssertionError, match=r"y: off by 1\.10e-12 of its largest entry, allowed is 1e-12"):
        oracle.all_close({"y": np.array([1e-3 + 1.1e-10, 100.0])}, wanted, 1e-12)
    with pytest.raises(AssertionError, match="y"):
        oracle.all_close({"y": np.array([np.nan, 100.0])}, wanted, 1e-12)
