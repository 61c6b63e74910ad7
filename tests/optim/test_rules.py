"""Every update rule against a calculation of another shape: sums over the whole past, in 50 decimal digits.

The rules keep running averages; here each step is worked out anew from the list of all gradients, by the papers'
expanded sums: m̂ is the mean of the past gradients with weights β^(t−i), and so on. Nothing is shared with the code.
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from fallline import optim

D = Decimal
Past = list[Decimal]
Step = Callable[[Past, int, dict[str, Any]], Decimal]  # effective gradients g₁ … g_t, t → how far w goes down

STEPS = 8  # RAdam changes its behaviour at the sixth
WEIGHTS = [0.5, -1.25, 3.0, 0.0, -0.75, 2.0]
GRADIENTS = np.array(
    [
        [0.5, -2.0, 0.125, 0.0, 1e-3, 300.0],
        [0.25, -1.5, -0.25, 0.0, 2e-3, -150.0],
        [-0.5, -1.75, 0.5, 0.0, -1e-3, 75.0],
        [0.75, 2.5, -1.0, 0.0, 4e-3, -500.0],
        [1.0, -0.5, 2.0, 0.0, 1e-3, 20.0],
        [-0.125, 1.0, -4.0, 0.0, -3e-3, 10.0],
        [0.375, 0.25, 0.0, 0.0, 1e-3, -5.0],
        [0.5, -3.0, 1.0, 0.0, 2e-3, 250.0],
    ],
    dtype=np.float32,
)


def decayed_sum(values: Past, keep: Decimal) -> Decimal:
    """Σ keep^(t−i)·vᵢ, with 0⁰ = 1."""
    last = len(values) - 1
    return sum((value * (keep ** (last - i) if last - i else D(1)) for i, value in enumerate(values)), D(0))


def weighted_mean(values: Past, keep: Decimal) -> Decimal:
    return decayed_sum(values, keep) / decayed_sum([D(1)] * len(values), keep)


def squares(values: Past) -> Past:
    return [value * value for value in values]


def sgd(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    if not h["nesterov"]:
        return h["lr"] * decayed_sum(g, h["momentum"])
    return h["lr"] * (decayed_sum([*g, D(0)], h["momentum"]) + g[-1])


def adagrad(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    root = sum(squares(g), h["initial_accumulator_value"]).sqrt()
    return h["lr"] / (1 + (t - 1) * h["lr_decay"]) * g[-1] / (root + h["eps"])


def rmsprop(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    alpha, directions = h["alpha"], []
    for i in range(1, t + 1):
        spread = (1 - alpha) * decayed_sum(squares(g[:i]), alpha)
        if h["centered"]:
            spread -= ((1 - alpha) * decayed_sum(g[:i], alpha)) ** 2
        directions.append(g[i - 1] / (spread.sqrt() + h["eps"]))
    return h["lr"] * decayed_sum(directions, h["momentum"])


def adadelta(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    rho, changes = h["rho"], []
    for i in range(1, t + 1):
        gradient_square = (1 - rho) * decayed_sum(squares(g[:i]), rho) + h["eps"]
        before = (1 - rho) * decayed_sum(squares(changes), rho) + h["eps"]
        changes.append((before / gradient_square).sqrt() * g[i - 1])
    return h["lr"] * changes[-1]


def adam(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    beta1, beta2 = h["betas"]
    square = weighted_mean(squares(g), beta2)
    if h["amsgrad"]:  # the largest uncorrected average, then corrected for t
        weight = decayed_sum([D(1)] * t, beta2)
        square = max(decayed_sum(squares(g[:i]), beta2) for i in range(1, t + 1)) / weight
    return h["lr"] * weighted_mean(g, beta1) / (square.sqrt() + h["eps"])


def nadam(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    beta1, beta2 = h["betas"]
    mu = [beta1 * (1 - D(0.96) ** (i * h["momentum_decay"]) / 2) for i in range(1, t + 2)]
    so_far = D(1)
    for value in mu[:t]:
        so_far *= value
    average = (1 - beta1) * decayed_sum(g, beta1)
    ahead = mu[t] * average / (1 - so_far * mu[t]) + (1 - mu[t - 1]) * g[-1] / (1 - so_far)
    return h["lr"] * ahead / (weighted_mean(squares(g), beta2).sqrt() + h["eps"])


def radam(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    beta1, beta2 = h["betas"]
    limit = (1 + beta2) / (1 - beta2)
    length = limit - 2 * t * beta2**t / (1 - beta2**t)
    mean = weighted_mean(g, beta1)
    if length <= 5:
        return h["lr"] * mean
    rectifier = ((length - 4) / (limit - 4) * (length - 2) / (limit - 2) * limit / length).sqrt()
    root = ((1 - beta2) * decayed_sum(squares(g), beta2)).sqrt() + h["eps"]
    return h["lr"] * mean * rectifier * (1 - beta2**t).sqrt() / root


def lion(g: Past, t: int, h: dict[str, Any]) -> Decimal:
    beta1, beta2 = h["betas"]
    before = (1 - beta2) * decayed_sum(g[:-1], beta2) if t > 1 else D(0)
    blend = beta1 * before + (1 - beta1) * g[-1]
    return h["lr"] * (D(0) if blend == 0 else D(1).copy_sign(blend))


EXPECTED: dict[str, Step] = {
    "sgd": sgd,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adadelta": adadelta,
    "adam": adam,
    "adamw": adam,
    "nadam": nadam,
    "radam": radam,
    "lion": lion,
}

CASES = [
    optim.SGD(0.1),
    optim.SGD(0.1, weight_decay=0.5),
    optim.SGD(0.01, momentum=0.9),
    optim.SGD(0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    optim.Adagrad(),
    optim.Adagrad(0.5, lr_decay=0.25, weight_decay=0.1, initial_accumulator_value=0.1, eps=1e-3),
    optim.RMSprop(),
    optim.RMSprop(0.01, alpha=0.9, momentum=0.8, weight_decay=0.1),
    optim.RMSprop(0.01, alpha=0.5, centered=True, eps=1e-2),
    optim.RMSprop(0.01, alpha=0.75, momentum=0.5, centered=True, eps=1e-1),
    optim.Adadelta(),
    optim.Adadelta(0.5, rho=0.5, eps=1e-3, weight_decay=0.1),
    optim.Adam(),
    optim.Adam(0.1, betas=(0.5, 0.75), eps=1e-2, weight_decay=0.1),
    optim.Adam(0.1, amsgrad=True, betas=(0.9, 0.5)),
    optim.AdamW(),
    optim.AdamW(0.1, betas=(0.5, 0.75), weight_decay=0.5, amsgrad=True),
    optim.NAdam(),
    optim.NAdam(0.05, betas=(0.8, 0.9), momentum_decay=0.5, weight_decay=0.1),
    optim.NAdam(0.05, weight_decay=0.1, decoupled_weight_decay=True),
    optim.RAdam(0.01),
    optim.RAdam(0.01, betas=(0.5, 0.8), weight_decay=0.1),
    optim.RAdam(0.01, betas=(0.5, 0.5), weight_decay=0.1, decoupled_weight_decay=True),
    optim.Lion(),
    optim.Lion(0.01, betas=(0.75, 0.5), weight_decay=0.5),
]


def exact_path(opt: optim.Optimizer, w: float, gradients: list[float]) -> list[Decimal]:
    """The weight after every step, in 50 digits."""
    with localcontext() as context:
        context.prec = 50
        h = {
            name: tuple(map(D, value)) if isinstance(value, tuple) else value if isinstance(value, bool) else D(value)
            for name, value in opt.hyper.items()
        }
        apart = opt.rule.name in ("adamw", "lion") or h.get("decoupled_weight_decay", False)
        decay, weight, past, path = h.get("weight_decay", D(0)), D(w), [], []
        for t, gradient in enumerate(gradients, start=1):
            past.append(D(gradient) if apart else D(gradient) + decay * weight)
            kept = weight - h["lr"] * decay * weight if apart else weight
            weight = kept - EXPECTED[opt.rule.name](past, t, h)
            path.append(weight)
        return path


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("opt", CASES, ids=repr)
def test_steps_agree_with_sums_over_the_past(opt: optim.Optimizer, dtype: str) -> None:
    weights = {"w": np.array(WEIGHTS, dtype=dtype)}
    state = opt.init(weights)
    found = []
    for row in GRADIENTS:
        weights, state = opt.update(weights, {"w": row.astype(dtype)}, state)
        assert weights["w"].dtype == dtype
        found.append(weights["w"])
    paths = [exact_path(opt, w, column) for w, column in zip(WEIGHTS, GRADIENTS.T.tolist(), strict=True)]
    expected = np.array([[float(value) for value in path] for path in paths]).T  # (steps, elements)
    digits = {"float64": 1e-13, "float32": 3e-6}[dtype]
    scale = np.maximum(np.abs(expected), 1.0)
    assert np.max(np.abs(np.array(found) - expected) / scale) < digits
    assert np.all(np.abs(expected - WEIGHTS)[:, :3].max(axis=0) > 0.99e-4)  # the weights did move
    assert state["step"] == STEPS


def test_every_rule_has_a_case() -> None:
    assert {opt.rule.name for opt in CASES} == set(optim.RULES) == set(EXPECTED)


def test_first_step_of_adam_is_the_learning_rate() -> None:
    """Kingma & Ba, section 2.1: with ε = 0 the first step is η·sign(g), whatever the gradient's size."""
    opt = optim.Adam(lr=0.25, eps=0.0)
    weights = {"w": np.zeros(4)}
    moved, _ = opt.update(weights, {"w": np.array([1e-6, -1e-3, 1.0, -1e8])}, opt.init(weights))
    np.testing.assert_allclose(moved["w"], [-0.25, 0.25, -0.25, 0.25], rtol=1e-14)


