"""The optimizer's interface: purity, names and shapes, settings in and out, and its errors' text."""

import inspect
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline import optim
from fallline.errors import ArgumentError, KindError, ShapeError
from fallline.optim.rule import register

ALL = [optim.by_name(name, lr=0.01) for name in optim.RULES] + [
    optim.SGD(0.01, momentum=0.9, weight_decay=0.1),
    optim.RMSprop(momentum=0.9, centered=True),
    optim.Adam(amsgrad=True),
]


def network(dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "0.weight": rng.normal(size=(3, 4)).astype(dtype),
        "0.bias": rng.normal(size=4).astype(dtype),
        "scale": np.array(2.0, dtype=dtype),
    }


def copied(tree: Any) -> Any:
    return {key: copied(value) for key, value in tree.items()} if isinstance(tree, dict) else np.array(tree)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    first, second = np.asarray(a), np.asarray(b)
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


@pytest.mark.parametrize("opt", [*ALL, optim.RAdam(0.1, groups={"*.bias": 0.5}), optim.NAdam(0.01)], ids=repr)
@pytest.mark.parametrize("first", [1, 4, 1000])
def test_the_scalars_of_many_steps_have_the_bits_of_each(opt: optim.Optimizer, first: int) -> None:
    memory = opt.init(network())["memory"]
    factors = np.random.default_rng(2).uniform(0.1, 1.0, 9)
    found, found_memory = opt.scalars_of_steps(first, memory, factors)
    for place, factor in enumerate(factors.tolist()):
        expected, memory = opt.step_scalars(first + place, memory, factor)
        assert {pattern: {n: v[place] for n, v in numbers.items()} for pattern, numbers in found.items()} == expected
    assert found_memory == memory


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("opt", ALL, ids=repr)
def test_update_is_pure_and_keeps_dtypes_shapes_and_order(opt: optim.Optimizer, dtype: str) -> None:
    weights, grads = network(dtype), {name: w * 0.5 for name, w in network(dtype).items()}
    state = opt.init(weights)
    weights, state = opt.update(weights, grads, state)  # so that the state is not all zero
    before = copied(weights), copied(grads), copied(state)
    first, second = (opt.update(weights, grads, state, lr_factor=0.5) for _ in range(2))
    assert same(before[0], weights)
    assert same(before[1], grads)
    assert same(before[2], state)
    assert same(first[0], second[0])
    assert same(first[1], second[1])
    assert list(first[0]) == list(weights)
    for name, w in first[0].items():
        assert w.dtype == dtype
        assert w.shape == weights[name].shape
        assert not np.shares_memory(w, weights[name])
        assert not same(w, weights[name])
    assert first[1]["step"] == 2
    assert first[1].keys() == state.keys()


@pytest.mark.parametrize("opt", ALL, ids=repr)
def test_slots_start_at_zero(opt: optim.Optimizer) -> None:
    weights = network()
    state = opt.init(weights)
    assert set(state) == {"step", "memory", *opt.rule.slots_for(opt.hyper)}
    assert state["step"] == 0
    for slot in opt.rule.slots_for(opt.hyper):
        assert same(state[slot], {name: np.zeros_like(w) for name, w in weights.items()})


def test_nadam_keeps_its_product_in_the_memory() -> None:
    opt, weights = optim.NAdam(betas=(0.5, 0.9), momentum_decay=0.0), network()
    state = opt.init(weights)
    assert state["memory"] == {"*": {"mu_product": 1.0}}
    for _ in range(3):
        weights, state = opt.update(weights, weights, state)
    assert state["memory"] == {"*": {"mu_product": 0.25**3}}  # μ = ½·(1 − ½) in every step
    assert json.loads(json.dumps(state["memory"])) == state["memory"]


def test_a_state_without_its_memory_is_refused() -> None:
    weights = network()
    state = {**optim.NAdam().init(weights), "memory": {}}
    with pytest.raises(ArgumentError) as caught:
        optim.NAdam().update(weights, weights, state)
    assert str(caught.value) == (
        "optim.NAdam.update: the state's memory has no mu_product of the group '*'. "
        "It is of another optimizer: make a new one with init(weights)."
    )


def test_the_factor_of_a_schedule_multiplies_the_rate() -> None:
    weights = {"w": np.array([1.0, 2.0])}
    opt = optim.SGD(0.5)
    moved, _ = opt.update(weights, {"w": np.array([1.0, 4.0])}, opt.init(weights), lr_factor=0.25)
    assert moved["w"].tolist() == [0.875, 1.5]


def test_gradients_are_taken_in_the_weights_dtype() -> None:
    weights = {"w": np.ones(2, dtype=np.float32)}
    opt = optim.SGD(0.5)
    moved, _ = opt.update(weights, {"w": np.array([1, 2])}, opt.init(weights))
    assert moved["w"].dtype == np.float32
    assert moved["w"].tolist() == [0.5, 0.0]


