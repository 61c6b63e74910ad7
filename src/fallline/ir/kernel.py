"""Kernel forms: the few shapes of computation that every op takes, written against an `Emitter`.

A schedule (NumPy's now, a compiler's later) exists once per form, not once per op.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fallline.ir.emitter import Value

LANES = 16
"""Logical lanes of every reduction, whatever the width of the machine's vectors."""


@dataclass(frozen=True)
class Elementwise:
    """out[i] = body(e, in₀[i], in₁[i], …): all shapes equal."""

    body: Callable[..., Value]


@dataclass(frozen=True)
class Reduction:
    """out = combine over the attribute `axes`, starting from init(e, dtype).

    The order is fixed: the reduced elements, in row-major order, are dealt to `LANES` lanes in turn,
    each lane combines its own in ascending order, and the lanes are combined by halving (0 with 8, …).
    """

    init: Callable[..., Value]
    combine: Callable[..., Value]


@dataclass(frozen=True)
class Contraction:
    """out[…, i, j] = Σₖ a[…, i, k]·b[…, k, j]: one chain of fused multiply-adds over ascending k."""


@dataclass(frozen=True)
class IndexMap:
    """out[index] = body(e, load, index): where load(k, indices) reads one element of input k.

    `index` holds one int64 value per output axis; the body also gets the input types as `types`.
    """

    body: Callable[..., Value]


@dataclass(frozen=True)
class Scatter:
    """out[r, …] = Σ values[i, …] over ascending i with indices[i] = r."""


@dataclass(frozen=True)
class Random:
    """out[row, element] = body(e, word): `word` is the Philox word of (key, row, element, step)."""

    body: Callable[..., Value]


KernelForm = Elementwise | Reduction | Contraction | IndexMap | Scatter | Random


@dataclass(frozen=True)
class Leaf:
    """A node that computes nothing: an input of the graph or a constant."""


def attribute_text(value: Any) -> str:
    """An attribute's value as a graph's listing shows it, on one line; of an array, its first numbers."""
    if isinstance(value, np.ndarray):
        shown = [str(item) for item in value.ravel()[:4]] + (["…"] if value.size > 4 else [])
        return f"[{', '.join(shown)}]"
    if isinstance(value, tuple):
        return f"({', '.join(attribute_text(item) for item in value)}{',' if len(value) == 1 else ''})"
    return str(value)
