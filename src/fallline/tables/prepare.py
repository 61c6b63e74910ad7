"""A table understood, split and encoded: every decision before training, each one told."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.data.by_blocks import any_of, computed
from fallline.data.encoders import TableEncoder
from fallline.data.table import Table
from fallline.data.targets import ClassTarget, NumberTarget, drop_missing_targets
from fallline.errors import ArgumentError
from fallline.tables.checks import (
    judging_weights,
    require_kept,
    require_rows,
    require_training_rows,
    row_weights,
)
from fallline.tables.columns import ColumnInfo, describe_columns, infer_task, with_identifiers
from fallline.tables.findings import about_rows
from fallline.tables.image_recipe import image_plan, image_recipe
from fallline.tables.images import describe_images, require_whole_images, row_shape
from fallline.tables.model import TableModel
from fallline.tables.network import NetworkPlan, require_memory
from fallline.tables.parts import HELD_OUT, about_time, chosen_split, split_table
from fallline.tables.rate_trial import RateTrial
from fallline.tables.recipe import PLAIN, USUAL, Recipe, default_recipe, in_epochs, network_plan, plain_recipe
from fallline.tables.target_scale import fit_number_target
from fallline.training.arguments import whole_number

if TYPE_CHECKING:
    from fallline.tables.selection import Selection

Array = NDArray[Any]
TASKS = ("auto", "classification", "regression")
RECIPES = ("auto", USUAL, PLAIN)
LEAST_PATIENCE = 10


@dataclass
class TableOptions:
    """What the user may decide; None leaves it to the recipe.

    With `validation` None no row is set aside for validation, with `test_part` false none for the test. `refit` tells
    whether all rows are trained on, once those set aside for validation have told for how many epochs (selection.py).
    """

    task: str = "auto"
    validation: float | Table | None = HELD_OUT
    test: Table | None = None
    test_part: bool = True
    drop: tuple[str, ...] = ()
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    dropout: float | None = None
    optimizer: str | None = None
    learning_rate: float | str | None = None
    schedule: str | None = None
    batch_size: int | str | None = None
    epochs: int | None = None
    patience: int | None = None
    class_weight: str | None = None
    weight_column: str | None = None
    time_column: str | None = None
    target_scale: str = "auto"
    recipe: str = "auto"
    refit: bool | None = None
    init: TableModel | None = None
    seed: int = 0
    threads: int | None = None
    shards: int = 1


@dataclass
class Prepared:
    """A table understood, split and encoded: everything that training needs, before it starts.

    Attributes:
        source: the table.
        target: the target's name.
        task: "classification" or "regression".
        task_reason: why.
        infos: what each other column is.
        parts: the tables of the training rows and, where there are such, the validation and test rows.
        encoder, codec: of columns and target, fitted on the training rows alone.
        matrices: (encoded rows, encoded targets) of each part.
        weights: sample weights of the training rows, or None.
        validation_weights: the same of the validation rows.
        plan: the network's shape.
        recipe: the settings, the user's wishes taken in.
        notices: what a person should be told.
        patience: training stops after so many epochs without a lower validation loss; None for never.
        rate_trial: what was found where the learning rate was "auto" and training has begun.
        selection: where this is a second training, on all rows: what the first one found.
    """

    source: Table
    target: str
    task: str
    task_reason: str
    infos: list[ColumnInfo]
    parts: dict[str, Table]
    encoder: TableEncoder
    codec: ClassTarget | NumberTarget
    matrices: dict[str, tuple[Array, Array]]
    weights: Array | None
    plan: NetworkPlan
    recipe: Recipe
    notices: list[str] = field(default_factory=list)
    validation_weights: Array | None = None
    patience: int | None = None
    rate_trial: RateTrial | None = None
    selection: "Selection | None" = None

    @property
    def validation(self) -> tuple[Array, ...] | None:
        """What training is judged by: (x, y), with weights (x, y, weights); None without validation rows."""
        if "validation" not in self.matrices:
            return None
        x, y = self.matrices["validation"]
        return (x, y) if self.validation_weights is None else (x, y, self.validation_weights)

    @property
    def metric(self) -> str:
        """The metric that counts."""
        return "accuracy" if self.task == "classification" else "rmse"

    @property
    def loss(self) -> str:
        """The loss of a network's outputs; see `train.training_loss` for an ensemble's."""
        return "cross_entropy" if self.task == "classification" else "mse"


def prepare(table: Table, target: str, options: TableOptions) -> Prepared:
    """Understand, split and encode a table.

    Raises:
        DataError: the target or the columns are not usable; the sentence says which and why.
        ArgumentError: an option does not fit.
    """
    source, notices = table, list(table.notices)
    target = table.resolve_column(target)
    dropped = [table.resolve_column(name) for name in options.drop]
    weight_column, time_column = (
        None if name is None else table.resolve_column(name) for name in (options.weight_column, options.time_column)
    )
    if target in (*dropped, weight_column, time_column):
        raise ArgumentError(f"the target {target!r} cannot be dropped, or be the weight or time column as well")
    require_kept(options.init, dropped, weight_column)
    require_whole_images(table, target, {*dropped, *filter(None, (weight_column, time_column))})
    table = drop_missing_targets(table, target)
    notices += [notice for notice in table.notices if notice not in notices]
    set_aside = isinstance(options.validation, float | int) + (options.test is None and options.test_part)
    require_rows(table, set_aside)
    task, reason = _task(table, target, options)
    table, codec = _codec(table, target, task, options)
    away = {*dropped, *([weight_column] if weight_column else [])}
    kept = table.drop(away)
    images = describe_images(kept, target)
    identifiers = [info for info in images or describe_columns(kept, target) if info.kind == "identifier"]
    names = [name for name in table.names if name not in {target, *away, *(info.name for info in identifiers)}]
    split = chosen_split(table, codec, names, time_column, set_aside, options.seed, notices)
    parts = split_table(table, target, options.validation, options.test, options.test_part, split, notices)
    training = parts["training"]
    if isinstance(codec, NumberTarget) and options.init is None:
        require_training_rows(training)
        codec = fit_number_target(training, target, options.target_scale, notices)  # of training rows alone
    inputs = training.drop(away)
    infos = describe_images(inputs, target) or with_identifiers(describe_columns(inputs, target), identifiers)
    if time_column is not None:
        notices.append(about_time(time_column, infos, set_aside))
    encoder = _encoder(training, infos, options, notices)
    matrices = _encoded(parts, encoder, codec, notices)
    shape = row_shape(encoder, inputs)
    if not shape:
        notices += about_rows(training, infos, codec, matrices["training"][1], options.class_weight is not None)
    held_out = len(parts["validation"]) if isinstance(options.validation, int | float) else 0
    chosen = _chosen_recipe(len(training), held_out, task, bool(shape), options)
    recipe = _recipe(chosen, len(training), options, notices)
    outputs = len(codec.classes) if isinstance(codec, ClassTarget) else 1
    x = matrices["training"][0]
    in_files = encoder.images is not None
    plan = image_plan(shape, outputs, recipe, in_files) if shape else network_plan(encoder, outputs, recipe, x)
    plan = plan if options.init is None else options.init.plan
    require_memory(plan)
    return Prepared(
        source, target, task, reason, infos, parts, encoder, codec, matrices,
        None if weight_column is None else row_weights(training, weight_column),
        plan, recipe, notices,
        judging_weights(parts.get("validation"), weight_column),
        _patience(recipe, options),
    )  # fmt: skip


def _task(table: Table, target: str, options: TableOptions) -> tuple[str, str]:
    if options.task not in TASKS:
        raise ArgumentError(f"task must be one of {', '.join(TASKS)}; found {options.task!r}")
    if options.task != "auto":
        return options.task, "as you said"
    if options.init is not None:
        return options.init.task, "as in the model that training starts from"
    return infer_task(table.column(target))


def _with_whole_labels(table: Table, target: str) -> Table:
    """Labels 1, 2, … that a missing one had turned into 1.0, 2.0, … as whole numbers again."""
    values = table.column(target)
    if values.dtype.kind != "f" or max(-values.min(), values.max()) >= 2.0**53:
        return table
    if any_of(len(values), lambda part: values[part] != np.floor(values[part])):
        return table
    whole = computed(len(values), np.int64, lambda part: values[part].astype(np.int64))
    return table.replaced({**table.columns, target: whole})


def _codec(table: Table, target: str, task: str, options: TableOptions) -> tuple[Table, ClassTarget | NumberTarget]:
    """What translates the target; and the table with whole labels written as such."""
    if options.class_weight is not None and task != "classification":
        raise ArgumentError(
            f"class weights are for classes, and {target!r} is predicted as a number; leave --class-weight away, "
            "or ask for --task classification"
        )
    if options.init is not None:
        return table, _same_target(options.init, target, task)
    if task == "regression":
        return table, NumberTarget.fit(table.column(target), target, table.place)
    table = _with_whole_labels(table, target)
    return table, ClassTarget.fit(table.column(target), target, table.place)


def _encoded(
    parts: dict[str, Table], encoder: TableEncoder, codec: ClassTarget | NumberTarget, notices: list[str]
) -> dict[str, tuple[Array, Array]]:
    """(rows, targets) of each part as numbers; what is wrong with any part is said before training begins."""
    matrices: dict[str, tuple[Array, Array]] = {}
    for name in (name for name in ("training", "validation", "test") if name in parts):
        part, target = parts[name], parts[name].column(codec.name)
        told: list[str] = []
        matrices[name] = (encoder.transform(part, told), codec.encode(target, part.place, told))
        notices += [notice for notice in told if notice not in notices]
    return matrices


def _same_target(init: TableModel, target: str, task: str) -> ClassTarget | NumberTarget:
    if init.target.name != target or init.task != task:
        raise ArgumentError(
            f"the model that training starts from predicts {init.target.name!r} ({init.task}), "
            f"not {target!r} ({task}); name the same target or leave --init away"
        )
    return init.target


def _encoder(training: Table, infos: list[ColumnInfo], options: TableOptions, notices: list[str]) -> TableEncoder:
    if options.init is not None:
        return options.init.encoder
    encoder = TableEncoder.fit(training, infos)
    notices += [notice for notice in encoder.notices if notice not in notices]
    return encoder


def _chosen_recipe(rows: int, held_out: int, task: str, images: bool, options: TableOptions) -> Recipe:
    """The recipe for so many training rows, which the user's wishes change."""
    if options.recipe not in RECIPES or (images and options.recipe != "auto"):
        of = "there is one recipe for images, auto" if images else f"the recipe must be one of {', '.join(RECIPES)}"
        raise ArgumentError(f"{of}; found {options.recipe!r}")
    if images:
        return image_recipe(rows)
    usual = default_recipe(rows, held_out, task)
    if options.epochs is not None and options.init is None:  # what was trained before needs no larger steps
        usual = in_epochs(usual, whole_number("epochs", options.epochs, 1))
    return plain_recipe(usual, rows, task) if options.recipe == PLAIN else usual


