"""What Adam and its relatives share: the running averages of the gradient and of its square.

    m ← β₁·m + (1−β₁)·g;   v ← β₂·v + (1−β₂)·g²   (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1)

Both start at zero; the corrections of their bias towards it, 1−β₁ᵗ and 1−β₂ᵗ, are scalars of the step.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.ops import exact
from fallline.optim.hyper import Hyper, Hypers
from fallline.optim.rule import Slot, Slots, Value, decayed_gradient

FIRST = Slot("first_moment", "m: the running average of gradients")
SECOND = Slot("second_moment", "v: the running average of squared gradients")
LARGEST = Slot("largest_second_moment", "the largest v so far", lambda hyper: hyper["amsgrad"])
AMSGRAD = Hyper("amsgrad", False, None, None, "divide by the largest v so far")
DECOUPLED = Hyper("decoupled_weight_decay", False, None, None, "shrink the weight instead, as AdamW does")


def moments(g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Value]:
    """(m, v) after the gradient g."""
    beta1, beta2 = k["betas"]
    m = beta1 * state["first_moment"] + (1.0 - beta1) * g
    v = beta2 * state["second_moment"] + (1.0 - beta2) * (g * g)
    return m, v


def corrections(hyper: Hypers, t: Any) -> tuple[Any, Any]:
    """(1 − β₁ᵗ, 1 − β₂ᵗ), of one step or of an array of steps."""
    beta1, beta2 = hyper["betas"]
    return 1.0 - power(beta1, t), 1.0 - power(beta2, t)


def power(base: float, t: Any) -> Any:
    """baseᵗ, of one step or of an array of steps, with the same bits."""
    return exact.powers(base, t) if isinstance(t, np.ndarray) else exact.power(base, t)


def decay(w: Value, g: Value, k: Mapping[str, Any]) -> tuple[Value, Value]:
    """Weight decay of either kind: (weight, gradient) after it."""
    if k["weight_decay"] and k["decoupled_weight_decay"]:
        return k["1-lr*weight_decay"] * w, g
    return w, decayed_gradient(w, g, k)
