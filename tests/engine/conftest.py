"""The oracle of the compiled engine: a walk over a graph by its kernel forms, with a multiply-add rounded once.

It follows the order of sums that the contract states, and shares no code with the compiler but the ops' own bodies: so
a program must give its very bits. The reference walk in float64 is the second, independent oracle, within bounds.
"""

import ctypes
import math
import mmap
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline.engine import compiled, kernel_forms
from fallline.engine.compiled import CompiledProgram, Instance
from fallline.engine.kernel_forms import evaluate_kernel
from fallline.engine.numpy_emitter import NumpyEmitter
from fallline.engine.reference import ReferenceProgram, row_axes, tree_add
from fallline.ir.graph import Graph, Node
from fallline.ir.op import Op
from fallline.ir.types import BATCH, bind
from fallline.ops.leaf import make_input

Array = NDArray[Any]
TESTS = Path(__file__).resolve().parent.parent
SPLITTER = 2.0**27 + 1.0
SAFE = (2.0**-400, 2.0**400)
"""Between these magnitudes no part of the exact arithmetic below overflows or underflows."""


class ExactEmitter(NumpyEmitter):
    """NumPy's emitter, but fma is rounded once, as a processor's is."""

    def fma(self, a: Array, b: Array, c: Array) -> Array:
        a, b, c = np.broadcast_arrays(*(np.asarray(value) for value in (a, b, c)))
        with np.errstate(all="ignore"):
            return fma32(a, b, c) if a.dtype == np.float32 else fma64(a, b, c)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """(a + b rounded, its error), exact (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def to_odd(total: Array, error: Array) -> Array:
    """total + error rounded to odd: of the two neighbours of an inexact sum the one with an odd last bit."""
    bits = np.asarray(total).view(np.int64)
    inexact = np.isfinite(total) & (error != 0.0) & (bits & 1 == 0)
    outwards = np.where((error > 0.0) == (total > 0.0), 1, -1)
    return np.where(inexact, bits + outwards, bits).view(np.float64)


def fma32(a: Array, b: Array, c: Array) -> Array:
    """The product is exact in float64; the sum, rounded to odd there, is rounded to float32 as if it were exact."""
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    return np.asarray(to_odd(*two_sum(product, addend))).astype(np.float32)


def fma64(a: Array, b: Array, c: Array) -> Array:
    """By exact products and sums (Boldo & Melquiond 2008, Emulation of FMA), by fractions where these would not fit."""
    direct = a * b + c
    product = a * b
    error = exact_error(a, b, product)
    low_sum, low_error = two_sum(c, error)
    high_sum, high_error = two_sum(product, low_sum)
    found = high_sum + to_odd(*two_sum(low_error, high_error))
    parts = [np.abs(value) for value in (a, b, c)]
    exact = (a == 0.0) | (b == 0.0) | (c == 0.0)  # one rounding in any case: a·b or c alone
    special = ~(np.isfinite(a) & np.isfinite(b) & np.isfinite(c))
    safe = np.logical_and.reduce([(part > SAFE[0]) & (part < SAFE[1]) for part in parts])
    found = np.where(exact | special, direct, found)
    rest = ~(exact | special | safe)
    if rest.any():
        found[rest] = np.frompyfunc(fma_by_fractions, 3, 1)(a[rest], b[rest], c[rest]).astype(np.float64)
    return np.asarray(found)


def exact_error(a: Array, b: Array, product: Array) -> Array:
    """a·b − product, exact (Dekker, with Veltkamp's splitting)."""

    def halves(x: Array) -> tuple[Array, Array]:
        scaled = SPLITTER * x
        high = scaled - (scaled - x)
        return high, x - high

    (a_high, a_low), (b_high, b_low) = halves(a), halves(b)
    return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def fma_by_fractions(a: float, b: float, c: float) -> float:
    """a·b + c of finite numbers by rational arithmetic, rounded once."""
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c if a == 0.0 or b == 0.0 else 0.0
    try:
        return float(exact) if exact > 0 else -float(-exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


# --- the walk


def contract(graph: Graph, sizes: Mapping[str, int], inputs: Mapping[str, Any], shards: int = 1) -> dict[str, Array]:
    """Every output with the bits that the contract states."""
    names = {id(node): name for name, node in graph.inputs.items()}
    values: dict[int, Array] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_forms, "EMITTER", ExactEmitter())
        for node in graph.nodes():
            if node.op.name == "input":
                values[id(node)] = np.asarray(inputs[names[id(node)]], dtype=node.type.dtype.value)
            elif node.op.name == "constant":
                values[id(node)] = np.asarray(node.attributes["value"], dtype=node.type.dtype.value)
            else:
                values[id(node)] = _computed(node, [values[id(parent)] for parent in node.inputs], sizes, shards)
    return {name: values[id(node)] for name, node in graph.outputs.items()}


def _computed(node: Node, arrays: list[Array], sizes: Mapping[str, int], shards: int) -> Array:
    attributes = {key: bind(value, sizes) for key, value in node.attributes.items()}
    axes = row_axes(node) if shards > 1 else None
    if axes is None:
        return evaluate_kernel(node.op, arrays, attributes)
    rows = next(iter(sizes.values()))
    parts: list[Array | None] = []
    for start, stop in pairwise(shard * rows // shards for shard in range(shards + 1)):
        if start == stop:
            parts.append(None)
            continue
        cut = []
        for array, axis in zip(arrays, axes, strict=True):
            if axis is not None:
                factor = array.shape[axis] // rows
                array = array.take(range(start * factor, stop * factor), axis)
            cut.append(array)
        parts.append(evaluate_kernel(node.op, cut, attributes))
    return np.asarray(tree_add(parts))


# --- comparisons


def same_bits(found: Any, wanted: Any, what: str = "") -> None:
    """Equal shapes, dtypes and bits, the sign of zero included; any NaN equals any other."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), what
    if found.dtype.kind == "f":
        integer = np.int32 if found.dtype == np.float32 else np.int64
        equal = (np.ascontiguousarray(found).view(integer) == np.ascontiguousarray(wanted).view(integer)).reshape(
            found.shape
        )
        equal |= np.isnan(found) & np.isnan(wanted)
    else:
        equal = found == wanted
    wrong = np.argwhere(~equal)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise AssertionError(
            f"{what}: {len(wrong)} of {found.size} differ, first at {place}: "
            f"found {found[place]!r}, wanted {wanted[place]!r}"
        )


def all_same_bits(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """The same for every output."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        same_bits(found[name], value, name)


def all_close(found: Mapping[str, Any], wanted: Mapping[str, Any], bound: float, floor: float = 0.0) -> None:
    """Every output within `bound` of the largest entry of the tensor, or of `floor` where that is larger."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].shape == value.shape, name
        finite = np.isfinite(value)
        np.testing.assert_array_equal(np.isfinite(found[name]), finite, err_msg=name)
        if finite.any():
            scale = max(float(np.max(np.abs(value[finite]))), floor)
            gap = float(np.max(np.abs(found[name][finite].astype(np.float64) - value[finite])))
            assert gap <= bound * scale, (
                f"{name}: off by {gap / scale:.2e} of its largest entry, allowed is {bound:.0e}"
            )


def reference(graph: Graph, sizes: Mapping[str, int], inputs: Mapping[str, Any], shards: int = 1) -> dict[str, Array]:
    """The reference walk's outputs."""
    arrays = {name: np.asarray(inputs[name], dtype=node.type.dtype.value) for name, node in graph.inputs.items()}
    return ReferenceProgram(graph, sizes, shards)(arrays)


def load(path: str) -> ModuleType:
    """A file of tests as a module of its own, because modules of tests cannot import each other."""
    found = spec_from_file_location(path.replace("/", "_").removesuffix(".py"), TESTS / path)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    sys.modules[found.name] = module  # where dataclasses look for it
    found.loader.exec_module(module)
    return module


def apply_op(op: Op, arrays: Sequence[Array], attributes: Mapping[str, Any], rows: bool = False) -> Graph:
    """The graph of one op on inputs "0", "1", … of the arrays' types; with `rows`, the first axis is the batch's."""

    def shape(array: Array) -> tuple[Any, ...]:
        return (BATCH, *array.shape[1:]) if rows else array.shape

    leaves = [make_input(str(i), shape(array), str(array.dtype)).node for i, array in enumerate(arrays)]
    return Graph({str(i): leaf for i, leaf in enumerate(leaves)}, {"y": Node(op, tuple(leaves), attributes)})


def compiled_op(op: Op, arrays: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    """What a compiled program of one op makes of the arrays."""
    program = CompiledProgram(apply_op(op, arrays, attributes), {})
    return program({str(i): array for i, array in enumerate(arrays)})["y"]


# --- memory that ends where it must


def guarded(size: int, multiple: int = 64) -> Array:
    """So many zero bytes, beginning at a multiple of 64, behind which lies a page that nobody may read or write."""
    page = mmap.PAGESIZE
    end = -(-size // page) * page
    memory = np.frombuffer(mmap.mmap(-1, end + page), dtype=np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(memory.ctypes.data + end), ctypes.c_size_t(page), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    start = end - -(-size // multiple) * multiple
    return memory[start : start + size]


def bind_guarded(self: Instance, name: str, array: Array) -> None:
    """Bind a copy of a data set's array, behind whose last element lies such a page."""
    copy = guarded(array.nbytes, multiple=1).view(array.dtype).reshape(array.shape)
    copy[...] = array
    bind_rows(self, name, copy)


bind_rows = Instance.bind_rows


@pytest.fixture(scope="module", autouse=True)
def _guards() -> Iterator[None]:
    """Whatever a program reads or writes beyond its memory or its data ends these tests at once."""
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform == "linux":
            patch.setattr(compiled, "aligned", guarded)
            patch.setattr(Instance, "bind_rows", bind_guarded)
        yield


@pytest.fixture
def fresh_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the test, programs are written anew, whatever earlier tests have left."""
    monkeypatch.setattr(compiled, "_kept", OrderedDict())


@pytest.fixture(scope="session")
def oracle() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(
        ExactEmitter=ExactEmitter,
        fma_by_fractions=fma_by_fractions,
        contract=contract,
        reference=reference,
        same_bits=same_bits,
        all_same_bits=all_same_bits,
        all_close=all_close,
        load=load,
        apply_op=apply_op,
        compiled_op=compiled_op,
    )
