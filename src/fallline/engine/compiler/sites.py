"""Where a kernel's loops stand, and how they read and write memory there.

`AcrossRows` keeps sixteen neighbouring rows in the lanes of a vector, one vector for each column: for narrow tensors.
`AlongColumns` keeps sixteen neighbouring columns of one row: for wide ones, and for the epilogues of products.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from fallline.engine.compiler.code import BYTES, Code, Value, i64, ir_type
from fallline.engine.compiler.index import COLUMN, ZERO, Index
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.turn import Block, emit_turn
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

_VECTOR = LANES * BYTES[DType.FLOAT32]
"""Bytes of sixteen elements."""


@dataclass(frozen=True)
class Access:
    """An element's place: bytes behind a pointer, as a constant plus a multiple of each loop variable.

    Attributes:
        pointer: where the tensor begins.
        constant: bytes.
        strides: loop variable → bytes.
        padded: whether whole vectors may be read and written to a row's end.
        indirect: None, or bytes from one row of the data set to the next, where the row is the number that the
            batch holds at the place `place` (whose loop variable is then not part of `strides`).
    """

    pointer: str
    constant: int
    strides: Mapping[str, int]
    dtype: DType
    padded: bool
    indirect: int | None = None
    place: Index = ZERO


class Site:
    """What the two kinds of site share: row variables from the number of the row in all."""

    def __init__(self, code: Code, row_shape: tuple[int, ...], row: Value) -> None:
        self.code = code
        self.emitter = LlvmEmitter(code)
        self.row_shape = row_shape
        self.row = row
        self._variables: dict[str, Value] = {}

    def variable(self, token: str) -> Value:
        """A loop variable: a scalar, or a vector where it differs from lane to lane."""
        if token not in self._variables:
            self._variables[token] = self._column() if token == COLUMN else self._row_variable(int(token[1:]))
        return self._variables[token]

    def index_value(self, index: Index) -> Value:
        """scale·variable + offset."""
        if not index.token:
            return i64(index.offset)
        e = self.emitter
        value = self.variable(index.token)
        if index.scale != 1:
            value = e.multiply(value, i64(index.scale))
        return e.add(value, i64(index.offset)) if index.offset else value

    def _column(self) -> Value:
        raise NotImplementedError

    def _row_number(self) -> Value:
        raise NotImplementedError

    def _row_variable(self, axis: int) -> Value:
        """The axis's part of the flat number of the row."""
        value, e = self._row_number(), self.emitter
        inner = 1
        for size in self.row_shape[axis + 1 :]:
            inner *= size
        if inner > 1:
            value = e.divide(value, i64(inner))
        if axis > 0:
            outer = e.multiply(e.divide(value, i64(self.row_shape[axis])), i64(self.row_shape[axis]))
            value = e.subtract(value, outer)
        return value

    def flat_stride(self, strides: Mapping[str, int]) -> int | None:
        """Bytes from one flat row to the next, or None where the row's axes do not lie behind one another."""
        own = [strides.get(f"r{axis}", 0) for axis in range(len(self.row_shape))]
        kept = [(size, stride) for size, stride in zip(self.row_shape, own, strict=True) if size > 1]
        if any(outer != stride * size for (_, outer), (size, stride) in pairwise(kept)):
            return None
        return kept[-1][1] if kept else own[-1] if own else 0

    def row_offset(self, access: Access) -> Value:
        """Bytes to the row at hand, where every variable is a scalar."""
        flat = self.flat_stride(access.strides)
        if flat is not None:
            return self.code.times(self.row, flat)
        total = i64(0)
        for axis in range(len(self.row_shape)):
            total = self.code.add(total, self.code.times(self._row_variable(axis), access.strides.get(f"r{axis}", 0)))
        return total

    def rows_number(self, place: Value) -> Value:
        """The number in the data set of the row at a place of the batch."""
        return self.code.load(self.code.at("%rows", self.code.times(place, 8)), DType.INT64)


