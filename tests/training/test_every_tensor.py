"""Every tensor of a step: what the training's own program computed, bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline import nn, optim
from fallline.ir.graph import Node
from fallline.nn.losses import get
from fallline.ops import functions as f
from fallline.training.batches import Batches
from fallline.training.every_tensor import every_tensor, step_inputs
from fallline.training.step import LOSS, Rows, StepProgram
from fallline.training.steppers import Snapshot, make_stepper
from fallline.training.update_graph import UpdateGraph, with_update

Array = NDArray[Any]
RNG = np.random.default_rng(3)
ROWS = 37
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
LABELS = RNG.integers(0, 4, size=ROWS)


class FiftyTimes(nn.Module):
    def __init__(self) -> None:
        self.inner, self.last = nn.Linear(6, 6), nn.Linear(6, 4)

    def __call__(self, x: Any) -> Any:
        for _ in range(50):
            x = f.tanh(self.inner(x))
        return self.last(x)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 9), nn.GELU(), nn.Linear(9, 4))


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm(16), nn.Tanh(), nn.Dropout(0.3), nn.LayerNorm(16), nn.Linear(16, 4)
    )


def embedding() -> nn.Module:
    return nn.Sequential(nn.Embedding(11, 5), nn.Flatten(), nn.Linear(30, 4))


CASES: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any]]] = {
    "mlp, sgd": (mlp, optim.SGD(lr=0.1), {}),
    "mlp, momentum, clipped": (mlp, optim.SGD(lr=0.1, momentum=0.9), {"clip_norm": 0.5, "clip_value": 0.1}),
    "mlp, adam, shards": (mlp, optim.Adam(lr=0.01), {"shards": 3}),
    "norms and dropout, adamw": (normed, optim.AdamW(lr=0.01), {"clip_norm": 1.0}),
    "norms and dropout, shards": (normed, optim.SGD(lr=0.1, momentum=0.5), {"shards": 3}),
    "embedding, adam": (embedding, optim.Adam(lr=0.01), {}),
    "shared fifty times": (FiftyTimes, optim.SGD(lr=0.1), {}),
}  # fmt: skip


def stepped(case: str, engine: str, step: int) -> tuple[UpdateGraph, dict[str, Any], int, int, float, Snapshot]:
    """(update, what the step was given, its rows, shards, its loss, the state after it), by the training's program."""
    make, optimizer, options = CASES[case]
    net, shards = make(), options.get("shards", 1)
    clips = {name: options.get(name) for name in ("clip_value", "clip_norm")}
    x = RNG.integers(0, 11, size=(ROWS, 6)) if case.startswith("embedding") else X
    rows = Rows(x, LABELS)
    program = StepProgram(net, rows, get("cross_entropy"), shards=shards, engine=engine)
    batches = Batches(rows, 10, seed=5, shuffle=True)
    start = Snapshot(net.parameters(), net.buffers(), optimizer.init(net.parameters()))
    given: dict[str, Any] = {**clips, "threads": 1, "shards": shards}
    stepper = make_stepper(engine, program, optimizer, batches, start, lambda first, count: np.ones(count), **given)
    assert stepper.engine == engine
    stepper.run(0, step)
    before = stepper.snapshot()
    update = with_update(program.graph, optimizer, **clips)
    inputs = step_inputs(program, update, batches, before, 1.0)
    loss = float(stepper.run(step, 1)[0])
    return update, inputs, int(batches.sizes(step, 1)[0]), shards, loss, stepper.snapshot()


@pytest.mark.parametrize("step", [2, 3])  # the last batch of an epoch has 7 rows
@pytest.mark.parametrize("case", CASES)
def test_the_tensors_are_those_of_the_fused_program(case: str, step: int) -> None:
    update, inputs, rows, shards, loss, after = stepped(case, "compiled", step)
    found = {id(node): value for node, value in every_tensor(update.graph, {"n": rows}, inputs, "compiled", shards)}
    assert len(found) == len(update.graph.nodes())
    assert float(found[id(update.graph.outputs[LOSS])]) == loss
    for name, array in update.state_inputs(after.weights, after.buffers, after.state).items():
        value = found[id(update.graph.outputs[update.updates[name]])]
        assert value.tobytes() == array.tobytes(), name


@pytest.mark.parametrize("case", ["mlp, sgd", "norms and dropout, shards", "embedding, adam"])
def test_on_the_reference_engine_they_are_those_of_its_walk(case: str) -> None:
    update, inputs, rows, shards, loss, after = stepped(case, "reference", 3)
    found = {id(node): value for node, value in every_tensor(update.graph, {"n": rows}, inputs, "reference", shards)}
    assert float(found[id(update.graph.outputs[LOSS])]) == loss
    for name, array in update.state_inputs(after.weights, after.buffers, after.state).items():
        assert found[id(update.graph.outputs[update.updates[name]])].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("case", ["norms and dropout, shards", "embedding, adam"])
def test_both_engines_give_nearly_the_same_for_every_node(case: str) -> None:
    """In the same order, in the same shapes and kinds; so no node is mistaken for another."""
    update, inputs, rows, shards, _, _ = stepped(case, "compiled", 1)
    compiled = list(every_tensor(update.graph, {"n": rows}, inputs, "compiled", shards))
    walked = list(every_tensor(update.graph, {"n": rows}, inputs, "reference", shards))
    for (node, value), (same, expected) in zip(compiled, walked, strict=True):
        assert node is same
        assert (value.shape, value.dtype) == (np.shape(expected), np.asarray(expected).dtype), node
        np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-5, err_msg=repr(node))


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_only_some_nodes(engine: str) -> None:
    update, inputs, rows, shards, _, _ = stepped("mlp, sgd", "compiled", 1)

    def products(node: Node) -> bool:
        return node.op.name == "matmul"

    found = list(every_tensor(update.graph, {"n": rows}, inputs, engine, shards, only=products))
    assert len(found) == 3 + 3 + 2  # forward, dL/dW, dL/dx but that of the first layer
    assert all(value.shape == tuple(10 if str(d) == "n" else d for d in node.type.shape) for node, value in found)
