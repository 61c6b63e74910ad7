"""What ops on elements are in ONNX. The operators broadcast by themselves."""

from typing import Any

import numpy as np

from fallline.export.site import Site, Translation, arithmetic
from fallline.ir.types import DType


def _named(operator: str, **attributes: Any) -> Translation:
    """An operator that means the same."""
    return arithmetic(lambda site: site.add(operator, *site.inputs, **attributes))


def _compared(operator: str) -> Translation:
    return arithmetic(lambda site: site.add(operator, *site.inputs), result_like_inputs=False)


def _logical(operator: str) -> Translation:
    return lambda site: site.add(operator, *site.inputs)


def _expm1(site: Site) -> str:
    """eˣ − 1 = tanh(x/2)·(eˣ + 1), which keeps its digits near 0."""
    x = site.inputs[0]
    half = site.add("Tanh", site.add("Mul", x, site.number(0.5)))
    return site.add("Mul", half, site.add("Add", site.add("Exp", x), site.number(1.0)))


def _log1p_of(site: Site, x: str) -> str:
    """ln(1 + x) = ln u · x/(u − 1) with u = 1 + x as it was rounded, and x where u = 1.

    Source: Kahan's formula, as in Goldberg 1991, "What every computer scientist should know about floating-point
    arithmetic", theorem 4. Above 1 the factor is left out: it is 1 to the last digit but one, and NaN at infinity.
    """
    one = site.number(1.0)
    u = site.add("Add", x, one)
    logarithm = site.add("Log", u)
    small = site.add("Equal", u, one)
    ratio = site.add("Div", x, site.where(small, one, site.add("Sub", u, one)))
    near = site.where(small, x, site.add("Mul", logarithm, ratio))
    return site.where(site.add("Greater", x, one), logarithm, near)


def _log1p(site: Site) -> str:
    return _log1p_of(site, site.inputs[0])


def _softplus(site: Site) -> str:
    """ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|), which never overflows."""
    x = site.inputs[0]
    power = site.add("Exp", site.add("Neg", site.add("Abs", x)))
    return site.add("Add", site.add("Max", x, site.number(0.0)), _log1p_of(site, power))


def _erf(site: Site) -> str:
    """Runtimes have it in float32."""
    if site.dtype is DType.FLOAT32:
        return site.add("Erf", site.inputs[0])
    return site.cast(site.add("Erf", site.cast(site.inputs[0], DType.FLOAT32)), site.dtype)


def _cast(site: Site) -> str:
    """Float → integer truncates, saturates, and makes 0 of NaN, which ONNX leaves open."""
    (x,), target = site.inputs, site.node.attributes["dtype"]
    source = site.node.inputs[0].type.dtype
    if not (source.is_float and target.is_integer):
        return site.cast(x, target)
    site = site.with_inputs(site.inputs, source)
    limits = np.iinfo(target.value)
    high = np.asarray(limits.max, dtype=source.value)
    if int(high) > limits.max:  # the largest float that is not above it
        high = np.nextafter(high, high.dtype.type(0))
    known = site.where(site.add("IsNaN", x), site.number(0.0), x)
    inside = site.cast(site.add("Clip", known, site.number(limits.min), site.number(float(high))), target)
    if int(high) == limits.max:
        return inside
    largest = site.writer.constant(np.asarray(limits.max, dtype=target.value))
    return site.where(site.add("Greater", known, site.number(float(high))), largest, inside)


def _relu(site: Site) -> str:
    """Runtimes have Relu of floats."""
    return site.add("Relu", site.inputs[0]) if site.dtype.is_float else site.add("Max", *site.inputs, site.number(0))


ELEMENTWISE: dict[str, Translation] = {
    "add": _named("Add"),
    "subtract": _named("Sub"),
    "multiply": _named("Mul"),
    "divide": _named("Div"),
    "negate": _named("Neg"),
    "sqrt": _named("Sqrt"),
    "stop_gradient": lambda site: site.inputs[0],
    "cast": _cast,
    "equal": _compared("Equal"),
    "less": _compared("Less"),
    "less_equal": _compared("LessOrEqual"),
    "logical_and": _logical("And"),
    "logical_or": _logical("Or"),
    "logical_not": _logical("Not"),
    "where": arithmetic(lambda site: site.where(*site.inputs), first=1),
    "maximum": _named("Max"),
    "minimum": _named("Min"),
    "relu": arithmetic(_relu),
    "sign": _named("Sign"),
    "absolute": _named("Abs"),
    "exp": _named("Exp"),
    "expm1": arithmetic(_expm1),
    "log": _named("Log"),
    "log1p": arithmetic(_log1p),
    "tanh": _named("Tanh"),
    "sigmoid": _named("Sigmoid"),
    "softplus": arithmetic(_softplus),
    "erf": arithmetic(_erf),
    "power": _named("Pow"),
}
