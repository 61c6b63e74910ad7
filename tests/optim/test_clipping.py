"""Clipping: by value and by the global norm."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline import optim
from fallline.errors import ArgumentError, KindError

numbers = st.lists(st.floats(-1e6, 1e6, width=32), max_size=40)


def test_norm_of_pythagorean_quadruples() -> None:
    grads = {"a": np.array([[2.0, 3.0]], dtype=np.float32), "b": np.array(6.0, dtype=np.float32)}
    assert optim.global_norm(grads) == 7.0  # 4 + 9 + 36 = 49
    assert optim.global_norm({}) == 0.0
    assert optim.global_norm({"a": np.zeros((0, 3))}) == 0.0


@given(numbers, numbers)
def test_norm_against_rational_arithmetic(a: list[float], b: list[float]) -> None:
    found = optim.global_norm({"a": np.array(a, dtype=np.float32), "b": np.array(b, dtype=np.float32)})
    exact = sum((Fraction(value) ** 2 for value in a + b), Fraction(0))
    assert float(exact) == pytest.approx(found * found, rel=1e-14)


def test_norm_does_not_overflow_in_float32() -> None:
    assert optim.global_norm({"a": np.array([3e30, 4e30], dtype=np.float32)}) == pytest.approx(5e30)


def test_norm_follows_rows_not_memory() -> None:
    """The same logical array, row after row and column after column in memory; its order shows in the last bits."""
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=(31, 17)) for _ in range(20)]
    found = [optim.global_norm({"a": array}) for array in arrays]
    assert found == [optim.global_norm({"a": np.asfortranarray(array)}) for array in arrays]
    assert found != [optim.global_norm({"a": array.T.copy()}) for array in arrays]


def test_norm_has_the_stated_order() -> None:
    """2⁵⁴ swallows a 1 that is added to it, but not the eights that other lanes have made of ones before they meet."""
    vector = np.zeros(128)
    vector[0], vector[1::2] = 2.0**27, 1.0
    assert optim.global_norm({"a": vector}) == math.sqrt(2.0**54 + 64) > 2.0**27
    assert optim.global_norm({str(i): vector[i : i + 1] for i in range(128)}) == 2.0**27  # parameters: in their order
    vector[1::2], vector[16::16] = 0.0, 1.0  # element 16 goes to the lane of element 0, as 32, 48, …
    assert optim.global_norm({"a": vector}) == 2.0**27


@given(st.lists(st.floats(-2, 2, width=32), max_size=9), st.floats(0.5, 8))
def test_clipping_by_norm(values: list[float], limit: float) -> None:
    grads = {"a": np.array(values, dtype=np.float32), "b": np.array([[1.0]])}
    before = {name: g.copy() for name, g in grads.items()}
    clipped, norm = optim.clip_by_global_norm(grads, limit)
    assert norm == optim.global_norm(grads)
    assert optim.global_norm(clipped) <= limit * (1 + 1e-6)
    for name, g in grads.items():
        assert g.tobytes() == before[name].tobytes()
        assert clipped[name].dtype == g.dtype
        assert clipped[name].shape == g.shape
        if norm <= limit:
            assert clipped[name].tobytes() == g.tobytes()
        else:
            np.testing.assert_allclose(clipped[name], g * (limit / norm), rtol=1e-6, atol=1e-40)


def test_gradients_within_the_limit_keep_their_bits() -> None:
    grads = {"a": np.array([0.3, -0.4], dtype=np.float32), "b": np.array(0.1)}
    norm = optim.global_norm(grads)
    for limit in (norm, 10.0):
        clipped, found = optim.clip_by_global_norm(grads, limit)
        assert found == norm
        assert all(clipped[name].tobytes() == g.tobytes() for name, g in grads.items())
    clipped, _ = optim.clip_by_global_norm(grads, math.nextafter(norm, 0.0) * 0.999)
    assert clipped["a"].tobytes() != grads["a"].tobytes()


def test_clipping_by_norm_keeps_the_direction() -> None:
    clipped, norm = optim.clip_by_global_norm({"a": np.array([30.0]), "b": np.array([-40.0])}, 5.0)
    assert norm == 50.0
    assert clipped["a"].tolist() == [3.0]
    assert clipped["b"].tolist() == [-4.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_gradients_that_are_not_finite_stay_as_they_are(bad: float) -> None:
    grads = {"a": np.array([1.0, bad, 1e30], dtype=np.float32)}
    clipped, norm = optim.clip_by_global_norm(grads, 1.0)
    assert not math.isfinite(norm)
    assert clipped["a"].tobytes() == grads["a"].tobytes()


def test_clipping_by_value() -> None:
    grads = {"a": np.array([-3.0, -1.0, 0.25, 2.0, math.inf, math.nan], dtype=np.float32), "b": np.array(9.0)}
    clipped = optim.clip_by_value(grads, 1.0)
    np.testing.assert_array_equal(clipped["a"], np.array([-1, -1, 0.25, 1, 1, math.nan], dtype=np.float32))
    assert clipped["a"].dtype == np.float32
    assert clipped["b"].shape == ()
    assert clipped["b"] == 1.0
    assert grads["b"] == 9.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: optim.clip_by_value({}, 0),
            ArgumentError,
            "optim.clip_by_value(limit=0): limit must be greater than 0, found 0. Leave clipping out to have no limit.",
        ),
        (
            lambda: optim.clip_by_global_norm({}, "1"),
            KindError,
            "optim.clip_by_global_norm(limit='1'): limit must be a number, found the str '1'. "
            "Leave clipping out to have no limit.",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
