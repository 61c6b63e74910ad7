"""Graphs as JSON: there and back, and refused when they are not graphs."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fallline.engine.reference import run
from fallline.errors import FalllineError, GraphError
from fallline.ir.graph import Graph
from fallline.ir.serialize import MAX_NODES, graph_from_json, graph_to_json
from fallline.ir.types import BATCH
from fallline.ir.verify import verify
from fallline.ops import functions as fl
from fallline.ops import make_input

TABLE = np.linspace(-1.0, 1.0, 6).reshape(3, 2)


def example() -> Graph:
    x, unused = make_input("x", (BATCH, 3), "float64"), make_input("unused", (), "int64")
    y = fl.softmax(fl.clip(x @ TABLE, -0.5, float("inf"))[:, 1:] * 0.1)
    return Graph({"x": x.node, "unused": unused.node}, {"y": y.node, "mean": fl.mean(y, axis=0).node})


def stored() -> tuple[Any, dict[str, Any]]:
    arrays: dict[str, Any] = {}
    return json.loads(json.dumps(graph_to_json(example(), arrays))), arrays


def test_a_graph_comes_back_as_it_was() -> None:
    data, arrays = stored()
    graph = graph_from_json(data, arrays)
    verify(graph)
    assert str(graph) == str(example())
    assert list(graph.inputs) == ["x", "unused"]
    x = np.random.default_rng(0).normal(size=(5, 3))
    for name, value in run(example(), {"x": x, "unused": 0}).items():
        np.testing.assert_array_equal(run(graph, {"x": x, "unused": 0})[name], value)


def test_arrays_are_stored_once_under_a_name() -> None:
    _, arrays = stored()
    assert list(arrays) == ["@constant.0"]
    np.testing.assert_array_equal(arrays["@constant.0"], TABLE)


@pytest.mark.parametrize("number", [0.1, float("inf"), float("-inf"), 5e-324, -0.0])
def test_numbers_are_stored_exactly(number: float) -> None:
    x = make_input("x", (), "float64")
    data = json.loads(json.dumps(graph_to_json(Graph({"x": x.node}, {"y": (x * number).node}), {}), allow_nan=False))
    [value] = [node.attributes["value"] for node in graph_from_json(data, {}).nodes() if node.op.name == "constant"]
    assert value.hex() == number.hex()


def test_numpy_sizes_can_be_stored() -> None:
    x = make_input("x", (6,), "float32")
    y = x.reshape(np.int64(2), np.int64(3)).sum(np.int64(1))  # type: ignore[arg-type]
    data = json.loads(json.dumps(graph_to_json(Graph({"x": x.node}, {"y": y.node}), {})))
    assert graph_from_json(data, {}).outputs["y"].type == y.type


def _set(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


BROKEN: list[tuple[str, Callable[[Any], None], str]] = [
    ("an unknown op", _set("nodes", 0, "op", value="inputt"), "no op is named 'inputt': did you mean 'input'?"),
    (
        "a later node",
        _set("nodes", 2, "inputs", value=[0, 5]),
        "the stored graph refers to node 5, but only 2 nodes come before that place",
    ),
    (
        "a node before the first",
        _set("nodes", 2, "inputs", value=[0, -1]),
        "the stored graph refers to node -1, but only 2 nodes come before that place",
    ),
    (
        "a place that is no number",
        _set("nodes", 2, "inputs", value=[0, True]),
        "the stored graph refers to node True, but only 2 nodes come before that place",
    ),
    (
        "an output that does not exist",
        _set("outputs", "y", value=-3),
        "the stored graph refers to node -3, but only",
    ),
    ("an output beyond the end", _set("outputs", "y", value=1000), "the stored graph refers to node 1000, but only"),
    ("shapes that do not fit", _set("nodes", 2, "inputs", value=[1, 0]), "matmul: need (…, n, k) @ (…, k, m)"),
    (
        "a value of an unknown kind",
        _set("nodes", 0, "attributes", "shape", value={"code": "x"}),
        "the stored graph holds a value of an unknown kind: {'code': 'x'}",
    ),
    (
        "an array that is missing",
        _set("nodes", 1, "attributes", "value", value={"array": "@constant.7"}),
        "the stored graph is malformed: KeyError: '@constant.7'",
    ),
    ("nodes that are no list", _set("nodes", value=7), f"a stored graph must list at most {MAX_NODES} nodes"),
    (
        "attributes that are no table",
        _set("nodes", 0, "attributes", value=3),
        "the stored graph is malformed: AttributeError",
    ),
    ("an attribute too many", _set("nodes", 0, "attributes", "colour", value=1), "the stored graph is malformed: Type"),
    ("no nodes at all", lambda data: data.pop("nodes"), "the stored graph is malformed: KeyError: 'nodes'"),
    (
        "an unknown dtype",
        _set("nodes", 0, "attributes", "dtype", value={"dtype": "float8"}),
        "dtype 'float8' is not supported",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_what_is_no_graph_is_refused(change: Callable[[Any], None], sentence: str) -> None:
    data, arrays = stored()
    change(data)
    with pytest.raises(FalllineError) as caught:
        graph_from_json(data, arrays)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("data", [None, 3, "graph", [], {}, {"nodes": [None]}, {"nodes": [], "inputs": 1}])
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(GraphError, match="the stored graph is malformed"):
        graph_from_json(data, {})


def test_a_graph_of_too_many_nodes_is_refused() -> None:
    data, arrays = stored()
    data["nodes"] = [copy.copy(data["nodes"][0])] * (MAX_NODES + 1)
    with pytest.raises(GraphError, match=f"at most {MAX_NODES} nodes"):
        graph_from_json(data, arrays)
