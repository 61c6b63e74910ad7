"""The reference engine: a walk over the graph that computes every node with NumPy.

It is slow and plain on purpose: the oracle of the tests (in float64), and what trains until the
compiler takes over. Its sums follow NumPy's and BLAS's order, so its bits are those of this machine.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, ShapeError
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Elementwise
from fallline.ir.types import SymbolicDim, bind, format_shape

Array = NDArray[Any]
Step = tuple[Callable[..., Any], tuple[int, ...], int, tuple[int, ...]]
"""(function of the arguments, slots of the arguments, slot of the result, slots that nothing needs afterwards)"""


class ReferenceProgram:
    """A graph made ready for one number of rows.

    Args:
        graph: what to compute.
        sizes: the value of each symbolic dimension, for example {"n": 32}.
        shards: into how many fixed slices every sum over the rows is cut; the partial sums are added
            in a fixed binary tree. 1 leaves the sum whole. Another number means other bits.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], shards: int = 1) -> None:
        nodes = graph.nodes()
        self.nodes = nodes
        self._sizes = dict(sizes)
        slot = {id(node): number for number, node in enumerate(nodes)}
        self._outputs = {name: slot[id(node)] for name, node in graph.outputs.items()}
        self._inputs = {name: slot[id(node)] for name, node in graph.inputs.items() if id(node) in slot}
        self._initial: list[Any] = [None] * len(nodes)
        self._steps: list[Step] = []
        last_use = {slot[id(parent)]: number for number, node in enumerate(nodes) for parent in node.inputs}
        users: list[list[Node]] = [[] for _ in nodes]
        for node in nodes:
            for parent in node.inputs:
                users[slot[id(parent)]].append(node)
        kept = set(self._outputs.values()) | set(self._inputs.values())
        for number, node in enumerate(nodes):
            if node.op.name == "input":
                continue
            attributes = {key: bind(value, sizes) for key, value in node.attributes.items()}
            arguments = tuple(slot[id(parent)] for parent in node.inputs)
            known = [self._initial[a] for a in arguments]
            if all(value is not None for value in known):  # a constant, or made of constants alone: computed once
                with np.errstate(all="ignore"):
                    self._initial[number] = np.asarray(node.op.reference(*known, **attributes))
                kept.add(number)
                continue
            call = (_sharded(node, sizes, shards) if shards > 1 else None) or node.op.reference
            if node.op.name == "broadcast" and number not in kept and _stretches_by_itself(users[number]):
                call, attributes = _unchanged, {}
            free = tuple({a for a in arguments if last_use[a] == number and a not in kept})
            self._steps.append((partial(call, **attributes) if attributes else call, arguments, number, free))
        constants = {number for number, value in enumerate(self._initial) if value is not None}
        self._given = constants | set(self._inputs.values())

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs. NaN and infinity are values here, not warnings."""
        values = self._load(inputs)
        with np.errstate(all="ignore"):
            for function, arguments, number, free in self._steps:
                values[number] = function(*[values[a] for a in arguments])
                for a in free:
                    values[a] = None
        return {name: _owned(values[number], number in self._given) for name, number in self._outputs.items()}

    def trace(self, inputs: Mapping[str, Array]) -> list[tuple[Node, Array]]:
        """Every node with its value, in the order of computation: for looking inside."""
        values = self._load(inputs)
        with np.errstate(all="ignore"):
            for function, arguments, number, _ in self._steps:
                values[number] = function(*[values[a] for a in arguments])
        return [(node, self._whole(node, value)) for node, value in zip(self.nodes, values, strict=True)]

    def _whole(self, node: Node, value: Any) -> Array:
        """A node's value in its own shape, also where its users were left to stretch it."""
        return np.broadcast_to(value, bind(node.type.shape, self._sizes))

    def _load(self, inputs: Mapping[str, Array]) -> list[Any]:
        values = self._initial.copy()
        for name, number in self._inputs.items():
            if name not in inputs:
                raise ArgumentError(f"the program needs the input {name!r}; given were {', '.join(inputs) or 'none'}")
            values[number] = inputs[name]
        return values


def _unchanged(value: Any) -> Any:
    return value


