"""Matrix products: C = A·B, a tile of C in registers at a time, each element one chain of fused multiply-adds.

Every element is fma(a[i, k], b[k, j], sum) over ascending k from +0.0. Tiles, units, vector width and threads decide
only which elements are computed together, so that they change no bit.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

from fallline.engine.compiler.code import BYTES, Code, Value, i64
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.tiles import ROWS_OF_UNIT, Tiling, choose_tiling
from fallline.engine.target import Target
from fallline.errors import GraphError
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

LINE, LINES = 64, 512
"""Bytes of a line of the caches, and how many lines of A the first cache holds beside B."""

Epilogue = Callable[[Value, int, Value, list[int], list[list[Value]]], None]
"""Writes what becomes of a finished tile: epilogue(row, height, column, live, accumulators).

`accumulators[i][v]` holds row `row + i` and columns `column + LANES·v …`, of which the first `live[v]` are real.
"""

RowEpilogue = Callable[[Value, Value, list[int], list[Value]], None]
"""The same of one row of a finished tile: by_row(row, column, live, sums)."""

LEAST_TERMS = 4
"""Terms of a part of a tile's sums, beside which a row of the tile before is finished."""
MANY_REGISTERS = 32
"""With so many, some are left beside a tile's sums for the epilogue of the tile before."""


@dataclass(frozen=True)
class Matrix:
    """A matrix in memory: element (i, j) at `pointer + i·row_bytes + j·column_bytes`.

    Attributes:
        pointer: valid in the whole function.
        row_bytes: from an element to the one below it.
        column_bytes: from an element to the one right of it.
        padded: a multiple of `LANES` elements of each row may be read (of an output: written), though it has fewer.
            What is read there reaches no result.
    """

    pointer: str
    row_bytes: int
    column_bytes: int
    padded: bool = False


@dataclass(frozen=True)
class Product:
    """C (m, n) = Σ over first_k ≤ kk < first_k + k of A (m, ·)·B (·, n).

    Attributes:
        m: rows of A and C.
        n: columns of B and C.
        k: terms of each sum.
        dtype: float32 or float64.
        split: what the threads divide: "rows" in blocks of 16, as the kernels beside it do, or "tiles" of the output.
        target: the machine.
        first_k: where the sums begin.
    """

    m: int
    n: int
    k: int
    dtype: DType
    split: Literal["rows", "tiles"]
    target: Target
    first_k: int = 0

    @property
    def tiling(self) -> Tiling:
        """How the output is cut."""
        return choose_tiling(self.m, self.n, self.k, self.dtype, self.split, self.target)


