"""The order of sums that kernel forms state, and the NumPy emitter's instructions."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from fallline.engine.kernel_forms import EMITTER, evaluate_kernel
from fallline.errors import GraphError
from fallline.ir.emitter import Emitter
from fallline.ir.op import lookup
from fallline.ir.types import DType


def summed(values: Any, axes: tuple[int, ...] = (0,)) -> Any:
    return evaluate_kernel(lookup("sum"), [np.asarray(values)], {"axes": axes})


def test_a_reduction_deals_to_sixteen_lanes_and_halves_them() -> None:
    values = np.zeros(40)
    values[[3, 19, 35]] = [1e16, 1.0, 1.0]  # lane 3: (1e16 + 1) + 1 = 1e16
    values[11] = 4.0  # lane 11 meets lane 3 first
    assert summed(values) == 1e16 + 4.0
    assert (1e16 + 1.0) + 1.0 == 1e16 != 1e16 + (1.0 + 1.0)
    values = np.zeros(16)
    values[[0, 8, 4, 12]] = [1.0, 1e16, 1.0, -1e16]  # (0 + 8) + (4 + 12), not (0 + 4) + (8 + 12)
    assert summed(values) == (1.0 + 1e16) + (1.0 - 1e16) == 0.0


def test_a_reduction_over_two_axes_runs_in_row_major_order() -> None:
    table = np.random.default_rng(0).normal(size=(5, 3, 9)) * 10.0 ** np.arange(9)
    flat = summed(table.transpose(0, 2, 1).reshape(45, 3))
    np.testing.assert_array_equal(summed(table, (0, 2)), flat)


def test_a_product_is_one_chain_over_ascending_k() -> None:
    a, b = np.array([[1.0, 1e16, -1e16]]), np.ones((3, 1))
    assert evaluate_kernel(lookup("matmul"), [a, b], {}).item() == (1.0 + 1e16) - 1e16 == 0.0


def test_a_product_does_not_round_between_multiplication_and_addition() -> None:
    third = np.float32(1.0) / np.float32(3.0)
    a, b = np.array([[third, np.float32(1.0)]]), np.array([[np.float32(3.0)], [np.float32(-1.0)]])
    one_rounding = evaluate_kernel(lookup("matmul"), [a[:, ::-1].copy(), b[::-1].copy()], {}).item()
    assert one_rounding == float(Fraction(float(third)) * 3 - 1)
    assert np.float32(third * np.float32(3.0)) - np.float32(1.0) == 0.0, "two roundings would lose it"


def test_an_unknown_kernel_form_is_our_fault() -> None:
    with pytest.raises(GraphError, match=r"^op 'input' has the kernel form Leaf, which has no schedule$"):
        evaluate_kernel(lookup("input"), [], {"name": "x", "shape": (2,), "dtype": DType.FLOAT32})


# --- the emitter

FLOATS = {DType.FLOAT32: 32, DType.FLOAT64: 64}
WHOLE = [DType.UINT8, DType.INT32, DType.INT64]


@given(st.sampled_from(list(FLOATS)), st.sampled_from(WHOLE), st.data())
def test_floats_become_whole_numbers_by_truncation_and_saturation(
    source: DType, target: DType, data: st.DataObject
) -> None:
    value = data.draw(st.floats(width=FLOATS[source]))  # type: ignore[arg-type]
    limits = np.iinfo(target.value)
    if np.isnan(value):
        wanted = 0
    elif np.isinf(value):
        wanted = int(limits.max if value > 0 else limits.min)
    else:
        wanted = max(int(limits.min), min(int(limits.max), int(value)))
    array = np.array([value], dtype=source.value)
    found = EMITTER.cast(array, target)
    assert (int(found[0]), str(found.dtype)) == (wanted, target)
    by_reference = lookup("cast").reference(array, dtype=target)
    assert (int(by_reference[0]), str(by_reference.dtype)) == (wanted, target)


@pytest.mark.parametrize("target", WHOLE)
@pytest.mark.parametrize("source", list(FLOATS))
def test_casts_at_the_limits(source: DType, target: DType) -> None:
    limits = np.iinfo(target.value)
    edges = np.array([limits.min, limits.max], dtype=source.value)
    near = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    wanted = [max(int(limits.min), min(int(limits.max), int(value))) for value in near]
    assert EMITTER.cast(near, target).tolist() == wanted
    assert lookup("cast").reference(near, dtype=target).tolist() == wanted


@given(st_numpy.arrays(np.float32, 5))
def test_bits_go_there_and_back(values: Any) -> None:
    bits = EMITTER.float_bits(values)
    assert bits.dtype == np.int32
    assert bits.tolist() == [int.from_bytes(value.tobytes(), "little", signed=True) for value in values]
    assert EMITTER.float_from_bits(bits).tobytes() == values.tobytes()


@given(st_numpy.arrays(np.int64, 4), st.integers(0, 63))
def test_shifts_fill_with_zeros(values: Any, bits: int) -> None:
    right = [(int(value) % 2**64) >> bits for value in values]
    left = [(int(value) << bits) % 2**64 for value in values]
    assert [int(value) % 2**64 for value in EMITTER.shift_right(values, bits)] == right
    assert [int(value) % 2**64 for value in EMITTER.shift_left(values, bits)] == left


@given(st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32))
def test_fma_of_float32_is_the_exact_value_rounded_nearly_once(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    found = EMITTER.fma(*(np.float32(value) for value in (a, b, c)))  # type: ignore[arg-type]
    ulp = Fraction(float(np.spacing(np.abs(np.float32(float(exact))))))
    assert abs(Fraction(float(found)) - exact) <= ulp * Fraction(1, 2) * (1 + Fraction(1, 2**28))


def test_the_rest_of_the_instructions() -> None:
    e: Emitter = EMITTER
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e300, np.nan])
    np.testing.assert_array_equal(e.round_even(values), [0.0, 2.0, 2.0, -0.0, -2.0, 1e300, np.nan])
    assert np.signbit(e.round_even(values)[3])
    np.testing.assert_array_equal(e.select(values > 1.0, values, e.constant(7.0, DType.FLOAT64))[:3], [7.0, 1.5, 2.5])
    np.testing.assert_array_equal(e.less_equal(values, values), [True] * 6 + [False])
    ones = np.array([0b1100], dtype=np.int32)
    both = np.array([0b1010], dtype=np.int32)
    assert [int(f(ones, both)[0]) for f in (e.bit_and, e.bit_or, e.bit_xor)] == [0b1000, 0b1110, 0b0110]
    assert e.dtype(values) is DType.FLOAT64
    assert e.cast(np.array([0.0, -0.0, np.nan, 0.1]), DType.BOOL).tolist() == [False, False, True, True]
