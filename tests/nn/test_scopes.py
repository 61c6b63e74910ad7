"""Nodes remember the module that made them; neither graphs nor programs depend on it."""

from typing import Any

import numpy as np

import fallline as fl
from fallline import nn, optim
from fallline.engine.compiled import CompiledProgram
from fallline.ir.graph import Graph
from fallline.ir.serialize import graph_to_json
from fallline.ir.transform import retype_floats
from fallline.ir.types import DType
from fallline.training.update_graph import with_update

X, Y = np.ones((4, 3)), np.ones((4, 2))


class Twice(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.last = nn.Linear(3, 2)

    def __call__(self, x: Any) -> Any:
        return self.last(self.inner(self.inner(x))) * 2.0


class Derived(Twice):
    def __call__(self, x: Any) -> Any:
        return super().__call__(x) + 1.0


def made_by(graph: Graph, op: str, origin: str = "") -> list[tuple[str | None, int, str]]:
    """(scope, call, derivative of) of each node of an op."""
    found = [node.provenance for node in graph.nodes() if node.op.name == op and node.origin == origin]
    return [(made.scope, made.call, made.derivative_of) for made in found]


def test_a_node_knows_the_module_and_the_call_that_made_it() -> None:
    graph = fl.trace(Twice(), X, Y, loss="mse")
    assert made_by(graph, "tanh") == [("inner.1", 1, ""), ("inner.1", 2, "")]
    assert made_by(graph, "matmul") == [("inner.0", 1, ""), ("inner.0", 2, ""), ("last", 1, "")]
    assert ("", 1, "") in made_by(graph, "multiply")  # the network's own × 2
    assert set(made_by(graph, "subtract")) == {("@loss", 0, "")}


def test_a_node_of_backpropagation_knows_whose_gradient_it_is_part_of() -> None:
    found = made_by(fl.trace(Twice(), X, Y, loss="mse"), "matmul", "backpropagation")
    assert ("inner.0", 2, "matmul") in found
    assert ("last", 1, "matmul") in found


def test_a_class_that_calls_its_base_is_called_once() -> None:
    assert ("", 1, "") in made_by(fl.trace(Derived(), X, Y, loss="mse"), "multiply")


def test_a_node_of_an_update_knows_its_weight_and_keeps_it_in_another_dtype() -> None:
    graph = with_update(fl.trace(nn.Linear(3, 2), X, Y, loss="mse"), optim.Adam()).graph
    assert set(made_by(graph, "sqrt", "gradient descent")) == {("weight", 0, ""), ("bias", 0, "")}
    assert made_by(retype_floats(graph, DType.FLOAT64), "sqrt", "gradient descent") == made_by(
        graph, "sqrt", "gradient descent"
    )


def test_what_made_a_graph_changes_neither_its_json_nor_its_program() -> None:
    """The same sums, written in one module or in two."""

    class One(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter((3, 2))

        def __call__(self, x: Any) -> Any:
            return fl.tanh(x @ self.weight)

    class Parts(One):
        def __init__(self) -> None:
            super().__init__()
            self.tanh = nn.Tanh()

        def __call__(self, x: Any) -> Any:
            return self.tanh(x @ self.weight)

    one, parts = fl.trace(One(), X), fl.trace(Parts(), X)
    assert made_by(one, "tanh") != made_by(parts, "tanh")
    assert graph_to_json(one, {}) == graph_to_json(parts, {})
    assert CompiledProgram(one, {"n": 4}).compiled is CompiledProgram(parts, {"n": 4}).compiled
