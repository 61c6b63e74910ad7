"""What backpropagation's numbers are made of: a gradient of its rows' shares, a delta of the deltas behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.insight.jacobian import NONE, Terms
from fallline.insight.levels import MEETING, delta_terms, meeting_paths
from fallline.insight.parts import PartedSum
from fallline.insight.tape import Key, Tape
from fallline.ir.graph import Node
from fallline.training.step import LOSS_SCOPE

Array = NDArray[Any]
MOST_LEVELS = 200


@dataclass(frozen=True)
class Term:
    """One product in a sum: factor × delta.

    Attributes:
        factor: the number that the delta is multiplied with: an activation, a weight, a derivative.
        factor_name: whose number it is: "x[3]", "2.weight[5,1]"; "1" for a plain sum, "" for a derivative.
        delta: the number that backpropagation brought.
        delta_name: of what it is the derivative: "0 (Linear)[5]".
        row: the row that it belongs to; None where it belongs to no one row.
        share: factor × delta.
    """

    factor: float
    factor_name: str
    delta: float
    delta_name: str
    row: int | None
    share: float

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Opening:
    """A delta, opened by one part of the network: value = Σ factor × delta behind + rounding.

    Attributes:
        name: of what it is the derivative: "0 (Linear)[5]".
        row: its row, or None.
        value: as the engine stored it.
        through: the part of the network that it is opened by: "1 (ReLU)".
        op: the op whose derivative the factor is, where there is but one: "relu".
        at: what that op was given, or None.
        terms: the largest terms.
        others: the sum of the terms that are not shown, and how many they are.
        rounding: what the engine's rounding left: `math.fsum` of all shares, `others` and `rounding` is `value`.
        note: what is worth knowing, as a sentence without its end.
        is_loss: whether it is the loss that opens it, and backpropagation began there.
    """

    name: str
    row: int | None
    value: float
    through: str
    op: str
    at: float | None
    terms: tuple[Term, ...]
    others: tuple[float, int]
    rounding: tuple[float, ...]
    note: str
    is_loss: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        found = {**vars(self), "terms": [term.to_json() for term in self.terms]}
        return {**found, "others": {"sum": self.others[0], "count": self.others[1]}, "rounding": list(self.rounding)}


class Opener:
    """Names and numbers for terms of one step.

    Args:
        tape: the step.
        numbers: the number of each of the batch's rows in the data.
        notes: what is known of a row at the loss.
        shown: how many terms an opening shows.
    """

    def __init__(self, tape: Tape, numbers: Array, notes: Mapping[int, str], shown: int) -> None:
        self.tape, self.numbers, self.notes, self.shown = tape, numbers, notes, shown

    def deltas(self, terms: Terms) -> Array:
        """The flow's values, float64."""
        return self._values(terms.node, terms.index)

    def _values(self, nodes: Array, indices: Array) -> Array:
        found = np.zeros(len(indices))
        for place in np.unique(nodes):
            here = nodes == place
            found[here] = self.tape.values[id(self.tape.nodes[int(place)])][indices[here]]
        return found

    def rows(self, terms: Terms) -> Array:
        """The row of each term, by its number in the data; −1 for none."""
        found = np.full(len(terms), -1)
        for place in np.unique(terms.node):
            here = np.flatnonzero(terms.node == place)
            known = self.tape.rows(self.tape.nodes[int(place)])
            if known is not None:
                found[here] = self.numbers[known[terms.index[here]]]
        return found

    def term(self, terms: Terms, place: int, label: str) -> Term:
        """One of the terms, told."""
        node, index = self.tape.nodes[int(terms.node[place])], int(terms.index[place])
        factor, delta = float(terms.coefficient[place]), float(self.tape.values[id(node)][index])
        row, name = self.named(node, index, label)
        return Term(factor, self._factor_name(terms, place), delta, name, row, factor * delta)

    def named(self, node: Node, index: int, label: str) -> tuple[int | None, str]:
        """(row, what it is the derivative of) of an element of the flow."""
        row, places = self.tape.place(node, index)
        return None if row is None else int(self.numbers[row]), f"{label}{_bracket(places)}"

    def _factor_name(self, terms: Terms, place: int) -> str:
        if terms.factor[place] == NONE:
            return "1" if terms.coefficient[place] == 1.0 else ""
        node = self.tape.nodes[int(terms.factor[place])]
        if node.op.name == "constant":
            return ""
        _, places = self.tape.place(node, int(terms.factor_index[place]))
        return f"{self.tape.name(node)}{_bracket(places)}"

    def chain(self, node: Node, index: int, label: str) -> tuple[Opening, ...]:
        """A delta opened down to the loss: of each opening, its largest term's delta is opened next."""
        found: list[Opening] = []
        while len(found) < MOST_LEVELS:
            opening, step = self.open(node, index, label)
            found.append(opening)
            if step is None:
                break
            node, index, label = step
        return tuple(found)

    def open(self, node: Node, index: int, label: str) -> tuple[Opening, tuple[Node, int, str] | None]:
        """One delta, opened by one part; and the largest term's delta with its label, None at the loss."""
        terms, key = delta_terms(self.tape, node, index)
        is_loss = not any(self.tape.nodes[int(place)].inputs for place in terms.node)
        if is_loss and len(paths := meeting_paths(self.tape, node, index)) > 1:
            terms = paths  # −t and p of a cross-entropy, for example, rather than their sum times dL/dL = 1
        value = float(self.tape.values[id(node)][index])
        through = "where paths meet" if key == MEETING else self.tape.label(key)
        parted = PartedSum.of(value, terms.coefficient * self.deltas(terms), self.shown)
        row, name = self.named(node, index, label)
        labels = [self._label(key, int(terms.node[place]), label, through) for place in parted.listed]
        told = tuple(self.term(terms, int(k), text) for k, text in zip(parted.listed, labels, strict=True))
        op, at = ("", None) if is_loss else self._op_of(key, node, index, terms)
        note = self.notes.get(-1 if row is None else row, "") if is_loss and key[0] == LOSS_SCOPE else ""
        hidden = (parted.others, parted.hidden)
        opening = Opening(name, row, value, through, op, at, told, hidden, parted.rounding, note, is_loss)
        if is_loss or not len(parted.listed):
            return opening, None
        first = int(parted.listed[0])
        further = self.tape.nodes[int(terms.node[first])], int(terms.index[first]), labels[0]
        return opening, further

    def _label(self, key: Key, place: int, label: str, through: str) -> str:
        """What the deltas behind a part are derivatives of: of what it gives; where paths meet, of what came in."""
        if key != MEETING:
            source = self.tape.nodes[place]
            by = f" by way of {source.provenance.derivative_of}" if key[0] == LOSS_SCOPE else ""
            return f"{through}{by}" if source.inputs else "the loss"
        return f"{label.partition(' by way of ')[0]} by way of {self.tape.label(self.tape.key(self.tape.nodes[place]))}"

    def _op_of(self, key: Key, node: Node, index: int, terms: Terms) -> tuple[str, float | None]:
        """(op, what it was given) where one op's derivative is the only factor."""
        if len(terms) != 1 or key == MEETING:
            return "", None
        ops = self._forward_ops(key)
        if len(ops) != 1:
            return "", None
        given = [parent for parent in ops[0].inputs if self.tape.shape(parent) == self.tape.shape(node)]
        at = float(self.tape.values[id(given[0])][index]) if len(given) == 1 else None
        return ops[0].op.name, at

    def _forward_ops(self, key: Key) -> Sequence[Node]:
        scope, call, op = key
        return [
            node
            for node in self.tape.nodes
            if not node.origin
            and node.inputs
            and (node.provenance.scope or "", node.provenance.call) == (scope, call)
            and (not op or node.op.name == op)
        ]


def _bracket(places: Sequence[int]) -> str:
    return f"[{','.join(map(str, places))}]" if places else ""
