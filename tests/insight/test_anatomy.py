"""A network's layers as its graph tells them: sizes and costs counted by hand, the path from inputs to loss."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline import nn
from fallline.insight.anatomy import EMBEDDING, LINEAR, SCALE, Anatomy, anatomy_of
from fallline.ir.types import BATCH
from fallline.nn.losses import Ensemble
from fallline.nn.losses import get as get_loss
from fallline.ops import functions as f
from fallline.tables.network import NetworkPlan, TableNetwork
from fallline.training.step import build_graph, check_rows

RNG = np.random.default_rng(0)


def anatomy(net: nn.Module, x: Any, y: Any, loss: Any = "mse") -> Anatomy:
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, None, "float32", "test")
    graph = build_graph(net, rows, chosen, training=True, backward=True)
    return anatomy_of(graph, {name: type(module).__name__ for name, module in net.named_modules().items()})


def linear(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for one, other in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return nn.Sequential(*layers[:-1], seed=0)


def test_a_perceptron_is_told_layer_by_layer() -> None:
    net = nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.1), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), seed=0
    )
    found = anatomy(net, RNG.normal(size=(8, 4)), RNG.normal(size=(8, 3)))
    assert [(stage.name, stage.module, stage.kind) for stage in found.stages] == [
        ("0", "Linear", LINEAR), ("3", "Linear", LINEAR), ("5", "Linear", LINEAR),
    ]  # fmt: skip
    assert [stage.then for stage in found.stages] == [("ReLU", "Dropout"), ("Tanh",), ()]
    assert [stage.sources for stage in found.stages] == [("x",), ("0",), ("3",)]
    assert [stage.count for stage in found.stages] == [4 * 6 + 6, 6 * 5 + 5, 5 * 3 + 3]
    assert [stage.multiply_adds for stage in found.stages] == [4 * 6, 6 * 5, 5 * 3]
    assert [stage.weight for stage in found.stages] == ["0.weight", "3.weight", "5.weight"]
    assert [node.type.shape for node in found.carried] == [(BATCH, 4), (BATCH, 6), (BATCH, 5), (BATCH, 3)]
    assert found.main == list(found.stages)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
@settings(max_examples=20)
def test_costs_are_products_of_widths(widths: list[int]) -> None:
    found = anatomy(linear(*widths), np.zeros((3, widths[0])), np.zeros((3, widths[-1])))
    pairs = list(zip(widths, widths[1:], strict=False))
    assert [stage.multiply_adds for stage in found.main] == [one * other for one, other in pairs]
    assert [stage.count for stage in found.main] == [one * other + other for one, other in pairs]


class Shortcut(nn.Module):
    """A layer applied twice, with a way around it."""

    def __init__(self) -> None:
        super().__init__(0)
        self.inner, self.last = nn.Linear(3, 3), nn.Linear(3, 1)

    def __call__(self, x: Any) -> Any:
        return self.last(x + f.relu(self.inner(f.relu(self.inner(x)))))


def test_a_layer_applied_twice_with_a_way_around_it() -> None:
    found = anatomy(Shortcut(), np.zeros((4, 3)), np.zeros((4, 1)))
    inner, last = found.stages
    assert (inner.uses, inner.multiply_adds) == (2, 2 * 3 * 3)
    assert set(last.sources) == {"x", "inner"}
    assert [stage.name for stage in found.main] == ["inner", "last"]


class Turned(nn.Module):
    """A product with the weight on the left, of rows that stand side by side."""

    def __init__(self) -> None:
        super().__init__(0)
        self.weight = nn.Parameter((2, 3), "ones")

    def __call__(self, x: Any) -> Any:
        return (self.weight @ f.exp(x.transpose(1, 0))).transpose(1, 0)


def test_what_has_no_rows_in_front_is_told_and_not_drawn() -> None:
    found = anatomy(Turned(), np.zeros((4, 3)), np.zeros((4, 2)))
    (own,) = found.stages
    assert (own.name, own.kind, own.given, own.main) == ("", LINEAR, None, False)
    assert [node.type.shape for node in found.carried] == [(BATCH, 2)]


def test_normalising_is_a_scale() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Linear(4, 2), seed=0)
    found = anatomy(net, RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2)))
    assert [stage.kind for stage in found.stages] == [LINEAR, SCALE, LINEAR]
    assert found.stages[1].then == ("ReLU",)


def test_an_ensemble_of_a_table() -> None:
    plan = NetworkPlan(
        dense=2, embedded=((5, 3),), bags=(), hidden=(8, 6), outputs=3, activation="relu", dropout=0.1, members=4,
        knots=((0.0, 1.0, 2.0), (0.0, 1.0)),
    )  # fmt: skip
    x = np.column_stack([RNG.normal(size=(16, 2)), RNG.integers(0, 5, 16)]).astype(np.float32)
    found = anatomy(TableNetwork(plan, 0), x, RNG.integers(0, 3, 16), Ensemble("cross_entropy"))
    kinds = {stage.name: stage.kind for stage in found.stages}
    assert kinds == {
        "embeddings.0": EMBEDDING, "direct": LINEAR, "first": LINEAR, "bends": LINEAR, "scales": SCALE,
        "layers.0": LINEAR, "heads": LINEAR,
    }  # fmt: skip
    assert [stage.name for stage in found.main] == ["first", "scales", "layers.0", "heads"]
    by_name = {stage.name: stage for stage in found.stages}
    assert set(by_name["scales"].sources) == {"first", "bends"}
    assert set(by_name["first"].sources) == {"x", "embeddings.0"}
    assert [node.type.shape for node in found.carried] == [
        (BATCH, 5), (BATCH, 8), (BATCH, 4, 8), (BATCH, 4, 6), (BATCH, 4, 3),
    ]  # fmt: skip
    costs = {name: stage.multiply_adds for name, stage in by_name.items()}
    assert costs == {
        "embeddings.0": 0, "direct": 5 * 3, "first": 5 * 8, "bends": 3 * 8, "scales": 4 * 8, "layers.0": 4 * 8 * 6,
        "heads": 4 * 6 * 3,
    }  # fmt: skip
