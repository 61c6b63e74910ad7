"""A product with its epilogue as a kernel: which matrices it reads, and what becomes of each tile."""

import math

from fallline.engine.compiler.code import BYTES, Value, i64
from fallline.engine.compiler.costs import cost
from fallline.engine.compiler.evaluator import Evaluator
from fallline.engine.compiler.group import Group
from fallline.engine.compiler.index import Index, own_indices
from fallline.engine.compiler.product import Matrix, Product, emit_product, units
from fallline.engine.compiler.sites import Access, AcrossRows, AlongColumns
from fallline.engine.compiler.transpose import emit_transpose
from fallline.engine.target import Target
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

ROWS_ROUNDED = 8
FEW_COLUMNS = 4
"""So few columns fill so little of a vector that it is better to compute the transposed product, in one tile high."""
UNROLLED_COST = 12
"""An epilogue of more instructions than this is written once for a row, not for each row of the tile."""


def _sizes(group: Group) -> tuple[int, int, int, int]:
    """(products in the stack, m, n, k)."""
    assert group.root is not None
    left, right = (node.type.shape for node in group.root.inputs)
    return math.prod(left[:-2]), left[-2], right[-1], left[-1]  # type: ignore[arg-type,return-value]


def _turned(evaluator: Evaluator, group: Group, target: Target) -> bool:
    """Whether the lanes go along the rows instead: few columns, and a left operand whose rows lie side by side."""
    assert group.root is not None
    _, m, n, k = _sizes(group)
    strides = evaluator.memory.view(group.root.inputs[0])[2]
    if n > FEW_COLUMNS or m <= n or strides[-2] != 1 or len(strides) != 2 or group.batch:
        return False
    return Product(n, m, k, group.root.type.dtype, "tiles", target).tiling.tile_rows == 1


