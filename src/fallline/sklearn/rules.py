"""The update rules of scikit-learn's solvers, so that the same settings take the same steps.

They differ from `fallline.optim`'s in what happens when the learning rate changes (SGD) and in where ε stands (Adam),
and are no rules to choose by name: they are not registered.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.ops.functions import sqrt
from fallline.optim import Optimizer
from fallline.optim.hyper import Hyper, Hypers
from fallline.optim.moments import FIRST, SECOND, corrections, moments
from fallline.optim.rule import (
    Memory,
    Scalars,
    Slot,
    Slots,
    UpdateRule,
    Value,
    betas,
    epsilon,
    learning_rate,
    rate_only,
)


def _sgd_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    step = -(k["lr"] * g)
    if "velocity" not in state:
        return w + step, {}
    v = k["momentum"] * state["velocity"] + step
    return w + (k["momentum"] * v + step if k["nesterov"] else v), {"velocity": v}


SGD_RULE = UpdateRule(
    "sklearn_sgd",
    paper="Sutskever, Martens, Dahl & Hinton, ICML 2013, eq. 1-2 and 3-4, as scikit-learn writes them: "
    "the velocity v gathers steps, η·gradient, not gradients",
    hypers=(
        learning_rate(1.0),
        Hyper("momentum", 0.9, 0.0, 1.0, "μ: how much of the last step is kept; 1 is allowed"),
        Hyper("nesterov", True, None, None, "Nesterov's momentum"),
    ),
    slots=(Slot("velocity", "v: the decayed sum of past steps", lambda hyper: hyper["momentum"] > 0.0),),
    scalars=rate_only,
    step=_sgd_step,
)


def _adam_scalars(hyper: Hypers, t: Any, memory: Memory) -> tuple[Scalars, Memory]:
    first, second = corrections(hyper, t)
    return {"lr": hyper["lr"] * np.sqrt(second) / first}, memory


def _adam_step(w: Value, g: Value, state: Slots, k: Mapping[str, Any]) -> tuple[Value, Slots]:
    m, v = moments(g, state, k)
    return w - k["lr"] * m / (sqrt(v) + k["eps"]), {"first_moment": m, "second_moment": v}


ADAM_RULE = UpdateRule(
    "sklearn_adam",
    paper="Kingma & Ba, ICLR 2015, arXiv:1412.6980, section 2, the efficient order: η·√(1−β₂ᵗ)/(1−β₁ᵗ)·m / (√v + ε)",
    hypers=(learning_rate(1.0), betas((0.9, 0.999)), epsilon(1e-8)),
    slots=(FIRST, SECOND),
    scalars=_adam_scalars,
    step=_adam_step,
)


class _Sgd:
    rule = SGD_RULE


class _Adam:
    rule = ADAM_RULE


class SklearnSGD(_Sgd, Optimizer):
    """v ← μ·v − η·g; w ← w + v, or w + μ·v − η·g with `nesterov`. η is given step by step, as the schedule's factor."""


class SklearnAdam(_Adam, Optimizer):
    """w ← w − η·√(1−β₂ᵗ)/(1−β₁ᵗ)·m / (√v + ε). η is given step by step, as the schedule's factor."""
