"""The power function in kernel form: a logarithm of twice the precision, times the exponent, exponentiated."""

from fallline.ir.emitter import Emitter, Value
from fallline.ir.types import DType
from fallline.ops.special_constants import ATANH, FORMATS, THIRD
from fallline.ops.special_parts import (
    at_least,
    at_most,
    bounded_exp,
    finite_parts,
    format_of,
    natural_log,
    number,
    polynomial,
    sign_bit,
    with_sign,
)

_F64 = FORMATS[DType.FLOAT64]
_LARGE = 2.0**70  # an exponent beyond it acts as an infinite one: |ln x| ≥ 2⁻⁵³ unless x = 1


def power(e: Emitter, x: Value, y: Value) -> Value:
    """x to the power y, with the special cases of C's pow; float32 by way of float64.

    x⁰ = 1 and 1ʸ = 1 even for NaN; a negative x needs a whole y, else NaN; (±0)ʸ and (±∞)ʸ keep the sign
    for odd y; (−1)^±∞ = 1.

    Error: 0.50 ulp (float32, a million pairs), 1.17 ulp (float64; up to 1.31 with NumPy's emulated fma).
    """
    target = format_of(e, x).dtype
    single = target is DType.FLOAT32
    if single:
        x, y = e.cast(x, DType.FLOAT64), e.cast(y, DType.FLOAT64)
    magnitude = e.absolute(x)
    finite = at_least(e, at_most(e, y, _LARGE), -_LARGE)  # an infinite exponent is 0 times ln 1, too
    value = _exp_of_product(e, magnitude, finite, precise=not single)

    infinity, one, zero = number(e, x, float("inf")), number(e, x, 1.0), number(e, x, 0.0)
    whole = e.equal(e.round_even(y), y)
    half = e.multiply(y, number(e, x, 0.5))
    odd = e.logical_and(whole, e.logical_not(e.equal(e.round_even(half), half)))
    value = with_sign(e, value, e.select(odd, sign_bit(e, x), e.constant(0, _F64.integer)))
    negative = e.logical_and(e.less(x, zero), e.less(magnitude, infinity))
    without_value = e.logical_and(negative, e.logical_not(whole))
    value = e.select(without_value, number(e, x, float("nan")), value)
    value = e.select(e.logical_or(e.equal(x, one), e.equal(y, zero)), one, value)
    return e.cast(value, target) if single else value


def _exp_of_product(e: Emitter, x: Value, y: Value, precise: bool) -> Value:
    """exp(y·ln x) for x ≥ 0 or NaN and a finite y or NaN; if `precise`, ln x and the product are in two parts."""
    tail = None
    if precise:
        infinity, zero = number(e, x, float("inf")), number(e, x, 0.0)
        high, low = _precise_log(e, x)
        high = e.select(e.less(x, infinity), high, x)
        high = e.select(e.equal(x, zero), e.negate(infinity), high)
        product = e.multiply(y, high)
        tail = e.fma(y, low, e.fma(y, high, e.negate(product)))
        tail = e.select(e.less(e.absolute(product), number(e, x, 800.0)), tail, zero)
    else:  # float64 is twice float32's precision already
        product = e.multiply(y, natural_log(e, x))
    return bounded_exp(e, at_most(e, at_least(e, product, _F64.exp_low), _F64.exp_high), tail)


def _precise_log(e: Emitter, x: Value) -> tuple[Value, Value]:
    """high + low = ln x with a relative error below 2⁻⁶³, for a finite x > 0."""
    k, remainder = finite_parts(e, x)
    high, low = _two_artanh(e, remainder)
    whole = e.multiply(k, number(e, x, _F64.ln2_high))
    total, lost = _fast_sum(e, whole, high)
    lost = e.add(lost, e.fma(k, number(e, x, _F64.ln2_low), low))
    return _fast_sum(e, total, lost)


def _two_artanh(e: Emitter, f: Value) -> tuple[Value, Value]:
    """high + low = ln(1 + f) = 2·artanh s, s = f/(2 + f): 2s + 2s·z·(⅓ + z·T(z)) with z = s²."""
    two = number(e, f, 2.0)
    denominator = e.add(f, two)
    denominator_low = e.subtract(f, e.subtract(denominator, two))
    reciprocal = e.divide(number(e, f, 1.0), denominator)
    s = e.multiply(f, reciprocal)
    remainder = e.fma(e.negate(s), denominator_low, e.fma(e.negate(s), denominator, f))
    s_low = e.multiply(remainder, reciprocal)
    z, z_low = _product(e, s, s)
    z_low = e.fma(e.add(s, s), s_low, z_low)
    third, third_low = number(e, f, THIRD[0]), number(e, f, THIRD[1])
    factor, factor_low = _fast_sum(e, third, e.multiply(z, polynomial(e, z, ATANH)))
    factor_low = e.add(factor_low, third_low)
    cube, cube_low = _product(e, s, z)
    cube_low = e.fma(s, z_low, e.fma(s_low, z, cube_low))
    rest, rest_low = _product(e, cube, factor)
    rest_low = e.fma(cube, factor_low, e.fma(cube_low, factor, rest_low))
    high, low = _fast_sum(e, s, rest)
    low = e.add(low, e.add(s_low, rest_low))
    return e.multiply(high, two), e.multiply(low, two)


def _product(e: Emitter, a: Value, b: Value) -> tuple[Value, Value]:
    """a·b and what its rounding lost."""
    high = e.multiply(a, b)
    return high, e.fma(a, b, e.negate(high))


def _fast_sum(e: Emitter, a: Value, b: Value) -> tuple[Value, Value]:
    """a + b and what its rounding lost, for |a| ≥ |b| or a = 0 (Dekker 1971)."""
    total = e.add(a, b)
    return total, e.subtract(b, e.subtract(total, a))
