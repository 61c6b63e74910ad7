"""Where tensors lie in memory: rows padded to whole vectors and away from powers of two, one arena planned ahead."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fallline.engine.compiler.code import BYTES
from fallline.engine.compiler.group import Group
from fallline.engine.compiler.groups import Grouping
from fallline.engine.compiler.index import VIEWS, own_indices, push, reshaped_strides
from fallline.errors import CompileError
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

ALIGNMENT = 64
UNPADDED = (1, 2, 4, 8)
ORDER_ROWS = 64
"""The numbers of a batch's rows are found so many at a time, and the next batch's begin at a multiple of it."""
CONFLICT = 1024
"""Rows this many bytes apart, or a multiple, share few places of a cache."""


@dataclass(frozen=True)
class Layout:
    """Where one tensor lies.

    Attributes:
        base: "arena", "state", or "input:<name>", whose first axis goes through the numbers of the batch's rows.
        offset: of the first element, in bytes.
        shape, strides: in elements.
        size: bytes, a multiple of 64.
    """

    base: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: DType
    size: int

    @property
    def padded(self) -> bool:
        """Whether whole vectors can be read and written to the end of each row."""
        return self.base in ("arena", "state") and (len(self.shape) < 2 or self.strides[-2] % LANES == 0)


def strides_of(shape: tuple[int, ...], dtype: DType, dense: bool = False) -> tuple[int, ...]:
    """Row-major strides; the rows of a matrix padded unless `dense`."""
    if not shape:
        return ()
    lead = shape[-1] if dense or len(shape) == 1 else leading_dimension(shape[-1], dtype)
    strides = [1]
    for axis in range(len(shape) - 1, 0, -1):
        strides.append(lead if axis == len(shape) - 1 else strides[-1] * shape[axis])
    return tuple(reversed(strides))


def leading_dimension(columns: int, dtype: DType) -> int:
    """Elements from one row to the next."""
    if columns in UNPADDED:
        return columns
    padded = -(-columns // LANES) * LANES
    return padded + LANES if padded * BYTES[dtype] % CONFLICT == 0 else padded


def make_layout(base: str, offset: int, shape: tuple[int, ...], dtype: DType, dense: bool = False) -> Layout:
    """A layout of its own, with room to read and write whole vectors, and blocks of sixteen rows, beyond its end."""
    strides = strides_of(shape, dtype, dense)
    elements = strides[0] * shape[0] if shape else 1
    size = (elements + _room(shape, strides) + LANES) * BYTES[dtype]
    return Layout(base, offset, shape, strides, dtype, -(-size // ALIGNMENT) * ALIGNMENT)


def _room(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Elements to make room for behind the last row, whichever axes are rows.

    Blocks of sixteen rows begin at any row, but fewer than sixteen rows of a matrix are never computed in blocks.
    """
    room, rows = 0, 1
    for size, stride in zip(shape, strides, strict=True):
        rows *= size
        if rows >= LANES or len(shape) == 1:
            room = max(room, (-rows % LANES + LANES) * stride)
    return room


