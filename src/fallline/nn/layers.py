"""Layers that are neither affine nor an activation: Sequential, Flatten, Dropout, Embedding, EmbeddingBag."""

from collections.abc import Iterator
from typing import Any

from fallline.errors import ArgumentError, KindError, ShapeError
from fallline.ir.types import format_shape, product
from fallline.nn.checks import size
from fallline.nn.init import Initializer, Normal
from fallline.nn.module import Module, Parameter
from fallline.nn.trace import random_stream
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor, apply, count


class Sequential(Module):
    """Layers one after the other: each one's output is the next one's input.

    Args:
        layers: modules, named "0", "1", … in the parameters' dotted names.
        seed: the seed from which, with its dotted name, each parameter is drawn.
    """

    def __init__(self, *layers: Module, seed: int = 0) -> None:
        super().__init__(seed)
        for number, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise KindError(f"nn.Sequential: layer {number} must be a module, found {layer!r}")
        self.layers = list(layers)

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's output."""
        for layer in self.layers:
            x = layer(x)
        return x

    def children(self) -> Iterator[tuple[str, Any]]:
        """The layers, by number."""
        for number, layer in enumerate(self.layers):
            yield str(number), layer

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, number: int) -> Module:
        return self.layers[number]

    def describe(self) -> str:
        """The layers as `repr` shows them."""
        return ", ".join(repr(layer) for layer in self.layers)


class Flatten(Module):
    """(rows, a, b, …) → (rows, a·b·…)."""

    def __init__(self) -> None:
        """Nothing to set up."""

    def __call__(self, x: Tensor) -> Tensor:
        """x with all axes but the first made one."""
        return x.reshape(x.shape[0], product(x.shape[1:]))


class Dropout(Module):
    """In training each element is 0 with probability p, else x/(1 − p); in prediction y = x.

    Which elements are dropped is a function of (seed, layer, step, row, element), never of call order.
    Source: Srivastava et al. 2014, JMLR 15, 1929–1958.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p < 1.0:
            raise ArgumentError(f"nn.Dropout: p must be at least 0 and less than 1, found {p}")
        self.p = p

    def __call__(self, x: Tensor) -> Tensor:
        """x with dropped elements, in training."""
        if not self.training or self.p == 0.0:
            return x
        stream, seed, step = random_stream(self)
        x = x if x.dtype.is_float else x.astype("float32")  # images of whole numbers, for example
        dtype = x.dtype
        uniform = apply(
            "random_uniform", seed, step, purpose="dropout", stream=stream, shape=x.shape, dtype=dtype
        )  # [0, 1)
        return f.where(uniform < self.p, 0.0, x * (1.0 / (1.0 - self.p)))  # type: ignore[no-any-return]

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.p}"


class Embedding(Module):
    """Row numbers → rows of a learned table: (rows, …) whole numbers → (rows, …, features).

    Args:
        count: how many rows the table has; indices go from 0 to count − 1.
        features: the length of a row.
        init: initialiser of the table `weight` (count, features).
    """

    def __init__(self, count: int, features: int, init: str | Initializer | None = None) -> None:
        self.count = size("nn.Embedding", "count", count)
        self.features = size("nn.Embedding", "features", features)
        self.weight = Parameter((self.count, self.features), init or Normal(1.0))

    def __call__(self, x: Tensor) -> Tensor:
        """The table's rows number x."""
        if not x.dtype.is_integer:
            raise KindError(
                f"nn.Embedding: needs whole numbers, found {x.type}; convert the input with .astype('int64')"
            )
        return f.take(self.weight, x)  # type: ignore[no-any-return]

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.count}, {self.features}"


class EmbeddingBag(Module):
    """Sets of row numbers → the sum, or mean, of those rows of a learned table, each times a weight.

    y = Σₖ wₖ·table[xₖ]; "mean" divides it by how many slots hold no padding. PyTorch's layer of this
    name takes weights for "sum" alone; here both do, and a bag of nothing but padding gives 0 in both.

    Shapes: x (rows, slots) whole numbers, weights (rows, slots) or None for 1 → y (rows, features).

    Args:
        count: how many rows the table has; numbers go from 0 to count − 1.
        features: the length of a row.
        mode: "sum" or "mean".
        padding: the number that stands for an empty slot: it adds nothing, and its row learns nothing.
        init: initialiser of the table `weight` (count, features).
    """

    def __init__(
        self,
        count: int,
        features: int,
        mode: str = "sum",
        padding: int | None = None,
        init: str | Initializer | None = None,
    ) -> None:
        self.count = size("nn.EmbeddingBag", "count", count)
        self.features = size("nn.EmbeddingBag", "features", features)
        if mode not in ("sum", "mean"):
            raise ArgumentError(f"nn.EmbeddingBag: mode must be 'sum' or 'mean', found {mode!r}")
        if padding is not None and not (type(padding) is int and 0 <= padding < self.count):
            raise ArgumentError(
                f"nn.EmbeddingBag: padding must be None or a whole number from 0 to {self.count - 1}, found {padding!r}"
            )
        self.mode = mode
        self.padding = padding
        self.weight = Parameter((self.count, self.features), init or Normal(1.0))

    def __call__(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The weighted sum or mean of the table's rows number x."""
        if not x.dtype.is_integer or x.ndim != 2:
            raise KindError(
                f"nn.EmbeddingBag: needs whole numbers (rows, slots), found {x.type}; convert the input with "
                ".astype('int64'), and give each row as many slots"
            )
        if weights is not None and weights.shape != x.shape:
            raise ShapeError(
                f"nn.EmbeddingBag: needs a weight for each number, {format_shape(x.shape)}, "
                f"found {format_shape(weights.shape)}"
            )
        rows = f.take(self.weight, x)  # (rows, slots, features)
        filled = None if self.padding is None else x != self.padding
        if filled is not None:
            weights = filled.astype(rows.dtype) if weights is None else f.where(filled, weights, 0.0)
        total = f.sum(rows, axis=1) if weights is None else f.matmul(weights[:, None, :], rows)[:, 0, :]
        if self.mode == "sum":
            return total  # type: ignore[no-any-return]
        if filled is None:
            return total / count(rows, (1,))  # type: ignore[no-any-return]
        return total / f.maximum(f.sum(filled.astype(rows.dtype), axis=1, keepdims=True), 1.0)  # type: ignore[no-any-return]

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        words = [f"{self.count}, {self.features}", f"mode={self.mode!r}" * (self.mode != "sum")]
        words.append(f"padding={self.padding}" * (self.padding is not None))
        return ", ".join(filter(None, words))
