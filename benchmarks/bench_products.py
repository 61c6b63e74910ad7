"""Speed of the generated matrix products against a register-only multiply-add loop measured in the same run.

NN: A (m, k), B (k, n). TN: A is stored (k, m), as in a weight's gradient. NT: B is stored (n, k) and is transposed
first, in the time measured. One thread, float32, data in cache, medians of nine short runs. A single row (m = 1) uses
every element of B once, so that it is bound by memory: it is measured against a loop that only reads B.
"""

import ctypes
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.jobs import JobError
from fallline.engine.compiler.code import BYTES, Code, Value, i64
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.product import Epilogue, Matrix, Product, emit_product, units
from fallline.engine.compiler.transpose import emit_transpose
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

NAME = "products"
REQUIRED, REQUIRED_SMALL = 0.85, 0.75
"""Of the peak of the lanes in use; the second for products of less than a million multiply-adds."""
SMALL = 1_000_000
ADDRESS, NUMBER = ctypes.c_void_p, ctypes.c_int64
FIRST, LAST, TURNS = (Value(f"%{name}", DType.INT64) for name in ("first", "last", "turns"))
F32 = DType.FLOAT32
SHAPES = (
    ("NN", 128, 784, 512), ("NN", 128, 512, 512), ("NN", 128, 512, 10), ("NN", 32, 30, 64), ("NN", 32, 64, 64),
    ("NN", 256, 128, 128), ("NN", 768, 128, 512), ("TN", 784, 128, 512), ("TN", 512, 128, 512),
    ("TN", 512, 128, 10), ("TN", 64, 32, 64), ("NT", 128, 512, 784), ("NT", 32, 64, 64), ("NN", 5, 64, 64),
    ("NN", 100, 128, 100), ("NN", 1, 784, 512), ("NN", 1024, 1024, 1024), ("NN", 2048, 2048, 2048),
    ("NN", 2000, 1500, 1800), ("TN", 2000, 1500, 1800), ("TN", 2048, 2048, 2048),
)  # fmt: skip


