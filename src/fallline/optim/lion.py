"""Lion: the sign of an average of gradients."""

from collections.abc import Mapping
from typing import Any

from fallline.ops.functions import sign
from fallline.optim.groups import Groups
from fallline.optim.optimizer import Optimizer
from fallline.optim.rule import Slot, Slots, UpdateRule, Value, betas, learning_rate, rate_only, register, weight_decay


def _lion_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    beta1, beta2 = k["betas"]
    m = state["first_moment"]
    c = sign(beta1 * m + (1.0 - beta1) * g)
    m = beta2 * m + (1.0 - beta2) * g
    if k["weight_decay"]:
        c = c + k["weight_decay"] * w
    return w - k["lr"] * c, {"first_moment": m}


LION_RULE = register(
    UpdateRule(
        "lion",
        paper="Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675, Algorithm 2",
        hypers=(learning_rate(1e-4), betas((0.9, 0.99)), weight_decay(decoupled=True)),
        slots=(Slot("first_moment", "m: the running average of gradients"),),
        scalars=rate_only,
        step=_lion_step,
    )
)


class Lion(Optimizer):
    """Lion (evolved sign momentum): every weight moves by η or not at all, besides its decay.

    c ← sign(β₁·m + (1−β₁)·dw);  m ← β₂·m + (1−β₂)·dw;  w ← w − η·(c + λ·w).

    Because all steps have the size η, η should be 3 to 10 times smaller, and λ as much larger, than for AdamW
    (section 5 of the paper).

    Args:
        lr: learning rate η > 0.
        betas: (β₁, β₂), each at least 0 and less than 1.
        weight_decay: λ ≥ 0, decoupled from the gradient.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    Source: Chen et al. 2023, arXiv:2302.06675, Algorithm 2.
    """

    rule = LION_RULE

    def __init__(
        self,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas, weight_decay=weight_decay)
