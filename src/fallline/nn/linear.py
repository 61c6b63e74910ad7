"""The affine layer."""

from fallline.errors import ShapeError
from fallline.ir.types import format_shape
from fallline.nn.checks import size
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
        self.in_features = size("nn.Linear", "in_features", in_features)
        self.out_features = size("nn.Linear", "out_features", out_features)
        self.weight = Parameter((self.in_features, self.out_features), init)
        self.bias = Parameter((self.out_features,), "zeros") if bias else None

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