def test_overflow_is_silent_because_the_training_loop_tells_of_it() -> None:
    weights = {"w": np.array([1.0], dtype=np.float32)}
    opt = optim.Adam()
    moved, _ = opt.update(weights, {"w": np.array([np.inf], dtype=np.float32)}, opt.init(weights))
    assert np.isnan(moved["w"]).all()


@pytest.mark.parametrize("opt", [*ALL, optim.AdamW(groups={"*.bias": {"weight_decay": 0}, "0.*": 0.5})], ids=repr)
def test_config_and_repr_make_the_same_optimizer(opt: optim.Optimizer) -> None:
    stored = json.loads(json.dumps(opt.config(), sort_keys=True))
    again = optim.from_config(stored)
    assert type(again) is type(opt)
    assert again.config() == opt.config()
    assert again.hyper == opt.hyper
    assert eval(repr(opt), vars(optim)).config() == opt.config()


def test_repr_reads_like_the_call() -> None:
    assert repr(optim.SGD(lr=0.1, momentum=0.9)) == "SGD(lr=0.1, momentum=0.9)"
    assert repr(optim.Adam(groups={"0.*": 0})) == "Adam(lr=0.001, groups={'0.*': {'lr': 0.0}})"


@pytest.mark.parametrize("name", optim.RULES)
def test_signatures_and_declarations_agree(name: str) -> None:
    opt = optim.by_name(name, lr=0.1)
    parameters = dict(inspect.signature(type(opt)).parameters)
    assert parameters.pop("groups").default is None
    declared = {hyper.name: inspect.Parameter.empty if hyper.required else hyper.default for hyper in opt.rule.hypers}
    found = {key: parameter.default for key, parameter in parameters.items()}
    assert {key: str(value) for key, value in found.items()} == {key: str(value) for key, value in declared.items()}
    assert "Source" in type(opt).__doc__
    assert all(hyper.name in type(opt).__doc__ for hyper in opt.rule.hypers)


def test_defaults_are_those_of_pytorch() -> None:
    """From PyTorch's documentation (2.x); Lion's from the authors' code."""
    assert optim.Adam().hyper == {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
    }  # fmt: skip
    assert (optim.AdamW().lr, optim.AdamW().hyper["weight_decay"]) == (1e-3, 1e-2)
    assert optim.RMSprop().hyper == {
        "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False,
    }  # fmt: skip
    assert optim.Adagrad().hyper == {
        "lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10,
    }  # fmt: skip
    assert optim.Adadelta().hyper == {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0}
    assert (optim.NAdam().lr, optim.NAdam().hyper["momentum_decay"]) == (2e-3, 4e-3)
    assert optim.RAdam().lr == 1e-3
    assert optim.Lion().hyper == {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}


def test_numbers_of_numpy_are_numbers() -> None:
    opt = optim.Adam(lr=np.float32(0.5), betas=[np.float64(0.5), 0], amsgrad=np.True_)
    assert json.dumps(opt.config()) == (
        '{"name": "adam", "lr": 0.5, "betas": [0.5, 0.0], "eps": 1e-08, "weight_decay": 0.0, "amsgrad": true}'
    )


BAD_SETTINGS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: optim.SGD(lr=-1),
        ArgumentError,
        "optim.SGD(lr=-1): lr must be greater than 0, found -1. Try 0.1, or 0.001 for Adam.",
    ),
    (
        lambda: optim.SGD(0),
        ArgumentError,
        "optim.SGD(lr=0): lr must be greater than 0, found 0. Try 0.1, or 0.001 for Adam.",
    ),
    (
        lambda: optim.SGD("0.1"),
        KindError,
        "optim.SGD(lr='0.1'): lr must be a number, found the str '0.1'. Try 0.1, or 0.001 for Adam.",
    ),
    (
        lambda: optim.Adam(lr=True),
        KindError,
        "optim.Adam(lr=True): lr must be a number, found the bool True. Try 0.1, or 0.001 for Adam.",
    ),
    (
        lambda: optim.Adam(lr=float("nan")),
        ArgumentError,
        "optim.Adam(lr=nan): lr must be a finite number, found nan. Try 0.1, or 0.001 for Adam.",
    ),
    (
        lambda: optim.Adam(betas=(0.9, 1)),
        ArgumentError,
        "optim.Adam(betas=(0.9, 1)): betas[1] must be at least 0 and less than 1, found 1.",
    ),
    (
        lambda: optim.Adam(betas=0.9),
        KindError,
        "optim.Adam(betas=0.9): betas must be 2 numbers, such as (0.9, 0.999), found the float 0.9.",
    ),
    (
        lambda: optim.Adam(amsgrad=1),
        KindError,
        "optim.Adam(amsgrad=1): amsgrad must be True or False, found the int 1.",
    ),
    (
        lambda: optim.RMSprop(eps=None),
        KindError,
        "optim.RMSprop(eps=None): eps must be a number, found None.",
    ),
    (
        lambda: optim.Adadelta(eps=0),
        ArgumentError,
        "optim.Adadelta(eps=0): eps must be greater than 0, found 0.",
    ),
    (
        lambda: optim.SGD(0.1, nesterov=True),
        ArgumentError,
        "optim.SGD: nesterov=True needs momentum greater than 0, found momentum=0.0. Try momentum=0.9.",
    ),
    (
        lambda: optim.by_name("adm"),
        ArgumentError,
        "optim.by_name('adm'): no optimizer is named so: did you mean 'adam'?",
    ),
    (
        lambda: optim.by_name("sgd"),
        ArgumentError,
        "optim.SGD(): lr is required, found none. Try 0.1, or 0.001 for Adam.",
    ),
    (
        lambda: optim.by_name("Adam", beta=(0.9, 0.9)),
        ArgumentError,
        "optim.Adam(beta=(0.9, 0.9)): there is no hyper-parameter 'beta': did you mean 'betas'?",
    ),
    (
        lambda: optim.from_config({"lr": 0.1}),
        ArgumentError,
        "optim.from_config: need a mapping with a 'name', found {'lr': 0.1}.",
    ),
    (
        lambda: register(optim.RULES["sgd"]),
        ArgumentError,
        "register: an update rule named 'sgd' exists already; choose another name.",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD_SETTINGS, ids=[text for _, _, text in BAD_SETTINGS])
