"""The reference engine: programs, shards, what goes in and what comes out."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.reference import ReferenceProgram, bind_sizes, run, tree_add
from fallline.errors import ArgumentError, ShapeError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH, SymbolicDim
from fallline.ops import functions as fl
from fallline.ops import make_input
from fallline.ops.tensor import apply

Array = NDArray[Any]


def network() -> Graph:
    """A loss and its gradients: sums, products and scatters over rows."""
    x, w, b = (
        make_input("x", (BATCH, 3), "float64"),
        make_input("w", (3, 4), "float64"),
        make_input("b", (4,), "float64"),
    )
    table, i = make_input("table", (5, 4), "float64"), make_input("i", (BATCH,), "int64")
    hidden = fl.tanh(x @ w + b) * table[i]
    loss = fl.mean(hidden * hidden)
    slopes = gradients(loss, [w, b, table])
    inputs = {"x": x, "w": w, "b": b, "table": table, "i": i}
    outputs = {"loss": loss, "dw": slopes[0], "db": slopes[1], "dtable": slopes[2], "hidden": hidden}
    return Graph({k: t.node for k, t in inputs.items()}, {k: t.node for k, t in outputs.items()})


def values(rows: int) -> dict[str, Array]:
    rng = np.random.default_rng(rows)
    shapes = {"x": (rows, 3), "w": (3, 4), "b": (4,), "table": (5, 4)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()} | {"i": rng.integers(0, 5, rows)}


GRAPH = network()


@given(st.integers(1, 23), st.integers(2, 9))
def test_shards_change_nothing_but_rounding(rows: int, shards: int) -> None:
    given_values = values(rows)
    whole, cut = run(GRAPH, given_values), run(GRAPH, given_values, shards=shards)
    for name, value in whole.items():
        np.testing.assert_allclose(cut[name], value, rtol=1e-12, atol=1e-14, err_msg=name)
    np.testing.assert_array_equal(cut["hidden"], whole["hidden"], "what is no sum over rows has the same bits")


@given(st.integers(1, 23), st.integers(1, 9))
def test_a_program_gives_the_same_bits_again(rows: int, shards: int) -> None:
    given_values = values(rows)
    program = ReferenceProgram(GRAPH, {"n": rows}, shards)
    first, second = program(given_values), program(given_values)
    other = ReferenceProgram(network(), {"n": rows}, shards)(given_values)
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)
        np.testing.assert_array_equal(other[name], value)


def bits_of_sum(x: Array, shards: int) -> float:
    tensor = make_input("x", (BATCH,), "float64")
    return float(run(Graph({"x": tensor.node}, {"y": tensor.sum().node}), {"x": x}, shards)["y"])


def test_shard_sums_follow_the_tree() -> None:
    # Neighbours of 1e16 are 2 apart, so that each order of these sums rounds to another number.
    eight = np.array([1.0, 1e16, 1.0, -1e16, 3.0, 1.0, 1e16, -1e16])
    assert bits_of_sum(eight, 8) == ((1.0 + 1e16) + (1.0 - 1e16)) + ((3.0 + 1.0) + (1e16 - 1e16))
    three = np.array([1.0, 1e16, -1e16])
    assert bits_of_sum(three, 3) == (1.0 + 1e16) - 1e16 == 0.0
    five = np.array([1.0, 1.0, 1e16, 1.0, -1e16])
    assert bits_of_sum(five, 5) == ((1.0 + 1.0) + (1e16 + 1.0)) - 1e16 == 2.0
    seven = np.array([1.0, 1.0, 1.0, 1.0, 1e16, -1e16, 1.0])
    assert bits_of_sum(seven, 7) == ((1.0 + 1.0) + (1.0 + 1.0)) + ((1e16 - 1e16) + 1.0) == 5.0


def test_a_shard_holds_rows_from_s_b_over_S() -> None:  # noqa: N802 – S is the number of shards
    # 5 rows in 2 shards: rows 0–1 and 2–4
    assert bits_of_sum(np.array([1.0, 1.0, 1e16, 1.0, -1e16]), 2) == 2.0
    assert bits_of_sum(np.array([1.0, 1e16, -1e16, 1.0, 1.0]), 2) == (1.0 + 1e16) + ((-1e16 + 1.0) + 1.0)


def test_an_empty_shard_is_skipped_where_it_stands() -> None:
    # 3 rows in 8 shards lie in shards 2, 5 and 7 of the tree ((0 1)(2 3))((4 5)(6 7)): a + (b + c)
    assert bits_of_sum(np.array([1.0, 1e16, -1e16]), 8) == 1.0
    assert bits_of_sum(np.array([5.0]), 8) == 5.0


def test_a_batch_of_one_row_in_many_shards_has_the_bits_of_the_whole() -> None:
    whole, cut = run(GRAPH, values(1)), run(GRAPH, values(1), shards=8)
    for name, value in whole.items():
        np.testing.assert_array_equal(cut[name], value)


def test_rows_repeated_inside_a_dimension_are_cut_between_rows() -> None:
    x = make_input("x", (BATCH, 2), "float64")
    graph = Graph({"x": x.node}, {"y": x.reshape(-1).sum().node})
    array = np.array([[1.0, 1e16], [-1e16, 1.0], [1.0, 1.0]])
    assert run(graph, {"x": array}, shards=3)["y"] == ((1.0 + 1e16) + (-1e16 + 1.0)) + 2.0


@given(st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=1, max_size=20))
def test_tree_add_of_whole_numbers_is_their_sum(parts: list[int | None]) -> None:
    numbers = [part for part in parts if part is not None]
    assert tree_add(parts) == (sum(numbers) if numbers else None)


def test_tree_add_names_its_tree() -> None:
    class Leaf(str):
        def __add__(self, other: str) -> "Leaf":
            return Leaf(f"({self}{other})")

    a, b, c, d, e, f, g = map(Leaf, "abcdefg")
    assert tree_add([a, b, c, d, e, f, g]) == "(((ab)(cd))((ef)g))"
    assert tree_add([a, b, c, d, e]) == "(((ab)(cd))e)"
    assert tree_add([None, None, a, None, None, b, None, c]) == "(a(bc))"


# --- what goes in


def test_run_casts_to_the_types_of_the_graph() -> None:
    x = make_input("x", (2,), "float32")
    result = run(Graph({"x": x.node}, {"y": (x * 2.0).node}), {"x": [1, 2]})["y"]
    assert (str(result.dtype), result.tolist()) == ("float32", [2.0, 4.0])


def test_a_missing_input_is_named() -> None:
    x, y = make_input("x", (), "float64"), make_input("y", (), "float64")
    graph = Graph({"x": x.node, "y": y.node}, {"z": (x + y).node})
    with pytest.raises(ArgumentError, match=r"^the program needs the input 'y'; given were x$"):
        run(graph, {"x": 1.0})
    with pytest.raises(ArgumentError, match=r"^the program needs the input 'x'; given were none$"):
        run(graph, {})


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        ({"x": (4, 3)}, "input 'x': need shape (4, 2), found (4, 3)"),
        ({"x": (4,)}, "input 'x': need shape (n, 2), found (4,)"),
        ({"x": (4, 2), "y": (5,)}, "input 'y': need shape (4,), found (5,)"),
        ({"x": (4, 2), "z": (9, 1)}, "input 'z': need shape (8, 1), found (9, 1)"),
    ],
)
def test_shapes_that_contradict_are_refused(shapes: dict[str, tuple[int, ...]], sentence: str) -> None:
    declared: dict[str, Any] = {"x": (BATCH, 2), "y": (BATCH,), "z": (SymbolicDim("n", 2), 1)}
    leaves = {name: make_input(name, shape, "float64").node for name, shape in declared.items()}
    with pytest.raises(ShapeError, match=f"^{re.escape(sentence)}$"):
        bind_sizes(Graph(leaves, {}), {name: np.zeros(shape) for name, shape in shapes.items()})


def test_sizes_follow_from_any_array() -> None:
    z = make_input("z", (SymbolicDim("n", 3),), "float64")
    assert bind_sizes(Graph({"z": z.node}, {}), {"z": np.zeros(12)}) == {"n": 4}


# --- what comes out


def test_outputs_belong_to_their_receiver() -> None:
    x = make_input("x", (2, 3), "float64")
    constant = np.ones((2, 3))
    outputs = {
        "same": x,
        "turned": x.T,
        "flat": x.reshape(6),
        "part": x[:, 1],
        "spread": fl.broadcast(x.sum(), (2, 3)),
        "stopped": fl.stop_gradient(x),
        "constant": x * 0.0 + constant,
        "bare": fl.broadcast(x.sum() * 0.0 + 1.0, ()),
    }
    graph = Graph({"x": x.node}, {name: tensor.node for name, tensor in outputs.items()})
    array = np.arange(6.0).reshape(2, 3)
    program = ReferenceProgram(graph, {})
    first = program({"x": array})
    kept = {name: value.copy() for name, value in first.items()}
    for value in first.values():
        value[...] = -99.0
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(constant, np.ones((2, 3)))
    for name, value in program({"x": array}).items():
        np.testing.assert_array_equal(value, kept[name])


def test_nan_and_infinity_are_values_not_warnings() -> None:
    x = make_input("x", (3,), "float64")
    graph = Graph({"x": x.node}, {"y": (1.0 / x).node, "z": fl.log(x).node, "e": fl.exp(x * 1e9).node})
    result = run(graph, {"x": [0.0, -1.0, 1.0]})
    np.testing.assert_array_equal(result["y"], [np.inf, -1.0, 1.0])
    np.testing.assert_array_equal(result["z"], [-np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(result["e"], [1.0, 0.0, np.inf])


def test_a_trace_holds_every_node_with_its_value() -> None:
    program = ReferenceProgram(GRAPH, {"n": 5})
    given_values = values(5)
    listed = program.trace(given_values)
    assert [node for node, _ in listed] == GRAPH.nodes()
    found = {id(node): value for node, value in listed}
    for name, value in program(given_values).items():
        np.testing.assert_array_equal(found[id(GRAPH.outputs[name])], value)
    for name, node in GRAPH.inputs.items():
        np.testing.assert_array_equal(found[id(node)], given_values[name])
    for node, value in listed:
        assert value.dtype == node.type.dtype
        assert value.shape == tuple(5 if dim == BATCH else dim for dim in node.type.shape)


def test_random_numbers_do_not_depend_on_the_shards() -> None:
    seed, step = make_input("seed", (), "int64"), make_input("step", (), "int64")
    x = make_input("x", (BATCH, 3), "float64")
    noise = apply("random_uniform", seed, step, purpose="p", stream="s", shape=(BATCH, 3), dtype=x.dtype)
    graph = Graph({"seed": seed.node, "step": step.node, "x": x.node}, {"y": (x * noise).node})
    given_values = {"seed": 3, "step": 7, "x": np.ones((9, 3))}
    np.testing.assert_array_equal(run(graph, given_values)["y"], run(graph, given_values, shards=4)["y"])
    shorter = run(graph, given_values | {"x": np.ones((4, 3))})["y"]
    np.testing.assert_array_equal(shorter, run(graph, given_values)["y"][:4])
