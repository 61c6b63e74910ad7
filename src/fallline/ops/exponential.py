"""Exponentials, logarithms and what is made of them: tanh, sigmoid, softplus, erf, power."""

import math
from typing import Any

import numpy as np

from fallline.ir.kernel import Elementwise
from fallline.ir.op import Op, Sample, register
from fallline.ops import special
from fallline.ops.rules import float_samples, generator, same_type
from fallline.ops.tensor import Array, Tensor, apply, filled_like


def _sigmoid(x: Array) -> Any:
    """1/(1 + e^−x) by e^−|x|, which never overflows."""
    t = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + t), t / (1 + t)).astype(x.dtype)


def _erf(x: Array) -> Any:
    """The standard library's erf, element by element: slow, and right."""
    values = np.fromiter((math.erf(value) for value in x.ravel().tolist()), dtype=np.float64, count=x.size)
    return values.reshape(x.shape).astype(x.dtype)


def _power_gradient(g: Tensor, y: Tensor, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """d xᵖ = p·xᵖ⁻¹ dx + xᵖ·ln x dp; the second is taken as 0 for x ≤ 0, where ln x has no value.

    x⁰ is 1 for every x, so its derivative by x is 0 at x = 0 too, where the formula would say 0·∞.
    """
    inside = apply("where", x > 0.0, x, filled_like(x, 1.0))
    exponent = apply("where", (x == 0.0) & (p == 0.0), filled_like(p, 1.0), p)
    return g * p * apply("power", x, exponent - 1.0), g * y * apply("log", inside)


def _power_samples() -> list[Sample]:
    rng = generator("power")
    bases, exponents = np.meshgrid([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 1e3, np.nan], [0.0, 1.0, -1.0, 2.0, 3.0, 0.5])
    return [
        Sample((rng.uniform(0.2, 3.0, (3, 5)), rng.uniform(-3.0, 3.0, (3, 5)))),
        Sample((bases.ravel(), exponents.ravel()), generic=False),
    ]


EXP = register(
    Op(
        "exp",
        infer=same_type("exp", floats_only=True),
        reference=np.exp,
        gradient=lambda g, y, x: (g * y,),
        kernel=Elementwise(special.exp),
        samples=float_samples("exp"),
    )
)

EXPM1 = register(
    Op(
        "expm1",
        infer=same_type("expm1", floats_only=True),
        reference=np.expm1,
        gradient=lambda g, y, x: (g * (y + 1.0),),
        kernel=Elementwise(special.expm1),
        samples=float_samples("expm1"),
    )
)

LOG = register(
    Op(
        "log",
        infer=same_type("log", floats_only=True),
        reference=np.log,
        gradient=lambda g, y, x: (g / x,),
        kernel=Elementwise(special.log),
        samples=float_samples("log", low=0.1, high=5.0),
    )
)

LOG1P = register(
    Op(
        "log1p",
        infer=same_type("log1p", floats_only=True),
        reference=np.log1p,
        gradient=lambda g, y, x: (g / (x + 1.0),),
        kernel=Elementwise(special.log1p),
        samples=float_samples("log1p", low=-0.5, high=5.0),
    )
)

TANH = register(
    Op(
        "tanh",
        infer=same_type("tanh", floats_only=True),
        reference=np.tanh,
        gradient=lambda g, y, x: (g * (1.0 - y * y),),
        kernel=Elementwise(special.tanh),
        samples=float_samples("tanh"),
    )
)

SIGMOID = register(
    Op(
        "sigmoid",
        infer=same_type("sigmoid", floats_only=True),
        reference=_sigmoid,
        gradient=lambda g, y, x: (g * (y * (1.0 - y)),),
        kernel=Elementwise(special.sigmoid),
        samples=float_samples("sigmoid"),
    )
)

SOFTPLUS = register(
    Op(
        "softplus",
        infer=same_type("softplus", floats_only=True),
        reference=lambda x: np.logaddexp(x, x.dtype.type(0)),
        gradient=lambda g, y, x: (g * apply("sigmoid", x),),
        kernel=Elementwise(special.softplus),
        samples=float_samples("softplus"),
    )
)

ERF = register(
    Op(
        "erf",
        infer=same_type("erf", floats_only=True),
        reference=_erf,
        gradient=lambda g, y, x: (g * (apply("exp", -(x * x)) * (2.0 / math.sqrt(math.pi))),),
        kernel=Elementwise(special.erf),
        samples=float_samples("erf"),
    )
)

POWER = register(
    Op(
        "power",
        infer=same_type("power", floats_only=True),
        reference=np.power,
        gradient=_power_gradient,
        kernel=Elementwise(special.power),
        samples=_power_samples,
    )
)
