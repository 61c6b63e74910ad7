"""A group: the nodes that one kernel computes."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from fallline.ir.graph import Node


class Kind(StrEnum):
    """What a group's kernel loops over."""

    ROWS = "rows"
    COLUMNS = "columns"
    PRODUCT = "product"
    SCATTER = "scatter"
    TRANSPOSE = "transpose"
    COPY = "copy"


@dataclass(eq=False)
class Group:
    """Nodes computed by one kernel.

    Attributes:
        number: in order of making; not of execution.
        kind: what it loops over.
        row_shape: the axes that are rows; for products all but the last, for column reductions none.
        batch: how many of its rows belong to one row of the batch; 0 where its rows are no rows of the batch.
        root: the product, reduction or scatter at its heart; the tensor that a copy copies.
        nodes: in the order in which they can be computed, the root first.
        stored: those whose values others need, or that are results.
        stage: filled in by `stages.py`.
    """

    number: int
    kind: Kind
    row_shape: tuple[int, ...]
    batch: int
    root: Node | None
    nodes: list[Node] = field(default_factory=list)
    inputs: set["Group"] = field(default_factory=set)
    stored: list[Node] = field(default_factory=list)
    stage: int = 0

    @property
    def rows(self) -> int:
        return math.prod(self.row_shape)

    @property
    def row_axes(self) -> int:
        return len(self.row_shape)
