"""The errors of the transcendental functions, measured in extended precision, against their stated bounds."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline.engine.numpy_emitter import NumpyEmitter
from fallline.ops import special

Array = NDArray[Any]
Wide = np.longdouble
EXTENDED = np.finfo(Wide).nmant >= 63
needs_extended = pytest.mark.skipif(not EXTENDED, reason="needs a long double of at least 64 bits as reference")

DTYPES = [np.float32, np.float64]
UNARY = ["exp", "log", "expm1", "log1p", "tanh", "sigmoid", "softplus", "erf"]
BOUND = {  # in ulp: what the docstrings state, the larger of the two dtypes'
    "exp": 0.9,
    "log": 0.92,
    "expm1": 1.35,
    "log1p": 1.47,
    "tanh": 1.36,
    "sigmoid": 1.48,
    "softplus": 1.66,
    "erf": 1.32,
}
POWER_BOUND = {np.float32: 0.51, np.float64: 1.31}
EXPONENT_LIMIT = {np.float32: 104.0, np.float64: 746.0}
INF = math.inf


def evaluate(name: str, *arguments: Any, dtype: Any = np.float64, emitter: Any = None) -> Array:
    arrays = [np.asarray(argument, dtype=dtype) for argument in arguments]
    with np.errstate(all="ignore"):
        value = getattr(special, name)(emitter or NumpyEmitter(), *arrays)
    assert value.dtype == dtype
    return np.asarray(value)


def erf_series(x: Array) -> Array:
    """erf x = 2/√π·e^(−x²)·Σ 2ᵏx^(2k+1)/(2k+1)!! (Abramowitz & Stegun 7.1.6): no cancellation."""
    a = np.minimum(np.abs(x), Wide(7))
    term, total = a.copy(), a.copy()
    for k in range(1, 220):
        term = term * (2 * a * a) / (2 * k + 1)
        total = total + term
    coarse = a.astype(np.float32).astype(Wide)
    gauss = np.exp(-coarse * coarse) * np.exp(-(a - coarse) * (a + coarse))
    root_pi = np.sqrt(Wide("3.14159265358979323846264338327950288"))
    return np.copysign(total * gauss * 2 / root_pi, x)


REFERENCES: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "erf": erf_series,
}


def ulps(got: Array, expected: Array) -> Array:
    """The distance of `got` from the wider `expected`, in units in the last place of the latter."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        magnitude = np.maximum(np.abs(expected), Wide(info.smallest_normal))
        unit = np.ldexp(Wide(1), np.frexp(magnitude)[1] - 1 - info.nmant)
        error = np.abs(got.astype(Wide) - expected) / unit
        overflows = np.abs(expected) >= Wide(info.max) * (1 + Wide(2) ** (-info.nmant - 2))
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    error = np.where(overflows, np.where(got == np.copysign(INF, expected), 0, INF), error)
    return np.where(same, 0, np.where(np.isnan(error), INF, error))


def any_bits(rng: np.random.Generator, dtype: Any, count: int) -> Array:
    """Numbers of which every bit is drawn: all magnitudes, subnormals, infinities, NaN."""
    unsigned = np.uint32 if dtype is np.float32 else np.uint64
    return rng.integers(0, np.iinfo(unsigned).max, count, dtype=unsigned, endpoint=True).view(dtype)


def thresholds(dtype: Any) -> Array:
    """Where a function changes its way of computing, and the numbers around."""
    info = np.finfo(dtype)
    ln2, digits = math.log(2), info.nmant
    edges = [(n + 0.5) * ln2 / m for n in range(-4, 5) for m in (1, 2)]  # where the exponent steps on
    edges += [n * ln2 for n in range(-3, 4)]
    edges += [math.log(info.max), math.log(info.max) + ln2, math.log(info.smallest_normal)]
    edges += [math.log(info.smallest_normal) - digits * ln2, -(digits + 1) * ln2, (digits + 2) * ln2 / 2]
    edges += [2.0**n for n in (-digits - 3, -digits - 2, -digits - 1, -1, digits, digits + 1)]
    edges += [math.sqrt(0.5), math.sqrt(2), 2 * math.sqrt(2), math.sqrt(0.5) - 1, math.sqrt(2) - 1]
    edges += [0.8, 1.0, 3.92, 4.0, 5.9, 5.93, 10.0, 20.0, float(info.smallest_normal), float(info.max) * 0.75]
    centre = np.concatenate([edges, np.negative(edges)]).astype(dtype)
    integer = np.int32 if dtype is np.float32 else np.int64
    around = (centre.view(integer)[:, None] + np.arange(-40, 41, dtype=integer)).ravel()
    return around.view(dtype)


