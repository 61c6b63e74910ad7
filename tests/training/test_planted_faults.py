"""Planted faults: NaN or infinity at a step, in a layer and by an op that the test knows beforehand.

Most are planted into one row of the data, number 17: the step that takes it follows from the order of rows alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim

Array = NDArray[Any]
ROWS, BATCH, FAULTY = 40, 8, 17
STEPS = ROWS // BATCH
IN_EPOCH = [int(np.flatnonzero(fl.batch_order(ROWS, seed=0, epoch=epoch) == FAULTY)[0]) // BATCH for epoch in range(3)]
STEP = IN_EPOCH[0]
"""The step of the first epoch that takes row 17."""


class Of(nn.Module):
    """A layer that is a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x)


class FiftyTimes(nn.Module):
    """One weight, applied fifty times: w⁵⁰·x."""

    def __init__(self) -> None:
        self.inner = nn.Linear(1, 1, bias=False)

    def __call__(self, x: Any) -> Any:
        for _ in range(50):
            x = self.inner(x)
        return x


class Spike(optim.Schedule):
    """The learning rate times 10³⁸ at one step."""

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: Any = None) -> float:
        return 1e38 if step == 7 else 1.0

    def config(self) -> dict[str, Any]:
        return {"name": "spike"}


def data(usual: float, faulty: float) -> Array:
    """One column: a number in all rows but 17, which has another."""
    x = np.full((ROWS, 1), usual, dtype=np.float32)
    x[FAULTY] = faulty
    return x


def linear(weight: float = 1.0) -> nn.Linear:
    """y = weight·x."""
    net = nn.Linear(1, 1, bias=False)
    net.load_parameters({"weight": [[weight]]})
    return net


def behind(layer: Callable[[Any], Any], weight: float = 1.0) -> nn.Module:
    """A function of weight·x."""
    return nn.Sequential(linear(weight), Of(layer))


def shared(weight: float) -> nn.Module:
    net = FiftyTimes()
    net.load_parameters({"inner.weight": [[weight]]})
    return net


def without_eps() -> nn.Module:
    norm = nn.BatchNorm(1)
    norm.eps = 0.0
    return nn.Sequential(linear(), norm)


def embedding() -> nn.Module:
    net = nn.Sequential(nn.Embedding(6, 2), Of(lambda x: fl.exp(x).sum(-1, keepdims=True)))
    table = np.zeros((6, 2))
    table[5, 1] = 200.0
    net.load_parameters({"0.weight": table})
    return net


def overwrite(x: Array) -> Callable[[Any, int], None]:
    """A callback that spoils row 17 after the first epoch."""

    def spoil(run: Any, epoch: int) -> None:
        x[FAULTY] = np.inf

    return spoil


@dataclass(frozen=True)
class Planted:
    """A training that goes bad.

    Attributes:
        net: makes its network.
        x: the inputs; the targets are 0 unless given.
        says: what the message must say, in this order, of tensor, op and values.
        step: the step at which it goes bad.
        fit: further arguments.
        spoil: whether a callback spoils the inputs.
    """

    net: Callable[[], nn.Module]
    x: Array
    says: tuple[str, ...]
    step: int = STEP
    fit: dict[str, Any] = field(default_factory=dict)
    spoil: bool = False


