"""Losses: how wrong the outputs are, one number per row, and their mean.

A loss is called with (outputs, targets), arrays or symbolic tensors, and returns the mean over rows.
`rows` gives the loss of each row, which sample weights multiply. Any plain function of (outputs,
targets) is a loss as well: it may return one number, or one per row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, KindError, ShapeError, nearest
from fallline.ir.types import format_shape
from fallline.nn.checks import as_floats
from fallline.nn.target_checks import finite, labels, numbers, same_shape, within
from fallline.ops import functions as f

Array = NDArray[Any]
LossLike = "str | Loss | Callable[[Any, Any], Any]"


class Loss:
    """A loss of outputs (rows, …) against targets.

    Attributes:
        name: as `fl.fit(loss=…)` and the command line spell it.
    """

    name = ""

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """The mean over rows of `rows(outputs, targets)`."""
        return f.mean(self.rows(outputs, targets))

    def rows(self, outputs: Any, targets: Any) -> Any:
        """The loss of each row, (rows,).

        Raises:
            ShapeError: outputs and targets do not fit together.
        """
        raise NotImplementedError

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        """Targets as an array of the kind this loss takes.

        Args:
            targets: what the user gave.
            dtype: the network's float dtype.
            outputs: shape of the network's outputs without the rows.

        Raises:
            ShapeError: (n, 1) against (n,), or any other disagreement of shapes.
            ArgumentError: a target is NaN, infinite or out of range.
        """
        array = as_floats(f"{self.name}: targets", numbers(self.name, targets), dtype)
        same_shape(self.name, ("n", *outputs), ("n", *array.shape[1:]))
        finite(self.name, array)
        return array

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class MeanSquaredError(Loss):
    """(1/k)·Σⱼ (oⱼ − tⱼ)² over the k outputs of a row."""

    name = "mse"

    def rows(self, outputs: Any, targets: Any) -> Any:
        same_shape(self.name, outputs.shape, targets.shape)
        error = outputs - targets
        return _row_mean(error * error)


class MeanAbsoluteError(Loss):
    """(1/k)·Σⱼ |oⱼ − tⱼ| over the k outputs of a row."""

    name = "mae"

    def rows(self, outputs: Any, targets: Any) -> Any:
        same_shape(self.name, outputs.shape, targets.shape)
        return _row_mean(f.absolute(outputs - targets))


class Huber(Loss):
    """½e² for |e| ≤ delta, else delta·(|e| − ½·delta), with e = o − t. Source: Huber 1964, Ann. Math. Statist. 35."""

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0.0:
            raise ArgumentError(f"huber: delta must be greater than 0, found {delta}")
        self.delta = delta

    def rows(self, outputs: Any, targets: Any) -> Any:
        same_shape(self.name, outputs.shape, targets.shape)
        size = f.absolute(outputs - targets)
        inner = f.minimum(size, self.delta)
        return _row_mean(inner * (size - inner * 0.5))


class BinaryCrossEntropy(Loss):
    """−t·log p − (1 − t)·log(1 − p) with p = sigmoid(o), from logits o: softplus(o) − t·o; targets in [0, 1]."""

    name = "binary_cross_entropy"

    def rows(self, outputs: Any, targets: Any) -> Any:
        same_shape(self.name, outputs.shape, targets.shape)
        return _row_mean(f.softplus(outputs) - outputs * targets)

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        array = super().check_targets(targets, dtype, outputs)
        within(self.name, array, 0.0, 1.0, "probabilities or labels from 0 to 1")
        return array


class CrossEntropy(Loss):
    """−Σⱼ tⱼ·log softmax(o)ⱼ, from logits o (rows, …, classes).

    Targets are whole numbers (rows, …), the true class of each row, or soft targets (rows, …, classes),
    a distribution over classes (one-hot rows are one). Rows with further axes (a text's positions) take
    the mean over them.

    Args:
        label_smoothing: share ε of the target that is spread evenly over all classes. Source: Szegedy
            et al. 2016, arXiv:1512.00567, section 7.
    """

    name = "cross_entropy"

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise ArgumentError(
                f"cross_entropy: label_smoothing must be at least 0 and less than 1, found {label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    def rows(self, outputs: Any, targets: Any) -> Any:
        if len(outputs.shape) < 2:
            raise ShapeError(
                f"cross_entropy: the logits must be (n, classes), found {format_shape(tuple(outputs.shape))}"
            )
        logarithms = f.log_softmax(outputs)  # (rows, …, classes)
        hard = len(targets.shape) == len(outputs.shape) - 1
        same_shape(self.name, outputs.shape[:-1] if hard else outputs.shape, targets.shape)
        if hard:
            picked = f.one_hot(targets, outputs.shape[-1]) > 0.0
            own = f.sum(f.where(picked, logarithms, 0.0), axis=-1)
        else:
            # a class of target 0 adds nothing, even where its logarithm is −∞
            own = f.sum(f.where(targets > 0.0, targets * logarithms, 0.0), axis=-1)
        smooth = self.label_smoothing
        if smooth:
            own = own * (1.0 - smooth) + f.mean(logarithms, axis=-1) * smooth
        return _row_mean(-own)

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        array = numbers(self.name, targets)
        if not outputs:
            raise ShapeError("cross_entropy: the network must give logits (n, classes), found one number per row")
        if array.shape[1:] == tuple(outputs):
            within(self.name, array, 0.0, 1.0, "shares from 0 to 1 of each class")
            return array.astype(dtype)
        return labels(self.name, array, outputs)


class Poisson(Loss):
    """eᵒ − t·o: the negative log-likelihood of counts t with log rate o, without the constant log t!."""

    name = "poisson"

    def rows(self, outputs: Any, targets: Any) -> Any:
        same_shape(self.name, outputs.shape, targets.shape)
        return _row_mean(f.exp(outputs) - targets * outputs)

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        array = super().check_targets(targets, dtype, outputs)
        within(self.name, array, 0.0, float("inf"), "counts of 0 or more")
        return array


class Hinge(Loss):
    """max(0, 1 − t·o) with targets −1 and 1; or, of several classes, max(0, 1 + maxⱼ≠ₜ oⱼ − oₜ).

    Targets −1 and 1 have the outputs' shape; with whole numbers (n,), outputs are logits (n, classes).
    Source: Crammer & Singer 2001, JMLR 2, 265–292.
    """

    name = "hinge"

    def rows(self, outputs: Any, targets: Any) -> Any:
        if len(targets.shape) == len(outputs.shape) - 1 and outputs.shape[-1] != 1:
            picked = f.one_hot(targets, outputs.shape[-1]) > 0.0
            own = f.sum(f.where(picked, outputs, 0.0), axis=-1)
            rival = f.max(f.where(picked, -np.inf, outputs), axis=-1)
            return _row_mean(f.relu(rival - own + 1.0))
        same_shape(self.name, outputs.shape, targets.shape)
        return _row_mean(f.relu(1.0 - targets * outputs))

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        array = numbers(self.name, targets)
        if outputs and outputs[-1] != 1 and array.ndim == len(outputs):
            return labels(self.name, array, outputs)
        same_shape(self.name, ("n", *outputs), ("n", *array.shape[1:]))
        if not np.isin(array, (-1, 1)).all():
            found = array[~np.isin(array, (-1, 1))][0]
            raise ArgumentError(f"hinge: targets must be −1 or 1, found {found}; map labels 0 and 1 with 2*y - 1")
        return array.astype(dtype)


class FunctionLoss(Loss):
    """A user's own function of (outputs, targets), which returns one number or one per row."""

    name = "own loss"

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function

    def __call__(self, outputs: Any, targets: Any) -> Any:
        value = self.function(outputs, targets)
        return f.mean(value) if len(value.shape) else value

    def rows(self, outputs: Any, targets: Any) -> Any:
        return self.function(outputs, targets)

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        array = numbers(self.name, targets)
        return as_floats("own loss: targets", array, dtype) if array.dtype.kind == "f" else array.astype(np.int64)

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))


