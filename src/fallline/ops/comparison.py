"""Comparisons, choices between values, and the piecewise-linear functions made of them."""

from typing import Any

import numpy as np

from fallline.errors import GraphError
from fallline.ir.emitter import Emitter, Value
from fallline.ir.kernel import Elementwise
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import DType, TensorType
from fallline.ops.rules import comparison_type, float_samples, generator, logical_type, same_type
from fallline.ops.tensor import Tensor, apply, filled_like

_STEP = "a comparison is piecewise constant: its derivative is 0 wherever it exists"

EQUAL = register(
    Op(
        "equal",
        infer=comparison_type("equal"),
        reference=np.equal,
        gradient=None,
        kernel=Elementwise(lambda e, a, b: e.equal(a, b)),
        samples=float_samples("equal", inputs=2),
        why_no_gradient=_STEP,
    )
)

LESS = register(
    Op(
        "less",
        infer=comparison_type("less"),
        reference=np.less,
        gradient=None,
        kernel=Elementwise(lambda e, a, b: e.less(a, b)),
        samples=float_samples("less", inputs=2),
        why_no_gradient=_STEP,
    )
)

LESS_EQUAL = register(
    Op(
        "less_equal",
        infer=comparison_type("less_equal"),
        reference=np.less_equal,
        gradient=None,
        kernel=Elementwise(lambda e, a, b: e.less_equal(a, b)),
        samples=float_samples("less_equal", inputs=2),
        why_no_gradient=_STEP,
    )
)


def _bool_samples(inputs: int) -> Any:
    grid = np.meshgrid(*[np.array([False, True])] * inputs)
    return lambda: [Sample(tuple(axis.ravel() for axis in grid), generic=False)]


LOGICAL_AND = register(
    Op(
        "logical_and",
        infer=logical_type("logical_and"),
        reference=np.logical_and,
        gradient=None,
        kernel=Elementwise(lambda e, a, b: e.logical_and(a, b)),
        samples=_bool_samples(2),
        why_no_gradient=_STEP,
    )
)

LOGICAL_OR = register(
    Op(
        "logical_or",
        infer=logical_type("logical_or"),
        reference=np.logical_or,
        gradient=None,
        kernel=Elementwise(lambda e, a, b: e.logical_or(a, b)),
        samples=_bool_samples(2),
        why_no_gradient=_STEP,
    )
)

LOGICAL_NOT = register(
    Op(
        "logical_not",
        infer=logical_type("logical_not"),
        reference=np.logical_not,
        gradient=None,
        kernel=Elementwise(lambda e, a: e.logical_not(a)),
        samples=_bool_samples(1),
        why_no_gradient=_STEP,
    )
)


def _where_type(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    if condition != TensorType(a.shape, DType.BOOL) or a != b:
        raise GraphError(f"where: need (bool, x, x) of one shape, found {condition}, {a}, {b}")
    return a


def _where_gradient(g: Tensor, y: Tensor, condition: Tensor, a: Tensor, b: Tensor) -> tuple[Any, Tensor, Tensor]:
    zero = filled_like(g, 0.0)
    return None, apply("where", condition, g, zero), apply("where", condition, zero, g)


def _where_samples() -> list[Sample]:
    rng = generator("where")
    condition = rng.uniform(size=(4, 5)) < 0.5
    special = np.array([np.nan, np.inf, 1.0, 2.0])
    return [
        Sample((condition, rng.normal(size=(4, 5)), rng.normal(size=(4, 5)))),
        Sample((np.array([True, False, True, False]), special, special[::-1].copy()), generic=False),
    ]


WHERE = register(
    Op(
        "where",
        infer=_where_type,
        reference=np.where,
        gradient=_where_gradient,
        kernel=Elementwise(lambda e, condition, a, b: e.select(condition, a, b)),
        samples=_where_samples,
    )
)


def _maximum(e: Emitter, a: Value, b: Value) -> Value:
    """The larger; NaN if either is (a ≠ a keeps a, and a < NaN is false, so b = NaN needs its own test)."""
    return e.select(e.logical_or(e.less(a, b), e.logical_not(e.equal(b, b))), b, a)


def _minimum(e: Emitter, a: Value, b: Value) -> Value:
    return e.select(e.logical_or(e.less(b, a), e.logical_not(e.equal(b, b))), b, a)


def _share(g: Tensor, wins: Tensor, ties: Tensor) -> Tensor:
    """g where this side wins, ½·g at a tie, else 0."""
    zero = filled_like(g, 0.0)
    return apply("where", wins, g, apply("where", ties, g * 0.5, zero))


MAXIMUM = register(
    Op(
        "maximum",
        infer=same_type("maximum"),
        reference=lambda a, b: np.where(a == b, a, np.maximum(a, b)),  # of 0 and −0 the first
        gradient=lambda g, y, a, b: (_share(g, a > b, a == b), _share(g, b > a, a == b)),
        kernel=Elementwise(_maximum),
        samples=float_samples("maximum", inputs=2),
    )
)

MINIMUM = register(
    Op(
        "minimum",
        infer=same_type("minimum"),
        reference=lambda a, b: np.where(a == b, a, np.minimum(a, b)),
        gradient=lambda g, y, a, b: (_share(g, a < b, a == b), _share(g, b < a, a == b)),
        kernel=Elementwise(_minimum),
        samples=float_samples("minimum", inputs=2),
    )
)


def _relu(e: Emitter, x: Value) -> Value:
    zero = e.constant(0.0, e.dtype(x))
    return e.select(e.less_equal(x, zero), zero, x)  # NaN fails the test and passes through


RELU = register(
    Op(
        "relu",
        infer=same_type("relu"),
        reference=lambda x: np.where(x <= 0, x.dtype.type(0), x),
        # at 0 the derivative is taken as 0, so that a unit at rest does not learn (as everywhere in the field)
        gradient=lambda g, y, x: (apply("where", x > 0.0, g, filled_like(g, 0.0)),),
        kernel=Elementwise(_relu),
        samples=float_samples("relu"),
    )
)


def _sign(e: Emitter, x: Value) -> Value:
    """−1, 0 or 1; NaN stays NaN."""
    dtype = e.dtype(x)
    zero, one = e.constant(0.0, dtype), e.constant(1.0, dtype)
    negative = e.select(e.less(x, zero), e.negate(one), x)
    return e.select(e.less(zero, x), one, e.select(e.equal(x, zero), zero, negative))


SIGN = register(
    Op(
        "sign",
        infer=same_type("sign"),
        reference=np.sign,
        gradient=None,
        kernel=Elementwise(_sign),
        samples=float_samples("sign"),
        why_no_gradient="it is piecewise constant: its derivative is 0 wherever it exists",
    )
)

ABSOLUTE = register(
    Op(
        "absolute",
        infer=same_type("absolute"),
        reference=np.abs,
        gradient=lambda g, y, x: (g * apply("sign", x),),
        kernel=Elementwise(lambda e, x: e.absolute(x)),
        samples=float_samples("absolute"),
    )
)
