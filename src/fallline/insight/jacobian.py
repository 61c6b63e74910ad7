"""Backpropagation is linear in the flow: any element of it is a sum of coefficient × another element of the flow.

    element = Σₖ coefficientₖ · flowₖ

The coefficients follow from the kernel forms, not from the ops: of a product the other factor, of a sum and of a view
1, of an elementwise op its value where this flow is 1 and any other is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.insight.tape import Tape
from fallline.ir.graph import Node
from fallline.ir.kernel import Contraction, Elementwise, IndexMap, Reduction, Scatter

Array = NDArray[Any]
NONE = -1


@dataclass(frozen=True)
class Terms:
    """Elements of the flow with their coefficients.

    Attributes:
        node: of each term the flow's node, by its place on the tape: (terms,).
        index: the element in it, flat: (terms,).
        coefficient: (terms,), float64.
        factor: the node of the forward pass whose element the coefficient is, by its place, or −1: (terms,).
        factor_index: that element, flat: (terms,).
    """

    node: Array
    index: Array
    coefficient: Array
    factor: Array
    factor_index: Array

    def __len__(self) -> int:
        return len(self.index)

    def at(self, places: Any) -> "Terms":
        """Some of the terms."""
        return Terms(*(array[places] for array in vars(self).values()))


def one(tape: Tape, node: Node, index: int) -> Terms:
    """The element itself, once."""
    return _terms(tape, node, np.array([index]), np.ones(1))


def joined(parts: list[Terms]) -> Terms:
    """Terms of several sums, one after the other."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Terms(*(np.concatenate(column) for column in columns))


def merged(terms: Terms) -> Terms:
    """Terms of one element of the flow as one, their coefficients added up; in the order in which they first came."""
    pairs = np.stack([terms.node, terms.index], axis=1)
    _, first, which, counts = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
    if len(first) == len(terms):
        return terms
    sums = np.zeros(len(first))
    np.add.at(sums, which.reshape(-1), terms.coefficient)
    order = np.argsort(first)
    found = terms.at(first[order])
    several = counts[order] > 1
    return Terms(found.node, found.index, sums[order], np.where(several, NONE, found.factor), found.factor_index)


def opened(tape: Tape, node: Node, terms: Terms) -> Terms | None:
    """Terms that are elements of one node, each as the sum that the node's op makes of the flow before it.

    None where the op is not linear in the flow, or has nothing of it.
    """
    flows = [number for number, parent in enumerate(node.inputs) if id(parent) in tape.flows]
    rule = _rule(node)
    if not flows or rule is None:
        return None
    parts = rule(tape, node, terms.index, flows)
    if parts is None:
        return None
    found = [_composed(terms, which, local) for which, local in parts]
    return joined(found)


def _terms(
    tape: Tape, node: Node, index: Array, coefficient: Array, factor: Node | None = None, at: Array | None = None
) -> Terms:
    places = np.full(len(index), tape.order[id(node)])
    known = np.full(len(index), NONE if factor is None else tape.order[id(factor)])
    return Terms(places, index, coefficient, known, np.zeros(len(index), dtype=np.int64) if at is None else at)


def _composed(outer: Terms, which: Array, local: Terms) -> Terms:
    """Coefficient × coefficient; the factor is still one of the forward pass where the other coefficient is 1."""
    before, plain = outer.at(which), local.factor == NONE
    keeps = plain & (local.coefficient == 1.0)
    takes = (before.factor == NONE) & (before.coefficient == 1.0) & ~plain
    factor = np.where(keeps, before.factor, np.where(takes, local.factor, NONE))
    index = np.where(keeps, before.factor_index, local.factor_index)
    return Terms(local.node, local.index, before.coefficient * local.coefficient, factor, index)


_Parts = list[tuple[Array, Terms]] | None
_Rule = Callable[[Tape, Node, Array, list[int]], _Parts]


def _rule(node: Node) -> _Rule | None:
    rules: list[tuple[type, _Rule]] = [
        (IndexMap, _view), (Elementwise, _elementwise), (Contraction, _contraction), (Reduction, _sum),
        (Scatter, _scatter),
    ]  # fmt: skip
    return next((rule for form, rule in rules if isinstance(node.op.kernel, form)), None)


def _view(tape: Tape, node: Node, index: Array, flows: list[int]) -> _Parts:
    """The op applied to the elements' numbers tells where each comes from; 0 is nowhere."""
    numbers, start = [], 1
    for parent in node.inputs:
        size = tape.values[id(parent)].size
        if parent.type.dtype.is_float:
            numbers.append(np.arange(start, start + size).reshape(tape.shape(parent)))
            start += size
        else:
            numbers.append(tape.array(parent))  # row numbers of `take`
    sources = np.ascontiguousarray(node.op.reference(*numbers, **tape.attributes(node))).reshape(-1)[index]
    parts, start = [], 1
    for number, parent in enumerate(node.inputs):
        size = tape.values[id(parent)].size if parent.type.dtype.is_float else 0
        here = np.flatnonzero((sources >= start) & (sources < start + size))
        if number in flows and len(here):
            parts.append((here, _terms(tape, parent, sources[here] - start, np.ones(len(here)))))
        start += size
    return parts or [(np.zeros(0, dtype=np.int64), _terms(tape, node.inputs[0], np.zeros(0, np.int64), np.zeros(0)))]