def _stretches_by_itself(users: Sequence[Node]) -> bool:
    """Whether NumPy's own broadcasting in every user makes a broadcast node's copy needless: the same bits, sooner."""
    return bool(users) and all(
        isinstance(user.op.kernel, Elementwise)
        and any(parent.op.name != "broadcast" and parent.type.shape == user.type.shape for parent in user.inputs)
        for user in users
    )


def _owned(value: Any, given: bool) -> Array:
    """An output that its receiver may change: no view of an input, of a constant or of another value."""
    array = np.asarray(value)
    return array if array.flags.owndata and array.flags.writeable and not given else array.copy()


def _sharded(node: Node, sizes: Mapping[str, int], shards: int) -> Callable[..., Any] | None:
    """A call that sums over rows shard by shard, or None when the node sums over no rows."""
    axes = row_axes(node)
    if axes is None:
        return None
    rows = next(iter(sizes.values()))
    edges = [s * rows // shards for s in range(shards + 1)]
    reference = node.op.reference

    def call(*arrays: Array, **attributes: Any) -> Any:
        parts: list[Any] = []
        for start, stop in pairwise(edges):
            if start == stop:
                parts.append(None)
                continue
            cut = [
                array if axis is None else _slice_rows(array, axis, start, stop, rows)
                for array, axis in zip(arrays, axes, strict=True)
            ]
            parts.append(reference(*cut, **attributes))
        return tree_add(parts)

    return call


def _slice_rows(array: Array, axis: int, start: int, stop: int, rows: int) -> Array:
    factor = array.shape[axis] // rows
    index = [slice(None)] * array.ndim
    index[axis] = slice(start * factor, stop * factor)
    return array[tuple(index)]


def row_axes(node: Node) -> list[int | None] | None:
    """For a node that sums over the rows of a batch: the axis of rows of each input; else None."""

    def symbolic(shape: Sequence[Any]) -> int | None:
        return next((i for i, dim in enumerate(shape) if isinstance(dim, SymbolicDim)), None)

    shapes = [parent.type.shape for parent in node.inputs]
    if node.op.name == "sum" and (axis := symbolic(shapes[0])) in node.attributes["axes"]:
        return [axis]
    if node.op.name == "matmul" and isinstance(shapes[0][-1], SymbolicDim):
        return [len(shapes[0]) - 1, len(shapes[1]) - 2]
    if node.op.name == "scatter_add" and (axis := symbolic(shapes[1])) is not None:
        return [axis, axis]
    return None


def tree_add(parts: Sequence[Any], add: Callable[[Any, Any], Any] = operator.add) -> Any:
    """The sum of the parts by pairs of neighbours, pairs of pairs, …; an odd one out waits its turn.

    The tree is one of places: a part that is None (a shard without rows) is skipped, and the others keep theirs.
    """
    while len(parts) > 1:
        paired = [
            b if a is None else a if b is None else add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = paired + ([parts[-1]] if len(parts) % 2 else [])
    return parts[0]


def run(graph: Graph, inputs: Mapping[str, Any], shards: int = 1) -> dict[str, Array]:
    """Compute a graph once: cast the inputs to the graph's types, bind its sizes, walk."""
    arrays = {
        name: np.asarray(inputs[name], dtype=node.type.dtype.value)
        for name, node in graph.inputs.items()
        if name in inputs
    }
    return ReferenceProgram(graph, bind_sizes(graph, arrays), shards)(arrays)


def bind_sizes(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, int]:
    """The symbolic sizes that the given arrays imply.

    Raises:
        ShapeError: an array's shape contradicts its declared one, or two arrays disagree about a size.
    """
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        declared = graph.inputs[name].type.shape
        wrong = len(declared) != array.ndim
        for dim, found in zip(declared, array.shape, strict=False):
            size = sizes.setdefault(dim.name, found // dim.factor) * dim.factor if isinstance(dim, SymbolicDim) else dim
            wrong |= size != found
        if wrong:
            needed = format_shape(bind(declared, sizes) if len(declared) == array.ndim else declared)
            raise ShapeError(f"input {name!r}: need shape {needed}, found {format_shape(array.shape)}")
    return sizes