def run() -> str:
    """The table of all shapes."""
    target = host_target()
    peak = _peak(target)
    lines = [
        f"Vectors of {target.vector_bytes} bytes; a loop on registers alone reaches {peak():.0f} GFLOP/s.",
        "",
        "| product (m×k×n) | µs | GFLOP/s | of the lanes' peak | required | | compiling, ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for form, m, k, n in SHAPES:
        seconds, compiling = _measured(form, m, k, n, target)
        lanes = n / (-(-n // LANES) * LANES)
        share, of = 2 * m * n * k / seconds / 1e9 / peak() / lanes, ""
        if m == 1:
            share, of = _reading(k * n * BYTES[F32], target) / seconds, " of reading B"
        required = REQUIRED_SMALL if m * n * k < SMALL else REQUIRED
        met = "met" if share >= required else "**not met**"
        if m == 1:
            met = "bound by memory, not required"
        lines.append(
            f"| {form} {m}×{k}×{n} | {seconds * 1e6:.2f} | {2 * m * n * k / seconds / 1e9:.0f} | {share:.0%}{of} "
            f"| {required:.0%} | {met} | {compiling * 1e3:.0f} |"
        )
    return "\n".join([*lines, "", __doc__.split("\n\n", 1)[1].strip()])


def _timed(function: Callable[[int], None], budget: float = 0.012, repeats: int = 9) -> float:
    function(1)
    started = time.perf_counter()
    function(1)
    turns = max(1, int(budget / (time.perf_counter() - started)))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function(turns)
        times.append((time.perf_counter() - started) / turns)
    return statistics.median(times)


def _peak(target: Target) -> Callable[[], float]:
    """A function that measures GFLOP/s of multiply-adds on registers alone, as many chains as fit."""
    chains = max(10 // (LANES * BYTES[F32] // target.vector_bytes), 1)
    code = Code("peak", "ptr %a, i64 %turns", linkage="")
    emitter = LlvmEmitter(code)
    x, y = (code.splat(code.load(code.at("%a", i64(8 * i)), F32)) for i in range(2))
    with code.loop(i64(0), TURNS, carried=[Value("zeroinitializer", F32, LANES)] * chains) as turn:
        turn.following = [emitter.fma(x, y, value) for value in turn.values]
    for i, value in enumerate(turn.after):
        code.store(value, code.at("%a", i64(64 + i * LANES * BYTES[F32])))
    function = compile_module(_module(code), target).function("peak", None, ADDRESS, NUMBER)
    memory = np.zeros(65536, np.uint8)

    def measure() -> float:
        seconds = _timed(lambda turns: function(memory.ctypes.data, 20000 * turns), 0.006)
        return 2 * chains * LANES * 20000 / seconds / 1e9

    return measure


def _reading(size: int, target: Target) -> float:
    """Seconds that a loop takes which only reads so many bytes."""
    code = Code("reading", "ptr %a, i64 %turns", linkage="")
    step, chains = LANES * BYTES[F32], 8
    with code.loop(i64(0), TURNS):
        with code.loop(i64(0), i64(size), step * chains, [Value("zeroinitializer", F32, LANES)] * chains) as part:
            for i, value in enumerate(part.values):
                loaded = code.load(code.at("%a", code.add(part.index, i64(i * step))), F32, LANES)
                part.following.append(code.emit(f"fadd {value}, {loaded.text}", F32, LANES))
        for i, value in enumerate(part.after):
            code.store(value, code.at("%a", i64(i * step)))
    function = compile_module(_module(code), target).function("reading", None, ADDRESS, NUMBER)
    memory = np.zeros(size + step * (chains + 1), np.uint8)
    start = memory.ctypes.data + -memory.ctypes.data % 64
    return _timed(lambda turns: function(start, turns))


def _module(*codes: Code) -> str:
    declarations: set[str] = set().union(*(code.declarations for code in codes))
    return "\n".join([*sorted(declarations), *(code.text() for code in codes)])


def _matrix(rows: int, columns: int) -> NDArray[Any]:
    """Random numbers in rows padded as programs pad them, beginning at a multiple of 64."""
    wide = -(-columns // LANES) * LANES + LANES
    memory = np.zeros(rows * wide * 4 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array: NDArray[Any] = memory[start : start + rows * wide * 4].view(np.float32).reshape(rows, wide)
    array[:, :columns] = np.random.default_rng(rows * 7 + columns).standard_normal((rows, columns))
    return array


def _storing(code: Code, row_bytes: int) -> Epilogue:
    def epilogue(row: Value, height: int, column: Value, live: list[int], sums: list[list[Value]]) -> None:
        corner = code.at("%c", code.add(code.times(row, row_bytes), code.times(column, 4)))
        for i in range(height):
            for v, lanes in enumerate(live):
                code.store(sums[i][v], code.at(corner, i64(i * row_bytes + v * LANES * 4)), lanes)

    return epilogue


def _measured(form: str, m: int, k: int, n: int, target: Target) -> tuple[float, float]:
    """(seconds of the product, seconds to compile it); the result is checked against float64."""
    a = _matrix(m, k) if form[0] == "N" else _matrix(k, m)
    b, turned, c = _matrix(k, n), _matrix(n, k), _matrix(m, n)
    lead = {name: 4 * array.shape[1] for name, array in (("a", a), ("b", b), ("t", turned), ("c", c))}
    product = Product(m, n, k, F32, "tiles" if form == "TN" else "rows", target)
    parameters = "ptr %a, ptr %b, ptr %c, ptr %t, i64 %first, i64 %last"
    code = Code("kernel", parameters)
    left = Matrix("%a", lead["a"], 4) if form[0] == "N" else Matrix("%a", 4, lead["a"])
    emit_product(code, product, left, Matrix("%b", lead["b"], 4, True), FIRST, LAST, _storing(code, lead["c"]))
    codes, repeat = [code], Code("repeat", parameters + ", i64 %turns", linkage="")
    if form == "NT":
        turn = Code("turn", "ptr %b, ptr %t, i64 %first, i64 %last")
        emit_transpose(turn, Matrix("%t", lead["t"], 4), Matrix("%b", lead["b"], 4), n, k, F32, FIRST, LAST)
        codes.append(turn)
    with repeat.loop(i64(0), TURNS):
        if form == "NT":
            repeat.do(f"call void @turn(ptr %b, ptr %t, i64 0, i64 {-(-k // LANES)})")
        repeat.do("call void @kernel(ptr %a, ptr %b, ptr %c, ptr %t, i64 %first, i64 %last)")
    started = time.perf_counter()
    module = compile_module(_module(*codes, repeat), target)
    compiling = time.perf_counter() - started
    function = module.function("repeat", None, ADDRESS, ADDRESS, ADDRESS, ADDRESS, NUMBER, NUMBER, NUMBER)
    pointers = [array.ctypes.data for array in (a, b, c, turned)]
    seconds = _timed(lambda turns: function(*pointers, 0, units(product), turns))
    wanted = (a[:, :k] if form[0] == "N" else a[:, :m].T).astype(float) @ (
        turned[:, :k].T if form == "NT" else b[:, :n]
    )
    if np.abs(c[:, :n] - wanted).max() > 1e-5 * np.abs(wanted).max():
        raise JobError(f"The product {form} {m}×{k}×{n} is wrong, so its time means nothing.")
    return seconds, compiling
