"""Random graphs, compiled: the contract's bits whatever is composed, and the reference's numbers where all is smooth.

Broadcasts, transposes, slices, concatenations, reshapes, reductions over any axes, products of rank 2 and more, rows
picked and added by number, choices, casts, random numbers; outputs that are used again, that are views, inputs or
constants; and what backpropagation makes of it.
"""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.compiled import CompiledProgram
from fallline.engine.programs import rows_are_independent
from fallline.engine.target import host_target, restricted, using_target
from fallline.errors import FalllineError
from fallline.ir.graph import Graph
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType, bind
from fallline.ops import Tensor, make_input
from fallline.ops import functions as fl
from fallline.ops.tensor import apply

Array = NDArray[Any]
Step = tuple[str, int, int, int]
LARGEST = 3000
"""Elements: larger tensors are left out."""

SMOOTH: list[Callable[[Tensor], Any]] = [
    fl.tanh,
    fl.sigmoid,
    fl.erf,
    lambda x: fl.softplus(-x) - 0.5,
    lambda x: fl.exp(-x * x),
    lambda x: fl.expm1(fl.tanh(x)),
    lambda x: fl.sqrt(x * x + 1.0),
    lambda x: fl.log(x * x + 0.5),
    lambda x: fl.log1p(x * x),
    lambda x: 1.0 / (x * x + 1.0),
    lambda x: (x * x + 0.5) ** 0.3,
    lambda x: fl.tanh(x) ** 3,
    lambda x: x * 0.5 + 0.1,
    lambda x: -x,
]
EDGED: list[Callable[[Tensor], Any]] = [
    fl.relu,
    fl.absolute,
    fl.sign,
    fl.log1p,
    fl.stop_gradient,
    lambda x: fl.clip(x, -1.0, 1.0),
    lambda x: fl.cast(fl.cast(x * 3.0, "int32"), str(x.dtype)) * 0.5,
    lambda x: fl.cast(fl.cast(x * 99.0, "uint8"), str(x.dtype)) * 0.01,
]
SMOOTH_PAIRS: list[Callable[[Tensor, Tensor], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: fl.tanh(a * b),
    lambda a, b: a / (b * b + 1.0),
]
EDGED_PAIRS: list[Callable[[Tensor, Tensor], Any]] = [
    fl.maximum,
    fl.minimum,
    lambda a, b: fl.where(a < b, a, b * 2.0),
    lambda a, b: fl.where((a <= b) | (b < 0.0), a * b, -a),
    lambda a, b: fl.where(~(a == b), a, 1.0),
]


class Made:
    """A random graph with inputs to try it on.

    Attributes:
        graph: outputs "t0", "t1", … and the gradients "d x", … of a sum of all of them.
        given: the inputs.
    """

    def __init__(self, dtype: str, rows: int, sizes: tuple[int, int, int], steps: list[Step], smooth: bool) -> None:
        self.rows, self.dtype, self.smooth = rows, dtype, smooth
        a, b, c = sizes
        shapes = {"x": (BATCH, a), "y": (BATCH,), "z": (BATCH, c, b), "w": (a, b), "v": (b,), "s": (), "t": (5, b)}
        self.floats = {name: make_input(name, shape, dtype) for name, shape in shapes.items()}
        self.wholes = {
            "i": make_input("i", (BATCH,), "int64"),
            "j": make_input("j", (3,), "int32"),
            "u": make_input("u", (BATCH, a), "uint8"),
            "seed": make_input("seed", (), "int64"),
            "step": make_input("step", (), "int64"),
        }
        self.pool = [*self.floats.values(), self.wholes["u"].astype(dtype) * (1.0 / 255.0)]
        self.streams = 0
        first = len(self.pool)
        for step in steps:
            self._grow(step)
        assume(len(self.pool) > first)
        outputs = {f"t{i}": tensor for i, tensor in enumerate(self.pool[first:])}
        outputs |= self._gradients(list(outputs.values())[-5:])
        inputs = {**self.floats, **self.wholes}
        self.graph = Graph({k: t.node for k, t in inputs.items()}, {k: t.node for k, t in outputs.items()})
        self.given = self._numbers()

    def _numbers(self) -> dict[str, Any]:
        rng = np.random.default_rng(self.rows)
        given: dict[str, Any] = {}
        for name, tensor in self.floats.items():
            given[name] = np.asarray(rng.normal(size=bind(tensor.shape, {"n": self.rows}))).astype(self.dtype)
        given |= {"i": rng.integers(0, 5, self.rows), "j": np.array([4, 0, 2], np.int32)}
        given["u"] = rng.integers(0, 256, (self.rows, given["x"].shape[1]), dtype=np.uint8)
        return given | {"seed": np.int64(3), "step": np.int64(7)}

    def _gradients(self, tensors: list[Tensor]) -> dict[str, Tensor]:
        total: Any = 0.0
        for number, tensor in enumerate(tensors):
            total = (tensor * (0.6 + 0.2 * number)).sum() + total
        found = gradients(total, list(self.floats.values()))
        return {f"d {name}": tensor for name, tensor in zip(self.floats, found, strict=True)}

    def _grow(self, step: Step) -> None:
        """One more tensor of the pool, unless the step does not fit what there is."""
        try:
            made = self._made(step)
        except FalllineError:  # a broadcast that does not fit, a cut through the rows of the batch
            return
        if 0 < math.prod(bind(made.shape, {"n": self.rows})) <= LARGEST:
            self.pool.append(made)

    def _made(self, step: Step) -> Any:
        kind, first, second, choice = step
        x, y = self.pool[-1 - first % len(self.pool)], self.pool[-1 - second % len(self.pool)]
        if kind == "unary":
            functions = SMOOTH if self.smooth else SMOOTH + EDGED
            return functions[choice % len(functions)](x)
        if kind == "binary":
            pairs = SMOOTH_PAIRS if self.smooth else SMOOTH_PAIRS + EDGED_PAIRS
            return pairs[choice % len(pairs)](x, y)
        if kind == "product":
            turned = y.transpose(*range(y.ndim - 2), -1, -2) if y.ndim > 1 and choice & 1 else y
            return fl.tanh(x @ turned)
        if kind == "join":
            axis = choice % max(1, x.ndim)
            return fl.concatenate([x, y, x][: 2 + choice % 2], axis) if choice % 3 else fl.stack([x, y], -1)
        if kind == "reshape":
            shapes: list[tuple[Any, ...]] = [
                (-1,),
                (BATCH, -1),
                (-1, 2),
                (BATCH, -1, 2),
                (2, -1),
                (3, -1),
                (BATCH, 1, -1),
            ]
            return x.reshape(shapes[choice % len(shapes)])
        if kind == "by number":
            return self._by_number(x, choice)
        return {"reduce": self._reduced, "transpose": self._turned, "cut": self._cut}[kind](x, choice)

    def _by_number(self, x: Tensor, choice: int) -> Any:
        """Rows picked, rows added up, classes, and numbers that depend on their place."""
        which = choice % 6
        if which == 0:
            return fl.take(self.floats["t"], self.wholes["ij"[choice // 6 % 2]])
        if which == 1:
            return apply("scatter_add", x, self.wholes["i"], rows=5)
        if which == 2:
            return fl.one_hot(self.wholes["i"], 5, self.dtype)
        if which == 3 and x.ndim and isinstance(x.shape[0], int):
            return x[np.array([0, choice % x.shape[0], 0])]
        if which == 4 and x.ndim:
            return fl.softmax(x, choice % x.ndim)
        if not x.ndim:
            return x + 1.0
        self.streams += 1
        noise = apply(
            "random_uniform",
            self.wholes["seed"],
            self.wholes["step"],
            purpose="test",
            stream=str(self.streams),
            shape=x.shape,
            dtype=x.dtype,
        )
        return fl.where(noise < 0.3, 0.0, x * 1.4)

    def _reduced(self, x: Tensor, choice: int) -> Any:
        axes = tuple(axis for axis in range(x.ndim) if choice >> axis & 1) or None
        if axes and choice & 16:
            axes = tuple(reversed(axes))
        kept = bool(choice & 32)
        if self.smooth or choice % 3:
            return x.mean(axes, kept)
        return x.max(axes, kept) if choice & 64 else x.sum(axes, kept) * 0.3

    def _turned(self, x: Tensor, choice: int) -> Tensor:
        order = list(range(x.ndim))
        for place in range(x.ndim - 1, 0, -1):
            other = choice % (place + 1)
            choice //= place + 1
            order[place], order[other] = order[other], order[place]
        return x.transpose(*order)

    def _cut(self, x: Tensor, choice: int) -> Tensor:
        index: list[Any] = []
        for dim in x.shape:
            choice, own = divmod(choice, 9)
            if not isinstance(dim, int) or own < 2:
                index.append(slice(None))
            elif own < 4:
                index.append(own % dim)
            else:
                index.append(slice(own % dim, None, 1 + own % 3))
            if own == 8:
                index.append(None)
        return x[tuple(index)]


KINDS = [
    *("unary", "unary", "unary", "binary", "binary", "binary", "product", "join", "reshape", "by number"),
    *("reduce", "transpose", "cut"),
]
NUMBER = st.integers(0, 10_000)
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER), min_size=2, max_size=12)
SIZE = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 33])
SIZES = st.tuples(SIZE, SIZE, st.integers(1, 4))
ROWS = st.sampled_from([1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40])
DTYPES = st.sampled_from(["float32", "float64"])


