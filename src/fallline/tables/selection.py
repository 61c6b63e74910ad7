"""Small tables: how many epochs are enough is found on rows set aside; then all rows are trained on for so many.

Every row counts where there are few: a network that has seen the validation rows, too, has seen a quarter more. The
first training chooses the number of epochs by its validation loss, the second one has the whole schedule in that many.
Where the rows set aside are enough to tell, the plain recipe is tried, too, and the better of both is trained with.
"""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any, Self

from fallline.errors import ArgumentError, FalllineError
from fallline.tables.network import NetworkPlan
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.recipe import PLAIN, USUAL, network_plan, plain_recipe
from fallline.tables.train import TableRun, require_uninterrupted, train_table, unlogged
from fallline.training.progress import ProgressView
from fallline.training.run_folder import SELECTION
from fallline.training.run_reader import StoredRun

FEW_ROWS = 10_000
"""With fewer rows to learn from, two trainings are worth their time."""
ENOUGH_ROWS = 2_000
"""With fewer, those set aside for validation tell two recipes no better apart than chance does."""
WHOLE = ("epochs", "patience")
"""Why a training has stopped that was not disturbed."""


@dataclass(frozen=True)
class Selection:
    """What trainings on a part of the rows have found for one on all.

    Attributes:
        epochs: after which the validation loss was lowest.
        rows: of each part: "training", "validation".
        scores: on the validation rows.
        history: of each epoch, as `Run.history` has it.
        recipe: which one that was; "auto" where only one was tried.
        losses: the lowest validation loss of each recipe, where two were tried.
    """

    epochs: int
    rows: dict[str, int]
    scores: dict[str, float]
    history: dict[str, list[float]]
    recipe: str = "auto"
    losses: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, first: TableRun, plain: TableRun | None = None) -> Self:
        """What the training with the usual recipe found, and the one with the plain recipe, if there was one."""
        losses = {} if plain is None else {USUAL: _lowest_loss(first), PLAIN: _lowest_loss(plain)}
        chosen = _better(first, plain)
        recipe = "auto" if plain is None else PLAIN if chosen is plain else USUAL
        best = chosen.run.best_epoch
        rows = {name: len(part) for name, part in first.prepared.parts.items() if name != "test"}
        epochs = chosen.run.epochs if best is None else best + 1
        return cls(epochs, rows, chosen.validation_scores, chosen.run.history, recipe, losses)

    @classmethod
    def of_run(cls, stored: StoredRun) -> Self | None:
        """What stands in the folder of the training on all rows; None where none was made before it, or it is lost."""
        try:
            known = stored.made_by[SELECTION]
            history = known.get("history") or _history(StoredRun(stored.path / SELECTION, stored.call))
            history = {str(name): [float(value) for value in values] for name, values in history.items()}
            rows = {name: int(known["rows"][name]) for name in ("training", "validation")}
            scores = {name: _number(value) for name, value in known["scores"].items()}
            recipe = str(known.get("recipe", "auto"))
            losses = {name: _number(known["losses"][name]) for name in (USUAL, PLAIN)} if "losses" in known else {}
            if recipe not in (losses or ("auto",)):
                raise ValueError(recipe)
            return cls(int(known["epochs"]), rows, scores, history, recipe, losses)
        except (FalllineError, LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError):
            return None

    def to_json(self) -> dict[str, Any]:
        """For run.json; the history of a training with the usual recipe has its own file."""
        found: dict[str, Any] = {"epochs": self.epochs, "rows": self.rows, "scores": self.scores}
        if self.losses:
            finite = {name: loss if math.isfinite(loss) else None for name, loss in self.losses.items()}
            found |= {"recipe": self.recipe, "losses": finite}
        if self.recipe == PLAIN:
            found["history"] = {name: values for name, values in self.history.items() if name != "seconds"}
        return found

    def told(self) -> str:
        """A sentence or two for a person."""
        training, validation = self.rows["training"], self.rows["validation"]
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"
        found = (
            f"{epochs} of training on {training:,} rows gave the lowest loss on the {validation:,} set aside for "
            f"validation; all {training + validation:,} rows are trained on for as many."
        )
        if not self.losses:
            return found
        better = "better" if self.recipe == PLAIN else "no better"
        losses = f"validation losses {self.losses[PLAIN]:.4g} and {self.losses[USUAL]:.4g}"
        return f"A narrow network on the numbers as they are was {better} than the usual one ({losses}). {found}"


