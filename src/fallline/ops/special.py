"""Transcendental functions in kernel form, for float32 and float64: exp, log, expm1, log1p, tanh and others.

Each is a straight line of emitter instructions (no loop, no table, no call of libm), so that its bits are
the same wherever IEEE 754 holds. float32 is computed in float32, except `power`. NaN propagates; infinities,
signed zeros, overflow and gradual underflow are as in C99, Annex F. "Error" is the largest distance from the
true value that was met, in units in the last place of the result (ulp), among every fifth float32 and 20 million
float64 numbers, with a fused multiply-add rounded once.
Sources: Cody & Waite 1980, *Software Manual for the Elementary Functions*; FreeBSD msun (logarithm).
"""

from fallline.ir.emitter import Emitter, Value
from fallline.ops.special_parts import (
    as_float,
    at_least,
    at_log_edges,
    at_most,
    bounded_exp,
    exp_of_reduced,
    format_of,
    half_expm1,
    log_one_plus,
    natural_log,
    nearest_exponent,
    number,
    over_one_plus,
    polynomial,
    reduced,
    sign_bit,
    split_at_sqrt_half,
    two_to_the,
    with_sign,
)
from fallline.ops.special_power import power

__all__ = ["exp", "log", "expm1", "log1p", "tanh", "sigmoid", "softplus", "erf", "power"]


def exp(e: Emitter, x: Value) -> Value:
    """eˣ = 2ⁿ·eʳ with x = n·ln 2 + r, |r| ≤ ln2/2.

    Error: 0.88 ulp (float32), 0.90 ulp (float64).
    """
    f = format_of(e, x)
    return bounded_exp(e, at_most(e, at_least(e, x, f.exp_low), f.exp_high))


def log(e: Emitter, x: Value) -> Value:
    """ln x = k·ln 2 + ln m with x = m·2ᵏ, √½ ≤ m < √2.

    A subnormal x is scaled up first. log(±0) = −∞, log(x < 0) = NaN.

    Error: 0.83 ulp (float32), 0.92 ulp (float64).
    """
    return natural_log(e, x)


def expm1(e: Emitter, x: Value) -> Value:
    """eˣ − 1, exact to the last places near 0, where it is x + x²/2 + ….

    Error: 1.32 ulp (float32), 1.35 ulp (float64).
    """
    f = format_of(e, x)
    half, _ = half_expm1(e, at_most(e, at_least(e, x, f.expm1_low), f.exp_high))
    # Below, expm1(x) rounds to x; halving would cost a subnormal its last bit, and −0 its sign.
    itself = e.less(e.absolute(x), number(e, x, f.epsilon / 4))
    return e.select(itself, x, e.add(half, half))


def log1p(e: Emitter, x: Value) -> Value:
    """ln(1 + x), exact to the last places near 0, where it is x − x²/2 + ….

    k comes from 1 + x, which is rounded; 2⁻ᵏ·(1 + x) − 1 = 2⁻ᵏ·x + (2⁻ᵏ − 1) is formed anew from x.
    All of it is divided by 4, so that 2⁻ᵏ is a normal number for the largest x.

    Error: 1.40 ulp (float32), 1.47 ulp (float64).
    """
    f = format_of(e, x)
    quarter = number(e, x, 0.25)
    part = e.multiply(x, quarter)
    biased, _ = split_at_sqrt_half(e, e.add(part, quarter), f.bias)
    k = as_float(e, biased, number(e, x, 2.0**f.digits + f.bias - 2), f)
    power_of_two = two_to_the(e, e.subtract(e.constant(2 * f.bias, f.integer), biased), f)  # 2^(2 − k)
    remainder = e.fma(part, power_of_two, e.fma(quarter, power_of_two, number(e, x, -1.0)))
    value = log_one_plus(e, remainder, e.multiply(k, number(e, x, f.ln2_low)))
    value = at_log_edges(e, e.add(x, number(e, x, 1.0)), e.fma(k, number(e, x, f.ln2_high), value))
    return e.select(e.less(e.absolute(x), number(e, x, f.epsilon / 4)), x, value)


def tanh(e: Emitter, x: Value) -> Value:
    """tanh x = h/(1 + h) with h = (e^(2|x|) − 1)/2, and the sign of x: exactly odd.

    Error: 1.00 ulp (float32), 1.36 ulp (float64).
    """
    magnitude = at_most(e, e.absolute(x), format_of(e, x).tanh_top)
    half, low = half_expm1(e, e.add(magnitude, magnitude))
    return with_sign(e, over_one_plus(e, half, half, low, low), sign_bit(e, x))


def sigmoid(e: Emitter, x: Value) -> Value:
    """1/(1 + e⁻ˣ), computed as t/(1 + t) or 1/(1 + t) with t = e^−|x|, which never overflows.

    Error: 1.48 ulp (float32), 1.46 ulp (float64).
    """
    t = _exp_of_minus_magnitude(e, x)
    return over_one_plus(e, e.select(e.less(x, number(e, x, 0.0)), t, number(e, x, 1.0)), t)


def softplus(e: Emitter, x: Value) -> Value:
    """ln(1 + eˣ) = max(x, 0) + ln(1 + t) with t = e^−|x| ≤ 1.

    For t > ½, ln(1 + t) = ln 2 + ln(1 + (t − 1)/2), in which t − 1 is exact.

    Error: 1.66 ulp (float32), 1.66 ulp (float64).
    """
    f = format_of(e, x)
    zero, half = number(e, x, 0.0), number(e, x, 0.5)
    t = _exp_of_minus_magnitude(e, x)
    large = e.less(half, t)
    remainder = e.select(large, e.multiply(half, e.subtract(t, number(e, x, 1.0))), t)
    value = log_one_plus(e, remainder, e.select(large, number(e, x, f.ln2_low), zero))
    value = e.add(e.select(large, number(e, x, f.ln2_high), zero), value)
    return e.add(e.select(e.less(zero, x), x, zero), value)


def erf(e: Emitter, x: Value) -> Value:
    """2/√π·∫₀ˣ e^(−t²) dt, exactly odd.

    Near 0 it is x + x·P(x²), elsewhere 1 − exp(Q(|x|)), where Q approximates ln(1 − erf).

    Error: 1.32 ulp (float32), 1.14 ulp (float64).
    """
    f = format_of(e, x)
    magnitude = at_most(e, e.absolute(x), f.erf_top)
    near = e.fma(polynomial(e, e.multiply(magnitude, magnitude), f.erf_near), magnitude, magnitude)
    exponent = polynomial(e, magnitude, f.erf_far)
    bits, n = nearest_exponent(e, exponent, f.bias)
    r, c = reduced(e, exponent, n)
    one = number(e, x, 1.0)
    value = e.add(one, e.add(r, exp_of_reduced(e, r, c)))
    far = e.fma(e.negate(two_to_the(e, bits, f)), value, one)
    is_near = e.less(magnitude, number(e, x, f.erf_edge))
    return with_sign(e, e.select(is_near, near, far), sign_bit(e, x))


def _exp_of_minus_magnitude(e: Emitter, x: Value) -> Value:
    """e^−|x|."""
    return bounded_exp(e, at_least(e, e.negate(e.absolute(x)), format_of(e, x).exp_low))
