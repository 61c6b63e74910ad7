"""Float64 arithmetic whose bits depend on nothing but its input.

Whatever can reach a weight or a decision (initial weights, encoder statistics, schedules, bias
corrections) is computed with + − × ÷ √ in a stated order: IEEE 754 fixes the result of each of
those, while `libm` and BLAS differ between machines. NumPy's elementwise ufuncs on float64 never
fuse or reorder, so these functions give the same bits everywhere. Errors of `log`, `exp` and `cos_pi`
are below 2 ulp (tested); that of `power` is stated there.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.ir.kernel import LANES

Float64Array = NDArray[np.float64]
_TOGETHER = 1 << 18
"""Numbers that are folded at once."""

LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # ln 2, upper 32 bits: n·LN2_HIGH is exact for |n| < 2²⁰
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # the rest of it
INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")


def tree_sum(values: ArrayLike, axis: int = 0) -> Any:
    """Sum along `axis` by repeated halving: x[:h] + x[h:2h] with h = ⌈n/2⌉, until one is left.

    The order is a function of n alone. An empty axis sums to 0.
    """
    if np.ndim(values) == 1 and np.size(values):
        flat = np.asarray(values)
        return tree_sum_of(len(flat), lambda start, stop: flat[start:stop].astype(np.float64))
    array = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
    return _folded(array)[0] if array.shape[0] else np.zeros(array.shape[1:])[()]


def tree_sum_of(count: int, part: Callable[[int, int], Float64Array]) -> np.float64:
    """`tree_sum` of numbers that are computed piece by piece: many of them take no memory.

    Args:
        count: how many, at least 1.
        part: numbers start … stop − 1.
    """
    halves = [count]
    while halves[-1] > _TOGETHER:
        halves.append((halves[-1] + 1) // 2)

    def after(folds: int, start: int, stop: int) -> Float64Array:
        """Some of what is left after so many folds."""
        if not folds:
            return part(start, stop)
        half, rows = halves[folds], halves[folds - 1]
        left, right = after(folds - 1, start, stop), (start + half, min(stop + half, rows))
        if right[0] >= right[1]:
            return left
        further = after(folds - 1, *right)
        whole = left.copy()
        whole[: len(further)] += further
        return whole

    size = halves[-1]
    found: np.float64 = _folded(after(len(halves) - 1, 0, size))[0]
    return found


def _folded(array: Float64Array) -> Float64Array:
    """x[:h] + x[h:2h] until one is left."""
    while (rows := array.shape[0]) > 1:
        half = (rows + 1) // 2
        folded = array[:half].copy()
        folded[: rows - half] += array[half:]
        array = folded
    return array


def lane_sum(values: ArrayLike) -> float:
    """Sum of all elements in the order of the kernel form `Reduction`, which compiled programs keep to.

    Element i of the row-major order goes to lane i mod 16; each lane adds its own one after the other, starting
    from 0; the lanes are added by halving, 0 with 8, 1 with 9, …, until one is left.
    """
    flat = np.ravel(np.asarray(values, dtype=np.float64), order="C")
    rest = len(flat) % LANES
    whole = len(flat) - rest
    # NumPy adds whole rows of 16 to one row, in order. Adding its result to 0 is starting from 0: they differ
    # where every element is −0 alone.
    lanes = np.zeros(LANES) + np.add.reduce(flat[:whole].reshape(-1, LANES), axis=0)
    lanes[:rest] += flat[whole:]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return float(lanes[0])


def mean_and_deviation(values: ArrayLike, axis: int = 0) -> tuple[Any, Any]:
    """Mean and population standard deviation (divisor n) along `axis`, both by `tree_sum`."""
    array = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
    if array.ndim == 1 and len(array):
        return mean_and_deviation_of(len(array), lambda start, stop: array[start:stop])
    mean = tree_sum(array) / array.shape[0]
    centred = array - mean
    return mean, np.sqrt(tree_sum(centred * centred) / array.shape[0])


def mean_and_deviation_of(count: int, part: Callable[[int, int], Float64Array]) -> tuple[np.float64, np.float64]:
    """`mean_and_deviation` of numbers that are computed piece by piece, as in `tree_sum_of`."""
    mean = tree_sum_of(count, part) / count

    def squares(start: int, stop: int) -> Float64Array:
        centred = part(start, stop) - mean
        return centred * centred

    return mean, np.sqrt(tree_sum_of(count, squares) / count)


def log(x: ArrayLike) -> Any:
    """Natural logarithm, −∞ at 0 and NaN below: x = m·2ᵉ with m in [√½, √2), ln m = 2·artanh((m−1)/(m+1)).

    The series Σ s^(2k+1)/(2k+1) is cut after s²³, where |s| ≤ 0.1716 leaves less than 2⁻⁶⁰.
    """
    array = np.asarray(x, dtype=np.float64)
    inside = (array > 0.0) & (array < math.inf)
    mantissa, exponent = np.frexp(np.where(inside, array, 1.0))
    low = mantissa < math.sqrt(0.5)
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    power_of_two = (exponent - low).astype(np.float64)
    f = mantissa - 1.0
    s = f / (mantissa + 1.0)
    s2 = s * s
    series = np.zeros_like(s)
    for k in range(11, 0, -1):
        series = (series + 2.0 / (2 * k + 1)) * s2
    # ln m = f − s·(f − series): f is exact, so the correction term alone carries rounding.
    low_part = s * (f - series) - power_of_two * LN2_LOW
    value = power_of_two * LN2_HIGH + (f - low_part)
    return np.where(inside, value, np.where(array == 0.0, -math.inf, np.where(array > 0.0, array, math.nan)))[()]


def exp(x: ArrayLike) -> Any:
    """eˣ: x = n·ln 2 + r with |r| ≤ ln2/2, eʳ by its Taylor polynomial of degree 14 in Horner form."""
    array = np.asarray(x, dtype=np.float64)
    bounded = np.clip(array, -746.0, 710.0)
    n = np.rint(bounded * INVERSE_LN2)
    r = (bounded - n * LN2_HIGH) - n * LN2_LOW
    series = np.full_like(r, 1.0 / math.factorial(14))
    for k in range(13, 1, -1):
        series = series * r + 1.0 / math.factorial(k)
    value = 1.0 + (r + r * r * series)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.ldexp(value, n.astype(np.int64))


def powers(base: float, exponents: ArrayLike) -> Float64Array:
    """base^n for base > 0 and whole n from 0 to 2³¹ − 1: each with the bits of `power(base, n)`."""
    n = np.asarray(exponents, dtype=np.int64)
    result: Float64Array = np.ones(n.shape)
    square = float(base)
    with np.errstate(over="ignore"):
        for bit in range(int(n.max(initial=0)).bit_length()):
            np.multiply(result, square, out=result, where=(n >> bit) & 1 == 1)
            square *= square
    return result


def power(base: float, exponent: float) -> float:
    """base^exponent for base > 0: integer exponents by squaring, others as exp(exponent·log base).

    The relative error grows with an integer exponent n as n·2⁻⁵³, else with |exponent·log base|·2⁻⁵¹.
    """
    if float(exponent).is_integer() and abs(exponent) < 2**31:
        result, square, n = 1.0, float(base), abs(int(exponent))
        while n:
            if n & 1:
                result *= square
            square *= square
            n >>= 1
        return result if exponent >= 0 else 1.0 / result if result else math.inf
    return float(exp(exponent * float(log(base))))


def cos_pi_of(x: ArrayLike) -> Float64Array:
    """`cos_pi` of each element, with the same bits."""
    t = np.abs(np.asarray(x, dtype=np.float64)) % 2.0
    t = np.where(t > 1.0, 2.0 - t, t)
    negative = t > 0.5
    t = np.where(negative, 1.0 - t, t)
    far = t > 0.25
    found: Float64Array = np.where(far, _taylor(math.pi * (0.5 - t), first=1), _taylor(math.pi * t, first=0))
    return np.where(negative, -found, found)


def cos_pi(x: float) -> float:
    """cos(π·x), for a cosine schedule: reduced to |t| ≤ ¼ of a turn, then Taylor in Horner form."""
    t = abs(float(x)) % 2.0  # an exact remainder
    if t > 1.0:
        t = 2.0 - t
    if t > 0.5:
        return -cos_pi(1.0 - t)
    if t > 0.25:  # cos(πt) = sin(π(½ − t)), where the series converges faster
        return float(_taylor(math.pi * (0.5 - t), first=1))
    return float(_taylor(math.pi * t, first=0))


def _taylor(angle: Any, first: int) -> Any:
    """Σ ±angle^k/k! over k = first, first+2, …: cosine for first = 0, sine for first = 1."""
    square = angle * angle
    total = 0.0
    for k in range(first + 18, first, -2):
        total = -(total + 1.0) * square / (k * (k - 1))
    return (total + 1.0) * (angle if first else 1.0)