def test_adam_does_not_see_the_scale_of_the_loss() -> None:
    """Kingma & Ba, section 2.1: scaling all gradients by a power of two changes no bit when ε = 0."""
    opt = optim.Adam(lr=0.1, eps=0.0)
    ends = []
    for scale in (1.0, 1024.0):
        weights = {"w": np.array(WEIGHTS)[:3]}
        state = opt.init(weights)
        for row in GRADIENTS[:, :3].astype(np.float64):
            weights, state = opt.update(weights, {"w": scale * row}, state)
        ends.append(weights["w"].tobytes())
    assert ends[0] == ends[1]


def test_nesterov_is_sutskevers_form() -> None:
    """Sutskever et al. 2013, eq. 3-4: v ← μv − η∇f(θ + μv), θ ← θ + v; ours keeps the point θ + μv."""
    rate, mu, curvature = 0.05, 0.9, np.array([1.0, 10.0])
    theta, velocity = np.array([1.0, -2.0]), np.zeros(2)
    opt = optim.SGD(rate, momentum=mu, nesterov=True)
    weights = {"w": theta.copy()}
    state = opt.init(weights)
    for _ in range(20):
        velocity = mu * velocity - rate * curvature * (theta + mu * velocity)
        theta = theta + velocity
        weights, state = opt.update(weights, {"w": curvature * weights["w"]}, state)
        np.testing.assert_allclose(weights["w"], theta + mu * velocity, rtol=1e-12)


