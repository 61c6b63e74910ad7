"""Operators of tensors: the nodes they make, the values these have, and the sentences of their errors."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fallline.engine.reference import run
from fallline.errors import ArgumentError, FalllineError, GraphError, KindError, ShapeError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH, DType, SymbolicDim, TensorType
from fallline.ops import Tensor, functions, make_input
from fallline.ops.tensor import apply

X = np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]])
Y = np.array([[2.0], [0.5]])
WHOLE = np.array([[7, -3, 2], [0, 5, 1]])
IMAGE = np.array([[0, 128, 255]], dtype=np.uint8)
MASK = np.array([[True, False, True], [False, False, True]])


def traced(fn: Callable[..., Tensor], *arrays: Any) -> Any:
    """fn on symbolic tensors of these arrays' types, run on the arrays."""
    tensors = [make_input(str(i), np.shape(array), str(np.asarray(array).dtype)) for i, array in enumerate(arrays)]
    graph = Graph({str(i): tensor.node for i, tensor in enumerate(tensors)}, {"y": fn(*tensors).node})
    return run(graph, {str(i): array for i, array in enumerate(arrays)})["y"]


AS_NUMPY: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
    ("add", lambda x, y: x + y, (X, Y)),
    ("subtract", lambda x, y: x - y, (X, Y)),
    ("multiply", lambda x, y: x * y, (X, Y)),
    ("divide", lambda x, y: x / y, (X, Y)),
    ("number on the left", lambda x: 1.0 - 2 * (3.0 / (x + 10.0)), (X,)),
    ("array on the left", lambda x: Y - x, (X,)),
    ("negate", lambda x: -x, (X,)),
    ("abs", abs, (X,)),
    ("powers", lambda x: x**1 + x**2 + x**3 + x**4 + x**5 + x**-2 + x**0, (X,)),
    ("square root", lambda y: y**0.5, (Y,)),
    ("power of a tensor", lambda x, y: y**x + 2.0**x, (X, Y)),
    ("matmul", lambda x, y: x.T @ y, (X, Y)),
    ("vector @ matrix", lambda x: np.array([1.0, 2.0]) @ x, (X,)),
    ("matrix @ vector", lambda x: x @ np.array([1.0, 2.0, 3.0]), (X,)),
    ("vector @ vector", lambda v, w: v @ w, (X[0], X[1])),
    ("stack of matrices @ matrix", lambda a, b: a @ b, (np.stack([X, 2 * X]), X.T)),
    ("matrix @ stack of matrices", lambda a, b: a @ b, (X, np.stack([X.T, 2 * X.T]))),
    ("sums", lambda x: x.sum() + x.sum(0) + x.sum(axis=1, keepdims=True) + x.sum((0, -1)), (X,)),
    ("maxima", lambda x: x.max() + x.max(0) + x.max(axis=-1, keepdims=True), (X,)),
    ("means", lambda x: x.mean() + x.mean(0) + x.mean(axis=1, keepdims=True), (X,)),
    ("comparisons", lambda x, y: (x < y) & (x <= y) | (x > y) & (x >= y) | ~(x == y) & (x != y), (X, Y)),
    ("whole numbers", lambda w: w * w - 3 * w + w.sum() + w.max(), (WHOLE,)),
    ("a mask counted", lambda m: m.sum(0), (MASK,)),
    ("mask and numbers", lambda m, x: m * x, (MASK, X)),
    ("transposes", lambda x: x.transpose() @ x.transpose(0, 1) + x.T @ x.transpose(-2, -1), (X,)),
    ("unpacking", lambda x: [row * 2.0 for row in x][1], (X,)),
]


@pytest.mark.parametrize(("fn", "arrays"), [case[1:] for case in AS_NUMPY], ids=[case[0] for case in AS_NUMPY])
def test_operators_mean_what_they_mean_in_numpy(fn: Callable[..., Any], arrays: tuple[Any, ...]) -> None:
    found, wanted = traced(fn, *arrays), np.asarray(fn(*arrays))
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_small_whole_powers_are_products() -> None:
    x = make_input("x", (3,), "float32")
    assert {(x**p).node.op.name for p in (2, 3, 4, 2.0)} == {"multiply"}
    assert (x**1).node is x.node
    assert (x**0.5).node.op.name == "sqrt"
    assert {(x**p).node.op.name for p in (5, 0.3, -1)} == {"power"}
    assert (make_input("w", (3,), "int64") ** 0.5).type == TensorType((3,), DType.FLOAT32)


