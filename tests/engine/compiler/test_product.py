"""Matrix products: each element is one exact chain of fused multiply-adds, however the work is cut."""

import ctypes
import mmap
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.engine.compiler import product as product_file
from fallline.engine.compiler.code import BYTES, Code, Value, i64
from fallline.engine.compiler.product import Epilogue, Matrix, Product, emit_product, units
from fallline.engine.compiler.tiles import ROWS_OF_UNIT, Tiling
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target, restricted
from fallline.errors import GraphError
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

HOST = host_target()
TARGETS = [HOST] + ([restricted(HOST, "avx2")] if HOST.is_x86 and HOST.vector_bytes == 64 else [])
GUARD = -77.0
"""What lies around the outputs, and must still lie there afterwards."""


# --- the reference


def exact_fma(a: Any, b: Any, c: Any) -> Any:
    """a·b + c with one rounding, from operations without fma.

    S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to
    odd", IEEE Transactions on Computers 57 (2008), figure 5.
    """
    high, low = two_product(a, b)
    top, rest = two_sum(c, low)
    sum_high, sum_low = two_sum(high, top)
    return sum_high + odd_sum(rest, sum_low)


def two_sum(x: Any, y: Any) -> tuple[Any, Any]:
    total = x + y
    z = total - x
    return total, (x - (total - z)) + (y - z)


def two_product(x: Any, y: Any) -> tuple[Any, Any]:
    product = x * y
    (x1, x2), (y1, y2) = halves(x), halves(y)
    return product, x2 * y2 - (((product - x1 * y1) - x2 * y1) - x1 * y2)


def halves(x: Any) -> tuple[Any, Any]:
    scaled = x * x.dtype.type(2.0 ** (12 if x.dtype == np.float32 else 27) + 1)
    high = scaled - (scaled - x)
    return high, x - high


def odd_sum(x: Any, y: Any) -> Any:
    """x + y; where it is not exact, the neighbour whose last bit is 1."""
    total, error = two_sum(x, y)
    bits = total.view(np.int32 if total.dtype == np.float32 else np.int64)
    towards = np.where(error > 0, np.inf, -np.inf).astype(total.dtype)
    return np.where((error != 0) & (bits % 2 == 0), np.nextafter(total, towards), total)


def chain(a: Any, b: Any) -> Any:
    """A·B, every element one chain over ascending k from +0."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        total = exact_fma(*np.broadcast_arrays(a[:, k : k + 1], b[k : k + 1], total))
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_reference_rounds_once(dtype: Any) -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.normal(size=400).astype(dtype) for _ in range(2))
    c = np.where(rng.random(400) < 0.5, -(a * b), rng.normal(size=400)).astype(dtype)  # half of them cancel
    for x, y, z, found in zip(a, b, c, exact_fma(a, b, c), strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        near = {dtype(found), np.nextafter(found, dtype(np.inf)), np.nextafter(found, dtype(-np.inf))}
        assert min(near, key=lambda value: abs(Fraction(float(value)) - exact)) == found


# --- running a product


@dataclass(frozen=True)
class Case:
    """A product and how its matrices lie: rows of A or of Aᵀ, elements between rows, whether B's rows are padded."""

    m: int
    n: int
    k: int
    dtype: DType = DType.FLOAT32
    split: Any = "rows"
    turned: bool = False
    target: Target = HOST
    padded: bool = False
    spread: int = 1
    first_k: int = 0
    by_row: bool = False

    @property
    def product(self) -> Product:
        return Product(self.m, self.n, self.k, self.dtype, self.split, self.target, self.first_k)

    def operands(self) -> tuple[Any, Any]:
        rng = np.random.default_rng([self.m, self.n, self.k])
        terms = self.k + self.first_k
        return tuple(rng.normal(size=size).astype(self.dtype) for size in ((self.m, terms), (terms, self.n)))


