"""The parameters of the multilayer perceptrons: their ranges, as scikit-learn's validation reads them."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fallline.errors import ArgumentError
from fallline.nn.activations import ACTIVATIONS
from fallline.nn.losses import Loss
from fallline.sklearn.losses import REGRESSION

HIDDEN = {"logistic", *ACTIVATIONS}
"""Activations of hidden layers: scikit-learn's names and Fallline's."""

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(HIDDEN), "array-like"],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "monitor": [StrOptions({"score", "loss"})],
    "callbacks": [callable, list, tuple, None],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "threads": [Interval(Integral, 1, None, closed="left"), None],
}
CLASSIFIER: dict[str, list[Any]] = {
    **CONSTRAINTS,
    "loss": [StrOptions({"log_loss"}), callable, Loss],
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
}
REGRESSOR: dict[str, list[Any]] = {
    **CONSTRAINTS,
    "loss": [StrOptions({"squared_error", "poisson", *REGRESSION}), callable, Loss],
}


def hidden_widths(sizes: Any) -> tuple[int, ...]:
    """`hidden_layer_sizes` as whole numbers.

    Raises:
        ValueError: one of them is not greater than 0.
    """
    found = list(np.atleast_1d(sizes)) if np.ndim(sizes) == 0 else list(sizes)
    if any(not isinstance(size, Integral) or size <= 0 for size in found):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {[_plain(size) for size in found]}.")
    return tuple(int(size) for size in found)


def hidden_activations(activation: Any, layers: int) -> tuple[str, ...]:
    """`activation` for each hidden layer.

    Raises:
        ArgumentError: there are more or fewer names than layers, or one is unknown.
    """
    if isinstance(activation, str):
        return (activation,) * layers
    return tuple(map(str, _each("activation", activation, layers, HIDDEN.__contains__, f"one of {sorted(HIDDEN)}")))


def hidden_dropout(dropout: Any, layers: int) -> tuple[float, ...]:
    """`dropout` for each hidden layer.

    Raises:
        ArgumentError: there are more or fewer numbers than layers, or one is not in [0, 1).
    """
    if np.ndim(dropout) == 0:
        return (float(dropout),) * layers
    return tuple(map(float, _each("dropout", dropout, layers, lambda p: 0.0 <= p < 1.0, "at least 0 and less than 1")))


def _each(name: str, values: Any, layers: int, fits: Any, needed: str) -> list[Any]:
    found = list(values)
    if len(found) != layers:
        raise ArgumentError(
            f"{name} must have one entry for each hidden layer: there are {layers}, found {len(found)}: {found!r}"
        )
    for number, value in enumerate(found):
        if not fits(value):
            raise ArgumentError(f"{name} of hidden layer {number} must be {needed}, found {value!r}")
    return found


def _plain(size: Any) -> Any:
    return size.item() if hasattr(size, "item") else size
