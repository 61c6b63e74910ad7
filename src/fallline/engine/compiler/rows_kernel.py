"""The schedule of loops over rows: elementwise nodes, reductions of a row, and what moves elements.

Narrow tensors (up to sixteen columns) are computed sixteen rows at a time, every column in a register of its own;
wide ones row by row, sixteen columns at a time, in one pass over the columns for each level of reductions.
"""

import math
from collections.abc import Callable

from fallline.engine.compiler.code import BYTES, Value, i64
from fallline.engine.compiler.costs import cost
from fallline.engine.compiler.evaluator import Block, Evaluator
from fallline.engine.compiler.group import Group, Kind
from fallline.engine.compiler.groups import Grouping
from fallline.engine.compiler.index import COLUMN, ZERO, Index, Indices, own_indices
from fallline.engine.compiler.layout import order_stride
from fallline.engine.compiler.sites import AcrossRows, AlongColumns
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES, IndexMap, Random, Reduction
from fallline.ir.types import DType

ROWS_PER_UNIT = 16
LINE_BYTES, MOST_LINES = 64, 8
"""Of a row that is asked for ahead of its use; what follows in it, the processor asks for by itself."""
FEW_ROWS = 8
MOST_UNROLLED = {DType.FLOAT32: 1200, DType.FLOAT64: 600}
"""Instructions: more than this are not unrolled into one block of sixteen rows, for code takes time to compile."""


def is_narrow(group: Group) -> bool:
    """Whether a group is computed across rows rather than along columns."""
    widths = [_width(node, group) for node in group.nodes]
    widths += [_width(node.inputs[0], group) for node in group.nodes if isinstance(node.op.kernel, Reduction)]
    widest = max(widths)
    if widest == 1:
        return bool(group.row_shape)
    work = sum((cost(node) + _moving(node)) * _width(node, group) for node in group.nodes)
    wide = any(node.type.dtype is DType.FLOAT64 for node in group.nodes)
    most = MOST_UNROLLED[DType.FLOAT64 if wide else DType.FLOAT32]
    return widest <= LANES and group.rows >= FEW_ROWS and work <= most


def _moving(node: Node) -> int:
    """Instructions to load and store a column: of other types than float32, lane by lane."""
    kinds = [parent.type.dtype for parent in node.inputs] + [node.type.dtype]
    return sum(1 if kind is DType.FLOAT32 else 2 if kind.is_float else 8 for kind in kinds if kind is not DType.BOOL)


def levels(group: Group, grouping: Grouping) -> dict[int, int]:
    """For each node of a group the pass over the columns in which its value is known: one more behind a reduction."""
    found: dict[int, int] = {}
    for node in group.nodes:
        level = 0
        for base, _ in grouping.references(node, group.row_axes):
            if id(base) in found:
                level = max(level, found[id(base)] + (1 if isinstance(base.op.kernel, Reduction) else 0))
        found[id(node)] = level
    return found


def spilled(group: Group, grouping: Grouping) -> list[Node]:
    """Wide nodes of a group that a later pass needs and that cost more to compute again than to load."""
    if group.kind is not Kind.ROWS or is_narrow(group):
        return []
    level = levels(group, grouping)
    late: dict[int, int] = {}
    for node in group.nodes:
        for base, _ in grouping.references(node, group.row_axes):
            late[id(base)] = max(late.get(id(base), 0), level[id(node)])
    wide = [node for node in group.nodes if _width(node, group) > 1 and not isinstance(node.op.kernel, Reduction)]
    return [node for node in wide if late.get(id(node), 0) > level[id(node)] and cost(node) > 2]


