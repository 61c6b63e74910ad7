"""The transcendental functions at C's special cases, at published values, by their properties, and as code."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fallline.engine.numpy_emitter import NumpyEmitter
from fallline.errors import KindError
from fallline.ir.types import DType
from fallline.ops import special

Array = NDArray[Any]
DTYPES = [np.float32, np.float64]
UNARY = ["exp", "log", "expm1", "log1p", "tanh", "sigmoid", "softplus", "erf"]
INF, NAN = math.inf, math.nan


def evaluate(name: str, *arguments: Any, dtype: Any = np.float64) -> Array:
    arrays = [np.asarray(argument, dtype=dtype) for argument in arguments]
    with np.errstate(all="ignore"):
        value = getattr(special, name)(NumpyEmitter(), *arrays)
    assert value.dtype == dtype
    return np.asarray(value)


SPECIAL_CASES = {  # C99 Annex F, and limits
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1000.0, INF), (-1000.0, 0.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (-INF, NAN), (INF, INF), (-1e-40, NAN)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (1000.0, INF), (-1000.0, -1.0), (1e-30, 1e-30)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-1.5, NAN), (-INF, NAN), (INF, INF), (-1e-30, -1e-30)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1000.0, 1.0), (-1000.0, -1.0), (1e-30, 1e-30)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1000.0, 1.0), (-1000.0, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1000.0, 1000.0), (-1000.0, 0.0)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1000.0, 1.0), (-1000.0, -1.0)],
}


def assert_same(got: Array, expected: Array) -> None:
    """Equal bits, up to the payload and sign of NaN."""
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_special_cases(name: str, dtype: Any) -> None:
    x, expected = np.array([*SPECIAL_CASES[name], (NAN, NAN)], dtype=dtype).T
    assert_same(evaluate(name, x, dtype=dtype), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh"])
def test_subnormal_numbers_come_back_as_they_are(name: str, dtype: Any) -> None:
    tiny = np.finfo(dtype).smallest_subnormal * np.array([1, -1, 2, -3, 5, 1001], dtype=dtype)
    assert_same(evaluate(name, tiny, dtype=dtype), tiny)


POWER_CASES = [  # C99 F.9.4.4: base, exponent, result
    *[(x, y, 1.0) for x in (0.0, -0.0, 1.0, -2.5, INF, -INF, NAN) for y in (0.0, -0.0)],
    *[(1.0, y, 1.0) for y in (2.5, -3.0, 1e30, INF, -INF, NAN)],
    *[(-1.0, y, 1.0) for y in (2.0, 1e30, INF, -INF)],
    *[(0.0, y, 0.0) for y in (1.0, 2.0, 0.5, 1e30, INF)],
    *[(0.0, y, INF) for y in (-1.0, -2.0, -0.5, -1e30, -INF)],
    *[(-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 0.5, 0.0), (-0.0, -3.0, -INF), (-0.0, -2.0, INF)],
    *[(INF, 0.5, INF), (INF, -0.5, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, -3.0, -0.0), (-INF, 0.5, INF)],
    *[(0.5, INF, 0.0), (0.5, -INF, INF), (2.0, INF, INF), (2.0, -INF, 0.0), (-2.0, INF, INF), (-0.5, INF, 0.0)],
    *[(-2.0, 3.0, -8.0), (-2.0, 4.0, 16.0), (-2.0, -1.0, -0.5), (-2.0, 0.5, NAN), (-1e30, 1.5, NAN)],
    *[(NAN, 1.0, NAN), (2.0, NAN, NAN), (-1.0, NAN, NAN), (0.0, NAN, NAN)],
    *[(1e30, 1e30, INF), (1e-30, 1e30, 0.0), (-1e30, 3e15, INF), (4.0, 0.5, 2.0), (9.0, -0.5, 1 / 3), (10.0, 3.0, 1e3)],
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_cases_of_power(dtype: Any) -> None:
    x, y, expected = np.array(POWER_CASES, dtype=dtype).T
    assert_same(evaluate("power", x, y, dtype=dtype), expected)


def test_oddness_of_a_large_exponent_decides_the_sign() -> None:
    odd = 2.0**53 - 1
    got = evaluate("power", [-1.0, -1.0, -1.0], [odd, odd + 1, -odd])
    np.testing.assert_array_equal(got, [-1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("dtype", "below", "above", "smallest", "vanishing"),
    [
        (np.float32, 88.72283, 88.72284, -103.97, -103.98),
        (np.float64, 709.782712893384, 709.7827128933841, -745.13, -745.14),
    ],
)
def test_exp_overflows_and_underflows_where_it_should(
    dtype: Any, below: float, above: float, smallest: float, vanishing: float
) -> None:
    low, high, tiny, zero = evaluate("exp", [below, above, smallest, vanishing], dtype=dtype)
    assert 0.999 * np.finfo(dtype).max < low < INF
    assert high == INF
    assert tiny == np.finfo(dtype).smallest_subnormal
    assert zero == 0
    assert evaluate("sigmoid", smallest, dtype=dtype) == evaluate("softplus", smallest, dtype=dtype) == tiny


PUBLISHED = [  # Abramowitz & Stegun, tables 4.4, 4.2, 4.15, 7.1; DLMF 4.2.11
    ("exp", 1.0, 2.718281828459045),
    ("log", 10.0, 2.302585092994046),
    ("log", 2.0, 0.6931471805599453),
    ("log", 5e-324, -744.4400719213812),
    ("tanh", 0.5, 0.46211715726000975),
    ("erf", 0.5, 0.5204998778130465),
    ("erf", 1.0, 0.8427007929497149),
    ("erf", 2.0, 0.9953222650189527),
    ("softplus", 0.0, 0.6931471805599453),
    ("sigmoid", 1.0, 0.7310585786300049),
]


@pytest.mark.parametrize(("name", "x", "expected"), PUBLISHED)
def test_published_values(name: str, x: float, expected: float) -> None:
    assert abs(float(evaluate(name, x)) - expected) <= 2 * math.ulp(expected)


finite = st.floats(-700.0, 700.0)
positive = st.floats(1e-300, 1e300)


@settings(max_examples=150)
@given(finite, st.sampled_from(["tanh", "erf"]), st.sampled_from(DTYPES))
def test_tanh_and_erf_are_exactly_odd_and_within_one(x: float, name: str, dtype: Any) -> None:
    plus, minus = evaluate(name, [x, -x], dtype=dtype)
    assert plus == -minus
    assert abs(plus) <= 1


@settings(max_examples=200)
@given(finite, st.floats(1e-4, 1.0), st.sampled_from(["exp", "expm1", "tanh", "sigmoid", "softplus", "erf"]))
def test_they_never_fall(x: float, step: float, name: str) -> None:
    lower, upper = evaluate(name, [x, x + step])
    assert lower <= upper


@settings(max_examples=150)
@given(positive)
def test_log_undoes_exp_and_exp_undoes_log(x: float) -> None:
    y = evaluate("log", x)
    assert float(evaluate("exp", y)) == pytest.approx(x, rel=2.0**-52 * (2 + abs(float(y))))
    assert float(evaluate("log", evaluate("exp", y))) == pytest.approx(float(y), rel=1e-15, abs=1e-15)


@settings(max_examples=150)
@given(st.floats(-30.0, 30.0))
def test_log1p_undoes_expm1_and_sigmoid_has_its_symmetry(x: float) -> None:
    back = float(evaluate("log1p", evaluate("expm1", x)))
    assert back == pytest.approx(x, rel=1e-15 * (1 + math.exp(max(0.0, -x))), abs=1e-300)
    assert float(evaluate("sigmoid", x) + evaluate("sigmoid", -x)) == pytest.approx(1.0, rel=5e-16)
    difference = float(evaluate("softplus", x) - evaluate("softplus", -x))
    assert difference == pytest.approx(x, rel=1e-15, abs=1e-15)


@settings(max_examples=150)
@given(st.floats(0.001, 1000.0), st.floats(-40.0, 40.0), st.integers(-8, 8))
def test_power_multiplies_up(x: float, y: float, n: int) -> None:
    product = evaluate("power", x, y) * evaluate("power", x, -y)
    assert float(product) == pytest.approx(1.0, rel=1e-15)
    exact = float(Fraction(x) ** n)  # rounded once
    assert abs(float(evaluate("power", x, n)) - exact) <= 2 * math.ulp(exact)
    assert float(evaluate("power", -x, n)) == (-1) ** n * float(evaluate("power", x, n))


class OpaqueValue:
    """A value of which nothing is known but its dtype: what a compiler's emitter deals in."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def __bool__(self) -> bool:
        raise AssertionError("a kernel form may not look at a value: use select")