def points(name: str, dtype: Any, count: int) -> Array:
    rng = np.random.default_rng([UNARY.index(name), np.finfo(dtype).bits])
    limit = EXPONENT_LIMIT[dtype]
    drawn = [rng.uniform(-a, a, count).astype(dtype) for a in (1.0, 3.0, 20.0, limit)]
    small = (rng.choice([-1.0, 1.0], count) * np.exp(rng.uniform(-45, 4, count))).astype(dtype)
    x = np.concatenate([any_bits(rng, dtype, count), *drawn, small, thresholds(dtype)])
    if name == "log":
        around_one = [rng.uniform(0.5, 2, count).astype(dtype), rng.uniform(0.99, 1.01, count).astype(dtype)]
        return np.concatenate([np.abs(x), *around_one])
    if name == "log1p":
        near_pole = (np.exp(rng.uniform(-30, 0, count)) - 1).astype(dtype)
        return np.concatenate([np.where(x < -1, -x, x), near_pole])
    return x


@needs_extended
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_error_is_within_the_stated_bound(name: str, dtype: Any) -> None:
    x = points(name, dtype, 8000)
    got = evaluate(name, x, dtype=dtype)
    with np.errstate(all="ignore"):
        error = ulps(got, REFERENCES[name](x.astype(Wide)))
    worst = int(np.argmax(error))
    assert error[worst] <= BOUND[name], f"{name}({x[worst]!r}) = {got[worst]!r} is off by {error[worst]:.2f} ulp"
    assert error[worst] > 0.3, "so small an error cannot be: the measure is broken"


def power_points(dtype: Any, count: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(np.finfo(dtype).bits)
    limit = EXPONENT_LIMIT[dtype]
    bases = [
        np.abs(any_bits(rng, dtype, count)),
        rng.uniform(0.7, 1.42, count).astype(dtype),
        rng.uniform(0.3, 3.0, count).astype(dtype),
        (1 + rng.choice([-1.0, 1.0], count) * np.exp(rng.uniform(-36, -1, count))).astype(dtype),
    ]
    x = np.concatenate(bases)
    with np.errstate(all="ignore"):  # exponents that reach all results, overflow and underflow included
        y = (rng.uniform(-limit, limit, x.size) / np.log(x.astype(Wide))).astype(dtype)
    x = np.concatenate([x, rng.uniform(0, 10, count), -rng.uniform(0, 10, count), any_bits(rng, dtype, count)])
    y = np.concatenate([y, rng.uniform(-5, 5, count), rng.integers(-9, 9, count), any_bits(rng, dtype, count)])
    return x.astype(dtype), y.astype(dtype)


@needs_extended
@pytest.mark.parametrize("dtype", DTYPES)
def test_error_of_power_is_within_the_stated_bound(dtype: Any) -> None:
    with np.errstate(all="ignore"):
        x, y = power_points(dtype, 6000)
        got = evaluate("power", x, y, dtype=dtype)
        error = ulps(got, np.power(x.astype(Wide), y.astype(Wide)))
    worst = int(np.argmax(error))
    assert error[worst] <= POWER_BOUND[dtype], f"power({x[worst]!r}, {y[worst]!r}) is off by {error[worst]:.2f} ulp"
    assert error[worst] > 0.3, "so small an error cannot be: the measure is broken"


def exact_fma(a: float, b: float, c: float) -> float:
    """a·b + c by rational arithmetic, rounded once."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c
    try:
        return math.copysign(float(exact), exact)
    except OverflowError:
        return math.copysign(INF, exact)


class TrueFmaEmitter(NumpyEmitter):
    """NumPy's emitter rounds float64's fma from long double; a processor rounds it once, as here."""

    def fma(self, a: Array, b: Array, c: Array) -> Array:
        if a.dtype != np.float64:
            return super().fma(a, b, c)
        return np.asarray(np.frompyfunc(exact_fma, 3, 1)(a, b, c), dtype=np.float64)


@needs_extended
@pytest.mark.parametrize("name", [*UNARY, "power"])
def test_the_bounds_hold_with_a_fused_multiply_add_rounded_once(name: str) -> None:
    with np.errstate(all="ignore"):
        if name == "power":
            x, y = (values[::24] for values in power_points(np.float64, 6000))
            expected, arguments, bound = np.power(x.astype(Wide), y.astype(Wide)), (x, y), POWER_BOUND[np.float64]
        else:
            x = points(name, np.float64, 8000)[::50]
            expected, arguments, bound = REFERENCES[name](x.astype(Wide)), (x,), BOUND[name]
    error = ulps(evaluate(name, *arguments, emitter=TrueFmaEmitter()), expected)
    assert x.size > 1000
    assert np.max(error) <= bound