def test_errors_of_settings(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def updated(weights: Any = None, grads: Any = None, state: Any = None, **arguments: Any) -> Any:
    opt = optim.SGD(0.1, momentum=0.9)
    good = {"0.weight": np.ones((2, 3), dtype=np.float32), "0.bias": np.ones(3, dtype=np.float32)}
    state = opt.init(good) if state is None else state
    return opt.update(good if weights is None else weights, good if grads is None else grads, state, **arguments)


W, B = np.ones((2, 3), dtype=np.float32), np.ones(3, dtype=np.float32)
BAD_UPDATES: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"grads": {"0.weight": W}},
        ArgumentError,
        "optim.SGD.update: weight '0.bias' has no gradient. Give one, or freeze it with groups={'0.bias': 0}.",
    ),
    (
        {"grads": {"0.weight": W, "0.bias": B, "0.wieght": W}},
        ArgumentError,
        "optim.SGD.update: there is a gradient '0.wieght' but no such weight: did you mean '0.weight'?",
    ),
    (
        {"grads": {"0.weight": W.T, "0.bias": B}},
        ShapeError,
        "optim.SGD.update: gradient '0.weight' must have its weight's shape (2, 3), found (3, 2).",
    ),
    (
        {"grads": {"0.weight": W, "0.bias": B.astype(object)}},
        KindError,
        "optim.SGD.update: gradient '0.bias' must be an array of real numbers, found dtype object.",
    ),
    (
        {"weights": {"0.weight": W, "0.bias": B.astype(int)}},
        KindError,
        "optim.SGD.update: weight '0.bias' must be a float32 or float64 array, found dtype int64.",
    ),
    (
        {"weights": {"0.weight": W, "0.bias": [1.0]}},
        KindError,
        "optim.SGD.update: weight '0.bias' must be a float32 or float64 array, found a list.",
    ),
    ({"weights": [W]}, KindError, "optim.SGD.update: weights must map names to arrays, found a list."),
    ({"grads": [W]}, KindError, "optim.SGD.update: grads must map names to arrays, found a list."),
    (
        {"state": {"step": 3, "memory": {}}},
        ArgumentError,
        "optim.SGD.update: the state has no 'velocity' of weight '0.weight'. It is of another optimizer or network: "
        "make a new one with init(weights).",
    ),
    (
        {"state": {"step": 3, "memory": {}, "velocity": {"0.weight": W[:, :2], "0.bias": B}}},
        ShapeError,
        "optim.SGD.update: 'velocity' of weight '0.weight' must be float32 of the weight's shape (2, 3), "
        "found float32 of shape (2, 2). Make a new state with init(weights).",
    ),
    (
        {"state": {"velocity": {}}},
        ArgumentError,
        "optim.SGD.update: state must come from init() or update(), found step None.",
    ),
    (
        {"lr_factor": -0.5},
        ArgumentError,
        "optim.SGD.update(lr_factor=-0.5): lr_factor must be at least 0, found -0.5.",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "text"), BAD_UPDATES, ids=[text for _, _, text in BAD_UPDATES])
def test_errors_of_update(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        updated(**arguments)
    assert str(caught.value) == text


@given(
    lr=st.floats(allow_nan=True, allow_infinity=True),
    momentum=st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=3), st.none()),
)
def test_any_setting_is_taken_or_refused_with_a_sentence(lr: float, momentum: Any) -> None:
    text = ""
    try:
        opt = optim.SGD(lr, momentum=momentum)
    except (ArgumentError, KindError) as error:
        text = str(error)
    if text:
        assert text.startswith("optim.SGD(")
        assert "must be" in text
    else:
        assert 0 < opt.lr < np.inf
        assert 0 <= opt.hyper["momentum"] < 1