@pytest.mark.parametrize(("beta2", "first"), [(0.999, 6), (0.9, 6), (0.75, 8), (0.66, None)])
def test_radam_waits_for_its_sixth_step(beta2: float, first: int | None) -> None:
    """ρₜ > 5 begins at step 6 for β₂ near 1, later for smaller β₂, and never for β₂ ≤ 2/3.

    By hand: β₂ = ¾ has ρ∞ = 7, ρ₇ = 7 − 14·0.13348/0.86652 = 4.84, ρ₈ = 7 − 16·0.10011/0.89989 = 5.22.
    """
    opt = optim.RAdam(betas=(0.9, beta2))
    rectified = [t for t in range(1, 200) if opt.rule.scalars(opt.hyper, t, {})[0]["rectified"]]
    assert rectified == ([] if first is None else list(range(first, 200)))


def test_centred_rmsprop_survives_a_constant_gradient() -> None:
    """The variance of a constant is 0 up to rounding, which must not become the root of a negative number."""
    opt = optim.RMSprop(0.01, alpha=0.1, centered=True, eps=1e-3)
    weights = {"w": np.linspace(0.1, 3.0, 50, dtype=np.float32)}
    gradient = {"w": weights["w"] * np.float32(1.1)}
    state = opt.init(weights)
    for _ in range(30):
        weights, state = opt.update(weights, gradient, state)
    assert np.isfinite(weights["w"]).all()


def rosenbrock(w: np.ndarray) -> tuple[float, np.ndarray]:
    x, y = w
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)])


def scaled_quadratic(w: np.ndarray) -> tuple[float, np.ndarray]:
    curvature = np.array([1e-2, 1e2])
    return 0.5 * float((curvature * w) @ w), curvature * w


DESCENT = [
    ("sgd", {"lr": 1e-3}, {"lr": 1.9e-2}),
    ("sgd", {"lr": 1e-3, "momentum": 0.5}, {"lr": 1e-2, "momentum": 0.9}),
    ("sgd", {"lr": 5e-4, "momentum": 0.9, "nesterov": True}, {"lr": 5e-3, "momentum": 0.9, "nesterov": True}),
    ("adagrad", {"lr": 0.5}, {"lr": 0.5}),
    ("rmsprop", {"lr": 0.002}, {"lr": 0.002}),
    ("adadelta", {"lr": 10.0}, {"lr": 1.0}),
    ("adam", {"lr": 0.02}, {"lr": 0.02}),
    ("adamw", {"lr": 0.02, "weight_decay": 1e-4}, {"lr": 0.02, "weight_decay": 1e-4}),
    ("nadam", {"lr": 0.02}, {"lr": 0.02}),
    ("radam", {"lr": 0.003, "betas": (0.9, 0.99)}, {"lr": 0.005}),  # its first five steps are not scaled
    ("lion", {"lr": 0.001}, {"lr": 0.001}),
]


@pytest.mark.parametrize("problem", [0, 1], ids=["Rosenbrock", "condition 10⁴"])
@pytest.mark.parametrize("case", DESCENT, ids=lambda case: f"{case[0]}{case[1]}")
def test_every_rule_descends(case: Any, problem: int) -> None:
    function, start = [(rosenbrock, [-1.2, 1.0]), (scaled_quadratic, [1.0, 1.0])][problem]
    opt = optim.by_name(case[0], **case[1 + problem])
    weights = {"w": np.array(start)}
    state = opt.init(weights)
    before, gradient = function(weights["w"])
    for _ in range(1500):
        weights, state = opt.update(weights, {"w": gradient}, state)
        after, gradient = function(weights["w"])
    assert after < before * [0.1, 1e-3][problem]


def test_descent_covers_every_rule() -> None:
    assert {case[0] for case in DESCENT} == set(optim.RULES)
