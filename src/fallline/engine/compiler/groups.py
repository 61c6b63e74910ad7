"""Fusion: the nodes of a graph gathered into groups, each of which becomes one kernel.

A node joins the group that computes its inputs where that changes no bits and needs no synchronisation: elementwise
nodes join the epilogue of a product or of a reduction, or a loop over rows; reductions of a row join that row's loop.
Cheap nodes made of stored tensors belong to no group: they are computed again wherever they are needed.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from fallline.engine.compiler.copies import Copies
from fallline.engine.compiler.costs import cost
from fallline.engine.compiler.group import Group, Kind
from fallline.engine.compiler.index import VIEWS, Index, Indices, base_of, own_indices, push
from fallline.engine.compiler.simplify import Simplified
from fallline.errors import CompileError
from fallline.ir.graph import Node
from fallline.ir.kernel import Contraction, Elementwise, IndexMap, Leaf, Random, Reduction, Scatter

MOST_GATHERED = 40
"""Nodes in a loop over rows that others join only because they have the same rows."""
INLINE_COST = 6
"""An elementwise node that costs no more than this is computed again rather than stored."""
NARROW = 16
"""Products with fewer columns waste lanes, so that only the bias joins their epilogue."""


class Grouping:
    """All groups of a graph.

    Args:
        simplified: the graph, with known sizes.
        row_inputs: inputs that are read from the data set through the numbers of the batch's rows.

    Attributes:
        groups: in an order in which they can run.
        owner: id of a node → the group that computes it.
        stored_views: views that are stored as tensors of their own, such as a transposed weight.
    """

    def __init__(self, simplified: Simplified, row_inputs: Iterable[Node]) -> None:
        self.simplified = simplified
        self.nodes = simplified.graph.nodes()
        self.row_inputs = {id(node) for node in row_inputs}
        self.groups: list[Group] = []
        self.owner: dict[int, Group] = {}
        self.inlined: set[int] = set()
        copies = Copies(self.nodes, self.row_inputs)
        self.stored_views, self.copied = copies.stored_views, copies.copied
        self._outputs = [base_of(node, self.stored_views) for node in simplified.graph.outputs.values()]
        self.copied |= {id(node) for node in self._outputs} & self.row_inputs
        self.anchored = self._anchored()
        self._place_all()
        if moved := self._read_out_of_order():
            self.copied |= moved
            self._place_all()
        self._mark_stored()
        self.groups = self._in_order()

    def _place_all(self) -> None:
        self.groups, self.owner, self.inlined = [], {}, set()
        for node in self.nodes:
            self._place(node)

    def _read_out_of_order(self) -> set[int]:
        """Inputs of the data set that some node reads otherwise than row by row in the order of the batch."""
        found: set[int] = set()
        for group in self.groups:
            for node in group.nodes:
                if id(node) not in self.stored_views:
                    read = self.references(node, group.row_axes)
                else:
                    read = self._through(node.inputs[0], push(node, _canonical(node.type.shape, group.row_axes)))
                for base, indices in read:
                    if id(base) in self.row_inputs - self.copied and (indices is None or indices[0] != Index("r0")):
                        found.add(id(base))
        return found

    # what is stored in any case

    def _anchored(self) -> set[int]:
        """Nodes that are stored whatever is fused: operands of products and the like, and results."""
        found = {id(node) for node in self._outputs}
        for node in self.nodes:
            form = node.op.kernel
            whole = isinstance(form, Contraction | Scatter) or (
                isinstance(form, IndexMap) and node.op.name not in VIEWS
            )
            leading = (
                isinstance(form, Reduction) and len(node.inputs[0].type.shape) == 2 and node.attributes["axes"] == (0,)
            )
            moved = node.op.name == "reshape" and push(node, own_indices(node.type.shape, 0)) is None
            if whole or leading or moved or id(node) in self.stored_views:
                found |= {id(base_of(parent, self.stored_views)) for parent in node.inputs}
        return found

    def _is_leaf(self, node: Node) -> bool:
        return isinstance(node.op.kernel, Leaf)

    # placing nodes

    def _place(self, node: Node) -> None:
        form = node.op.kernel
        if id(node) in self.stored_views or id(node) in self.copied:
            self._place_copy(node)
        if isinstance(form, Leaf) or node.op.name in VIEWS:
            return
        if self._inlineable(node):
            self.inlined.add(id(node))
        elif isinstance(form, Contraction):
            self._new(Kind.PRODUCT, node, self._product_rows(node), node.type.shape[:-1])
        elif isinstance(form, Reduction):
            self._place_reduction(node)
        elif isinstance(form, Scatter):
            self._new(Kind.SCATTER, node, 0, node.type.shape)
        elif isinstance(form, Elementwise | IndexMap | Random):
            self._place_elementwise(node)
        else:
            raise CompileError(f"the compiled engine has no schedule for the kernel form {type(form).__name__}")

    def _new(self, kind: Kind, node: Node, batch: int, row_shape: Any) -> Group:
        group = Group(len(self.groups), kind, tuple(row_shape), batch, node)
        self.groups.append(group)
        self._add(group, node)
        return group

    def _add(self, group: Group, node: Node) -> None:
        group.nodes.append(node)
        self.owner[id(node)] = group
        group.inputs |= {self.owner[id(base)] for base, _ in self.references(node) if id(base) in self.owner} - {group}

    def _inlineable(self, node: Node) -> bool:
        if id(node) in self.anchored:
            return False
        if node.op.name == "iota":
            return True
        return isinstance(node.op.kernel, Elementwise) and self._inline_cost(node) <= INLINE_COST

    def _inline_cost(self, node: Node) -> float:
        """What computing a node again costs, or infinity where something it needs would not be stored."""
        total = float(cost(node))
        for parent in node.inputs:
            base = base_of(parent, self.stored_views)
            if id(base) in self.inlined:
                total += self._inline_cost(base)
            elif not (self._is_leaf(base) or id(base) in self.anchored):
                return math.inf
            elif base.type.shape:
                total += 0.5
        return total

    def _place_elementwise(self, node: Node) -> None:
        own = set(self._groups_needed(node))
        for group in sorted(own, key=lambda group: -group.number):
            if self._fits(node, group) and not any(self._depends(other, group) for other in own if other is not group):
                self._add(group, node)
                return
        row_axes = max(len(node.type.shape) - 1, 1) if node.type.shape else 0
        near = None if own else self._neighbour(node, node.type.shape[:row_axes])
        if near is not None:
            self._add(near, node)
            return
        self._new(Kind.ROWS, node, self._batch_rows(node, row_axes), node.type.shape[:row_axes]).root = None

    def _place_reduction(self, node: Node) -> None:
        source = node.inputs[0]
        if len(source.type.shape) == 2 and node.attributes["axes"] == (0,):
            self._new(Kind.COLUMNS, node, 0, ())
            return
        row_shape = tuple(source.type.shape[:-1])
        own = set(self._groups_needed(node))
        candidates = [group for group in sorted(own, key=lambda group: -group.number) if group.kind is Kind.ROWS]
        for group in candidates:
            aligned = group.row_shape == row_shape and self._aligned(node, group)
            if aligned and not any(self._depends(other, group) for other in own if other is not group):
                self._add(group, node)
                return
        near = self._neighbour(node, row_shape)
        if near is not None and not any(self._depends(other, near) for other in own):
            self._add(near, node)
            return
        self._new(Kind.ROWS, node, self._batch_rows(source, len(row_shape)), row_shape).root = None

    def _neighbour(self, node: Node, row_shape: tuple[Any, ...]) -> Group | None:
        """The newest loop over the same rows, if both are narrow: a node that needs no other group joins it."""
        group = next((g for g in reversed(self.groups) if g.kind is Kind.ROWS and g.row_shape == row_shape), None)
        if group is None or not row_shape or self._batch_rows(node, len(row_shape)) != group.batch:
            return None
        widest = max(self._width(item, group) for item in [*group.nodes, node, *node.inputs])
        return group if widest <= NARROW and len(group.nodes) < MOST_GATHERED else None

    def _width(self, node: Node, group: Group) -> int:
        return math.prod(node.type.shape[group.row_axes :])  # type: ignore[arg-type]

    def _batch_rows(self, node: Node, row_axes: int) -> int:
        factor = self.simplified.batch.get(id(node), 0)
        if not factor and node.inputs and node.type.shape:
            first = node.inputs[0]
            same = first.type.shape[:1] == node.type.shape[:1]
            factor = self.simplified.batch.get(id(first), 0) if same else 0
        return factor * math.prod(node.type.shape[1:row_axes]) if row_axes else 0  # type: ignore[arg-type]

    def _product_rows(self, node: Node) -> int:
        """A product's rows are the batch's where its left operand has a row per row of the batch."""
        factor = self.simplified.batch.get(id(node), 0) or self.simplified.batch.get(id(node.inputs[0]), 0)
        if len(node.type.shape) > 2:
            return 0
        left = node.inputs[0]
        return factor if left.type.shape[0] == node.type.shape[0] and not _is_transposed(left) else 0

    # what a node needs

    def references(self, node: Node, row_axes: int | None = None) -> Iterator[tuple[Node, Indices | None]]:
        """The stored tensors that a node reads, each with its indices (None where a reshape hides them)."""
        shape = node.type.shape
        indices = _canonical(shape, max(len(shape) - 1, 1) if row_axes is None else row_axes)
        if isinstance(node.op.kernel, Reduction):
            source = node.inputs[0].type.shape
            indices = _canonical(source, len(source) - 1 if row_axes is None else row_axes)
        elif not isinstance(node.op.kernel, Elementwise):
            for parent in node.inputs:
                yield base_of(parent, self.stored_views), None
            return
        for parent in node.inputs:
            yield from self._through(parent, indices)

    def _through(self, node: Node, indices: Indices | None) -> Iterator[tuple[Node, Indices | None]]:
        while node.op.name in VIEWS and id(node) not in self.stored_views:
            indices = None if indices is None else push(node, indices)
            node = node.inputs[0]
        if id(node) in self.inlined:
            for parent in node.inputs:
                yield from self._through(parent, indices)
        else:
            yield node, indices

    def _groups_needed(self, node: Node) -> list[Group]:
        return [self.owner[id(base)] for base, _ in self.references(node) if id(base) in self.owner]

    def _depends(self, group: Group, on: Group) -> bool:
        """Whether a group needs another, directly or through others."""
        stack, seen = [group], set()
        while stack:
            current = stack.pop()
            if current is on:
                return True
            if current.number not in seen:
                seen.add(current.number)
                stack.extend(current.inputs)
        return False

    # whether a node fits a group

    def _fits(self, node: Node, group: Group) -> bool:
        shape = node.type.shape
        if not isinstance(node.op.kernel, Elementwise) or (group.root is not None and shape != group.root.type.shape):
            return False
        if group.kind is Kind.PRODUCT:
            return self._aligned(node, group) and not self._too_narrow(node, group)
        if group.kind is Kind.COLUMNS:
            return self._aligned(node, group)
        if group.kind is not Kind.ROWS or shape[: group.row_axes] != group.row_shape:
            return False
        rest = [size for size in shape[group.row_axes :] if size != 1]
        return len(rest) <= 1 and self._aligned(node, group)

    def _too_narrow(self, node: Node, group: Group) -> bool:
        """Whether few columns and more than a bias make the epilogue a waste of lanes."""
        columns = int(node.type.shape[-1])  # type: ignore[arg-type]
        if columns >= NARROW or not group.batch:
            return False
        others = [base for base, _ in self.references(node) if self.owner.get(id(base)) is not group]
        per_row = any(base.type.shape[:1] == node.type.shape[:1] for base in others if base.type.shape)
        return per_row or cost(node) > 1 or len(group.nodes) > 2

    def _aligned(self, node: Node, group: Group) -> bool:
        """Whether what the node needs of the group's own values lies in the row (of products: at the place) at hand."""
        row_axes = group.row_axes
        for base, indices in self.references(node, row_axes):
            if self.owner.get(id(base)) is not group:
                continue
            rows = (own_indices(node.type.shape, row_axes)[:row_axes], _row_indices(group.row_shape))
            if indices is None or indices[:row_axes] not in rows:
                return False
            if group.kind is not Kind.ROWS and indices != _canonical(base.type.shape, row_axes):
                return False
        return True

    # copies

    def _place_copy(self, node: Node) -> None:
        """A group that stores a view, or the batch's rows of an input of the data set, side by side."""
        shape: Any = node.type.shape
        row_axes = max(len(shape) - 1, 1)
        kind, batch = Kind.COPY, 0
        if not node.inputs:
            batch = math.prod(shape[1:row_axes])
        elif node.op.name == "transpose" and node.attributes["axes"] == (1, 0) and self._is_tensor(node.inputs[0]):
            kind = Kind.TRANSPOSE
        group = Group(len(self.groups), kind, tuple(shape[:row_axes]), batch, node)
        self.groups.append(group)
        group.nodes.append(node)
        self.owner[id(node)] = group
        if node.inputs:
            bases = [base for base, _ in self._through(node.inputs[0], None)]
            group.inputs |= {self.owner[id(base)] for base in bases if id(base) in self.owner}

    def _is_tensor(self, node: Node) -> bool:
        """Whether a node lies in memory as it is."""
        return (node.op.name not in VIEWS or id(node) in self.stored_views) and bool(node.type.shape)

    # what is stored, and in which order groups run

    def _mark_stored(self) -> None:
        needed = {id(node) for node in self._outputs} | self.stored_views
        needed |= {id(group.root) for group in self.groups if group.kind is Kind.COPY}
        for group in self.groups:
            for node in group.nodes:
                if node is group.root and group.kind in (Kind.TRANSPOSE, Kind.COPY):
                    needed |= {id(base) for base, _ in self._through(node.inputs[0], None)} if node.inputs else set()
                    continue
                needed |= {
                    id(base)
                    for base, indices in self.references(node)
                    if self.owner.get(id(base)) is not group or indices is None
                }
        for group in self.groups:
            group.stored = [node for node in group.nodes if id(node) in needed]

    def _in_order(self) -> list[Group]:
        order: list[Group] = []
        seen: set[int] = set()

        def visit(group: Group) -> None:
            if group.number not in seen:
                seen.add(group.number)
                for other in sorted(group.inputs, key=lambda g: g.number):
                    visit(other)
                order.append(group)

        for group in self.groups:
            visit(group)
        return order


def _canonical(shape: Any, row_axes: int) -> Indices:
    return own_indices(shape, min(row_axes, len(shape)))


def _row_indices(row_shape: tuple[int, ...]) -> Indices:
    return own_indices(row_shape, len(row_shape))


def _is_transposed(node: Node) -> bool:
    while node.op.name in VIEWS:
        if node.op.name == "transpose":
            return True
        node = node.inputs[0]
    return False