def _type(dtype: str) -> Tensor:
    return make_input(dtype, (2,), dtype)


@pytest.mark.parametrize(
    ("result", "dtype"),
    [
        (_type("float32") + 1.0, "float32"),
        (_type("float32") + np.array([1.0, 2.0]), "float32"),
        (_type("float32") * _type("float64"), "float64"),
        (_type("float32") * _type("int64"), "float32"),
        (_type("int32") + _type("uint8"), "int32"),
        (_type("int64") + 1, "int64"),
        (_type("int64") * 0.5, "float32"),
        (_type("int64") / 2, "float32"),
        (_type("uint8") / 255, "float32"),
        (_type("uint8") - 128, "uint8"),
        (_type("uint8") * -1, "int64"),
        (_type("uint8") + 256, "int64"),
        (_type("bool") + 1, "int64"),
        (_type("bool") * 0.5, "float32"),
        (_type("int64").mean(), "float32"),
        (_type("uint8").sum(), "int64"),
        (_type("int64") @ _type("int64"), "float32"),
        (functions.exp(_type("int64")), "float32"),
        (functions.where(_type("bool"), _type("float32"), _type("float64")), "float64"),
        (functions.where(_type("bool"), 1, _type("float32")), "float32"),
        (functions.where(_type("bool"), 0.0, 1.0), "float32"),
    ],
)
def test_promotion(result: Tensor, dtype: str) -> None:
    assert result.dtype == dtype


def test_a_whole_number_beyond_the_dtype_is_computed_in_int64() -> None:
    np.testing.assert_array_equal(traced(lambda x: x * -1, IMAGE), [[0, -128, -255]])


def test_broadcasting_is_a_node_and_only_where_needed() -> None:
    x, b = make_input("x", (BATCH, 3), "float32"), make_input("b", (3,), "float32")
    assert [node.op.name for node in (x + b).node.inputs] == ["input", "broadcast"]
    assert [node.op.name for node in (x + x).node.inputs] == ["input", "input"]


def test_many_rows_times_one_matrix_is_one_product() -> None:
    x, w = make_input("x", (BATCH, 5, 3), "float32"), make_input("w", (3, 2), "float32")
    y = x @ w
    assert y.shape == (BATCH, 5, 2)
    assert [node.type.shape for node in y.node.inputs] == [(SymbolicDim("n", 5), 2)]


def test_means_over_rows_divide_by_their_number() -> None:
    x = make_input("x", (BATCH, 4), "float64")
    pairs = x @ x.T  # (n, n): both dimensions are the batch
    graph = Graph({"x": x.node}, {"all": x.mean().node, "rows": x.mean(0).node, "pairs": pairs.mean().node})
    array = np.random.default_rng(0).normal(size=(6, 4))
    values = run(graph, {"x": array})
    np.testing.assert_allclose(values["all"], array.mean(), rtol=1e-13)
    np.testing.assert_allclose(values["rows"], array.mean(0), rtol=1e-13)
    np.testing.assert_allclose(values["pairs"], (array @ array.T).mean(), rtol=1e-13)


def test_how_a_tensor_shows_itself() -> None:
    x = make_input("x", (BATCH, 3), "float32")
    assert repr(x) == "Tensor(input: float32 (n, 3))"
    assert repr(x.sum().node) == "<sum: float32 ()>"
    assert repr(x.node.op) == "<op input>"
    assert str(make_input("v", (3,), "bool").type) == "bool (3,)"


# --- errors: call, requirement, what was found, remedy

F = make_input("f", (2, 3), "float32")
G = make_input("g", (2, 3), "float32")
V = make_input("v", (4,), "float32")
I = make_input("i", (2,), "int64")  # noqa: E741
B = make_input("b", (BATCH, 6), "float32")

