"""A step with its update as one graph: the bits of clipping and `Optimizer.update`, for every rule and setting."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fallline import nn, optim
from fallline.engine.kernel_forms import evaluate_kernel
from fallline.errors import ArgumentError
from fallline.ir.graph import Graph, nodes_by
from fallline.ir.types import BATCH, DType, bind
from fallline.ops.leaf import make_input
from fallline.ops.tensor import constant
from fallline.optim.hyper import Hyper
from fallline.optim.optimizer import CLASSES
from fallline.training.step import Rows, StepProgram, build_graph
from fallline.training.update_graph import UpdateGraph, with_update

Array = NDArray[Any]
SHAPES: dict[str, tuple[int, ...]] = {"a.weight": (3, 7), "a.bias": (7,), "b.weight": (2, 3, 5), "b.scale": ()}


def walk(graph: Graph, inputs: Mapping[str, Any], rows: int = 0) -> dict[str, Array]:
    """The graph's outputs by the reference walk; sums in float64, which are the norm's, by their kernel form."""
    values: dict[int, Any] = {}
    names = {id(node): name for name, node in graph.inputs.items()}
    with np.errstate(all="ignore"):
        for node in graph.nodes():
            if node.op.name == "input":
                values[id(node)] = np.asarray(inputs[names[id(node)]], dtype=node.type.dtype.value)
                continue
            arguments = [np.asarray(values[id(parent)]) for parent in node.inputs]
            attributes = {key: bind(value, {"n": rows}) for key, value in node.attributes.items()}
            in_lanes = node.op.name == "sum" and node.type.dtype is DType.FLOAT64
            compute = (lambda *a, op=node.op, **k: evaluate_kernel(op, list(a), k)) if in_lanes else node.op.reference
            values[id(node)] = compute(*arguments, **attributes)
    return {name: np.asarray(values[id(node)]) for name, node in graph.outputs.items()}


def bare_step(dtype: str, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Graph:
    """A step's graph that is given its gradients."""
    inputs = {name: make_input(name, shape, dtype).node for name, shape in shapes.items()}
    grads = {name: make_input(f"@{name}", shape, dtype).node for name, shape in shapes.items()}
    outputs = {"loss": constant(0.5, DType(dtype)).node, **{f"gradient of {n}": node for n, node in grads.items()}}
    return Graph({**inputs, **{f"@{name}": node for name, node in grads.items()}}, outputs)


