"""`fl.grad` and `fl.hvp`: of polynomials, of themselves, and their errors."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from fallline.backprop.transforms import grad, hvp
from fallline.errors import ArgumentError, FalllineError, KindError, ShapeError
from fallline.ops import functions as fl

NUMBERS = st.floats(-2.0, 2.0)


def polynomial(coefficients: list[float]) -> Callable[[Any], Any]:
    def value(x: Any) -> Any:
        total = 0.0 * x
        for coefficient in reversed(coefficients):
            total = total * x + coefficient
        return total

    return value


@given(st.lists(NUMBERS, min_size=1, max_size=5), NUMBERS)
def test_nested_gradients_of_polynomials(coefficients: list[float], x: float) -> None:
    derivative, right = polynomial(coefficients), Polynomial(coefficients)
    for _ in range(4):
        derivative, right = grad(derivative), right.deriv()
        assert derivative(x) == pytest.approx(right(x), rel=1e-12, abs=1e-12)


def test_a_function_of_one_number() -> None:
    assert grad(lambda x: x * x * x)(2.0) == 12.0
    assert grad(lambda x: x * x * x)(2) == 12.0
    assert type(grad(lambda x: x**2)(3.0)) is np.float64
    assert grad(grad(fl.exp))(1.0) == pytest.approx(np.e)


def test_arrays_keep_shape_and_dtype() -> None:
    for dtype in (np.float32, np.float64):
        x = np.ones((2, 3), dtype=dtype)
        slope = grad(lambda x: fl.sum(fl.tanh(x)))(x)
        assert (slope.shape, slope.dtype) == (x.shape, x.dtype)


def test_argnums() -> None:
    def f(x: Any, y: Any, z: Any) -> Any:
        return x * y + 3.0 * y * z

    assert grad(f)(2.0, 5.0, 7.0) == 5.0
    assert grad(f, argnums=1)(2.0, 5.0, 7.0) == 23.0
    assert grad(f, argnums=-1)(2.0, 5.0, 7.0) == 15.0
    assert grad(f, argnums=(2, 0))(2.0, 5.0, 7.0) == (15.0, 5.0)
    assert grad(f, argnums=(1,))(2.0, 5.0, 7.0) == (23.0,)


def test_arguments_that_are_not_differentiated_may_be_whole_numbers() -> None:
    x, rows = np.arange(6.0).reshape(3, 2), np.array([2, 2])
    found = grad(lambda x, rows: fl.sum(x[rows]))(x, rows)
    np.testing.assert_array_equal(found, [[0.0, 0.0], [0.0, 0.0], [2.0, 2.0]])


def test_functions_that_ignore_an_argument() -> None:
    assert grad(lambda x, y: y * y, argnums=(0, 1))(2.0, 3.0) == (0.0, 6.0)
    np.testing.assert_array_equal(grad(lambda x: 5.0)(np.ones((2, 2))), np.zeros((2, 2)))
    assert grad(lambda x: 5)(1.0) == 0.0
    assert grad(grad(lambda x: x))(1.0) == 0.0


def test_an_inner_gradient_may_use_what_the_outer_one_differentiates_by() -> None:
    # d/dx [x·d/dy(x·y²)|y=x] = d/dx [2x³] = 6x²
    outer = grad(lambda x: x * grad(lambda y, x: x * y * y)(x, x))
    assert outer(2.0) == 24.0
    assert grad(lambda x: grad(lambda y, z: y * z * x, argnums=1)(x, 3))(2.0) == 4.0


def test_results_belong_to_their_receiver() -> None:
    slope = grad(fl.sum)(np.zeros(3))
    slope += 1.0
    np.testing.assert_array_equal(slope, [2.0, 2.0, 2.0])
    constant, kept = np.ones(3), np.zeros(3)
    slope = grad(lambda x: fl.sum(x * constant))(kept)
    slope *= 7.0
    np.testing.assert_array_equal(constant, np.ones(3))
    np.testing.assert_array_equal(kept, np.zeros(3))


def energy(x: Any) -> Any:
    """A smooth function of a (2, 3) array with a full Hessian."""
    return fl.logsumexp(fl.sum(x * x, axis=0)) + fl.sum(fl.tanh(x @ x.T)) + fl.sum(fl.exp(x)) * fl.mean(x)


def test_hvp_is_the_hessian_of_finite_differences() -> None:
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(2, 3)) * 0.5, rng.normal(size=(2, 3))
    slope, step = grad(energy), 1e-5
    hessian = np.empty((6, 6))
    for i in range(6):
        e = np.zeros(6)
        e[i] = step
        hessian[i] = ((slope(x + e.reshape(2, 3)) - slope(x - e.reshape(2, 3))) / (2.0 * step)).ravel()
    np.testing.assert_allclose(hvp(energy)(x, v).ravel(), hessian @ v.ravel(), rtol=1e-7, atol=1e-8)


def test_hvp_of_a_quadratic_is_its_matrix() -> None:
    matrix = np.array([[2.0, 1.0], [1.0, -3.0]])
    product = hvp(lambda x: 0.5 * (x @ matrix @ x))
    np.testing.assert_allclose(product(np.array([9.0, 9.0]), np.array([1.0, 2.0])), matrix @ [1.0, 2.0], rtol=1e-15)
    assert hvp(lambda x: x**3)(2.0, 1.0) == 12.0


def test_a_gradient_of_an_hvp_is_a_third_derivative() -> None:
    assert grad(lambda x: hvp(lambda y: y**4)(x, 1.0 + 0.0 * x))(2.0) == 48.0


X = np.ones((2, 3))
MISTAKES: list[tuple[Callable[[], Any], type[FalllineError], str]] = [
    (
        lambda: grad(lambda x: x * 2.0)(X),
        ShapeError,
        "backpropagation needs a loss that is one number, found shape (2, 3): take its mean or sum first",
    ),
    (
        lambda: grad(lambda x: np.ones(3))(X),
        ShapeError,
        "backpropagation needs a loss that is one number, found shape (3,): take its mean or sum first",
    ),
    (
        lambda: grad(lambda x: None)(X),
        KindError,
        "cannot use a value of type NoneType in a graph: need numbers, found None",
    ),
    (
        lambda: grad(lambda x: fl.sum(x > 0.0))(X),
        KindError,
        "backpropagation needs a float loss, found int64 ()",
    ),
    (
        lambda: grad(fl.sum)(np.arange(3)),
        KindError,
        "fl.grad: can only differentiate by floats, argument 0 holds int64",
    ),
    (
        lambda: grad(lambda x, i: fl.sum(x[i]), argnums=1)(X, np.array([0])),
        KindError,
        "fl.grad: can only differentiate by floats, argument 1 holds int64",
    ),
    (
        lambda: grad(lambda x: grad(lambda i: i * 2, argnums=0)(x.astype("int64")))(2.0),
        KindError,
        "fl.grad: can only differentiate by floats, argument 0 holds int64",
    ),
    (
        lambda: grad(fl.sum)(np.ones(3, dtype=np.float16)),
        KindError,
        "dtype 'float16' is not supported: choose one of float32, float64, int64, int32, uint8, bool",
    ),
    (lambda: grad(fl.sum, argnums=1)(X), ArgumentError, "fl.grad: argnums names argument 1, but 1 were given"),
    (lambda: grad(fl.sum, argnums=(0, -2))(X), ArgumentError, "fl.grad: argnums names argument -2, but 1 were given"),
    (
        lambda: grad(lambda x: x if x > 0.0 else -x)(1.0),
        KindError,
        "a symbolic tensor (bool ()) has no truth value while a network is traced: "
        "use fl.where(condition, a, b) instead of `if`",
    ),
    (
        lambda: grad(lambda x: x * float(x))(1.0),
        KindError,
        "a symbolic tensor (float64 ()) has no number yet: the network is being traced, not run",
    ),
    (
        lambda: hvp(fl.sum)(X, np.ones(3)),
        ArgumentError,
        "fl.hvp: x and v must have one shape, found (2, 3) and (3,)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "sentence"), MISTAKES)
def test_mistakes_are_told_in_a_sentence(call: Callable[[], Any], kind: type[FalllineError], sentence: str) -> None:
    with pytest.raises(FalllineError, match=f"^{re.escape(sentence)}$") as caught:
        call()
    assert type(caught.value) is kind
