"""What the members of a table's ensemble have of their own: signs and biases at the beginning, heads at the end."""

import math
from typing import Any

import numpy as np

from fallline import nn
from fallline.nn.init import Float64Array, Initializer, Normal
from fallline.nn.module import Parameter
from fallline.ops import functions as f
from fallline.ops import philox
from fallline.ops.tensor import Tensor


class Signs(Initializer):
    """−1 or 1, each as likely."""

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        return np.where(philox.uniform53(key, math.prod(shape)) < 0.5, -1.0, 1.0).reshape(shape)


class MemberScales(nn.Module):
    """h_m = s_m ⊙ x + b_m for each member m: s drawn ±1 and learned, as TabM's first adapter, and b normal.

    Shapes: x (rows, width) → (rows, members, width).

    Source: Gorishniy, Kotelnikov & Babenko 2025, arXiv:2410.24210, section 3.3, where s multiplies the inputs; here
    it multiplies what the first layer makes of them, so that this layer is computed once for all members.
    """

    def __init__(self, members: int, width: int) -> None:
        self.members, self.width = members, width
        self.scale = Parameter((members, width), Signs())
        self.bias = Parameter((members, width), Normal(0.5))

    def __call__(self, x: Tensor) -> Tensor:
        """Each member's view of x."""
        return x[:, None, :] * self.scale + self.bias

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.members}, {self.width}"


class MemberHeads(nn.Module):
    """o_m = h_m·H_m + c_m for each member m.

    Shapes: h (rows, members, width) → (rows, members, outputs); `weight` (members, width, outputs).
    """

    def __init__(self, members: int, width: int, outputs: int) -> None:
        self.members, self.width, self.outputs = members, width, outputs
        self.weight = Parameter((members, width, outputs), Normal(1.0 / math.sqrt(width)))
        self.bias = Parameter((members, 1, outputs), "zeros")

    def __call__(self, hidden: Tensor) -> Tensor:
        """Each member's outputs."""
        return (hidden.transpose(1, 0, 2) @ self.weight + self.bias).transpose(1, 0, 2)

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.members}, {self.width}, {self.outputs}"


def together(outputs: Tensor) -> Tensor:
    """Members' outputs (rows, members, outputs) as one, (rows, outputs).

    Of one output the mean; of logits the logarithm of the members' mean probability, whose softmax is that mean.
    """
    if outputs.shape[-1] == 1:
        return f.mean(outputs, axis=1)  # type: ignore[no-any-return]
    members: Any = outputs.shape[1]
    return f.logsumexp(f.log_softmax(outputs), axis=1) - math.log(members)  # type: ignore[no-any-return]
