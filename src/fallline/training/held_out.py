"""The rows that a network is validated on, set aside by a seed, and the names of both parts."""

from typing import Any

import numpy as np

from fallline.data.batches import permutation
from fallline.errors import ArgumentError
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.training.hashes import data_hash
from fallline.training.step import Rows, check_rows


def split(net: Module, rows: Rows, validation: Any, loss: Loss, dtype: str, seed: int) -> tuple[Rows, Rows | None]:
    """(rows to train on, rows to validate on)."""
    if validation is None:
        return rows, None
    if isinstance(validation, tuple | list) and len(validation) in (2, 3):
        weight = validation[2] if len(validation) == 3 else None
        return rows, check_rows(net, validation[0], validation[1], loss, weight, dtype, "fit: validation")
    if isinstance(validation, bool) or not isinstance(validation, float | int) or not 0.0 < validation < 1.0:
        size = f" of {len(validation)}" if isinstance(validation, tuple | list | np.ndarray) else ""
        found = f"a {type(validation).__name__}{size}" if size else repr(validation)
        raise ArgumentError(f"fit: validation must be a fraction between 0 and 1, or (x, y); found {found}")
    count = max(1, round(len(rows) * validation))
    if count >= len(rows):
        raise ArgumentError(f"fit: validation={validation} leaves no row of {len(rows)} to train on")
    order = permutation(len(rows), seed, "validation")
    return rows.take(np.sort(order[count:])), rows.take(np.sort(order[:count]))


def data_names(rows: Rows, held_out: Rows | None, stored: bool = True) -> dict[str, Any]:
    """Hashes of the rows to train on and of those to validate on; None where nobody will store them."""
    parts = {"data_hash": rows, "validation_hash": held_out}
    return {
        name: data_hash(part.x, part.y, part.weight) if stored and part is not None else None
        for name, part in parts.items()
    }