class AlongColumns(Site):
    """One row, sixteen columns from `column` on, of which `live` exist."""

    def __init__(
        self, code: Code, row_shape: tuple[int, ...], row: Value, column: Value | None = None, live: int = LANES
    ) -> None:
        super().__init__(code, row_shape, row)
        self.column, self.live = column, live

    def _row_number(self) -> Value:
        return self.row

    def _column(self) -> Value:
        return lane_numbers() if self.column is None else self.emitter.add(lane_numbers(), self.column)

    def load(self, access: Access) -> Value:
        """A scalar where the column does not matter, else a vector."""
        code, step = self.code, access.strides.get(COLUMN, 0)
        offset = code.add(self.row_offset(access), i64(access.constant))
        if access.indirect is not None and access.place.token == COLUMN:
            return self._load_numbered(access, offset)
        if access.indirect is not None:
            number = self.rows_number(self.index_value(access.place))
            offset = code.add(offset, code.times(number, access.indirect))
        size = BYTES[access.dtype]
        if step == 0 or self.column is None:
            return code.load(code.at(access.pointer, offset), access.dtype)
        pointer = code.at(code.at(access.pointer, offset), code.times(self.column, step))
        if step == size:
            live = LANES if access.padded else self.live
            return code.load(pointer, access.dtype, LANES, live)
        offsets = self.emitter.multiply(lane_numbers(), i64(step))
        return code.gather(code.addresses(pointer, offsets), access.dtype, self.live)

    def _load_numbered(self, access: Access, offset: Value) -> Value:
        """Elements of sixteen rows of the data set, whose numbers the batch holds side by side."""
        code, e = self.code, self.emitter
        places = e.multiply(self.index_value(access.place), i64(8))
        numbers = code.gather(code.addresses("%rows", code.splat(places)), DType.INT64, self.live)
        offsets = e.add(e.multiply(numbers, i64(access.indirect or 0)), offset)
        return code.gather(code.addresses(access.pointer, offsets), access.dtype, self.live)

    def store(self, value: Value, access: Access) -> None:
        """Store the vector; the rest of a padded row is overwritten."""
        code, pointer = self.code, self._place(access)
        if access.strides.get(COLUMN, 0) == 0 or self.column is None:
            code.store(value if value.lanes == 1 else code.lane(value, 0), pointer)
        else:
            code.store(code.splat(value), pointer, LANES if access.padded else self.live)

    def fetch(self, access: Access) -> None:
        """Have what will be stored there, and is read before perhaps, brought near."""
        self.code.call_void("llvm.prefetch.p0", [f"ptr {self._place(access)}", "i32 1", "i32 3", "i32 1"])

    def _place(self, access: Access) -> str:
        """The address of the first of the elements."""
        code = self.code
        pointer = code.at(access.pointer, code.add(self.row_offset(access), i64(access.constant)))
        step = access.strides.get(COLUMN, 0)
        return pointer if step == 0 or self.column is None else code.at(pointer, code.times(self.column, step))


