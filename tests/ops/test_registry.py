"""Every op of the register on every one of its samples, and the checker itself on wrong ops."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fallline.ops  # noqa: F401 – registers every op
from fallline.errors import GraphError
from fallline.ir.kernel import Elementwise, Leaf
from fallline.ir.op import REGISTRY, Op, Sample, lookup, register
from fallline.ir.types import BATCH, DType, Shape, SymbolicDim, TensorType, bind
from fallline.ops.contraction import swap_last
from fallline.ops.rules import float_samples, same_type
from fallline.ops.tensor import apply

OPS = [op for op in REGISTRY.values() if not isinstance(op.kernel, Leaf)]


def samples(op: Op) -> list[Sample]:
    assert op.samples is not None
    return op.samples()


def is_float(op: Op, sample: Sample) -> bool:
    """Whether the result is a float, so that it can be differentiated."""
    with np.errstate(all="ignore"):
        value = op.reference(*(np.asarray(array) for array in sample.inputs), **sample.attributes)
    return np.asarray(value).dtype.kind == "f"


CASES = [pytest.param(op, sample, id=f"{op.name}-{i}") for op in OPS for i, sample in enumerate(samples(op))]
SMOOTH = [
    pytest.param(op, sample, id=f"{op.name}-{i}")
    for op in OPS
    for i, sample in enumerate(samples(op))
    if sample.generic and op.gradient is not None and any(np.asarray(x).dtype.kind == "f" for x in sample.inputs)
]

SPECIAL = [
    pytest.param(op, sample, id=f"{op.name}-{i}")
    for op in OPS
    for i, sample in enumerate(samples(op))
    if not sample.generic and op.gradient is not None and is_float(op, sample)
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_the_shape_rule_tells_the_result(checks: SimpleNamespace, op: Op, sample: Sample, dtype: str) -> None:
    checks.type(op, checks.as_dtype(sample, dtype), sample.attributes)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_the_kernel_form_agrees_with_it(checks: SimpleNamespace, op: Op, sample: Sample, dtype: str) -> None:
    checks.kernel(op, checks.as_dtype(sample, dtype), sample.attributes)


@pytest.mark.parametrize(("op", "sample"), SMOOTH)
def test_the_gradient_rule_agrees_with_finite_differences(checks: SimpleNamespace, op: Op, sample: Sample) -> None:
    checks.gradient(op, checks.as_dtype(sample, "float64"), sample.attributes)


@pytest.mark.parametrize(("op", "sample"), SMOOTH)
def test_the_rules_applied_twice_agree_with_finite_differences(checks: SimpleNamespace, op: Op, sample: Sample) -> None:
    checks.second_derivative(op, checks.as_dtype(sample, "float64"), sample.attributes)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("op", "sample"), SPECIAL)
def test_gradients_at_special_points_exist(checks: SimpleNamespace, op: Op, sample: Sample, dtype: str) -> None:
    arrays = checks.as_dtype(sample, dtype)
    made = checks.differentiate(op, arrays, sample.attributes)
    for place, slope in zip(made.places, made.first(arrays), strict=True):
        assert (slope.shape, slope.dtype) == (arrays[place].shape, arrays[place].dtype)


def test_every_op_with_a_gradient_is_checked_somewhere_smooth() -> None:
    smooth = {case.id.rpartition("-")[0] for case in SMOOTH if case.id}  # type: ignore[union-attr]
    without_inputs = {"iota", "dim_size"}
    assert {op.name for op in OPS if op.gradient is not None} - without_inputs == smooth


@pytest.mark.parametrize("name", ["sign", "stop_gradient"])
def test_an_op_without_a_gradient_passes_none_on(checks: SimpleNamespace, name: str) -> None:
    op = lookup(name)
    arrays = checks.as_dtype(samples(op)[0], "float64")
    assert not np.any(checks.differentiate(op, arrays, {}).first(arrays)[0])


def _floats(*shape: Any) -> TensorType:
    return TensorType(shape, DType.FLOAT32)


N, THREE_N = BATCH, SymbolicDim("n", 3)
MASK, ROWS = TensorType((N, 4), DType.BOOL), TensorType((N,), DType.INT64)
SYMBOLIC: dict[str, list[tuple[list[TensorType], dict[str, Any], Shape]]] = {
    "broadcast": [
        ([_floats(4)], {"shape": (N, 4)}, (N, 4)),
        ([_floats(N, 1)], {"shape": (2, N, 5)}, (2, N, 5)),
        ([_floats()], {"shape": (N,)}, (N,)),
    ],
    "reshape": [
        ([_floats(N, 6)], {"shape": (N, 2, 3)}, (N, 2, 3)),
        ([_floats(N, 3)], {"shape": (THREE_N,)}, (THREE_N,)),
        ([_floats(THREE_N, 2)], {"shape": (N, 6)}, (N, 6)),
    ],
    "transpose": [([_floats(N, 4, 2)], {"axes": (2, 0, 1)}, (2, N, 4))],
    "slice": [([_floats(N, 6)], {"starts": (0, 1), "shape": (N, 2), "steps": (1, 3)}, (N, 2))],
    "embed": [([_floats(N, 2)], {"starts": (0, 1), "shape": (N, 6), "steps": (1, 3)}, (N, 6))],
    "concatenate": [([_floats(N, 2), _floats(N, 3)], {"axis": 1}, (N, 5))],
    "sum": [([_floats(N, 4)], {"axes": (0,)}, (4,)), ([_floats(N, 4)], {"axes": (1,)}, (N,))],
    "max": [([_floats(N, 4)], {"axes": (0, 1)}, ()), ([_floats(N, 4)], {"axes": (1,)}, (N,))],
    "matmul": [
        ([_floats(N, 4), _floats(4, 3)], {}, (N, 3)),
        ([_floats(4, N), _floats(N, 3)], {}, (4, 3)),
        ([_floats(N, 2, 4), _floats(N, 4, 3)], {}, (N, 2, 3)),
    ],
    "take": [([_floats(5, 3), ROWS], {}, (N, 3)), ([_floats(N, 3), TensorType((2,), DType.INT32)], {}, (2, 3))],
    "scatter_add": [([_floats(N, 3), ROWS], {"rows": 5}, (5, 3)), ([_floats(N), ROWS], {"rows": N}, (N,))],
    "iota": [([], {"size": N, "dtype": DType.INT64}, (N,))],
    "dim_size": [([], {"dim": THREE_N, "dtype": DType.FLOAT32}, ())],
    "random_uniform": [
        (
            [TensorType((), DType.INT64)] * 2,
            {"purpose": "dropout", "stream": "", "shape": (N, 4), "dtype": DType.FLOAT32},
            (N, 4),
        )
    ],
    "where": [([MASK, _floats(N, 4), _floats(N, 4)], {}, (N, 4))],
    "cast": [([_floats(N, 4)], {"dtype": DType.UINT8}, (N, 4))],
    "logical_and": [([MASK, MASK], {}, (N, 4))],
    "logical_or": [([MASK, MASK], {}, (N, 4))],
    "logical_not": [([MASK], {}, (N, 4))],
}


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_symbolic_rows_give_the_type_of_bound_rows(op: Op, rows: int) -> None:
    inputs = max(len(sample.inputs) for sample in samples(op))
    elementwise: list[tuple[list[TensorType], dict[str, Any], Shape]] = [([_floats(N, 4)] * inputs, {}, (N, 4))]
    for types, attributes, shape in SYMBOLIC.get(op.name, elementwise):
        symbolic = op.infer(*types, **attributes)
        bound = [TensorType(bind(kind.shape, {"n": rows}), kind.dtype) for kind in types]
        numbers = op.infer(*bound, **{key: bind(value, {"n": rows}) for key, value in attributes.items()})
        assert symbolic.shape == shape
        assert (bind(symbolic.shape, {"n": rows}), symbolic.dtype) == (numbers.shape, numbers.dtype)


# --- the checker itself


def _wrong(name: str, rule: Any) -> Op:
    return replace(lookup(name), gradient=rule)


WRONG = {
    "2.001 for 2": _wrong("multiply", lambda g, y, a, b: (g * b * 1.0005, g * a)),
    "a sign": _wrong("subtract", lambda g, y, a, b: (g, g)),
    "a term forgotten": _wrong("divide", lambda g, y, a, b: (g / b, -(g * y))),
    "no gradient for the second": _wrong("multiply", lambda g, y, a, b: (g * b, None)),
    "tied to the result's index": _wrong("max", lambda g, y, x, axes: (apply("where", x == x, x * 0.0, x),)),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_the_checker_notices(checks: SimpleNamespace, mistake: str) -> None:
    op = WRONG[mistake]
    sample = next(sample for sample in samples(op) if sample.generic)
    arrays = checks.as_dtype(sample, "float64")
    checks.gradient(lookup(op.name), arrays, sample.attributes)
    with pytest.raises(AssertionError, match=r"by the rule"):
        checks.gradient(op, arrays, sample.attributes)


def test_the_checker_notices_a_transposed_gradient(checks: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 3)), rng.normal(size=(3, 3))]  # square, so that every shape still fits
    wrong = _wrong("matmul", lambda g, y, a, b: (apply("matmul", g, b), apply("matmul", swap_last(a), g)))
    checks.gradient(lookup("matmul"), arrays, {})
    with pytest.raises(AssertionError, match=r"input 0: .* by the rule"):
        checks.gradient(wrong, arrays, {})


def test_the_checker_notices_a_gradient_of_the_wrong_shape(checks: SimpleNamespace) -> None:
    wrong = _wrong("transpose", lambda g, y, x, axes: (g,))
    sentence = r"^the gradient rule of 'transpose' gave float64 \(3, 2\) for an input float64 \(2, 3\)$"
    with pytest.raises(GraphError, match=sentence):
        checks.gradient(wrong, [np.ones((2, 3))], {"axes": (1, 0)})


def test_the_checker_notices_a_rule_that_is_right_once_and_wrong_twice(checks: SimpleNamespace) -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        return (g * apply("stop_gradient", 1.0 - y * y),)  # its own derivative is lost

    wrong, arrays = _wrong("tanh", rule), [np.array([0.3, -1.2])]
    checks.gradient(wrong, arrays, {})
    with pytest.raises(AssertionError, match=r"by the rule"):
        checks.second_derivative(wrong, arrays, {})


def test_the_checker_notices_a_wrong_kernel_and_a_wrong_shape_rule(checks: SimpleNamespace) -> None:
    arrays = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    swapped = replace(lookup("subtract"), kernel=Elementwise(lambda e, a, b: e.subtract(b, a)))
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        checks.kernel(swapped, arrays, {})
    zero = replace(lookup("relu"), kernel=Elementwise(lambda e, x: e.multiply(x, e.constant(0.0, e.dtype(x)))))
    with pytest.raises(AssertionError, match="signs of zero"):
        checks.kernel(zero, [np.array([-1.0])], {})
    less = replace(lookup("less"), infer=same_type("less"))
    with pytest.raises(AssertionError):
        checks.type(less, arrays, {})


# --- the register

WELL_FORMED = Op(
    "test_only",
    infer=same_type("test_only"),
    reference=np.copy,
    gradient=lambda g, y, x: (g,),
    kernel=Elementwise(lambda e, x: x),
    samples=float_samples("test_only"),
)


def test_a_well_formed_op_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fallline.ir.op.REGISTRY", {})
    assert register(WELL_FORMED) is lookup("test_only") is WELL_FORMED
    with pytest.raises(GraphError, match=r"^register: an op named 'test_only' exists already$"):
        register(WELL_FORMED)


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (replace(WELL_FORMED, samples=None), "op 'test_only' has no samples, so no test would ever check it"),
        (
            replace(WELL_FORMED, gradient=None),
            "op 'test_only' has neither a gradient rule nor a stated reason for its lack",
        ),
        (replace(WELL_FORMED, name="tanh"), "an op named 'tanh' exists already"),
    ],
)
def test_an_incomplete_op_is_refused(op: Op, sentence: str) -> None:
    before = dict(REGISTRY)
    with pytest.raises(GraphError, match=f"^register: {sentence}$"):
        register(op)
    assert before == REGISTRY


def test_an_unknown_op_is_named_with_its_nearest() -> None:
    with pytest.raises(GraphError, match=r"^no op is named 'tahn': did you mean 'tanh'\?$"):
        lookup("tahn")


def test_every_missing_gradient_has_a_reason() -> None:
    for op in REGISTRY.values():
        assert (op.gradient is None) == bool(op.why_no_gradient), op.name