@settings(max_examples=50)
@given(DTYPES, ROWS, SIZES, STEPS, st.sampled_from([1, 1, 1, 2, 3, 8]), st.integers(1, 3), st.booleans())
def test_random_graphs_have_the_bits_of_the_contract(
    oracle: SimpleNamespace,
    dtype: str,
    rows: int,
    sizes: tuple[int, int, int],
    steps: list[Step],
    shards: int,
    threads: int,
    avx2: bool,
) -> None:
    made = Made(dtype, rows, sizes, steps, smooth=False)
    host = host_target()
    with using_target(restricted(host, "avx2") if avx2 and host.vector_bytes >= 32 else host):
        program = CompiledProgram(made.graph, {"n": rows}, shards, threads)
    wanted = oracle.contract(made.graph, {"n": rows}, made.given, shards)
    oracle.all_same_bits(program(made.given), wanted)
    oracle.all_same_bits(program(made.given), wanted)  # whatever the first call has left in memory


@settings(max_examples=20)
@given(ROWS, SIZES, STEPS, st.sampled_from([1, 3]))
def test_smooth_random_graphs_have_the_numbers_of_the_reference(
    oracle: SimpleNamespace, rows: int, sizes: tuple[int, int, int], steps: list[Step], shards: int
) -> None:
    """float64 within 1e-12, float32 within 1e-4 of the largest entry of all results."""
    made = Made("float32", rows, sizes, steps, smooth=True)
    wide = retype_floats(made.graph, DType("float64"))
    wanted = oracle.reference(wide, {"n": rows}, made.given, shards)
    largest = max(float(np.max(np.abs(value), initial=0.0)) for value in wanted.values())
    for graph, bound in ((wide, 1e-12), (made.graph, 1e-4)):
        found = CompiledProgram(graph, {"n": rows}, shards)(made.given)
        oracle.all_close(found, wanted, bound, largest)


@settings(max_examples=40)
@given(ROWS, SIZES, STEPS)
def test_rows_said_to_be_independent_are(
    oracle: SimpleNamespace, rows: int, sizes: tuple[int, int, int], steps: list[Step]
) -> None:
    """Other numbers in the first row change no other row: or a forward program could not take rows chunk by chunk."""
    made = Made("float32", rows, sizes, steps, smooth=False)
    own = {name: node for name, node in made.graph.outputs.items() if node.type.shape[:1] == (BATCH,)}
    own = {name: node for name, node in own.items() if rows_are_independent(Graph(made.graph.inputs, {name: node}))}
    assume(own)
    graph = Graph(made.graph.inputs, own)
    changed = dict(made.given)
    for name in "xyziu":
        changed[name] = changed[name].copy()
        changed[name][0] = (changed[name][0] + 1) % 5
    before, after = (oracle.contract(graph, {"n": rows}, given) for given in (made.given, changed))
    oracle.all_same_bits({k: v[1:] for k, v in after.items()}, {k: v[1:] for k, v in before.items()})
