"""Hashes of what the compiled engine computes, case by case, for comparison between processors (`soak_aarch64.py`).

    python -m benchmarks.bits_worker CPU GROUP…

CPU is `host`, or LLVM's name of another processor of this architecture; a GROUP is one of `GROUPS`. Printed is a line
of JSON that names the target, then one for each case. The inputs are whole numbers scaled by powers of two, and random
bits: they are the same on every machine, and their own hash proves it.
"""

import ctypes
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline.ops  # noqa: F401 – registers every op
from benchmarks.bits_networks import NETWORKS, Training, grid
from fallline.engine.compiled import CompiledProgram
from fallline.engine.compiler.barrier import floating_point_ir
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target, using_target, vectors
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Elementwise, Leaf
from fallline.ir.op import REGISTRY, Op, Sample, lookup
from fallline.ir.types import BATCH
from fallline.ops.leaf import make_input

Array = NDArray[Any]
DTYPES = ("float32", "float64")
THREADS = (1, 2)
ROWS, COLUMNS = 17, 59
"""The shape on which elementwise ops see random bits: neither fills whole vectors."""
PRODUCTS = ((1, 1, 1), (7, 5, 3), (33, 17, 65), (19, 130, 257), (64, 301, 10))
"""Rows, inner size and columns of matrix products, on both sides of every tile."""

SPOILT_X86, SPOILT_ARM = 0x8000 | 0x6000 | 0x40, 1 << 24 | 3 << 22
"""Bits of MXCSR and of FPCR: flush to zero, round toward zero, and on x86-64 read subnormal numbers as zero."""
MODE = """
define i64 @now() {
  %found = call i64 @enter_floating_point()
  call void @leave_floating_point(i64 %found)
  ret i64 %found
}
define void @set_to(i64 %state) {
  call void @leave_floating_point(i64 %state)
  ret void
}
"""
"""Reads and sets the state of a thread's arithmetic by the functions with which every program saves and restores it."""


@dataclass(frozen=True)
class Case:
    """What came out: hashes of the inputs, and of the results of every way to compute them, which should be equal."""

    group: str
    name: str
    inputs: str
    results: list[str]


def digest(arrays: Sequence[Array]) -> str:
    """BLAKE2b of types, shapes and bytes, with every NaN made the same NaN."""
    found = blake2b(digest_size=16)
    for array in arrays:
        array = np.array(array, order="C")
        if array.dtype.kind == "f":
            array[np.isnan(array)] = np.nan
        found.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def networks() -> Iterator[Case]:
    """Each network trained anew on one thread and on two: weights, buffers, losses of all steps, predictions."""
    for name, make in NETWORKS.items():
        training = make()
        yield Case("networks", name, digest([training.x, training.y]), [trained(make(), n) for n in THREADS])


def trained(training: Training, threads: int) -> str:
    """The hash of everything that a training leaves behind."""
    run = training.fit(threads)
    if run.engine != "compiled" or run.problem:
        raise RuntimeError(f"the training on the engine {run.engine!r} went wrong: {run.problem}")
    net = training.net
    left = [*net.parameters().values(), *net.buffers().values()]
    return digest([*left, np.array(run.steps["loss"]), net.predict(training.x[:11])])


def products() -> Iterator[Case]:
    """Matrix products and sums of odd sizes, on one thread, on two, and by a thread whose arithmetic was spoilt."""
    for rows, inner, columns in PRODUCTS:
        for dtype in DTYPES:
            a, b = grid(1, (rows, inner)).astype(dtype), grid(2, (inner, columns)).astype(dtype)
            # thirds and sevenths have all their bits in use, so that every step of a sum rounds
            given = {"a": a / a.dtype.type(3), "b": b / b.dtype.type(7)}
            given["b"][:, ::2] *= np.finfo(dtype).tiny  # every other column's products are subnormal numbers
            leaves = [make_input("a", (BATCH, inner), dtype).node, make_input("b", (inner, columns), dtype).node]
            product = Node(lookup("matmul"), tuple(leaves), {})
            outputs = {"product": product}
            outputs |= {f"sum {k}": Node(lookup("sum"), (product,), {"axes": (k,)}) for k in (0, 1)}
            graph = Graph(dict(zip(given, leaves, strict=True)), outputs)
            found = [CompiledProgram(graph, {"n": rows}, threads=n)(given) for n in THREADS]
            found.append(spoilt(CompiledProgram(graph, {"n": rows}, threads=1), given))
            name = f"{rows} × {inner} by {inner} × {columns}, {dtype}, and its sums"
            yield Case("products", name, digest(list(given.values())), [digest(list(f.values())) for f in found])


