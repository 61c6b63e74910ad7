"""Every op of the register, compiled: the contract's bits, and the reference's values within the stated bounds."""

from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline.ops  # noqa: F401 – registers every op
from fallline.engine.compiled import CompiledProgram
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Elementwise, Leaf
from fallline.ir.op import REGISTRY, Op, Sample, lookup
from fallline.ir.types import BATCH, DType, SymbolicDim
from fallline.ops.leaf import make_input

Array = NDArray[Any]
DTYPES = ["float32", "float64"]
OPS = [op for op in REGISTRY.values() if not isinstance(op.kernel, Leaf)]
ROWS = [1, 2, 7, 15, 16, 17, 33]


def samples(op: Op) -> list[Sample]:
    assert op.samples is not None
    return op.samples()


@pytest.fixture(scope="module")
def checks(oracle: SimpleNamespace) -> ModuleType:
    """The checker of `tests/ops`, which holds kernel forms to the references; here it is shown native code instead."""
    module: ModuleType = oracle.load("ops/conftest.py")
    return module


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_an_op_on_its_samples(
    oracle: SimpleNamespace, checks: ModuleType, monkeypatch: pytest.MonkeyPatch, op: Op, dtype: str
) -> None:
    """All samples in one program, each with inputs of its own."""
    inputs: dict[str, Node] = {}
    outputs: dict[str, Node] = {}
    given: dict[str, Array] = {}
    for number, sample in enumerate(samples(op)):
        arrays = checks.as_dtype(sample, dtype)
        names = [f"{number}.{k}" for k in range(len(arrays))]
        leaves = [make_input(name, a.shape, str(a.dtype)).node for name, a in zip(names, arrays, strict=True)]
        if op.name == "random_uniform":  # a program has one seed and one step
            names, leaves = (
                ["seed", "step"],
                [inputs.get(k, leaf) for k, leaf in zip(["seed", "step"], leaves, strict=True)],
            )
        inputs |= dict(zip(names, leaves, strict=True))
        given |= dict(zip(names, arrays, strict=True))
        outputs[str(number)] = Node(op, tuple(leaves), sample.attributes)
    graph = Graph(inputs, outputs)
    found = CompiledProgram(graph, {})(given)
    oracle.all_same_bits(found, oracle.contract(graph, {}, given))
    for number, sample in enumerate(samples(op)):
        monkeypatch.setattr(checks, "evaluate_kernel", lambda *_, value=found[str(number)]: value)
        checks.check_kernel(op, checks.as_dtype(sample, dtype), sample.attributes)


# --- ops on rows of a batch, many in one program

WIDTHS = {1: [1, 17], 2: [2, 33], 7: [3], 15: [1], 16: [2, 17], 17: [3], 33: [1, 33]}
"""Rows → columns: on either side of the lanes, of the blocks of rows, and of the two ways to loop."""

FEW = ("add", "less", "where")
MORE_WIDTHS = {
    1: [2, 16],
    2: [7, 15],
    7: [8, 15],
    8: [2, 4, 16],
    15: [7, 16],
    16: [4, 8, 15],
    17: [2, 16, 17],
    33: [8, 15],
}
"""For a few ops of each kind of result, shapes whose many registers take long to compile."""


def spread(values: Array, shape: tuple[int, ...], stride: int) -> Array:
    """A sample's numbers, special points included, over a tensor of another shape; `stride` pairs them differently."""
    flat = np.asarray(values).ravel()
    places = (np.arange(int(np.prod(shape))) * stride + np.arange(int(np.prod(shape))) // flat.size) % flat.size
    return flat[places].reshape(shape)


def elementwise(
    shape: tuple[int, ...], symbolic: tuple[Any, ...], dtype: str, names: Sequence[str] = ()
) -> tuple[Graph, dict[str, Array]]:
    """One graph of all elementwise ops (or of those named), with every set of attributes that their samples have."""
    inputs: dict[str, Node] = {}
    outputs: dict[str, Node] = {}
    given: dict[str, Array] = {}
    for op in OPS:
        if not isinstance(op.kernel, Elementwise) or (names and op.name not in names):
            continue
        kinds: dict[str, list[Sample]] = {}
        for sample in samples(op):
            kinds.setdefault(f"{op.name} {sample.attributes or ''}{_dtypes(sample)}", []).append(sample)
        for name, same in kinds.items():
            leaves = []
            for k in range(len(same[0].inputs)):
                values = np.concatenate([np.asarray(sample.inputs[k]).ravel() for sample in same])
                array = spread(values, shape, 1 + 2 * k)
                given[f"{name} {k}"] = array.astype(dtype) if array.dtype.kind == "f" else array
                inputs[f"{name} {k}"] = make_input("", symbolic, str(given[f"{name} {k}"].dtype)).node
                leaves.append(inputs[f"{name} {k}"])
            outputs[name] = Node(op, tuple(leaves), same[0].attributes)
    return Graph(inputs, outputs), given


def _dtypes(sample: Sample) -> list[str]:
    return [np.asarray(array).dtype.kind for array in sample.inputs]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "columns"), [(rows, columns) for rows in ROWS for columns in WIDTHS[rows]])
