"""Names of data and weights: BLAKE2b over their names, dtypes, shapes and bytes, in logical order."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BYTES = 16


def data_hash(*arrays: Array | None) -> str:
    """BLAKE2b over shapes, dtypes and bytes: the name of these data."""
    found = hashlib.blake2b(digest_size=BYTES)
    for array in arrays:
        if array is not None:
            _take(found, array)
    return found.hexdigest()


def digest(arrays: Mapping[str, Array], text: str = "") -> str:
    """BLAKE2b over named arrays, in the order of their names, and a text."""
    found = hashlib.blake2b(digest_size=BYTES)
    for name in sorted(arrays):
        found.update(f"{name}\n".encode())
        _take(found, arrays[name])
    found.update(text.encode())
    return found.hexdigest()


class LossesHash:
    """The name of all losses of a training's steps, which grows with them."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=BYTES)

    def take(self, losses: Any) -> None:
        """The losses of the next steps."""
        self._hash.update(np.asarray(losses, dtype="<f8").tobytes())

    @property
    def name(self) -> str:
        """Of those that were taken so far."""
        return self._hash.hexdigest()


def weights_hash(values: Mapping[str, Array]) -> str:
    """The name of a state of the network: all weights and buffers, by dotted name."""
    return digest(values)


def _take(found: Any, array: Array) -> None:
    found.update(f"{array.dtype.str}{array.shape}".encode())
    found.update(np.ascontiguousarray(array).data)