def _number(stored: Any) -> float:
    """One that run.json holds; null where it was not finite."""
    return math.nan if stored is None else float(stored)


def _better(first: TableRun, plain: TableRun | None) -> TableRun:
    """Which training had the lower validation loss; the first one where both are alike."""
    return plain if plain is not None and _lowest_loss(plain) < _lowest_loss(first) else first


def _lowest_loss(trained: TableRun) -> float:
    """On the validation rows; infinity where there is no finite one."""
    losses = trained.run.history.get("validation_loss", [])
    return min((loss for loss in losses if math.isfinite(loss)), default=math.inf)


def _history(stored: StoredRun) -> dict[str, list[Any]]:
    """Of the training in that folder."""
    lines = stored.history()
    names = [name for name, value in lines[0].items() if isinstance(value, float)]
    return {name: [line[name] for line in lines] for name in names}


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


def on_all_rows(
    first: TableRun, options: TableOptions, progress: bool | ProgressView | None = False
) -> tuple[Prepared, TableOptions]:
    """(the table prepared for the second training, its options).

    Where it may be worth it, the plain recipe is tried before.

    Args:
        first: the first training, done.
        options: its options.
        progress: of that trial, as in `fl.fit`.
    """
    before = first.prepared
    plain = _with_the_plain_recipe(before, options, progress) if _may_be_noisy(before, options) else None
    found = Selection.of(first, plain)
    rate = _better(first, plain).prepared.recipe.learning_rate
    recipe = found.recipe if found.losses else options.recipe
    options = replace(
        options, validation=None, epochs=found.epochs, patience=None, learning_rate=rate, recipe=recipe, refit=False
    )
    prepared = prepare(before.source, before.target, options)
    prepared.notices = [*before.notices, found.told()]  # what is told of the rows was told before
    prepared.rate_trial, prepared.selection = before.rate_trial, found
    return prepared, options


def _may_be_noisy(prepared: Prepared, options: TableOptions) -> bool:
    """Whether the plain recipe is tried, too: nobody asked for another, and enough rows can tell the two apart."""
    asked = (
        options.hidden, options.activation, options.dropout, options.optimizer, options.learning_rate,
        options.schedule, options.batch_size, options.init,
    )  # fmt: skip
    rows = len(prepared.parts["training"]) + len(prepared.parts["validation"])
    pieces = isinstance(prepared.plan, NetworkPlan) and prepared.plan.pieces > 0
    return options.recipe == "auto" and not any(wish is not None for wish in asked) and pieces and rows >= ENOUGH_ROWS


def _with_the_plain_recipe(prepared: Prepared, options: TableOptions, progress: bool | ProgressView | None) -> TableRun:
    """The same training with that recipe, which leaves nothing behind but what it found."""
    recipe = plain_recipe(prepared.recipe, len(prepared.parts["training"]), prepared.task)
    plan = network_plan(prepared.encoder, prepared.plan.outputs, recipe, prepared.matrices["training"][0])
    with unlogged():
        trial = train_table(replace(prepared, recipe=recipe, plan=plan), options, progress=progress)
    require_uninterrupted(trial.run)
    return trial


def train_well(prepared: Prepared, options: TableOptions, progress: bool | ProgressView | None = None) -> TableRun:
    """Train on a prepared table as `fallline train` does, in two trainings where the rows are few.

    Args:
        prepared: from `prepare`.
        options: the same as given to it.
        progress: as in `fl.fit`.
    """
    started = time.perf_counter()
    result = train_table(prepared, options, progress=progress)
    if selects(prepared, options) and result.run.stopped in WHOLE:
        result = train_table(*on_all_rows(result, options, progress), progress=progress)
    return replace(result, seconds=time.perf_counter() - started)
