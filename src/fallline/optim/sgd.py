"""Stochastic gradient descent, plain, with momentum, and with Nesterov's momentum."""

from collections.abc import Mapping
from typing import Any

from fallline.optim.groups import Groups
from fallline.optim.hyper import Hyper, Hypers
from fallline.optim.optimizer import Optimizer
from fallline.optim.rule import (
    Slot,
    Slots,
    UpdateRule,
    Value,
    decayed_gradient,
    learning_rate,
    momentum,
    rate_only,
    register,
    weight_decay,
)


def _sgd_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    g = decayed_gradient(w, g, k)
    if "velocity" not in state:
        return w - k["lr"] * g, {}
    b = k["momentum"] * state["velocity"] + g
    d = g + k["momentum"] * b if k["nesterov"] else b
    return w - k["lr"] * d, {"velocity": b}


def _objection(hyper: Hypers) -> str:
    if hyper["nesterov"] and not hyper["momentum"]:
        return "nesterov=True needs momentum greater than 0, found momentum=0.0. Try momentum=0.9."
    return ""


SGD_RULE = register(
    UpdateRule(
        "sgd",
        paper="Robbins & Monro 1951, A Stochastic Approximation Method; momentum (Polyak 1964) and Nesterov's: "
        "Sutskever, Martens, Dahl & Hinton, ICML 2013, eq. 1-2 and 3-4",
        hypers=(
            learning_rate(None),
            momentum(),
            Hyper("nesterov", False, None, None, "Nesterov's momentum: look ahead along the velocity"),
            weight_decay(),
        ),
        slots=(Slot("velocity", "b: the decayed sum of past gradients", lambda hyper: hyper["momentum"] > 0.0),),
        scalars=rate_only,
        step=_sgd_step,
        objection=_objection,
    )
)


class SGD(Optimizer):
    """Stochastic gradient descent: w ← w − η·dw, with momentum if wanted.

    g ← dw + λ·w;  b ← μ·b + g;  w ← w − η·b, or w ← w − η·(g + μ·b) with `nesterov`.

    The velocity b gathers gradients, not steps, so that a change of η acts at once. At constant η this is
    Polyak's heavy ball with v = −η·b (eq. 1-2 of Sutskever et al.), and with `nesterov` their eq. 3-4, where the
    weight kept is the one looked ahead to: θ + μ·v.

    Args:
        lr: learning rate η > 0.
        momentum: μ, 0 ≤ μ < 1; 0 keeps no state.
        nesterov: Nesterov's momentum; needs momentum > 0.
        weight_decay: λ ≥ 0, added to the gradient as λ·w.
        groups: name pattern → other hyper-parameters for the parameters that match it; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    Deviations from `torch.optim.SGD`: `lr` has to be given; there is no `dampening` and no `maximize`.
    Sources: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013, eq. 1-4.
    """

    rule = SGD_RULE

    def __init__(
        self,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
