"""`verify` finds what is wrong with a graph."""

import re
from collections.abc import Callable

import pytest

from fallline.backprop.gradients import gradients
from fallline.errors import GraphError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH, DType, TensorType
from fallline.ir.verify import verify
from fallline.ops import functions as fl
from fallline.ops import make_input


def healthy() -> Graph:
    x, w = make_input("x", (BATCH, 3), "float32"), make_input("w", (3, 2), "float32")
    loss = fl.mean(fl.softplus(x @ w))
    return Graph({"x": x.node, "w": w.node}, {"loss": loss.node, "dw": gradients(loss, [w])[0].node})


def corrupt_type(graph: Graph) -> None:
    node = next(node for node in graph.nodes() if node.op.name == "matmul")
    node.type = TensorType((BATCH, 7), DType.FLOAT32)


def corrupt_dtype(graph: Graph) -> None:
    node = next(node for node in graph.nodes() if node.op.name == "dim_size")
    node.type = TensorType((), DType.FLOAT64)


def corrupt_inputs(graph: Graph) -> None:
    node = next(node for node in graph.nodes() if node.op.name == "matmul")
    node.inputs = node.inputs[::-1]


def corrupt_attribute(graph: Graph) -> None:
    node = next(node for node in graph.nodes() if node.op.name == "sum")
    node.attributes["axes"] = (0, 5)


def make_a_cycle(graph: Graph) -> None:
    node = next(node for node in graph.nodes() if node.op.name == "softplus")
    node.inputs = (node,)


def forget_an_input(graph: Graph) -> None:
    del graph.inputs["w"]


@pytest.mark.parametrize(
    ("corrupt", "sentence"),
    [
        (corrupt_type, "matmul: its stored type is float32 (n, 7), its inputs make it float32 (n, 2)"),
        (corrupt_dtype, "dim_size: its stored type is float64 (), its inputs make it float32 ()"),
        (
            corrupt_inputs,
            "matmul: its inputs do not fit it: matmul: need (…, n, k) @ (…, k, m), got (3, 2) @ (n, 3)",
        ),
        (corrupt_attribute, "sum: its inputs do not fit it: sum: axes (0, 5) do not fit a tensor of shape (n, 2)"),
        (make_a_cycle, "softplus: it needs its own result, directly or through other nodes"),
        (forget_an_input, "the graph uses the input 'w', which is not among its inputs"),
    ],
)
def test_a_corrupted_graph_is_found(corrupt: Callable[[Graph], None], sentence: str) -> None:
    graph = healthy()
    verify(graph)
    corrupt(graph)
    with pytest.raises(GraphError, match=f"^{re.escape(sentence)}$"):
        verify(graph)


def test_inputs_that_nothing_uses_are_no_fault() -> None:
    graph = healthy()
    graph.inputs["unused"] = make_input("unused", (BATCH,), "float32").node
    verify(graph)