def spoilt(program: CompiledProgram, given: dict[str, Array]) -> dict[str, Array]:
    """What a program computes when its caller's thread rounds toward zero and flushes subnormal numbers to zero."""
    target = host_target()
    module = compile_module(floating_point_ir(target) + MODE, target)
    now = module.function("now", ctypes.c_int64)
    set_to = module.function("set_to", None, ctypes.c_int64)
    before, tenth, smallest = now(), [1.0, 10.0], np.finfo("float64").tiny.item()
    set_to(before | (SPOILT_X86 if target.is_x86 else SPOILT_ARM))
    try:
        spoils = tenth[0] / tenth[1] < 0.1 and smallest * tenth[0] / tenth[1] == 0.0
        found = program(given)
    finally:
        set_to(before)
    if not spoils:
        raise RuntimeError("the thread's arithmetic could not be spoilt, so this would have shown nothing")
    return found


def ops() -> Iterator[Case]:
    """Each op of the register on its samples in both precisions; the elementwise ones on random bits besides."""
    for op in REGISTRY.values():
        if isinstance(op.kernel, Leaf):
            continue
        given, found = [], []
        for dtype in DTYPES:
            for sample in _samples(op):
                inputs = [_as_dtype(array, dtype) for array in sample.inputs]
                given += inputs
                found.append(computed(op, inputs, sample.attributes))
            if isinstance(op.kernel, Elementwise):
                for sample in _kinds(op, dtype):
                    inputs = [random_bits(k, _as_dtype(array, dtype).dtype) for k, array in enumerate(sample.inputs)]
                    given += inputs
                    found.append(computed(op, inputs, sample.attributes))
        yield Case("ops", f"`{op.name}`", digest(given), [digest(found)])


def computed(op: Op, inputs: Sequence[Array], attributes: dict[str, Any]) -> Array:
    """An op as a program of its own."""
    names = ["seed", "step"] if op.name == "random_uniform" else [str(k) for k in range(len(inputs))]
    leaves = [make_input(name, a.shape, str(a.dtype)).node for name, a in zip(names, inputs, strict=True)]
    graph = Graph(dict(zip(names, leaves, strict=True)), {"y": Node(op, tuple(leaves), attributes)})
    return CompiledProgram(graph, {}, threads=1)(dict(zip(names, inputs, strict=True)))["y"]


def random_bits(seed: int, dtype: np.dtype[Any]) -> Array:
    """Any bits; of floats half of the rows near 0, one subnormal, and one of the ends of the range."""
    bits = np.random.default_rng(seed).integers(0, 256, (ROWS, COLUMNS, dtype.itemsize), dtype=np.uint8)
    if dtype.kind == "b":
        return (bits[..., 0] & 1).astype(bool)
    found: Array = bits.view(dtype)[..., 0].copy()
    if dtype.kind == "f":
        found[::2] = grid(seed + 10, (ROWS, COLUMNS))[::2].astype(dtype)
        info = np.finfo(dtype)
        found[1] = (np.abs(found[0]) * (info.tiny / 16)).astype(dtype)
        ends = [np.inf, -np.inf, np.nan, 0.0, -0.0, info.max, info.min]
        found[3] = np.resize(ends if seed % 2 else np.repeat(ends, len(ends)), COLUMNS)  # so that each meets each
    return found


def _samples(op: Op) -> list[Sample]:
    return [] if op.samples is None else op.samples()


def _kinds(op: Op, dtype: str) -> list[Sample]:
    """One sample of each combination of attributes and types."""
    kinds: dict[str, Sample] = {}
    for sample in _samples(op):
        types = [str(_as_dtype(array, dtype).dtype) for array in sample.inputs]
        kinds.setdefault(f"{sample.attributes}{types}", sample)
    return list(kinds.values())


def _as_dtype(array: Any, dtype: str) -> Array:
    found: Array = np.asarray(array)
    return found.astype(dtype) if found.dtype.kind == "f" else found


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {"networks": networks, "products": products, "ops": ops}


def main(cpu: str, groups: Sequence[str]) -> None:
    """Print the target and the cases of the groups."""
    host = host_target()
    other = Target(host.triple, cpu, "", *vectors(host.triple, ""))
    with nullcontext() if cpu == "host" else using_target(other):
        print(json.dumps({"triple": host_target().triple, "cpu": host_target().cpu}), flush=True)
        for group in groups:
            for case in GROUPS[group]():
                print(json.dumps(asdict(case)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
