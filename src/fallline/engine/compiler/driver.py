"""The native loop over steps: order of rows, batches, losses. One module serves every program.

All threads run `drive` together. For a block of steps they first share out the work of finding the rows' numbers (the
keyed bijection of `fallline.data.batches`, sixteen rows at a time), then run step after step; a loss that is not finite
ends the loop.
"""

from enum import IntEnum
from functools import cache

from fallline.engine.compiler.barrier import barrier_ir, floating_point_ir
from fallline.engine.compiler.code import Code, Value, i64
from fallline.engine.compiler.layout import ORDER_ROWS
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.sites import lane_numbers
from fallline.engine.target import Target
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

ROUNDS = 8
TOGETHER = ORDER_ROWS // LANES
"""Vectors of row numbers that are found side by side: each is one long chain of instructions."""
_MIX = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)


class Job(IntEnum):
    """Places of a job's fields, in units of 8 bytes."""

    STEP, CONTEXT, LOSS = 0, 1, 2  # of batches of full size: function, context, address of the loss
    LAST_STEP, LAST_CONTEXT, LAST_LOSS = 3, 4, 5  # of the last, smaller batch of an epoch
    LOSS_IS_DOUBLE = 6
    ROWS, BATCH, STEPS_PER_EPOCH = 7, 8, 9
    FIRST, COUNT = 10, 11  # the first step, numbered through the training, and how many
    SHUFFLE, BITS, KEYS, FIRST_EPOCH = 12, 13, 14, 15  # keys: eight numbers for each epoch from FIRST_EPOCH on
    ORDER, ORDER_STRIDE, BLOCK = 16, 17, 18  # buffer for the rows' numbers of BLOCK steps, stride in rows
    SCALARS, SCALARS_STRIDE, LOSSES = 19, 20, 21  # float64, stride in bytes
    BARRIER, DONE = 22, 23


@cache
def driver_ir(target: Target) -> str:
    """The text of the module with the function `drive(ptr job, i64 thread, i64 threads)`."""
    order, drive = _order(), _drive()
    declarations = "\n".join(sorted(order.declarations | drive.declarations))
    parts = [declarations, barrier_ir(target), floating_point_ir(target), order.text(), drive.text()]
    return "\n".join(parts)


def _field(code: Code, field: Job) -> Value:
    return code.load(code.at("%job", i64(8 * field)), DType.INT64)


def _pointer(code: Code, field: Job) -> str:
    return code.pointer(f"load ptr, ptr {code.at('%job', i64(8 * field))}, align 8")


