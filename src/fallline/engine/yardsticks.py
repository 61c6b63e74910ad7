"""Small native programs that measure a machine: each does so many rounds as it is told, and notes when.

arithmetic   a ← a·½ + 1 in registers, as many sums at a time as keep every unit busy
memory       y ← x·c + y over arrays of a given size
rows         the sum of rows of a table, taken in a scattered order, as the batches of an epoch take them
meeting      one barrier after the other
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from fallline.engine.compiler.barrier import barrier_ir
from fallline.engine.compiler.code import Code, Value, i64
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.target import Target
from fallline.engine.ticks import counter
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

VECTOR_BYTES = 4 * LANES
VECTORS_AT_ONCE = 4
ROW_BYTES = 256
TIMES_BYTES = 64
"""For each thread's two times: no thread writes into another's cache line."""
SCATTER = 0x1E3779B97F4A7C15
"""Multiples of it, modulo 2⁶⁴, scatter over the highest bits (Knuth, The Art of Computer Programming 3, 6.4); those of
mixed multiples do so without a pattern that a processor could foresee."""
MOST_SUMS, SUMS_IN_TURN = 12, 4


class Place(IntEnum):
    """Places of a program's context, in units of 8 bytes."""

    COUNT = 0  # rounds
    VECTORS = 1  # of x, and of y, in each thread
    ROW_BITS = 2
    FIRST_ROW = 3  # the round at which `rows` begins: each run goes on, or it would find its rows in the caches
    MEMORY, BARRIER, TIMES = 4, 5, 6  # addresses


def yardsticks_ir(target: Target) -> str:
    """The module with the programs, each `void f(ptr context, i64 thread, i64 threads)`."""
    programs = [_arithmetic(target), _memory(target), _rows(target), _meeting(target)]
    declarations = "\n".join(sorted(set().union(*(code.declarations for code in programs))))
    return "\n".join([declarations, barrier_ir(target), *(code.text() for code in programs)])


def operations(target: Target) -> int:
    """Of one round of `arithmetic` in one thread; a fused multiply-add is two."""
    return 2 * LANES * _sums(target) * SUMS_IN_TURN


def _sums(target: Target) -> int:
    """Sums of 16 lanes that fit into the registers beside the two operands."""
    registers = -(-VECTOR_BYTES // target.vector_bytes)
    return max(1, min(MOST_SUMS, (target.vector_registers - 4) // registers))


class _Program:
    """A program that is given its context, makes so many rounds as that says, and leaves behind when it did."""

    def __init__(self, name: str, target: Target) -> None:
        self.code = Code(name, "ptr %context, i64 %thread, i64 %threads", linkage="")
        self.emitter = LlvmEmitter(self.code)
        self.thread = Value("%thread", DType.INT64)
        self.count = self.number(Place.COUNT)
        self._counter = counter(target)

    def number(self, place: int) -> Value:
        """A whole number of the context."""
        return self.code.load(self.code.at("%context", i64(8 * place)), DType.INT64)

    def pointer(self, place: int) -> str:
        """An address of the context."""
        return self.code.pointer(f"load ptr, ptr {self.code.at('%context', i64(8 * place))}, align 8")

    def meet(self) -> None:
        """Wait for all threads."""
        self.code.do(f"call void @barrier(ptr {self.pointer(Place.BARRIER)}, i64 %threads)")

    @contextmanager
    def timed(self) -> Iterator[None]:
        """What is inside begins when all threads are awake, and its time is taken."""
        code = self.code
        own = code.at(self.pointer(Place.TIMES), code.times(self.thread, TIMES_BYTES))
        self.meet()
        code.store(code.call(self._counter, [], DType.INT64), own)
        yield
        code.store(code.call(self._counter, [], DType.INT64), code.at(own, i64(8)))


def _arithmetic(target: Target) -> Code:
    """Rounds of fused multiply-adds on sums that stay in registers."""
    program = _Program("arithmetic", target)
    code, e = program.code, program.emitter
    half, one = (code.splat(e.constant(value, DType.FLOAT32)) for value in (0.5, 1.0))
    start = [code.splat(e.constant(1.0 + k, DType.FLOAT32)) for k in range(_sums(target))]
    with program.timed(), code.loop(i64(0), program.count, carried=start) as loop:
        values = loop.values
        for _ in range(SUMS_IN_TURN):
            values = [e.fma(value, half, one) for value in values]
        loop.following = values
    total = loop.after[0]
    for value in loop.after[1:]:
        total = e.add(total, value)
    code.store(total, code.at(program.pointer(Place.MEMORY), code.times(program.thread, VECTOR_BYTES)))
    return code


def _memory(target: Target) -> Code:
    """Rounds of y ← x·c + y over a thread's own part of the memory: first its x, then its y."""
    program = _Program("memory", target)
    code, e = program.code, program.emitter
    vectors = program.number(Place.VECTORS)
    size = code.times(vectors, VECTOR_BYTES)
    x = code.at(program.pointer(Place.MEMORY), e.multiply(program.thread, code.times(size, 2)))
    y = code.at(x, size)
    factor = code.splat(e.constant(0.5, DType.FLOAT32))
    with program.timed(), code.loop(i64(0), program.count), code.loop(i64(0), vectors, VECTORS_AT_ONCE) as loop:
        for k in range(VECTORS_AT_ONCE):
            place = code.add(code.times(loop.index, VECTOR_BYTES), i64(k * VECTOR_BYTES))
            read, written = (code.load(code.at(base, place), DType.FLOAT32, LANES, align=64) for base in (x, y))
            code.store(e.fma(read, factor, written), code.at(y, place), align=64)
    return code


def _rows(target: Target) -> Code:
    """Rows of the memory, which is taken for a table of 2^bits of them, in a scattered order."""
    program = _Program("rows", target)
    code, e = program.code, program.emitter
    shift = code.emit(f"sub i64 64, {program.number(Place.ROW_BITS).text}", DType.INT64)
    memory = program.pointer(Place.MEMORY)
    start = code.add(code.times(program.thread, 1 << 40), program.number(Place.FIRST_ROW))
    with (
        program.timed(),
        code.loop(i64(0), program.count, carried=[code.splat(e.constant(0.0, DType.FLOAT32))]) as loop,
    ):
        mixed = e.multiply(code.add(loop.index, start), i64(SCATTER))
        mixed = e.multiply(e.bit_xor(mixed, e.shift_right(mixed, 29)), i64(SCATTER))
        row = code.emit(f"lshr i64 {mixed.text}, {shift.text}", DType.INT64)
        total = loop.values[0]
        for k in range(ROW_BYTES // VECTOR_BYTES):
            place = code.add(code.times(row, ROW_BYTES), i64(k * VECTOR_BYTES))
            total = e.add(total, code.load(code.at(memory, place), DType.FLOAT32, LANES, align=64))
        loop.following = [total]
    code.store(loop.after[0], code.at(memory, code.times(program.thread, VECTOR_BYTES)))
    return code


def _meeting(target: Target) -> Code:
    """Rounds of all threads meeting at a barrier."""
    program = _Program("meeting", target)
    with program.timed(), program.code.loop(i64(0), program.count):
        program.meet()
    return program.code