def units(group: Group, batch: int) -> int:
    """Into how many parts a group's rows can be divided among threads."""
    if group.batch:
        return -(-batch // ROWS_PER_UNIT)
    return -(-group.rows // ROWS_PER_UNIT) if group.kind is Kind.ROWS and is_narrow(group) else group.rows


def emit_rows(evaluator: Evaluator, group: Group) -> None:
    """Write the loops of a group over its rows, from unit %first to unit %last."""
    narrow = group.kind is Kind.ROWS and is_narrow(group)
    scale = ROWS_PER_UNIT * group.batch if group.batch else ROWS_PER_UNIT if narrow else 1
    code = evaluator.code
    first = code.times(Value("%first", DType.INT64), scale)
    wanted = code.times(Value("%last", DType.INT64), scale)
    last = code.call("llvm.smin.i64", [str(wanted), f"i64 {group.rows}"], DType.INT64)
    if narrow:
        _across(evaluator, group, first, last)
    else:
        with code.loop(first, last) as loop:
            _along(evaluator, group, loop.index)


# sixteen rows at a time


def _across(evaluator: Evaluator, group: Group, first: Value, last: Value) -> None:
    """Whole blocks, and what is left of the rows. Where that is safe, the last block simply reaches beyond them."""
    code = evaluator.code
    reaches = group.rows >= LANES and _may_reach_beyond(evaluator.grouping, group)
    whole = group.rows if reaches else group.rows // LANES * LANES
    if whole:
        until = code.call("llvm.smin.i64", [str(last), f"i64 {whole}"], DType.INT64) if whole < group.rows else last
        with code.loop(first, until, LANES) as loop:
            _block(evaluator, group, loop.index, LANES)
    if whole < group.rows:
        begun = code.emit(f"icmp sle {first}, {whole}", DType.BOOL)
        with code.when(begun), code.when(code.emit(f"icmp slt i64 {whole}, {last.text}", DType.BOOL)):
            _block(evaluator, group, i64(whole), group.rows - whole)


def _may_reach_beyond(grouping: Grouping, group: Group) -> bool:
    """Whether rows that do not exist can be computed: every tensor is read row by row, as it lies, so there is room.

    Nobody reads what is stored for them.
    """
    rows = own_indices(group.row_shape, group.row_axes)
    for node in group.nodes:
        if isinstance(node.op.kernel, IndexMap):
            return False
        if isinstance(node.op.kernel, Random):
            continue
        for base, indices in grouping.references(node, group.row_axes):
            if indices is None:
                return False
            own = indices[: group.row_axes] == rows and base.type.shape[: group.row_axes] == group.row_shape
            if not own and any(index.token not in ("", COLUMN) for index in indices):
                return False
    return True


def _block(evaluator: Evaluator, group: Group, row: Value, live: int) -> None:
    site = AcrossRows(evaluator.code, group.row_shape, row, live)
    with evaluator.scope(site):
        computed: list[tuple[Node, list[Value]]] = []
        for node in group.stored:
            columns = range(_width(node, group))
            places = [own_indices(node.type.shape, group.row_axes, Index("", 1, column)) for column in columns]
            computed.append((node, [evaluator.value(node, place) for place in places]))
        for node, values in computed:
            layout = evaluator.memory.layouts[id(node)]
            place = own_indices(node.type.shape, group.row_axes)
            site.store_columns(values, evaluator.access(layout, place, layout.strides, 0))


# sixteen columns at a time


def _along(evaluator: Evaluator, group: Group, row: Value) -> None:
    evaluator.available.clear()
    with evaluator.scope(AlongColumns(evaluator.code, group.row_shape, row)):
        if group.kind is Kind.COPY:
            assert group.root is not None
            if not group.root.inputs and group.batch == 1:
                _prefetch_next(evaluator, group.root, row)
            _pass(evaluator, group, row, [group.root])
            return
        level = levels(group, evaluator.grouping)
        for number in range(max(level.values()) + 1):
            now = [node for node in group.nodes if level[id(node)] == number]
            for node in now:
                if isinstance(node.op.kernel, Reduction):
                    _reduce(evaluator, group, row, node)
            wide = [node for node in group.stored if level[id(node)] == number and _stored_wide(node, group)]
            for width in sorted({_width(node, group) for node in wide}):
                same = [node for node in wide if _width(node, group) == width]
                _pass(evaluator, group, row, same)
                evaluator.available |= {id(node) for node in same}
        narrow = [node for node in group.stored if not _stored_wide(node, group)]
        places = [own_indices(node.type.shape, group.row_axes) for node in narrow]
        values = [evaluator.value(node, place) for node, place in zip(narrow, places, strict=True)]
        for node, place, value in zip(narrow, places, values, strict=True):  # one may replace what another reads
            layout = evaluator.memory.layouts[id(node)]
            evaluator.site.store(value, evaluator.access(layout, place, layout.strides, 0))  # type: ignore[attr-defined]


def _prefetch_next(evaluator: Evaluator, leaf: Node, row: Value) -> None:
    """Ask for the row that stands at this place of the next step's batch: it may lie anywhere in the data set."""
    code = evaluator.code
    stride = order_stride(int(leaf.type.shape[0]))  # type: ignore[arg-type]
    number = code.load(code.at("%rows", code.times(code.add(row, i64(stride)), 8)), DType.INT64)
    layout = evaluator.memory.sources[id(leaf)]
    size = layout.strides[0] * BYTES[layout.dtype]
    start = code.at(evaluator.input_pointer(evaluator.memory.row_names[id(leaf)]), code.times(number, size))
    for line in range(min(MOST_LINES, -(-size // LINE_BYTES) + 1)):
        place = code.at(start, i64(min(LINE_BYTES * line, size - 1)))
        code.call_void("llvm.prefetch.p0", [f"ptr {place}", "i32 0", "i32 2", "i32 1"])


def _pass(evaluator: Evaluator, group: Group, row: Value, nodes: list[Node]) -> None:
    """Compute and store tensors of one width."""
    code, axes = evaluator.code, group.row_axes
    width = _width(nodes[0], group)
    for node in nodes:
        evaluator.prepare(node, own_indices(node.type.shape, axes))

    def columns(column: Value, live: int) -> None:
        site = AlongColumns(code, group.row_shape, row, column, live)
        with evaluator.scope(site):
            places = [own_indices(node.type.shape, axes) for node in nodes]
            values = [evaluator.value(node, place) for node, place in zip(nodes, places, strict=True)]
            for node, place, value in zip(nodes, places, values, strict=True):
                layout = evaluator.memory.layouts[id(node)]
                site.store(value, evaluator.access(layout, place, layout.strides, 0))

    if any(isinstance(node.op.kernel, Random) for node in group.nodes):
        _blocks(evaluator, width, columns)
        return
    whole = width // LANES * LANES
    if whole == LANES:
        columns(i64(0), LANES)
    elif whole:
        with code.loop(i64(0), i64(whole), LANES) as loop:
            columns(loop.index, LANES)
    if width > whole:
        columns(i64(whole), width - whole)


def _blocks(evaluator: Evaluator, width: int, columns: Callable[[Value, int], None]) -> None:
    """The same by blocks of four vectors, which random numbers come in."""
    code, size = evaluator.code, 4 * LANES

    def block(start: Value, count: int) -> None:
        evaluator.block = Block(start)
        for vector in range(-(-count // LANES)):
            evaluator.block.vector = vector
            columns(code.add(start, i64(vector * LANES)), min(LANES, count - vector * LANES))
        evaluator.block = None

    whole = width // size * size
    if whole == size:
        block(i64(0), size)
    elif whole:
        with code.loop(i64(0), i64(whole), size) as loop:
            block(loop.index, size)
    if width > whole:
        block(i64(whole), width - whole)


def _reduce(evaluator: Evaluator, group: Group, row: Value, node: Node) -> None:
    """A row's columns dealt to the lanes of one vector, which are then combined by halving."""
    form, code, e = node.op.kernel, evaluator.code, evaluator.emitter
    assert isinstance(form, Reduction)
    source, axes = node.inputs[0], group.row_axes
    place: Indices = (*own_indices(source.type.shape[:-1], axes), Index(COLUMN))
    width = int(source.type.shape[-1])  # type: ignore[arg-type]
    evaluator.prepare(source, place)
    lanes = code.splat(form.init(e, node.type.dtype))

    def combined(column: Value, live: int, lanes: Value) -> Value:
        with evaluator.scope(AlongColumns(code, group.row_shape, row, column, live)):
            result: Value = form.combine(e, lanes, code.splat(evaluator.value(source, place)))
        if live == LANES:
            return result
        mask = ", ".join(f"i1 {int(lane < live)}" for lane in range(LANES))
        return e.select(Value(f"<{mask}>", DType.BOOL, LANES), result, lanes)

    whole = width // LANES * LANES
    if whole == LANES:
        lanes = combined(i64(0), LANES, lanes)
    elif whole:
        with code.loop(i64(0), i64(whole), LANES, [lanes]) as loop:
            loop.following = [combined(loop.index, LANES, loop.values[0])]
        lanes = loop.after[0]
    if width > whole:
        lanes = combined(i64(whole), width - whole, lanes)
    evaluator.give(node, own_indices(node.type.shape, axes), halved_lanes(evaluator, form, lanes))


def halved_lanes(evaluator: Evaluator, form: Reduction, lanes: Value) -> Value:
    """Lane 0 with 8, 1 with 9 …, then 0 with 4, and so on: a scalar."""
    code = evaluator.code
    count = LANES
    while count > 1:
        half = count // 2
        low = code.shuffle(lanes, None, range(half))
        high = code.shuffle(lanes, None, range(half, count))
        if half == 1:
            return _scalar(form, evaluator, code.lane(lanes, 0), code.lane(lanes, 1))
        lanes, count = form.combine(evaluator.emitter, low, high), half
    return lanes


def _scalar(form: Reduction, evaluator: Evaluator, a: Value, b: Value) -> Value:
    result: Value = form.combine(evaluator.emitter, a, b)
    return result


def _width(node: Node, group: Group) -> int:
    return math.prod(node.type.shape[group.row_axes :])  # type: ignore[arg-type]


def _stored_wide(node: Node, group: Group) -> bool:
    return any(index != ZERO for index in own_indices(node.type.shape, group.row_axes)[group.row_axes :])
