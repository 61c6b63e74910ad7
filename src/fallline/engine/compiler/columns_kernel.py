"""The schedule of reductions over the first axis: sixteen columns in the lanes, sixteen partial sums in registers.

Row r is combined into partial sum r mod 16, and these by halving: the kernel form's order, with neighbouring columns
side by side. The epilogue computes what is made of the result alone, such as a bias's update.
"""

from fallline.engine.compiler.code import Value, i64
from fallline.engine.compiler.evaluator import Evaluator
from fallline.engine.compiler.group import Group
from fallline.engine.compiler.index import COLUMN, Index, own_indices
from fallline.engine.compiler.sites import AcrossRows, AlongColumns
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES, Reduction
from fallline.ir.types import DType


def column_units(group: Group) -> int:
    """Sixteen columns are one unit."""
    return -(-_columns(group) // LANES)


def _columns(group: Group) -> int:
    assert group.root is not None
    return int(group.root.inputs[0].type.shape[1])  # type: ignore[arg-type]


def emit_columns(evaluator: Evaluator, group: Group) -> None:
    """Write the loops of a group from unit %first to unit %last."""
    code, columns = evaluator.code, _columns(group)
    whole = columns // LANES
    last = Value("%last", DType.INT64)
    if whole:
        until = code.call("llvm.smin.i64", [str(last), f"i64 {whole}"], DType.INT64)
        with code.loop(Value("%first", DType.INT64), until) as loop:
            _vector(evaluator, group, code.times(loop.index, LANES), LANES)
    if columns > whole * LANES:
        with code.when(code.emit(f"icmp sgt {last}, {whole}", DType.BOOL)):
            _vector(evaluator, group, i64(whole * LANES), columns - whole * LANES)


def _vector(evaluator: Evaluator, group: Group, column: Value, live: int) -> None:
    root = group.root
    assert root is not None
    result = _reduced(evaluator, root, column, live)
    site = AcrossRows(evaluator.code, (_columns(group),), column, live)
    with evaluator.scope(site):
        evaluator.give(root, own_indices(root.type.shape, 1), result)
        values = [evaluator.value(node, own_indices(node.type.shape, 1)) for node in group.stored]
        for node, value in zip(group.stored, values, strict=True):
            layout = evaluator.memory.layouts[id(node)]
            place = own_indices(node.type.shape, 1)
            site.store_columns([value], evaluator.access(layout, place, layout.strides, 0))


def _reduced(evaluator: Evaluator, root: Node, column: Value, live: int) -> Value:
    form, code, e = root.op.kernel, evaluator.code, evaluator.emitter
    assert isinstance(form, Reduction)
    source = root.inputs[0]
    rows = int(source.type.shape[0])  # type: ignore[arg-type]
    start = code.splat(form.init(e, root.type.dtype))

    def element(row: Value) -> Value:
        with evaluator.scope(AlongColumns(code, (rows,), row, column, live)):
            return code.splat(evaluator.value(source, (Index("r0"), Index(COLUMN))))

    lanes = [start] * LANES
    whole = rows // LANES * LANES
    if whole == LANES:
        lanes = [form.combine(e, lane, element(i64(k))) for k, lane in enumerate(lanes)]
    elif whole:
        with code.loop(i64(0), i64(whole), LANES, lanes) as loop:
            loop.following = [
                form.combine(e, lane, element(code.add(loop.index, i64(k)))) for k, lane in enumerate(loop.values)
            ]
        lanes = loop.after
    for row in range(whole, rows):
        lanes[row - whole] = form.combine(e, lanes[row - whole], element(i64(row)))
    while len(lanes) > 1:
        half = len(lanes) // 2
        pairs = zip(lanes[:half], lanes[half:], strict=True)
        lanes = [a if b is start else form.combine(e, a, b) for a, b in pairs]
    return lanes[0]
