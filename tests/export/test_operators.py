"""What each op is in ONNX, on every sample of the register, against the op's NumPy reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
import fallline.ops
from fallline import nn
from fallline.export.check import Runner
from fallline.export.elementwise import ELEMENTWISE
from fallline.export.network import TRANSLATIONS, WITHOUT_OPERATOR, write_graph
from fallline.export.writer import GraphWriter, Port
from fallline.ir.graph import Graph, Node
from fallline.ir.op import REGISTRY, Op, Sample
from fallline.ir.types import BATCH, DType
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor, apply

Array = NDArray[Any]

OPS = [op for op in REGISTRY.values() if op.samples is not None and op.name in TRANSLATIONS]
ROUNDED = {"exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "power", "sum", "matmul", "sqrt"}
"""Ops whose last digits are the runtime's own."""
CASES = [
    pytest.param(op, sample, id=f"{op.name}-{i}")
    for op in OPS
    for i, sample in enumerate(op.samples())  # type: ignore[misc]
]


def run_op(op: Op, arrays: Sequence[Array], attributes: dict[str, Any]) -> Array:
    """The op's value in onnxruntime."""
    inputs = {f"a{i}": make_input(f"a{i}", a.shape, str(a.dtype)).node for i, a in enumerate(arrays)}
    node = Node(op, tuple(inputs.values()), attributes)
    writer = GraphWriter(["x", "y", "shape"])
    graph = Graph({"@x": make_input("@x", (BATCH,), "float32").node, **inputs}, {"outputs": node})
    value = write_graph(writer, graph, {"@x": "x"}, {f"a{i}": a for i, a in enumerate(arrays)})
    writer.add("Reshape", value, writer.whole(-1), result="y")
    writer.add("Shape", value, result="shape")
    ports = [Port("y", node.type.dtype.value, (), ""), Port("shape", "int64", (), "")]
    found = Runner(writer.finish([Port("x", "float32", (), "")], ports, {}))({"x": np.zeros(3, dtype=np.float32)})
    return found["y"].reshape(found["shape"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_an_op_is_the_same_in_onnxruntime(op: Op, sample: Sample, dtype: str) -> None:
    arrays = [np.asarray(array) for array in sample.inputs]
    arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in arrays]
    with np.errstate(all="ignore"):
        wanted = np.asarray(op.reference(*arrays, **sample.attributes))
    found = run_op(op, arrays, sample.attributes)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if op.name == "max" and np.isnan(wanted).any():
        wanted, found = wanted[~np.isnan(wanted)], found[~np.isnan(wanted)]  # ONNX does not say what the largest is
    if op.name in ROUNDED and wanted.dtype.kind == "f":
        near = 1e-12 if dtype == "float64" and op.name != "erf" else 2e-6
        np.testing.assert_allclose(found, wanted, rtol=near, atol=near)
    else:
        np.testing.assert_array_equal(found, wanted)


def small_values(dtype: str, count: int) -> list[Array]:
    """Every pair of some values of a dtype, its limits among them."""
    if dtype == "bool":
        values = np.array([False, True])
    else:
        limits = np.iinfo(dtype)
        values = np.array([limits.min, 0, 1, 2, 3, 200, limits.max]).astype(dtype)
    return [axis.ravel() for axis in np.meshgrid(*[values] * count)]


def accepts(op: Op, count: int, dtype: str) -> bool:
    try:
        op.infer(*[make_input("a", (2,), dtype).type] * count)
    except fl.FalllineError:
        return False
    return True


COUNTS = {op: len(op.samples()[0].inputs) for op in OPS}  # type: ignore[misc]
WHOLE = [
    pytest.param(op, dtype, id=f"{op.name}-{dtype}")
    for op in OPS
    for dtype in ("bool", "uint8", "int32", "int64")
    if op.name in ELEMENTWISE and op.name not in ("where", "cast") and accepts(op, COUNTS[op], dtype)
]


@pytest.mark.parametrize(("op", "dtype"), WHOLE)
def test_whole_numbers_and_truth_values_are_the_same(op: Op, dtype: str) -> None:
    arrays = small_values(dtype, COUNTS[op])
    if dtype == "bool" and op.name == "sign":
        pytest.skip("NumPy has no sign of a truth value")
    with np.errstate(all="ignore"):
        wanted = np.asarray(op.reference(*arrays))
    np.testing.assert_array_equal(run_op(op, arrays, {}), wanted, strict=True)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32"])
@pytest.mark.parametrize("name", ["where", "sum", "max", "scatter_add", "take", "cast"])
def test_other_ops_take_every_dtype(name: str, dtype: str) -> None:
    (values,) = small_values(dtype, 1)
    other = values[::-1].copy()
    inputs, attributes = {
        "where": ([np.arange(len(values)) % 2 == 0, values, other], {}),
        "sum": ([np.stack([values, other])], {"axes": (0,)}),
        "max": ([np.stack([values, other])], {"axes": (1,)}),
        "scatter_add": ([values, (np.arange(len(values)) % 2).astype("uint8")], {"rows": 3}),
        "take": ([values, np.array([1, 0, 1], dtype="uint8")], {}),
        "cast": ([values], {"dtype": DType.FLOAT64}),
    }[name]
    wanted = np.asarray(REGISTRY[name].reference(*inputs, **attributes))
    np.testing.assert_array_equal(run_op(REGISTRY[name], inputs, attributes), wanted, strict=True)


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("target", ["uint8", "int32", "int64"])
def test_floats_become_whole_numbers_as_in_training(source: str, target: str) -> None:
    limits = np.iinfo(target)
    edges = np.array([limits.min, limits.max, limits.max - 200], dtype=source)
    near = [np.nextafter(edges, np.array(way, dtype=source)) for way in (-np.inf, np.inf)]
    values = np.concatenate([edges, *near, np.array([np.nan, np.inf, -np.inf, -0.9, 2.9], dtype=source)])
    attributes = {"dtype": DType(target)}
    wanted = np.asarray(REGISTRY["cast"].reference(values, **attributes))
    np.testing.assert_array_equal(run_op(REGISTRY["cast"], [values], attributes), wanted, strict=True)


def test_every_op_is_translated_or_has_a_reason() -> None:
    """An op that is added to the register must be given its place here, too."""
    assert set(TRANSLATIONS) | set(WITHOUT_OPERATOR) | {"input"} == set(REGISTRY)
    assert not set(TRANSLATIONS) & set(WITHOUT_OPERATOR)


def test_an_op_without_an_operator_is_named() -> None:
    class Noisy(nn.Module):
        def __call__(self, x: Tensor) -> Tensor:
            seed, step = (make_input(name, (), "int64") for name in ("@seed", "@step"))
            chance = apply("random_uniform", seed, step, purpose="noise", stream="", shape=x.shape, dtype=DType.FLOAT32)
            return x + chance

    graph = Graph({"@x": (x := make_input("@x", (BATCH, 2), "float32")).node}, {"outputs": Noisy()(x).node})
    sentence = (
        r"^export_onnx: the network computes 'random_uniform', which has no ONNX operator: its numbers are a function "
        r"of the seed and of the row, and ONNX has chance only\. Compute it in training only \(`if self.training:`\), "
        r"or outside of the network$"
    )
    with pytest.raises(fl.ArgumentError, match=sentence):
        write_graph(GraphWriter([]), graph, {"@x": "x"}, {})
