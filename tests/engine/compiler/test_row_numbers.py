"""Row numbers that a network computes itself compile where they are held in range, and only there."""

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
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor

TABLE = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
Numbers = Callable[[Tensor], Any]


def picked(numbers: Numbers) -> Graph:
    x, table = make_input("x", (BATCH, 2), "float32"), make_input("table", (4, 3), "float32")
    return Graph({"x": x.node, "table": table.node}, {"y": fl.take(table, numbers(x)).node})


def test_numbers_in_range_are_taken(oracle: SimpleNamespace) -> None:
    x = np.array([[0, 3], [-7, 1e30], [2.9, np.nan], [np.inf, -np.inf]], np.float32)
    graph = picked(lambda x: fl.clip(x, 0, 3).astype("int64"))
    found = CompiledProgram(graph, {"n": 4})({"x": x, "table": TABLE})["y"]
    assert np.array_equal(found, TABLE[[[0, 3], [0, 3], [2, 0], [3, 0]]])
    oracle.same_bits(found, oracle.contract(graph, {"n": 4}, {"x": x, "table": TABLE})["y"])


@pytest.mark.parametrize(
    "numbers",
    [
        lambda x: fl.clip(x[:, 1:], 1, 3).astype("int64"),
        lambda x: fl.clip(x, 0, 2)[:, 0].astype("int64"),
    ],
)
def test_views_do_not_matter(numbers: Numbers) -> None:
    found = CompiledProgram(picked(numbers), {"n": 1})({"x": np.array([[2.0, 9.0]], np.float32), "table": TABLE})["y"]
    assert np.array_equal(found.reshape(-1, 3), TABLE[[2 if found.ndim == 2 else 3]])


@pytest.mark.parametrize(
    "numbers",
    [
        lambda x: x.astype("int64"),
        lambda x: fl.clip(x, 0, 4).astype("int64"),
        lambda x: fl.clip(x, -1, 3).astype("int64"),
        lambda x: fl.maximum(fl.minimum(x, 3.0), 0.0).astype("int64") * 2,
        lambda x: fl.minimum(x, 3.0).astype("int64"),
        lambda x: fl.clip(x, 0, 3).astype("int64") - 1,
    ],
)
def test_numbers_that_may_be_out_of_range_are_refused(numbers: Numbers) -> None:
    with pytest.raises(CompileError, match=r"cannot be checked in native code; hold them in range: fl\.clip\(x, 0"):
        CompiledProgram(picked(numbers), {"n": 4})
