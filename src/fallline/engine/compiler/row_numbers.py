"""Row numbers of `take` and `scatter_add`, which native code does not check: what must be known of them beforehand."""

import numpy as np

from fallline.engine.compiler.index import VIEWS, base_of
from fallline.errors import CompileError
from fallline.ir.graph import Graph, Node
from fallline.ir.types import DType
from fallline.ops.indexing import check_indices


def checked_inputs(graph: Graph, nodes: list[Node]) -> list[tuple[str, int]]:
    """(input, rows) of each input whose numbers must be from 0 to rows − 1 before a call.

    Raises:
        ArgumentError: a constant is out of range.
        CompileError: the network computes row numbers that might be out of range.
    """
    names = {id(node): name for name, node in graph.inputs.items()}
    found: list[tuple[str, int]] = []
    for node in nodes:
        if node.op.name not in ("take", "scatter_add"):
            continue
        base = base_of(node.inputs[1])
        rows = int((node.inputs[0] if node.op.name == "take" else node).type.shape[0])  # type: ignore[arg-type]
        if base.op.name == "constant":
            check_indices(np.asarray(base.attributes["value"]), rows, node.op.name)
        elif id(base) in names:
            found.append((names[id(base)], rows))
        elif not _held_within(base, rows):
            raise CompileError(
                "row numbers that the network computes itself cannot be checked in native code; "
                "hold them in range: fl.clip(x, 0, rows - 1).astype('int64')"
            )
    return list(dict.fromkeys(found))


def _held_within(node: Node, rows: int) -> bool:
    """Whether a node is min(max(x, low), high), as int64, with 0 ≤ low and high < rows; NaN becomes 0."""
    while node.op.name in VIEWS or (node.op.name == "cast" and node.attributes["dtype"] == DType.INT64):
        node = node.inputs[0]
    high = _constant(node.inputs[1]) if node.op.name == "minimum" else None
    if high is None or not 0 <= high < rows:
        return False
    inner = base_of(node.inputs[0])
    low = _constant(inner.inputs[1]) if inner.op.name == "maximum" else None
    return low is not None and low >= 0


def _constant(node: Node) -> float | None:
    base = base_of(node)
    value = base.attributes["value"] if base.op.name == "constant" else None
    return float(value) if value is not None and np.ndim(value) == 0 else None
