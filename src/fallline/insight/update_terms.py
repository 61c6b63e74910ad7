"""What gradient descent makes of one gradient, term by term, read off the update rule's own graph."""

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import chain, count
from typing import Any

import numpy as np

from fallline.insight.formula import PRODUCT, Formula, Writer, symbol
from fallline.insight.moment import Moment
from fallline.insight.parts import PartedSum
from fallline.ir.graph import Node, topological
from fallline.optim.groups import Group
from fallline.training.step import UPDATED
from fallline.training.update_graph import ORIGIN, UpdateGraph, slot_name

GRADIENT_NAME = "dL/dw"


@dataclass(frozen=True)
class UpdateLine:
    """One line of an update: name ← formula.

    Attributes:
        name: what it gives: "g", "m′" (m after the step), "w′".
        meaning: what that is, where the rule's declaration tells.
        formula: in symbols.
        numbers: the same in numbers.
        value: as the engine computed it.
    """

    name: str
    meaning: str
    formula: str
    numbers: str
    value: float


@dataclass(frozen=True)
class UpdateTerm:
    """One term of the sum that the new weight is."""

    formula: str
    numbers: str
    value: float


@dataclass(frozen=True)
class Update:
    """A weight's update.

    Attributes:
        rule: the optimizer as it prints.
        paper: where its rule comes from.
        before, after: the weight.
        frozen: whether it stays because its learning rate is 0.
        gradient: dL/dw as backpropagation stored it.
        scalars: what changes from step to step, by symbol: η with the schedule's factor, bias corrections.
        lines: clipping, the state, the weight.
        terms: the terms of the sum that the new weight is.
        rounding: `math.fsum` of the terms' values and of these is `after`, to the last bit.
    """

    rule: str
    paper: str
    before: float
    after: float
    frozen: bool
    gradient: float
    scalars: dict[str, float]
    lines: tuple[UpdateLine, ...]
    terms: tuple[UpdateTerm, ...]
    rounding: tuple[float, ...]

    @property
    def change(self) -> float:
        """By how much the weight moves."""
        return self.after - self.before

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **vars(self),
            "lines": [asdict(line) for line in self.lines],
            "terms": [asdict(term) for term in self.terms],
            "rounding": list(self.rounding),
            "change": self.change,
        }


def explain_update(moment: Moment, name: str, index: int) -> Update | None:
    """The update of one weight; None where the moment has no optimizer."""
    update = moment.update
    if update is None:
        return None
    tape, optimizer = moment.tape, update.optimizer
    group = optimizer.assign(update.parameters)[name]
    before = float(np.asarray(moment.weights[name]).reshape(-1)[index])
    gradient = float(tape.values[id(moment.gradient(name))][index])
    if group.frozen:
        return Update(repr(optimizer), optimizer.rule.paper, before, before, True, gradient, {}, (), (), ())
    story = _Story(moment, update, name, index, group)
    final = update.graph.outputs[UPDATED + name]
    lines = (*story.clipping(), *story.state(), *story.weight(final))
    terms, after, rule = story.terms(final), story.writer.value(final), optimizer.rule
    parted = PartedSum.of(after, np.array([term.value for term in terms]), len(terms))
    return Update(
        repr(optimizer), rule.paper, before, after, False, gradient, story.scalars, lines, tuple(terms), parted.rounding
    )


