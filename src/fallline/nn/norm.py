"""Normalisation: of a batch, of a row."""

from fallline.errors import ArgumentError, ShapeError
from fallline.ir.types import format_shape
from fallline.nn.checks import size
from fallline.nn.module import Buffer, Module, Parameter
from fallline.nn.trace import assign, held
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor, count


def _check_eps(layer: str, eps: float) -> float:
    if not eps > 0.0:
        raise ArgumentError(f"{layer}: eps must be greater than 0, found {eps}")
    return eps


def _check_input(layer: str, features: int, x: Tensor) -> None:
    if x.ndim < 2 or x.shape[-1] != features:
        raise ShapeError(f"{layer}({features}): the input must be (rows, …, {features}), found {format_shape(x.shape)}")


class BatchNorm(Module):
    """y = (x − μ)/√(σ² + ε)·weight + bias, with μ and σ² of each feature over the batch.

    In training μ and σ² (divisor n) are the batch's, and running ones are kept:
    running ← (1 − momentum)·running + momentum·batch, the variance with divisor n − 1 (1 for a single
    row, where PyTorch refuses). In prediction the running ones are used.
    Features are the last axis; all other axes count as rows.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1.
    """

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        features = size("nn.BatchNorm", "features", features)
        if not 0.0 < momentum <= 1.0:
            raise ArgumentError(f"nn.BatchNorm: momentum must be greater than 0 and at most 1, found {momentum}")
        self.features, self.momentum, self.eps = features, momentum, _check_eps("nn.BatchNorm", eps)
        self.weight = Parameter((features,), "ones")
        self.bias = Parameter((features,), "zeros")
        self.running_mean = Buffer([0.0] * features)
        self.running_variance = Buffer([1.0] * features)

    def __call__(self, x: Tensor) -> Tensor:
        """x normalised per feature."""
        _check_input("nn.BatchNorm", self.features, x)
        mean, variance = (self._batch(x)) if self.training else (self.running_mean, self.running_variance)
        return (x - mean) / f.sqrt(variance + self.eps) * self.weight + self.bias  # type: ignore[no-any-return]

    def _batch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = tuple(range(x.ndim - 1))
        rows = count(x, axes)
        mean = x.sum(axes) / rows  # (features,)
        centred = x - mean
        squares = (centred * centred).sum(axes)  # (features,)
        unbiased = squares / f.maximum(rows - 1.0, 1.0)
        keep = 1.0 - self.momentum
        for running, batch in ((self.running_mean, mean), (self.running_variance, unbiased)):
            assign(running, held(running) * keep + f.stop_gradient(batch) * self.momentum)
        return mean, squares / rows

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return str(self.features)


class LayerNorm(Module):
    """y = (x − μ)/√(σ² + ε)·weight + bias, with μ and σ² of each row over its last axis.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 4.
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        features = size("nn.LayerNorm", "features", features)
        self.features, self.eps = features, _check_eps("nn.LayerNorm", eps)
        self.weight = Parameter((features,), "ones")
        self.bias = Parameter((features,), "zeros")

    def __call__(self, x: Tensor) -> Tensor:
        """x normalised per row."""
        _check_input("nn.LayerNorm", self.features, x)
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred / f.sqrt(variance + self.eps) * self.weight + self.bias  # type: ignore[no-any-return]

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return str(self.features)
