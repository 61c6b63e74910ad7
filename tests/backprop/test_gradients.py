"""The backward walk: the chain rule on graphs whose derivatives are known, and its errors."""

import math
import re
from typing import Any

import numpy as np
import pytest

from fallline.backprop.gradients import gradients
from fallline.engine.reference import run
from fallline.errors import GraphError, KindError, ShapeError
from fallline.ir.graph import Graph, topological
from fallline.ir.types import BATCH
from fallline.ops import Tensor, make_input
from fallline.ops import functions as fl


def slopes(loss: Tensor, **values: Any) -> dict[str, Any]:
    """dL/dx at the given values of the graph's inputs, by name."""
    leaves = {node.attributes["name"]: Tensor(node) for node in topological([loss.node]) if node.op.name == "input"}
    wanted = [leaves[name] for name in values]
    outputs = dict(zip(values, gradients(loss, wanted), strict=True))
    graph = Graph({name: t.node for name, t in leaves.items()}, {name: t.node for name, t in outputs.items()})
    return run(graph, values)


def number(name: str) -> Tensor:
    return make_input(name, (), "float64")


def test_a_shared_node_gets_the_sum_of_its_uses() -> None:
    x, y = number("x"), number("y")
    square = x * x
    loss = square * y + square + fl.exp(square)  # d/dx = 2x·(y + 1 + e^x²)
    found = slopes(loss, x=0.5, y=3.0)
    assert found["x"] == pytest.approx(2.0 * 0.5 * (4.0 + math.exp(0.25)), rel=1e-15)
    assert found["y"] == 0.25


def test_a_chain_of_many_nodes_needs_no_recursion() -> None:
    x = number("x")
    y = x
    for _ in range(3000):
        y = y * 1.001
    assert slopes(y, x=2.0)["x"] == pytest.approx(1.001**3000, rel=1e-12)


def test_doubling_many_times_walks_each_node_once() -> None:
    x = number("x")
    y = x
    for _ in range(60):  # 2⁶⁰ paths
        y = y + y
    assert slopes(y, x=1.0)["x"] == 2.0**60
    assert len(topological([gradients(y, [x])[0].node])) < 200


def test_a_network_by_hand() -> None:
    """One hidden layer, squared error, two rows: every number worked out with pencil and paper."""
    x, w = make_input("x", (BATCH, 2), "float64"), make_input("w", (2, 2), "float64")
    b, v = make_input("b", (2,), "float64"), make_input("v", (2, 1), "float64")
    error = fl.relu(x @ w + b) @ v - 1.0
    values = {
        "x": [[1.0, 2.0], [0.0, -1.0]],
        "w": [[1.0, -1.0], [1.0, 1.0]],
        "b": [0.0, 0.5],
        "v": [[1.0], [2.0]],
    }
    # row 1: x·w + b = (3, 1.5), out 6, error 5; row 2: (−1, −0.5), both at rest, out 0, error −1
    found = slopes(fl.mean(error * error), **values)  # mean of 25 and 1; dL/d error = (5, −1)
    np.testing.assert_array_equal(found["v"], [[15.0], [7.5]])
    np.testing.assert_array_equal(found["b"], [5.0, 10.0])
    np.testing.assert_array_equal(found["w"], [[5.0, 10.0], [10.0, 20.0]])
    np.testing.assert_array_equal(found["x"], [[-5.0, 15.0], [0.0, 0.0]])


def test_softmax_cross_entropy_is_probabilities_minus_targets() -> None:
    logits = make_input("z", (2, 3), "float64")
    target = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    z = np.array([[0.2, -1.0, 3.0], [1.0, 1.0, 1.0]])
    found = slopes(-(fl.log_softmax(logits) * target).sum(), z=z)["z"]
    powers = np.exp(z)
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True) - target, rtol=1e-13, atol=1e-15)


def test_what_the_loss_does_not_use_gets_zeros_of_its_type() -> None:
    x, unused = make_input("x", (2, 3), "float32"), make_input("unused", (BATCH, 4), "float32")
    zeros = gradients((x * 2.0).sum(), [unused, x])[0]
    assert zeros.type == unused.type


