"""Suspects: planted wrong labels are found; leaving a row out is the training without it."""

import json
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.insight.leave_out import reweighted
from fallline.training.replay import Replayer

WRONG = [5, 31, 77, 102]


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three clouds of points with four wrong labels: (x, y, the right labels)."""
    rng = np.random.default_rng(7)
    right = np.arange(120) % 3
    x = rng.normal(size=(120, 2)) * 0.5 + np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])[right]
    y = right.copy()
    y[WRONG] = (right[WRONG] + 1) % 3
    return x, y, right


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3), seed=3)


@pytest.fixture(scope="module")
def run() -> Any:
    x, y, _ = planted()
    return fl.fit(network(), x, y, epochs=20, batch_size=16, optimizer=optim.Adam(lr=0.02))


def test_planted_wrong_labels_are_found(run: Any) -> None:
    _, _, right = planted()
    found = fl.suspects(run, count=6)
    assert {each.row for each in found.suspects[:4]} == set(WRONG)
    for each in found.suspects[:4]:
        assert each.margin is not None
        assert each.margin < 0.0
        assert each.seen_as == str(right[each.row])
        assert each.label != each.seen_as
    assert len(found.suspects) == 6
    assert len(found.moments) == 8
    assert f"The hardest of 120 training rows, judged after steps {found.moments[0]}, " in str(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_at_the_end_alone_the_loss_is_that_of_the_network(run: Any) -> None:
    x, y, _ = planted()
    found = fl.suspects(run, count=1, moments=1).suspects[0]
    value, _ = fl.loss_and_gradients(run.network, x[[found.row]], y[[found.row]], training=False)
    assert found.loss == found.last_loss == pytest.approx(value, rel=1e-6)
    outputs = run.network.predict(x[[found.row]])[0]
    rival = np.delete(outputs, y[found.row]).max()
    assert found.margin == pytest.approx(float(outputs[y[found.row]] - rival), rel=1e-6)


def test_numbers_have_no_margin() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = x @ np.array([[1.0], [-2.0]])
    y[17] += 9.0
    run = fl.fit(nn.Linear(2, 1), x, y, loss="mse", epochs=20, batch_size=10, optimizer=optim.SGD(lr=0.05))
    found = fl.suspects(run, count=2)
    assert (found.suspects[0].row, found.suspects[0].margin, found.suspects[0].seen_as) == (17, None, "")
    assert "target" in str(found)


@pytest.mark.parametrize("options", [{}, {"shards": 2, "clip_norm": 0.3, "validation": 0.2, "schedule": "cosine"}])
def test_weights_of_one_are_the_run_itself(options: dict[str, Any]) -> None:
    x, y, _ = planted()
    net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    run = fl.fit(net, x, y, epochs=3, batch_size=16, optimizer=optim.Adam(lr=0.02), **options)
    replayer = Replayer.of_run(run)
    last = len(run.steps["loss"])
    ones = np.ones(len(run.recording.rows), dtype=np.float32)
    again, then = reweighted(replayer, ones, 0, last), replayer.state(last)
    assert again.values.keys() == then.values.keys()
    assert all(np.array_equal(again.values[name], value) for name, value in then.values.items())


def test_leaving_a_row_out_is_training_with_a_weight_of_nothing() -> None:
    x, y, _ = planted()
    rows, rate = len(x), 0.1
    run = fl.fit(network(), x, y, epochs=5, batch_size=16, optimizer=optim.SGD(lr=rate))
    found = fl.leave_out(run, 31)
    weight = np.ones(rows)
    weight[31] = 0.0
    # fit divides by the mean weight, (rows − 1)/rows, which makes each step so much longer
    rule = optim.SGD(lr=rate * (rows - 1) / rows)
    other = fl.fit(network(), x, y, epochs=5, batch_size=16, optimizer=rule, sample_weight=weight)
    value, _ = fl.loss_and_gradients(other.network, x[[31]], y[[31]], training=False)
    assert found.row_loss[1] == pytest.approx(value, rel=1e-4)
    own, _ = fl.loss_and_gradients(run.network, x[[31]], y[[31]], training=False)
    assert found.row_loss[0] == pytest.approx(own, rel=1e-6)
    assert found.row_loss[1] > found.row_loss[0]
    assert (found.first, found.last, found.taken, found.validation_loss) == (0, 40, 5, None)
    weights = run.network.parameters()
    apart = {name: w - other.network.parameters()[name] for name, w in weights.items()}
    moved = np.sqrt(sum((a**2).sum() for a in apart.values()) / sum((w**2).sum() for w in weights.values()))
    assert found.moved == pytest.approx(float(moved), rel=1e-3)
    assert "steps 0 to 39 taken again, 5 of which take it" in str(found)


def test_until_the_row_comes_nothing_differs() -> None:
    x, y, _ = planted()
    run = fl.fit(network(), x, y, epochs=1, batch_size=16, optimizer=optim.SGD(lr=0.1))
    row = next(k for k in range(120) if k in fl.batch_order(120, 0, 0)[-8:])
    replayer = Replayer.of_run(run)
    weight = np.ones(120, dtype=np.float32)
    weight[row] = 0.0
    before, then = reweighted(replayer, weight, 0, 7), replayer.state(7)
    assert all(np.array_equal(before.values[name], value) for name, value in then.values.items())
    assert fl.leave_out(run, row, step=7).moved > 0.0
    assert fl.leave_out(run, int(fl.batch_order(120, 0, 0)[0]), step=1).moved == 0.0


def test_it_is_measured_for_suspects_too(run: Any) -> None:
    found = fl.suspects(run, count=2, leave_out=1)
    first, second = found.suspects
    assert first.left_out is not None
    assert first.left_out.row == first.row
    assert second.left_out is None
    assert f"Without row {first.row}: " in str(found)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda run: fl.leave_out(run, 120), r"trains on 120 rows, 0 to 119; found row=120"),
        (lambda run: fl.leave_out(run, 0, step=160), r"took 160 steps, 0 to 159; found step=160"),
        (lambda run: fl.suspects(run, count=0), r"count"),
    ],
)
def test_mistakes_are_told(run: Any, call: Any, says: str) -> None:
    with pytest.raises(fl.ArgumentError, match=says):
        call(run)