def _order() -> Code:
    """order(job, target, start, count, epoch): the numbers of rows start … start + count − 1 of an epoch."""
    code = Code("order", "ptr %job, ptr %target, i64 %from, i64 %count, i64 %epoch", "noinline")
    e = LlvmEmitter(code)
    rows, bits = _field(code, Job.ROWS), _field(code, Job.BITS)
    first_epoch = _field(code, Job.FIRST_EPOCH)
    relative = code.emit(f"sub i64 %epoch, {first_epoch.text}", DType.INT64)
    keys_at = code.at(_pointer(code, Job.KEYS), code.times(relative, 8 * ROUNDS))
    keys = [e.cast(code.load(code.at(keys_at, i64(8 * k)), DType.INT64), DType.INT32) for k in range(ROUNDS)]
    shuffle = e.cast(_field(code, Job.SHUFFLE), DType.BOOL)
    largest = code.splat(code.emit(f"sub i64 {rows.text}, 1", DType.INT64))
    low_bits = code.emit(f"lshr i64 {bits.text}, 1", DType.INT64)
    high_bits = code.emit(f"sub i64 {bits.text}, {low_bits.text}", DType.INT64)
    one = i64(1)
    low_mask, high_mask = (
        e.subtract(code.emit(f"shl i64 1, {width.text}", DType.INT64), one) for width in (low_bits, high_bits)
    )
    shift = code.splat(low_bits)
    limit = code.splat(rows)

    def feistel(values: Value) -> Value:
        low = e.cast(e.bit_and(values, low_mask), DType.INT32)
        high = e.cast(code.emit(f"lshr {values}, {shift.text}", DType.INT64, LANES), DType.INT32)
        narrow_low, narrow_high = e.cast(low_mask, DType.INT32), e.cast(high_mask, DType.INT32)
        for number, key in enumerate(keys):
            if number % 2 == 0:
                high = e.bit_xor(high, e.bit_and(_hash(e, low, key), narrow_high))
            else:
                low = e.bit_xor(low, e.bit_and(_hash(e, high, key), narrow_low))
        wide = [code.emit(f"zext {half} to <{LANES} x i64>", DType.INT64, LANES) for half in (high, low)]
        return e.bit_or(code.emit(f"shl {wide[0]}, {shift.text}", DType.INT64, LANES), wide[1])

    with code.loop(i64(0), Value("%count", DType.INT64), ORDER_ROWS) as loop:
        start = code.splat(code.add(Value("%from", DType.INT64), loop.index))
        here = code.at("%target", code.times(loop.index, 8))
        addresses = [code.at(here, i64(8 * LANES * k)) for k in range(TOGETHER)]
        places = [e.add(e.add(lane_numbers(), start), i64(LANES * k)) for k in range(TOGETHER)]
        places = [e.select(e.less(largest, place), largest, place) for place in places]
        for place, address in zip(places, addresses, strict=True):
            code.store(place, address)
        with code.when(shuffle):
            for place, address in zip(places, addresses, strict=True):
                code.store(feistel(place), address)
            again, leave = f"b{code.name()}", f"b{code.name()}"
            code.do(f"br label %{again}")
            code.label(again)
            outside = [e.less_equal(limit, code.load(address, DType.INT64, LANES)) for address in addresses]
            anyone = outside[0]
            for other in outside[1:]:
                anyone = e.logical_or(anyone, other)
            some = code.call(f"llvm.vector.reduce.or.v{LANES}i1", [str(anyone)], DType.BOOL)
            walk = f"b{code.name()}"
            code.do(f"br {some}, label %{walk}, label %{leave}")
            code.label(walk)
            for address, beyond in zip(addresses, outside, strict=True):
                values = code.load(address, DType.INT64, LANES)
                code.store(e.select(beyond, feistel(values), values), address)
            code.do(f"br label %{again}")
            code.label(leave)
    return code


def _hash(e: LlvmEmitter, x: Value, key: Value) -> Value:
    """The 32-bit mixer of `fallline.data.batches`."""
    h = e.add(e.multiply(x, e.constant(_MIX[0], DType.INT32)), key)
    h = e.bit_xor(h, e.shift_right(h, 15))
    h = e.multiply(h, e.constant(_MIX[1], DType.INT32))
    h = e.bit_xor(h, e.shift_right(h, 13))
    h = e.multiply(h, e.constant(_MIX[2], DType.INT32))
    return e.bit_xor(h, e.shift_right(h, 16))


