"""X as the programs take it: dense rows; sparse ones are made dense, whole for training and in parts for prediction."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fallline.engine.memory import available_memory, in_units
from fallline.errors import ArgumentError

Array = NDArray[Any]


def as_rows(X: Any, dtype: str) -> Array:
    """X as a dense array of a dtype, rows contiguous. The memory needed is rows × features × 4 or 8 bytes.

    Raises:
        ArgumentError: X is sparse, and the dense array would not fit into the memory that is available.
    """
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and the training says so
        if not scipy.sparse.issparse(X):
            return np.ascontiguousarray(X, dtype=dtype)
        needed, available = X.shape[0] * X.shape[1] * np.dtype(dtype).itemsize, available_memory()
        if available is not None and needed > available:
            raise ArgumentError(
                f"training needs the sparse X of shape {X.shape} as a dense array of {in_units(needed)}, but "
                f"{in_units(available)} are available; train on parts of the rows with partial_fit, or reduce the "
                "features first (sklearn.decomposition.TruncatedSVD)"
            )
        return np.ascontiguousarray(X.astype(dtype).toarray())


def parts(X: Any, dtype: str, rows: int) -> Iterator[Array]:
    """X as dense arrays of at most so many rows."""
    if scipy.sparse.issparse(X):
        X = X.tocsr()
    for start in range(0, max(X.shape[0], 1), rows):
        yield as_rows(X[start : start + rows], dtype)