REFUSED: list[tuple[Callable[[], Any], type[FalllineError], str]] = [
    (lambda: F @ G, ShapeError, "matmul: need (…, n, k) @ (…, k, m), got (2, 3) @ (2, 3)"),
    (lambda: B @ V, ShapeError, "matmul: need (…, n, k) @ (…, k, m), got (n, 6) @ (4, 1)"),
    (lambda: F @ 2.0, ShapeError, "matmul: need (…, n, k) @ (…, k, m), got (2, 3) @ ()"),
    (
        lambda: apply("matmul", F, make_input("d", (3, 2), "float64")),
        KindError,
        "matmul: need two float tensors of one dtype, found float32 (2, 3) and float64 (3, 2)",
    ),
    (
        lambda: F + V,
        ShapeError,
        "add: shapes (2, 3) and (4,) do not broadcast: sizes must be equal, or 1, counted from the last axis",
    ),
    (
        lambda: functions.where(F > 0, V, 0.0),
        ShapeError,
        "where: shapes (2, 3), (4,) and () do not broadcast: sizes must be equal, or 1, counted from the last axis",
    ),
    (
        lambda: B * np.ones((5, 6)),
        ShapeError,
        "multiply: shapes (n, 6) and (5, 6) do not broadcast: sizes must be equal, or 1, counted from the last axis",
    ),
    (lambda: F.sum(2), ShapeError, "sum: axis 2 is out of range for a tensor of shape (2, 3)"),
    (lambda: F.max(-3), ShapeError, "max: axis -3 is out of range for a tensor of shape (2, 3)"),
    (lambda: F.reshape(4, 2), ShapeError, "reshape: (2, 3) has 6 elements, (4, 2) would have 8"),
    (lambda: B.reshape(4, -1), ShapeError, "reshape: (n, 6) (6·n elements) does not divide into (4, -1)"),
    (lambda: F.reshape(-1, 4), ShapeError, "reshape: (2, 3) (6 elements) does not divide into (-1, 4)"),
    (lambda: F.reshape(-1, -1), ShapeError, "reshape: only one size may be -1, found (-1, -1)"),
    (
        lambda: F.reshape(-2, -3),
        ShapeError,
        "reshape: sizes must be 0 or more, one of them may be -1, found (-2, -3)",
    ),
    (lambda: F.reshape(1.5, 4), KindError, "reshape: sizes must be whole numbers, found 1.5 in (1.5, 4)"),
    (
        lambda: F.transpose(0, 0),
        ShapeError,
        "transpose: axes (0, 0) are no reordering of the 2 axes of (2, 3)",
    ),
    (lambda: F[2], ShapeError, "indexing: 2 is out of range for axis size 2 of (2, 3)"),
    (lambda: F[0, -4], ShapeError, "indexing: -4 is out of range for axis size 3 of (2, 3)"),
    (lambda: F[0, 0, 0], ShapeError, "indexing: 3 indices for a tensor of shape (2, 3)"),
    (lambda: F[1:1], ShapeError, "indexing: slice(1, 1, None) of an axis of size 2 is empty"),
    (
        lambda: F[::-1],
        ShapeError,
        "indexing: slice(None, None, -1) of an axis of size 2 runs backwards; use a positive step",
    ),
    (
        lambda: F["a"],
        KindError,
        "indexing: need whole numbers, slices, None or an integer tensor, found 'a'",
    ),
    (
        lambda: F[True],
        KindError,
        "indexing: need whole numbers, slices, None or an integer tensor, found True",
    ),
    (
        lambda: B[0],
        ShapeError,
        "indexing: the rows (n) of (n, 6) are not known while tracing; use [:, …]",
    ),
    (
        lambda: F[V],
        KindError,
        "take: indices must be whole numbers, found float32 (4,); convert them with .astype('int64')",
    ),
    (lambda: F.sum()[I], ShapeError, "take: needs a table with rows, found a single number, float32 ()"),
    (lambda: functions.concatenate([]), ArgumentError, "concatenate: need at least one tensor, found none"),
    (
        lambda: functions.concatenate([F, V]),
        ShapeError,
        "concatenate: float32 (2, 3) and float32 (4,) must agree in all axes but axis 1",
    ),
    (
        lambda: functions.concatenate([B, B], axis=0),
        ShapeError,
        "concatenate: cannot join along the symbolic axis 0 of float32 (n, 6)",
    ),
    (
        lambda: functions.broadcast(F, (3, 2)),
        ShapeError,
        "broadcast: a tensor of shape (2, 3) cannot stretch to (3, 2)",
    ),
    (
        lambda: F + "1",  # type: ignore[operator]
        KindError,
        "cannot use a value of type str in a graph: need numbers, found '1'",
    ),
    (
        lambda: F == None,  # noqa: E711
        KindError,
        "cannot use a value of type NoneType in a graph: need numbers, found None",
    ),
    (
        lambda: F & G,
        KindError,
        "logical_and: needs bool tensors, found float32 (2, 3); compare first, for example x > 0",
    ),
    (
        lambda: ~I,
        KindError,
        "logical_not: needs bool tensors, found int64 (2,); compare first, for example x > 0",
    ),
    (
        lambda: (F > 0) - (G > 0),
        KindError,
        "subtract: needs numbers, found bool (2, 3); convert it with x.astype('float32')",
    ),
    (
        lambda: apply("exp", I),
        KindError,
        "exp: needs a float tensor, found int64 (2,); convert it with x.astype('float32')",
    ),
    (
        lambda: F.astype("float16"),
        KindError,
        "dtype 'float16' is not supported: choose one of float32, float64, int64, int32, uint8, bool",
    ),
    (
        lambda: bool(F.sum() > 0),
        KindError,
        "a symbolic tensor (bool ()) has no truth value while a network is traced: "
        "use fl.where(condition, a, b) instead of `if`",
    ),
    (
        lambda: float(F.sum()),
        KindError,
        "a symbolic tensor (float32 ()) has no number yet: the network is being traced, not run",
    ),
    (
        lambda: np.asarray(F),
        KindError,
        "a symbolic tensor (float32 (2, 3)) has no numbers yet, so NumPy cannot use it: "
        "write fl.exp, fl.sum, … instead of NumPy's functions",
    ),
    (
        lambda: len(B),
        KindError,
        "len() of a tensor float32 (n, 6): the rows of a batch are not known while tracing",
    ),
    (
        lambda: list(F.sum()),
        KindError,
        "a tensor of one number (float32 ()) has no length and cannot be unpacked",
    ),
    (
        lambda: apply("where", F > 0, F, V),
        GraphError,
        "where: need (bool, x, x) of one shape, found bool (2, 3), float32 (2, 3), float32 (4,)",
    ),
    (lambda: apply("add", F, V), GraphError, "add: inputs must have one type, found float32 (2, 3) and float32 (4,)"),
]


@pytest.mark.parametrize(("call", "kind", "sentence"), REFUSED, ids=[case[2].partition(",")[0] for case in REFUSED])
def test_mistakes_are_told_in_a_sentence(call: Callable[[], Any], kind: type[FalllineError], sentence: str) -> None:
    with pytest.raises(FalllineError, match=f"^{re.escape(sentence)}$") as caught:
        call()
    assert type(caught.value) is kind


@pytest.mark.parametrize(("index", "place"), [([0, 4], "(1,)"), ([[0, 0], [-1, 2]], "(1, 0)")])
def test_an_index_out_of_range_is_found_when_the_rows_are_taken(index: Any, place: str) -> None:
    found = np.asarray(index).ravel()[1 if place == "(1,)" else 2]
    sentence = f"take: indices must be from 0 to 3, found {found} at position {place}"
    with pytest.raises(ArgumentError, match=f"^{re.escape(sentence)}$"):
        functions.take(np.ones((4, 2)), np.asarray(index))


def test_numpy_functions_do_not_swallow_tensors() -> None:
    with pytest.raises(TypeError, match=r"np\.exp cannot take a symbolic tensor"):
        np.exp(F)
