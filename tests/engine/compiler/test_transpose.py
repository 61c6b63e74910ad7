"""Transposed copies: exact, complete, and nothing written around them."""

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.engine.compiler.code import BYTES, Code, Value
from fallline.engine.compiler.product import Matrix
from fallline.engine.compiler.transpose import emit_transpose
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target, restricted
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

HOST = host_target()
TARGETS = [HOST] + ([restricted(HOST, "avx2")] if HOST.is_x86 and HOST.vector_bytes == 64 else [])
GUARD = 99


def turned(
    matrix: Any, dtype: DType, target: Target, ranges: list[tuple[int, int]], more: int = 1, padded: bool = False
) -> Any:
    """The copy that the units of some ranges make; where they copy nothing, GUARD."""
    rows, columns = matrix.shape
    size = BYTES[dtype]
    source = np.pad(matrix, ((0, 0), (0, -columns % LANES if padded else more)), constant_values=GUARD)
    copy = np.full((columns + 2, rows + (-rows % LANES if padded else more) + LANES), GUARD, matrix.dtype)
    code = Code("turn", "ptr %source, ptr %target, i64 %first, i64 %last", linkage="")
    a = Matrix("%source", source.shape[1] * size, size, padded)
    b = Matrix("%target", copy.shape[1] * size, size, padded)
    first, last = Value("%first", DType.INT64), Value("%last", DType.INT64)
    emit_transpose(code, a, b, rows, columns, dtype, first, last)
    module = compile_module("\n".join(sorted(code.declarations)) + "\n" + code.text(), target)
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function = module.function("turn", None, pointer, pointer, number, number)
    for begin, end in ranges:
        function(source.ctypes.data, copy.ctypes.data + copy.shape[1] * size, begin, end)
    assert (copy[[0, -1]] == GUARD).all()
    if not padded:
        assert (copy[:, rows:] == GUARD).all(), "the copy wrote behind its rows"
    return copy[1:-1, :rows]


def numbers(rows: int, columns: int, dtype: DType) -> Any:
    return (np.arange(rows * columns) % 89 % (2 if dtype is DType.BOOL else 89)).reshape(rows, columns).astype(dtype)


SIZES = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 61, 100])


@settings(max_examples=60)
@given(SIZES, SIZES, st.sampled_from([DType.FLOAT32, DType.FLOAT64]), st.sampled_from(TARGETS), st.booleans())
def test_the_copy_is_the_transpose(rows: int, columns: int, dtype: DType, target: Target, padded: bool) -> None:
    matrix = numbers(rows, columns, dtype)
    found = turned(matrix, dtype, target, [(0, -(-columns // LANES))], padded=padded)
    np.testing.assert_array_equal(found, matrix.T)


@pytest.mark.parametrize("dtype", [DType.INT64, DType.INT32, DType.UINT8])
def test_integers_are_copied_too(dtype: DType) -> None:
    matrix = numbers(37, 21, dtype)
    np.testing.assert_array_equal(turned(matrix, dtype, HOST, [(0, 2)]), matrix.T)


def test_a_copy_keeps_every_bit() -> None:
    matrix = numbers(20, 18, DType.FLOAT32)
    matrix.view(np.uint32)[3, 4] = 0x7F800001  # a signalling NaN with a payload
    matrix[5, 6] = -0.0
    found = np.ascontiguousarray(turned(matrix, DType.FLOAT32, HOST, [(0, 2)]))
    np.testing.assert_array_equal(found.view(np.uint32), matrix.T.copy().view(np.uint32))


@pytest.mark.parametrize(("rows", "columns"), [(40, 70), (5, 64), (33, 16)])
def test_units_are_sixteen_rows_of_the_copy_and_can_be_made_apart(rows: int, columns: int) -> None:
    matrix, count = numbers(rows, columns, DType.FLOAT32), -(-columns // LANES)
    apart = turned(matrix, DType.FLOAT32, HOST, [(u, u + 1) for u in reversed(range(count))])
    np.testing.assert_array_equal(apart, matrix.T)
    first = turned(matrix, DType.FLOAT32, HOST, [(0, 1)])
    np.testing.assert_array_equal(first[:LANES], matrix.T[:LANES])
    assert (first[LANES:] == GUARD).all()
