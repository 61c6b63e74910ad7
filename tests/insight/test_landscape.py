"""The landscape: every height is the loss that `fl.evaluate` tells, and the plane is that of linear algebra."""

import itertools
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.insight import landscape as land
from fallline.insight.components import Components, principal_components
from fallline.insight.plane import find_pair, walk
from fallline.nn.losses import get
from fallline.training.graphs import Graphs
from fallline.training.replay import Replayer
from fallline.training.step import check_rows

WEIGHTS = ("0.weight[1,2]", "3.bias[0]")


def classifier() -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int64) + (x[:, 3] > 1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.BatchNorm(8), nn.Linear(8, 3), seed=0), x, y


def trained(epochs: int = 6) -> tuple[fl.Run, np.ndarray, np.ndarray]:
    net, x, y = classifier()
    return fl.fit(net, x, y, optimizer=fl.optim.SGD(lr=0.2), batch_size=16, epochs=epochs), x, y


def test_heights_are_those_of_evaluate_bit_for_bit() -> None:
    run, x, y = trained()
    weighted = np.linspace(0.5, 1.5, len(x)).astype(np.float32)
    for weight in (None, weighted):
        found = land.landscape(run.network, x, y, weights=WEIGHTS, sample_weight=weight, grid=5)
        moved = run.network.parameters()
        for (row, b), (column, a) in itertools.product(enumerate(found.up), enumerate(found.across)):
            probe, _, _ = classifier()
            moved["0.weight"][1, 2], moved["3.bias"][0] = a, b
            probe.load_parameters(moved)
            probe.load_buffers(run.network.buffers())
            assert found.surface[row, column] == fl.evaluate(probe, x, y, sample_weight=weight)["loss"]
        assert (found.rows, found.all_rows, found.labels) == (90, 90, WEIGHTS)
        assert found.explained is None


def test_the_middle_is_the_network_and_reach_the_distance() -> None:
    run, x, y = trained()
    found = land.landscape(run.network, x, y, weights=WEIGHTS, grid=3, reach=0.25)
    here = run.network.parameters()
    assert found.across == pytest.approx(here["0.weight"][1, 2] + np.array([-0.25, 0.0, 0.25]))
    assert found.up[1] == here["3.bias"][0]
    assert found.surface[1, 1] == fl.evaluate(run.network, x, y)["loss"]


def test_the_slope_is_that_of_backpropagation_in_prediction_mode() -> None:
    run, x, y = trained()
    loss = get("cross_entropy")
    ground = land.Ground.of_network(run.network, check_rows(run.network, x, y, loss, None, "float32", "test"), loss)
    value, grads = ground.loss_and_gradients(run.network.parameters())
    expected, their = fl.loss_and_gradients(run.network, x, y, training=False)
    assert value == expected
    assert all(np.array_equal(grads[name], their[name]) for name in their)


def test_many_rows_are_sampled_and_that_is_said() -> None:
    net, x, y = classifier()
    many = np.tile(x, (30, 1))
    found = land.landscape(net, many, np.tile(y, 30), weights=WEIGHTS, grid=3)
    assert (found.rows, found.all_rows) == (2048, 2700)
    loss = get("cross_entropy")
    rows = check_rows(net, many, np.tile(y, 30), loss, None, "float32", "test")
    part = land.sampled(rows, 2048)
    assert found.surface[1, 1] == fl.evaluate(net, part.x, part.y)["loss"]
    assert land.sampled(rows, 5000) is rows


def test_principal_components_are_the_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    stretch = np.array([9.0, 4.0, 1.0, 0.5, 0.2, 0.1])
    points = np.cumsum(rng.normal(size=(20, 6)) * stretch, axis=0)
    found = principal_components([{"a": p[:2].reshape(1, 2), "b": p[2:]} for p in points])
    centred = points - points.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred)
    for mine, theirs in zip(found.directions, vectors[:2], strict=True):
        assert abs(mine @ theirs) == pytest.approx(1.0, abs=1e-10)
    assert found.explained == pytest.approx(tuple(values[:2] ** 2 / np.sum(values**2)))
    for direction in found.directions:
        assert direction @ (points[0] - points[-1]) <= 0.0


def test_a_place_of_the_plane_comes_back_and_a_flat_path_lies_on_it() -> None:
    run, _, _ = trained()
    path = land.path_of(Replayer.of_run(run))
    plane = land.plane_of(path)
    assert plane.place(plane.at(0.7, -0.3)) == pytest.approx((0.7, -0.3), abs=1e-6)
    assert plane.place(path.moments[-1].weights) == pytest.approx((0.0, 0.0), abs=1e-9)
    two = [path.moments[0].weights, path.moments[5].weights, path.moments[-1].weights]
    flat = principal_components(two)  # three points always lie on a plane
    assert sum(flat.explained) == pytest.approx(1.0)
    for weights in two:
        again = flat.at(*flat.place(weights))
        assert all(again[name] == pytest.approx(value, abs=1e-5) for name, value in weights.items())


def test_a_path_on_a_line_gets_a_second_direction_at_right_angles() -> None:
    line = [{"w": np.array([1.0, 2.0, 3.0]) * k} for k in range(4)]
    found = principal_components(line)
    assert found.explained == pytest.approx((1.0, 0.0), abs=1e-12)
    assert found.directions[0] @ found.directions[1] == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.norm(found.directions[1]) == pytest.approx(1.0)


