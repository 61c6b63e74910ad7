"""Clipping: gradients held within bounds before the update rule sees them.

The functions take NumPy arrays, or symbolic tensors while a training step is traced, and do the same with both.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.ir.types import DType
from fallline.ops import exact
from fallline.ops.functions import maximum, minimum, sqrt, where
from fallline.ops.tensor import is_symbolic
from fallline.optim.hyper import Hyper

Value = Any  # a NumPy array, or a symbolic tensor
Gradients = Mapping[str, Value]


def _limit(call: str, limit: float) -> float:
    advice = "Leave clipping out to have no limit."
    return float(Hyper("limit", None, 0.0, None, "the bound", low_open=True, advice=advice).validated(call, limit))


def clip_by_value(grads: Gradients, limit: float) -> dict[str, Value]:
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
    clipped = {name: minimum(maximum(g, -bound), bound) for name, g in grads.items()}
    # NumPy turns arrays without dimensions into scalars; they go out as they came in.
    return {name: g if is_symbolic(g) else np.asarray(g) for name, g in clipped.items()}


def global_norm(grads: Gradients) -> Value:
    """The Euclidean norm of all gradients as one vector: √(Σ over parameters Σ over elements g²).

    In float64 and one fixed order: `exact.lane_sum` over each gradient's row-major elements, and these sums added
    one after the other in the order of `grads`. Infinite or NaN where an element is.

    Args:
        grads: name → dL/dw.

    Returns:
        A float; of symbolic tensors, a float64 tensor without dimensions.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        sums = [_square_sum(g) for g in grads.values()]
    total = sums[0] if sums else 0.0
    for further in sums[1:]:
        total = total + further
    return sqrt(total) if is_symbolic(total) else math.sqrt(total)


def _square_sum(g: Value) -> Value:
    if is_symbolic(g):
        wide = g.reshape((math.prod(g.shape),)).astype(DType.FLOAT64)  # (elements,)
        return (wide * wide).sum()
    flat = np.ravel(np.asarray(g, dtype=np.float64), order="C")
    return exact.lane_sum(flat * flat)


def clip_by_global_norm(grads: Gradients, limit: float) -> tuple[dict[str, Value], Value]:
    """All gradients scaled by limit/norm where their global norm exceeds the limit.

    The direction stays. At or below the limit, gradients keep their bits; so do they with an infinite or NaN norm,
    which is for the training loop to tell of. The factor is found in float64 and rounded to each gradient's dtype.

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
    if is_symbolic(norm):
        outside = (norm > bound) & (norm < math.inf)  # a NaN is neither
        factor = where(outside, bound / norm, 1.0)
        return {name: g * factor.astype(g.dtype) for name, g in grads.items()}, norm
    if not bound < norm < math.inf:
        return dict(grads), norm
    scale = bound / norm
    return {name: np.asarray(g * scale) for name, g in grads.items()}, norm