def _drive() -> Code:
    code = Code("drive", "ptr %job, i64 %thread, i64 %threads", linkage="")
    e = LlvmEmitter(code)
    mode = code.emit("call i64 @enter_floating_point()", DType.INT64)
    first, count, block = (_field(code, f) for f in (Job.FIRST, Job.COUNT, Job.BLOCK))
    batch, rows, per_epoch = (_field(code, f) for f in (Job.BATCH, Job.ROWS, Job.STEPS_PER_EPOCH))
    buffer, barrier = _pointer(code, Job.ORDER), _pointer(code, Job.BARRIER)
    stride = _field(code, Job.ORDER_STRIDE)
    scalars, scalars_stride = _pointer(code, Job.SCALARS), _field(code, Job.SCALARS_STRIDE)
    losses, double = _pointer(code, Job.LOSSES), e.cast(_field(code, Job.LOSS_IS_DOUBLE), DType.BOOL)
    last = e.subtract(per_epoch, i64(1))
    thread, threads = Value("%thread", DType.INT64), Value("%threads", DType.INT64)

    def batch_of(step: Value) -> tuple[Value, Value, Value, Value]:
        """(epoch, place in the epoch, first row, rows) of a step."""
        epoch = code.emit(f"udiv {step}, {per_epoch.text}", DType.INT64)
        place = e.subtract(step, e.multiply(epoch, per_epoch))
        start = e.multiply(place, batch)
        left = e.subtract(rows, start)
        return epoch, place, start, e.select(e.less(left, batch), left, batch)

    done = f"b{code.name()}"
    with code.loop(i64(0), count, 1) as blocks:  # its index counts blocks, which are fewer than steps
        begin = e.multiply(blocks.index, block)
        with code.when(e.less(begin, count)):
            left = e.subtract(count, begin)
            size = e.select(e.less(left, block), left, block)
            mine = code.emit(f"sub i64 {size.text}, {thread.text}", DType.INT64)
            shares = code.emit(f"add i64 {mine.text}, {threads.text}", DType.INT64)
            shares = code.emit(f"sub i64 {shares.text}, 1", DType.INT64)
            shares = code.emit(f"sdiv i64 {shares.text}, {threads.text}", DType.INT64)
            with code.loop(i64(0), shares) as share:
                inside = e.add(e.multiply(share.index, threads), thread)
                epoch, _, start, size_of = batch_of(e.add(e.add(first, begin), inside))
                target = code.at(buffer, e.multiply(e.multiply(inside, stride), i64(8)))
                code.do(f"call void @order(ptr %job, ptr {target}, {start}, {size_of}, {epoch})")
            code.do(f"call void @barrier(ptr {barrier}, i64 %threads)")
            with code.loop(i64(0), size) as inner:
                number = e.add(begin, inner.index)
                step = e.add(first, number)
                _, place, _, size_of = batch_of(step)
                smaller = e.logical_and(e.equal(place, last), e.less(size_of, batch))
                fields = []
                for whole, part in (
                    (Job.STEP, Job.LAST_STEP),
                    (Job.CONTEXT, Job.LAST_CONTEXT),
                    (Job.LOSS, Job.LAST_LOSS),
                ):
                    pair = (_pointer(code, part), _pointer(code, whole))
                    fields.append(code.pointer(f"select {smaller}, ptr {pair[0]}, ptr {pair[1]}"))
                rows_at = code.at(buffer, e.multiply(e.multiply(inner.index, stride), i64(8)))
                scalars_at = code.at(scalars, e.multiply(number, scalars_stride))
                code.do(
                    f"call void {fields[0]}(ptr {fields[1]}, ptr {rows_at}, ptr {scalars_at}, {step}, "
                    f"i64 %thread, i64 %threads)"
                )
                loss = _loss(code, e, fields[2], double)
                zero = e.constant(0.0, DType.FLOAT64)
                with code.when(code.emit("icmp eq i64 %thread, 0", DType.BOOL)):
                    code.store(loss, code.at(losses, e.multiply(number, i64(8))))
                    code.store(e.add(number, i64(1)), code.at("%job", i64(8 * Job.DONE)))
                finite = e.equal(e.multiply(loss, zero), zero)
                onward = f"b{code.name()}"
                code.do(f"br {finite}, label %{onward}, label %{done}")
                code.label(onward)
    code.do(f"br label %{done}")
    code.label(done)
    code.do(f"call void @leave_floating_point({mode})")
    return code


def _loss(code: Code, e: LlvmEmitter, address: str, double: Value) -> Value:
    """The loss at an address, float or double, as a double."""
    wide, narrow, join = (f"b{code.name()}" for _ in range(3))
    code.do(f"br {double}, label %{wide}, label %{narrow}")
    code.label(wide)
    of_double = code.load(address, DType.FLOAT64)
    code.do(f"br label %{join}")
    code.label(narrow)
    of_float = e.cast(code.load(address, DType.FLOAT32), DType.FLOAT64)
    code.do(f"br label %{join}")
    code.label(join)
    return code.emit(f"phi double [ {of_double.text}, %{wide} ], [ {of_float.text}, %{narrow} ]", DType.FLOAT64)
