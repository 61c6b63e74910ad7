"""The schedule of scatter: rows of values added, one after the other, to the rows whose numbers the indices give."""

import math

from fallline.engine.compiler.code import BYTES, Value, i64
from fallline.engine.compiler.evaluator import Evaluator
from fallline.engine.compiler.group import Group
from fallline.engine.compiler.layout import Layout
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES
from fallline.ir.types import DType


def scatter_units(group: Group) -> int:
    """The columns, sixteen by sixteen: each thread adds all values, but only its own columns."""
    return -(-_columns(group) // LANES)


def _columns(group: Group) -> int:
    assert group.root is not None
    return math.prod(group.root.type.shape[1:])  # type: ignore[arg-type]


def emit_scatter(evaluator: Evaluator, group: Group) -> None:
    """Set the columns of the units to zero, then add the values in ascending order."""
    code, root = evaluator.code, group.root
    assert root is not None
    values, indices = root.inputs
    target = evaluator.memory.layouts[id(root)]
    rows, count = int(root.type.shape[0]), math.prod(indices.type.shape)  # type: ignore[arg-type]
    width = _columns(group)
    with code.loop(Value("%first", DType.INT64), Value("%last", DType.INT64)) as unit:
        first = code.times(unit.index, LANES)
        left = code.emit(f"sub i64 {width}, {first.text}", DType.INT64)
        stop = code.add(first, code.call("llvm.smin.i64", [str(left), f"i64 {LANES}"], DType.INT64))
        with code.loop(first, stop) as column, code.loop(i64(0), i64(rows)) as row:
            zero = evaluator.emitter.constant(0.0, target.dtype)
            code.store(zero, _address(evaluator, root, target, row.index, column.index))
        with code.loop(i64(0), i64(count)) as item:
            number = _element(evaluator, indices, item.index, i64(0), 1)
            place = evaluator.emitter.cast(number, DType.INT64)
            with code.loop(first, stop) as column:
                value = _element(evaluator, values, item.index, column.index, width)
                address = _address(evaluator, root, target, place, column.index)
                total = evaluator.emitter.add(code.load(address, target.dtype), value)
                code.store(total, address)


def _element(evaluator: Evaluator, node: Node, item: Value, column: Value, width: int) -> Value:
    """Element `column` of item number `item`, counted over all axes but those of the columns."""
    stored, offset, strides = evaluator.memory.view(node)
    layout = evaluator.memory.layouts[id(stored)]
    flat = evaluator.code.add(evaluator.code.times(item, width), column)
    place = _offset(evaluator, node.type.shape, strides, flat, BYTES[layout.dtype])  # type: ignore[arg-type]
    start = offset * BYTES[layout.dtype]
    address = evaluator.code.at(evaluator.pointer(layout), evaluator.code.add(place, i64(start)))
    return evaluator.code.load(address, layout.dtype)


def _address(evaluator: Evaluator, node: Node, layout: Layout, row: Value, column: Value) -> str:
    code, size = evaluator.code, BYTES[layout.dtype]
    offset = code.times(row, layout.strides[0] * size)
    inner = _offset(evaluator, node.type.shape[1:], layout.strides[1:], column, size)  # type: ignore[arg-type]
    return code.at(evaluator.pointer(layout), code.add(offset, inner))


def _offset(evaluator: Evaluator, shape: tuple[int, ...], strides: tuple[int, ...], flat: Value, size: int) -> Value:
    """Bytes to the element with this number in row-major order."""
    code, e = evaluator.code, evaluator.emitter
    total = i64(0)
    for axis in range(len(shape) - 1, -1, -1):
        if shape[axis] == 1:
            continue
        index = flat
        if math.prod(shape[:axis]) > 1:
            flat = e.divide(index, i64(shape[axis]))
            index = e.subtract(index, e.multiply(flat, i64(shape[axis])))
        total = code.add(total, code.times(index, strides[axis] * size))
    return total
