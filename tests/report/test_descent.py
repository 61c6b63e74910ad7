"""The descent: its numbers against linear algebra, where the loss is a bowl that can be solved."""

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.insight.descent_run import Descent, descend
from fallline.insight.plane import Plane, walk
from fallline.nn.losses import get
from fallline.report.descent import descent_picture
from fallline.training.step import check_rows

A, B = ("0.weight", (0, 0)), ("0.bias", (0,))


def line() -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    """A straight line through noisy points: the loss over slope and intercept is a quadratic bowl."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-1.0, 3.0, size=(60, 1))
    return nn.Sequential(nn.Linear(1, 1), seed=0), x, 2.0 * x - 1.0 + 0.1 * rng.normal(size=x.shape)


def found(steps: int = 20) -> Descent:
    net, x, y = line()
    loss = get("mse")
    return descend(net, check_rows(net, x, y, loss, None, "float32", "test"), loss, [A, B], steps, 9, "test")


def design() -> tuple[np.ndarray, np.ndarray]:
    _, x, y = line()
    x = x.astype(np.float32).astype(np.float64)  # as the network takes them
    return np.hstack([x, np.ones_like(x)]), y.astype(np.float32).astype(np.float64)[:, 0]


def test_the_bottom_is_that_of_least_squares() -> None:
    matrix, target = design()
    solution, residual, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    descent = found()
    assert descent.bottom == pytest.approx(tuple(solution), abs=1e-6)
    assert descent.lowest == pytest.approx(float(residual[0]) / len(target), rel=1e-6)
    assert not descent.moved


def test_the_limit_is_two_over_the_largest_curvature() -> None:
    matrix, target = design()
    largest = np.linalg.eigvalsh(2.0 * matrix.T @ matrix / len(target))[-1]
    assert found(40).limit == pytest.approx(2.0 / largest, rel=0.03)


def test_a_walk_is_gradient_descent() -> None:
    matrix, target = design()
    descent = found()
    walked = descent.walks[1]
    w = np.array(descent.start)
    for place in walked.places:
        assert place == pytest.approx(w, rel=1e-9)
        w = w - walked.learning_rate * 2.0 * matrix.T @ (matrix @ w - target) / len(target)


def test_the_three_rates_do_what_their_names_say() -> None:
    slow, right, wild = found().walks
    assert slow.always_falls
    assert right.always_falls
    assert not wild.always_falls
    assert right.losses[-1] < slow.losses[-1] < slow.losses[0] < wild.losses[-1]


def test_the_surface_is_the_loss() -> None:
    matrix, target = design()
    descent = found()
    expected = [[np.mean((matrix @ [a, b] - target) ** 2) for a in descent.across] for b in descent.up]
    assert descent.surface == pytest.approx(np.array(expected), rel=1e-9)


def classifier() -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(90, 4))
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int64) + (x[:, 3] > 1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.BatchNorm(8), nn.Linear(8, 3), seed=0), x, y


def test_only_the_chosen_weights_move_and_the_plane_is_the_network() -> None:
    net, x, y = classifier()
    loss = get("cross_entropy")
    rows = check_rows(net, x, y, loss, np.linspace(0.5, 1.5, 90), "float32", "test")
    plane = Plane(net, rows, loss, ["0.weight", "3.bias"])
    spots = [("0.weight", (1, 2)), ("3.bias", (0,))]
    walked = walk(plane, spots, (0.5, -0.25), 0.1, 3)
    moved = net.parameters()
    moved["0.weight"][1, 2], moved["3.bias"][0] = walked.places[-1]
    net.load_parameters({name: w.astype(np.float64) for name, w in moved.items()})
    expected = fl.evaluate(net, x, y, sample_weight=np.linspace(0.5, 1.5, 90).astype(np.float32))["loss"]
    assert walked.losses[-1] == pytest.approx(expected, rel=1e-6)


def test_slope_and_curvature_agree_with_differences_of_the_loss() -> None:
    net, x, y = classifier()
    loss = get("cross_entropy")
    plane = Plane(net, check_rows(net, x, y, loss, None, "float32", "test"), loss, ["3.weight"])
    spots, here, h = [("3.weight", (1, 2)), ("3.weight", (0, 1))], np.array([0.3, -0.2]), 1e-4

    def at(a: float, b: float) -> float:
        return plane.loss(plane.at(spots, list(here + np.array([a, b]))))

    _, slope = plane.slope(spots, list(here))
    assert slope == pytest.approx([(at(h, 0) - at(-h, 0)) / (2 * h), (at(0, h) - at(0, -h)) / (2 * h)], abs=1e-7)
    mixed = (at(h, h) - at(h, -h) - at(-h, h) + at(-h, -h)) / (4 * h * h)
    second = (at(h, 0) - 2 * at(0, 0) + at(-h, 0)) / (h * h)
    curvature = plane.curvature(spots, list(here))
    assert [curvature[0, 0], curvature[0, 1]] == pytest.approx([second, mixed], abs=1e-5)


def test_the_picture_is_whole_deterministic_and_changes_nothing() -> None:
    net, x, y = classifier()
    before = net.parameters()
    svg = descent_picture(net, x, y, grid=11, steps=8)
    assert svg == descent_picture(net, x, y, grid=11, steps=8)
    assert all(np.array_equal(before[name], w) for name, w in net.parameters().items())
    assert ET.fromstring(svg).attrib["viewBox"] == "0 0 900 690"
    for told in ("Too small", "Right", "Too large", "8 steps: loss ", "w ← w − η·dL/dw", "3.weight["):
        assert told in svg
    assert svg.count("http") == 1  # the name of SVG itself: nothing is fetched


def test_a_trained_network_starts_up_the_side_and_says_so() -> None:
    net, x, y = line()
    fl.fit(net, x, y, "mse", fl.optim.SGD(lr=0.1), batch_size="all", epochs=300)
    assert "not at the network's own values" in descent_picture(net, x, y, "mse", grid=7)


def test_the_caller_may_name_the_weights() -> None:
    net, x, y = classifier()
    svg = descent_picture(net, x, y, weights=("3.weight[5,1]", "3.bias[2]"), grid=7, steps=5)
    assert ">3.weight[5,1]<" in svg
    assert ">3.bias[2]<" in svg


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"weights": ("3.weight[0,0]", "3.wait[0]")},
            r"no weight '3.wait\[0\]'; write name\[place\], the names are: 0.",
        ),
        ({"weights": ("3.weight[0,0]", "3.bias[3]")}, r"'3.bias\[3\]' does not exist: '3.bias' has shape \(3,\)"),
        ({"weights": ("3.bias[0]", "3.bias[0]")}, r"weights must name two different weights"),
        ({"steps": 1}, r"steps must be a whole number of at least 3, found 1"),
        ({"grid": 2.5}, r"grid must be a whole number of at least 3, found 2.5"),
    ],
)
def test_what_cannot_be_drawn_is_said(options: dict[str, Any], says: str) -> None:
    net, x, y = classifier()
    with pytest.raises(fl.ArgumentError, match=says):
        descent_picture(net, x, y, **options)


def test_flat_ground_has_no_picture() -> None:
    net, x, _ = line()
    with pytest.raises(fl.ArgumentError, match=r"the loss has no valley over two weights of 0.weight, 0.bias"):
        descent_picture(net, x, np.zeros_like(x), lambda o, t: o[:, 0] * 0.0)


def test_a_loss_that_is_no_number_has_no_picture() -> None:
    net, x, y = line()
    with pytest.raises(fl.ArgumentError, match=r"the loss at the network's weights is inf"):
        descent_picture(net, x, y, lambda o, t: fl.exp(o[:, 0] * 0.0 + 1000.0))


def test_a_descent_that_runs_away_still_has_a_picture() -> None:
    net, x, y = line()
    svg = descent_picture(net, x, y, lambda o, t: fl.exp((o - t)[:, 0] * (o - t)[:, 0]), grid=7, steps=12)
    ET.fromstring(svg)
    assert "overshoots, and ends higher than it began" in svg
