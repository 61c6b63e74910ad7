"""`exact` against higher precision: decimal, fractions, math.fsum."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fallline.engine.kernel_forms import evaluate_kernel
from fallline.ir.op import lookup
from fallline.ops import exact

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211707")


def in_ulp(found: float, true: Fraction) -> float:
    """The distance in units in the last place of the true value."""
    return float(abs(Fraction(found) - true) / Fraction(math.ulp(float(true))))


def high_precision(function: str, x: float) -> Fraction:
    with localcontext() as context:
        context.prec = 60
        return Fraction(getattr(Decimal(x), function)())


@given(st.floats(min_value=5e-324, max_value=1.7976931348623157e308))
def test_log_anywhere(x: float) -> None:
    assert in_ulp(float(exact.log(x)), high_precision("ln", x)) < 2.0


@given(st.floats(min_value=0.5, max_value=2.0).filter(lambda x: x != 1.0))
def test_log_near_one(x: float) -> None:
    assert in_ulp(float(exact.log(x)), high_precision("ln", x)) < 2.0


@given(st.floats(min_value=-745.0, max_value=709.7))
def test_exp_anywhere(x: float) -> None:
    assert in_ulp(float(exact.exp(x)), high_precision("exp", x)) < 2.0


@given(st.floats(min_value=-1.0, max_value=1.0))
def test_exp_near_zero(x: float) -> None:
    assert in_ulp(float(exact.exp(x)), high_precision("exp", x)) < 2.0


def test_log_and_exp_at_the_ends() -> None:
    np.testing.assert_array_equal(
        exact.log([1.0, 0.0, -0.0, -1.0, np.inf, -np.inf, np.nan]),
        [0.0, -np.inf, -np.inf, np.nan, np.inf, np.nan, np.nan],
    )
    np.testing.assert_array_equal(
        exact.exp([0.0, -0.0, 710.0, 1e300, np.inf, -746.0, -1e300, -np.inf, np.nan]),
        [1.0, 1.0, np.inf, np.inf, np.inf, 0.0, 0.0, 0.0, np.nan],
    )
    assert exact.log(np.ones((2, 3))).shape == (2, 3)


@given(st.floats(min_value=0.01, max_value=10.0), st.integers(-300, 300))
def test_whole_powers(base: float, exponent: int) -> None:
    true = Fraction(base) ** exponent
    if Fraction(2) ** -1000 < true < Fraction(2) ** 1000:
        bound = max(abs(exponent), 1) * Fraction(2) ** -53
        assert abs(Fraction(exact.power(base, exponent)) - true) <= bound * true


@given(st.floats(min_value=0.01, max_value=10.0), st.floats(min_value=-50.0, max_value=50.0))
def test_powers_that_are_not_whole(base: float, exponent: float) -> None:
    with localcontext() as context:
        context.prec = 60
        true = (Decimal(base).ln() * Decimal(exponent)).exp()
        bound = (abs(Decimal(exponent) * Decimal(base).ln()) + 2 + abs(Decimal(exponent)) / 10**6) * Decimal(2) ** -51
        assert abs(Decimal(exact.power(base, exponent)) - true) <= bound * true


def test_powers_that_everybody_knows() -> None:
    assert exact.power(2.0, 10) == 1024.0
    assert exact.power(2.0, -3) == 0.125
    assert exact.power(0.5, 1074) == 5e-324
    assert exact.power(7.0, 0) == 1.0
    assert exact.power(10.0, 400) == math.inf
    assert exact.power(0.1, -400) == math.inf
    assert exact.power(9.0, 0.5) == pytest.approx(3.0, rel=1e-15)


def test_powers_and_cosines_of_many_have_the_bits_of_each() -> None:
    exponents = [*range(70), 1023, 1024, 46_341, 10**6, 2**31 - 1]
    for base in (0.9, 0.999, 0.0, 1.0, 3.0, 0.1):
        assert exact.powers(base, exponents).tolist() == [exact.power(base, n) for n in exponents]
    angles = [*np.linspace(-4.5, 4.5, 2001), 0.25, 0.5, 0.75, -0.25, 1e15, math.pi]
    assert exact.cos_pi_of(angles).tolist() == [exact.cos_pi(x) for x in angles]


def cosine(x: float) -> Fraction:
    """cos(π·x) by the series, without any reduction, to 40 digits for |x| ≤ 6."""
    with localcontext() as context:
        context.prec = 80
        square = (PI * Decimal(x)) ** 2
        term = total = Decimal(1)
        for k in range(1, 80):
            term *= -square / ((2 * k - 1) * (2 * k))
            total += term
        return Fraction(total)


@given(st.floats(min_value=-6.0, max_value=6.0))
def test_cosine(x: float) -> None:
    true = cosine(x)
    found = exact.cos_pi(x)
    assert found == 0.0 if x % 1.0 == 0.5 else in_ulp(found, true) < 2.0


@given(st.floats(min_value=0.0, max_value=1.0))
def test_cosine_in_the_first_half_turn(x: float) -> None:
    assert exact.cos_pi(x) == 0.0 if x == 0.5 else in_ulp(exact.cos_pi(x), cosine(x)) < 2.0


def test_cosine_at_well_known_angles() -> None:
    assert [exact.cos_pi(x) for x in (0.0, 0.5, 1.0, 1.5, 2.0, -1.0, 1e15)] == [1.0, 0.0, -1.0, 0.0, 1.0, -1.0, 1.0]
    assert exact.cos_pi(0.25) == pytest.approx(math.sqrt(0.5), rel=4e-16)
    assert exact.cos_pi(0.2) == pytest.approx((1.0 + math.sqrt(5.0)) / 4.0, rel=4e-16)


# --- sums


def halves(values: list[float]) -> float:
    """The order in words: fold the second half onto the first, the first being the longer one; begin again."""
    if len(values) == 1:
        return values[0]
    longer = (len(values) + 1) // 2
    first, second = values[:longer], values[longer:]
    return halves([a + b for a, b in zip(first, second, strict=False)] + first[len(second) :])


def test_the_order_of_a_tree_sum() -> None:
    # Neighbours of 1e16 are 2 apart, so that every order of these five rounds to another sum.
    values = [1.0, 1e16, -1e16, 1.0, 3.0]
    # by hand: [1 + 1, 1e16 + 3, −1e16] = [2, 1e16 + 4, −1e16] → [2 − 1e16, 1e16 + 4] → 6
    assert exact.tree_sum(values) == 6.0
    assert ((1.0 + 1e16) + (-1e16 + 1.0)) + 3.0 == 3.0, "by neighbours"
    assert (((1.0 + 1e16) + -1e16) + 1.0) + 3.0 == 4.0, "one after the other"
    assert math.fsum(values) == 5.0, "exactly"


@given(st.lists(st.floats(-1e16, 1e16), min_size=1, max_size=70))
def test_every_tree_sum_has_that_order(values: list[float]) -> None:
    found = float(exact.tree_sum(values))
    assert found == halves(values)
    depth = math.ceil(math.log2(len(values))) if len(values) > 1 else 0
    bound = depth * 2.0**-52 * math.fsum(abs(value) for value in values)
    assert abs(found - math.fsum(values)) <= bound


def test_tree_sums_of_arrays_go_along_an_axis() -> None:
    table = np.random.default_rng(0).normal(size=(3, 7, 2)) * 1e10
    along: NDArray[np.float64] = np.array([[halves(table[i, :, k].tolist()) for k in range(2)] for i in range(3)])
    np.testing.assert_array_equal(exact.tree_sum(table, axis=1), along)
    np.testing.assert_array_equal(exact.tree_sum(table, axis=-2), along)
    np.testing.assert_array_equal(exact.tree_sum(np.zeros((0, 3))), [0.0, 0.0, 0.0])
    assert exact.tree_sum([]) == 0.0
    assert exact.tree_sum(np.array([0.1, 0.2], dtype=np.float32)).dtype == np.float64


def test_a_tree_sum_leaves_its_input_alone() -> None:
    values = np.arange(5.0)
    exact.tree_sum(values)
    np.testing.assert_array_equal(values, np.arange(5.0))


def in_lanes(values: NDArray[Any]) -> float:
    """Sixteen lanes as the kernel form `Reduction` tells of them: one Python addition after the other."""
    lanes = [0.0] * 16
    for number, value in enumerate(values.ravel().tolist()):
        lanes[number % 16] = lanes[number % 16] + value
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    return lanes[0]


@pytest.mark.parametrize("size", [*range(36), 160, 1000, 4096, 70_001])
def test_the_order_of_a_lane_sum(size: int) -> None:
    rng = np.random.default_rng(size)
    values = rng.normal(size=size) * 10.0 ** rng.integers(-8, 8, size)
    assert exact.lane_sum(values) == in_lanes(values) == pytest.approx(math.fsum(values), abs=1e-6)
    assert exact.lane_sum(values) == evaluate_kernel(lookup("sum"), [values], {"axes": (0,)})
    matrix = values[: size // 4 * 4].reshape(-1, 4)
    assert exact.lane_sum(np.asfortranarray(matrix)) == in_lanes(matrix), "rows, not memory, give the order"


def test_lane_sums_of_special_values() -> None:
    assert math.copysign(1.0, exact.lane_sum([-0.0] * 40)) == 1.0, "lanes start from 0, and 0 + −0 is 0"
    ones = [1.0, 1.0, 0.0, 1.0]
    assert exact.lane_sum([2.0**53] + [0.0] * 15 + ones) == 2.0**53 + 2.0, "element 16 meets 0 alone; 17 meets 19 first"
    assert exact.lane_sum(np.full((3, 5), 0.5)) == 7.5
    assert math.isnan(exact.lane_sum([1.0, math.nan]))
    assert exact.lane_sum([1.0] * 20 + [math.inf]) == math.inf


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(-1e9, 1e9))
def test_mean_and_deviation(values: list[float], offset: float) -> None:
    shifted = [value + offset for value in values]
    mean, deviation = exact.mean_and_deviation(shifted)
    true_mean = sum(map(Fraction, shifted)) / len(shifted)
    true_variance = sum((Fraction(value) - true_mean) ** 2 for value in shifted) / len(shifted)
    size = max(abs(value) for value in shifted)
    assert abs(mean - float(true_mean)) <= 1e-14 * size
    assert abs(deviation - math.sqrt(true_variance)) <= 1e-14 * size + 1e-14 * math.sqrt(true_variance)


def test_mean_and_deviation_of_columns() -> None:
    mean, deviation = exact.mean_and_deviation([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_array_equal(mean, [2.0, 5.0])
    np.testing.assert_array_equal(deviation, [1.0, 0.0])