def storing(code: Code, row_bytes: int, dtype: DType) -> Epilogue:
    """An epilogue that stores C."""

    def store(row: Value, height: int, column: Value, live: list[int], sums: list[list[Value]]) -> None:
        corner = code.at("%c", code.add(code.times(row, row_bytes), code.times(column, BYTES[dtype])))
        assert len(sums) == height
        for i in range(height):
            for v, value in enumerate(sums[i]):
                code.store(value, code.at(corner, i64(i * row_bytes + v * LANES * BYTES[dtype])), live[v])

    return store


def compiled(case: Case, a: Matrix, b: Matrix, row_bytes: int) -> Any:
    """The function product(a, b, c, first, last)."""
    code = Code("product", "ptr %a, ptr %b, ptr %c, i64 %first, i64 %last", linkage="")
    first, last = Value("%first", DType.INT64), Value("%last", DType.INT64)
    store = storing(code, row_bytes, case.dtype)

    def by_row(row: Value, column: Value, live: list[int], sums: list[Value]) -> None:
        store(row, 1, column, live, [sums])

    emit_product(code, case.product, a, b, first, last, store, by_row if case.by_row else None)
    module = compile_module("\n".join(sorted(code.declarations)) + "\n" + code.text(), case.target)
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    return module.function("product", None, pointer, pointer, pointer, number, number)


class Prepared:
    """A case's function and its matrices in memory."""

    def __init__(self, case: Case, operands: tuple[Any, Any] | None = None) -> None:
        self.case = case
        size = BYTES[case.dtype]
        a, b = case.operands() if operands is None else operands
        self.a = wide(a.T if case.turned else a, case.spread, np.nan)
        self.b = wide(b, -b.shape[1] % LANES if case.padded else case.spread, np.nan)
        self.c = np.full((case.m + 2, case.n + LANES + 3), GUARD, a.dtype)
        rows = self.a.shape[1] * size
        left = Matrix("%a", size, rows) if case.turned else Matrix("%a", rows, size)
        right = Matrix("%b", self.b.shape[1] * size, size, case.padded)
        self.function = compiled(case, left, right, self.c.shape[1] * size)

    def run(self, ranges: Iterable[tuple[int, int]] | None = None) -> Any:
        """C after some ranges of units, all of them by default; what lies around it is checked."""
        self.c[...] = GUARD
        start = self.c.ctypes.data + (self.c.shape[1] + 1) * self.c.itemsize
        for first, last in ranges or [(0, units(self.case.product))]:
            self.function(self.a.ctypes.data, self.b.ctypes.data, start, first, last)
        inner = self.c[1 : self.case.m + 1, 1 : self.case.n + 1]
        around = self.c.copy()
        around[1 : self.case.m + 1, 1 : self.case.n + 1] = GUARD
        assert (around == GUARD).all(), "a product wrote outside its output"
        return inner.copy()


def wide(matrix: Any, more: int, value: float) -> Any:
    """The matrix with so many more columns in memory, filled with a value."""
    return np.ascontiguousarray(np.pad(matrix, ((0, 0), (0, more)), constant_values=value))


def result(case: Case) -> Any:
    return Prepared(case).run()


def expected(case: Case) -> Any:
    a, b = case.operands()
    return chain(a[:, case.first_k :], b[case.first_k :])


def same_bits(found: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(found.view(np.uint8), wanted.view(np.uint8))


# --- every shape, every way of lying in memory

SIZES = st.sampled_from([1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 29, 31, 32, 33, 47, 48, 49, 64, 65, 97])


@st.composite
def cases(draw: Any) -> Case:
    return Case(
        m=draw(SIZES),
        n=draw(SIZES),
        k=draw(st.sampled_from([1, 2, 3, 4, 5, 16, 30, 61, 64])),
        dtype=draw(st.sampled_from([DType.FLOAT32, DType.FLOAT64])),
        split=draw(st.sampled_from(["rows", "tiles"])),
        turned=draw(st.booleans()),
        target=draw(st.sampled_from(TARGETS)),
        padded=draw(st.booleans()),
        spread=draw(st.sampled_from([0, 1, 16])),
        first_k=draw(st.sampled_from([0, 0, 3])),
        by_row=draw(st.booleans()),
    )


@settings(max_examples=120)
@given(cases())
def test_every_element_is_one_exact_chain(case: Case) -> None:
    same_bits(result(case), expected(case))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.vector_bytes} bytes")