class CountingEmitter:
    """Counts instructions, and checks that operands agree in dtype."""

    arithmetic = ("add", "subtract", "multiply", "divide", "negate", "absolute", "fma", "sqrt", "round_even")
    same = frozenset([*arithmetic, "bit_and", "bit_or", "bit_xor"])
    compared = frozenset(["equal", "less", "less_equal", "logical_and", "logical_or", "logical_not"])
    reinterpreted: ClassVar[dict[str, dict[DType, DType]]] = {
        "float_bits": {DType.FLOAT32: DType.INT32, DType.FLOAT64: DType.INT64},
        "float_from_bits": {DType.INT32: DType.FLOAT32, DType.INT64: DType.FLOAT64},
    }

    def __init__(self) -> None:
        self.instructions = 0
        self.divisions = 0
        self.seen: set[DType] = set()

    def dtype(self, x: OpaqueValue) -> DType:
        return x.dtype

    def constant(self, value: float, dtype: DType) -> OpaqueValue:
        return OpaqueValue(dtype)

    def cast(self, x: OpaqueValue, dtype: DType) -> OpaqueValue:
        return self._emit(dtype)

    def select(self, condition: OpaqueValue, a: OpaqueValue, b: OpaqueValue) -> OpaqueValue:
        assert condition.dtype is DType.BOOL
        assert a.dtype is b.dtype
        return self._emit(a.dtype)

    def shift_left(self, a: OpaqueValue, bits: int) -> OpaqueValue:
        assert a.dtype.is_integer
        return self._emit(a.dtype)

    shift_right = shift_left

    def _emit(self, dtype: DType) -> OpaqueValue:
        self.instructions += 1
        self.seen.add(dtype)
        return OpaqueValue(dtype)

    def __getattr__(self, name: str) -> Callable[..., OpaqueValue]:
        def instruction(*operands: OpaqueValue) -> OpaqueValue:
            (dtype,) = {operand.dtype for operand in operands}
            self.divisions += name == "divide"
            if name in self.reinterpreted:
                return self._emit(self.reinterpreted[name][dtype])
            assert name in self.same or name in self.compared, f"{name} is no instruction of the emitter"
            return self._emit(DType.BOOL if name in self.compared else dtype)

        return instruction


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
@pytest.mark.parametrize("name", [*UNARY, "power"])
def test_emits_well_typed_straight_code_of_its_own_width(name: str, dtype: DType) -> None:
    emitter = CountingEmitter()
    arguments = [OpaqueValue(dtype)] * (2 if name == "power" else 1)
    assert getattr(special, name)(emitter, *arguments).dtype is dtype
    assert emitter.divisions <= 1
    assert emitter.instructions <= (150 if name == "power" else 70)
    width = {DType.FLOAT32, DType.INT32} if dtype is DType.FLOAT32 else {DType.FLOAT64, DType.INT64}
    if name != "power":
        assert emitter.seen <= width | {DType.BOOL}


@pytest.mark.parametrize("name", UNARY)
def test_whole_numbers_are_refused(name: str) -> None:
    with pytest.raises(
        KindError,
        match=r"exponentials and logarithms need float32 or float64 values, got int32; cast them to a float first",
    ):
        evaluate(name, [1, 2], dtype=np.int32)
