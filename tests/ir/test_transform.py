"""Graph → graph: another float dtype, other leaves."""

import numpy as np

from fallline.backprop.gradients import gradients
from fallline.engine.reference import run
from fallline.ir.graph import Graph
from fallline.ir.transform import attributes_equal, retype_floats, substitute
from fallline.ir.types import BATCH, DType
from fallline.ir.verify import verify
from fallline.ops import functions as fl
from fallline.ops import make_input
from fallline.ops.tensor import apply, constant

UNUSED = make_input("unused", (BATCH,), "float32")


def network() -> Graph:
    """With everything that names a dtype: leaves, constants, casts, sizes, random numbers, labels."""
    x, w = make_input("x", (BATCH, 3), "float32"), make_input("w", (3, 4), "float32")
    labels = make_input("labels", (BATCH,), "int64")
    seed, step = make_input("seed", (), "int64"), make_input("step", (), "int64")
    noise = apply("random_uniform", seed, step, purpose="p", stream="s", shape=(BATCH, 4), dtype=DType.FLOAT32)
    logits = fl.where(noise > 0.1, x @ w, 0.0) / 0.9 + (labels > 1).astype("float32")[:, None]
    logits = logits + np.array([0.1, 0.2, 0.3, 0.4])
    loss = -fl.mean(fl.sum(fl.log_softmax(logits) * fl.one_hot(labels, 4), axis=1))
    inputs = {"x": x, "w": w, "labels": labels, "seed": seed, "step": step, "unused": UNUSED}
    outputs = {"loss": loss, "dw": gradients(loss, [w])[0]}
    return Graph({k: t.node for k, t in inputs.items()}, {k: t.node for k, t in outputs.items()})


def test_retyping_leaves_no_other_float_anywhere() -> None:
    graph = network()
    wide = retype_floats(graph, DType.FLOAT64)
    verify(wide)
    everything = [*wide.nodes(), *wide.inputs.values()]
    assert {node.type.dtype for node in everything if node.type.dtype.is_float} == {DType.FLOAT64}
    assert {node.type.dtype for node in everything} == {DType.FLOAT64, DType.INT64, DType.BOOL}
    assert str(wide) == str(graph).replace("float32", "float64")


def test_a_retyped_graph_computes_the_same_more_precisely() -> None:
    graph = network()
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=(9, 3)).astype(np.float32), "w": rng.normal(size=(3, 4)).astype(np.float32)}
    values |= {"labels": rng.integers(0, 4, 9), "seed": np.int64(0), "step": np.int64(0)}  # type: ignore[dict-item]
    narrow, wide = run(graph, values), run(retype_floats(graph, DType.FLOAT64), values)
    for name, value in narrow.items():
        assert [str(value.dtype), str(wide[name].dtype)] == ["float32", "float64"]
        np.testing.assert_allclose(value, wide[name], rtol=2e-6, atol=1e-7)


def test_numbers_written_in_a_graph_keep_all_their_digits() -> None:
    x = make_input("x", (), "float32")
    graph = retype_floats(Graph({"x": x.node}, {"y": (x * 0.1).node}), DType.FLOAT64)
    assert run(graph, {"x": 1.0})["y"] == 0.1


def test_retyping_back_and_forth_changes_nothing() -> None:
    graph = network()
    assert str(retype_floats(retype_floats(graph, DType.FLOAT64), DType.FLOAT32)) == str(graph)


def test_what_need_not_change_is_kept() -> None:
    graph = network()
    same = retype_floats(graph, DType.FLOAT32)
    assert [id(node) for node in same.nodes()] == [id(node) for node in graph.nodes()]
    wide = retype_floats(graph, DType.FLOAT64)
    assert wide.inputs["labels"] is graph.inputs["labels"]
    assert graph.inputs["x"].type.dtype == "float32", "the graph given is left alone"


def test_substituted_nodes_are_used_everywhere() -> None:
    x, y = make_input("x", (2,), "float64"), make_input("y", (2,), "float64")
    total = (x * y + x).sum()
    graph = Graph({"x": x.node, "y": y.node}, {"total": total.node})
    changed = substitute(graph, {id(x.node): constant(np.array([10.0, 20.0]), DType.FLOAT64).node})
    assert run(Graph({"y": changed.inputs["y"]}, changed.outputs), {"y": [1.0, 2.0]})["total"] == 80.0
    assert run(graph, {"x": [1.0, 1.0], "y": [1.0, 2.0]})["total"] == 5.0
    assert changed.inputs["y"] is y.node


def test_substitution_keeps_who_added_a_node() -> None:
    graph = network()
    wide = retype_floats(graph, DType.FLOAT64)
    assert [node.origin for node in wide.nodes()] == [node.origin for node in graph.nodes()]


def test_attributes_of_other_kinds_are_not_equal() -> None:
    array = np.ones(3)
    assert attributes_equal({"a": array, "b": 1}, {"a": array, "b": 1})
    assert not attributes_equal({"a": 1}, {"a": 1.0})
    assert not attributes_equal({"a": (1, 2)}, {"a": (1, 3)})