ROW = "in row 17 of the training set"
FAULTS = {
    "exp overflows": Planted(
        lambda: behind(fl.exp),
        data(1.0, 120.0),
        (f"exp overflowed in layer 1 (Of), {ROW}: the output of layer 0 (Linear) reached 120, and float32's limit",
         "is 88.72"),
    ),
    "log of 0 in an own loss": Planted(
        linear,
        data(1.0, 0.0),
        (f"log made -infinity in the loss, {ROW}: the logarithm of 0;",),
        fit={"loss": lambda o, t: -fl.log(o).sum(-1)},
    ),
    "log of a negative number in an own loss": Planted(
        linear,
        data(1.0, -3.0),
        (f"log made nan in the loss, {ROW}: the logarithm of -3, a negative number;",),
        fit={"loss": lambda o, t: -fl.log(o).sum(-1)},
    ),
    "0 ÷ 0 in an own loss": Planted(
        linear,
        data(1.0, 0.0),
        (f"divide made nan in the loss, {ROW}: the output of the network (Linear) 0 ÷ the output of the network "
         "(Linear) 0;",),
        fit={"loss": lambda o, t: (o / o).sum(-1)},
    ),
    "no variance": Planted(
        without_eps,
        data(2.0, 2.0),
        ("divide made nan in layer 1 (BatchNorm), in rows ", "5 more of the training set (the whole batch): 0 ÷ 0"),
        step=0,
    ),
    "0 × infinity": Planted(
        lambda: behind(lambda x: (x - 7.0) * fl.where(x > 6.0, np.inf, 1.0)),
        data(1.0, 7.0),
        (f"multiply made nan in layer 1 (Of), {ROW}: 0 × infinity;",),
    ),
    "infinity − infinity": Planted(
        lambda: behind(lambda x: fl.where(x > 6.0, -np.inf, x) - fl.where(x > 6.0, -np.inf, 0.0)),
        data(1.0, 7.0),
        (f"subtract made nan in layer 1 (Of), {ROW}: -infinity − (-infinity);",),
    ),
    "an infinite input slipped past": Planted(
        linear,
        data(1.0, 2.0),
        (f"the input x holds infinity {ROW}, which it did not when it was checked;",),
        step=STEPS + IN_EPOCH[1],
        spoil=True,
    ),
    "a shared weight applied fifty times": Planted(
        lambda: shared(7.0),
        data(0.0, 1.0),
        (f"matmul overflowed in call 46 of 50 of layer inner (Linear), {ROW}: a product, the output of call 45 of "
         "50 of layer inner (Linear) up to 1.07e+38 in size × 'inner.weight' up to 7, is beyond float32's largest",),
    ),
    "square root of a negative number": Planted(
        lambda: behind(lambda x: fl.sqrt(x) * 2.0),
        data(1.0, -0.25),
        (f"sqrt made nan in layer 1 (Of), {ROW}: the square root of the output of layer 0 (Linear) -0.25, a negative",),
    ),
    "a power of 0": Planted(
        lambda: behind(lambda x: x**-1.5),
        data(1.0, 0.0),
        (f"power made infinity in layer 1 (Of), {ROW}: 0 to the power -1.5;",),
    ),
    "division by 0": Planted(
        lambda: behind(lambda x: 3.0 / x),
        data(1.0, 0.0),
        (f"divide made infinity in layer 1 (Of), {ROW}: 3 ÷ the output of layer 0 (Linear) 0;",),
    ),
    "a softmax by hand": Planted(
        lambda: nn.Sequential(
            nn.Linear(1, 2, bias=False, init="ones"), Of(lambda x: fl.exp(x) / fl.exp(x).sum(-1, True))
        ),
        data(1.0, 112.0),
        (f"exp overflowed in layer 1 (Of), {ROW}, column 0: the output of layer 0 (Linear) reached 112",
         "; of that, divide made nan in layer 1 (Of): infinity ÷ infinity;"),
        fit={"y": np.zeros((ROWS, 2))},
    ),
    "an embedding": Planted(
        embedding,
        np.where(np.arange(ROWS) == FAULTY, 5, 1),
        (f"exp overflowed in layer 1 (Of), {ROW}, column 1: the output of layer 0 (Embedding) reached 200",),
    ),
    "a square in the loss": Planted(
        linear,
        data(1.0, 1e25),
        (f"multiply overflowed in the loss, {ROW}: the square of 1e+25 is beyond float32's largest number",),
    ),
    "a sum over the rows": Planted(
        linear,
        data(2e38, 2e38),
        ("sum overflowed in the loss: the sum of 8 numbers, up to 2e+38 in size, is beyond float32's",),
        step=0,
        fit={"loss": lambda o, t: o.sum(-1)},
    ),
}  # fmt: skip