class _Story:
    """The names in one weight's update, and the lines made of them."""

    def __init__(self, moment: Moment, update: UpdateGraph, name: str, index: int, group: Group) -> None:
        self.moment, self.update, self.name = moment, update, name
        self.outputs, inputs = update.graph.outputs, update.graph.inputs
        self.letters = {slot.name: _letter(slot.doc, slot.name) for slot in update.optimizer.rule.slots}
        self.meanings = {slot.name: slot.doc.partition(": ")[2] or slot.doc for slot in update.optimizer.rule.slots}
        self.slots = [slot for slot, parameter in update.slots if parameter == name]
        self.raw = moment.gradient(name)
        self.seen = self._gradient_seen()
        names = {id(inputs[name]): "w", id(self.raw): GRADIENT_NAME, id(self.seen): "g"}
        self.scalars: dict[str, float] = {}
        for scalar, (pattern, key) in zip(update.scalars, update.places, strict=True):
            names[id(inputs[scalar])] = symbol(key)
            if pattern == group.pattern:
                self.scalars[symbol(key)] = float(np.asarray(moment.inputs[scalar]))
        for slot in self.slots:
            names[id(inputs[slot_name(slot, name)])] = self.letters[slot]
        self.writer = Writer(moment.tape, names, index)
        own = {id(node): node for node in topological([*self.outputs.values()]) if _of_rule(node, name)}
        self.uses = Counter(id(parent) for node in own.values() for parent in {id(p): p for p in node.inputs}.values())
        self.unused = chain("upq", (f"u{k}" for k in count(2)))

    def _gradient_seen(self) -> Node:
        """The gradient that the rule is given: clipped, or as it is."""
        needed = topological([self.outputs[UPDATED + self.name]])
        clips = [node for node in needed if node.origin == ORIGIN and node.provenance.scope is None and node.inputs]
        given = {id(parent) for node in needed if _of_rule(node, self.name) for parent in node.inputs}
        clipped = [node for node in clips if id(node) in given and node.type.shape == self.raw.type.shape]
        return next((node for node in clipped if self.raw in topological([node])), self.raw)

    def clipping(self) -> list[UpdateLine]:
        """What clipping makes of the gradient."""
        if self.seen is self.raw:
            return []
        value, norm, words = self.moment.clip_value, self.moment.clip_norm, []
        if value is not None:
            words.append(f"held within ±{value:g}")
        if norm is not None:
            words.append(f"scaled so that the norm of all gradients is at most {norm:g}")
        own = dict(self.writer.names)
        for node in topological([self.seen]):  # of the norm over all gradients only what it makes of this one
            if node.op.name == "cast" and not node.type.shape and node.origin == ORIGIN:
                self.writer.names[id(node)] = "s"
        line = self.line("g", f"the gradient, {' and '.join(words)}", self.seen)
        self.writer.names = own
        return [line]

    def state(self) -> list[UpdateLine]:
        """The new state."""
        lines = []
        for slot in self.slots:
            node = self.outputs[UPDATED + slot_name(slot, self.name)]
            lines += [*self.shared(node), self.line(f"{self.letters[slot]}′", self.meanings[slot], node)]
            self.writer.names[id(node)] = f"{self.letters[slot]}′"
        return lines

    def weight(self, final: Node) -> list[UpdateLine]:
        """The new weight."""
        return [*self.shared(final), self.line("w′", "the weight", final)]

    def shared(self, result: Node) -> list[UpdateLine]:
        """What several formulas need, by a name of its own: the decayed gradient, for example."""
        lines = []
        for node in topological([result]):
            named = id(node) in self.writer.names or node is result
            plain = node.op.name in ("broadcast", "reshape", "cast")
            if self.uses[id(node)] > 1 and _of_rule(node, self.name) and not (named or plain):
                letter = next(self.unused)
                lines.append(self.line(letter, "used more than once", node))
                self.writer.names[id(node)] = letter
        return lines

    def line(self, letter: str, meaning: str, node: Node) -> UpdateLine:
        """letter ← formula of a node."""
        found: Formula = self.writer.write(node, whole=True)
        return UpdateLine(letter, meaning, found.symbols, found.numbers, found.value)

    def terms(self, final: Node) -> list[UpdateTerm]:
        """The terms of the sum that the new weight is."""
        found = []
        for sign, node in self.writer.addends(final):
            inner = self.writer.write(node)
            minus, whole = "−" if sign < 0 else "", inner.within(PRODUCT)
            found.append(UpdateTerm(f"{minus}{whole.symbols}", f"{minus}{whole.numbers}", sign * inner.value))
        return found


def _of_rule(node: Node, name: str) -> bool:
    return node.origin == ORIGIN and node.provenance.scope == name


def _letter(doc: str, name: str) -> str:
    """The paper's letter, with which a slot's description begins; else its name."""
    letter = doc.partition(":")[0]
    return letter if len(letter) <= 2 else name
