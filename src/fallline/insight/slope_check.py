"""A weight's gradient measured: the loss in float64 with the weight moved, and backpropagation in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fallline.engine.reference import ReferenceProgram
from fallline.insight.moment import Moment
from fallline.ir.graph import Graph
from fallline.ir.transform import retype_floats
from fallline.ir.types import DType
from fallline.training import differences
from fallline.training.gradient_report import digits
from fallline.training.step import GRADIENT, LOSS

TOLERANCE = 1e-6


@dataclass(frozen=True)
class SlopeCheck:
    """A gradient beside its measurement.

    Attributes:
        gradient: dL/dw by backpropagation in float64, at the same numbers.
        difference: the slope of the loss in float64, by finite differences (Richardson's extrapolation).
        digits: to how many digits these two agree.
        agrees: whether they do, but for the rounding of the loss.
        kink: (slope to the left, slope to the right) where a relu or the like turns within the step; else None.
        engine_digits: to how many digits the engine's gradient is that of float64.
    """

    gradient: float
    difference: float
    digits: float
    agrees: bool
    kink: tuple[float, float] | None
    engine_digits: float

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "kink": None if self.kink is None else list(self.kink)}


def check_slope(moment: Moment, name: str, place: tuple[int, ...], stored: float) -> SlopeCheck:
    """Measure dL/dw of one weight, beside what backpropagation says."""
    graph = moment.step_graph
    named = {LOSS: graph.outputs[LOSS], GRADIENT: graph.outputs[GRADIENT + name]}
    wide = retype_floats(Graph(graph.inputs, named), DType.FLOAT64)
    inputs = {
        key: np.asarray(moment.inputs[key], dtype=node.type.dtype.value)
        for key, node in wide.inputs.items()
        if key in moment.inputs
    }
    found = ReferenceProgram(wide, moment.sizes)(inputs)
    gradient, loss = float(found[GRADIENT][place]), float(found[LOSS])
    forward = ReferenceProgram(Graph(wide.inputs, {LOSS: wide.outputs[LOSS]}), moment.sizes)

    def at(change: float) -> float:
        moved = inputs[name].copy()
        moved[place] += change
        return float(forward({**inputs, name: moved})[LOSS])

    width = max(abs(float(inputs[name][place])), 1.0)
    difference = differences.slope(at, loss, width)
    rounding = 4.0 * differences.rounding(loss)
    apart = abs(gradient - difference)
    agrees = apart <= TOLERANCE * max(abs(gradient), abs(difference)) + rounding
    return SlopeCheck(
        gradient,
        difference,
        float(digits(gradient, difference)),
        bool(agrees),
        None if agrees else _kink(at, width, gradient, rounding),
        float(digits(stored, gradient)),
    )


def _kink(at: differences.Function, width: float, gradient: float, rounding: float) -> tuple[float, float] | None:
    left, right = differences.one_sided(at, width)
    slack = 1e-3 * max(abs(left), abs(right)) + rounding
    between = min(left, right) - slack <= gradient <= max(left, right) + slack
    return (left, right) if abs(left - right) > slack and between else None
