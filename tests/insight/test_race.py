"""The race: each racer's run is `fl.fit`'s, bit for bit."""

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.insight.race import Racer, race
from fallline.training.replay import Replayer

RACERS = [
    Racer("batch", optim.SGD(lr=0.3), "all"),
    Racer("mini", optim.SGD(lr=0.1, momentum=0.9), 16),
    Racer("stochastic", optim.SGD(lr=0.02), 1),
    Racer("adam", optim.Adam(lr=0.01), 7),
]


def made() -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.BatchNorm(5), nn.Linear(5, 2), seed=4), x, (
        x[:, 0] > x[:, 1]
    ).astype(np.int64)  # fmt: skip


def test_every_lap_is_a_fit_from_the_same_weights() -> None:
    net, x, y = made()
    before = net.parameters()
    run = fl.fit(net, x, y, epochs=1, seed=9)
    kept = net.parameters()
    assert run.start is not None
    found = race(run.recording, run.start, RACERS, epochs=3)
    assert all(np.array_equal(kept[name], weight) for name, weight in net.parameters().items())
    for lap, racer in zip(found.laps, RACERS, strict=True):
        own, _, _ = made()
        theirs = fl.fit(own, x, y, optimizer=racer.optimizer, batch_size=racer.batch_size, epochs=3, seed=9)
        assert lap.run.steps["loss"] == theirs.steps["loss"]
        assert all(np.array_equal(lap.moments[-1].weights[n], w) for n, w in own.parameters().items())
        assert all(np.array_equal(lap.moments[0].weights[n], w) for n, w in before.items())
        assert lap.losses[-1] == fl.evaluate(own, x, y)["loss"]
        middle = len(lap.steps) // 2
        then = Replayer.of_run(theirs).state(lap.steps[middle])
        own.load_parameters(then.weights)
        own.load_buffers(then.buffers)
        assert lap.losses[middle] == fl.evaluate(own, x, y)["loss"]


def test_steps_rows_and_seconds_are_counted() -> None:
    net, x, y = made()
    run = fl.fit(net, x, y, epochs=1)
    found = race(run.recording, run.start, RACERS, epochs=4)
    batch, mini, stochastic, adam = found.laps
    assert batch.steps == [0, 1, 2, 3, 4]
    assert batch.rows_seen == [0, 50, 100, 150, 200]
    assert mini.steps[:5] == [0, 1, 2, 3, 4]
    assert mini.rows_seen[:6] == [0, 16, 32, 48, 50, 66]
    assert stochastic.rows_seen == stochastic.steps
    assert (stochastic.steps[-1], adam.steps[-1], adam.rows_seen[-1]) == (200, 32, 200)
    for lap in found.laps:
        assert lap.seconds[0] == 0.0
        assert lap.seconds == sorted(lap.seconds)
        assert lap.seconds[-1] == pytest.approx(sum(lap.run.history["seconds"]))
    assert (found.rows, found.all_rows) == (50, 50)


def test_a_race_that_cannot_be_run_is_said() -> None:
    net, x, y = made()
    run = fl.fit(net, x, y, epochs=1)
    with pytest.raises(fl.ArgumentError, match="race: takes 1 to 8 racers, found 0"):
        race(run.recording, run.start, [], 1)
    with pytest.raises(fl.ArgumentError, match="'stochastic' would take 250,000 steps, at most 200,000 are run here"):
        race(run.recording, run.start, RACERS, 5000)
    with pytest.raises(fl.ArgumentError, match="race: batch_size must be a whole number of at least 1, or 'all'"):
        race(run.recording, run.start, [Racer("none", optim.SGD(lr=0.1), 0)], 1)


def test_a_racer_that_runs_away_stops_and_the_others_go_on() -> None:
    net, x, y = made()
    run = fl.fit(net, x, (3.0 * y[:, None] * np.ones(2)).astype(np.float32), loss="mse", epochs=1)
    found = race(run.recording, run.start, [Racer("wild", optim.SGD(lr=1e30), 16), RACERS[0]], 2)
    assert [lap.run.stopped for lap in found.laps] == ["nan", "epochs"]
    assert len(found.laps[0].steps) >= 1
