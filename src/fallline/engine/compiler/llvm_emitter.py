"""The second implementation of the abstract emitter: each instruction becomes LLVM IR, on scalars or on 16 lanes.

Arithmetic is IEEE 754, round to nearest even, never reassociated and never contracted: no fast-math flag is ever
written, and a fused multiply-add only where `fma` asks for one.
"""

from fallline.engine.compiler.code import Code, Value, ir_type, literal
from fallline.ir.types import DType

_BITS = {DType.FLOAT32: DType.INT32, DType.FLOAT64: DType.INT64}
_FLOATS = {integer: float_ for float_, integer in _BITS.items()}
_WIDTH = {DType.BOOL: 1, DType.UINT8: 8, DType.INT32: 32, DType.INT64: 64}


class LlvmEmitter:
    """Implements `fallline.ir.emitter.Emitter`; a scalar that meets a vector is repeated in every lane."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def dtype(self, x: Value) -> DType:
        return x.dtype

    def constant(self, value: float, dtype: DType) -> Value:
        return Value(literal(value, dtype), dtype)

    def cast(self, x: Value, dtype: DType) -> Value:
        source = x.dtype
        if source is dtype:
            return x
        if dtype is DType.BOOL:
            if source.is_float:
                return self._compare("fcmp une", x, self.constant(0, source))
            return self._compare("icmp ne", x, self.constant(0, source))
        if source.is_float and not dtype.is_float:
            sign = "ui" if dtype is DType.UINT8 else "si"
            name = f"llvm.fpto{sign}.sat.{self._suffix(dtype, x.lanes)}.{self._suffix(source, x.lanes)}"
            return self.code.call(name, [str(x)], dtype, x.lanes)
        return self.code.emit(f"{_conversion(source, dtype)} {x} to {ir_type(dtype, x.lanes)}", dtype, x.lanes)

    def add(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "fadd", "add", "or")

    def subtract(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "fsub", "sub", "xor")

    def multiply(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "fmul", "mul", "and")

    def divide(self, a: Value, b: Value) -> Value:
        """a ÷ b; of integers (in index arithmetic) truncated towards zero."""
        return self._binary(a, b, "fdiv", "udiv" if a.dtype is DType.UINT8 else "sdiv", "and")

    def negate(self, a: Value) -> Value:
        if a.dtype.is_float:
            return self.code.emit(f"fneg {a}", a.dtype, a.lanes)
        return self.subtract(self.constant(0, a.dtype), a)

    def absolute(self, a: Value) -> Value:
        if a.dtype in (DType.UINT8, DType.BOOL):
            return a
        if a.dtype.is_float:
            return self._intrinsic("llvm.fabs", a)
        name = f"llvm.abs.{self._suffix(a.dtype, a.lanes)}"
        return self.code.call(name, [str(a), "i1 false"], a.dtype, a.lanes)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self._intrinsic("llvm.fma", *self._together(a, b, c))

    def sqrt(self, a: Value) -> Value:
        return self._intrinsic("llvm.sqrt", a)

    def round_even(self, a: Value) -> Value:
        return self._intrinsic("llvm.roundeven", a)

    def equal(self, a: Value, b: Value) -> Value:
        return self._compare("fcmp oeq" if a.dtype.is_float else "icmp eq", a, b)

    def less(self, a: Value, b: Value) -> Value:
        return self._compare(_order(a.dtype, "lt"), a, b)

    def less_equal(self, a: Value, b: Value) -> Value:
        return self._compare(_order(a.dtype, "le"), a, b)

    def logical_and(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "", "and", "and")

    def logical_or(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "", "or", "or")

    def logical_not(self, a: Value) -> Value:
        return self._binary(a, self.constant(1, DType.BOOL), "", "xor", "xor")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        if condition.text == "true":
            return a
        condition, a, b = self._together(condition, a, b)
        return self.code.emit(f"select {condition}, {a}, {b}", a.dtype, a.lanes)

    def float_bits(self, x: Value) -> Value:
        return self._bitcast(x, _BITS[x.dtype])

    def float_from_bits(self, bits: Value) -> Value:
        return self._bitcast(bits, _FLOATS[bits.dtype])

    def bit_and(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "", "and", "and")

    def bit_or(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "", "or", "or")

    def bit_xor(self, a: Value, b: Value) -> Value:
        return self._binary(a, b, "", "xor", "xor")

    def shift_left(self, a: Value, bits: int) -> Value:
        return self._binary(a, self.constant(int(bits), a.dtype), "", "shl", "shl")

    def shift_right(self, a: Value, bits: int) -> Value:
        return self._binary(a, self.constant(int(bits), a.dtype), "", "lshr", "lshr")

    def together(self, *values: Value) -> list[Value]:
        """The values with equal lanes."""
        return self._together(*values)

    def _together(self, *values: Value) -> list[Value]:
        lanes = max(value.lanes for value in values)
        return list(values) if lanes == 1 else [self.code.splat(value, lanes) for value in values]

    def _binary(self, a: Value, b: Value, of_floats: str, of_integers: str, of_bools: str) -> Value:
        a, b = self._together(a, b)
        kind = of_floats if a.dtype.is_float else of_bools if a.dtype is DType.BOOL else of_integers
        return self.code.emit(f"{kind} {a}, {b.text}", a.dtype, a.lanes)

    def _compare(self, kind: str, a: Value, b: Value) -> Value:
        a, b = self._together(a, b)
        return self.code.emit(f"{kind} {a}, {b.text}", DType.BOOL, a.lanes)

    def _intrinsic(self, name: str, *values: Value) -> Value:
        first = values[0]
        full = f"{name}.{self._suffix(first.dtype, first.lanes)}"
        return self.code.call(full, [str(value) for value in values], first.dtype, first.lanes)

    def _bitcast(self, x: Value, dtype: DType) -> Value:
        return self.code.emit(f"bitcast {x} to {ir_type(dtype, x.lanes)}", dtype, x.lanes)

    @staticmethod
    def _suffix(dtype: DType, lanes: int) -> str:
        scalar = {DType.FLOAT32: "f32", DType.FLOAT64: "f64"}.get(dtype) or ir_type(dtype)
        return scalar if lanes == 1 else f"v{lanes}{scalar}"


def _conversion(source: DType, target: DType) -> str:
    if source.is_float:
        return "fptrunc" if target is DType.FLOAT32 else "fpext"
    unsigned = source in (DType.BOOL, DType.UINT8)
    if target.is_float:
        return "uitofp" if unsigned else "sitofp"
    if _WIDTH[target] < _WIDTH[source]:
        return "trunc"
    return "zext" if unsigned else "sext"


def _order(dtype: DType, kind: str) -> str:
    if dtype.is_float:
        return f"fcmp o{kind}"
    return f"icmp u{kind}" if dtype in (DType.BOOL, DType.UINT8) else f"icmp s{kind}"
