"""Stages: between two of them all threads meet. Kernels of one stage need nothing of one another but their own rows."""

from collections.abc import Mapping

from fallline.engine.compiler.group import Group, Kind
from fallline.engine.compiler.groups import Grouping
from fallline.engine.compiler.index import VIEWS, Index, Indices, own_indices, push
from fallline.engine.compiler.layout import reads
from fallline.engine.compiler.rows_kernel import levels
from fallline.ir.graph import Node


def assign_stages(grouping: Grouping, updates: Mapping[int, Node]) -> dict[int, Node]:
    """Give each group its stage; returns the updates that can be made in place (the others need a copy at the end).

    Args:
        grouping: the groups, in an order in which they can run.
        updates: id of a node → the state's leaf that it replaces.
    """
    owner, groups = grouping.owner, grouping.groups
    after: dict[int, set[int]] = {}  # group → groups that must have ended before it
    in_place: dict[int, Node] = {}
    read = {group.number: {id(base) for base in reads(grouping, group)} for group in groups}
    for key, leaf in updates.items():
        writer = owner.get(key)
        if writer is None or key in grouping.stored_views or id(leaf) in grouping.inlined:
            continue
        others = [group for group in groups if id(leaf) in read[group.number] and group is not writer]
        if (
            leaf in in_place.values()
            or not _same_place(grouping, writer, leaf)
            or _read_later(grouping, writer, key, leaf)
        ):
            continue
        if any(_must_follow(groups, after, group, writer) for group in others):
            continue
        in_place[key] = leaf
        after.setdefault(writer.number, set()).update(group.number for group in others)
    by_number = {group.number: group for group in groups}
    changed = True
    while changed:
        changed = False
        for group in groups:
            stage = max((by_number[number].stage + 1 for number in after.get(group.number, ())), default=0)
            for other in group.inputs:
                stage = max(stage, other.stage + (0 if reads_own_rows(grouping, group, other) else 1))
            if stage > group.stage:
                group.stage, changed = stage, True
    grouping.groups.sort(key=lambda group: group.stage)
    return in_place


def _must_follow(groups: list[Group], after: Mapping[int, set[int]], group: Group, first: Group) -> bool:
    """Whether a group needs another's results, or must wait for it because it overwrites what that one reads."""
    by_number = {group.number: group for group in groups}
    stack, seen = [group], set()
    while stack:
        current = stack.pop()
        if current is first:
            return True
        if current.number not in seen:
            seen.add(current.number)
            stack += [*current.inputs, *(by_number[number] for number in after.get(current.number, ()))]
    return False


def _read_later(grouping: Grouping, group: Group, key: int, leaf: Node) -> bool:
    """Whether a group reads a tensor in a pass over its columns after the one that overwrites it."""
    if group.kind is not Kind.ROWS:
        return False
    level = levels(group, grouping)
    return any(
        level[id(node)] > level[key] and any(base is leaf for base, _ in grouping.references(node, group.row_axes))
        for node in group.nodes
    )


def _same_place(grouping: Grouping, group: Group, leaf: Node) -> bool:
    """Whether a group reads a tensor only at the place that it computes."""
    for node in group.nodes:
        if id(node) in grouping.stored_views:
            return False
        rank = len(node.type.shape)
        axes = group.row_axes if group.kind is Kind.ROWS else min(rank, max(rank - 1, 1))
        own = [index for index in own_indices(node.type.shape, axes) if index.token]
        for base, indices in grouping.references(node, axes):
            if base is leaf and (indices is None or [index for index in indices if index.token] != own):
                return False
    return True


def reads_own_rows(grouping: Grouping, group: Group, other: Group) -> bool:
    """Whether a group needs of another only the rows of the batch that the same thread has computed."""
    if not group.batch or group.batch != other.batch:
        return False
    for node in group.nodes:
        if group.kind is Kind.PRODUCT and node is group.root:
            if any(
                base is not None and grouping.owner.get(id(base)) is other for base in _bases(grouping, node.inputs[1])
            ):
                return False
            if not _reads_rows(grouping, node.inputs[0], other):
                return False
            continue
        for base, indices in grouping.references(node, group.row_axes):
            if grouping.owner.get(id(base)) is other and not _first_is_row(base, indices, group):
                return False
    return True


def _first_is_row(base: Node, indices: Indices | None, group: Group) -> bool:
    if indices is None or not base.type.shape:
        return False
    return indices[0] == Index("r0") and base.type.shape[0] == group.row_shape[0]


def _bases(grouping: Grouping, node: Node) -> list[Node]:
    return [base for base, _ in grouping._through(node, None)]


def _reads_rows(grouping: Grouping, operand: Node, other: Group) -> bool:
    """Whether a product's left operand has in row i what is row i of a tensor of the other group."""
    indices: Indices | None = tuple(Index(f"r{axis}") for axis in range(len(operand.type.shape)))
    node = operand
    while node.op.name in VIEWS and id(node) not in grouping.stored_views and indices is not None:
        indices = push(node, indices)
        node = node.inputs[0]
    if grouping.owner.get(id(node)) is not other:
        return True
    return indices is not None and bool(indices) and indices[0] == Index("r0")
