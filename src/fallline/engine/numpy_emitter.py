"""The first implementation of the abstract emitter: each instruction evaluates a whole array with NumPy.

It is how kernel forms are checked before any compiler exists, and the definition a compiler is held to.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ir.types import DType

Array = NDArray[Any]

_SATURATED = {  # the largest floats that still fit, so that the cast itself never overflows
    (DType.FLOAT32, DType.INT32): (-(2.0**31), 2.0**31 - 2.0**7),
    (DType.FLOAT32, DType.INT64): (-(2.0**63), 2.0**63 - 2.0**39),
    (DType.FLOAT64, DType.INT32): (-(2.0**31), 2.0**31 - 1.0),
    (DType.FLOAT64, DType.INT64): (-(2.0**63), 2.0**63 - 2.0**10),
}


def _integer_like(x: Array) -> Any:
    return np.int32 if x.dtype == np.float32 else np.int64


class NumpyEmitter:
    """Implements `fallline.ir.emitter.Emitter` on arrays (any shapes that broadcast)."""

    def dtype(self, x: Array) -> DType:
        return DType(str(x.dtype))

    def constant(self, value: float, dtype: DType) -> Array:
        return np.asarray(value, dtype=dtype.value)

    def cast(self, x: Array, dtype: DType) -> Array:
        source = self.dtype(x)
        if dtype is DType.BOOL:
            return np.asarray(x != 0)
        if source.is_float and dtype.is_integer:
            low, high = (0.0, 255.0) if dtype is DType.UINT8 else _SATURATED[source, dtype]
            limits = np.iinfo(dtype.value)
            inside = np.where(np.isnan(x), x.dtype.type(0), np.clip(x, low, high))
            whole = inside.astype(dtype.value)
            return np.where(x > high, limits.max, whole).astype(dtype.value)
        with np.errstate(over="ignore"):
            return np.asarray(x.astype(dtype.value))

    def add(self, a: Array, b: Array) -> Array:
        return np.asarray(np.add(a, b))

    def subtract(self, a: Array, b: Array) -> Array:
        return np.asarray(np.subtract(a, b))

    def multiply(self, a: Array, b: Array) -> Array:
        return np.asarray(np.multiply(a, b))

    def divide(self, a: Array, b: Array) -> Array:
        return np.asarray(np.divide(a, b, dtype=a.dtype))

    def negate(self, a: Array) -> Array:
        return np.asarray(np.negative(a))

    def absolute(self, a: Array) -> Array:
        return np.asarray(np.abs(a))

    def fma(self, a: Array, b: Array, c: Array) -> Array:
        """a·b + c computed one type wider and rounded: the last bit may differ from a true fma, rarely."""
        wide: Any = np.float64 if a.dtype == np.float32 else np.longdouble
        return np.asarray((a.astype(wide) * b.astype(wide) + c.astype(wide)).astype(a.dtype))

    def sqrt(self, a: Array) -> Array:
        return np.asarray(np.sqrt(a))

    def round_even(self, a: Array) -> Array:
        return np.asarray(np.rint(a))

    def equal(self, a: Array, b: Array) -> Array:
        return np.asarray(a == b)

    def less(self, a: Array, b: Array) -> Array:
        return np.asarray(a < b)

    def less_equal(self, a: Array, b: Array) -> Array:
        return np.asarray(a <= b)

    def logical_and(self, a: Array, b: Array) -> Array:
        return np.asarray(a & b)

    def logical_or(self, a: Array, b: Array) -> Array:
        return np.asarray(a | b)

    def logical_not(self, a: Array) -> Array:
        return np.asarray(~a)

    def select(self, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def float_bits(self, x: Array) -> Array:
        return np.asarray(x).view(_integer_like(x))

    def float_from_bits(self, bits: Array) -> Array:
        return np.asarray(bits).view(np.float32 if bits.dtype == np.int32 else np.float64)

    def bit_and(self, a: Array, b: Array) -> Array:
        return np.asarray(a & b)

    def bit_or(self, a: Array, b: Array) -> Array:
        return np.asarray(a | b)

    def bit_xor(self, a: Array, b: Array) -> Array:
        return np.asarray(a ^ b)

    def shift_left(self, a: Array, bits: int) -> Array:
        return np.asarray(np.left_shift(a, np.asarray(bits, dtype=a.dtype)))

    def shift_right(self, a: Array, bits: int) -> Array:
        unsigned = a.view(np.uint32 if a.dtype == np.int32 else np.uint64)
        return np.asarray(unsigned >> np.asarray(bits, dtype=unsigned.dtype)).view(a.dtype)
