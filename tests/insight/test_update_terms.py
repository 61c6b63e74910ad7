"""The update term by term: of every rule, the terms make the new weight, and the formulas mean what they say."""

import math
import re
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim

RULES = [
    optim.SGD(lr=0.1),
    optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.01),
    optim.SGD(lr=0.1, momentum=0.9, nesterov=True),
    optim.Adam(lr=0.02, weight_decay=0.1, amsgrad=True),
    optim.AdamW(lr=0.02),
    optim.RMSprop(lr=0.01, momentum=0.5, centered=True),
    optim.Adagrad(lr=0.05),
    optim.Adadelta(lr=0.5),
    optim.NAdam(lr=0.02),
    optim.RAdam(lr=0.02),
    optim.Lion(lr=0.01, weight_decay=0.1),
]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=5)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.normal(size=(12, 3)), rng.integers(0, 2, 12)


def test_every_rule_is_tried() -> None:
    assert {rule.rule.name for rule in RULES} == set(optim.RULES)


def worked_out(formula: str) -> float:
    """The value of a formula in numbers, by Python's arithmetic."""
    text = formula.replace("−", "-").replace("·", "*").replace("e-", "E-")
    text = re.sub(r"√([0-9.E-]+)", r"root(\1)", text).replace("√(", "root(")
    names: dict[str, Any] = {"root": math.sqrt, "max": max, "min": min, "abs": abs}
    names |= {"where": lambda which, a, b: a if which else b, "sign": lambda a: (a > 0) - (a < 0)}
    return float(eval(text, {"__builtins__": {}}, names))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.05, "clip_value": 0.02}], ids=["free", "clipped"])
def test_the_terms_make_the_new_weight(rule: optim.Optimizer, clip: dict[str, float]) -> None:
    x, y = data()
    run = fl.fit(network(), x, y, epochs=3, batch_size=4, optimizer=rule, **clip)
    for step in (0, 7):
        past = fl.replay(run, step)
        update = fl.explain(run, "2.weight[1,0]", step=step).update
        assert update is not None
        assert update.gradient == float(past.gradients["2.weight"][1, 0])
        assert (update.before, update.after) == (
            float(past.before.weights["2.weight"][1, 0]), float(past.after.weights["2.weight"][1, 0]),
        )  # fmt: skip
        assert math.fsum([*(term.value for term in update.terms), *update.rounding]) == update.after
        assert abs(math.fsum(update.rounding)) <= 1e-6 * max(abs(term.value) for term in update.terms)
        assert update.lines[-1].value == update.after
        assert (update.lines[0].name == "g") is bool(clip)
        assert len({line.formula for line in update.lines}) == len(update.lines), "nothing is told twice"
        for line in update.lines:
            scale = max(abs(line.value), 1e-12)
            assert worked_out(line.numbers) == pytest.approx(line.value, rel=2e-3, abs=2e-3 * scale), line
        slots = {
            name: array["2.weight"][1, 0] for name, array in past.after.state.items() if name not in ("step", "memory")
        }
        told = {line.value for line in update.lines}
        assert {float(value) for value in slots.values()} <= told, "every slot's new value has a line"


def test_a_frozen_weight_stays() -> None:
    x, y = data()
    found = fl.explain(network(), "0.bias[0]", x, y, optimizer=optim.SGD(lr=0.1, groups={"0.*": 0}))
    assert found.update is not None
    assert (found.update.frozen, found.update.change) == (True, 0.0)
    assert "the weight is frozen (η = 0): it stays 0" in str(found)


def test_the_state_that_is_given_is_taken() -> None:
    x, y = data()
    net, rule = network(), optim.Adam(lr=0.01)
    weights = net.parameters()
    _, grads = fl.loss_and_gradients(net, x, y)
    _, state = rule.update(weights, grads, rule.init(weights))
    found = fl.explain(net, "2.bias[1]", x, y, optimizer=rule, state=state).update
    assert found is not None
    again, _ = rule.update(weights, grads, state)
    assert found.after == pytest.approx(float(again["2.bias"][1]), rel=1e-6)
    assert found.scalars["η/(1−β₁ᵗ)"] == pytest.approx(0.01 / (1 - 0.9**2), rel=1e-6)


def test_without_an_optimizer_no_update_is_told() -> None:
    x, y = data()
    found = fl.explain(network(), "2.bias[1]", x, y)
    assert found.update is None
    assert "Gradient descent" not in str(found)