def test_elementwise_ops_on_rows(oracle: SimpleNamespace, rows: int, columns: int, dtype: str) -> None:
    graph, given = elementwise((rows, columns), (BATCH, columns), dtype)
    found = CompiledProgram(graph, {"n": rows})(given)
    oracle.all_same_bits(found, oracle.contract(graph, {"n": rows}, given))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "columns"), [(rows, columns) for rows in MORE_WIDTHS for columns in MORE_WIDTHS[rows]]
)
def test_some_ops_on_further_shapes(oracle: SimpleNamespace, rows: int, columns: int, dtype: str) -> None:
    graph, given = elementwise((rows, columns), (BATCH, columns), dtype, FEW)
    found = CompiledProgram(graph, {"n": rows})(given)
    oracle.all_same_bits(found, oracle.contract(graph, {"n": rows}, given))


@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise_ops_on_one_number(oracle: SimpleNamespace, dtype: str) -> None:
    for turn in range(3):
        graph, many = elementwise((3,), (), dtype)
        given = {name: array[turn] for name, array in many.items()}
        oracle.all_same_bits(CompiledProgram(graph, {})(given), oracle.contract(graph, {}, given))


FLOATS, THREE_N = "float", SymbolicDim("n", 3)
Leaf_ = tuple[tuple[Any, ...], str]
MOVING: dict[str, list[tuple[list[Leaf_], dict[str, Any]]]] = {
    "broadcast": [
        ([((4,), FLOATS)], {"shape": (BATCH, 4)}),
        ([((BATCH, 1), FLOATS)], {"shape": (2, BATCH, 5)}),
        ([((), FLOATS)], {"shape": (BATCH,)}),
    ],
    "reshape": [
        ([((BATCH, 6), FLOATS)], {"shape": (BATCH, 2, 3)}),
        ([((BATCH, 3), FLOATS)], {"shape": (THREE_N,)}),
        ([((THREE_N, 2), FLOATS)], {"shape": (BATCH, 6)}),
    ],
    "transpose": [([((BATCH, 4, 2), FLOATS)], {"axes": (2, 0, 1)}), ([((BATCH, 17), FLOATS)], {"axes": (1, 0)})],
    "slice": [([((BATCH, 6), FLOATS)], {"starts": (0, 1), "shape": (BATCH, 2), "steps": (1, 3)})],
    "embed": [([((BATCH, 2), FLOATS)], {"starts": (0, 1), "shape": (BATCH, 6), "steps": (1, 3)})],
    "concatenate": [([((BATCH, 2), FLOATS), ((BATCH, 17), FLOATS)], {"axis": 1})],
    "sum": [
        ([((BATCH, 4), FLOATS)], {"axes": (0,)}),
        ([((BATCH, 33), FLOATS)], {"axes": (1,)}),
        ([((BATCH,), FLOATS)], {"axes": (0,)}),
        ([((BATCH, 3, 5), FLOATS)], {"axes": (0, 2)}),
    ],
    "max": [([((BATCH, 4), FLOATS)], {"axes": (0, 1)}), ([((BATCH, 17), FLOATS)], {"axes": (1,)})],
    "matmul": [
        ([((BATCH, 4), FLOATS), ((4, 3), FLOATS)], {}),
        ([((4, BATCH), FLOATS), ((BATCH, 17), FLOATS)], {}),
        ([((BATCH, 2, 4), FLOATS), ((BATCH, 4, 3), FLOATS)], {}),
    ],
    "take": [([((5, 3), FLOATS), ((BATCH,), "int64")], {}), ([((5,), FLOATS), ((BATCH, 2), "uint8")], {})],
    "scatter_add": [
        ([((BATCH, 3), FLOATS), ((BATCH,), "int64")], {"rows": 5}),
        ([((BATCH, 17), FLOATS), ((BATCH,), "int32")], {"rows": 5}),
    ],
    "iota": [([], {"size": BATCH, "dtype": DType.INT64})],
    "dim_size": [([], {"dim": THREE_N, "dtype": DType.FLOAT32})],
    "random_uniform": [
        (
            [((), "int64"), ((), "int64")],
            {"purpose": "dropout", "stream": "", "shape": (BATCH, columns), "dtype": DType.FLOAT32},
        )
        for columns in (4, 70)
    ],
}


def moving(rows: int, dtype: str) -> tuple[Graph, dict[str, Array]]:
    """One graph of all ops that are not elementwise."""
    rng = np.random.default_rng(rows)
    inputs: dict[str, Node] = {}
    outputs: dict[str, Node] = {}
    given: dict[str, Array] = {}
    for name, cases in MOVING.items():
        for number, (kinds, attributes) in enumerate(cases):
            leaves = []
            for k, (shape, kind) in enumerate(kinds):
                bound = tuple(dim if isinstance(dim, int) else dim.factor * rows for dim in shape)
                key = ("seed", "step")[k] if name == "random_uniform" else f"{name} {number} {k}"
                whole = rng.integers(0, 5, bound).astype(kind) if kind != FLOATS else None
                given.setdefault(key, rng.normal(size=bound).astype(dtype) if whole is None else whole)
                if key not in inputs:
                    inputs[key] = make_input(key, shape, str(given[key].dtype)).node
                leaves.append(inputs[key])
            outputs[f"{name} {number}"] = Node(lookup(name), tuple(leaves), attributes)
    return Graph(inputs, outputs), given


def test_every_op_is_computed_on_rows() -> None:
    assert set(MOVING) == {op.name for op in OPS if not isinstance(op.kernel, Elementwise)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
def test_other_ops_on_rows(oracle: SimpleNamespace, rows: int, dtype: str) -> None:
    graph, given = moving(rows, dtype)
    found = CompiledProgram(graph, {"n": rows}, threads=2)(given)
    wanted = oracle.contract(graph, {"n": rows}, given)
    oracle.all_same_bits(found, wanted)
