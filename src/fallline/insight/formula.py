"""Formulas read off a graph: one element of a node as symbols, as numbers, and as its value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fallline.insight.jacobian import source_of
from fallline.insight.tape import Tape
from fallline.ir.graph import Node

SUM, PRODUCT, SIGN, ATOM = 1, 2, 3, 4
"""How strongly an expression holds together; a weaker one inside a stronger one gets brackets."""
INFIX = {
    "add": (SUM, " + ", SUM), "subtract": (SUM, " − ", PRODUCT), "multiply": (PRODUCT, " · ", PRODUCT),
    "divide": (PRODUCT, " / ", SIGN), "less": (SUM, " < ", SUM), "less_equal": (SUM, " ≤ ", SUM),
    "equal": (SUM, " = ", SUM), "logical_and": (SUM, " and ", SUM), "logical_or": (SUM, " or ", SUM),
}  # fmt: skip
"""op → (its strength, its sign, the strength that its second argument needs)."""
CALLED = {"sqrt": "√", "maximum": "max", "minimum": "min", "absolute": "abs"}
SYMBOLS = (
    ("weight_decay", "λ"), ("momentum", "μ"), ("beta1", "β₁"), ("beta2", "β₂"), ("sqrt", "√"), ("^t", "ᵗ"),
    ("lr", "η"), ("-", "−"), ("*", "·"),
)  # fmt: skip
BRACKETED = re.compile(r"\([^()]*\)")


@dataclass(frozen=True)
class Formula:
    """An expression in symbols and in numbers, with its value.

    Attributes:
        symbols: "0.9·m + 0.1·g".
        numbers: the same with each symbol's number.
        value: as the engine computed it.
        strength: of the outermost operation of the symbols.
        strength_of_numbers: the same of the numbers.
    """

    symbols: str
    numbers: str
    value: float
    strength: int = ATOM
    strength_of_numbers: int = ATOM

    def within(self, strength: int) -> "Formula":
        """Itself, in brackets where it holds together less than needed."""
        symbols = self.symbols if self.strength >= strength else f"({self.symbols})"
        numbers = self.numbers if self.strength_of_numbers >= strength else f"({self.numbers})"
        return Formula(symbols, numbers, self.value)


class Writer:
    """Writes the formulas of one element.

    Args:
        tape: the values.
        names: id of node → what it is called, where a formula ends.
        index: the element, flat.
    """

    def __init__(self, tape: Tape, names: Mapping[int, str], index: int) -> None:
        self.tape, self.names, self.index = tape, dict(names), index

    def value(self, node: Node) -> float:
        """A node's number at the element; of a single number, that."""
        values = self.tape.values[id(node)]
        return float(values[self.index if values.size > 1 else 0])

    def name(self, node: Node) -> Formula:
        """A named node as an atom."""
        value, name = self.value(node), self.names[id(node)]
        outside = BRACKETED.sub("", name)
        strength = SUM if any(sign in outside for sign in "+−") else PRODUCT if "/" in outside else ATOM
        return Formula(name, bracketed(value), value, strength, ATOM)

    def write(self, node: Node, whole: bool = False) -> Formula:
        """A node's formula; with `whole`, also of a named one what it is made of."""
        if id(node) in self.names and not whole:
            return self.name(node)
        if not node.inputs:
            value = self.value(node)
            return Formula(bracketed(value), bracketed(value), value)
        seen = source_of(self.tape, node)
        if seen is not node:
            return self.write(seen)
        parts = [self.write(parent) for parent in node.inputs]
        op, value = node.op.name, self.value(node)
        if op in ("cast", "stop_gradient", "reshape", "broadcast"):
            return parts[0]
        if op in INFIX:
            own, sign, needed = INFIX[op]
            a, b = parts[0].within(own), parts[1].within(needed if own == PRODUCT or needed > own else own)
            return Formula(f"{a.symbols}{sign}{b.symbols}", f"{a.numbers}{sign}{b.numbers}", value, own, own)
        if op == "negate":
            inner = parts[0].within(PRODUCT)
            return Formula(f"−{inner.symbols}", f"−{inner.numbers}", value, SIGN, SIGN)
        return self._call(CALLED.get(op, op), parts, value)

    def _call(self, called: str, parts: list[Formula], value: float) -> Formula:
        if called == "√":
            inner = parts[0]
            symbols = (
                f"√{inner.symbols}" if inner.strength == ATOM and "(" not in inner.symbols else f"√({inner.symbols})"
            )
            numbers = f"√{inner.numbers}" if inner.strength_of_numbers == ATOM else f"√({inner.numbers})"
            return Formula(symbols, numbers, value)
        texts = [", ".join(getattr(part, kind) for part in parts) for kind in ("symbols", "numbers")]
        return Formula(f"{called}({texts[0]})", f"{called}({texts[1]})", value)

    def addends(self, node: Node, sign: float = 1.0) -> list[tuple[float, Node]]:
        """(sign, node) of each term of the sum that a node is."""
        if id(node) not in self.names or not node.inputs:
            if node.op.name == "add":
                return [term for parent in node.inputs for term in self.addends(parent, sign)]
            if node.op.name == "subtract":
                return [*self.addends(node.inputs[0], sign), *self.addends(node.inputs[1], -sign)]
            if node.op.name == "negate":
                return self.addends(node.inputs[0], -sign)
        return [(sign, node)]


def bracketed(value: float) -> str:
    """A number as it stands among others: a negative one in brackets."""
    return number(value) if value >= 0 else f"({number(value)})"


def number(value: float) -> str:
    """A number with six digits, its minus sign as long as a plus."""
    return f"{value:.6g}".replace("-", "−")


def symbol(name: str) -> str:
    """A scalar's name as a paper writes it: "lr/(1-beta1^t)" is η/(1−β₁ᵗ)."""
    for plain, written in SYMBOLS:
        name = name.replace(plain, written)
    return name