class Ensemble(Loss):
    """The mean over an ensemble's members of each one's own loss.

    In training outputs are (rows, members, …), one set for each member; in prediction (rows, …), those of all
    together, which are judged by the loss itself, without smoothing.

    Args:
        loss: "mse", or "cross_entropy" of whole-number targets (rows,).
        label_smoothing: as in `CrossEntropy`.
    """

    name = "ensemble"

    def __init__(self, loss: str = "mse", label_smoothing: float = 0.0) -> None:
        if loss not in ("mse", "cross_entropy"):
            raise ArgumentError(f"ensemble: loss must be 'mse' or 'cross_entropy', found {loss!r}")
        CrossEntropy(label_smoothing)  # refuses what is no share
        self.loss, self.label_smoothing = loss, label_smoothing

    def rows(self, outputs: Any, targets: Any) -> Any:
        hard = self.loss == "cross_entropy"
        if len(outputs.shape) == len(targets.shape) + hard:
            return get(self.loss).rows(outputs, targets)
        own = CrossEntropy(self.label_smoothing) if hard else get(self.loss)
        members = (targets.shape[0], outputs.shape[1], *targets.shape[1:])
        return own.rows(outputs, f.broadcast(targets[:, None], members))

    def check_targets(self, targets: Any, dtype: str, outputs: tuple[Any, ...]) -> Array:
        return get(self.loss).check_targets(targets, dtype, outputs)


LOSSES: dict[str, Callable[..., Loss]] = {
    loss.name: loss
    for loss in (MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy, CrossEntropy, Poisson, Hinge, Ensemble)
}


def config(loss: Loss) -> dict[str, Any] | None:
    """A loss as JSON can hold it; `from_config` makes it again. None for one that is not of this file."""
    if type(loss) is not LOSSES.get(loss.name):
        return None
    return {"name": loss.name, **vars(loss)}


def from_config(stored: dict[str, Any]) -> Loss:
    """The loss that `config` describes."""
    return LOSSES[stored["name"]](**{key: value for key, value in stored.items() if key != "name"})


def get(loss: Any) -> Loss:
    """A loss by name, as an object, or made of a plain function of (outputs, targets).

    Raises:
        ArgumentError: no loss has that name.
        KindError: it is none of these.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ArgumentError(f"no loss is named {loss!r}: {nearest(loss, LOSSES)}")
        return LOSSES[loss]()
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if callable(loss):
        return FunctionLoss(loss)
    raise KindError(f"a loss must be a name, a loss object or a function of (outputs, targets), found {loss!r}")


def _row_mean(values: Any) -> Any:
    """The mean over all axes but the first."""
    axes = tuple(range(1, len(values.shape)))
    return f.mean(values, axis=axes) if axes else values
