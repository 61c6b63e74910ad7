"""Philox4x32-10 as emitted code; the counter's layout is that of `fallline.ops.philox`, and so are the bits."""

from collections.abc import Sequence
from functools import cache

from fallline.engine.compiler.code import Code, Value, i64, ir_type
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.sites import lane_numbers
from fallline.ir.types import DType

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def philox_word(e: LlvmEmitter, row: Value, element: Value, step: Value, key: Sequence[Value]) -> Value:
    """The 32-bit word of (key, row, element, step), all of them int64 values, as an int32 value.

    Element 64·g + 16·w + lane is word w of the counter (16·g + lane, row, step mod 2³², step ÷ 2³²).

    It is a function that all kernels of a program call: written out in each of them, the rounds would be nearly half of
    what LLVM has to compile.
    """
    name, text = _word_function(row.lanes, element.lanes)
    e.code.declarations.add(text)
    lanes = max(row.lanes, element.lanes)
    arguments = ", ".join(map(str, (row, element, step, *key)))
    return e.code.emit(f"call {ir_type(DType.INT32, lanes)} @{name}({arguments})", DType.INT32, lanes)


@cache
def _word_function(row_lanes: int, element_lanes: int) -> tuple[str, str]:
    """(name, text) of the function for scalars or vectors."""
    name = f"philox_word_{row_lanes}_{element_lanes}"
    row, element = Value("%row", DType.INT64, row_lanes), Value("%element", DType.INT64, element_lanes)
    step, *key = (Value(register, DType.INT64) for register in ("%step", "%key0", "%key1"))
    parameters = ", ".join(map(str, (row, element, step, *key)))
    result = ir_type(DType.INT32, max(row_lanes, element_lanes))
    e = LlvmEmitter(Code(name, parameters, "noinline", result))
    group = e.shift_left(e.shift_right(element, 6), 4)
    counter = [
        e.add(group, e.bit_and(element, i64(15))),
        e.bit_and(row, i64(_MASK)),
        e.bit_and(step, i64(_MASK)),
        e.shift_right(step, 32),
    ]
    words = _rounds(e, counter, key)
    which = e.bit_and(e.shift_right(element, 4), i64(3))
    upper = e.select(e.equal(which, i64(3)), words[3], words[2])
    lower = e.select(e.equal(which, i64(1)), words[1], words[0])
    word = e.select(e.less(which, i64(2)), lower, upper)
    return name, e.code.text(str(e.cast(word, DType.INT32)))


def philox_block(e: LlvmEmitter, row: Value, first: Value, step: Value, key: Sequence[Value]) -> list[Value]:
    """The words of the 64 elements from `first`, a multiple of 64, on: four int32 vectors of sixteen lanes."""
    mask = i64(_MASK)
    lanes = e.add(lane_numbers(), e.shift_right(first, 2))
    counter = [lanes, e.bit_and(row, mask), e.bit_and(step, mask), e.shift_right(step, 32)]
    return [e.cast(e.code.splat(word), DType.INT32) for word in _rounds(e, counter, key)]


def _rounds(e: LlvmEmitter, counter: list[Value], key: Sequence[Value]) -> list[Value]:
    """Ten rounds; the words are kept in the low halves of int64 values."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    mask = i64(_MASK)
    for _ in range(10):
        product0, product1 = e.multiply(i64(_MULTIPLIERS[0]), c0), e.multiply(i64(_MULTIPLIERS[1]), c2)
        c0 = e.bit_xor(e.bit_xor(e.shift_right(product1, 32), c1), k0)
        c2 = e.bit_xor(e.bit_xor(e.shift_right(product0, 32), c3), k1)
        c1, c3 = e.bit_and(product1, mask), e.bit_and(product0, mask)
        k0 = e.bit_and(e.add(k0, i64(_WEYL[0])), mask)
        k1 = e.bit_and(e.add(k1, i64(_WEYL[1])), mask)
    return [c0, c1, c2, c3]