def order_stride(batch: int) -> int:
    """From the numbers of one batch's rows to those of the next batch's."""
    return -(-batch // ORDER_ROWS) * ORDER_ROWS


class Memory:
    """The layout of every stored tensor of a program.

    Args:
        grouping: with stages.
        state: leaf → name of the inputs that live in the program's state.
        row_inputs: leaf → name of the inputs that lie in the data set.
        updates: id of a node → the state's leaf that it replaces in place.

    Attributes:
        layouts: by id of node.
        state: the layouts of the state by name.
        arena_bytes, state_bytes: the sizes.
    """

    def __init__(
        self,
        grouping: Grouping,
        state: Mapping[int, str],
        row_inputs: Mapping[int, str],
        updates: Mapping[int, Node],
        kept: set[int],
    ) -> None:
        self.grouping = grouping
        self.layouts: dict[int, Layout] = {}
        self.state: dict[str, Layout] = {}
        self._dense = self._needed_dense()
        self.state_bytes = 0
        leaves = {id(node): node for node in grouping.simplified.graph.inputs.values()}
        for key, name in state.items():
            layout = self._make("state", self.state_bytes, leaves[key])
            self.layouts[key] = self.state[name] = layout
            self.state_bytes += layout.size
        self.sources: dict[int, Layout] = {}
        self.row_names = dict(row_inputs)
        for key, name in row_inputs.items():
            shape: tuple[int, ...] = leaves[key].type.shape  # type: ignore[assignment]
            dtype = leaves[key].type.dtype
            self.sources[key] = Layout(f"input:{name}", 0, shape, strides_of(shape, dtype, True), dtype, 0)
            if key not in grouping.owner:
                self.layouts[key] = self.sources[key]
        self.arena_bytes = self._plan(updates, kept)
        self.constants: list[tuple[Node, Layout]] = []
        for node in grouping.nodes:
            if node.op.name == "constant" and (node.type.shape or id(node) in kept):
                layout = self._make("arena", self.arena_bytes, node)
                self.layouts[id(node)] = layout
                self.constants.append((node, layout))
                self.arena_bytes += layout.size

    def _make(self, base: str, offset: int, node: Node) -> Layout:
        return make_layout(base, offset, node.type.shape, node.type.dtype, id(node) in self._dense)  # type: ignore[arg-type]

    def _needed_dense(self) -> set[int]:
        """Tensors that are reshaped in ways that padded rows do not allow."""
        dense: set[int] = set()
        for node in self.grouping.nodes:
            if node.op.name != "reshape" or push(node, own_indices(node.type.shape, 0)) is not None:
                continue
            source = node.inputs[0]
            shape: tuple[int, ...] = source.type.shape  # type: ignore[assignment]
            if reshaped_strides(shape, strides_of(shape, source.type.dtype), node.type.shape) is None:
                dense.add(id(source))
        return dense

    def _plan(self, updates: Mapping[int, Node], kept: set[int]) -> int:
        """Arena offsets: the largest first, each at the lowest place that is free in the stages in which it lives."""
        last: dict[int, int] = {}
        end = max((group.stage for group in self.grouping.groups), default=0)
        for group in self.grouping.groups:
            for base in reads(self.grouping, group):
                last[id(base)] = max(last.get(id(base), 0), group.stage)
        wanted: list[tuple[Node, int, int]] = []
        for group in self.grouping.groups:
            for node in group.stored:
                if id(node) in updates:
                    self.layouts[id(node)] = self.layouts[id(updates[id(node)])]
                else:
                    # What is read after the step has its place for itself: a thread that is ahead begins the next step
                    # while another still reads the loss, and the two must not see different numbers.
                    outlives = id(node) in kept
                    until = end if outlives else last.get(id(node), group.stage)
                    wanted.append((node, 0 if outlives else group.stage, until))
        placed: list[tuple[int, int, int, int]] = []  # (offset, size, first stage, last stage)
        total = 0
        for node, first, until in sorted(wanted, key=lambda item: -self._make("arena", 0, item[0]).size):
            size = self._make("arena", 0, node).size
            offset = _lowest_gap(placed, size, first, until)
            placed.append((offset, size, first, until))
            self.layouts[id(node)] = self._make("arena", offset, node)
            total = max(total, offset + size)
        return total

    def view(self, node: Node) -> tuple[Node, int, tuple[int, ...]]:
        """(the stored tensor, offset in elements, strides in elements) of a tensor or of a view of one."""
        if node.op.name not in VIEWS or id(node) in self.grouping.stored_views:
            layout = self.layouts.get(id(node))
            if layout is None:
                raise CompileError(f"the compiled engine stored no {node!r} that another kernel needs")
            return node, 0, layout.strides
        base, offset, strides = self.view(node.inputs[0])
        shape: tuple[int, ...] = node.inputs[0].type.shape  # type: ignore[assignment]
        attributes, name = node.attributes, node.op.name
        if name == "broadcast":
            lead = len(node.type.shape) - len(shape)
            own = tuple(0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True))
            return base, offset, (0,) * lead + own
        if name == "transpose":
            return base, offset, tuple(strides[axis] for axis in attributes["axes"])
        if name == "slice":
            starts, steps = attributes["starts"], attributes["steps"]
            offset += math.fsum(start * stride for start, stride in zip(starts, strides, strict=True)).__int__()
            return base, offset, tuple(stride * step for stride, step in zip(strides, steps, strict=True))
        found = reshaped_strides(shape, strides, node.type.shape)
        if found is None:
            raise CompileError(f"the compiled engine cannot view {node.inputs[0]!r} as {node!r}")
        return base, offset, found


def _lowest_gap(placed: list[tuple[int, int, int, int]], size: int, first: int, last: int) -> int:
    busy = sorted((offset, end) for offset, end, start, until in placed if start <= last and first <= until)
    place = 0
    for offset, length in busy:
        if place + size <= offset:
            break
        place = max(place, offset + length)
    return place


def reads(grouping: Grouping, group: Group) -> list[Node]:
    """The tensors that a group's kernel reads, stored ones of its own included."""
    found: list[Node] = []
    for node in group.nodes:
        if id(node) in grouping.stored_views:
            found += [base for base, _ in grouping._through(node.inputs[0], None)]
        elif node.inputs:
            found += [base for base, _ in grouping.references(node)]
    return found
