"""Transposing a block of at most 16×16 elements in registers, from memory to memory."""

from dataclasses import dataclass
from functools import cache

from fallline.engine.compiler.code import Code, Value
from fallline.ir.kernel import LANES
from fallline.ir.types import DType


@dataclass(frozen=True)
class Block:
    """The form of a block of at most 16×16 elements.

    Attributes:
        dtype: of the elements.
        rows: to be read; they become the columns.
        columns: to be written, as rows.
        read: how many elements of a row are read; others count as 0.
        written: how many elements of a column are written.
    """

    dtype: DType
    rows: int = LANES
    columns: int = LANES
    read: int = LANES
    written: int = LANES


def emit_turn(code: Code, block: Block, source: str, step: int, target: str, target_step: int) -> None:
    """Call the function that transposes one block: row k is at source + k·step bytes, and becomes column k.

    All kernels of a program share the function: written out in each of them, the shuffles would be a third of what LLVM
    has to compile.
    """
    name, texts = _function(block)
    code.declarations |= texts
    code.do(f"call void @{name}(ptr {source}, i64 {step}, ptr {target}, i64 {target_step})")


@cache
def _function(block: Block) -> tuple[str, frozenset[str]]:
    """(name, texts) of the function for blocks of this form, and of what it declares."""
    dtype = block.dtype
    name = f"turn_{dtype.value}_{block.rows}x{block.columns}_{block.read}_{block.written}"
    code = Code(name, "ptr %source, i64 %step, ptr %target, i64 %target_step", "noinline")
    step, target_step = Value("%step", DType.INT64), Value("%target_step", DType.INT64)
    rows = [code.load(code.at("%source", code.times(step, k)), dtype, LANES, block.read) for k in range(block.rows)]
    rows += [Value("zeroinitializer", dtype, LANES)] * (LANES - block.rows)
    for k, column in enumerate(_transposed(code, rows)[: block.columns]):
        code.store(column, code.at("%target", code.times(target_step, k)), block.written)
    return name, frozenset({code.text(), *code.declarations})


def _transposed(code: Code, rows: list[Value]) -> list[Value]:
    """Sixteen vectors → the sixteen of the transposed block, by butterflies of two-input shuffles."""
    distance = LANES // 2
    while distance:
        following = list(rows)
        for i in range(LANES):
            if i & distance:
                continue
            a, b = rows[i], rows[i | distance]
            if a == b and not a.text.startswith("%"):  # one constant in all lanes
                continue
            low = [j if not j & distance else (j ^ distance) + LANES for j in range(LANES)]
            high = [(j | distance) if not j & distance else j + LANES for j in range(LANES)]
            following[i], following[i | distance] = code.shuffle(a, b, low), code.shuffle(a, b, high)
        rows = following
        distance //= 2
    return rows
