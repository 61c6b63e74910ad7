"""Parameter groups: precedence, frozen weights, and their errors' text."""

from typing import Any

import numpy as np
import pytest

from fallline import optim
from fallline.errors import ArgumentError, KindError

NAMES = ["0.weight", "0.bias", "1.weight", "1.bias"]


def network() -> dict[str, np.ndarray]:
    return {name: np.array([1.0, -0.0, 2.0], dtype=np.float32) for name in NAMES}


def ones() -> dict[str, np.ndarray]:
    return {name: np.ones(3, dtype=np.float32) for name in NAMES}


def test_the_first_match_wins_and_the_rest_keeps_the_base() -> None:
    opt = optim.SGD(1.0, groups={"0.weight": 0.5, "0.*": 0.25, "*.bias": {"lr": 0.125}})
    weights, _ = opt.update(network(), ones(), opt.init(network()))
    steps = {name: float(1.0 - w[0]) for name, w in weights.items()}
    assert steps == {"0.weight": 0.5, "0.bias": 0.25, "1.weight": 1.0, "1.bias": 0.125}
    assert opt.lr == 1.0


def test_patterns_match_whole_names_and_case_counts() -> None:
    opt = optim.SGD(1.0, groups={"0": 0.5, "0.WEIGHT": 0.5, "?.bias": 0.5})
    assert [group.pattern for group in opt.assign(NAMES).values()] == ["*", "?.bias", "*", "?.bias"]


def test_overrides_reach_every_hyper_parameter() -> None:
    opt = optim.AdamW(0.5, weight_decay=0.5, groups={"*.bias": {"weight_decay": 0.0}})
    zero = {name: np.zeros(3, dtype=np.float32) for name in NAMES}
    weights, _ = opt.update(network(), zero, opt.init(network()))
    assert weights["0.weight"].tolist() == [0.75, -0.0, 1.5]
    assert weights["0.bias"].tobytes() == network()["0.bias"].tobytes()


def test_slots_are_kept_where_they_are_used() -> None:
    opt = optim.SGD(0.1, groups={"0.*": {"momentum": 0.9}})
    state = opt.init(network())
    assert list(state["velocity"]) == ["0.weight", "0.bias"]
    weights, state = opt.update(network(), ones(), state)
    weights, state = opt.update(weights, ones(), state)
    assert state["velocity"]["0.bias"].tolist() == pytest.approx([1.9] * 3)
    assert weights["0.weight"][0] == pytest.approx(1 - 0.1 * 2.9)
    assert weights["1.weight"][0] == pytest.approx(1 - 0.1 * 2)


def test_each_group_has_its_own_memory() -> None:
    opt = optim.NAdam(betas=(0.5, 0.9), momentum_decay=0.0, groups={"0.*": {"betas": (0.25, 0.9)}})
    _, state = opt.update(network(), ones(), opt.init(network()))
    assert state["memory"] == {"0.*": {"mu_product": 0.125}, "*": {"mu_product": 0.25}}


def test_a_group_of_everything_outranks_the_base() -> None:
    opt = optim.NAdam(betas=(0.5, 0.9), momentum_decay=0.0, groups={"*": {"betas": (0.25, 0.9), "lr": 0.5}})
    plain = optim.NAdam(0.5, betas=(0.25, 0.9), momentum_decay=0.0)
    found, expected = network(), network()
    state, other = opt.init(found), plain.init(expected)
    for _ in range(3):
        found, state = opt.update(found, ones(), state)
        expected, other = plain.update(expected, ones(), other)
    assert found["0.weight"].tobytes() == expected["0.weight"].tobytes()
    assert state["memory"] == other["memory"]


@pytest.mark.parametrize("name", optim.RULES)
def test_frozen_weights_and_their_state_keep_their_bits(name: str) -> None:
    moving = optim.by_name(name, lr=0.1, weight_decay=0.1)
    weights, state = moving.update(network(), ones(), moving.init(network()))
    opt = optim.by_name(name, lr=0.1, weight_decay=0.1, groups={"0.*": 0})
    grads = {**ones(), "0.bias": np.full(3, np.nan, dtype=np.float32)}
    del grads["0.weight"]  # a frozen weight needs no gradient
    found, after = opt.update(weights, grads, state)
    for parameter in NAMES:
        frozen = parameter.startswith("0.")
        assert (found[parameter].tobytes() == weights[parameter].tobytes()) == frozen
        assert not np.shares_memory(found[parameter], weights[parameter])
        for slot in opt.rule.slots_for(opt.hyper):
            same = after[slot][parameter].tobytes() == state[slot][parameter].tobytes()
            assert same == frozen or (slot == "velocity" and not frozen)
            assert not np.shares_memory(after[slot][parameter], state[slot][parameter])


def test_groups_may_share_a_schedule() -> None:
    opt = optim.SGD(1.0, groups={"0.*": 0.5})
    weights, _ = opt.update(network(), ones(), opt.init(network()), lr_factor=0.5)
    assert [float(1 - w[0]) for w in weights.values()] == [0.25, 0.25, 0.5, 0.5]


BAD: list[tuple[Any, type[Exception], str]] = [
    (
        {"0.*": {"lr": -1}},
        ArgumentError,
        "optim.SGD(groups={'0.*': {'lr': -1}}): lr must be at least 0, found -1. 0 freezes the group.",
    ),
    (
        {"0.*": -1},
        ArgumentError,
        "optim.SGD(groups={'0.*': {'lr': -1}}): lr must be at least 0, found -1. 0 freezes the group.",
    ),
    (
        {"0.*": {"weight_decy": 0.1}},
        ArgumentError,
        "optim.SGD(groups={'0.*': {'weight_decy': 0.1}}): there is no hyper-parameter 'weight_decy': "
        "did you mean 'weight_decay'?",
    ),
    (
        {"0.*": {"nesterov": True}},
        ArgumentError,
        "optim.SGD, group '0.*': nesterov=True needs momentum greater than 0, found momentum=0.0. Try momentum=0.9.",
    ),
    (
        {"0.*": "frozen"},
        KindError,
        "optim.SGD(groups={'0.*': 'frozen'}): need a mapping such as {'lr': 0.01}, or a number meaning lr, "
        "found 'frozen'.",
    ),
    ({0: 0.1}, KindError, "optim.SGD: a key of groups must be a name pattern, such as '0.*', found 0."),
    (
        ["0.*"],
        KindError,
        "optim.SGD: groups must map name patterns to settings, such as {'0.*': {'lr': 0.01}}, found a list.",
    ),
    (
        {"2.*": 0.1},
        ArgumentError,
        "optim.SGD.init: group '2.*' matches no parameter. The parameters are: 0.weight, 0.bias, 1.weight, 1.bias.",
    ),
    (
        {"0.*": 0.1, "0.bias": 0},
        ArgumentError,
        "optim.SGD.init: group '0.bias' gets no parameter, because earlier groups take all that it matches "
        "(the first match wins). Put it before them, or leave it out.",
    ),
]


@pytest.mark.parametrize(("groups", "error", "text"), BAD, ids=[text for _, _, text in BAD])
def test_errors(groups: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        optim.SGD(0.1, groups=groups).init(network())
    assert str(caught.value) == text
