"""The rows that a network finds hardest: suspects of a wrong label.

A network that trains long enough learns wrong labels, too, but late, and against its other rows. So rows are judged not
only at the end, but at several moments of the training, computed again by replay: the mean of the loss, and of the
margin by which a row's own class is ahead.

Source of the mean margin: Pleiss, Zhang, Elenberg & Weinberger 2020, "Identifying Mislabeled Data using the Area Under
the Margin Ranking", arXiv:2001.10528.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.insight.judged_rows import Judge, Judged, seen_as
from fallline.insight.leave_out import LeftOut, left_out, steps_taken
from fallline.insight.number_columns import aligned, plain, printable, table
from fallline.insight.run_rows import RunRows, rows_of
from fallline.training.arguments import whole_number

Array = NDArray[Any]
MOMENTS = 8
CELLS_SHOWN = 4


@dataclass(frozen=True)
class Suspect:
    """A hard row.

    Attributes:
        row: its number among the training rows.
        loss: its loss, the mean over the moments.
        last_loss: its loss at the last of them.
        margin: by how much its own class is ahead, in the network's outputs, the mean over the moments; negative where
            another one is. None where the targets are no classes.
        label: its target, by name where classes have names.
        seen_as: the class that the network takes it for; "" where the targets are no classes.
        place, cells: where it is in the source, and its values there, where that is known.
        left_out: the training without it, where that was asked for.
    """

    row: int
    loss: float
    last_loss: float
    margin: float | None
    label: str
    seen_as: str
    place: str = ""
    cells: dict[str, str] = field(default_factory=dict)
    left_out: LeftOut | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "left_out": None if self.left_out is None else self.left_out.to_json()}


@dataclass(frozen=True)
class Suspects:
    """The hardest rows of a run, the hardest first: by their places in the orders of loss and margin, added.

    Attributes:
        suspects: them.
        rows: of how many training rows.
        moments: the steps after which they were judged.
    """

    suspects: tuple[Suspect, ...]
    rows: int
    moments: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        from fallline.training.run_folder import plain as plain_json

        found: dict[str, Any] = plain_json(
            {"rows": self.rows, "moments": list(self.moments), "suspects": [each.to_json() for each in self.suspects]}
        )
        return found

    def __str__(self) -> str:
        steps = ", ".join(f"{step:,}" for step in self.moments)
        lines = [
            f"The hardest of {self.rows:,} training rows, judged after step{'s' * (len(self.moments) > 1)} {steps}"
        ]
        losses = aligned([each.loss for each in self.suspects], sign=False)
        margins = aligned([each.margin or 0.0 for each in self.suspects])
        classes = any(each.margin is not None for each in self.suspects)
        heads = ["row", "mean loss", "mean margin", "label", "seen as", ""]
        cells = [heads if classes else [*heads[:2], "", "target", "", ""]]
        for each, loss, margin in zip(self.suspects, losses, margins, strict=True):
            shown = ", ".join(f"{name} {value}" for name, value in list(each.cells.items())[:CELLS_SHOWN])
            place = f"{each.place}: {shown}" if each.place else ""
            cells.append([str(each.row), loss, margin if classes else "", each.label, each.seen_as, place])
        lines += table(cells, [True, True, True, False, False, False])
        if classes:
            lines.append("  a negative margin: the network held another class to be likelier; look at its label first")
        told = ["\n".join(lines), *(str(each.left_out) for each in self.suspects if each.left_out)]
        return printable("\n\n".join(told))


def suspects(
    run: Any,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    count: int = 10,
    moments: int = MOMENTS,
    leave_out: int = 0,
) -> Suspects:
    """The training rows that a run's network finds hardest: suspects of wrong labels.

    Args:
        run: a `Run`, or a run's folder.
        x, y, sample_weight: of a folder the data, as `fit` was given them; not needed where `fallline train` made it.
        count: how many rows to name.
        moments: at how many moments of the training, evenly spread, rows are judged; 1 for the end alone.
        leave_out: for how many of them, from the first, to take the training again without the row (`leave_out`).

    Returns:
        The `Suspects`, the hardest first; `print` it, or take `.suspects`.

    Raises:
        ArgumentError: the loss is no sum over rows, or the data are not the run's.
        RunFolderError: there is no such run.
    """
    for name, value, least in (("count", count, 1), ("moments", moments, 1), ("leave_out", leave_out, 0)):
        whole_number(name, value, least, "suspects")
    found = rows_of(run, x, y, sample_weight, "suspects")
    return suspects_among(found, count, moments, leave_out)


def suspects_among(found: RunRows, count: int, moments: int = MOMENTS, leave_out: int = 0) -> Suspects:
    """`suspects`, of a run whose rows are known."""
    replayer, rows = found.replayer, found.replayer.recording.rows
    judge = Judge(replayer.recording.graphs.judge, replayer.engine, "suspects")
    steps = _spread(steps_taken(replayer), moments)
    judged = [judge(rows, replayer.state(step).values) for step in steps]
    losses = np.mean([each.losses for each in judged], axis=0)
    margins = None
    if judged[0].margins is not None:
        margins = np.mean([each.margins for each in judged if each.margins is not None], axis=0)
    order = np.argsort(_rank(-losses) + (_rank(margins) if margins is not None else 0), kind="stable")[:count]
    told = [_suspect(found, judged, losses, margins, int(row)) for row in order]
    told = [replace(each, left_out=left_out(found, each.row)) if k < leave_out else each for k, each in enumerate(told)]
    return Suspects(tuple(told), len(rows), tuple(steps))


def _spread(last: int, count: int) -> list[int]:
    """So many steps up to the last, evenly spread."""
    return sorted({max(1, round(last * k / count)) for k in range(1, count + 1)})


def _rank(values: Array) -> Array:
    """The place of each in ascending order; NaN, of a training that diverged, first."""
    ranks = np.empty(len(values))
    ranks[np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")] = np.arange(len(values))
    return ranks


def _suspect(found: RunRows, judged: Sequence[Judged], losses: Array, margins: Array | None, row: int) -> Suspect:
    target = found.replayer.recording.rows.y[row]
    margin = None if margins is None else float(margins[row])
    outputs = np.mean([each.outputs[row] for each in judged], axis=0)
    seen = seen_as(outputs, margin)
    place, cells = ("", {}) if found.source is None else found.source(row)
    return Suspect(
        row=row,
        loss=float(losses[row]),
        last_loss=float(judged[-1].losses[row]),
        margin=margin,
        label=_class(found, target, margin is not None),
        seen_as="" if seen is None else _class(found, seen, True),
        place=place,
        cells=cells,
    )


def _class(found: RunRows, number: Any, is_class: bool) -> str:
    """A class by its name, or by its number; a target that is none by its numbers."""
    flat = np.asarray(number).reshape(-1)
    if not is_class:
        return ", ".join(plain(value) for value in flat[:3].tolist()) + (", …" if flat.size > 3 else "")
    place = int(flat[0] > 0) if flat.dtype.kind == "f" else int(flat[0])
    return found.classes[place] if 0 <= place < len(found.classes) else str(place)
