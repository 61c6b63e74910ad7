"""Training steps of networks, compiled: the contract's bits, and the reference walk's numbers in float64."""

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline import nn
from fallline.engine.compiled import CompiledProgram
from fallline.ir.graph import Graph
from fallline.ir.transform import retype_floats
from fallline.ir.types import DType
from fallline.nn.losses import LOSSES, get
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y, values_of
from fallline.training.step import build_graph, check_rows

Array = NDArray[Any]
BOUNDS = {"float32": 2e-5, "float64": 1e-12}
"""What compiled and reference may differ by: this much of the tensor's largest entry, or of a hundredth of the largest
entry of all results, where a tensor is the rounding that is left of sums that cancel."""


def step(net: nn.Module, x: Any, y: Any, loss: Any, dtype: str, weight: Any = None) -> tuple[Graph, dict[str, Any]]:
    """The graph of a training step, in float64 if wanted, and its inputs."""
    chosen = get(loss)
    rows = check_rows(net, x, y, chosen, weight, dtype, "test")
    graph = build_graph(net, rows, chosen, training=True, backward=True)
    given = {**values_of(net), X: rows.x, Y: rows.y, DENOMINATOR: np.asarray(len(rows), dtype=dtype)}
    given |= {SEED: np.int64(3), STEP: np.int64(5)}
    if rows.weight is not None:
        given[SAMPLE_WEIGHT] = rows.weight
    return graph if dtype == "float32" else retype_floats(graph, DType(dtype)), given


class Checker:
    """Compiles a graph and compares it with both oracles."""

    def __init__(self, oracle: SimpleNamespace) -> None:
        self.oracle = oracle

    def __call__(self, graph: Graph, given: dict[str, Any], dtype: str, shards: int = 1) -> None:
        sizes = {"n": len(given[X])}
        found = CompiledProgram(graph, sizes, shards, threads=2)(given)
        self.oracle.all_same_bits(found, self.oracle.contract(graph, sizes, given, shards))
        wide = graph if dtype == "float64" else retype_floats(graph, DType("float64"))
        wanted = self.oracle.reference(wide, sizes, given, shards)
        self.oracle.all_close(
            found, wanted, BOUNDS[dtype], 0.01 * max(np.max(np.abs(value)) for value in wanted.values())
        )


@pytest.fixture
def check(oracle: SimpleNamespace) -> Checker:
    return Checker(oracle)


@pytest.fixture(scope="module")
def tables(oracle: SimpleNamespace) -> ModuleType:
    """The networks and losses of `tests/training/test_gradients.py`: every layer, activation and loss."""
    module: ModuleType = oracle.load("training/test_gradients.py")
    return module


NETWORKS = [
    *(
        "linear",
        "linear without bias",
        "linear on 3-D",
        "flatten",
        "dropout",
        "dropout twice",
        "embedding",
        "batch norm",
    ),
    *("batch norm on 3-D", "layer norm", "nested", "shared weight", "two branches", *nn.activations.ACTIVATIONS),
]
LOSS_CASES = [
    *(
        "mse",
        "mae",
        "huber",
        "binary",
        "cross-entropy",
        "soft targets",
        "smoothed",
        "ensemble",
        "poisson",
        "hinge of classes",
    ),
    *("hinge of signs", "own, one number", "own, one per row"),
]


def test_the_tables_are_complete(tables: ModuleType) -> None:
    assert set(NETWORKS) == set(tables.NETWORKS)
    assert set(LOSS_CASES) == set(tables.LOSSES)
    named = {get(loss).name for loss, _ in tables.LOSSES.values()}
    assert set(LOSSES) <= named


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_and_activation(check: Checker, tables: ModuleType, name: str, dtype: str) -> None:
    rng = np.random.default_rng(NETWORKS.index(name))
    make, kind = tables.NETWORKS[name]
    net, x = tables.in_float64(make(), rng), tables.inputs(kind, rng)
    check(*step(net, x, rng.normal(size=(len(x), tables.CLASSES)), "mse", dtype), dtype)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", LOSS_CASES)
def test_every_loss(check: Checker, tables: ModuleType, name: str, dtype: str) -> None:
    rng = np.random.default_rng(LOSS_CASES.index(name))
    loss, targets = tables.LOSSES[name]
    net = tables.in_float64(tables.NETWORKS["tanh"][0](), rng)
    x, y = tables.inputs("plain", rng), targets(rng)
    weight = None if name == "own, one number" else rng.uniform(0.2, 2.0, len(x))
    check(*step(net, x, y, loss, dtype, weight), dtype)


# --- sizes

BATCHES = [1, 2, 5, 16, 17, 31, 33, 64, 100]
WIDTHS = [1, 2, 3, 7, 8, 10, 15, 16, 17, 31, 33, 64, 100]


def classifier(widths: tuple[int, ...], *middle: nn.Module) -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(widths[0], widths[1])]
    for before, after in zip(widths[1:], widths[2:], strict=False):
        layers += [nn.ReLU(), nn.Linear(before, after)]
    return nn.Sequential(*layers[:1], *middle, *layers[1:], seed=0)


def sizes() -> list[tuple[int, tuple[int, ...]]]:
    """Each batch and each width in every place of a network, not all combinations."""
    found = []
    for i, _ in enumerate(WIDTHS):
        rows = BATCHES[i % len(BATCHES)]
        found.append((rows, tuple(WIDTHS[(i * step + step) % len(WIDTHS)] for step in (1, 3, 5, 6))))
    return found


def data(rows: int, widths: tuple[int, ...]) -> tuple[Array, Array]:
    rng = np.random.default_rng([rows, *widths])
    return rng.normal(size=(rows, widths[0])), rng.integers(0, widths[-1], rows)


@pytest.mark.parametrize(("rows", "widths"), sizes(), ids=str)
def test_sizes_around_lanes_and_tiles(check: Checker, rows: int, widths: tuple[int, ...]) -> None:
    dtype = "float64" if rows in (2, 17) else "float32"
    x, y = data(rows, widths)
    check(*step(classifier(widths), x, y, "cross_entropy", dtype), dtype)


def test_all_sizes_have_their_turn() -> None:
    cases = sizes()
    assert {rows for rows, _ in cases} == set(BATCHES)
    assert all({widths[place] for _, widths in cases} == set(WIDTHS) for place in range(4))


@pytest.mark.parametrize("shards", [2, 3, 8])
@pytest.mark.parametrize("rows", [1, 5, 33])
def test_shards(check: Checker, rows: int, shards: int) -> None:
    widths = (10, 17, 5)
    x, y = data(rows, widths)
    net = classifier(widths, nn.BatchNorm(17), nn.Dropout(0.2))
    graph, given = step(net, x, y, "cross_entropy", "float32")
    check(graph, given, "float32", shards)
