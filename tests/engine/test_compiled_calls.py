"""Calls of compiled programs: what goes in, what comes out, and the cache on disk."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline.engine.compiled import CompiledProgram
from fallline.errors import ArgumentError, ShapeError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.ops import make_input
from fallline.ops.tensor import apply

Array = NDArray[Any]


def example() -> Graph:
    x, w, i = (
        make_input("x", (BATCH, 2), "float32"),
        make_input("w", (2, 3), "float32"),
        make_input("i", (BATCH,), "int64"),
    )
    outputs = {
        "y": fl.tanh(x @ w),
        "picked": fl.take(w.T, i),
        "x": x,
        "turned": x.T,
        "w": w,
        "one": x.sum() * 0.0 + 1.0,
    }
    return Graph({"x": x.node, "w": w.node, "i": i.node}, {name: tensor.node for name, tensor in outputs.items()})


def numbers(rows: int = 5) -> dict[str, Array]:
    rng = np.random.default_rng(rows)
    x, w = rng.normal(size=(rows, 2)), rng.normal(size=(2, 3))
    return {"x": x.astype(np.float32), "w": w.astype(np.float32), "i": rng.integers(0, 3, rows)}


def test_inputs_are_taken_as_they_come(oracle: SimpleNamespace) -> None:
    """Other dtypes, strides and orders in memory are converted, nothing that was given is changed."""
    graph, given = example(), numbers()
    program = CompiledProgram(graph, {"n": 5})
    wanted = oracle.contract(graph, {"n": 5}, given)
    spread = np.zeros((10, 4), np.float32)
    spread[::2, ::2] = given["x"]
    others = [
        {**given, "x": spread[::2, ::2]},
        {**given, "x": np.asfortranarray(given["x"]), "w": np.asfortranarray(given["w"])},
        {**given, "x": given["x"].astype(np.float64), "i": given["i"].astype(np.uint8)},
        {**given, "x": given["x"].tolist(), "w": given["w"].tolist(), "i": given["i"].tolist()},
    ]
    for other in others:
        oracle.all_same_bits(program(other), wanted)
    np.testing.assert_array_equal(spread[::2, ::2], given["x"])
    assert np.count_nonzero(spread) == given["x"].size


def test_outputs_belong_to_their_receiver(oracle: SimpleNamespace) -> None:
    graph, given = example(), numbers()
    program = CompiledProgram(graph, {"n": 5})
    first = program(given)
    kept = {name: value.copy() for name, value in first.items()}
    for value in first.values():
        value[...] = -99.0
    oracle.all_same_bits(program(given), kept)
    oracle.all_same_bits(given, numbers())


def test_a_missing_input_is_named() -> None:
    program = CompiledProgram(example(), {"n": 5})
    given = numbers()
    with pytest.raises(ArgumentError, match=r"^the program needs the input 'w'; given were x, i$"):
        program({"x": given["x"], "i": given["i"]})
    with pytest.raises(ArgumentError, match=r"^the program needs the input 'x'; given were none$"):
        program({})


def test_a_missing_seed_is_named() -> None:
    seed, step = make_input("@seed", (), "int64"), make_input("@step", (), "int64")
    x = make_input("x", (BATCH, 2), "float32")
    noise = apply("random_uniform", seed, step, purpose="p", stream="s", shape=x.shape, dtype=x.dtype)
    graph = Graph({"x": x.node, "@seed": seed.node, "@step": step.node}, {"y": (x + noise).node})
    given = {"x": np.zeros((1, 2), np.float32), "@seed": np.int64(3), "@step": np.int64(1)}
    for name in ("@seed", "@step"):
        program = CompiledProgram(graph, {"n": 1})
        with pytest.raises(ArgumentError, match=rf"^the program needs the input '{name}'; given were x, "):
            program({key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("x", (3, 2), "input 'x': need shape (5, 2), found (3, 2)"),
        ("x", (5, 3), "input 'x': need shape (5, 2), found (5, 3)"),
        ("x", (10,), "input 'x': need shape (5, 2), found (10,)"),
        ("i", (4,), "input 'i': need shape (5,), found (4,)"),
        ("w", (3,), "input 'w': need shape (2, 3), found (3,)"),
        ("w", (3, 2), "input 'w': need shape (2, 3), found (3, 2)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name: str, shape: tuple[int, ...], sentence: str) -> None:
    program = CompiledProgram(example(), {"n": 5})
    given = numbers()
    with pytest.raises(ShapeError, match=f"^{re.escape(sentence)}$"):
        program({**given, name: np.zeros(shape, given[name].dtype)})


@pytest.mark.parametrize("wrong", [-1, 3, 2**40])
def test_row_numbers_out_of_range_are_refused(wrong: int) -> None:
    program, given = CompiledProgram(example(), {"n": 5}), numbers()
    given["i"][2] = wrong
    with pytest.raises(ArgumentError, match=rf"^take: indices must be from 0 to 2, found {wrong} at position \(2,\)$"):
        program(given)


def test_constant_row_numbers_out_of_range_are_refused() -> None:
    x = make_input("x", (BATCH, 2), "float32")
    w = make_input("w", (3, 2), "float32")
    graph = Graph({"x": x.node, "w": w.node}, {"y": (x + w[np.array([0, 3])].sum(0)).node})
    with pytest.raises(ArgumentError, match=r"^take: indices must be from 0 to 2, found 3 at position \(1,\)$"):
        CompiledProgram(graph, {"n": 5})


def test_rows_added_by_number_stay_inside() -> None:
    x, i = make_input("x", (BATCH, 2), "float32"), make_input("i", (BATCH,), "int64")
    graph = Graph({"x": x.node, "i": i.node}, {"y": apply("scatter_add", x, i, rows=4).node})
    program = CompiledProgram(graph, {"n": 3})
    for wrong in (4, -1):
        with pytest.raises(ArgumentError, match=rf"indices must be from 0 to 3, found {wrong} at position \(1,\)$"):
            program({"x": np.ones((3, 2), np.float32), "i": np.array([0, wrong, 1])})


def test_one_program_serves_many_callers(oracle: SimpleNamespace) -> None:
    graph = example()
    program = CompiledProgram(graph, {"n": 64}, threads=2)
    givens = [{**numbers(64), "w": numbers(rows)["w"]} for rows in range(1, 9)]
    wanted = [oracle.contract(graph, {"n": 64}, given) for given in givens]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(program, givens * 10))
    for number, outputs in enumerate(found):
        oracle.all_same_bits(outputs, wanted[number % len(wanted)])


def test_a_graph_without_anything_to_compute(oracle: SimpleNamespace) -> None:
    x, s = make_input("x", (BATCH, 2), "float32"), make_input("s", (), "float64")
    graph = Graph({"x": x.node, "s": s.node}, {"x": x.node, "again": x.node, "s": s.node})
    given = {"x": np.array([[1.0, -0.0]], np.float32), "s": np.float64(3.5)}
    oracle.all_same_bits(CompiledProgram(graph, {"n": 1})(given), oracle.contract(graph, {"n": 1}, given))


TRAINING = """
import hashlib
import numpy as np
import fallline as fl
from fallline import nn, optim

rng = np.random.default_rng(0)
net = nn.Sequential(nn.Linear(8, 20), nn.GELU(), nn.BatchNorm(20), nn.Linear(20, 3), seed=0)
fl.fit(net, rng.normal(size=(50, 8)), rng.integers(0, 3, 50), optimizer=optim.Adam(0.01), batch_size=16, epochs=3)
print(hashlib.sha256(b"".join(w.tobytes() for w in net.parameters().values())).hexdigest())
"""


def test_a_second_process_gets_the_same_bits_from_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def train(folder: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", TRAINING],
            capture_output=True,
            text=True,
            timeout=250,
            env={**os.environ, "FALLLINE_CACHE": folder},
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return done.stdout

    first = train(str(cache))
    made = {path.name: path.stat().st_ino for path in cache.iterdir()}
    assert made
    second = train(str(cache))
    assert {path.name: path.stat().st_ino for path in cache.iterdir()} == made, "the second process compiles nothing"
    assert first == second == train("off")
