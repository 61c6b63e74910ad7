"""The slope of a function by finite differences, and its kinks.

    D(h) = (f(h) − f(−h)) / 2h = f′ + f‴·h²/6 + O(h⁴)        the central difference
    R(h) = (4·D(h/2) − D(h)) / 3 = f′ + O(h⁴)                Richardson's extrapolation of it

Rounding of f makes an error of about ε·|f|/h in each, so the best h is near ε^(1/3) for D and near ε^(1/5) for R:
the wider step leaves a hundredth of the error. Sources: L. F. Richardson, Phil. Trans. A 210 (1911), 307–357;
Press et al., Numerical Recipes, 3rd ed., section 5.7.
"""

from collections.abc import Callable

import numpy as np

EPSILON = float(np.finfo(np.float64).eps)
STEP_SIZE = float(EPSILON ** (1 / 3))
WIDE_STEP = 2.0**-9
"""The largest of the three steps h, h/2, h/4 of the extrapolation, the last of which is near ε^(1/5)."""

Function = Callable[[float], float]


def rounding(value: float) -> float:
    """What rounding of a function of about that value makes of a central difference: 2ε·|f| / 2h."""
    return EPSILON * abs(value) / STEP_SIZE


def slope(function: Function, value: float, width: float = 1.0) -> float:
    """f′(0) for a float64 function f, by differences alone.

    Two extrapolations, from (h, h/2) and from (h/2, h/4), are compared: where they agree as closely as the central
    difference at `STEP_SIZE` could tell, the second is the answer. Where they do not (a kink within ±h, or a
    function too bent for the wide step), that central difference is.

    Args:
        function: f, of the change.
        value: f(0), which tells how large its rounding is.
        width: the scale of the steps: max(|w|, 1) for a change of w.
    """
    h = WIDE_STEP * width
    wide, middle, narrow = (central(function, h / k) for k in (1.0, 2.0, 4.0))
    first, second = (4.0 * middle - wide) / 3.0, (4.0 * narrow - middle) / 3.0
    if abs(first - second) <= rounding(value) / width:
        return second
    return central(function, STEP_SIZE * width)


def central(function: Function, h: float) -> float:
    """D(h)."""
    return (function(h) - function(-h)) / (2.0 * h)


def spread(function: Function, width: float = 1.0) -> float:
    """How far central differences with steps near `STEP_SIZE` lie apart, which is what rounding does to them.

    It may be far more than `rounding` says of a small value: the cross-entropy of a network that is sure and right is
    next to 0, but a difference of logits that are not.
    """
    found = [central(function, STEP_SIZE * width * k) for k in (0.75, 1.0, 1.25, 1.5)]
    return max(found) - min(found)


def one_sided(function: Function, width: float = 1.0) -> tuple[float, float]:
    """The slopes to the left and to the right of 0, which differ at a kink."""
    h = STEP_SIZE * width
    here = function(0.0)
    return (here - function(-h)) / h, (function(h) - here) / h
