"""Where an element is read: one index per axis, each a multiple of a loop's variable plus a constant.

Views (broadcast, transpose, slice, and reshapes that only add or drop axes of size 1) never compute anything: an
element of a view is an element of what it views, at other indices. `push` finds these.
"""

from dataclasses import dataclass
from functools import lru_cache

from fallline.ir.graph import Node
from fallline.ir.types import Shape

VIEWS = ("broadcast", "transpose", "slice", "reshape")
COLUMN = "c"


@dataclass(frozen=True, slots=True)
class Index:
    """scale·token + offset, where the token names a loop variable; without a token, the constant offset."""

    token: str = ""
    scale: int = 1
    offset: int = 0


Indices = tuple[Index, ...]
ZERO = Index()


def row_index(axis: int) -> Index:
    """The loop variable of one of the axes of rows."""
    return Index(f"r{axis}")


@lru_cache(maxsize=4096)
def own_indices(shape: Shape, row_axes: int, column: Index | None = None) -> Indices:
    """An element of a tensor of this shape, whose first axes are rows and of whose others one is more than 1 long."""
    column = Index(COLUMN) if column is None else column
    rest = tuple(ZERO if size == 1 else column for size in shape[row_axes:])
    return tuple(row_index(axis) for axis in range(row_axes)) + rest


def push(node: Node, indices: Indices) -> Indices | None:
    """The indices into a view's input; None where a reshape moves elements between axes."""
    source = node.inputs[0].type.shape
    name, attributes = node.op.name, node.attributes
    if name == "broadcast":
        own = indices[len(indices) - len(source) :]
        return tuple(ZERO if size == 1 else index for size, index in zip(source, own, strict=True))
    if name == "transpose":
        places = dict(zip(attributes["axes"], indices, strict=True))
        return tuple(places[axis] for axis in range(len(source)))
    if name == "slice":
        cut = zip(indices, attributes["starts"], attributes["steps"], strict=True)
        return tuple(Index(index.token, index.scale * step, index.offset * step + start) for index, start, step in cut)
    return _push_reshape(source, node.type.shape, indices)


def _push_reshape(source: Shape, shape: Shape, indices: Indices) -> Indices | None:
    kept = [index for size, index in zip(shape, indices, strict=True) if size != 1]
    if [size for size in source if size != 1] != [size for size in shape if size != 1]:
        return None
    following = iter(kept)
    return tuple(ZERO if size == 1 else next(following) for size in source)


def base_of(node: Node, stored_views: frozenset[int] | set[int] = frozenset()) -> Node:
    """What a chain of views looks at."""
    while node.op.name in VIEWS and id(node) not in stored_views:
        node = node.inputs[0]
    return node


def reshaped_strides(shape: Shape, strides: tuple[int, ...], wanted: Shape) -> tuple[int, ...] | None:
    """Strides under another shape over the same elements in the same order, or None where no strides do it."""
    old = [(int(n), s) for n, s in zip(shape, strides, strict=True) if n != 1]  # type: ignore[arg-type]
    result: list[int] = []
    place = 0
    left, stride = 1, 0
    for size in reversed(wanted):
        size = int(size)  # type: ignore[arg-type]
        if size == 1:
            result.append(0)
            continue
        if left == 1:
            if place == len(old):
                return None
            left, stride = old[len(old) - 1 - place]
            place += 1
        while left % size and place < len(old):
            outer, outer_stride = old[len(old) - 1 - place]
            if outer_stride != stride * left:
                return None
            left *= outer
            place += 1
        if left % size:
            return None
        result.append(stride)
        stride *= size
        left //= size
    return tuple(reversed(result)) if left == 1 and place == len(old) else None
