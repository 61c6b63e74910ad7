"""Activations: functions of one number, applied to every element."""

import math
from collections.abc import Callable

from fallline.errors import ArgumentError, nearest
from fallline.nn.module import Module
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor

SELU_SCALE = 1.0507009873554805  # λ and α of Klambauer et al. 2017, arXiv:1706.02515, eq. 14
SELU_ALPHA = 1.6732632423543772


class Activation(Module):
    """A module without parameters that maps each element."""

    def __init__(self) -> None:
        """Nothing to set up."""

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return ", ".join(f"{name}={value!r}" for name, value in vars(self).items())


class Identity(Activation):
    """y = x."""

    def __call__(self, x: Tensor) -> Tensor:
        return x


class ReLU(Activation):
    """y = max(0, x). Source: Nair & Hinton, ICML 2010."""

    def __call__(self, x: Tensor) -> Tensor:
        return f.relu(x)  # type: ignore[no-any-return]


class LeakyReLU(Activation):
    """y = x for x > 0, else slope·x. Source: Maas, Hannun & Ng, ICML 2013."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def __call__(self, x: Tensor) -> Tensor:
        return f.where(x > 0.0, x, x * self.slope)  # type: ignore[no-any-return]


class Tanh(Activation):
    """y = tanh x."""

    def __call__(self, x: Tensor) -> Tensor:
        return f.tanh(x)  # type: ignore[no-any-return]


class Sigmoid(Activation):
    """y = 1/(1 + e⁻ˣ)."""

    def __call__(self, x: Tensor) -> Tensor:
        return f.sigmoid(x)  # type: ignore[no-any-return]


class GELU(Activation):
    """y = x·Φ(x) = x/2·(1 + erf(x/√2)). Source: Hendrycks & Gimpel 2016, arXiv:1606.08415."""

    def __call__(self, x: Tensor) -> Tensor:
        return x * 0.5 * (f.erf(x * math.sqrt(0.5)) + 1.0)  # type: ignore[no-any-return]


class SiLU(Activation):
    """y = x·sigmoid(x), also called swish. Source: Elfwing, Uchibe & Doya 2017, arXiv:1702.03118."""

    def __call__(self, x: Tensor) -> Tensor:
        return x * f.sigmoid(x)  # type: ignore[no-any-return]


class SELU(Activation):
    """y = λx for x > 0, else λα(eˣ − 1). Source: Klambauer et al. 2017, arXiv:1706.02515."""

    def __call__(self, x: Tensor) -> Tensor:
        positive = x > 0.0
        # the exponential sees 0 where it is not used, so that it cannot overflow there and spoil the gradient
        negative = f.expm1(f.where(positive, 0.0, x)) * SELU_ALPHA
        return f.where(positive, x, negative) * SELU_SCALE  # type: ignore[no-any-return]


class Mish(Activation):
    """y = x·tanh(log(1 + eˣ)). Source: Misra 2019, arXiv:1908.08681."""

    def __call__(self, x: Tensor) -> Tensor:
        return x * f.tanh(f.softplus(x))  # type: ignore[no-any-return]


class Softplus(Activation):
    """y = log(1 + eˣ)."""

    def __call__(self, x: Tensor) -> Tensor:
        return f.softplus(x)  # type: ignore[no-any-return]


ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "gelu": GELU,
    "silu": SiLU,
    "selu": SELU,
    "mish": Mish,
    "softplus": Softplus,
    "identity": Identity,
}


def by_name(name: str) -> Module:
    """An activation by its name on the command line."""
    if name not in ACTIVATIONS:
        raise ArgumentError(f"no activation is named {name!r}: {nearest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]()
