"""Outlines against areas and radii known from geometry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.report.contours import Outline, outlines


def area(outline: Outline) -> float:
    """The shoelace formula: positive for one sense of rotation, negative for the other."""
    x, y = np.array(outline).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2.0


def bowl(size: int = 41) -> np.ndarray:
    side = np.linspace(-2.0, 2.0, size)
    return side[None, :] ** 2 + side[:, None] ** 2


def test_a_bowl_has_a_circle() -> None:
    (circle,) = outlines(bowl(), 1.0)
    radii = np.hypot(*(np.array(circle) - 20.0).T) * 0.1
    assert radii == pytest.approx(1.0, abs=2e-3)
    assert abs(area(circle)) * 0.01 == pytest.approx(np.pi, rel=5e-3)


def test_low_ground_that_leaves_the_grid_is_closed_along_the_border() -> None:
    columns = np.tile(np.arange(5.0), (4, 1))
    (strip,) = outlines(columns, 1.5)
    assert abs(area(strip)) == pytest.approx(1.5 * 3)
    assert set(strip) >= {(1.5, 0.0), (1.5, 3.0), (0.0, 0.0), (0.0, 3.0)}


def test_a_hill_is_a_hole_in_the_low_ground() -> None:
    ground, hill = sorted(outlines(-bowl(), -1.0), key=lambda outline: -abs(area(outline)))
    assert abs(area(ground)) == pytest.approx(40.0 * 40.0)
    assert area(hill) * area(ground) < 0.0
    assert abs(area(hill)) * 0.01 == pytest.approx(np.pi, rel=5e-3)


@pytest.mark.parametrize(("level", "count"), [(-1.0, 0), (9.0, 1)])
def test_nothing_or_everything_lies_below(level: float, count: int) -> None:
    assert len(outlines(bowl(), level)) == count


@pytest.mark.parametrize(("level", "count"), [(0.4, 2), (0.6, 1)])
def test_a_saddle_is_decided_by_the_mean_of_its_corners(level: float, count: int) -> None:
    assert len(outlines(np.array([[0.0, 1.0], [1.0, 0.0]]), level)) == count


@given(st.lists(st.integers(0, 5), min_size=20, max_size=20), st.sampled_from([0.5, 1.5, 2.5, 4.5]))
def test_the_outlines_of_a_level_lie_inside_those_of_a_higher_one(heights: list[int], level: float) -> None:
    grid = np.array(heights, dtype=float).reshape(4, 5)
    low, high = (sum(area(outline) for outline in outlines(grid, edge)) for edge in (level, level + 0.25))
    assert 0.0 <= abs(low) <= abs(high) + 1e-9 <= 12.0 + 2e-9
