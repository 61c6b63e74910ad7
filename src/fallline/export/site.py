"""What a translation sees: one node of a graph, the ONNX values of its inputs, and the writer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fallline.export.writer import GraphWriter
from fallline.ir.graph import Node
from fallline.ir.types import DType, Shape

ARITHMETIC = frozenset([DType.FLOAT32, DType.FLOAT64, DType.INT32, DType.INT64])
"""The dtypes that runtimes compute in; of others they store and move values only."""


@dataclass(frozen=True)
class Site:
    """A place in a graph where an op is translated.

    Attributes:
        writer: takes the ONNX nodes.
        node: what is translated; its attributes and types.
        inputs: the ONNX value of each input.
        rows: gives the ONNX value of the number of rows, a vector of one number.
        dtype: in which it is computed: that of the first input, unless it was `widened`.
    """

    writer: GraphWriter
    node: Node
    inputs: tuple[str, ...]
    rows: Callable[[], str]
    dtype: DType

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """An ONNX node; the name of its result."""
        return self.writer.add(operator, *inputs, **attributes)

    def number(self, value: float) -> str:
        """A single number in the site's dtype."""
        return self.writer.constant(np.asarray(value, dtype=self.dtype.value))

    def shape(self, shape: Shape) -> str:
        """A shape as a vector."""
        return self.writer.shape(shape, self.rows)

    def where(self, condition: str, a: str, b: str) -> str:
        """The elements of a where the condition holds, else those of b."""
        return self.add("Where", condition, a, b)

    def cast(self, value: str, dtype: DType) -> str:
        """A value in another dtype."""
        return self.writer.cast(value, dtype.value)

    def with_inputs(self, inputs: Iterable[str], dtype: DType) -> "Site":
        """The same node on other values."""
        return replace(self, inputs=tuple(inputs), dtype=dtype)


Translation = Callable[[Site], str]


def arithmetic(translate: Translation, first: int = 0, result_like_inputs: bool = True) -> Translation:
    """A translation for dtypes that runtimes compute in, made one for all: small ones are widened to int32 and back.

    Args:
        translate: for float32, float64, int32 and int64.
        first: the input from which on inputs are widened: 1 for a choice, whose condition stays as it is.
        result_like_inputs: the result is of the inputs' dtype, not a truth value.
    """

    def translated(site: Site) -> str:
        dtype = site.node.inputs[first].type.dtype
        if dtype in ARITHMETIC:
            return translate(site.with_inputs(site.inputs, dtype))
        wide = [*site.inputs[:first], *(site.cast(value, DType.INT32) for value in site.inputs[first:])]
        result = translate(site.with_inputs(wide, DType.INT32))
        return site.cast(result, dtype) if result_like_inputs else result

    return translated
