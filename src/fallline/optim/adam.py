"""Adam and AdamW: steps of momentum divided by the root of a running average of squares."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.ops.functions import maximum, sqrt
from fallline.optim.groups import Groups
from fallline.optim.hyper import Hypers
from fallline.optim.moments import AMSGRAD, FIRST, LARGEST, SECOND, corrections, moments
from fallline.optim.optimizer import Optimizer
from fallline.optim.rule import (
    Memory,
    Scalars,
    Slots,
    UpdateRule,
    Value,
    betas,
    decayed_gradient,
    epsilon,
    learning_rate,
    register,
    weight_decay,
)


def _adam_scalars(hyper: Hypers, t: Any, memory: Memory) -> tuple[Scalars, Memory]:
    first, second = corrections(hyper, t)
    return {
        "lr/(1-beta1^t)": hyper["lr"] / first,
        "1/sqrt(1-beta2^t)": 1.0 / np.sqrt(second),
        "1-lr*weight_decay": 1.0 - hyper["lr"] * hyper["weight_decay"],
    }, memory


def _adam_core(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    m, v = moments(g, state, k)
    new = {"first_moment": m, "second_moment": v}
    if "largest_second_moment" in state:
        v = new["largest_second_moment"] = maximum(state["largest_second_moment"], v)
    return w - k["lr/(1-beta1^t)"] * m / (sqrt(v) * k["1/sqrt(1-beta2^t)"] + k["eps"]), new


def _adam_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    return _adam_core(w, decayed_gradient(w, g, k), state, k)


def _adamw_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    return _adam_core(k["1-lr*weight_decay"] * w if k["weight_decay"] else w, g, state, k)


ADAM_RULE = register(
    UpdateRule(
        "adam",
        paper="Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1; AMSGrad: Reddi, Kale & Kumar, ICLR 2018, "
        "arXiv:1904.09237, Algorithm 2",
        hypers=(learning_rate(1e-3), betas((0.9, 0.999)), epsilon(1e-8), weight_decay(), AMSGRAD),
        slots=(FIRST, SECOND, LARGEST),
        scalars=_adam_scalars,
        step=_adam_step,
    )
)

ADAMW_RULE = register(
    UpdateRule(
        "adamw",
        paper="Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, arXiv:1711.05101, Algorithm 2",
        hypers=(
            learning_rate(1e-3),
            betas((0.9, 0.999)),
            epsilon(1e-8),
            weight_decay(0.01, decoupled=True),
            AMSGRAD,
        ),
        slots=(FIRST, SECOND, LARGEST),
        scalars=_adam_scalars,
        step=_adamw_step,
    )
)


class Adam(Optimizer):
    """Adam: w ← w − η·m̂ / (√v̂ + ε).

    g ← dw + λ·w;  m̂ = m / (1−β₁ᵗ);  v̂ = v / (1−β₂ᵗ), or the largest v so far in place of v with `amsgrad`.

    Args:
        lr: learning rate η > 0.
        betas: (β₁, β₂), each at least 0 and less than 1.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0, added to the gradient as λ·w; see `AdamW` for the decoupled kind.
        amsgrad: divide by the largest v so far.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    As `torch.optim.Adam`, without `maximize`. Sources: Kingma & Ba 2015, Algorithm 1; Reddi et al. 2018, Algorithm 2
    (with the bias correction of v that theirs leaves out, as PyTorch).
    """

    rule = ADAM_RULE

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


class AdamW(Optimizer):
    """Adam with decoupled weight decay: w ← (1 − η·λ)·w − η·m̂ / (√v̂ + ε), with m and v of dw alone.

    Args:
        lr: learning rate η > 0.
        betas: (β₁, β₂), each at least 0 and less than 1.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0.
        amsgrad: divide by the largest v so far.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    As `torch.optim.AdamW`, without `maximize`. Source: Loshchilov & Hutter 2019, Algorithm 2 (λ multiplied with η, as
    PyTorch does; the paper's multiplies it with the schedule's factor alone).
    """

    rule = ADAMW_RULE

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)