class AcrossRows(Site):
    """Sixteen rows from `row` on, of which `live` exist; columns are constants."""

    def __init__(self, code: Code, row_shape: tuple[int, ...], row: Value, live: int = LANES) -> None:
        super().__init__(code, row_shape, row)
        self.live = live
        self._blocks: dict[object, list[Value]] = {}
        self._turned: dict[object, str] = {}

    def _row_number(self) -> Value:
        return self.emitter.add(lane_numbers(), self.row)

    def load(self, access: Access) -> Value:
        """A scalar where the row does not matter, else a vector of rows."""
        code, size = self.code, BYTES[access.dtype]
        if access.indirect is not None:
            return self._load_indirect(access)
        flat = self.flat_stride(access.strides)
        if flat == 0:
            return code.load(code.at(access.pointer, i64(access.constant)), access.dtype)
        if flat == size:
            offset = code.add(code.times(self.row, size), i64(access.constant))
            return code.load(code.at(access.pointer, offset), access.dtype, LANES, self.live)
        if flat is not None and access.dtype is DType.FLOAT32 and (found := self._from_block(access, flat)) is not None:
            return found
        if flat is not None:
            offsets = self.emitter.multiply(lane_numbers(), i64(flat))
            start = code.add(code.times(self.row, flat), i64(access.constant))
            return code.gather(code.addresses(code.at(access.pointer, start), offsets), access.dtype, self.live)
        offsets = self.emitter.constant(access.constant, DType.INT64)
        for axis in range(len(self.row_shape)):
            stride = access.strides.get(f"r{axis}", 0)
            if stride:
                offsets = self.emitter.add(offsets, self.emitter.multiply(self.variable(f"r{axis}"), i64(stride)))
        return code.gather(code.addresses(access.pointer, offsets), access.dtype, self.live)

    def _load_indirect(self, access: Access) -> Value:
        code, e = self.code, self.emitter
        place = self.index_value(access.place)
        if len(self.row_shape) == 1 and access.place == Index("r0"):
            numbers = code.load(code.at("%rows", code.times(self.row, 8)), DType.INT64, LANES, self.live)
        else:
            places = code.splat(e.multiply(place, i64(8)))
            numbers = code.gather(code.addresses("%rows", places), DType.INT64, self.live)
        offsets = e.add(e.multiply(numbers, i64(access.indirect or 0)), i64(access.constant))
        for token, stride in access.strides.items():
            if stride:
                offsets = e.add(offsets, e.multiply(self.variable(token), i64(stride)))
        return code.gather(code.addresses(access.pointer, code.splat(offsets)), access.dtype, self.live)

    def _from_block(self, access: Access, stride: int) -> Value | None:
        """A column of sixteen rows that are read whole and transposed, once for all columns."""
        code = self.code
        columns, rest = divmod(stride, 4)
        place = access.constant // 4 % columns if columns else 0
        if rest or access.constant % 4:
            return None
        if columns in (2, 4, 8):
            start = access.constant - 4 * place
            key = (access.pointer, start, stride)
            if key not in self._blocks:
                self._blocks[key] = self._deinterleaved(access.pointer, start, columns)
            return self._blocks[key][place]
        if not access.padded or columns % LANES:
            return None
        inside = place % LANES
        start = access.constant - 4 * inside
        key = (access.pointer, start, stride)
        if key not in self._turned:
            self._turned[key] = self._columns_of(access.pointer, start, stride)
        return code.load(code.at(self._turned[key], i64(_VECTOR * inside)), DType.FLOAT32, LANES, align=_VECTOR)

    def _columns_of(self, pointer: str, start: int, stride: int) -> str:
        """Where the sixteen columns of these rows lie now, as vectors."""
        code, columns = self.code, _block(self.code)
        first = code.at(pointer, code.add(code.times(self.row, stride), i64(start)))
        emit_turn(code, Block(DType.FLOAT32, rows=self.live), first, stride, columns, _VECTOR)
        return columns

    def _deinterleaved(self, pointer: str, start: int, columns: int) -> list[Value]:
        code = self.code
        first = code.at(pointer, code.add(code.times(self.row, 4 * columns), i64(start)))
        vectors = []
        for k in range(columns):
            live = max(0, min(LANES, self.live * columns - k * LANES))
            address = code.at(first, i64(4 * LANES * k))
            zero = code.splat(self.emitter.constant(0.0, DType.FLOAT32))
            vectors.append(code.load(address, DType.FLOAT32, LANES, live) if live else zero)
        return _every(code, vectors)

    def store_columns(self, values: list[Value], access: Access) -> None:
        """Store the columns of these rows, values[j] at column j."""
        code = self.code
        values = [code.splat(value) for value in values]
        flat, size = self.flat_stride(access.strides), BYTES[access.dtype]
        step = access.strides.get(COLUMN, 0)
        if flat == size and len(values) == 1:
            offset = code.add(code.times(self.row, size), i64(access.constant))
            code.store(values[0], code.at(access.pointer, offset), self.live)
        elif flat == 0 and not self.row_shape:
            code.store(code.lane(values[0], 0), code.at(access.pointer, i64(access.constant)))
        elif access.dtype is DType.FLOAT32 and flat == 4 * len(values) and len(values) in (2, 4, 8):
            self._store_interleaved(values, access)
        elif access.dtype is DType.FLOAT32 and access.padded and flat is not None and len(values) <= LANES:
            self._store_transposed(values, access, flat)
        else:
            for number, value in enumerate(values):
                offsets = self.emitter.constant(access.constant + number * step, DType.INT64)
                for axis in range(len(self.row_shape)):
                    stride = access.strides.get(f"r{axis}", 0)
                    if stride:
                        own = self.emitter.multiply(self.variable(f"r{axis}"), i64(stride))
                        offsets = self.emitter.add(offsets, own)
                code.scatter(value, code.addresses(access.pointer, code.splat(offsets)), self.live)

    def _store_transposed(self, values: list[Value], access: Access, stride: int) -> None:
        code, columns = self.code, _block(self.code)
        for k, value in enumerate(values):
            code.store(value, code.at(columns, i64(_VECTOR * k)), align=_VECTOR)
        first = code.at(access.pointer, code.add(code.times(self.row, stride), i64(access.constant)))
        emit_turn(code, Block(DType.FLOAT32, len(values), self.live), columns, _VECTOR, first, stride)

    def _store_interleaved(self, values: list[Value], access: Access) -> None:
        code, columns = self.code, len(values)
        first = code.at(access.pointer, code.add(code.times(self.row, 4 * columns), i64(access.constant)))
        for k, vector in enumerate(_woven(code, values)):
            live = max(0, min(LANES, self.live * columns - k * LANES))
            if live:
                code.store(vector, code.at(first, i64(4 * LANES * k)), live)


def _block(code: Code) -> str:
    """Memory for sixteen vectors, as long as the function runs."""
    with code.hoisted():
        return code.pointer(f"alloca [{LANES} x {ir_type(DType.FLOAT32, LANES)}], align {_VECTOR}")


def lane_numbers() -> Value:
    """0, 1, 2 … in the lanes of a vector."""
    return Value(f"<{', '.join(f'i64 {lane}' for lane in range(LANES))}>", DType.INT64, LANES)


def _every(code: Code, vectors: list[Value]) -> list[Value]:
    """Vectors that hold c columns in turn (c a power of two) → one vector for each column."""
    if len(vectors) == 1:
        return vectors
    even, odd = (
        _every(
            code,
            [code.shuffle(a, b, range(part, 2 * LANES, 2)) for a, b in zip(vectors[::2], vectors[1::2], strict=True)],
        )
        for part in (0, 1)
    )
    return [column for pair in zip(even, odd, strict=True) for column in pair]


def _woven(code: Code, columns: list[Value]) -> list[Value]:
    """The reverse: one vector for each column → vectors that hold them in turn."""
    if len(columns) == 1:
        return columns
    even, odd = _woven(code, columns[::2]), _woven(code, columns[1::2])
    half = LANES // 2
    result = []
    for a, b in zip(even, odd, strict=True):
        low = [place for lane in range(half) for place in (lane, lane + LANES)]
        result += [code.shuffle(a, b, low), code.shuffle(a, b, [place + half for place in low])]
    return result
