"""Programs by either engine: compiled where that works, else the reference walk, with a warning."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fallline.engine.reference import ReferenceProgram
from fallline.errors import ArgumentError, CompileError
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Contraction, Elementwise, IndexMap, Leaf, Reduction
from fallline.ir.types import BATCH, SymbolicDim

Array = NDArray[Any]
log = logging.getLogger("fallline")
COMPILED, REFERENCE = "compiled", "reference"
ENGINES = (COMPILED, REFERENCE)
CAPACITIES = (1, 16, 128, 1024)
"""Rows that a forward program is made for: the smallest that holds all, else the largest, chunk by chunk."""
NARROW = 1024
NARROW_CAPACITY, NARROW_MANY = 8192, 32768
"""A network of at most so many numbers per row takes so many rows at a time, where there are so many in all."""
WIDE_CAPACITIES = (1, 16, 64)
"""The same for any other, which little is filled up for: its rows are work."""
WIDE_CAPACITY, WIDE_MANY = 256, 16384
"""And so many rows at a time, whose numbers stay in the second cache, where another program is worth compiling."""


def make_program(
    graph: Graph, sizes: Mapping[str, int], shards: int = 1, engine: str = COMPILED, threads: int | None = None
) -> Any:
    """A graph made ready for one number of rows: called with inputs by name, it gives outputs by name.

    Args:
        graph: what to compute.
        sizes: the value of each symbolic dimension.
        shards: fixed slices over which sums over rows are cut.
        engine: "compiled" or "reference".
        threads: how many run it on the compiled engine; None chooses by its work.

    Where the graph cannot be compiled, a warning is logged and the reference walk is taken.
    """
    if engine == COMPILED:
        try:
            from fallline.engine.compiled import CompiledProgram

            return CompiledProgram(graph, sizes, shards, threads)
        except RecursionError:
            warn_of_fallback(CompileError("the graph is too deep for the compiler"))
        except (CompileError, ImportError) as error:
            warn_of_fallback(error)
    return ReferenceProgram(graph, sizes, shards)


def warn_of_fallback(error: Exception) -> None:
    """Tell that the reference walk is taken, and why."""
    log.warning(
        "The compiled engine could not be used (%s); the reference engine computes instead: slower, "
        "and not with the same bits.",
        error,
    )


class ForwardProgram:
    """A graph for any number of rows, whose outputs have a row for each row of the batch.

    Where no row of a result depends on another row, one program of a fixed number of rows serves for all: chunk by
    chunk, the last one filled up. Otherwise a program is made for each number of rows.

    Raises:
        ArgumentError: an output is no tensor of rows.
    """

    def __init__(self, graph: Graph, engine: str = COMPILED) -> None:
        for name, node in graph.outputs.items():
            if node.type.shape[:1] != (BATCH,):
                raise ArgumentError(
                    f"a forward program needs outputs with a row per row of the batch, {name!r} has none"
                )
        self._graph, self._engine = graph, engine
        self._local = engine == COMPILED and rows_are_independent(graph)
        self._programs: dict[int, Any] = {}
        self._numbers_per_row = sum(_per_row(node) for node in graph.nodes())
        self._rows = [name for name, node in graph.inputs.items() if node.type.shape[:1] == (BATCH,)]

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs for all rows of the inputs."""
        count = len(inputs[self._rows[0]])
        if not self._local or not count:
            return self._all(inputs, count)
        program = self._program(self._capacity(count))
        if isinstance(program, ReferenceProgram):
            self._local, self._engine = False, REFERENCE
            return self._all(inputs, count)
        found: dict[str, Array] = program.chunked(inputs, count)
        return found

    def _capacity(self, count: int) -> int:
        """How many rows the program takes that does the least work beside so many."""
        narrow = self._numbers_per_row <= NARROW
        if count >= (NARROW_MANY if narrow else WIDE_MANY):
            return NARROW_CAPACITY if narrow else WIDE_CAPACITY
        capacities = CAPACITIES if narrow else WIDE_CAPACITIES
        return next((size for size in capacities if count <= size), capacities[-1])

    @property
    def rows_at_once(self) -> int:
        """How many rows to give it in a call, where there are many: what it needs beside them stays small."""
        return 1 << 16 if self._local else 1 << 12

    def _all(self, inputs: Mapping[str, Array], count: int) -> dict[str, Array]:
        found: dict[str, Array] = self._program(count)(inputs)
        return found

    def _program(self, rows: int) -> Any:
        if rows not in self._programs:
            self._programs[rows] = make_program(
                self._graph, {BATCH.name: rows}, engine=self._engine if rows else REFERENCE
            )
        return self._programs[rows]


def rows_are_independent(graph: Graph) -> bool:
    """Whether row i of every node that has rows depends on row i of the inputs alone."""
    return all(_keeps_rows_apart(node) for node in graph.nodes())


def _keeps_rows_apart(node: Node) -> bool:
    """Whether that holds for a node if it holds for its inputs; the rows may lie along any one of its axes."""
    shape, form, name, attributes = node.type.shape, node.op.kernel, node.op.name, node.attributes
    places = [_rows_axes(parent) for parent in node.inputs]
    if len(_rows_axes(node)) > 1 or any(len(axes) > 1 for axes in places) or name == "dim_size":
        return False
    if isinstance(form, Leaf):
        return _rows_axes(node) in ([], [0])
    if not any(places):
        return not _has_rows(node) or name == "broadcast"
    if not _has_rows(node):
        return False
    (axis,), given = _rows_axes(node), [axes[0] if axes else None for axes in places]
    before = next(place for place in given if place is not None)
    first = node.inputs[0].type.shape
    if isinstance(form, Elementwise):
        return all(place in (axis, None) for place in given)
    if isinstance(form, Contraction):
        batched = len(shape) - 2
        return given == [axis, axis] if given[1] is not None else axis <= batched
    if isinstance(form, Reduction):
        return before not in attributes["axes"]
    if not isinstance(form, IndexMap):
        return False
    if name == "concatenate":
        return bool(attributes["axis"] != axis)
    if name == "take":
        return given == [None, 0] and axis == 0
    if name == "broadcast":
        return len(shape) - axis == len(first) - before
    if name == "reshape":
        return axis == before and shape[:axis] == first[:axis]
    if name in ("slice", "embed"):
        return bool(attributes["starts"][axis] == 0 and attributes["steps"][axis] == 1)
    return name == "transpose"


def _rows_axes(node: Node) -> list[int]:
    return [axis for axis, dim in enumerate(node.type.shape) if isinstance(dim, SymbolicDim)]


def _per_row(node: Node) -> int:
    """How many numbers of a tensor belong to one row of the batch."""
    return math.prod(_bound(dim, 1) for dim in node.type.shape) if _has_rows(node) else 0


def _has_rows(node: Node) -> bool:
    return bool(_rows_axes(node))


def multiply_adds(graph: Graph, rows: int) -> int:
    """Multiply-adds of all products of a graph for that many rows."""
    total = 0
    for node in graph.nodes():
        if isinstance(node.op.kernel, Contraction):
            left, right = (parent.type.shape for parent in node.inputs)
            total += math.prod(_bound(dim, rows) for dim in left) * _bound(right[-1], rows)
    return total


def _bound(dim: Any, rows: int) -> int:
    return dim.factor * rows if isinstance(dim, SymbolicDim) else int(dim)
