"""Class weights: a weight for each row from its class, times the row's own."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import computed, counted
from fallline.errors import ArgumentError, KindError
from fallline.nn.checks import as_array
from fallline.training.step import check_weight

Array = NDArray[Any]


def row_weights(sample_weight: Any, class_weight: Any, y: Any) -> Any:
    """Sample weights times the weight of each row's class; `sample_weight` itself without class weights.

    Args:
        sample_weight: (rows,) or None.
        class_weight: {class: weight} (1 for classes not named), "balanced" (n / (classes × rows of the
            class)), or None.
        y: whole-number labels (rows,) or (rows, 1).

    Raises:
        ArgumentError: y holds no labels, a class is unknown, or a weight is negative, NaN or infinite.
        KindError: class_weight or one of its weights is of the wrong kind.
    """
    if class_weight is None:
        return sample_weight
    labels = as_array("fit: y", y)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim != 1 or (labels.dtype.kind == "f" and not np.array_equal(labels, np.floor(labels))):
        raise ArgumentError(
            f"fit: class_weight needs one whole-number label per row, found y of {labels.dtype}, shape {labels.shape}"
        )
    classes, counts = counted(labels)
    if isinstance(class_weight, str) and class_weight == "balanced":
        per_class = len(labels) / (len(classes) * counts)
    elif isinstance(class_weight, Mapping):
        per_class = _given(class_weight, classes.tolist())
    else:
        raise KindError(f"fit: class_weight must be 'balanced' or {{class: weight}}, found {class_weight!r}")
    weight = computed(
        len(labels), np.float64, lambda part: per_class[np.searchsorted(classes, labels[part])]
    )  # (rows,)
    return weight if sample_weight is None else weight * check_weight(sample_weight, len(labels), "float64", "fit")


def _given(class_weight: Mapping[Any, Any], classes: list[Any]) -> Array:
    for key, value in class_weight.items():
        if key not in classes:
            raise ArgumentError(
                f"fit: class_weight names class {key!r}, which no row has; the labels are {classes[:20]}"
            )
        if isinstance(value, bool) or not isinstance(value, Real):
            raise KindError(f"fit: class_weight of class {key!r} must be a number, found {value!r}")
        if not 0.0 <= float(value) < math.inf:
            raise ArgumentError(f"fit: class_weight of class {key!r} must be finite and 0 or more, found {value!r}")
    return np.array([float(class_weight.get(label, 1.0)) for label in classes])
