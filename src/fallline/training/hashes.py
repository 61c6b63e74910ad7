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


def weights_hash(values: Mapping[str, Array]) -> str:
    """The name of a state of the network: all weights and buffers, by dotted name."""
    return digest(values)


def _take(found: Any, array: Array) -> None:
    found.update(f"{array.dtype.str}{array.shape}".encode())
    found.update(np.ascontiguousarray(array).data)
