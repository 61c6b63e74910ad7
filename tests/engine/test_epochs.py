"""Steps as native calls: the bits of a loop of gradients and updates, whatever is run at a time."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline import nn, optim
from fallline.data.batches import batch_order
from fallline.engine.epochs import Epochs
from fallline.engine.target import host_target, restricted, using_target
from fallline.errors import ArgumentError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.nn.losses import get
from fallline.nn.trace import DENOMINATOR, SEED, STEP, X, Y
from fallline.ops import make_input
from fallline.optim import Optimizer, clip_by_global_norm, clip_by_value
from fallline.optim.rule import RULES
from fallline.training.batches import Batches
from fallline.training.step import LOSS, StepProgram, check_rows
from fallline.training.update_graph import slot_name, with_update

Array = NDArray[Any]
ROWS, BATCH_SIZE, TRAINING_SEED = 45, 8, 11
"""Five whole batches and one of five rows."""


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 20), nn.BatchNorm(20), nn.Tanh(), nn.Dropout(0.2), nn.Linear(20, 3), seed=2)


def plain_network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3), seed=2)


class Training:
    """One training both ways: as `Epochs`, and as a loop of compiled gradients and `Optimizer.update`."""

    def __init__(
        self, net: nn.Module, x: Any, y: Any, loss: str, optimizer: Optimizer, *, batch: int = BATCH_SIZE,
        shuffle: bool = True, clip_value: float | None = None, clip_norm: float | None = None, shards: int = 1,
    ) -> None:  # fmt: skip
        self.net, self.optimizer, self.shards = net, optimizer, shards
        self.clip_value, self.clip_norm = clip_value, clip_norm
        rows = check_rows(net, x, y, get(loss), None, net.dtype, "test")
        self.program = StepProgram(net, rows, get(loss), dtype=net.dtype, shards=shards)
        self.batches = Batches(rows, batch, TRAINING_SEED, shuffle)
        self.update = with_update(self.program.graph, optimizer, clip_value, clip_norm)
        self.memory: Any = optimizer.init(net.parameters())["memory"]

    def epochs(self, threads: int | None = 1) -> Epochs:
        weights = self.net.parameters()
        return Epochs(
            self.update.graph,
            rows={X: self.batches.rows.x, Y: self.batches.rows.y},
            state=self.update.state_inputs(weights, self.net.buffers(), self.optimizer.init(weights)),
            updates=self.update.updates,
            scalars=(DENOMINATOR, *self.update.scalars),
            step=STEP,
            seed=(SEED, TRAINING_SEED),
            loss=LOSS,
            batch_size=self.batches.batch_size,
            shuffle=self.batches.shuffle,
            order_seed=TRAINING_SEED,
            threads=threads,
            shards=self.shards,
        )

    def scalars(self, steps: int) -> Array:
        """What each step is given, from the first on."""
        numbers, _ = self.update.scalar_values(1, self.memory, np.ones(steps))
        return np.column_stack([self.batches.denominators(0, steps), numbers])

    def by_hand(self, steps: int) -> tuple[list[float], dict[str, Array]]:
        """The losses, and weights, buffers and state after the last step."""
        weights, buffers = self.net.parameters(), self.net.buffers()
        state, losses = self.optimizer.init(weights), []
        for step in range(steps):
            batch, divisor = self.batches.rows_of(step), float(self.batches.denominators(step, 1)[0])
            found = self.program(batch, {**weights, **buffers}, divisor, TRAINING_SEED, step)
            gradients, buffers = found.gradients, {**buffers, **found.buffers}
            if self.clip_value is not None:
                gradients = clip_by_value(gradients, self.clip_value)
            if self.clip_norm is not None:
                gradients, _ = clip_by_global_norm(gradients, self.clip_norm)
            losses.append(found.loss)
            weights, state = self.optimizer.update(weights, gradients, state)
        slots = {slot_name(slot, name): state[slot][name] for slot, name in self.update.slots}
        return losses, {**weights, **buffers, **slots}


def check(oracle: SimpleNamespace, training: Training, steps: int, threads: int | None = 1) -> None:
    wanted, state = training.by_hand(steps)
    epochs = training.epochs(threads)
    assert epochs.run(0, training.scalars(steps)).tolist() == wanted
    oracle.all_same_bits(epochs.read(), state)


def classes(rows: int = ROWS, columns: int = 6) -> tuple[Array, Array]:
    rng = np.random.default_rng(rows)
    return rng.normal(size=(rows, columns)), rng.integers(0, 3, rows)


OPTIMIZERS: list[Optimizer] = [
    optim.SGD(0.1),
    optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    optim.SGD(0.1, momentum=0.9, groups={"0.*": 0.01, "*.bias": 0}),
    optim.Adagrad(0.1, lr_decay=0.1, initial_accumulator_value=0.1, weight_decay=0.1),
    optim.RMSprop(momentum=0.5, centered=True, weight_decay=0.1),
    optim.Adadelta(weight_decay=0.1),
    optim.Adam(amsgrad=True, weight_decay=0.1),
    optim.AdamW(),
    optim.NAdam(weight_decay=0.1),
    optim.RAdam(weight_decay=0.1, decoupled_weight_decay=True),
    optim.Lion(weight_decay=0.1),
]


def test_every_rule_has_its_turn() -> None:
    assert {optimizer.rule.name for optimizer in OPTIMIZERS} == set(RULES)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_epochs_are_the_loop_of_gradients_and_updates(oracle: SimpleNamespace, optimizer: Optimizer) -> None:
    check(oracle, Training(plain_network(), *classes(), "cross_entropy", optimizer), steps=14)


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"batch": 1},
        {"batch": 45},
        {"batch": 99},
        {"batch": 44},
        {"clip_value": 0.01},
        {"clip_norm": 0.1},
        {"clip_value": 0.05, "clip_norm": 0.1},
        {"shards": 3},
        {"shards": 8, "clip_norm": 0.1, "batch": 7},
    ],
    ids=str,
)
def test_batches_clipping_and_shards(oracle: SimpleNamespace, options: dict[str, Any]) -> None:
    net = network() if "shards" in options else plain_network()
    check(oracle, Training(net, *classes(), "cross_entropy", optim.SGD(0.1, momentum=0.9), **options), steps=9)


def test_float64(oracle: SimpleNamespace) -> None:
    net = network()
    net.load_parameters({name: w.astype(np.float64) for name, w in net.parameters().items()})
    net.load_buffers({name: b.astype(np.float64) for name, b in net.buffers().items()})
    assert net.dtype == "float64"
    check(oracle, Training(net, *classes(), "cross_entropy", optim.Adam(0.01)), steps=13)


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads(oracle: SimpleNamespace, threads: int) -> None:
    check(oracle, Training(network(), *classes(), "cross_entropy", optim.Adam(0.01)), steps=13, threads=threads)


def test_avx2(oracle: SimpleNamespace) -> None:
    host = host_target()
    if not host.is_x86 or host.vector_bytes < 64:
        pytest.skip(f"needs AVX-512 to compare AVX2 with, and {host.cpu} has none")
    training = Training(network(), *classes(), "cross_entropy", optim.SGD(0.1, momentum=0.9))
    wanted, state = training.by_hand(13)
    with using_target(restricted(host, "avx2")):
        epochs = training.epochs()
        assert epochs.run(0, training.scalars(13)).tolist() == wanted
    oracle.all_same_bits(epochs.read(), state)


@pytest.mark.parametrize("chunk", [1, 7, 26])
@pytest.mark.parametrize("shuffle", [False, True])
def test_any_number_of_steps_at_a_time(oracle: SimpleNamespace, chunk: int, shuffle: bool) -> None:
    """Across the ends of epochs (six steps each), with the odd last batch."""
    training = Training(network(), *classes(), "cross_entropy", optim.SGD(0.1, momentum=0.9), shuffle=shuffle)
    scalars, whole, parts = training.scalars(26), training.epochs(), training.epochs(2)
    wanted = whole.run(0, scalars).tolist()
    found = [loss for start in range(0, 26, chunk) for loss in parts.run(start, scalars[start : start + chunk])]
    assert found == wanted
    oracle.all_same_bits(parts.read(), whole.read())


def test_no_steps_change_nothing(oracle: SimpleNamespace) -> None:
    training = Training(network(), *classes(), "cross_entropy", optim.SGD(0.1))
    epochs = training.epochs()
    before = epochs.read()
    assert epochs.run(3, training.scalars(0).reshape(0, 1 + len(training.update.scalars))).tolist() == []
    oracle.all_same_bits(epochs.read(), before)


def test_what_was_read_can_be_written_back(oracle: SimpleNamespace) -> None:
    training = Training(network(), *classes(), "cross_entropy", optim.Adam(0.01))
    scalars, epochs = training.scalars(12), training.epochs()
    epochs.run(0, scalars[:5])
    kept = epochs.read()
    first = epochs.run(5, scalars[5:]).tolist()
    after = epochs.read()
    epochs.write(kept)
    assert epochs.run(5, scalars[5:]).tolist() == first
    oracle.all_same_bits(epochs.read(), after)


# --- the rows of each batch


def row_numbers(rows: int, batch: int, shuffle: bool, steps: int) -> Array:
    """The rows that each step takes, as the program finds them: the loss is the sum of 2^row, exact in float64."""
    x, scale = make_input("x", (BATCH,), "float64"), make_input("scale", (), "float64")
    graph = Graph({"x": x.node, "scale": scale.node}, {"loss": (x.sum() * scale).node})
    epochs = Epochs(
        graph, rows={"x": 2.0 ** np.arange(rows)}, state={}, updates={}, scalars=("scale",), step=None, seed=None,
        loss="loss", batch_size=batch, shuffle=shuffle, order_seed=7, threads=2,
    )  # fmt: skip
    return epochs.run(0, np.ones((steps, 1)))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (5, 2), (16, 16), (17, 16), (33, 7), (50, 50), (50, 3)])
def test_rows_come_in_the_published_order(rows: int, batch: int, shuffle: bool) -> None:
    per_epoch = math.ceil(rows / batch)
    found = row_numbers(rows, batch, shuffle, 3 * per_epoch).reshape(3, per_epoch)
    for epoch in range(3):
        order = batch_order(rows, 7, epoch) if shuffle else np.arange(rows)
        wanted = [sum(2.0 ** int(row) for row in order[start : start + batch]) for start in range(0, rows, batch)]
        assert found[epoch].tolist() == wanted


def test_many_rows_come_in_the_published_order() -> None:
    """More steps than are prepared at a time, of more rows than fit a block; each row's number is its loss."""
    rows = 3000
    x = make_input("x", (BATCH,), "float64")
    graph = Graph({"x": x.node}, {"loss": x.sum().node})
    epochs = Epochs(
        graph, rows={"x": np.arange(rows, dtype=float)}, state={}, updates={}, scalars=(), step=None, seed=None,
        loss="loss", batch_size=1, shuffle=True, order_seed=5, threads=2,
    )  # fmt: skip
    wanted = np.concatenate([batch_order(rows, 5, epoch) for epoch in (4, 5)])
    assert epochs.run(4 * rows, np.zeros((2 * rows, 0))).tolist() == wanted.tolist()