def units(product: Product) -> int:
    """Pieces of work of about equal size that threads may divide among them."""
    if product.split == "rows":
        return -(-product.m // ROWS_OF_UNIT)
    return product.tiling.tile_rows * product.tiling.tile_columns


def emit_product(
    code: Code,
    product: Product,
    a: Matrix,
    b: Matrix,
    first: Value,
    last: Value,
    epilogue: Epilogue,
    by_row: RowEpilogue | None = None,
) -> None:
    """Write the loops that compute the units first ≤ u < last of C = A·B.

    Column tiles are the outer loop: their panel of B stays in the second cache while A passes by. Where its rows are
    spread too far, the panel is copied to lie closely; where even the copy is too large, k is cut in blocks, and the
    sums wait in memory until the next block. With copies, A passes by in chunks of rows that stay in the third cache.

    Args:
        code: the function being written.
        product: shapes, dtype and split.
        a: (m, k) of any strides; its elements are read one at a time.
        b: (k, n) whose columns lie side by side; its rows are read in vectors.
        first: the first unit.
        last: behind the last unit, at most `units(product)`.
        epilogue: writes the end of a tile; called once for each variant of the tile, at most four times.
        by_row: writes the same, for an epilogue of many instructions: they are written once, in a loop over the rows.
            Where there are registers for both, the loop runs during the next tile's sums, since it keeps the processor
            busy in other places than multiply-adds do (roots, quotients, memory).

    Raises:
        GraphError: A dtype that is no float, or columns of B that do not lie side by side.
    """
    if not product.dtype.is_float:
        raise GraphError(f"a product is of float32 or float64, not of {product.dtype}")
    if b.column_bytes != BYTES[product.dtype] and product.n > 1:
        raise GraphError(
            f"a product of {product.dtype} reads rows of B in vectors: its columns must be {BYTES[product.dtype]} "
            f"bytes apart, not {b.column_bytes}"
        )
    _Writer(code, product, product.tiling, a, b, epilogue, by_row).write(first, last)


@dataclass(frozen=True)
class _Writer:
    """What all parts of one product's code need."""

    code: Code
    product: Product
    tiling: Tiling
    a: Matrix
    b: Matrix
    epilogue: Epilogue
    by_row: RowEpilogue | None

    def write(self, first: Value, last: Value) -> None:
        """Some rows at a time, and for these, all column tiles, one after the other."""
        code, tiling = self.code, self.tiling
        tiles = self._blocks if tiling.k_block < self.product.k else self._whole
        with self._chunks(first, last) as (begin, end):
            done = 0
            for column, count, live in tiling.column_sections:
                with self._each(count) as number:
                    top, bottom = self._rows(code.add(number, i64(done)), first, last, begin, end)
                    tiles(top, bottom, code.add(i64(column), code.times(number, LANES * tiling.width)), live)
                done += count

    @contextmanager
    def _chunks(self, first: Value, last: Value) -> Iterator[tuple[Value, Value]]:
        """The rows that the units touch, in parts that stay in a cache while all columns pass by."""
        code, top, bottom, chunk = self.code, i64(0), i64(self.product.m), self.tiling.chunk
        if self.product.split == "rows":
            top, bottom = code.times(first, ROWS_OF_UNIT), self._least(code.times(last, ROWS_OF_UNIT), bottom)
        if chunk >= self.product.m:
            yield top, bottom
            return
        with code.loop(top, bottom, chunk) as turn:
            yield turn.index, self._least(code.add(turn.index, i64(chunk)), bottom)

    @contextmanager
    def _each(self, count: int) -> Iterator[Value]:
        """for number in range(count); without a loop where it is one."""
        if count == 1:
            yield i64(0)
            return
        with self.code.loop(i64(0), i64(count)) as turn:
            yield turn.index

    def _rows(self, tile_column: Value, first: Value, last: Value, begin: Value, end: Value) -> tuple[Value, Value]:
        """The rows begin … end that belong to the units first … last in a column of tiles; none if not top < bottom."""
        if self.product.split == "rows":
            return begin, end
        code, tiling = self.code, self.tiling
        before = code.times(tile_column, -tiling.tile_rows)
        top, bottom = (code.times(code.add(unit, before), tiling.height) for unit in (first, last))
        return code.call("llvm.smax.i64", [str(top), str(begin)], DType.INT64), self._least(bottom, end)

    def _row_tiles(self, top: Value, bottom: Value, full: bool = True) -> Iterator[tuple[Value, int]]:
        """The tiles between two rows: a loop over full ones (if asked for), then the last where the rows end in it."""
        code, m, height = self.code, self.product.m, self.tiling.height
        if full and m >= height:
            with code.loop(top, code.add(bottom, i64(1 - height)), height) as turn:
                yield turn.index, height
        if m % height:
            row = i64(m - m % height)
            begun = code.emit(f"icmp sle {top}, {row.text}", DType.BOOL)
            reached = code.emit(f"icmp sgt {bottom}, {row.text}", DType.BOOL)
            with code.when(code.emit(f"and {begun}, {reached.text}", DType.BOOL)):
                yield row, m % height

    def _whole(self, top: Value, bottom: Value, column: Value, live: list[int]) -> None:
        """Every tile from its first term to its last."""
        right = self._right(column, i64(0))
        if not self.tiling.packed:
            self._strip(top, bottom, column, live, right, self.b)
            return
        with self._unless_empty(top, bottom):
            self._copy(right, live, i64(self.product.k))
            self._strip(top, bottom, column, live, self.panel.pointer, self.panel)

    def _strip(self, top: Value, bottom: Value, column: Value, live: list[int], right: str, b: Matrix) -> None:
        """The tiles of a column of tiles, each from its first term to its last."""
        overlapped = self.by_row is not None and self._parts > 0
        if overlapped:
            self._overlapped(top, bottom, column, live, right, b)
        for row, height in self._row_tiles(top, bottom, full=not overlapped):
            left, zeros = self._left(row, i64(0)), [self._zero()] * (height * len(live))
            self._finish(row, column, live, self._sums(left, right, b, live, i64(self.product.k), zeros))

    @property
    def _parts(self) -> int:
        """In how many equal parts the sums of a tile are cut, each with time for a row of the tile before; 0 if not."""
        k = self.product.k if self.product.target.vector_registers >= MANY_REGISTERS else 0
        return next((parts for parts in range(self.tiling.height, k // LEAST_TERMS + 1) if k % parts == 0), 0)

    def _overlapped(self, top: Value, bottom: Value, column: Value, live: list[int], right: str, b: Matrix) -> None:
        """The full tiles of a column of tiles: what becomes of one is computed during the sums of the next."""
        code, height, width, parts = self.code, self.tiling.height, len(live), self._parts
        terms = self.product.k // parts
        with code.loop(top, code.add(bottom, i64(1 - height)), height, [i64(0)]) as turn:
            before = code.add(turn.index, i64(-height))
            with code.loop(i64(0), i64(parts), carried=[self._zero()] * (height * width)) as part:
                with code.when(code.emit(f"icmp slt {part.index}, {turn.values[0].text}", DType.BOOL)):
                    self._finish_row(before, part.index, column, live)
                begin = code.times(part.index, terms)
                start = code.at(right, code.times(begin, b.row_bytes))
                left = self._left(turn.index, begin)
                part.following += self._sums(left, start, b, live, i64(terms), part.values)
            self._store(part.after, self.finished)
            turn.following.append(i64(height))
        with code.loop(i64(0), turn.after[0]) as rest:
            self._finish_row(code.add(turn.index, i64(-height)), rest.index, column, live)

    def _blocks(self, top: Value, bottom: Value, column: Value, live: list[int]) -> None:
        """One block of k after the other for all tiles."""
        code, tiling, k = self.code, self.tiling, i64(self.product.k)
        here = partial(self._waiting, top, len(live))
        with self._unless_empty(top, bottom):
            for row, height in self._row_tiles(top, bottom):
                self._store([self._zero()] * (height * len(live)), here(row))
            with code.loop(i64(0), k, tiling.k_block) as block:
                stop = self._least(code.add(block.index, i64(tiling.k_block)), k)
                terms = self._difference(stop, block.index)
                self._copy(self._right(column, block.index), live, terms)
                for row, height in self._row_tiles(top, bottom):
                    left, sums = self._left(row, block.index), self._load(here(row), height * len(live))
                    sums = self._sums(left, self.panel.pointer, self.panel, live, terms, sums)
                    self._store(sums, here(row))
            for row, height in self._row_tiles(top, bottom):
                self._finish(row, column, live, self._load(here(row), height * len(live)))

    def _unless_empty(self, top: Value, bottom: Value) -> AbstractContextManager[None]:
        """Nothing is copied for no rows."""
        return self.code.when(self.code.emit(f"icmp slt {top}, {bottom.text}", DType.BOOL))

    def _sums(self, left: str, right: str, b: Matrix, live: list[int], terms: Value, sums: list[Value]) -> list[Value]:
        """The sums of one tile after some more terms, carried in registers.

        Args:
            left: where A's first row and first term lie.
            right: where B's first term and first column lie.
            b: whose rows these are.
            live: the live lanes of each vector.
            terms: how many.
            sums: before them, row by row.
        """
        code, emitter, dtype, width = self.code, LlvmEmitter(self.code), self.product.dtype, len(live)
        with code.loop(i64(0), terms, carried=sums) as turn:
            from_a = code.at(left, code.times(turn.index, self.a.column_bytes))
            vectors = self._row_of_b(code.at(right, code.times(turn.index, b.row_bytes)), live, b.padded)
            if self._far_a:
                ahead = code.at(from_a, i64(-(-len(sums) // width * self.a.row_bytes // LINE) * LINE))
                code.call_void("llvm.prefetch.p0", [f"ptr {ahead}", "i32 0", "i32 3", "i32 1"])
            for i in range(len(sums) // width):
                factor = code.splat(code.load(code.at(from_a, i64(i * self.a.row_bytes)), dtype))
                turn.following += [emitter.fma(factor, vectors[v], turn.values[i * width + v]) for v in range(width)]
        return turn.after

    @property
    def _far_a(self) -> bool:
        """Whether every term of A lies in another line, of too many for the first cache: the next tile's is fetched."""
        return self.a.row_bytes < LINE <= self.a.column_bytes and self.tiling.k_block > LINES

    def _row_of_b(self, pointer: str, live: list[int], padded: bool) -> list[Value]:
        """The vectors of one row of B in a tile."""
        return [
            self.code.load(place, self.product.dtype, LANES, LANES if padded else lanes)
            for place, lanes in zip(self._places(pointer, len(live)), live, strict=True)
        ]

    def _finish(self, row: Value, column: Value, live: list[int], sums: list[Value]) -> None:
        width = len(live)
        height = len(sums) // width
        if self.by_row is not None and height > 1:
            self._store(sums, self.finished)
            with self.code.loop(i64(0), i64(height)) as each:
                self._finish_row(row, each.index, column, live)
            return
        self.epilogue(row, height, column, live, [sums[i * width : (i + 1) * width] for i in range(height)])

    def _finish_row(self, row: Value, number: Value, column: Value, live: list[int]) -> None:
        """What becomes of one of the rows that wait in `finished`, of a tile that begins at a row."""
        assert self.by_row is not None
        place = self.code.at(self.finished, self.code.times(number, len(live) * self._vector))
        self.by_row(self.code.add(row, number), column, live, self._load(place, len(live)))

    # addresses

    def _left(self, row: Value, term: Value) -> str:
        """Where A's element of a row and a term lies."""
        code, columns = self.code, self.a.column_bytes
        within = code.add(code.times(term, columns), i64(self.product.first_k * columns))
        return code.at(self.a.pointer, code.add(code.times(row, self.a.row_bytes), within))

    def _right(self, column: Value, term: Value) -> str:
        """Where B's element of a term and a column lies."""
        code, rows = self.code, self.b.row_bytes
        above = code.add(code.times(term, rows), i64(self.product.first_k * rows))
        return code.at(self.b.pointer, code.add(code.times(column, BYTES[self.product.dtype]), above))

    def _places(self, pointer: str, count: int) -> list[str]:
        """Addresses of vectors that lie one behind the other."""
        return [self.code.at(pointer, i64(number * self._vector)) for number in range(count)]

    @property
    def _vector(self) -> int:
        """Bytes of a vector."""
        return LANES * BYTES[self.product.dtype]

    # buffers: the copied panel of B, and what waits between two blocks of k

    @cached_property
    def panel(self) -> Matrix:
        """Where a block of a panel of B is copied to."""
        size = BYTES[self.product.dtype]
        return Matrix(self._buffer(self.tiling.k_block), self.tiling.width * self._vector, size, padded=True)

    @cached_property
    def finished(self) -> str:
        """Where the sums of a tile wait for what becomes of them."""
        return self._buffer(self.tiling.height)

    @cached_property
    def waiting(self) -> str:
        """Where the sums of some rows wait."""
        return self._buffer(self.tiling.chunk)

    def _buffer(self, rows: int) -> str:
        """Memory of this call alone, of so many rows as wide as a tile."""
        with self.code.hoisted():
            size = rows * self.tiling.width * self._vector
            return self.code.pointer(f"alloca [{size} x i8], align 64")

    def _copy(self, source: str, live: list[int], terms: Value) -> None:
        """Copy some terms of B's panel, so that they lie closely."""
        with self.code.loop(i64(0), terms) as turn:
            row = self.code.at(source, self.code.times(turn.index, self.b.row_bytes))
            copied = self.code.at(self.panel.pointer, self.code.times(turn.index, self.panel.row_bytes))
            self._store(self._row_of_b(row, live, self.b.padded), copied)

    def _waiting(self, begin: Value, width: int, row: Value) -> str:
        """Where the sums of the tile at a row wait."""
        return self.code.at(self.waiting, self.code.times(self._difference(row, begin), width * self._vector))

    def _load(self, pointer: str, count: int) -> list[Value]:
        return [self.code.load(place, self.product.dtype, LANES) for place in self._places(pointer, count)]

    def _store(self, values: list[Value], pointer: str) -> None:
        for value, place in zip(values, self._places(pointer, len(values)), strict=True):
            self.code.store(value, place)

    # numbers

    def _zero(self) -> Value:
        return Value("zeroinitializer", self.product.dtype, LANES)

    def _least(self, one: Value, other: Value) -> Value:
        return self.code.call("llvm.smin.i64", [str(one), str(other)], DType.INT64)

    def _difference(self, one: Value, other: Value) -> Value:
        return self.code.emit(f"sub nsw {one}, {other.text}", DType.INT64)