def product_of(evaluator: Evaluator, group: Group, target: Target) -> Product:
    """The product that a group computes, turned if that fills the lanes."""
    _, m, n, k = _sizes(group)
    assert group.root is not None
    dtype = group.root.type.dtype
    if _turned(evaluator, group, target):
        return Product(n, m, k, dtype, "tiles", target)
    if group.batch and m > LANES:  # rows beyond the last are computed, too: there is room, and less code
        m = -(-m // ROWS_ROUNDED) * ROWS_ROUNDED
    return Product(m, n, k, dtype, "rows" if group.batch or len(group.row_shape) > 1 else "tiles", target)


def product_units(evaluator: Evaluator, group: Group, target: Target, batch: int) -> int:
    """The pieces that threads divide among them."""
    stack = _sizes(group)[0]
    if len(group.row_shape) > 1:
        return stack
    return -(-batch // LANES) if group.batch else units(product_of(evaluator, group, target))


def emit_product_kernel(evaluator: Evaluator, group: Group, target: Target) -> None:
    """Write the loops of a product from unit %first to unit %last."""
    assert group.root is not None
    code = evaluator.code
    product = product_of(evaluator, group, target)
    first, last = Value("%first", DType.INT64), Value("%last", DType.INT64)
    if len(group.row_shape) > 1:
        _stack(evaluator, group, product, first, last)
        return
    a, b = (_matrix(evaluator, node) for node in group.root.inputs)
    if group.batch > 1:
        first, last = code.times(first, group.batch), code.times(last, group.batch)
    if _turned(evaluator, group, target):
        row = Matrix(b.pointer, b.column_bytes, b.row_bytes)
        columns = Matrix(a.pointer, a.column_bytes, a.row_bytes, a.padded)
        emit_product(code, product, row, columns, first, last, _Turned(evaluator, group))
        return
    epilogue = _Epilogue(evaluator, group, i64(0), product.tiling.height)
    emit_product(code, product, a, b, first, last, epilogue, epilogue.by_row)


def _matrix(evaluator: Evaluator, operand: Node) -> Matrix:
    """Where an operand lies, as a register set in the function's entry."""
    stored, offset, strides = evaluator.memory.view(operand)
    layout = evaluator.memory.layouts[id(stored)]
    size = BYTES[layout.dtype]
    with evaluator.code.hoisted():
        pointer = evaluator.code.at(evaluator.pointer(layout), i64(offset * size))
    row, column = strides[-2] * size, strides[-1] * size
    padded = layout.padded and (strides[-2] % LANES == 0 or operand.type.shape[-2] == 1) and offset % LANES == 0
    side_by_side = column == size or operand.type.shape[-1] == 1
    whole = padded and side_by_side and operand.type.shape[-1] != 1
    return Matrix(pointer, row, size if side_by_side else column, whole)


def _stack(evaluator: Evaluator, group: Group, product: Product, first: Value, last: Value) -> None:
    """Products of matrices in stacks, one after the other."""
    assert group.root is not None
    code, e = evaluator.code, evaluator.emitter
    shape = group.row_shape[:-1]
    matrices = [_matrix(evaluator, node) for node in group.root.inputs]
    strides = [evaluator.memory.view(node)[2] for node in group.root.inputs]
    size = BYTES[group.root.type.dtype]
    with code.loop(first, last) as loop:
        offsets = [i64(0), i64(0)]
        rest = loop.index
        for axis in range(len(shape) - 1, -1, -1):
            index = rest
            if axis > 0:
                rest = e.divide(index, i64(shape[axis]))
                index = e.subtract(index, e.multiply(rest, i64(shape[axis])))
            offsets = [code.add(o, code.times(index, s[axis] * size)) for o, s in zip(offsets, strides, strict=True)]
        a, b = (
            Matrix(code.at(matrix.pointer, offset), matrix.row_bytes, matrix.column_bytes, matrix.padded)
            for matrix, offset in zip(matrices, offsets, strict=True)
        )
        whole = i64(-(-product.m // LANES))
        row = code.times(loop.index, product.m)
        epilogue = _Epilogue(evaluator, group, row, product.tiling.height)
        emit_product(code, product, a, b, i64(0), whole, epilogue, epilogue.by_row)


class _Epilogue:
    """What becomes of a finished tile: the group's other nodes are computed from it, and what others need is stored.

    Args:
        first_row: of the product, among all rows.
        height: of a tile.
    """

    def __init__(self, evaluator: Evaluator, group: Group, first_row: Value, height: int) -> None:
        self.evaluator, self.group, self.first_row, self.height = evaluator, group, first_row, height
        others = [node for node in group.nodes if node is not group.root]
        work = sum(cost(node) + len(list(evaluator.grouping.references(node))) for node in others)
        self.by_row = self._fetching_next if work > UNROLLED_COST else None

    def __call__(self, row: Value, height: int, column: Value, live: list[int], tile: list[list[Value]]) -> None:
        """Write the epilogue of one tile."""
        for i in range(height):
            self._at_row(self.evaluator.code.add(row, i64(i)), column, live, tile[i])

    def _fetching_next(self, row: Value, column: Value, live: list[int], values: list[Value]) -> None:
        """The same, while the next tile's row is fetched.

        Weights and moments that fill no small cache are far away, and the strides of a tile are none that a processor
        foresees.
        """
        below = self.evaluator.code.add(row, i64(self.height))
        for v, lanes in enumerate(live):
            site = self._site(below, column, v, lanes)
            for access in self._stored():
                site.fetch(access)
        self._at_row(row, column, live, values)

    def _at_row(self, row: Value, column: Value, live: list[int], values: list[Value]) -> None:
        """Write the epilogue of one row of a tile."""
        evaluator, group = self.evaluator, self.group
        code, root = evaluator.code, group.root
        assert root is not None
        place = own_indices(root.type.shape, group.row_axes)
        with evaluator.scope(AlongColumns(code, group.row_shape, code.add(self.first_row, row))):
            for v, value in enumerate(values):
                site = self._site(row, column, v, live[v])
                with evaluator.scope(site):
                    evaluator.give(root, place, value)
                    results = [evaluator.value(node, place) for node in group.stored]
                    for result, access in zip(results, self._stored(), strict=True):
                        site.store(result, access)

    def _site(self, row: Value, column: Value, vector: int, live: int) -> AlongColumns:
        """Where a vector of a row of a tile lies."""
        code = self.evaluator.code
        first = code.add(column, i64(vector * LANES))
        return AlongColumns(code, self.group.row_shape, code.add(self.first_row, row), first, live)

    def _stored(self) -> list[Access]:
        """Where a row's results lie, in the order of the group."""
        assert self.group.root is not None
        place = own_indices(self.group.root.type.shape, self.group.row_axes)
        layouts = [self.evaluator.memory.layouts[id(node)] for node in self.group.stored]
        return [self.evaluator.access(layout, place, layout.strides, 0) for layout in layouts]


class _Turned:
    """The epilogue of a product whose lanes go along the rows."""

    def __init__(self, evaluator: Evaluator, group: Group) -> None:
        self.evaluator, self.group = evaluator, group

    def __call__(self, row: Value, height: int, column: Value, live: list[int], tile: list[list[Value]]) -> None:
        """Write the epilogue of one tile, whose columns are the product's rows."""
        evaluator, group = self.evaluator, self.group
        root = group.root
        assert root is not None
        shape = root.type.shape
        places = [own_indices(shape, group.row_axes, Index("", 1, number)) for number in range(height)]
        for v in range(len(live)):
            first = evaluator.code.add(column, i64(v * LANES))
            site = AcrossRows(evaluator.code, group.row_shape, first, live[v])
            with evaluator.scope(site):
                for place, sums in zip(places, tile, strict=True):
                    evaluator.give(root, place, sums[v])
                results = [[evaluator.value(node, place) for place in places] for node in group.stored]
                for node, columns in zip(group.stored, results, strict=True):
                    layout = evaluator.memory.layouts[id(node)]
                    place = own_indices(shape, group.row_axes)
                    site.store_columns(columns, evaluator.access(layout, place, layout.strides, 0))


def transpose_units(group: Group) -> int:
    """Blocks of sixteen rows of the result."""
    assert group.root is not None
    return -(-int(group.root.type.shape[0]) // LANES)  # type: ignore[arg-type]


def emit_transpose_kernel(evaluator: Evaluator, group: Group) -> None:
    """Copy the transpose of a stored matrix."""
    root = group.root
    assert root is not None
    rows, columns = (int(size) for size in root.inputs[0].type.shape)  # type: ignore[arg-type]
    source = _matrix(evaluator, root.inputs[0])
    layout = evaluator.memory.layouts[id(root)]
    size = BYTES[layout.dtype]
    target = Matrix(evaluator.pointer(layout), layout.strides[0] * size, size, layout.padded)
    first, last = Value("%first", DType.INT64), Value("%last", DType.INT64)
    emit_transpose(evaluator.code, source, target, rows, columns, layout.dtype, first, last)
