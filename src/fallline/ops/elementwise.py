"""Arithmetic on elements: + − × ÷, square root, and conversion between dtypes."""

from typing import Any

import numpy as np

from fallline.ir.kernel import Elementwise
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import DType, TensorType
from fallline.ops.rules import float_samples, generator, same_type
from fallline.ops.tensor import Array, Tensor, apply

ADD = register(
    Op(
        "add",
        infer=same_type("add"),
        reference=np.add,
        gradient=lambda g, y, a, b: (g, g),
        kernel=Elementwise(lambda e, a, b: e.add(a, b)),
        samples=float_samples("add", inputs=2),
    )
)

SUBTRACT = register(
    Op(
        "subtract",
        infer=same_type("subtract", no_bools=True),
        reference=np.subtract,
        gradient=lambda g, y, a, b: (g, -g),
        kernel=Elementwise(lambda e, a, b: e.subtract(a, b)),
        samples=float_samples("subtract", inputs=2),
    )
)

MULTIPLY = register(
    Op(
        "multiply",
        infer=same_type("multiply"),
        reference=np.multiply,
        gradient=lambda g, y, a, b: (g * b, g * a),
        kernel=Elementwise(lambda e, a, b: e.multiply(a, b)),
        samples=float_samples("multiply", inputs=2),
    )
)

DIVIDE = register(
    Op(
        "divide",
        infer=same_type("divide", floats_only=True),
        reference=np.divide,
        gradient=lambda g, y, a, b: (g / b, -(g * y) / b),
        kernel=Elementwise(lambda e, a, b: e.divide(a, b)),
        samples=float_samples("divide", inputs=2, low=0.5),
    )
)

NEGATE = register(
    Op(
        "negate",
        infer=same_type("negate", no_bools=True),
        reference=np.negative,
        gradient=lambda g, y, x: (-g,),
        kernel=Elementwise(lambda e, x: e.negate(x)),
        samples=float_samples("negate"),
    )
)

SQRT = register(
    Op(
        "sqrt",
        infer=same_type("sqrt", floats_only=True),
        reference=np.sqrt,
        gradient=lambda g, y, x: (g * 0.5 / y,),
        kernel=Elementwise(lambda e, x: e.sqrt(x)),
        samples=float_samples("sqrt", low=0.1, high=4.0),
    )
)

STOP_GRADIENT = register(
    Op(
        "stop_gradient",
        infer=same_type("stop_gradient"),
        reference=np.copy,
        gradient=None,
        kernel=Elementwise(lambda e, x: x),
        samples=lambda: [Sample((generator("stop_gradient").normal(size=(3, 4)),))],
        why_no_gradient="it exists to stop backpropagation: what it passes on counts as a constant",
    )
)


def _cast_type(x: TensorType, dtype: DType) -> TensorType:
    return TensorType(x.shape, dtype)


def _cast_reference(x: Array, dtype: DType) -> Array:
    """Float → integer truncates towards zero and saturates; NaN becomes 0."""
    if dtype.is_integer and x.dtype.kind == "f":
        limits = np.iinfo(dtype.value)
        whole = np.trunc(np.nan_to_num(x, nan=0.0).astype(np.float64))
        inside = np.clip(whole, float(limits.min), float(limits.max))
        exact = np.where(inside >= float(limits.max), 0.0, inside).astype(dtype.value)
        return np.where(inside >= float(limits.max), limits.max, exact).astype(dtype.value)
    with np.errstate(over="ignore"):
        return np.asarray(x.astype(dtype.value))


def _cast_gradient(g: Tensor, y: Tensor, x: Tensor, dtype: DType) -> tuple[Tensor | None]:
    both_float = x.dtype.is_float and dtype.is_float
    return (apply("cast", g, dtype=x.dtype) if both_float else None,)


def _cast_samples() -> list[Sample]:
    values = np.array([0.0, -0.0, 1.5, -1.5, 255.4, 300.0, -7.0, 1e12, -1e12, 1e30, -1e30, np.inf, -np.inf, np.nan])
    to: list[Any] = [DType.BOOL, DType.UINT8, DType.INT32, DType.INT64, DType.FLOAT32, DType.FLOAT64]
    found = [Sample((values,), {"dtype": dtype}, generic=False) for dtype in to]
    found.append(Sample((np.arange(5),), {"dtype": DType.FLOAT32}, generic=False))
    found.append(Sample((generator("cast").normal(size=(3, 4)),), {"dtype": DType.FLOAT64}))
    return found


CAST = register(
    Op(
        "cast",
        infer=_cast_type,
        reference=_cast_reference,
        gradient=_cast_gradient,
        kernel=Elementwise(lambda e, x, dtype: e.cast(x, dtype)),
        samples=_cast_samples,
    )
)
