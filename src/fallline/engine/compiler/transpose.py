"""Copying the transpose of a matrix, by blocks of 16×16 elements."""

from fallline.engine.compiler.code import BYTES, Code, Value, i64
from fallline.engine.compiler.product import Matrix
from fallline.engine.compiler.turn import Block, emit_turn
from fallline.ir.kernel import LANES
from fallline.ir.types import DType


def emit_transpose(
    code: Code,
    source: Matrix,
    target: Matrix,
    rows: int,
    columns: int,
    dtype: DType,
    first: Value,
    last: Value,
) -> None:
    """Write the loops that copy sourceᵀ to the target, for the units first ≤ u < last.

    A unit is a block of 16 rows of the target, so that there are ⌈columns / 16⌉ of them. A last block that would be
    smaller begins earlier instead and copies some elements once more, so that there is one block in the code.

    Args:
        code: the function being written.
        source: (rows, columns), its columns side by side.
        target: (columns, rows), its columns side by side.
        rows: of the source.
        columns: of the source.
        dtype: of the elements.
        first: the first unit.
        last: behind the last unit.
    """
    size = BYTES[dtype]
    block = Block(
        dtype,
        min(rows, LANES),
        min(columns, LANES),
        LANES if source.padded else min(columns, LANES),
        LANES if target.padded else min(rows, LANES),
    )
    with code.loop(first, last) as across:
        column = _start(code, across.index, columns)
        top, left = code.times(column, size), code.times(column, target.row_bytes)
        with code.loop(i64(0), i64(-(-rows // LANES))) as down:
            row = _start(code, down.index, rows)
            begin = code.at(source.pointer, code.add(top, code.times(row, source.row_bytes)))
            end = code.at(target.pointer, code.add(left, code.times(row, size)))
            emit_turn(code, block, begin, source.row_bytes, end, target.row_bytes)


def _start(code: Code, block: Value, length: int) -> Value:
    """Where a block of 16 begins along an axis; the last one ends with the axis."""
    if length <= LANES:
        return i64(0)
    start = code.times(block, LANES)
    if length % LANES == 0:
        return start
    return code.call("llvm.smin.i64", [str(start), f"i64 {length - LANES}"], DType.INT64)
