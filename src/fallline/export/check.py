"""Does the ONNX model give what the network gives? onnxruntime is asked before anything is written."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, GraphError
from fallline.export.writer import require

Array = NDArray[Any]
MOST = 1e-5
"""The largest difference that is let pass, of values relative to their size."""


class Difference(NamedTuple):
    """The largest difference of two outputs: in which of them, how large, and in which row (from 0)."""

    output: str
    size: float
    row: int


class Runner:
    """An ONNX model in onnxruntime, on one thread of the processor."""

    def __init__(self, model: bytes) -> None:
        runtime = require("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: its warnings are about speed
        try:
            self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes are not public
            raise GraphError(f"export_onnx: onnxruntime cannot open the model: {error}") from None
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name."""
        try:
            found = self._session.run(self.outputs, dict(feeds))
        except Exception as error:
            raise GraphError(f"export_onnx: onnxruntime cannot run the model: {error}") from None
        return dict(zip(self.outputs, found, strict=True))


def largest_difference(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> Difference:
    """The largest of |a − b| / max(|a|, mean |a|) over all values; infinite where shapes or finiteness differ.

    The mean is that of the output's finite values: near 0 a value has the digits of those around it. Labels differ
    infinitely or not at all.
    """
    found = Difference("", 0.0, 0)
    for name, a in ours.items():
        b = theirs[name]
        if a.shape != b.shape:
            return Difference(name, np.inf, 0)
        size = _relative(a, b).max(axis=tuple(range(1, a.ndim)), initial=0.0)
        row = int(np.argmax(size)) if len(size) else 0
        if len(size) and not size[row] <= found.size:
            found = Difference(name, float(size[row]), row)
    return found


def _relative(a: Array, b: Array) -> NDArray[np.float64]:
    if a.dtype.kind != "f":
        return np.where(np.asarray(a == b), 0.0, np.inf)
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a)
    scale = np.abs(a[finite]).mean() if finite.any() else 0.0
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        size = np.abs(a - b) / np.maximum(np.abs(a), scale)
    return np.where(same, 0.0, np.where(finite & np.isfinite(b), size, np.inf))


def require_equal(found: Difference, rows: int) -> None:
    """Refuse a model whose outputs are not the network's.

    Raises:
        ArgumentError: the difference is too large.
    """
    if found.size <= MOST:
        return
    raise ArgumentError(
        f"export_onnx: in onnxruntime the output {found.output!r} differs from the network's by {found.size:.2g} of "
        f"its size (row {found.row % rows + 1} of {rows}), and at most {MOST:g} is allowed, so no file was written. "
        "The network enlarges rounding, by very large weights, for example: train it on normalised inputs, or give "
        "rows as they will come with sample=…"
    )
