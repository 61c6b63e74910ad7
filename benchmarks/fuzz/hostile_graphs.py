"""Prediction graphs that are well-formed and ask for what no machine has: memory, time, depth.

Each attack changes the JSON of a graph whose output is float32 (n, k) so that the output passes through it.
"""

import random
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Attack = Callable[[random.Random, Json], None]
ROWS = {"dim": "n", "factor": 1}


def doubling(rng: random.Random, graph: Json) -> None:
    """x + x of x + x of …: as a tree, 2^depth terms."""
    for _ in range(rng.choice((40, 400, 4000))):
        last = graph["outputs"]["outputs"]
        _add(graph, rng.choice(("add", "multiply", "maximum")), [last, last])


def long_chain(rng: random.Random, graph: Json) -> None:
    """As many nodes in a row as a file may have, or too many."""
    op = rng.choice(("negate", "tanh", "exp", "relu"))
    for _ in range(rng.choice((3000, 20_000, 99_000, 100_001))):
        _add(graph, op, [graph["outputs"]["outputs"]])


def growing(rng: random.Random, graph: Json) -> None:
    """Each concatenation doubles the width: 2^30 numbers from thirty nodes."""
    for _ in range(rng.choice((18, 24, 29, 40))):
        last = graph["outputs"]["outputs"]
        _add(graph, "concatenate", [last, last], axis=1)


def wide(rng: random.Random, graph: Json) -> None:
    """One row becomes very many numbers at once."""
    size = rng.choice((2**20, 2**26, 2**29, 2**31, 2**62, 2**64))
    first = graph["outputs"]["outputs"]
    last = _add(graph, "sum", [first], axes={"tuple": [1]})
    last = _add(graph, "reshape", [last], shape={"tuple": [ROWS, 1]})
    last = _add(graph, "broadcast", [last], shape={"tuple": [ROWS, size]})
    for _ in range(rng.choice((0, 5))):
        last = _add(graph, "exp", [last])


def work(rng: random.Random, graph: Json) -> None:
    """Products of large matrices made of nothing: little memory, endless time."""
    side = rng.choice((512, 2048, 8192))
    last = _add(graph, "constant", [], value={"float": "0x1p-13"}, dtype={"dtype": "float32"})
    last = _add(graph, "broadcast", [last], shape={"tuple": [side, side]})
    for _ in range(rng.choice((1, 20, 1000))):
        last = _add(graph, "matmul", [last, last])
    last = _add(graph, "sum", [last], axes={"tuple": [0, 1]})
    _add(graph, "broadcast", [last], shape={"tuple": [ROWS, 1]})


def many_rows(rng: random.Random, graph: Json) -> None:
    """A dimension of n times a huge factor."""
    factor = rng.choice((2, 2**20, 2**30, 2**62, 0, -1))
    last = _add(graph, "broadcast", [graph["outputs"]["outputs"]], shape={"tuple": [{"dim": "n", "factor": factor}, 3]})
    last = _add(graph, "sum", [last], axes={"tuple": [1]})
    _add(graph, "reshape", [last], shape={"tuple": [ROWS, factor]})


def wrong_name(rng: random.Random, graph: Json) -> None:
    """Inputs and outputs called what they are not, or like a path."""
    ends = graph[rng.choice(("inputs", "outputs"))]
    name = rng.choice(list(ends))
    ends[rng.choice(("../../x", "", "@y", "outputs", "__class__", name + "\0", "a" * 100_000))] = ends.pop(name)


def circle(rng: random.Random, graph: Json) -> None:
    """A node that needs itself or a later one."""
    nodes = graph["nodes"]
    place = rng.randrange(len(nodes))
    nodes[place]["inputs"] = [rng.choice((place, len(nodes) - 1, place + 1))] * max(1, len(nodes[place]["inputs"]))


ATTACKS: tuple[Attack, ...] = (doubling, long_chain, growing, wide, work, many_rows, wrong_name, circle)


def _add(graph: Json, op: str, inputs: list[int], **attributes: Any) -> int:
    """One more node, which becomes the output."""
    graph["nodes"].append({"op": op, "inputs": inputs, "attributes": attributes})
    place = len(graph["nodes"]) - 1
    graph["outputs"]["outputs"] = place
    return place
