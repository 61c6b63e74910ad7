"""What made a tensor NaN or infinite: for each op that can, the values that did, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ir.graph import Node
from fallline.ir.kernel import Elementwise

Array = NDArray[Any]


@dataclass(frozen=True)
class Fault:
    """A node that made NaN or infinity, at the places where it did.

    Attributes:
        node: the node.
        value: its value.
        arguments: those of its inputs.
        bad: where it made NaN or infinity; of the value's shape, somewhere true.
        names: what each argument is called; "" where it has no name.
    """

    node: Node
    value: Array
    arguments: tuple[Array, ...]
    bad: Array
    names: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[int, ...]:
        """The first place that is bad."""
        return tuple(int(i) for i in np.argwhere(self.bad)[0])

    @property
    def became(self) -> str:
        """What there is now at the bad places: "nan", "infinity" or "-infinity"."""
        found = self.value[self.place]
        return "nan" if np.isnan(found) else "infinity" if found > 0 else "-infinity"

    @property
    def overflowed(self) -> bool:
        """Whether the result of finite numbers, or a part of it, is too large."""
        return self.node.op.name in ("exp", "expm1") or self.beyond in explanation(self)

    def at(self, number: int) -> float:
        """An argument of an elementwise op at the first bad place."""
        return float(self.arguments[number][self.place])

    def told(self, number: int) -> str:
        """That with its name, as "learning rate 1e+30"."""
        name, value = self.names[number], number_text(self.at(number))
        return f"{name} {value}" if name else value

    @property
    def beyond(self) -> str:
        """What an overflow is."""
        largest = np.finfo(self.value.dtype).max
        return f"is beyond {self.value.dtype}'s largest number, {largest:.4g}"


def number_text(value: float) -> str:
    """A number as messages show it."""
    if np.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    return f"{value:.4g}"


def explanation(fault: Fault) -> str:
    """The values that made it, as a clause: "0 ÷ 0", "its argument reached 112, …"."""
    return CAUSES.get(fault.node.op.name, _anything)(fault)


def _anything(fault: Fault) -> str:
    """For any op: between which numbers its arguments were."""
    floats = [argument for argument in fault.arguments if argument.dtype.kind == "f" and argument.size]
    if isinstance(fault.node.op.kernel, Elementwise):
        floats = [argument[fault.bad] for argument in floats]
    ranges = (f"{number_text(float(a.min()))} … {number_text(float(a.max()))}" for a in floats)
    return f"from values {', '.join(ranges)}" if floats else "from whole numbers"


def _exponential(fault: Fault) -> str:
    reached = float(fault.arguments[0][fault.bad].max())
    name, limit = fault.names[0] or "its argument", np.log(float(np.finfo(fault.value.dtype).max))
    return f"{name} reached {reached:.4g}, and {fault.value.dtype}'s limit is {limit:.4g}"


def _logarithm(fault: Fault) -> str:
    number = fault.at(0)
    shown = number_text(number) if fault.node.op.name == "log" else f"1 + {number_text(number)}"
    zero = 0.0 if fault.node.op.name == "log" else -1.0
    return f"the logarithm of {shown}" + (", a negative number" if number < zero else "")


def _root(fault: Fault) -> str:
    return f"the square root of {fault.told(0)}, a negative number"


def _divide(fault: Fault) -> str:
    above, below = fault.at(0), fault.at(1)
    text = f"{fault.told(0)} ÷ {fault.told(1)}"
    return text if below == 0.0 or not np.isfinite([above, below]).all() else f"{text} {fault.beyond}"


def _binary(sign: str) -> Callable[[Fault], str]:
    """Of + − ×: with an infinity among the arguments, what cannot be told; else an overflow."""

    def explain(fault: Fault) -> str:
        if fault.node.op.name == "multiply" and fault.node.inputs[0] is fault.node.inputs[1]:
            text = f"the square of {fault.told(0)}"
        else:
            second = fault.told(1)
            text = f"{fault.told(0)} {sign} {f'({second})' if second.startswith('-') else second}"
        finite = np.isfinite([fault.at(0), fault.at(1)]).all()
        return f"{text} {fault.beyond}" if finite else text

    return explain


def _power(fault: Fault) -> str:
    base, exponent = fault.at(0), fault.at(1)
    text = f"{number_text(base)} to the power {number_text(exponent)}"
    known = (base == 0.0 and exponent < 0.0) or fault.became == "nan"
    return text if known else f"{text} {fault.beyond}"


def _matmul(fault: Fault) -> str:
    *lead, row, column = fault.place
    left, right = fault.arguments[0][(*lead, row)], fault.arguments[1][tuple(lead)][:, column]  # (k,) each
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return f"0 × infinity or infinity − infinity among {len(left)} products"
    names = [fault.names[i] or "numbers" for i in (0, 1)]
    sizes = [f"{name} up to {np.abs(array).max():.4g}" for name, array in zip(names, (left, right), strict=True)]
    products = "a product" if len(left) == 1 else f"a sum of {len(left)} products"
    return f"{products}, {sizes[0]} in size × {sizes[1]}, {fault.beyond}"


def _sum(fault: Fault) -> str:
    axes = fault.node.attributes["axes"]
    kept = iter(fault.place)
    index = tuple(slice(None) if axis in axes else next(kept) for axis in range(fault.arguments[0].ndim))
    return _sum_of(fault, fault.arguments[0][index])


def _scatter(fault: Fault) -> str:
    values, rows = fault.arguments
    row, *rest = fault.place
    return _sum_of(fault, values[(np.asarray(rows) == row, *rest)])


def _sum_of(fault: Fault, numbers: Array) -> str:
    if not np.isfinite(numbers).all():
        return f"infinity − infinity in a sum of {numbers.size} numbers"
    name = f" of {fault.names[0]}" if fault.names[0] else ""
    return f"the sum of {numbers.size} numbers{name}, up to {np.abs(numbers).max():.4g} in size, {fault.beyond}"


def _cast(fault: Fault) -> str:
    return f"{fault.told(0)} {fault.beyond}"


CAUSES: dict[str, Callable[[Fault], str]] = {
    "exp": _exponential,
    "expm1": _exponential,
    "log": _logarithm,
    "log1p": _logarithm,
    "sqrt": _root,
    "divide": _divide,
    "multiply": _binary("×"),
    "add": _binary("+"),
    "subtract": _binary("−"),
    "power": _power,
    "matmul": _matmul,
    "sum": _sum,
    "scatter_add": _scatter,
    "cast": _cast,
}
"""Op → what to say of its arguments. Ops that are not here say between which numbers those were."""
