"""Rules that divide by the size of past gradients: Adagrad, RMSprop, Adadelta."""

from collections.abc import Mapping
from typing import Any

from fallline.ops.functions import maximum, sqrt
from fallline.optim.groups import Groups
from fallline.optim.hyper import Hyper, Hypers
from fallline.optim.optimizer import Optimizer
from fallline.optim.rule import (
    Memory,
    Scalars,
    Slot,
    Slots,
    UpdateRule,
    Value,
    decayed_gradient,
    epsilon,
    learning_rate,
    momentum,
    rate_only,
    register,
    weight_decay,
)


def _adagrad_scalars(hyper: Hypers, t: Any, memory: Memory) -> tuple[Scalars, Memory]:
    return {"lr": hyper["lr"] / (1.0 + (t - 1) * hyper["lr_decay"])}, memory


def _adagrad_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    g = decayed_gradient(w, g, k)
    s = state["square_sum"] + g * g
    total = s + k["initial_accumulator_value"] if k["initial_accumulator_value"] else s
    return w - k["lr"] * g / (sqrt(total) + k["eps"]), {"square_sum": s}


ADAGRAD_RULE = register(
    UpdateRule(
        "adagrad",
        paper="Duchi, Hazan & Singer, JMLR 12 (2011) 2121-2159, Figure 1 with diagonal matrices",
        hypers=(
            learning_rate(0.01),
            Hyper("lr_decay", 0.0, 0.0, None, "η falls as 1/(1 + (t−1)·lr_decay)"),
            weight_decay(),
            Hyper("initial_accumulator_value", 0.0, 0.0, None, "start of the sum of squared gradients"),
            epsilon(1e-10),
        ),
        slots=(Slot("square_sum", "s: the sum of squared gradients, without the initial value"),),
        scalars=_adagrad_scalars,
        step=_adagrad_step,
    )
)


class Adagrad(Optimizer):
    """Adagrad: steps shrink with the root of the sum of all squared gradients, for each weight by itself.

    g ← dw + λ·w;  s ← s + g²;  w ← w − η/(1 + (t−1)·lr_decay) · g / (√(s + initial) + ε).

    Args:
        lr: learning rate η > 0.
        lr_decay: how fast η falls, ≥ 0.
        weight_decay: λ ≥ 0, added to the gradient as λ·w.
        initial_accumulator_value: start of the sum, ≥ 0.
        eps: ε ≥ 0.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    Deviation from `torch.optim.Adagrad`: the slot `square_sum` starts at 0 and the initial value is added where
    the sum is used, which differs by rounding only.
    Source: Duchi, Hazan & Singer 2011, Figure 1.
    """

    rule = ADAGRAD_RULE

    def __init__(
        self,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            groups,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )


def _rmsprop_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    g = decayed_gradient(w, g, k)
    alpha = k["alpha"]
    v = alpha * state["square_average"] + (1.0 - alpha) * (g * g)
    new = {"square_average": v}
    if "gradient_average" in state:
        m = alpha * state["gradient_average"] + (1.0 - alpha) * g
        new["gradient_average"] = m
        v = maximum(v - m * m, 0.0)  # a variance: rounding alone could take it below 0
    d = g / (sqrt(v) + k["eps"])
    if "velocity" in state:
        d = k["momentum"] * state["velocity"] + d
        new["velocity"] = d
    return w - k["lr"] * d, new


RMSPROP_RULE = register(
    UpdateRule(
        "rmsprop",
        paper="Tieleman & Hinton 2012, Coursera Neural Networks for Machine Learning, lecture 6.5; "
        "centred: Graves 2013, arXiv:1308.0850, eq. 38-41",
        hypers=(
            learning_rate(0.01),
            Hyper("alpha", 0.99, 0.0, 1.0, "α: how much of the average of squares is kept each step", high_open=True),
            epsilon(1e-8),
            weight_decay(),
            momentum(),
            Hyper("centered", False, None, None, "divide by the deviation, not by the root mean square"),
        ),
        slots=(
            Slot("square_average", "v: the running average of squared gradients"),
            Slot("gradient_average", "m: the running average of gradients", lambda hyper: hyper["centered"]),
            Slot("velocity", "b: the decayed sum of past directions", lambda hyper: hyper["momentum"] > 0.0),
        ),
        scalars=rate_only,
        step=_rmsprop_step,
    )
)


class RMSprop(Optimizer):
    """RMSprop: steps are divided by the root of a running average of squared gradients.

    g ← dw + λ·w;  v ← α·v + (1−α)·g²;  centred: m ← α·m + (1−α)·g, and v − m² in place of v;
    d ← g / (√v + ε);  momentum: b ← μ·b + d in place of d;  w ← w − η·d.

    Args:
        lr: learning rate η > 0.
        alpha: α, 0 ≤ α < 1.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0, added to the gradient as λ·w.
        momentum: μ, 0 ≤ μ < 1.
        centered: divide by the deviation of the gradient.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    Deviation from `torch.optim.RMSprop`: v − m² is held at 0 or above, where rounding makes theirs NaN.
    Sources: Tieleman & Hinton 2012, lecture 6.5; Graves 2013, eq. 38-41.
    """

    rule = RMSPROP_RULE

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            groups, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )


def _adadelta_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    g = decayed_gradient(w, g, k)
    rho, eps = k["rho"], k["eps"]
    v = rho * state["square_average"] + (1.0 - rho) * (g * g)
    d = sqrt(state["change_average"] + eps) / sqrt(v + eps) * g
    u = rho * state["change_average"] + (1.0 - rho) * (d * d)
    return w - k["lr"] * d, {"square_average": v, "change_average": u}


ADADELTA_RULE = register(
    UpdateRule(
        "adadelta",
        paper="Zeiler 2012, arXiv:1212.5701, Algorithm 1",
        hypers=(
            learning_rate(1.0),
            Hyper("rho", 0.9, 0.0, 1.0, "ρ: how much of the averages of squares is kept each step", high_open=True),
            Hyper("eps", 1e-6, 0.0, None, "ε, which starts the first steps", low_open=True),
            weight_decay(),
        ),
        slots=(
            Slot("square_average", "E[g²]: the running average of squared gradients"),
            Slot("change_average", "E[Δx²]: the running average of squared changes, before η"),
        ),
        scalars=rate_only,
        step=_adadelta_step,
    )
)


class Adadelta(Optimizer):
    """Adadelta: the root mean square of past changes over that of past gradients sets the step.

    g ← dw + λ·w;  v ← ρ·v + (1−ρ)·g²;  d ← √(u + ε) / √(v + ε) · g;  u ← ρ·u + (1−ρ)·d²;  w ← w − η·d.

    Args:
        lr: η > 0, which multiplies the change; Zeiler's algorithm has 1.
        rho: ρ, 0 ≤ ρ < 1.
        eps: ε > 0; with 0 no weight would ever move.
        weight_decay: λ ≥ 0, added to the gradient as λ·w.
        groups: name pattern → other hyper-parameters; see `Optimizer`.

    Raises:
        ArgumentError, KindError: a value is outside its range or of the wrong kind.

    As `torch.optim.Adadelta`. Source: Zeiler 2012, Algorithm 1.
    """

    rule = ADADELTA_RULE

    def __init__(
        self,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(groups, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