def _elementwise(tape: Tape, node: Node, index: Array, flows: list[int]) -> _Parts:
    values = [tape.values[id(parent)][index] for parent in node.inputs]
    wide = [value.astype(np.float64) if value.dtype.kind == "f" else value for value in values]
    every, parts, total = np.arange(len(index)), [], np.zeros(len(index))
    with np.errstate(all="ignore"):
        for flow in flows:
            given = [np.full(len(index), float(k == flow)) if k in flows else wide[k] for k in range(len(wide))]
            local = np.asarray(node.op.reference(*given, **tape.attributes(node)), dtype=np.float64)
            total = total + np.where(local == 0.0, 0.0, local * wide[flow])
            other = next((k for k in range(len(wide)) if k != flow and k not in flows), None)
            factor = node.inputs[other] if node.op.name == "multiply" and other is not None else None
            found = _terms(tape, node.inputs[flow], index, local, *_source(tape, factor, index))
            keep = np.flatnonzero(local != 0.0)
            parts.append((every[keep], found.at(keep)))
        scale = np.abs(total) + np.abs(tape.values[id(node)][index])
        linear = np.abs(total - tape.values[id(node)][index]) <= 1e-3 * scale
    return parts if linear.all() else None


def _contraction(tape: Tape, node: Node, index: Array, flows: list[int]) -> _Parts:
    """out[…, i, j] = Σₖ a[…, i, k]·b[…, k, j], with the flow in one of the two."""
    if len(flows) != 1:
        return None
    a, b = node.inputs
    *_, rows, columns = tape.shape(node)
    depth = tape.shape(a)[-1]
    which = np.repeat(np.arange(len(index)), depth)
    k = np.tile(np.arange(depth), len(index))
    matrix, place = np.divmod(index[which], rows * columns)
    i, j = np.divmod(place, columns)
    left, right = (matrix * rows + i) * depth + k, (matrix * depth + k) * columns + j
    flow, own, factor, other = (a, left, b, right) if flows[0] == 0 else (b, right, a, left)
    coefficient = tape.values[id(factor)][other].astype(np.float64)
    return [(which, _terms(tape, flow, own, coefficient, *_source(tape, factor, other)))]


def _sum(tape: Tape, node: Node, index: Array, flows: list[int]) -> _Parts:
    if node.op.name != "sum":
        return None
    source, axes = node.inputs[0], node.attributes["axes"]
    numbers = np.arange(tape.values[id(source)].size).reshape(tape.shape(source))
    kept = [axis for axis in range(numbers.ndim) if axis not in axes]
    dealt = numbers.transpose(*kept, *axes).reshape(tape.values[id(node)].size, -1)[index]
    which = np.repeat(np.arange(len(index)), dealt.shape[1])
    return [(which, _terms(tape, source, dealt.reshape(-1), np.ones(dealt.size)))]


def _scatter(tape: Tape, node: Node, index: Array, flows: list[int]) -> _Parts:
    """out[r, …] = Σ values[i, …] over the i with indices[i] = r."""
    values, indices = node.inputs
    if flows != [0]:
        return None
    chosen = tape.values[id(indices)]
    width = tape.values[id(values)].size // max(chosen.size, 1)
    found = [np.flatnonzero(chosen == element // width) for element in index]
    which = np.repeat(np.arange(len(index)), [len(places) for places in found])
    places = np.concatenate([np.zeros(0, np.int64), *found])
    own = places * width + (index % width)[which]
    return [(which, _terms(tape, values, own, np.ones(len(own))))]


def source_of(tape: Tape, node: Node) -> Node:
    """The tensor of the same elements that a reshape or a cast without effect shows; else the node itself."""
    while node.op.name in ("reshape", "broadcast") and (
        tape.values[id(node)].size == tape.values[id(node.inputs[0])].size or tape.values[id(node.inputs[0])].size == 1
    ):
        node = node.inputs[0]
    return node


def _source(tape: Tape, node: Node | None, index: Array) -> tuple[Node | None, Array | None]:
    """The tensor that a view shows, and the elements of it that these are."""
    if node is None:
        return None, None
    while isinstance(node.op.kernel, IndexMap) and len(node.inputs) == 1:
        source = node.inputs[0]
        numbers = np.arange(1, tape.values[id(source)].size + 1).reshape(tape.shape(source))
        shown = np.ascontiguousarray(node.op.reference(numbers, **tape.attributes(node))).reshape(-1)[index]
        if (shown == 0).any():
            break
        node, index = source, shown - 1
    return node, index
