"""The affine layer."""

from fallline.errors import ArgumentError, ShapeError
from fallline.ir.types import format_shape
from fallline.nn.init import Initializer
from fallline.nn.module import Module, Parameter
from fallline.ops.tensor import Tensor


class Linear(Module):
    """y = x·W + b.

    Shapes: x (rows, …, in_features) → y (rows, …, out_features); `weight` (in_features, out_features),
    `bias` (out_features,).

    Args:
        in_features: size of the last axis of x.
        out_features: size of the last axis of y.
        bias: whether to add b.
        init: initialiser of the weight; the bias starts at 0.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, init: str | Initializer = "glorot_uniform"
    ) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"nn.Linear: {name} must be a whole number of at least 1, found {value!r}")
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter((in_features, out_features), init)
        self.bias = Parameter((out_features,), "zeros") if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """x·W + b."""
        if not x.shape or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"nn.Linear({self.in_features}, {self.out_features}): the input's last axis must be "
                f"{self.in_features}, found shape {format_shape(x.shape)}"
            )
        product = x @ self.weight  # (rows, …, out)
        return product if self.bias is None else product + self.bias

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")
