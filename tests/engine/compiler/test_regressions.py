"""Graphs that were once compiled to wrong numbers, to reads beyond a tensor, or not at all, as small as they get."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engine.compiled import CompiledProgram
from fallline.errors import CompileError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.ops import make_input

Build = Callable[..., dict[str, Any]]


def spread(x: Any, shape: tuple[Any, ...]) -> Any:
    return fl.broadcast(x, shape)


CASES: dict[str, tuple[int, Build]] = {
    "rows of two axes overflowed the arena": (9, lambda x, y, z, w, v, t, i: {"o": fl.softmax(z, 2), "p": z.max(2)}),
    "an input that is a result was read before it was copied": (
        40,
        lambda x, y, z, w, v, t, i: {"o": fl.tanh(y), "y": y},
    ),
    "the same through a view": (17, lambda x, y, z, w, v, t, i: {"o": fl.minimum(v[0], y), "x": x.T}),
    "an axis of one row between others": (3, lambda x, y, z, w, v, t, i: {"o": spread(x, (BATCH, 1, BATCH, 5)) * 2.0}),
    "a sum over all rows": (33, lambda x, y, z, w, v, t, i: {"o": y.sum(), "p": z.sum(), "q": (y * v.mean()).sum()}),
    "one row whose number is no variable": (
        1,
        lambda x, y, z, w, v, t, i: {"o": fl.one_hot(i, 5), "p": y[:, None] * 2.0},
    ),
    "elements that move between the rows of a matrix": (7, lambda x, y, z, w, v, t, i: {"o": w.reshape(5, 9) * 2.0}),
    "and of a batch": (7, lambda x, y, z, w, v, t, i: {"o": x.reshape(5, BATCH), "p": fl.tanh(x).reshape(5, BATCH)}),
    "rows picked by a constant": (
        8,
        lambda x, y, z, w, v, t, i: {"o": w[np.array([0, 8, 0])], "p": x.T[np.array([1])]},
    ),
    "rows that do not exist read beyond a slice": (
        5,
        lambda x, y, z, w, v, t, i: {"o": t[:, 8::3].reshape(7, 3, 1) * 2.0},
    ),
    "and pick rows by any number": (
        17,
        lambda x, y, z, w, v, t, i: {"o": fl.take(w, i), "p": fl.tanh(fl.take(w, i)).sum(1)},
    ),
    "a stored row was loaded before it was stored": (33, lambda x, y, z, w, v, t, i: _one_row(w.sum(), v, x)),
    "a loss that is one element of many": (5, lambda x, y, z, w, v, t, i: {"o": x.sum(0)[2], "p": (x.T @ x)[1, 2]}),
}


def _one_row(total: Any, v: Any, x: Any) -> dict[str, Any]:
    """A row with a reduction in it, and a number made of one of its columns, which another kernel needs."""
    share = total.reshape(1, 1) / 45.0
    row = fl.where((share <= v) | (v < 0.0), share * v, -share) + share  # (1, 5)
    last = row[:, 4:].reshape(1)
    scaled = x / (last * last + 1.0)
    return {"o": scaled.sum() * last}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_it_is_right_now(oracle: SimpleNamespace, name: str, dtype: str) -> None:
    rows, build = CASES[name]
    shapes = {"x": (rows, 5), "y": (rows,), "z": (rows, 3, 9), "w": (9, 5), "v": (5,), "t": (7, 17)}
    rng = np.random.default_rng(rows)
    given = {key: rng.normal(size=shape).astype(dtype) for key, shape in shapes.items()}
    leaves = {
        key: make_input(key, (BATCH, *shape[1:]) if key in "xyz" else shape, dtype) for key, shape in shapes.items()
    }
    given["i"], leaves["i"] = rng.integers(0, 5, rows), make_input("i", (BATCH,), "int64")
    outputs = build(**leaves)
    graph = Graph({key: leaf.node for key, leaf in leaves.items()}, {key: t.node for key, t in outputs.items()})
    for shards in (1, 3):
        found = CompiledProgram(graph, {"n": rows}, shards, threads=2)(given)
        oracle.all_same_bits(found, oracle.contract(graph, {"n": rows}, given, shards))


def test_a_graph_that_is_too_deep_is_refused_before_it_is_worked_on() -> None:
    leaf = make_input("x", (BATCH, 3), "float32")
    deep = leaf
    for _ in range(3000):
        deep = fl.tanh(deep)
    graph = Graph({"x": leaf.node}, {"o": deep.node})
    with pytest.raises(CompileError, match=r"^the graph is too deep for the compiler$"):
        CompiledProgram(graph, {"n": 4})
