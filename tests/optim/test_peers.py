"""Update rules, schedules and clipping against PyTorch's; skipped where it is absent."""

from typing import Any

import numpy as np
import pytest

from fallline import optim

pytestmark = pytest.mark.peers

CASES = [
    optim.SGD(0.1),
    optim.SGD(0.1, momentum=0.9, weight_decay=0.1),
    optim.SGD(0.1, momentum=0.9, nesterov=True),
    optim.Adagrad(0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1),
    optim.RMSprop(weight_decay=0.1),
    optim.RMSprop(momentum=0.9, centered=True),
    optim.Adadelta(weight_decay=0.1),
    optim.Adam(0.01, weight_decay=0.1),
    optim.Adam(0.01, amsgrad=True, betas=(0.8, 0.7)),
    optim.AdamW(0.01, weight_decay=0.1),
    optim.AdamW(0.01, amsgrad=True, betas=(0.8, 0.7)),
    optim.NAdam(weight_decay=0.1),
    optim.NAdam(betas=(0.8, 0.7), momentum_decay=0.1),
    optim.RAdam(0.01, weight_decay=0.1),
    optim.RAdam(0.01, betas=(0.9, 0.5)),
]


@pytest.mark.parametrize("opt", CASES, ids=repr)
def test_steps(opt: optim.Optimizer) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    weights = {"w": rng.normal(size=(4, 3))}
    parameter = torch.nn.Parameter(torch.tensor(weights["w"]))
    settings = {name: value for name, value in opt.hyper.items() if name != "decoupled_weight_decay"}
    peer = getattr(torch.optim, type(opt).__name__)([parameter], **settings)
    state = opt.init(weights)
    for _ in range(8):
        gradient = rng.normal(size=(4, 3)) * 10.0 ** rng.integers(-3, 3, size=(4, 3))
        weights, state = opt.update(weights, {"w": gradient}, state)
        parameter.grad = torch.tensor(gradient)
        peer.step()
        np.testing.assert_allclose(weights["w"], parameter.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in optim.RULES if name != "lion"])
def test_defaults(name: str) -> None:
    torch = pytest.importorskip("torch")
    opt = optim.by_name(name, lr=0.1)
    peer = getattr(torch.optim, type(opt).__name__)([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    for key, value in opt.hyper.items():
        if key in peer.defaults:
            assert peer.defaults[key] == value


SCHEDULES: list[tuple[optim.Schedule, str, dict[str, Any]]] = [
    (optim.StepDecay(3, factor=0.5), "StepLR", {"step_size": 3, "gamma": 0.5}),
    (optim.ExponentialDecay(0.9), "ExponentialLR", {"gamma": 0.9}),
    (optim.Cosine(final=0.1), "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.1}),
    (optim.CosineRestarts(2, multiply=2), "CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2}),
]


@pytest.mark.parametrize(("schedule", "name", "settings"), SCHEDULES, ids=[name for _, name, _ in SCHEDULES])
def test_schedules(schedule: optim.Schedule, name: str, settings: dict[str, Any]) -> None:
    """One step an epoch, twenty epochs, and η = 1."""
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    peer = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    for step in range(20):
        assert schedule.factor(step, 1, 20) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        peer.step()


def test_reduction_on_a_plateau() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.01)
    schedule = optim.ReduceOnPlateau(factor=0.5, patience=2, threshold=0.01)
    state = schedule.initial_state()
    for score in [5.0, 4.0, 3.99, 3.98, 3.97, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3.0, 3.0]:
        peer.step(score)
        state = schedule.observe(state, score)
        assert schedule.factor(0, 1, 1, state) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_clipping_by_norm() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    grads = {"a": rng.normal(size=(5, 4)), "b": rng.normal(size=7)}
    parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads.values()]
    for parameter, g in zip(parameters, grads.values(), strict=True):
        parameter.grad = torch.tensor(g)
    norm = torch.nn.utils.clip_grad_norm_(parameters, 0.5)
    clipped, found = optim.clip_by_global_norm(grads, 0.5)
    assert found == pytest.approx(float(norm))
    for parameter, g in zip(parameters, clipped.values(), strict=True):
        np.testing.assert_allclose(g, parameter.grad.numpy(), rtol=1e-5)
