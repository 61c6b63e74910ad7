"""The step functions as programs: traced on symbolic tensors they give the bits of `update`; what they may not do."""

from typing import Any

import numpy as np
import pytest

from fallline import optim
from fallline.ir.graph import topological
from fallline.ops.leaf import make_input

CASES = [
    optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    optim.SGD(0.1),
    optim.Adagrad(0.1, lr_decay=0.1, initial_accumulator_value=0.1, weight_decay=0.1),
    optim.RMSprop(momentum=0.5, centered=True, weight_decay=0.1),
    optim.Adadelta(weight_decay=0.1),
    optim.Adam(amsgrad=True, weight_decay=0.1),
    optim.AdamW(),
    optim.NAdam(weight_decay=0.1),
    optim.RAdam(weight_decay=0.1, decoupled_weight_decay=True),
    optim.Lion(weight_decay=0.1),
]


def evaluate(outputs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """A graph's outputs from NumPy's own arithmetic, node by node."""
    values: dict[int, Any] = {}
    for node in topological([tensor.node for tensor in outputs.values()]):
        if node.op.name == "input":
            values[id(node)] = np.asarray(inputs[node.attributes["name"]], dtype=node.type.dtype.value)
        else:
            arguments = [values[id(parent)] for parent in node.inputs]
            values[id(node)] = node.op.reference(*arguments, **node.attributes)
    return {name: values[id(tensor.node)] for name, tensor in outputs.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("opt", CASES, ids=repr)
def test_a_traced_step_gives_the_same_bits(opt: optim.Optimizer, dtype: str) -> None:
    shape, rng = (3, 5), np.random.default_rng(7)
    weights = {"w": rng.normal(size=shape).astype(dtype)}
    state = opt.init(weights)
    slots = opt.rule.slots_for(opt.hyper)
    names = opt.rule.scalars(opt.hyper, 1, opt.rule.initial_memory)[0]
    traced_w, traced_state = opt.rule.apply(
        make_input("w", shape, dtype),
        make_input("g", shape, dtype),
        {slot: make_input(slot, shape, dtype) for slot in slots},
        opt.hyper,
        {name: make_input(name, (), dtype) for name in names},
    )
    for step in range(1, 9):
        gradient = rng.normal(size=shape).astype(dtype)
        scalars, _ = opt.step_scalars(step, state["memory"])
        given = {"w": weights["w"], "g": gradient, **{slot: state[slot]["w"] for slot in slots}, **scalars["*"]}
        found = evaluate({"w": traced_w, **traced_state}, given)
        weights, state = opt.update(weights, {"w": gradient}, state)
        assert found["w"].tobytes() == weights["w"].tobytes()
        for slot in slots:
            assert found[slot].tobytes() == state[slot]["w"].tobytes()


class Scalar(float):
    """A number that is fed at run time: it may meet tensors, but no other number, whose product would round twice."""

    def _refuse(self, other: object) -> Any:
        if isinstance(other, float | int):
            raise AssertionError(f"a scalar of the step met the number {other}")
        return NotImplemented

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse

    def __bool__(self) -> bool:
        raise AssertionError("a step branched on a scalar that is known at run time only")


@pytest.mark.parametrize("opt", CASES, ids=repr)
def test_scalars_meet_tensors_only(opt: optim.Optimizer) -> None:
    w = np.ones(3)
    state = {slot: np.ones(3) for slot in opt.rule.slots_for(opt.hyper)}
    scalars, _ = opt.rule.scalars(opt.hyper, 9, opt.rule.initial_memory)
    guarded = {name: Scalar(value) for name, value in scalars.items()}
    found, _ = opt.rule.apply(w, w, state, opt.hyper, guarded)
    assert np.array_equal(found, opt.rule.apply(w, w, state, opt.hyper, scalars)[0])


def test_the_guard_guards() -> None:
    with pytest.raises(AssertionError, match="met the number"):
        Scalar(0.5) * 2.0
    with pytest.raises(AssertionError, match="branched"):
        bool(Scalar(0.5))
    assert np.array_equal(Scalar(0.5) * np.ones(2), [0.5, 0.5])


def test_the_learning_rate_is_never_a_constant_of_a_program() -> None:
    with pytest.raises(KeyError, match="lr"):
        optim.RULES["sgd"].apply(np.ones(3), np.ones(3), {}, optim.SGD(0.1).hyper, {})


def test_every_rule_is_traced() -> None:
    assert {opt.rule.name for opt in CASES} == set(optim.RULES)
