"""Sets on the plane against their geometry."""

import math
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.data.planar import PLANAR, planar


@pytest.mark.parametrize("name", PLANAR)
def test_every_set_is_balanced_finite_and_a_function_of_its_seed(name: str) -> None:
    x, y = planar(name, 120, 0.1, seed=3)
    again = planar(name, 120, 0.1, seed=3)
    assert (x.shape, x.dtype, y.shape) == ((120, 2), np.dtype("float64"), (120,))
    assert np.array_equal(x, again[0])
    assert np.array_equal(y, again[1])
    assert not np.array_equal(x, planar(name, 120, 0.1, seed=4)[0])
    assert np.abs(x).max() < 2.0
    if PLANAR[name].classes:
        assert np.bincount(y).tolist() == [120 // PLANAR[name].classes] * PLANAR[name].classes


@pytest.mark.parametrize("name", PLANAR)
def test_a_row_does_not_depend_on_how_many_there_are(name: str) -> None:
    few, many = planar(name, 50, 0.2), planar(name, 90, 0.2)
    assert np.array_equal(few[0], many[0][:50])
    assert np.array_equal(few[1], many[1][:50])


def test_moons_are_half_circles() -> None:
    x, y = planar("moons", 200, 0.0)
    a, b = x[:, 0] * 1.6 + 0.5, x[:, 1] * 1.2 + 0.25
    upper, lower = y == 0, y == 1
    assert np.hypot(a[upper], b[upper]) == pytest.approx(1.0)
    assert np.hypot(a[lower] - 1.0, b[lower] - 0.5) == pytest.approx(1.0)
    assert (b[upper] >= 0.0).all()
    assert (b[lower] <= 0.5).all()


def test_rings_squares_spirals_and_clouds_are_where_they_should_be() -> None:
    x, y = planar("circles", 200, 0.0)
    radius = np.hypot(*x.T)
    assert radius[y == 0].max() <= 0.45
    assert radius[y == 1].min() >= 0.75
    x, y = planar("xor", 200, 0.0)
    assert np.array_equal(y, (x[:, 0] * x[:, 1] < 0.0).astype(int))
    x, y = planar("spirals", 200, 0.0)
    turned = (np.arctan2(x[:, 1], x[:, 0]) / math.pi - 3.0 * np.hypot(*x.T) / 0.95) % 2.0
    assert np.minimum(turned[y == 0], 2.0 - turned[y == 0]).max() < 1e-9
    assert turned[y == 1] == pytest.approx(1.0)
    x, y = planar("gaussians", 300, 0.0)
    centres = np.array([x[y == k].mean(axis=0) for k in range(3)])
    assert np.hypot(*centres.T) == pytest.approx(0.58, abs=0.06)


def test_numbers_are_the_formula_and_noise_has_its_size() -> None:
    x, y = planar("plane", 1000, 0.0)
    assert y == pytest.approx(0.6 * x[:, 0] + 0.4 * x[:, 1])
    x, noisy = planar("plane", 1000, 0.3)
    assert np.std(noisy - y) == pytest.approx(0.3, rel=0.1)
    x, y = planar("waves", 1000, 0.0)
    assert y == pytest.approx(np.cos(1.5 * math.pi * x[:, 0]) * np.cos(math.pi * x[:, 1]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("moon",), r"no set 'moon' on the plane: did you mean 'moons'\?"),
        (("xor", 1), "rows must be a whole number from 2 to 1,000, found 1"),
        (("xor", 10, float("nan")), "noise must be a number from 0 to 1, found nan"),
    ],
)
def test_what_cannot_be_drawn_is_said(given: Any, says: str) -> None:
    with pytest.raises(fl.ArgumentError, match=says):
        planar(*given)