def assert_same_bits(found: Array, expected: Array, what: str) -> None:
    """Equal bytes, but for which NaN it is."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    missing = np.isnan(expected)
    assert np.array_equal(np.isnan(found), missing), what
    assert found[~missing].tobytes() == expected[~missing].tobytes(), what


def one_step(
    update: UpdateGraph, weights: Any, grads: Any, state: Any, memory: Any, factor: float
) -> tuple[dict[str, Array], Any]:
    """The outputs of a step, and the memory after it."""
    numbers, memory = update.scalar_values(state["step"] + 1, memory, np.array([factor]))
    given_now = update.state_inputs(weights, {}, state) | {f"@{name}": g for name, g in grads.items()}
    return walk(update.graph, given_now | dict(zip(update.scalars, numbers[0], strict=True))), memory


def assert_steps_agree(
    optimizer: optim.Optimizer,
    dtype: str,
    seed: int,
    sizes: list[float],
    clip_value: float | None = None,
    clip_norm: float | None = None,
    traced: optim.Optimizer | None = None,
) -> None:
    """Several steps by the graph and by the functions, with gradients of the given sizes."""
    rng = np.random.default_rng(seed)
    update = with_update(bare_step(dtype), traced or optimizer, clip_value, clip_norm)
    weights = {name: np.asarray(rng.normal(size=shape), dtype=dtype) for name, shape in SHAPES.items()}
    state = optimizer.init(weights)
    memory = state["memory"]
    for number, size in enumerate(sizes):
        with np.errstate(over="ignore"):
            grads = {name: np.asarray(size * rng.normal(size=w.shape), dtype=dtype) for name, w in weights.items()}
        factor = 1.0 / (1 + number)
        found, memory = one_step(update, weights, grads, state, memory, factor)
        if clip_value is not None:
            grads = optim.clip_by_value(grads, clip_value)
        if clip_norm is not None:
            grads, _ = optim.clip_by_global_norm(grads, clip_norm)
        before, (weights, state) = weights, optimizer.update(weights, grads, state, factor)
        assert memory == state["memory"]
        for name, output in update.updates.items():
            slot, _, parameter = name.rpartition(" of ")
            assert_same_bits(found[output], state[slot][parameter] if slot else weights[parameter], output)
        for name in weights.keys() - update.updates.keys():
            assert weights[name].tobytes() == before[name].tobytes(), "what the graph does not update is frozen"


# Every rule, with settings from the whole of their ranges.


def values_of(hyper: Hyper) -> st.SearchStrategy[Any]:
    if isinstance(hyper.default, bool):
        return st.booleans()
    low = 0.0 if hyper.low is None else hyper.low
    high = 3.0 if hyper.high is None else hyper.high
    number = st.floats(low, high, exclude_min=hyper.low_open, exclude_max=hyper.high_open)
    usual = st.sampled_from([v for v in (0.0, 1e-8, 0.01, 0.5, 0.9, 0.999) if low + hyper.low_open * 1e-9 <= v < high])
    return st.tuples(usual | number, usual | number) if isinstance(hyper.default, tuple) else usual | number


@st.composite
def optimizers(draw: st.DrawFn) -> optim.Optimizer:
    name = draw(st.sampled_from(sorted(CLASSES)))
    hypers = CLASSES[name].rule.hypers

    def drawn(names: set[str]) -> dict[str, Any]:
        return {hyper.name: draw(values_of(hyper), hyper.name) for hyper in hypers if hyper.name in names}

    groups: dict[str, Any] = {}
    if draw(st.booleans()):
        groups["a.*"] = drawn(draw(st.sets(st.sampled_from([hyper.name for hyper in hypers]))))
    if draw(st.booleans()):
        groups["*.weight"] = 0.0
    try:
        return CLASSES[name](**drawn({hyper.name for hyper in hypers}), groups=groups)
    except ArgumentError:  # values that do not go together, such as nesterov without momentum
        assume(False)
        raise


SIZES = st.lists(st.sampled_from([0.0, 1e-40, 1e-20, 1e-3, 1.0, 1e3, 1e15, 1e38, math.inf]), min_size=1, max_size=4)
LIMITS = st.none() | st.sampled_from([1e-30, 1e-3, 0.5, 1.0, 100.0, 1e30])


@settings(max_examples=200)
@given(optimizers(), st.sampled_from(["float32", "float64"]), st.integers(0, 2**32), SIZES, LIMITS, LIMITS)
def test_the_graph_has_the_bits_of_the_functions(
    optimizer: optim.Optimizer, dtype: str, seed: int, sizes: list[float], clip_value: Any, clip_norm: Any
) -> None:
    assert_steps_agree(optimizer, dtype, seed, sizes, clip_value=clip_value, clip_norm=clip_norm)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_rule_for_many_steps(name: str, dtype: str) -> None:
    """With its defaults, and with whatever can be switched on switched on, weight decay included."""
    given_rate = {} if CLASSES[name].rule.hypers[0].default else {"lr": 0.1}
    switches = {hyper.name: True for hyper in CLASSES[name].rule.hypers if isinstance(hyper.default, bool)}
    numbers = {key: 0.3 for key in ("momentum", "weight_decay") if key in {h.name for h in CLASSES[name].rule.hypers}}
    for hyper in ({}, switches | numbers):
        optimizer = CLASSES[name](**given_rate, **hyper, groups={"a.bias": 0.0, "b.*": {"lr": 0.02}})
        assert_steps_agree(optimizer, dtype, 1, [1.0, 0.1] * 5)


def test_the_check_notices_another_order_of_operations() -> None:
    """η·(m / d) in place of η·m / d: the same number but for its last bits."""
    optimizer = optim.Adam(0.1)
    rule = optimizer.rule

    def other(w: Any, g: Any, state: Any, k: Any) -> Any:
        _, new = rule.step(w, g, state, k)
        divisor = new["second_moment"] ** 0.5 * k["1/sqrt(1-beta2^t)"] + k["eps"]
        return w - k["lr/(1-beta1^t)"] * (new["first_moment"] / divisor), new

    wrong = optim.Adam(0.1)
    wrong.rule = replace(rule, step=other)  # type: ignore[misc]
    with pytest.raises(AssertionError, match=r"updated \w+\.\w+"):
        assert_steps_agree(optimizer, "float32", 1, [1.0, 0.1, 1.0], traced=wrong)


# Clipping.


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=3).map(tuple), min_size=1, max_size=3),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30, math.nan]),
    st.sampled_from([1e-3, 0.7, 3.0, 1e20]),
    st.integers(0, 1000),
)
def test_the_same_clipping_on_arrays_and_tensors(
    shapes: list[tuple[int, ...]], dtype: str, size: float, limit: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays = {str(i): np.asarray(size * rng.normal(size=shape), dtype=dtype) for i, shape in enumerate(shapes)}
    tensors = {name: make_input(name, array.shape, dtype) for name, array in arrays.items()}
    by_value, by_norm = optim.clip_by_value(tensors, limit), optim.clip_by_global_norm(tensors, limit)
    norm = optim.global_norm(tensors)
    results = {**{f"value {n}": t for n, t in by_value.items()}, **{f"norm {n}": t for n, t in by_norm[0].items()}}
    outputs = {**results, "norm": by_norm[1], "alone": norm}
    found = walk(Graph({n: t.node for n, t in tensors.items()}, {n: t.node for n, t in outputs.items()}), arrays)
    clipped, expected_norm = optim.clip_by_global_norm(arrays, limit)
    for name, array in optim.clip_by_value(arrays, limit).items():
        assert_same_bits(found[f"value {name}"], array, name)
        assert_same_bits(found[f"norm {name}"], clipped[name], name)
    assert_same_bits(found["norm"], np.asarray(expected_norm), "norm")
    assert_same_bits(found["alone"], np.asarray(expected_norm), "norm")
    assert norm.dtype is DType.FLOAT64


def test_frozen_weights_count_for_the_norm() -> None:
    optimizer = optim.SGD(1.0, groups={"b.*": 0.0})
    update = with_update(bare_step("float64"), optimizer, clip_norm=5.0)
    grads = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    grads["a.bias"][0], grads["b.weight"][0, 0, 0] = 3.0, 99.0**0.5 * 2
    weights = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    found, _ = one_step(update, weights, grads, {"step": 0}, {}, 1.0)
    norm = math.sqrt(9.0 + 4 * 99.0)
    np.testing.assert_allclose(found["updated a.bias"][0], -3.0 * 5.0 / norm, rtol=1e-15)


# What the graph holds.


class Net(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm(4)
        self.drop = nn.Dropout(0.25)
        self.second = nn.Linear(4, 2)

    def __call__(self, x: Any) -> Any:
        return self.second(self.drop(self.norm(self.first(x))))


RNG = np.random.default_rng(0)
ROWS = Rows(RNG.normal(size=(9, 3)).astype(np.float32), RNG.integers(0, 2, 9), RNG.uniform(size=9).astype(np.float32))


def step_graph(net: nn.Module) -> Graph:
    return build_graph(net, ROWS, nn.losses.get("cross_entropy"), training=True, backward=True)


def test_names_of_inputs_and_outputs() -> None:
    optimizer = optim.AdamW(0.01, weight_decay=0.0, groups={"first.*": 0.0, "*.weight": {"weight_decay": 0.1}})
    update = with_update(step_graph(Net()), optimizer)
    assert update.parameters == (
        "first.weight",
        "first.bias",
        "norm.weight",
        "norm.bias",
        "second.weight",
        "second.bias",
    )
    assert update.buffers == ("norm.running_mean", "norm.running_variance")
    moving = ["norm.weight", "norm.bias", "second.weight", "second.bias"]
    slots = [f"{slot} of {name}" for name in moving for slot in ("first_moment", "second_moment")]
    assert set(update.updates) == {*moving, *slots, *update.buffers}
    assert all(output == f"updated {name}" for name, output in update.updates.items())
    assert list(update.graph.outputs) == ["loss", *update.updates.values()]
    assert set(update.graph.inputs) - set(update.updates) == {
        "@x", "@y", "@sample_weight", "@denominator", "@seed", "@step", *update.scalars, "first.weight", "first.bias"
    }  # fmt: skip
    assert set(update.scalars) == {
        "@*:lr/(1-beta1^t)", "@*:1/sqrt(1-beta2^t)",
        "@*.weight:lr/(1-beta1^t)", "@*.weight:1/sqrt(1-beta2^t)", "@*.weight:1-lr*weight_decay",
    }, "the decay of weights that do not decay is not asked for"  # fmt: skip
    numbers, memory = update.scalar_values(1, {}, np.array([0.5]))
    values = dict(zip(update.scalars, numbers[0], strict=True))
    assert values["@*.weight:1-lr*weight_decay"] == 1.0 - 0.01 * 0.5 * 0.1
    assert memory == {}


def test_nodes_remember_who_made_them() -> None:
    with nodes_by("somebody else"):
        step = step_graph(Net())
    update = with_update(step, optim.SGD(0.1, momentum=0.9), clip_norm=1.0)
    known = {id(node) for node in step.nodes()}
    origins = {node.origin for node in update.graph.nodes() if id(node) not in known}
    assert origins == {"gradient descent"}
    assert "[gradient descent]" in str(update.graph)


def test_gradients_of_frozen_weights_are_not_computed() -> None:
    def products(**options: Any) -> int:
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        update = with_update(step_graph(net), optim.SGD(0.1, groups=options.pop("groups", {})), **options)
        return sum(node.op.name == "matmul" for node in update.graph.nodes())

    # forward 2; dL/dw 2, dL/dh 1
    assert products() == 5
    assert products(groups={"0.*": 0.0}) == 3
    assert products(groups={"0.*": 0.0}, clip_norm=1.0) == 5, "their norm counts"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_whole_step_of_a_network(dtype: str) -> None:
    """Loss, buffers, weights and slots over steps of 9 and 4 rows: as by backpropagation, then `update`."""
    net = Net()
    optimizer = optim.NAdam(0.01, groups={"second.bias": 0.0})
    data = Rows(ROWS.x.astype(dtype), ROWS.y, ROWS.weight.astype(dtype) if ROWS.weight is not None else None)
    program = StepProgram(net, data, nn.losses.get("cross_entropy"), dtype=dtype, engine="reference")
    update = with_update(program.graph, optimizer)
    weights = {name: value.astype(dtype) for name, value in net.parameters().items()}
    buffers = {name: value.astype(dtype) for name, value in net.buffers().items()}
    state = optimizer.init(weights)
    for step, count in enumerate([9, 4, 9]):
        batch = data.take(slice(count))
        given_now = program.inputs(batch, update.state_inputs(weights, buffers, state), count * 0.7, 5, step)
        numbers, _ = update.scalar_values(step + 1, state["memory"], np.ones(1))
        from_graph = given_now | dict(zip(update.scalars, numbers[0], strict=True))
        found = reference(update.graph, from_graph, count)
        result = program(batch, {**weights, **buffers}, count * 0.7, 5, step)
        weights, state = optimizer.update(weights, result.gradients, state)
        buffers |= result.buffers
        assert float(found["loss"]) == result.loss
        for name, output in update.updates.items():
            slot, _, parameter = name.rpartition(" of ")
            expected = state[slot][parameter] if slot else (weights | buffers)[parameter]
            assert_same_bits(found[output], expected, output)


def reference(graph: Graph, inputs: Mapping[str, Any], rows: int) -> dict[str, Array]:
    """A graph's outputs by the reference engine; scalars rounded to the graph's dtype."""
    from fallline.engine.reference import ReferenceProgram

    typed = {
        name: np.asarray(inputs[name], dtype=node.type.dtype.value)
        for name, node in graph.inputs.items()
        if name in inputs
    }
    return ReferenceProgram(graph, {BATCH.name: rows})(typed)