# --- what goes in and out


def test_state_that_nothing_reads_and_a_loss_that_is_one_of_many() -> None:
    x, last, w = (
        make_input("x", (BATCH, 3), "float32"),
        make_input("last", (3,), "float32"),
        make_input("w", (3,), "float32"),
    )
    outputs = {"loss": (x.sum(0) * w)[1], "new last": x.max(0), "new w": w * 2.0}
    graph = Graph(
        {"x": x.node, "last": last.node, "w": w.node}, {name: tensor.node for name, tensor in outputs.items()}
    )
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    epochs = Epochs(
        graph, rows={"x": data}, state={"last": np.zeros(3), "w": np.ones(3)},
        updates={"last": "new last", "w": "new w"}, scalars=(), step=None, seed=None, loss="loss",
        batch_size=2, shuffle=False, order_seed=0,
    )  # fmt: skip
    assert epochs.run(0, np.zeros((3, 0))).tolist() == [1.0 + 4.0, 2.0 * (7.0 + 10.0), 4.0 * (1.0 + 4.0)]
    found = epochs.read()
    assert (found["last"].tolist(), found["w"].tolist()) == ([3.0, 4.0, 5.0], [8.0] * 3)


def test_images_of_bytes(oracle: SimpleNamespace) -> None:
    """Whole numbers stay in memory as they are, and are converted where they are read."""

    class Pixels(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Linear(20, 3)

        def __call__(self, x: Any) -> Any:
            return self.dense(x.astype("float32") * (1.0 / 255.0))

    x = np.random.default_rng(3).integers(0, 256, (ROWS, 20), dtype=np.uint8)
    training = Training(Pixels(), x, classes()[1], "cross_entropy", optim.SGD(0.1))
    assert training.batches.rows.x.dtype == np.uint8
    check(oracle, training, steps=13)


def test_tokens(oracle: SimpleNamespace) -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3), seed=1)
    x = np.random.default_rng(4).integers(0, 9, (ROWS, 3))
    check(oracle, Training(net, x, classes()[1], "cross_entropy", optim.SGD(0.1, momentum=0.9)), steps=13)


def test_tokens_out_of_range_are_refused() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3), seed=1)
    x = np.random.default_rng(4).integers(0, 9, (ROWS, 3))
    x[41, 2] = 9
    training = Training(net, x, classes()[1], "cross_entropy", optim.SGD(0.1))
    with pytest.raises(ArgumentError, match=r"^take: indices must be from 0 to 8, found 9 at position \(41, 2\)$"):
        training.epochs()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_the_run_at_its_step(bad: float) -> None:
    x, y = classes()
    training = Training(nn.Linear(6, 1), x, y[:, None].astype(float), "mse", optim.SGD(0.01))
    place = int(batch_order(ROWS, TRAINING_SEED, 1)[2 * BATCH_SIZE + 3])  # the third step of the second epoch: number 8
    training.batches.rows.y[place] = bad
    early = int(batch_order(ROWS, TRAINING_SEED, 0).tolist().index(place)) // BATCH_SIZE
    for threads in (1, 3):
        losses = training.epochs(threads).run(6, training.scalars(20)[6:])
        assert len(losses) == 3
        assert np.isfinite(losses[:2]).all()
        assert not np.isfinite(losses[2])
        assert len(training.epochs(threads).run(0, training.scalars(20))) == early + 1
