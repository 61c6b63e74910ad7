"""Schedules at points worked out by hand, within range everywhere, and their state, settings and errors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline import optim
from fallline.errors import ArgumentError, KindError
from fallline.optim import schedules

HALF_ROOT = 0.7071067811865476  # cos(π/4)


def values(schedule: optim.Schedule, *steps: int, per_epoch: int = 10, total: int = 100) -> list[float]:
    return [schedule.factor(step, per_epoch, total) for step in steps]


MANY = [
    optim.Constant(), optim.StepDecay(2, factor=0.5), optim.ExponentialDecay(0.9), optim.Cosine(final=0.1),
    optim.CosineRestarts(1, multiply=2), optim.OneCycle(), optim.OneCycle(warmup=0), optim.OneCycle(warmup=1, start=0),
    optim.Warmup(0.5, then=optim.Cosine()), optim.ReduceOnPlateau(),
]  # fmt: skip


@pytest.mark.parametrize("schedule", MANY, ids=repr)
@given(st.integers(0, 130), st.integers(0, 60), st.integers(1, 40), st.integers(1, 120))
def test_the_factors_of_many_steps_have_the_bits_of_each(
    schedule: optim.Schedule, first: int, count: int, per_epoch: int, total: int
) -> None:
    state = schedule.initial_state()
    found = schedule.factors(first, count, per_epoch, total, state)
    assert found.dtype == "float64"
    assert found.tolist() == [schedule.factor(step, per_epoch, total, state) for step in range(first, first + count)]


def test_constant() -> None:
    assert values(optim.Constant(), 0, 57, 10**9) == [1.0, 1.0, 1.0]


def test_step_decay_falls_where_an_epoch_begins() -> None:
    assert values(optim.StepDecay(2, factor=0.5), 0, 19, 20, 39, 40, 61) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.125]
    assert values(optim.StepDecay(0.1, factor=0.5), 2, 3, 5, 6, per_epoch=30) == [1.0, 0.5, 0.5, 0.25]
    assert values(optim.StepDecay(0.001, factor=0.5), 0, 1, 2) == [1.0, 0.5, 0.25]  # a stair is at least one step


def test_exponential_decay() -> None:
    assert values(optim.ExponentialDecay(0.25), 0, 5, 10, 20) == pytest.approx([1.0, 0.5, 0.25, 0.0625], rel=1e-15)


def test_cosine() -> None:
    expected = [1.0, (1 + HALF_ROOT) / 2, 0.5, (1 - HALF_ROOT) / 2, 0.0, 0.0]
    assert values(optim.Cosine(), 0, 25, 50, 75, 100, 150) == pytest.approx(expected, rel=1e-15, abs=1e-15)
    assert values(optim.Cosine(final=0.5), 0, 50, 100) == pytest.approx([1.0, 0.75, 0.5], rel=1e-15)


def test_cosine_restarts() -> None:
    """Waves of 10, 20 and 40 steps: from 0, 10 and 30 on."""
    found = values(optim.CosineRestarts(1, multiply=2), 0, 5, 10, 20, 30, 50, 70)
    assert found == pytest.approx([1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0], rel=1e-15)
    found = values(optim.CosineRestarts(0.5, multiply=1, final=0.1), 0, 5, 1000, 1001)
    assert found[:3] == [1.0, 1.0, 1.0]
    assert found[3] == pytest.approx(0.1 + 0.9 * (1 + 0.8090169943749475) / 2)  # cos(π/5) = (1 + √5)/4


def test_one_cycle() -> None:
    found = values(optim.OneCycle(), 0, 15, 30, 65, 100)
    assert found == pytest.approx([0.04, 0.52, 1.0, (1 + 1e-4) / 2, 1e-4], rel=1e-14)
    assert values(optim.OneCycle(warmup=0, final=0), 0, 50, 100) == pytest.approx([1.0, 0.5, 0.0])
    assert values(optim.OneCycle(warmup=1, start=0), 0, 50, 100) == pytest.approx([0.0, 0.5, 1.0])


def test_warmup_is_linear_and_then_the_other_begins() -> None:
    assert values(optim.Warmup(0.5), 0, 1, 4, 5, 6) == pytest.approx([0.2, 0.4, 1.0, 1.0, 1.0])
    schedule = optim.Warmup(2, then=optim.Cosine())  # 20 steps up, 80 steps down
    assert values(schedule, 0, 9, 19, 20, 60, 100) == pytest.approx([0.05, 0.5, 1.0, 1.0, 0.5, 0.0])
    assert values(optim.Warmup(1, then=optim.OneCycle(start=0.5)), 0, 9) == pytest.approx([0.05, 0.5])
    assert values(optim.Warmup(0, then=optim.Cosine()), 0, 50) == pytest.approx([1.0, 0.5])


def scores_seen(schedule: optim.Schedule, scores: list[float]) -> list[float]:
    state, found = schedule.initial_state(), []
    for score in scores:
        before = dict(state)
        after = schedule.observe(state, score)
        assert state == before
        state = json.loads(json.dumps(after))  # as a checkpoint would keep it
        found.append(schedule.factor(1000, 10, 2000, state))
    return found


def test_plateau_waits_for_its_patience() -> None:
    schedule = optim.ReduceOnPlateau(factor=0.5, patience=2)
    assert scores_seen(schedule, [5, 4, 4, 4, 4, 4, 4, 4]) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert scores_seen(schedule, [5, 5, 5, 4, 4, 4, 3]) == [1.0] * 7
    assert schedule.factor(0, 10, 100) == 1.0


def test_plateau_counts_improvements_by_their_size() -> None:
    schedule = optim.ReduceOnPlateau(factor=0.5, patience=0, threshold=0.1)
    assert scores_seen(schedule, [100, 91, 89, 89 * 0.91]) == [1.0, 0.5, 0.5, 0.25]
    assert scores_seen(schedule, [-100, -109, -111]) == [1.0, 0.5, 0.5]
    assert scores_seen(schedule, [float("nan"), 1.0, float("nan")]) == [0.5, 0.5, 0.25]


def test_plateau_stops_at_its_minimum() -> None:
    assert scores_seen(optim.ReduceOnPlateau(patience=0, minimum=0.05), [1, 1, 1, 1]) == [1.0, 0.1, 0.05, 0.05]


def test_warmup_passes_the_state_on() -> None:
    schedule = optim.Warmup(1, then=optim.ReduceOnPlateau(factor=0.5, patience=0))
    assert schedule.initial_state() == optim.ReduceOnPlateau().initial_state()
    assert scores_seen(schedule, [1, 1, 1]) == [1.0, 0.5, 0.25]


EXAMPLES = [
    optim.Constant(),
    optim.StepDecay(1.5),
    optim.ExponentialDecay(0.95),
    optim.Cosine(0.01),
    optim.CosineRestarts(1, 1.5),
    optim.OneCycle(),
    optim.Warmup(1.0),
    optim.Warmup(0.5, then=optim.Warmup(1, optim.CosineRestarts(2))),
    optim.ReduceOnPlateau(patience=3),
]


def test_examples_are_complete() -> None:
    assert {schedule.name for schedule in EXAMPLES} == set(optim.SCHEDULES)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_config_and_repr_make_the_same_schedule(schedule: optim.Schedule) -> None:
    again = schedules.from_config(json.loads(json.dumps(schedule.config())))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert eval(repr(schedule), vars(optim)) == schedule
    assert again != optim.Cosine(0.75)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_all_schedules_are_used_alike(schedule: optim.Schedule) -> None:
    state = json.loads(json.dumps(schedule.initial_state()))
    for epoch in range(3):
        found = [schedule.factor(epoch * 4 + step, 4, 12, state) for step in range(4)]
        assert found == [schedule.factor(epoch * 4 + step, 4, 12, state) for step in range(4)]
        state = schedule.observe(state, 1.0)


share = st.floats(0.0, 1.0)
positive = st.floats(1e-3, 1e3)
factor = st.floats(1e-3, 1.0)
plain = st.one_of(
    st.just(optim.Constant()),
    st.builds(optim.StepDecay, positive, factor),
    st.builds(optim.ExponentialDecay, factor),
    st.builds(optim.Cosine, share),
    st.builds(optim.CosineRestarts, positive, st.one_of(st.just(1.0), st.floats(1.05, 8.0)), share),
    st.builds(optim.OneCycle, share, share, share),
    st.builds(optim.ReduceOnPlateau, factor, st.integers(0, 3), share, share),
)
any_schedule = st.one_of(plain, st.builds(optim.Warmup, positive, plain))


@given(
    schedule=any_schedule,
    step=st.integers(0, 10**9),
    per_epoch=st.integers(1, 10**6),
    total=st.integers(0, 10**9),
    scores=st.lists(st.floats(), max_size=8),
)
def test_factors_lie_between_0_and_1(
    schedule: optim.Schedule, step: int, per_epoch: int, total: int, scores: list[float]
) -> None:
    state = schedule.initial_state()
    for score in scores:
        state = schedule.observe(state, score)
    found = schedule.factor(step, per_epoch, total, state)
    assert type(found) is float
    assert 0.0 <= found <= 1.0


@given(schedule=st.one_of(st.builds(optim.Cosine, share), st.builds(optim.StepDecay, positive, factor)))
def test_decays_never_rise(schedule: optim.Schedule) -> None:
    found = values(schedule, *range(0, 120), per_epoch=7)
    assert all(after <= before + 1e-16 for before, after in zip(found, found[1:], strict=False))


BAD: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: schedules.by_name("cosin"),
        ArgumentError,
        "schedules.by_name('cosin'): no schedule is named so: did you mean 'cosine'?",
    ),
    (
        lambda: schedules.by_name("cosine", finale=0.1),
        ArgumentError,
        "optim.Cosine(finale=0.1): there is no hyper-parameter 'finale': did you mean 'final'?",
    ),
    (
        lambda: schedules.by_name("step_decay"),
        ArgumentError,
        "optim.StepDecay(): every is required, found none.",
    ),
    (
        lambda: optim.StepDecay(0),
        ArgumentError,
        "optim.StepDecay(every=0): every must be greater than 0, found 0.",
    ),
    (
        lambda: optim.StepDecay(1, factor=1.5),
        ArgumentError,
        "optim.StepDecay(factor=1.5): factor must be greater than 0 and at most 1, found 1.5.",
    ),
    (
        lambda: optim.Cosine(final="low"),
        KindError,
        "optim.Cosine(final='low'): final must be a number, found the str 'low'.",
    ),
    (
        lambda: optim.CosineRestarts(1, multiply=1.001),
        ArgumentError,
        "optim.CosineRestarts(multiply=1.001): multiply must be 1, or at least 1.01, found 1.001. "
        "Take 1 for waves of equal length.",
    ),
    (
        lambda: optim.Warmup(1, then="cosine"),
        KindError,
        "optim.Warmup: then must be a schedule, such as optim.Cosine(), found the str 'cosine'.",
    ),
    (
        lambda: schedules.from_config({"final": 0.1}),
        ArgumentError,
        "schedules.from_config: need a mapping with a 'name', found {'final': 0.1}.",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD, ids=[text for _, _, text in BAD])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_names_are_found_however_they_are_written() -> None:
    for name in ("one_cycle", "one-cycle", "OneCycle", "ONECYCLE"):
        assert schedules.by_name(name) == optim.OneCycle()
    assert schedules.by_name("warmup", epochs=2, then={"name": "cosine"}) == optim.Warmup(2, then=optim.Cosine())