def test_a_path_is_the_run_as_replay_tells_it() -> None:
    run, _, _ = trained()
    path = land.path_of(Replayer.of_run(run), points=7)
    assert path.steps == [0, 6, 12, 18, 24, 30, 36]
    assert path.whole
    for step, moment in zip(path.steps[:-1], path.moments, strict=False):
        before = fl.replay(run, step).before.weights
        assert all(np.array_equal(moment.weights[name], before[name]) for name in before)
    assert all(np.array_equal(path.moments[-1].weights[n], w) for n, w in run.network.parameters().items())


def test_the_surface_at_the_last_moment_is_the_trained_network() -> None:
    run, x, y = trained()
    plane = land.plane_of(land.path_of(Replayer.of_run(run)))
    loss = get("cross_entropy")
    ground = land.Ground.of_network(run.network, check_rows(run.network, x, y, loss, None, "float32", "test"), loss)
    side = np.array([-1.0, 0.0, 1.0])
    found = land.compute(ground, plane, side, side)
    assert found.surface[1, 1] == fl.evaluate(run.network, x, y)["loss"]
    assert found.explained == plane.explained


def test_a_walk_over_the_ground_is_gradient_descent_of_two_weights() -> None:
    run, x, y = trained()
    loss = get("cross_entropy")
    ground = land.Ground.of_network(run.network, check_rows(run.network, x, y, loss, None, "float32", "test"), loss)
    plane = land.WeightPlane(run.network.parameters(), find_pair(run.network.parameters(), WEIGHTS, "test"))

    class Footing:
        def at(self, spots: Any, values: Any) -> dict[str, np.ndarray]:
            return plane.at(*values)

        def loss_and_gradients(self, weights: dict[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
            value, grads = ground.loss_and_gradients(weights)
            return value, {name: grad.astype(np.float64) for name, grad in grads.items()}

    walked = walk(Footing(), list(plane.spots), (1.0, -1.0), 0.5, 3)
    moved = {name: w.astype(np.float64) for name, w in run.network.parameters().items()}
    moved["0.weight"][1, 2], moved["3.bias"][0] = 1.0, -1.0
    for place in walked.places:
        assert place == pytest.approx([moved["0.weight"][1, 2], moved["3.bias"][0]], abs=1e-12)
        _, grads = ground.loss_and_gradients(moved)
        moved["0.weight"][1, 2] -= 0.5 * float(grads["0.weight"][1, 2])
        moved["3.bias"][0] -= 0.5 * float(grads["3.bias"][0])


def test_levels_stand_closer_near_the_bottom_and_windows_hold_the_path() -> None:
    steps = land.levels(np.array([[1.0, 50.0], [np.inf, np.nan]]), [3.0, 2.0], 9)
    gaps = np.diff([1.0, *steps])
    assert (np.diff(gaps) > 0.0).all()
    assert steps[-1] < 1.0 + 1.6 * 2.0
    assert land.levels(np.full((2, 2), np.nan)) == []
    across, up = land.window([(0.0, 0.0), (4.0, 1.0), (np.nan, 0.0)], 5)
    assert (across[0], across[-1]) == pytest.approx((-1.2, 5.2))
    assert across[-1] - across[0] == pytest.approx(up[-1] - up[0])


def test_large_networks_take_fewer_rows() -> None:
    net, x, y = classifier()
    rows = check_rows(net, x, y, get("cross_entropy"), None, "float32", "test")
    graphs = Graphs.of(net, rows, get("cross_entropy"), "float32")
    assert land.affordable_rows(graphs, 5000, 41 * 41) == 2048
    assert land.affordable_rows(graphs, 50, 41 * 41) == 50
    assert land.affordable_rows(graphs, 5000, 10**9) == 128


def test_what_cannot_be_computed_is_said() -> None:
    run, x, y = trained(1)
    with pytest.raises(fl.ArgumentError, match=r"landscape: no weight '0.wait\[0\]'; write name\[place\]"):
        land.landscape(run.network, x, y, weights=("0.wait[0]", "3.bias[0]"))
    with pytest.raises(fl.ArgumentError, match="landscape: weights must name two different weights"):
        land.landscape(run.network, x, y, weights=("3.bias[0]", "3.bias[0]"))
    with pytest.raises(fl.ArgumentError, match="grid must be a whole number from 3 to 201, found 2"):
        land.landscape(run.network, x, y, weights=WEIGHTS, grid=2)
    with pytest.raises(fl.ArgumentError, match="weights are the same at all moments"):
        principal_components([{"w": np.ones(3)}] * 3)
    loss = get("cross_entropy")
    ground = land.Ground.of_network(run.network, check_rows(run.network, x, y, loss, None, "float32", "test"), loss)
    plane = Components(run.network.parameters(), np.zeros((2, 91)), (1.0, 0.0))
    with pytest.raises(fl.ArgumentError, match="landscape: ended after 4 of 9 points; ask for a smaller grid"):
        land.compute(ground, plane, np.zeros(3), np.zeros(3), told=lambda done, total: done == 4)
    replayer = Replayer.of_run(run)
    replayer.taken = 0
    with pytest.raises(fl.ArgumentError, match="the run has taken no step"):
        land.path_of(replayer)
