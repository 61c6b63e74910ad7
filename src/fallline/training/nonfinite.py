"""Where NaN or infinity came from: the first tensor that went bad, and the op that made it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.reference import ReferenceProgram
from fallline.ir.graph import Node
from fallline.ir.types import format_shape

Array = NDArray[Any]


def is_bad(array: Array) -> bool:
    """Whether a float array holds NaN or infinity."""
    if array.dtype.kind != "f" or math.isfinite(np.vdot(array, array)):  # Σ x² is finite only if every x is: fast
        return False
    return not bool(np.isfinite(array).all())


def bad_entry(values: Mapping[str, Array]) -> str:
    """The first bad entry among weights and buffers, such as "'0.weight' nan at (0, 1)"; empty if there is none."""
    for name, array in values.items():
        if is_bad(array):
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            return f"{name!r} {array[place]} at {place}"
    return ""


def locate(program: ReferenceProgram, inputs: Mapping[str, Array], names: Mapping[str, Array]) -> str:
    """A clause that names the first bad tensor of a step.

    Args:
        program: of the step.
        inputs: what it was given.
        names: the parameters and buffers among them, by name.
    """
    if cause := bad_entry(names):
        return f"the update before it had made {cause}"
    values: dict[int, Array] = {}
    for node, value in program.trace(inputs):
        values[id(node)] = value
        arguments = [values[id(parent)] for parent in node.inputs]
        if node.inputs and is_bad(value) and not any(is_bad(argument) for argument in arguments):
            return _made_by(node, value, arguments)
    return "no single op made it"


def _made_by(node: Node, value: Array, arguments: list[Array]) -> str:
    found = "nan" if np.isnan(value).any() else "infinity"
    where = "in backpropagation" if node.origin else "in the forward pass"
    ranges = ", ".join(f"{float(a.min()):.4g} … {float(a.max()):.4g}" for a in arguments if a.dtype.kind == "f")
    return f"{node.op.name} {where} made {found} in a tensor of shape {format_shape(value.shape)} from values {ranges}"
