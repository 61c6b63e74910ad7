"""Which node of a graph first turned NaN or infinite, of those that spoiled a result.

An infinity that the network itself writes down (−∞ in a mask) is no fault, nor is one that never reaches the result.
So the search goes twice over the graph: onwards, to tell bad numbers from wanted ones, and back from the
result, to find which of them reached it and where they began.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.ir.graph import Node
from fallline.ir.kernel import Elementwise, IndexMap, Reduction

Array = NDArray[Any]
CHOOSING = ("where", "maximum", "minimum", "relu", "negate", "absolute", "stop_gradient")
"""Elementwise ops that only hand on what they are given, and make no new infinity."""


class BadNodes:
    """The bad numbers of a graph's nodes.

    Args:
        tensors: every node with its value, each after its inputs.

    Attributes:
        values: by id of node.
        bad: id of node → where it has NaN or infinity that some node made.
    """

    def __init__(self, tensors: Sequence[tuple[Node, Array]]) -> None:
        self.nodes = [node for node, _ in tensors]
        self.values = {id(node): value for node, value in tensors}
        self.bad: dict[int, Array] = {}
        self._intended: dict[int, Array] = {}  # infinities that the network wrote down, and what is made of them
        with np.errstate(all="ignore"):
            for node in self.nodes:
                self._judge(node)

    def _judge(self, node: Node) -> None:
        value = self.values[id(node)]
        wrong = not_finite(value)
        if wrong is None:
            return
        if node.op.name == "constant":
            self._intended[id(node)] = wrong
            return
        handed_on = self._handed_on(node, wrong, self.bad)
        wanted = self._handed_on(node, wrong, self._intended)
        fresh = wrong & ~handed_on & ~wanted
        if not (isinstance(node.op.kernel, IndexMap) or node.op.name in CHOOSING):
            fresh |= wrong & ~handed_on & np.isnan(value)  # −∞ − −∞, of infinities that were wanted
        if (found := fresh | handed_on).any():
            self.bad[id(node)] = found
        if (wanted := wanted & ~found).any():
            self._intended[id(node)] = wanted

    def _handed_on(self, node: Node, wrong: Array, among: Mapping[int, Array]) -> Array:
        """Where a node's bad numbers come from bad numbers of its inputs."""
        found = np.zeros_like(wrong)
        for number, parent in enumerate(node.inputs):
            if id(parent) in among:
                if isinstance(node.op.kernel, Elementwise):
                    found |= wrong & self._used(node, number, among[id(parent)])
                elif self._reached(node, number, wrong, among[id(parent)]).any():
                    found |= wrong  # which of them is not told apart
        return found

    def _used(self, node: Node, number: int, mask: Array) -> Any:
        """A mask of an argument, without the elements that a choice passes by."""
        if node.op.name != "where" or number == 0:
            return mask
        chosen = np.asarray(self.values[id(node.inputs[0])], dtype=bool)
        return mask & (chosen if number == 1 else ~chosen)

    def _reached(self, node: Node, number: int, wrong: Array, mask: Array) -> Any:
        """Where an argument's bad numbers can have made those of the node; without more knowledge, everywhere."""
        if isinstance(node.op.kernel, Elementwise):
            return self._used(node, number, mask) & wrong
        if node.op.name == "reshape":
            return mask & wrong.reshape(mask.shape)
        if isinstance(node.op.kernel, Reduction):
            axes = node.attributes["axes"]
            return mask & np.expand_dims(wrong, axes)
        return mask

    def first(self, results: Sequence[Node], nan_only: bool = False) -> tuple[Node, Array] | None:
        """The first node that made a bad number which reached one of the results, and where it did.

        Args:
            results: nodes of the graph.
            nan_only: whether to look for NaN alone, which may have come of an infinity made before.
        """
        bad = {key: mask & np.isnan(self.values[key]) for key, mask in self.bad.items()} if nan_only else self.bad
        reached = {id(node): bad[id(node)] for node in results if id(node) in bad}
        first: tuple[Node, Array] | None = None
        for node in reversed(self.nodes):
            wrong = reached.get(id(node))
            if wrong is None or not wrong.any():
                continue
            for number, parent in enumerate(node.inputs):
                if id(parent) in bad:
                    used = self._reached(node, number, wrong, bad[id(parent)])
                    reached[id(parent)] = reached.get(id(parent), np.zeros_like(used)) | used
            if (made := wrong & ~self._handed_on(node, wrong, bad)).any():
                first = node, made
        return first


def not_finite(value: Array) -> Array | None:
    """Where an array of floats is NaN or infinite; None where it is not, or holds no floats."""
    if value.dtype.kind != "f":
        return None
    wrong = ~np.isfinite(value)
    return wrong if wrong.any() else None