def test_gradients_pass_no_whole_numbers_masks_comparisons_or_stops() -> None:
    x = make_input("x", (3,), "float64")
    assert not np.any(slopes((x > 0.0).astype("float64").sum() + 0.0 * x.sum(), x=np.ones(3))["x"])
    assert not np.any(slopes((x.astype("int64").astype("float64") + fl.stop_gradient(x)).sum(), x=np.ones(3))["x"])
    weighted = slopes((x * fl.stop_gradient(x)).sum(), x=np.array([1.0, 2.0, 3.0]))["x"]
    np.testing.assert_array_equal(weighted, [1.0, 2.0, 3.0])


def test_a_cast_between_floats_passes_the_gradient_on() -> None:
    x = make_input("x", (2,), "float32")
    slope = gradients((x.astype("float64") * 3.0).sum(), [x])[0]
    assert slope.type == x.type


def test_ties_share_and_rests_do_not_learn() -> None:
    x, y = make_input("x", (3,), "float64"), make_input("y", (3,), "float64")
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 0.0])
    found = slopes(fl.maximum(x, y).sum(), x=a, y=b)
    np.testing.assert_array_equal(found["x"], [0.5, 0.0, 1.0])
    np.testing.assert_array_equal(found["y"], [0.5, 1.0, 0.0])
    found = slopes(fl.minimum(x, y).sum(), x=a, y=b)
    np.testing.assert_array_equal(found["x"], [0.5, 1.0, 0.0])
    np.testing.assert_array_equal(slopes(x.max(), x=np.array([2.0, 1.0, 2.0]))["x"], [0.5, 0.0, 0.5])
    np.testing.assert_array_equal(slopes(fl.relu(x).sum(), x=np.array([-1.0, 0.0, 2.0]))["x"], [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(slopes(fl.absolute(x).sum(), x=np.array([-1.0, 0.0, 2.0]))["x"], [-1.0, 0.0, 1.0])


def test_powers_at_zero() -> None:
    x, p = make_input("x", (3,), "float64"), make_input("p", (3,), "float64")
    found = slopes((x**p).sum(), x=np.zeros(3), p=np.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(found["x"], [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(found["p"], [0.0, 0.0, 0.0])


def test_a_row_taken_twice_gets_both_gradients() -> None:
    table = make_input("t", (3, 2), "float64")
    found = slopes((table[np.array([2, 0, 2])] * np.array([[1.0], [10.0], [100.0]])).sum(), t=np.ones((3, 2)))["t"]
    np.testing.assert_array_equal(found, [[10.0, 10.0], [0.0, 0.0], [101.0, 101.0]])


def test_an_intermediate_tensor_can_be_wanted() -> None:
    x = number("x")
    hidden = x * 3.0
    slope = gradients(hidden * hidden, [hidden])[0]
    graph = Graph({"x": x.node}, {"d": slope.node})
    assert run(graph, {"x": 2.0})["d"] == 12.0


def test_added_nodes_say_that_backpropagation_added_them() -> None:
    x = number("x")
    loss = fl.tanh(x)
    before = {id(node) for node in topological([loss.node])}
    for node in topological([gradients(loss, [x])[0].node]):
        assert node.origin == ("" if id(node) in before else "backpropagation")


@pytest.mark.parametrize(
    ("loss", "kind", "sentence"),
    [
        (
            make_input("x", (BATCH, 1), "float32"),
            ShapeError,
            "backpropagation needs a loss that is one number, found shape (n, 1): take its mean or sum first",
        ),
        (make_input("x", (), "int64"), KindError, "backpropagation needs a float loss, found int64 ()"),
    ],
)
def test_a_loss_must_be_one_float(loss: Tensor, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(sentence)}$"):
        gradients(loss, [loss])


def test_a_rule_that_forgets_an_input_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    x = number("x")
    loss = x * 2.0
    monkeypatch.setattr(type(loss.node.op), "__setattr__", object.__setattr__)
    monkeypatch.setattr(loss.node.op, "gradient", lambda g, y, a, b: (g.reshape(1, 1), None))
    with pytest.raises(
        GraphError, match=r"^the gradient rule of 'multiply' gave float64 \(1, 1\) for an input float64"
    ):
        gradients(loss, [x])
