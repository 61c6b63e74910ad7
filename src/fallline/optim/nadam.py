"""NAdam: Adam with Nesterov's momentum."""

from collections.abc import Mapping
from typing import Any

from fallline.ops import exact
from fallline.ops.functions import sqrt
from fallline.optim.groups import Groups
from fallline.optim.hyper import Hyper, Hypers
from fallline.optim.moments import DECOUPLED, FIRST, SECOND, corrections, decay, moments
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


def _nadam_scalars(hyper: Hypers, t: Any, memory: Memory) -> tuple[Scalars, Memory]:
    beta1, psi, lr = hyper["betas"][0], hyper["momentum_decay"], hyper["lr"]
    mu = beta1 * (1.0 - 0.5 * exact.power(0.96, t * psi))
    mu_next = beta1 * (1.0 - 0.5 * exact.power(0.96, (t + 1) * psi))
    product = memory["mu_product"] * mu
    return {
        "lr*(1-mu)/(1-product)": lr * (1.0 - mu) / (1.0 - product),
        "lr*mu_next/(1-product*mu_next)": lr * mu_next / (1.0 - product * mu_next),
        "1/(1-beta2^t)": 1.0 / corrections(hyper, t)[1],
        "1-lr*weight_decay": 1.0 - lr * hyper["weight_decay"],
    }, {"mu_product": product}


def _nadam_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    w, g = decay(w, g, k)
    m, v = moments(g, state, k)
    ahead = k["lr*(1-mu)/(1-product)"] * g + k["lr*mu_next/(1-product*mu_next)"] * m
    return w - ahead / (sqrt(v * k["1/(1-beta2^t)"]) + k["eps"]), {"first_moment": m, "second_moment": v}


NADAM_RULE = register(
    UpdateRule(
        "nadam",
        paper="Dozat, Incorporating Nesterov Momentum into Adam, ICLR workshop 2016, Algorithm 2",
        hypers=(
            learning_rate(2e-3),
            betas((0.9, 0.999)),
            epsilon(1e-8),
            weight_decay(),
            Hyper("momentum_decay", 4e-3, 0.0, None, "ψ: how fast μₜ = β₁·(1 − ½·0.96^(tψ)) rises to β₁"),
            DECOUPLED,
        ),
        slots=(FIRST, SECOND),
        scalars=_nadam_scalars,
        step=_nadam_step,
        memory=(("mu_product", 1.0),),
    )
)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, which takes the next step's momentum already now.

    μₜ = β₁·(1 − ½·0.96^(tψ));  m̂ = μₜ₊₁·m / (1 − Πᵢ₌₁ᵗ⁺¹ μᵢ) + (1−μₜ)·g / (1 − Πᵢ₌₁ᵗ μᵢ);
    w ← w − η·m̂ / (√(v / (1−β₂ᵗ)) + ε).

    Args:
        lr: learning rate η > 0.
        betas: (β₁, β₂), each at least 0 and less than 1.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0, added to the gradient as λ·w.
        momentum_decay: ψ ≥ 0.
        decoupled_weight_decay: multiply the weight by 1 − η·λ instead.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    As `torch.optim.NAdam`, without `maximize`; the product of μ is kept in float64. Source: Dozat 2016, Algorithm 2.
    """

    rule = NADAM_RULE

    def __init__(
        self,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )
