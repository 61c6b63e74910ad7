"""Parts that the transcendental functions of `special` share, in kernel form for float32 and float64."""

from fallline.errors import KindError
from fallline.ir.emitter import Emitter, Value
from fallline.ops.special_constants import FORMATS, LOG2_E, Coefficients, Format


def format_of(e: Emitter, x: Value) -> Format:
    """The format of a float32 or float64 value.

    Raises:
        KindError: x is of another dtype.
    """
    found = FORMATS.get(e.dtype(x))
    if found is None:
        raise KindError(
            f"exponentials and logarithms need float32 or float64 values, got {e.dtype(x)}; cast them to a float first"
        )
    return found


def number(e: Emitter, x: Value, value: float) -> Value:
    """A constant of x's dtype."""
    return e.constant(value, e.dtype(x))


def polynomial(e: Emitter, x: Value, coefficients: Coefficients) -> Value:
    """Σ coefficients[k]·xᵏ by Horner's rule, one fma per coefficient."""
    total = number(e, x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = e.fma(total, x, number(e, x, coefficient))
    return total


def at_least(e: Emitter, x: Value, low: float) -> Value:
    """max(x, low), NaN staying NaN."""
    bound = number(e, x, low)
    return e.select(e.less(x, bound), bound, x)


def at_most(e: Emitter, x: Value, high: float) -> Value:
    """min(x, high), NaN staying NaN."""
    bound = number(e, x, high)
    return e.select(e.less(bound, x), bound, x)


def sign_bit(e: Emitter, x: Value) -> Value:
    """The sign bit of x, as an integer that has no other bit."""
    f = format_of(e, x)
    return e.bit_and(e.float_bits(x), e.constant(f.sign, f.integer))


def with_sign(e: Emitter, magnitude: Value, sign: Value) -> Value:
    """−magnitude where the sign bit is set, for magnitude ≥ 0."""
    return e.float_from_bits(e.bit_or(e.float_bits(magnitude), sign))


def two_to_the(e: Emitter, biased: Value, f: Format) -> Value:
    """2ⁿ from the integer n + bias, of which the bits beyond the exponent's width are ignored."""
    return e.float_from_bits(e.shift_left(biased, f.digits))


def nearest_exponent(e: Emitter, x: Value, offset: int) -> tuple[Value, Value]:
    """n, the whole number nearest to x/ln 2, as an integer whose low bits hold n + offset, and as a float.

    Adding 1.5·2^digits rounds to whole numbers and leaves n + offset in the lowest bits: no cast is
    needed, neither here nor for 2ⁿ. A NaN gives some integer and the float NaN.
    """
    f = format_of(e, x)
    magic = number(e, x, f.one_and_a_half + offset)
    shifted = e.fma(x, number(e, x, LOG2_E), magic)
    return e.float_bits(shifted), e.subtract(shifted, magic)


def reduced(e: Emitter, x: Value, n: Value, tail: Value | None = None) -> tuple[Value, Value]:
    """The r + c = x + tail − n·ln 2 of Cody and Waite: r rounded, c what that rounding lost.

    n·ln2_high is exact, and so is x − n·ln2_high.
    """
    f = format_of(e, x)
    high = e.fma(n, number(e, x, -f.ln2_high), x)
    minus_low = number(e, x, -f.ln2_low)
    low = e.multiply(n, minus_low) if tail is None else e.fma(n, minus_low, tail)
    r = e.add(high, low)
    return r, e.add(e.subtract(high, r), low)


def exp_of_reduced(e: Emitter, r: Value, c: Value) -> Value:
    """e^(r + c) − 1 − r = r²·q(r) + c, for |r| ≤ ln2/2."""
    return e.fma(e.multiply(r, r), polynomial(e, r, format_of(e, r).exponential), c)


def bounded_exp(e: Emitter, x: Value, tail: Value | None = None) -> Value:
    """e^(x + tail) for exp_low ≤ x ≤ exp_high or NaN, with |tail| at most an ulp of x.

    2ⁿ is applied as 2^⌊n/2⌋·2^⌈n/2⌉, both of which are normal numbers: the first product is exact, the
    second overflows or underflows as eˣ does.
    """
    f = format_of(e, x)
    bits, n = nearest_exponent(e, x, 2 * f.bias)
    r, c = reduced(e, x, n, tail)
    value = e.add(number(e, x, 1.0), e.add(r, exp_of_reduced(e, r, c)))
    exponents = e.bit_and(bits, e.constant(4 * f.bias + 3, f.integer))
    first = e.shift_right(exponents, 1)
    second = e.subtract(exponents, first)
    return e.multiply(e.multiply(value, two_to_the(e, first, f)), two_to_the(e, second, f))


def half_expm1(e: Emitter, x: Value) -> tuple[Value, Value]:
    """(eˣ − 1)/2, and most of what its rounding lost, for expm1_low ≤ x ≤ exp_high or NaN.

    With h = 2ⁿ⁻¹ and eʳ − 1 = r + z it is h·z + (h·r + (h − ½)). The half, because eˣ overflows before it does.
    """
    f = format_of(e, x)
    bits, n = nearest_exponent(e, x, f.bias - 1)
    r, c = reduced(e, x, n)
    h = two_to_the(e, bits, f)
    z = exp_of_reduced(e, r, c)
    leading = e.fma(h, r, e.subtract(h, number(e, x, 0.5)))
    total = e.fma(h, z, leading)
    return total, e.fma(h, z, e.subtract(leading, total))


def over_one_plus(e: Emitter, a: Value, b: Value, a_low: Value | None = None, b_low: Value | None = None) -> Value:
    """(a + a_low)/(1 + b + b_low) with little more than one rounding, for b ≥ 0.

    The quotient is multiplied out, and what is missing of a is divided and added.
    """
    one = number(e, b, 1.0)
    denominator = e.add(one, b)
    lost = e.subtract(b, e.subtract(denominator, one))
    lost = lost if b_low is None else e.add(lost, b_low)
    reciprocal = e.divide(one, denominator)
    quotient = e.multiply(a, reciprocal)
    opposite = e.negate(quotient)
    missing = e.fma(opposite, denominator, a)
    missing = missing if a_low is None else e.add(missing, a_low)
    return e.fma(e.fma(opposite, lost, missing), reciprocal, quotient)


def split_at_sqrt_half(e: Emitter, x: Value, offset: int) -> tuple[Value, Value]:
    """x = m·2ᵏ with √½ ≤ m < √2 (nearly), for a positive normal x: the integer k + offset, and m."""
    f = format_of(e, x)
    low_bits = 2**f.digits - 1
    shifted = e.add(e.float_bits(x), e.constant((offset << f.digits) - f.sqrt_half, f.integer))
    mantissa = e.bit_and(shifted, e.constant(low_bits, f.integer))
    m = e.float_from_bits(e.add(mantissa, e.constant(f.sqrt_half, f.integer)))
    return e.shift_right(shifted, f.digits), m


def as_float(e: Emitter, biased: Value, offset: Value, f: Format) -> Value:
    """k from the small non-negative integer k + offset and the float 2^digits + offset."""
    shifted = e.bit_or(biased, e.constant((f.bias + f.digits) << f.digits, f.integer))
    return e.subtract(e.float_from_bits(shifted), offset)


def log_one_plus(e: Emitter, f: Value, low: Value) -> Value:
    """ln(1 + f) + low for −0.293 < f ≤ ½ and a tiny low.

    With s = f/(2 + f), z = s²: ln(1 + f) = 2·artanh s = f − (f²/2 − s·(f²/2 + z·P(z))), in which
    f is exact, so that only the correction carries rounding (as in FreeBSD's msun, e_log.c).
    """
    s = e.divide(f, e.add(f, number(e, f, 2.0)))
    z = e.multiply(s, s)
    half_square = e.multiply(e.multiply(number(e, f, 0.5), f), f)
    inner = e.fma(z, polynomial(e, z, format_of(e, f).logarithm), half_square)
    return e.subtract(f, e.subtract(half_square, e.fma(s, inner, low)))


def at_log_edges(e: Emitter, argument: Value, result: Value) -> Value:
    """A logarithm's result where its argument is finite and positive; −∞ at 0, NaN below, ∞ and NaN as they are."""
    zero, infinity = number(e, argument, 0.0), number(e, argument, float("inf"))
    edge = e.select(e.equal(argument, zero), e.negate(infinity), number(e, argument, float("nan")))
    finite = e.select(e.less_equal(argument, zero), edge, result)
    return e.select(e.less(argument, infinity), finite, argument)


def finite_parts(e: Emitter, x: Value) -> tuple[Value, Value]:
    """The k and m − 1 of x = m·2ᵏ, √½ ≤ m < √2 (nearly), for 0 < x < ∞; m − 1 is exact.

    A subnormal x is scaled up first.
    """
    f = format_of(e, x)
    steps = f.digits + 2
    whole = 2.0**f.digits + f.bias
    subnormal = e.less(x, number(e, x, f.smallest_normal))
    scaled = e.select(subnormal, e.multiply(x, number(e, x, 2.0**steps)), x)
    offset = e.select(subnormal, number(e, x, whole + steps), number(e, x, whole))
    biased, m = split_at_sqrt_half(e, scaled, f.bias)
    return as_float(e, biased, offset, f), e.subtract(m, number(e, x, 1.0))


def natural_log(e: Emitter, x: Value) -> Value:
    """ln x = k·ln 2 + ln m, with its special cases."""
    f = format_of(e, x)
    k, remainder = finite_parts(e, x)
    value = log_one_plus(e, remainder, e.multiply(k, number(e, x, f.ln2_low)))
    return at_log_edges(e, x, e.fma(k, number(e, x, f.ln2_high), value))