def _recipe(recipe: Recipe, rows: int, options: TableOptions, notices: list[str]) -> Recipe:
    """The default recipe with the user's wishes in place of its own."""
    if isinstance(options.learning_rate, str) and options.learning_rate != "auto":
        raise ArgumentError(f"the learning rate must be a number or 'auto'; found {options.learning_rate!r}")
    if options.init is not None:
        plan = options.init.plan
        wishes: list[tuple[str, Any, Any]] = [
            ("hidden", options.hidden, plan.hidden),
            ("activation", options.activation, plan.activation),
            ("dropout", options.dropout, plan.dropout),
        ]
        for name, wish, has in wishes:
            if wish is not None and wish != has:
                raise ArgumentError(f"the model that training starts from has {name} {has}; it cannot become {wish}")
        recipe = replace(recipe, hidden=plan.hidden, activation=plan.activation, dropout=plan.dropout)
    given = {
        "hidden": options.hidden,
        "activation": options.activation,
        "dropout": options.dropout,
        "optimizer": options.optimizer,
        "learning_rate": None if options.learning_rate == "auto" else options.learning_rate,
        "schedule": options.schedule,
        "batch_size": options.batch_size,
        "epochs": options.epochs,
    }
    wished: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    recipe = replace(recipe, **wished)
    if options.optimizer not in (None, "adamw") and options.learning_rate in (None, "auto"):
        recipe = replace(recipe, learning_rate=_usual_rate(str(options.optimizer)))
    if isinstance(recipe.batch_size, int) and recipe.batch_size > rows:
        if options.batch_size is not None:
            notices.append(f"The batch of {recipe.batch_size:,} rows was cut to the {rows:,} training rows.")
        recipe = replace(recipe, batch_size=rows)
    return recipe


def _patience(recipe: Recipe, options: TableOptions) -> int | None:
    """The user's; or a quarter of the recipe's epochs, at least 10, but never less epochs than were asked for.

    Shorter, it ends some trainings in front of their best epoch, which the end of a schedule brings.
    """
    if options.validation is None:
        return None
    if options.patience is not None or options.epochs is not None:
        return options.patience
    return max(LEAST_PATIENCE, -(-recipe.epochs // 4))


def _usual_rate(optimizer: str) -> float:
    """The learning rate that a rule has by default; 0.05 for SGD, which has none."""
    return 0.05 if optimizer == "sgd" else optim.by_name(optimizer).lr