UPDATES = {
    "learning rate × gradient": Planted(
        linear,
        data(1e4, 1e4),
        ("made 'weight' -inf at (0, 0): multiply overflowed in the update of 'weight', at (0, 0) of shape (1, 1): "
         "learning rate 1e+38 × the gradient of 'weight' 1e+04 is beyond", "; learning rate 1e+38."),
        step=7,
        fit={"loss": lambda o, t: o.sum(-1), "optimizer": optim.SGD(lr=1.0), "schedule": Spike(), "epochs": 3},
    ),
    "momentum without clipping": Planted(  # velocity: 2·10³⁸, then 0.9·2·10³⁸ + 2·10³⁸
        lambda: linear(0.0),
        data(2e8, 2e8),
        ("made 'weight' -inf at (0, 0): add overflowed in the update of 'weight'",
         ": 1.8e+38 + the gradient of 'weight' 2e+38 is beyond"),
        step=1,
        fit={"loss": lambda o, t: o.sum(-1) * 1e30, "optimizer": optim.SGD(lr=1e-42, momentum=0.9)},
    ),
    "Adam's second moment": Planted(  # the loss and the weights stay finite
        lambda: linear(0.0),
        data(1.0, 8e25),
        ("made 'second_moment of weight' inf at (0, 0): multiply overflowed in the update of 'weight'",
         ": the square of the gradient of 'weight' 1e+25 is beyond"),
        fit={"loss": lambda o, t: o.sum(-1), "optimizer": optim.Adam()},
    ),
    "a gradient of a square root at 0": Planted(  # the loss is finite, its gradient is not
        lambda: linear(1.0),
        data(1.0, 0.0),
        ("made 'weight' ", f"divide made infinity in backpropagation through sqrt of the loss, {ROW}: 0.0625 ÷ 0",),
        fit={"loss": lambda o, t: fl.sqrt(o).sum(-1)},
    ),
    "a sum of gradients": Planted(
        lambda: linear(0.0),
        data(3e8, 3e8),
        ("made 'weight' -inf at (0, 0): matmul overflowed in backpropagation through matmul of the network (Linear), "
         "at (0, 0) of shape (1, 1): a sum of 8 products", "is beyond"),
        step=0,
        fit={"loss": lambda o, t: o.sum(-1) * 1e31, "epochs": 1},
    ),
}  # fmt: skip


def train(planted: Planted, engine: str, **further: Any) -> Any:
    x = planted.x.copy()
    options: dict[str, Any] = {
        "y": np.zeros((ROWS, 1)), "loss": "mse", "optimizer": optim.SGD(lr=1e-30), "batch_size": BATCH, "epochs": 2,
        **planted.fit, **further,
    }  # fmt: skip
    return fl.fit(planted.net(), x, engine=engine, callbacks=[overwrite(x)] if planted.spoil else [], **options)


def assert_says(problem: str, parts: tuple[str, ...]) -> None:
    place = 0
    for part in parts:
        assert part in problem[place:], f"{part!r} is missing from {problem!r}"
        place = problem.index(part, place) + len(part)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_loss_is_found(name: str, engine: str) -> None:
    planted = FAULTS[name]
    run = train(planted, engine)
    assert run.engine == engine
    assert run.stopped == "nan"
    assert len(run.steps["loss"]) == planted.step
    assert_says(run.problem, (f" at step {planted.step} (epoch {planted.step // STEPS + 1}): ", *planted.says))


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("name", UPDATES)
def test_a_fault_in_an_update_is_found_though_the_losses_were_finite(name: str, engine: str) -> None:
    planted = UPDATES[name]
    run = train(planted, engine)
    assert run.stopped == "nan"
    assert_says(run.problem, (f"the update at step {planted.step} (epoch {planted.step // STEPS + 1}) ", *planted.says))
