"""How a program loops over rows is a matter of speed: across rows or along columns, in any blocks, the same bits."""

from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline.engine import compiled
from fallline.engine.compiled import CompiledProgram
from fallline.engine.compiler import rows_kernel
from fallline.engine.target import host_target, restricted, using_target
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.ops import make_input

Array = NDArray[Any]
ROWS = [1, 2, 7, 8, 9, 15, 16, 17, 33]
WIDTHS = [1, 2, 5, 8, 15, 16, 17, 33]


def row_wise(columns: int, dtype: str) -> Graph:
    """Row i of every output depends on row i of the inputs alone: reductions, functions, products with their biases."""
    x, z = make_input("x", (BATCH, columns), dtype), make_input("z", (BATCH, columns), dtype)
    w, b = make_input("w", (columns, columns), dtype), make_input("b", (columns,), dtype)
    centred = x - x.mean(1, True)
    outputs = {
        "norm": centred / fl.sqrt((centred * centred).mean(1, True) + 1e-5) * b,
        "softmax": fl.softmax(x * 3.0, 1),
        "largest": x.max(1),
        "sum": (x * z).sum(1),
        "gate": fl.sigmoid(x) * fl.tanh(z),
        "dense": fl.relu(x @ w + b),
        "loss": fl.logsumexp(z @ w, 1),
    }
    inputs = {"x": x, "z": z, "w": w, "b": b}
    return Graph({k: t.node for k, t in inputs.items()}, {k: t.node for k, t in outputs.items()})


def numbers(columns: int, dtype: str) -> dict[str, Array]:
    rng = np.random.default_rng(columns)
    shapes = {"x": (max(ROWS), columns), "z": (max(ROWS), columns), "w": (columns, columns), "b": (columns,)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def first_rows(given: dict[str, Array], rows: int) -> dict[str, Array]:
    return {name: array[:rows] if name in "xz" else array for name, array in given.items()}


@pytest.mark.parametrize(("columns", "dtype"), [(c, "float32") for c in WIDTHS] + [(c, "float64") for c in (5, 16)])
def test_a_row_has_the_same_bits_in_every_batch(oracle: SimpleNamespace, columns: int, dtype: str) -> None:
    graph, given = row_wise(columns, dtype), numbers(columns, dtype)
    wanted = oracle.contract(graph, {"n": max(ROWS)}, given)
    for rows in ROWS if (columns, dtype) == (5, "float32") else (7, 8, 17):
        found = CompiledProgram(graph, {"n": rows})(first_rows(given, rows))
        oracle.all_same_bits(found, {name: value[:rows] for name, value in wanted.items()})


@pytest.mark.parametrize("columns", [1, 2, 8, 16])
def test_narrow_rows_computed_along_columns(
    oracle: SimpleNamespace, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, given = row_wise(columns, "float32"), numbers(columns, "float32")
    across = CompiledProgram(graph, {"n": max(ROWS)})
    monkeypatch.setattr(rows_kernel, "is_narrow", lambda group: False)
    monkeypatch.setattr(compiled, "_kept", OrderedDict())
    along = CompiledProgram(graph, {"n": max(ROWS)})
    assert across.compiled.text.text != along.compiled.text.text
    oracle.all_same_bits(along(given), across(given))


def avx2_where_it_is_less() -> Any:
    host = host_target()
    if not host.is_x86 or host.vector_bytes < 64:
        pytest.skip(f"needs AVX-512 to compare AVX2 with, and {host.cpu} has none")
    return restricted(host, "avx2")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [5, 17, 33])
def test_avx2_gives_the_bits_of_avx_512(oracle: SimpleNamespace, columns: int, dtype: str) -> None:
    graph, given = row_wise(columns, dtype), numbers(columns, dtype)
    narrower = avx2_where_it_is_less()
    wide = CompiledProgram(graph, {"n": max(ROWS)})(given)
    with using_target(narrower):
        program = CompiledProgram(graph, {"n": max(ROWS)})
    oracle.all_same_bits(program(given), wide)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(fl, name)
        for name in ("exp", "log", "expm1", "log1p", "tanh", "sigmoid", "softplus", "erf", "sqrt")
    },
    "power": lambda x: x**0.3,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_on_avx2_give_the_bits_of_avx_512(oracle: SimpleNamespace, dtype: str) -> None:
    x = make_input("x", (BATCH, 3), dtype)
    graph = Graph({"x": x.node}, {name: function(x).node for name, function in FUNCTIONS.items()})
    given = {"x": (np.random.default_rng(2).normal(size=(500, 3)) * [1.0, 30.0, 1e-3]).astype(dtype)}
    narrower = avx2_where_it_is_less()
    wide = CompiledProgram(graph, {"n": 500})(given)
    with using_target(narrower):
        program = CompiledProgram(graph, {"n": 500})
    oracle.all_same_bits(program(given), wide)
