"""The chain rule, one part of the network at a time: how far an element of the flow is opened in one go.

A part is a layer (a module that holds no other, or the loss), or one op of a network's own code. A product of matrices
is opened by itself, since its other factor has a name: an activation, or a weight.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.insight.jacobian import Terms, joined, merged, one, opened
from fallline.insight.tape import Key, Tape, is_meeting, is_view
from fallline.ir.graph import Node
from fallline.ir.kernel import Contraction

Array = NDArray[Any]
MEETING: Key = ("", 0, "+")


@dataclass(frozen=True)
class State:
    """How far terms have come: in which part they are, and whether a product closes it to all but views."""

    key: Key | None = None
    closed: bool = False


@dataclass(frozen=True)
class Entry:
    """Where a parameter meets the forward pass.

    Attributes:
        node: the op that takes it, or what a view makes of it.
        through: names of the ops whose gradient rules lie between it and the flow.
        key: the part of the network.
    """

    node: Node
    through: frozenset[str]
    key: Key


def entries(tape: Tape, name: str) -> list[Entry]:
    """Every place where a parameter meets the forward pass; several where it is shared."""
    found: list[Entry] = []
    pending = [(tape.inputs[name], frozenset[str]())]
    while pending:
        node, through = pending.pop(0)
        for user in tape.users.get(id(node), []):
            crossed = through | {user.op.name}
            if is_view(user):
                pending.append((user, crossed))
            else:
                found.append(Entry(user, crossed, tape.key(user)))
    return found


def parameter_terms(tape: Tape, name: str, gradient: Node, index: int) -> Terms:
    """dL/dw of one weight as a sum over what backpropagation brings to every place where the weight is used."""
    places = entries(tape, name)
    if not places or id(gradient) not in tape.flows:
        raise ArgumentError(f"explain: the loss does not depend on {name!r}, so that its gradient is 0 everywhere")
    through = frozenset[str]().union(*(place.through for place in places))
    parts = {place.key[:2] for place in places}

    def inside(node: Node, state: State) -> State | None:
        if is_view(node) or (is_meeting(node) and state.key is None):
            return state
        key = tape.key(node)
        if state.closed or node.provenance.derivative_of not in through or key[:2] not in parts:
            return None
        return State(key, isinstance(node.op.kernel, Contraction))

    return _followed(tape, gradient, index, inside)


def delta_terms(tape: Tape, node: Node, index: int) -> tuple[Terms, Key]:
    """An element of the flow, opened by one part of the network; and which part that is."""
    paths = meeting_paths(tape, node, index)
    keys = {tape.key(tape.nodes[int(place)]) for place in paths.node}
    if len(keys) > 1:
        return paths, MEETING

    def inside(at: Node, state: State) -> State | None:
        if is_view(at):
            return state
        key = tape.key(at)
        if is_meeting(at):
            within = state.key is None or (not state.closed and key[:2] == state.key[:2])
            return state if within else None
        if state.closed or (state.key is not None and (key != state.key or isinstance(at.op.kernel, Contraction))):
            return None
        return State(key, isinstance(at.op.kernel, Contraction))

    return _followed(tape, node, index, inside), next(iter(keys), MEETING)


def meeting_paths(tape: Tape, node: Node, index: int) -> Terms:
    """An element of the flow as the sum of what comes from the several users of one tensor; else itself."""
    return _followed(tape, node, index, lambda at, state: state if is_view(at) or is_meeting(at) else None)


def _followed(tape: Tape, node: Node, index: int, inside: Any) -> Terms:
    """Open terms node by node, from the last node backwards, as long as `inside` tells in which state they go on."""
    pending: dict[int, dict[State, list[Terms]]] = {tape.order[id(node)]: {State(): [one(tape, node, index)]}}
    stopped: list[Terms] = []
    while pending:
        place = max(pending)
        at = tape.nodes[place]
        for state, parts in pending.pop(place).items():
            terms = merged(joined(parts))
            after = inside(at, state) if at.inputs else None
            further = None if after is None else opened(tape, at, terms)
            if after is None or further is None:
                stopped.append(terms)
                continue
            for number, part in _by_node(further):
                pending.setdefault(number, {}).setdefault(after, []).append(part)
    found = merged(joined(stopped))
    return found.at(np.lexsort((found.index, -found.node)))


def _by_node(terms: Terms) -> Iterator[tuple[int, Terms]]:
    for number in np.unique(terms.node):
        yield int(number), terms.at(np.flatnonzero(terms.node == number))
