"""Small tables: how many epochs are enough is found on rows set aside; then all rows are trained on for so many.

Every row counts where there are few: a network that has seen the validation rows, too, has seen a quarter more. The
first training chooses the number of epochs by its validation loss, the second one has the whole schedule in that many.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

from fallline.errors import ArgumentError, FalllineError
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.train import TableRun, train_table
from fallline.training.progress import ProgressView
from fallline.training.run_folder import SELECTION
from fallline.training.run_reader import StoredRun

FEW_ROWS = 10_000
"""With fewer rows to learn from, two trainings are worth their time."""
WHOLE = ("epochs", "patience")
"""Why a training has stopped that was not disturbed."""


@dataclass(frozen=True)
class Selection:
    """What a training on a part of the rows has found for one on all.

    Attributes:
        epochs: after which the validation loss was lowest.
        rows: of each part: "training", "validation".
        scores: on the validation rows.
        history: of each epoch, as `Run.history` has it.
    """

    epochs: int
    rows: dict[str, int]
    scores: dict[str, float]
    history: dict[str, list[float]]

    @classmethod
    def of(cls, first: TableRun) -> Self:
        """What that training found."""
        best = first.run.best_epoch
        rows = {name: len(part) for name, part in first.prepared.parts.items() if name != "test"}
        epochs = first.run.epochs if best is None else best + 1
        return cls(epochs, rows, first.validation_scores, first.run.history)

    @classmethod
    def of_run(cls, stored: StoredRun) -> Self | None:
        """What stands in the folder of the training on all rows; None where none was made before it, or it is lost."""
        try:
            known = stored.made_by[SELECTION]
            lines = StoredRun(stored.path / SELECTION, stored.call).history()
            names = [name for name, value in lines[0].items() if isinstance(value, float)]
            history = {name: [float(line[name]) for line in lines] for name in names}
            rows = {name: int(known["rows"][name]) for name in ("training", "validation")}
            scores = {name: math.nan if value is None else float(value) for name, value in known["scores"].items()}
            return cls(int(known["epochs"]), rows, scores, history)
        except (FalllineError, LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError):
            return None

    def to_json(self) -> dict[str, Any]:
        """For run.json; the history has its own file."""
        return {"epochs": self.epochs, "rows": self.rows, "scores": self.scores}

    def told(self) -> str:
        """A sentence for a person."""
        training, validation = self.rows["training"], self.rows["validation"]
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"
        return (
            f"{epochs} of training on {training:,} rows gave the lowest loss on the {validation:,} set aside for "
            f"validation; all {training + validation:,} rows are trained on for as many."
        )


def selects(prepared: Prepared, options: TableOptions) -> bool:
    """Whether a training on these parts only chooses the number of epochs for one on all rows.

    Raises:
        ArgumentError: that is asked for, and no share of the rows is set aside for validation.
    """
    share = isinstance(options.validation, int | float)
    if options.refit is not None:
        if options.refit and not share:
            raise ArgumentError(
                "a training on all rows follows one with a share of them set aside for validation, and there is no "
                "such share here; give one, or leave --refit away"
            )
        return options.refit
    rows = sum(len(part) for name, part in prepared.parts.items() if name != "test")
    asked = options.epochs is not None or options.patience is not None or options.init is not None
    return share and not asked and rows < FEW_ROWS


def on_all_rows(first: TableRun, options: TableOptions) -> tuple[Prepared, TableOptions]:
    """(the table prepared for the second training, its options).

    Args:
        first: the first training, done.
        options: its options.
    """
    before, found = first.prepared, Selection.of(first)
    rate = before.recipe.learning_rate if before.rate_trial else options.learning_rate
    options = replace(options, validation=None, epochs=found.epochs, patience=None, learning_rate=rate, refit=False)
    prepared = prepare(before.source, before.target, options)
    prepared.notices = [*before.notices, found.told()]  # what is told of the rows was told before
    prepared.rate_trial, prepared.selection = before.rate_trial, found
    return prepared, options


def train_well(prepared: Prepared, options: TableOptions, progress: bool | ProgressView | None = None) -> TableRun:
    """Train on a prepared table as `fallline train` does, in two trainings where the rows are few.

    Args:
        prepared: from `prepare`.
        options: the same as given to it.
        progress: as in `fl.fit`.
    """
    result = train_table(prepared, options, progress=progress)
    if selects(prepared, options) and result.run.stopped in WHOLE:
        second = train_table(*on_all_rows(result, options), progress=progress)
        return replace(second, seconds=result.seconds + second.seconds)
    return result
