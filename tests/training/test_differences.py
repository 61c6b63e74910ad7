"""Finite differences on functions whose slopes are known from mathematics."""

import math
from collections.abc import Callable

import pytest

from fallline.training.differences import STEP_SIZE, central, one_sided, slope

KNOWN: dict[str, tuple[Callable[[float], float], float]] = {
    "exp": (lambda t: math.exp(0.5 + t), math.exp(0.5)),
    "sin": (lambda t: math.sin(1.0 + t), math.cos(1.0)),
    "tanh": (lambda t: math.tanh(0.3 + t), 1.0 - math.tanh(0.3) ** 2),
    "quotient": (lambda t: 1.0 / (2.0 + t), -0.25),
    "fifth power": (lambda t: (1.0 + t) ** 5, 5.0),
    "logistic": (lambda t: math.log1p(math.exp(3.0 * t)), 1.5),
}


@pytest.mark.parametrize("name", KNOWN)
def test_smooth_functions_give_eleven_digits(name: str) -> None:
    """The plain central difference gives 9 to 10 of these."""
    function, right = KNOWN[name]
    assert abs(slope(function, function(0.0)) / right - 1.0) < 1e-11


def test_the_extrapolation_is_closer_than_the_central_difference() -> None:
    def distance(estimate: float, right: float) -> float:
        return abs(estimate / right - 1.0)

    plain = max(distance(central(function, STEP_SIZE), right) for function, right in KNOWN.values())
    extrapolated = max(distance(slope(function, function(0.0)), right) for function, right in KNOWN.values())
    assert extrapolated < plain / 20.0


@pytest.mark.parametrize("kink", [2e-3, 1.9e-3, 7e-4, 4e-4, 2e-5])
def test_a_kink_within_the_wide_steps_does_no_harm(kink: float) -> None:
    """f = sin(1 + t), plus a line that begins at the kink: its slope at 0 is cos 1, as if there were none."""

    def bent(t: float) -> float:
        return math.sin(1.0 + t) + 5.0 * max(t - kink, 0.0)

    assert abs(slope(bent, bent(0.0)) - math.cos(1.0)) < 1e-9


def test_a_function_too_bent_for_the_wide_steps() -> None:
    """sin(2000·t)/2000 turns within them: the plain central difference answers, whose error is (2000·h)²/6."""
    assert abs(slope(lambda t: math.sin(2000.0 * t) / 2000.0, 0.0) - 1.0) < (2000.0 * STEP_SIZE) ** 2 / 5.0


def test_steps_grow_with_the_width() -> None:
    asked: list[float] = []

    def constant(t: float) -> float:
        asked.append(t)
        return 7.0

    assert slope(constant, 7.0, width=8.0) == 0.0
    assert asked == [sign * 8.0 * 2.0**-9 / k for k in (1, 2, 4) for sign in (1, -1)]


def test_the_slopes_on_both_sides() -> None:
    left, right = one_sided(lambda t: abs(t) + 0.5 * t)
    assert left == pytest.approx(-0.5)
    assert right == pytest.approx(1.5)


def test_a_value_that_is_no_number_is_passed_on() -> None:
    assert math.isnan(slope(lambda t: math.nan, math.nan))
