"""Graphs: how they print, the order of their nodes, and the types of their tensors."""

import re
from typing import Any

import numpy as np
import pytest

from fallline.backprop.gradients import gradients
from fallline.errors import GraphError, KindError
from fallline.ir.graph import Graph, nodes_by, topological
from fallline.ir.kernel import attribute_text
from fallline.ir.types import BATCH, DType, SymbolicDim, TensorType, bind, format_shape, product
from fallline.ops import functions as fl
from fallline.ops import make_input
from fallline.ops.tensor import apply


def regression() -> Graph:
    """Least squares on one feature: loss and dL/dw."""
    x, y = make_input("x", (BATCH, 1), "float32"), make_input("y", (BATCH, 1), "float32")
    w = make_input("w", (1, 1), "float32")
    error = x @ w - y
    loss = fl.mean(error * error)
    slope = gradients(loss, [w])[0]
    return Graph({"x": x.node, "y": y.node, "w": w.node}, {"loss": loss.node, "dw": slope.node})


LISTING = """\
x   : float32 (n, 1) = input()
w   : float32 (1, 1) = input()
%0  : float32 (n, 1) = matmul(x, w)
y   : float32 (n, 1) = input()
%1  : float32 (n, 1) = subtract(%0, y)
%2  : float32 (n, 1) = multiply(%1, %1)
%3  : float32 ()     = sum(%2, axes=(0, 1))
%4  : float32 ()     = dim_size(dim=n)
%5  : float32 ()     = divide(%3, %4)             → loss
%6  : float32 (1, n) = transpose(x, axes=(1, 0))          [backpropagation]
%7  : float32 ()     = constant(1.0)                      [backpropagation]
%8  : float32 ()     = divide(%7, %4)                     [backpropagation]
%9  : float32 (1, 1) = reshape(%8)                        [backpropagation]
%10 : float32 (n, 1) = broadcast(%9)                      [backpropagation]
%11 : float32 (n, 1) = multiply(%10, %1)                  [backpropagation]
%12 : float32 (n, 1) = multiply(%10, %1)                  [backpropagation]
%13 : float32 (n, 1) = add(%11, %12)                      [backpropagation]
%14 : float32 (1, 1) = matmul(%6, %13)            → dw    [backpropagation]"""


def test_a_graph_prints_one_line_a_node_and_says_what_backpropagation_added() -> None:
    assert str(regression()) == LISTING


def test_attributes_are_told_once_and_long_constants_are_cut() -> None:
    x = make_input("x", (3, 4), "float64")
    y = (x[:, ::2] + np.array([1.0, 0.1])).astype("float32")
    z = x * np.arange(12.0).reshape(3, 4)
    graph = Graph({"x": x.node}, {"y": y.node, "also y": y.node, "z": z.node})
    assert str(graph) == (
        "x  : float64 (3, 4) = input()\n"
        "%0 : float64 (3, 2) = slice(x, starts=(0, 0), steps=(1, 2))\n"
        "%1 : float64 (2,)   = constant([1.0, 0.1])\n"
        "%2 : float64 (3, 2) = broadcast(%1)\n"
        "%3 : float64 (3, 2) = add(%0, %2)\n"
        "%4 : float32 (3, 2) = cast(%3)                               → y, also y\n"
        "%5 : float64 (3, 4) = constant([0.0, 1.0, 2.0, 3.0, …])\n"
        "%6 : float64 (3, 4) = multiply(x, %5)                        → z"
    )


def test_every_graph_prints_as_many_lines_as_it_has_nodes() -> None:
    graph = regression()
    assert len(str(graph).splitlines()) == len(graph.nodes())
    assert str(Graph({}, {})) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1,), "(1,)"),
        ((BATCH, 3), "(n, 3)"),
        (0.1, "0.1"),
        (DType.INT64, "int64"),
        (np.array(2.5), "[2.5]"),
        (np.array([[1, 2], [3, 4], [5, 6]]), "[1, 2, 3, 4, …]"),
        ((), "()"),
    ],
)
def test_attributes_as_text(value: Any, text: str) -> None:
    assert attribute_text(value) == text


def test_nodes_come_after_their_inputs_and_once() -> None:
    nodes = regression().nodes()
    place = {id(node): i for i, node in enumerate(nodes)}
    assert len(place) == len(nodes)
    for node in nodes:
        assert all(place[id(parent)] < place[id(node)] for parent in node.inputs)


def test_the_order_of_nodes_depends_on_the_graph_alone() -> None:
    assert str(regression()) == str(regression())
    x = make_input("x", (), "float32")
    a, b = fl.exp(x), fl.tanh(x)
    assert [node.op.name for node in topological([b.node, a.node])] == ["input", "tanh", "exp"]


def test_origins_nest_and_end() -> None:
    x = make_input("x", (), "float32")
    with nodes_by("outer"):
        with nodes_by("inner"):
            inner = fl.exp(x)
        outer = fl.exp(x)
    assert [t.node.origin for t in (inner, outer, fl.exp(x))] == ["inner", "outer", ""]


def test_a_node_is_refused_when_its_types_do_not_fit() -> None:
    with pytest.raises(GraphError, match="add: inputs must have one type"):
        apply("add", make_input("x", (2,), "float32"), make_input("y", (2,), "float64"))


# --- types


def test_types_read_as_people_write_them() -> None:
    assert str(TensorType((BATCH, 10), DType.FLOAT32)) == "float32 (n, 10)"
    assert str(TensorType((SymbolicDim("n", 6),), DType.BOOL)) == "bool (6·n,)"
    assert format_shape(()) == "()"


def test_products_of_dimensions() -> None:
    assert product((2, 3)) == 6
    assert product(()) == 1
    assert product((2, BATCH, 5)) == SymbolicDim("n", 10)
    with pytest.raises(GraphError, match=r"^cannot multiply two symbolic dimensions, n and n$"):
        product((BATCH, BATCH))


def test_binding_replaces_symbolic_dimensions_everywhere() -> None:
    assert bind(((BATCH, 2), SymbolicDim("n", 3), 4, "n"), {"n": 5}) == ((5, 2), 15, 4, "n")


def test_kinds_of_dtypes() -> None:
    assert [dtype.value for dtype in DType if dtype.is_float] == ["float32", "float64"]
    assert [dtype.value for dtype in DType if dtype.is_integer] == ["int64", "int32", "uint8"]
    for dtype in DType:
        assert np.dtype(dtype.value).name == dtype


@pytest.mark.parametrize("name", ["float16", "", "complex128", "object"])
def test_an_unknown_dtype_is_refused(name: str) -> None:
    sentence = f"dtype {name!r} is not supported: choose one of float32, float64, int64, int32, uint8, bool"
    with pytest.raises(KindError, match=f"^{re.escape(sentence)}$"):
        DType(name)
