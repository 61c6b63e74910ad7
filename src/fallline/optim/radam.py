"""RAdam: Adam that waits until its running average of squares can be trusted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.ops.functions import sqrt, where
from fallline.optim.groups import Groups
from fallline.optim.hyper import Hypers
from fallline.optim.moments import DECOUPLED, FIRST, SECOND, corrections, decay, moments, power
from fallline.optim.optimizer import Optimizer
from fallline.optim.rule import (
    Memory,
    Scalars,
    Slots,
    UpdateRule,
    Value,
    betas,
    epsilon,
    learning_rate,
    register,
    weight_decay,
)


def _radam_scalars(hyper: Hypers, t: Any, memory: Memory) -> tuple[Scalars, Memory]:
    beta2, lr = hyper["betas"][1], hyper["lr"]
    first, second = corrections(hyper, t)
    rho_max = 2.0 / (1.0 - beta2) - 1.0
    rho = rho_max - 2.0 * t * power(beta2, t) / second
    rate, rectified = lr / first, rho > 5.0
    with np.errstate(invalid="ignore", divide="ignore"):  # where ρ ≤ 5, which takes the other rate
        r = np.sqrt((rho - 4.0) * (rho - 2.0) * rho_max / ((rho_max - 4.0) * (rho_max - 2.0) * rho))
        rate = np.where(rectified, rate * r * np.sqrt(second), rate)
    return {
        "rate": rate,
        "rectified": np.where(rectified, 1.0, 0.0),
        "1-lr*weight_decay": 1.0 - lr * hyper["weight_decay"],
    }, memory


def _radam_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    w, g = decay(w, g, k)
    m, v = moments(g, state, k)
    d = where(k["rectified"] > 0.5, m / (sqrt(v) + k["eps"]), m)
    return w - k["rate"] * d, {"first_moment": m, "second_moment": v}


RADAM_RULE = register(
    UpdateRule(
        "radam",
        paper="Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, ICLR 2020, arXiv:1908.03265, "
        "Algorithm 2",
        hypers=(learning_rate(1e-3), betas((0.9, 0.999)), epsilon(1e-8), weight_decay(), DECOUPLED),
        slots=(FIRST, SECOND),
        scalars=_radam_scalars,
        step=_radam_step,
    )
)


class RAdam(Optimizer):
    """Rectified Adam: momentum alone for the first steps, then Adam with a rate that warms up by itself.

    ρ∞ = 2/(1−β₂) − 1;  ρ = ρ∞ − 2t·β₂ᵗ / (1−β₂ᵗ);  m̂ = m / (1−β₁ᵗ).
    Where ρ > 5:  r = √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ)),  w ← w − η·r·m̂·√(1−β₂ᵗ) / (√v + ε);
    else:  w ← w − η·m̂.

    Args:
        lr: learning rate η > 0.
        betas: (β₁, β₂), each at least 0 and less than 1; with β₂ ≤ 2/3, ρ never exceeds 5.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0, added to the gradient as λ·w.
        decoupled_weight_decay: multiply the weight by 1 − η·λ instead.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    As `torch.optim.RAdam`, without `maximize`. Source: Liu et al. 2020, Algorithm 2, with PyTorch's threshold of 5 for
    the paper's 4.
    """

    rule = RADAM_RULE

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )
