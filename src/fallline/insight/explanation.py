"""An explanation of one weight: what backpropagation says of it and why, and what gradient descent makes of that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.insight.opening import Opening, Term
from fallline.insight.parts import PartedSum
from fallline.insight.slope_check import SlopeCheck
from fallline.insight.update_terms import Update

Array = NDArray[Any]


@dataclass(frozen=True)
class RowShare:
    """What one row contributes to dL/dw.

    Attributes:
        row: its number in the data.
        share: the sum of its shares; a positive one makes gradient descent lower the weight, a negative one raise it.
        place: where it is in the source, where that is known: "penguins, row 12".
        cells: its values there, by column.
    """

    row: int
    share: float
    place: str = ""
    cells: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Explanation:
    """One weight or bias at one step: its gradient taken apart, checked, and the update that follows.

    `print` tells it; `to_markdown()` and `to_json()` do for pages.

    Attributes:
        weight: dotted name and place: "2.weight[5,3]".
        before: its value.
        loss: L of the batch, before the update.
        loss_name: of the loss.
        batch: how many rows the step has.
        where: where the weight meets the network: "0 (Linear): matmul".
        gradient: dL/dw as backpropagation stored it.
        dtype: of the engine's numbers.
        sum: dL/dw as a sum: the shares of all terms, the largest shown, the others, the rounding.
        parts: the terms that are shown; each is activation × delta: `.factor`, `.delta`, `.share`, `.row`.
        chain: the delta of the first part, opened one part of the network at a time, down to the loss.
        check: the gradient beside float64 and finite differences.
        update: what the optimizer makes of it; None without one.
        activations, deltas, rows: of all terms: (terms,); rows by their numbers in the data, −1 for none.
        run, step, epoch: of a run; "", None and None of a network.
        verified_at: the step after which the replayed weights had the hash that the run recorded; None where unknown.
        row: the row that was asked for, or None.
    """

    weight: str
    before: float
    loss: float
    loss_name: str
    batch: int
    where: tuple[str, ...]
    gradient: float
    dtype: str
    sum: PartedSum
    parts: tuple[Term, ...]
    chain: tuple[Opening, ...]
    check: SlopeCheck
    update: Update | None
    activations: Array = field(repr=False)
    deltas: Array = field(repr=False)
    rows: Array = field(repr=False)
    run: str = ""
    step: int | None = None
    epoch: int | None = None
    verified_at: int | None = None
    row: int | None = None
    source: Callable[[int], tuple[str, dict[str, str]]] | None = field(default=None, repr=False)

    @property
    def shares(self) -> Array:
        """activation × delta of every term, float64."""
        return self.sum.parts

    @property
    def summands(self) -> tuple[float, ...]:
        """The shares shown, the sum of the others, and the rounding: `math.fsum` of them is the stored gradient."""
        return self.sum.summands

    @property
    def is_bias(self) -> bool:
        """Whether every activation is 1: the weight is added to something."""
        return bool(len(self.activations)) and bool(np.all(self.activations == 1.0))

    def by_row(self) -> list[RowShare]:
        """What each row contributes, the largest share first."""
        known = self.rows >= 0
        numbers, which = np.unique(self.rows[known], return_inverse=True)
        shares = np.zeros(len(numbers))
        np.add.at(shares, which, self.shares[known])
        order = np.argsort(-shares, kind="stable")
        return [RowShare(int(numbers[k]), float(shares[k])) for k in order]

    def rows_down(self, count: int = 3) -> list[RowShare]:
        """The rows that push the weight down most: those with the largest positive shares of dL/dw."""
        return [self._placed(share) for share in self.by_row()[:count] if share.share > 0.0]

    def rows_up(self, count: int = 3) -> list[RowShare]:
        """The rows that push the weight up most: those with the most negative shares of dL/dw."""
        return [self._placed(share) for share in self.by_row()[::-1][:count] if share.share < 0.0]

    def _placed(self, share: RowShare) -> RowShare:
        if self.source is None:
            return share
        place, cells = self.source(share.row)
        return RowShare(share.row, share.share, place, cells)

    def __str__(self) -> str:
        from fallline.insight.explanation_text import text

        return text(self)

    def to_markdown(self) -> str:
        """The explanation as Markdown, with tables."""
        from fallline.insight.explanation_markdown import markdown

        return markdown(self)

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain JSON: the parts that are shown, the chain, the check, the update, rows up and down.

        Numbers that are not finite are null.
        """
        from fallline.training.run_folder import plain

        found: dict[str, Any] = plain(
            {
                **{name: getattr(self, name) for name in _PLAIN},
                "where": list(self.where),
                "terms": len(self.shares),
                "parts": [part.to_json() for part in self.parts],
                "others": {"sum": self.sum.others, "count": self.sum.hidden},
                "rounding": list(self.sum.rounding),
                "chain": [opening.to_json() for opening in self.chain],
                "check": self.check.to_json(),
                "update": None if self.update is None else self.update.to_json(),
                "rows_up": _json(self.rows_up()),
                "rows_down": _json(self.rows_down()),
            }
        )
        return found


_PLAIN = (
    "weight", "before", "gradient", "dtype", "loss", "loss_name", "batch", "run", "step", "epoch", "verified_at", "row",
    "is_bias",
)  # fmt: skip


def _json(shares: Sequence[RowShare]) -> list[dict[str, Any]]:
    return [share.to_json() for share in shares]
