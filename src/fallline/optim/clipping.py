"""Clipping: gradients held within bounds before the update rule sees them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ops import exact
from fallline.ops.functions import maximum, minimum
from fallline.optim.hyper import Hyper

Array = NDArray[Any]
Gradients = Mapping[str, Array]


def _limit(call: str, limit: float) -> float:
    advice = "Leave clipping out to have no limit."
    return float(Hyper("limit", None, 0.0, None, "the bound", low_open=True, advice=advice).validated(call, limit))


def clip_by_value(grads: Gradients, limit: float) -> dict[str, Array]:
    """Every element held within [−limit, limit]; NaN stays NaN.

    Args:
        grads: name → dL/dw.
        limit: the bound, > 0.

    Returns:
        New arrays of the same names, shapes and dtypes.

    Raises:
        ArgumentError, KindError: the limit is not a positive number.
    """
    bound = _limit("optim.clip_by_value", limit)
    return {name: np.asarray(minimum(maximum(g, -bound), bound)) for name, g in grads.items()}


def global_norm(grads: Gradients) -> float:
    """The Euclidean norm of all gradients as one vector: √(Σ over parameters Σ over elements g²).

    In float64 and one fixed order: `exact.tree_sum` over each gradient's row-major elements, and these sums added
    one after the other in the order of `grads`. Infinite or NaN where an element is.
    """
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for g in grads.values():
            flat = np.ravel(np.asarray(g, dtype=np.float64), order="C")  # (elements,)
            total = total + float(exact.tree_sum(flat * flat))
    return math.sqrt(total)


def clip_by_global_norm(grads: Gradients, limit: float) -> tuple[dict[str, Array], float]:
    """All gradients scaled by limit/norm where their global norm exceeds the limit.

    The direction stays. At or below the limit, gradients keep their bits; so do they with an infinite or NaN norm,
    which is for the training loop to tell of.

    Args:
        grads: name → dL/dw.
        limit: the largest norm, > 0.

    Returns:
        The gradients, and their norm before clipping.

    Raises:
        ArgumentError, KindError: the limit is not a positive number.

    Deviation from `torch.nn.utils.clip_grad_norm_`: it scales by limit/(norm + 10⁻⁶).
    Source: Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063, Algorithm 1.
    """
    bound = _limit("optim.clip_by_global_norm", limit)
    norm = global_norm(grads)
    if not math.isfinite(norm) or norm <= bound:
        return dict(grads), norm
    scale = bound / norm
    return {name: np.asarray(g * scale) for name, g in grads.items()}, norm
