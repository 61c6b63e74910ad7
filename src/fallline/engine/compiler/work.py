"""How much a kernel does in one step, as plans predict it and profiles measure it."""

import math
from dataclasses import dataclass

from fallline.engine.compiler.code import BYTES
from fallline.engine.compiler.costs import cost
from fallline.engine.compiler.group import Group, Kind
from fallline.engine.compiler.groups import Grouping
from fallline.engine.compiler.layout import Layout, Memory, reads
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES, Contraction, Elementwise, Random, Reduction

FORWARD = "forward"
"""The part of a step to which nodes belong that nobody added: neither backpropagation nor gradient descent."""
RANDOM_COST = 40
"""Instructions for sixteen random numbers, roughly."""


@dataclass(frozen=True)
class Work:
    """What a kernel does in one step.

    Attributes:
        part: "forward", "backpropagation", "gradient descent", or several, joined by " + ".
        size: rows × terms of each sum × columns of a product, the shape of the result of anything else.
        multiply_adds: of products; each is two operations.
        instructions: on sixteen lanes of four bytes, of which some may lie idle; roughly.
        bytes: of the tensors that it reads and writes, each once.
        rows: that it takes from the data set, wherever they lie; of several inputs together.
    """

    part: str
    size: str
    multiply_adds: int
    instructions: int
    bytes: int
    rows: int


def work_of(group: Group, grouping: Grouping, memory: Memory) -> Work:
    """The work of a group's kernel.

    Args:
        group: the nodes that the kernel computes.
        grouping: all groups of the program.
        memory: where the program's tensors lie.
    """
    parts = dict.fromkeys(node.origin or FORWARD for node in group.nodes)
    root = group.root
    if root is not None and group.kind is Kind.PRODUCT:
        *stack, rows, terms = _shape(root.inputs[0])
        size, adds = (*stack, rows, terms, _shape(root)[-1]), math.prod(_shape(root.inputs[0])) * _shape(root)[-1]
    else:
        size, adds = _shape((group.stored or group.nodes)[0]), 0
    moved = _moved(group, grouping, memory)
    return Work(
        part=" + ".join(parts),
        size="×".join(map(str, size)) or "1",
        multiply_adds=adds,
        instructions=sum(_instructions(node) for node in group.nodes),
        bytes=sum(math.prod(layout.shape) * BYTES[layout.dtype] for layout in moved),
        rows=sum(layout.shape[0] for layout in moved if layout.base.startswith("input:")),
    )


def _instructions(node: Node) -> int:
    """Of one node; what is computed again inside other nodes costs little and is left out."""
    form, shape = node.op.kernel, _shape(node)
    wide = -(-BYTES[node.type.dtype] // 4)
    if isinstance(form, Contraction):
        return wide * math.prod(_shape(node.inputs[0])) * -(-shape[-1] // LANES)
    if isinstance(form, Reduction):
        return wide * _vectors(_shape(node.inputs[0]))
    each = cost(node) if isinstance(form, Elementwise) else RANDOM_COST if isinstance(form, Random) else 1
    return wide * each * _vectors(shape)


def _vectors(shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) // LANES)


def _moved(group: Group, grouping: Grouping, memory: Memory) -> list[Layout]:
    """Results that are stored, and what is read of other kernels, of the state and of the data set."""
    written = [memory.layouts[id(node)] for node in group.stored if id(node) in memory.layouts]
    copied = {id(node): memory.sources[id(node)] for node in group.nodes if id(node) in memory.sources}
    others = [base for base in reads(grouping, group) if grouping.owner.get(id(base)) is not group]
    read = {id(base): memory.layouts[id(base)] for base in others if id(base) in memory.layouts}
    return [*written, *(read | copied).values()]


def _shape(node: Node) -> tuple[int, ...]:
    """A shape whose sizes are known by now."""
    return tuple(int(size) for size in node.type.shape)  # type: ignore[arg-type]