@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
@pytest.mark.parametrize(
    ("m", "n", "k", "split", "turned"),
    [
        (64, 70, 700, "rows", False),  # several blocks of k on short vectors
        (1025, 33, 1030, "rows", False),  # two chunks of rows
        (70, 40, 2049, "rows", False),  # several blocks on all vectors, the last one smaller
        (66, 130, 2060, "tiles", True),  # the same, with hints for A
        (63, 40, 2049, "tiles", True),  # hints, but no copy
        (130, 200, 128, "tiles", True),  # a copied panel, not cut
        (1, 300, 70, "rows", False),
    ],
)
def test_blocks_of_k_and_copies_change_no_bit(
    m: int, n: int, k: int, split: str, turned: bool, dtype: DType, target: Target
) -> None:
    case = Case(m, n, k, dtype, split, turned, target, first_k=2)
    same_bits(result(case), expected(case))


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_every_tiling_gives_the_same_bits(dtype: DType, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(45, 77, 53, dtype, "tiles", spread=0)
    wanted = expected(case)
    for height, width, k_block, packed, chunk in [
        (1, 1, 53, False, 45),
        (3, 2, 53, False, 45),
        (14, 2, 53, False, 56),
        (16, 5, 53, True, 48),
        (8, 3, 17, True, 48),
        (7, 4, 52, True, 49),
        (45, 1, 1, True, 45),
        (8, 2, 53, True, 16),
        (11, 2, 26, True, 44),  # the last chunk is one row
        (15, 2, 27, True, 15),
    ]:
        tiling = Tiling(45, 77, height, width, k_block, packed, chunk)
        monkeypatch.setattr(product_file, "choose_tiling", lambda *shape, tiling=tiling: tiling)
        for split in ["tiles"] + ["rows"] * (ROWS_OF_UNIT % height == 0):
            prepared = Prepared(replace(case, split=split))
            count = units(prepared.case.product)
            same_bits(prepared.run(), wanted)
            same_bits(prepared.run([(u, u + 1) for u in reversed(range(count))]), wanted)
            same_bits(prepared.run([(count // 3, count), (0, count // 3)]), wanted)


# --- units and threads


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.vector_bytes} bytes")
@pytest.mark.parametrize(
    "case",
    [
        Case(100, 40, 20),
        Case(1, 200, 9),
        Case(37, 10, 700),
        Case(90, 50, 40, split="tiles", turned=True),
        Case(70, 90, 300, DType.FLOAT64, "tiles"),
        Case(5, 64, 30, split="tiles"),
    ],
    ids=lambda case: f"{case.m}x{case.n}x{case.k}",
)
def test_units_can_be_computed_apart_in_any_order(case: Case, target: Target) -> None:
    case = replace(case, target=target)
    prepared, wanted = Prepared(case), expected(case)
    count = units(case.product)
    same_bits(prepared.run([(u, u + 1) for u in reversed(range(count))]), wanted)
    for cut in {0, 1, count // 2, count - 1, count}:
        same_bits(prepared.run([(cut, count), (0, cut)]), wanted)
    writes = np.zeros(wanted.shape, int)
    for u in range(count):
        writes += prepared.run([(u, u + 1)]) != GUARD
    assert (writes == 1).all(), "units overlap, or leave elements out"
    assert (prepared.run([(0, 0), (count, count)]) == GUARD).all(), "an empty range computed something"


def test_a_unit_of_rows_is_sixteen_rows() -> None:
    prepared = Prepared(Case(100, 20, 8))
    assert units(prepared.case.product) == 7
    rows = np.flatnonzero((prepared.run([(2, 4)]) != GUARD).any(axis=1))
    assert (rows == np.arange(32, 64)).all()
    rows = np.flatnonzero((prepared.run([(6, 7)]) != GUARD).any(axis=1))
    assert (rows == np.arange(96, 100)).all()


def test_threads_that_share_the_units_give_the_same_bits() -> None:
    case = Case(70, 90, 300, split="tiles", target=TARGETS[-1])
    prepared, wanted = Prepared(case), expected(case)
    count, start = units(case.product), prepared.c.ctypes.data + (prepared.c.shape[1] + 1) * prepared.c.itemsize

    def work(number: int) -> None:
        first, last = number * count // 3, (number + 1) * count // 3
        prepared.function(prepared.a.ctypes.data, prepared.b.ctypes.data, start, first, last)

    for _ in range(5):
        prepared.c[...] = GUARD
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same_bits(np.ascontiguousarray(prepared.c[1:71, 1:91]), wanted)


# --- special values, memory, misuse


def test_sums_begin_at_positive_zero_and_nan_and_infinity_stay_where_they_belong() -> None:
    a, b = np.full((20, 3), -0.0, np.float32), np.ones((3, 20), np.float32)
    a[4, 1], a[7, 2], b[0, 9] = np.nan, np.inf, np.inf
    found = Prepared(Case(20, 20, 3), (a, b)).run()
    wanted = np.zeros((20, 20), np.float32)
    wanted[:, 9] = np.nan  # −0·∞
    wanted[4], wanted[7, np.arange(20) != 9] = np.nan, np.inf
    np.testing.assert_array_equal(found, wanted)
    assert not np.signbit(found[found == 0]).any()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects a page by Linux's mprotect")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.vector_bytes} bytes")
def test_nothing_is_read_behind_matrices_that_are_not_padded(target: Target) -> None:
    case = Case(6, 21, 5, target=target)
    operands, pages = case.operands(), []
    for operand in operands:
        memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(begin + mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
        ctypes.memmove(begin + mmap.PAGESIZE - operand.nbytes, operand.ctypes.data, operand.nbytes)
        pages.append((memory, begin + mmap.PAGESIZE - operand.nbytes))
    function = compiled(case, Matrix("%a", 20, 4), Matrix("%b", 84, 4), 84)
    found = np.zeros((6, 21), np.float32)
    function(pages[0][1], pages[1][1], found.ctypes.data, 0, 1)  # would end the process
    same_bits(found, expected(case))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.vector_bytes} bytes")
@pytest.mark.parametrize(("m", "n", "k"), [(100, 70, 128), (14, 32, 64), (56, 33, 60), (5, 16, 40), (300, 20, 256)])
def test_rows_finished_during_the_next_tile(m: int, n: int, k: int, target: Target) -> None:
    """Whatever the units: each has its own last tile, which nothing follows."""
    case = Case(m, n, k, split="tiles", turned=True, target=target, by_row=True)
    prepared, count = Prepared(case), units(case.product)
    for ranges in ([(0, count)], [(0, count // 3), (count // 3, count)], [(unit, unit + 1) for unit in range(count)]):
        same_bits(prepared.run(ranges), expected(case))


def test_what_a_product_cannot_read_is_our_fault() -> None:
    code = Code("product", "ptr %a, ptr %b")
    a, b = Matrix("%a", 16, 4), Matrix("%b", 4, 16)
    with pytest.raises(
        GraphError,
        match=r"^a product of float32 reads rows of B in vectors: its columns must be 4 bytes apart, not 16$",
    ):
        emit_product(code, Product(4, 4, 4, DType.FLOAT32, "rows", HOST), a, b, i64(0), i64(1), lambda *tile: None)
    with pytest.raises(GraphError, match=r"^a product is of float32 or float64, not of int64$"):
        emit_product(code, Product(4, 4, 4, DType.INT64, "rows", HOST), a, b, i64(0), i64(1), lambda *tile: None)
