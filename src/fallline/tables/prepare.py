"""A table understood, split and encoded: every decision before training, each one told."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.data.encoders import TableEncoder
from fallline.data.split import split_rows
from fallline.data.table import Table
from fallline.data.targets import ClassTarget, NumberTarget, drop_missing_targets
from fallline.errors import ArgumentError, DataError
from fallline.tables.checks import require_kept, require_rows, require_training_rows, row_weights
from fallline.tables.columns import ColumnInfo, describe_columns, infer_task
from fallline.tables.model import TableModel
from fallline.tables.network import NetworkPlan, require_memory
from fallline.tables.recipe import Recipe, default_recipe, network_plan

Array = NDArray[Any]
TASKS = ("auto", "classification", "regression")
HELD_OUT = 0.2
"""The share of rows set aside for the test where no test file is given, and of the rest for validation."""


@dataclass
class TableOptions:
    """What the user may decide; None leaves it to the recipe."""

    task: str = "auto"
    validation: float | Table = HELD_OUT
    test: Table | None = None
    drop: tuple[str, ...] = ()
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    dropout: float | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    batch_size: int | str | None = None
    epochs: int | None = None
    patience: int | None = None
    class_weight: str | None = None
    weight_column: str | None = None
    init: TableModel | None = None
    seed: int = 0
    threads: int | None = None
    shards: int = 1


@dataclass
class Prepared:
    """A table understood, split and encoded: everything that training needs, before it starts.

    Attributes:
        target: the target's name.
        task: "classification" or "regression".
        task_reason: why.
        infos: what each other column is.
        parts: the tables of the training, validation and test rows.
        encoder, codec: of columns and target, fitted on the training rows alone.
        matrices: (encoded rows, encoded targets) of the training, validation and test rows.
        weights: sample weights of the training rows, or None.
        plan: the network's shape.
        recipe: the settings, the user's wishes taken in.
        notices: what a person should be told.
    """

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

    @property
    def metric(self) -> str:
        """The metric that counts."""
        return "accuracy" if self.task == "classification" else "rmse"


def prepare(table: Table, target: str, options: TableOptions) -> Prepared:
    """Understand, split and encode a table.

    Raises:
        DataError: the target or the columns are not usable; the sentence says which and why.
        ArgumentError: an option does not fit.
    """
    notices = list(table.notices)
    target = table.resolve_column(target)
    dropped = [table.resolve_column(name) for name in options.drop]
    weight_column = None if options.weight_column is None else table.resolve_column(options.weight_column)
    if target in (*dropped, weight_column):
        raise ArgumentError(f"the target {target!r} cannot be dropped or be the weight column as well")
    require_kept(options.init, dropped, weight_column)
    table = drop_missing_targets(table, target)
    notices += [notice for notice in table.notices if notice not in notices]
    require_rows(table, (options.test is None) + (not isinstance(options.validation, Table)))
    task, reason = _task(table, target, options)
    table, codec = _codec(table, target, task, options)
    parts = _split(table, target, codec, options, notices)
    training = parts["training"]
    if isinstance(codec, NumberTarget) and options.init is None:
        require_training_rows(training)
        codec = NumberTarget.fit(training.column(target), target, training.place)  # of training rows alone
    infos = describe_columns(training.drop({*dropped, *([weight_column] if weight_column else [])}), target)
    encoder = _encoder(training, infos, options, notices)
    matrices = _encoded(parts, encoder, codec, notices)
    recipe = _recipe(len(training), options, notices)
    outputs = len(codec.classes) if isinstance(codec, ClassTarget) else 1
    x = matrices["training"][0]
    plan = network_plan(encoder, outputs, recipe, x) if options.init is None else options.init.plan
    require_memory(plan)
    weights = None if weight_column is None else row_weights(training, weight_column)
    return Prepared(target, task, reason, infos, parts, encoder, codec, matrices, weights, plan, recipe, notices)


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
    if values.dtype.kind != "f" or np.abs(values).max() >= 2.0**53 or (values != np.floor(values)).any():
        return table
    columns = {**table.columns, target: values.astype(np.int64)}
    return Table(columns, table.source, table.notices, table.lines, table.default_target)


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
    matrices = {}
    for name in ("training", "validation", "test"):
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


def _split(
    table: Table, target: str, codec: ClassTarget | NumberTarget, options: TableOptions, notices: list[str]
) -> dict[str, Table]:
    """Training, validation and test rows; the test rows come from a file, or are set aside."""
    parts: dict[str, Table] = {}
    rest = table
    if options.test is not None:
        parts["test"] = _further(options.test, table, target, notices)
    else:
        keep, part = split_rows(_codes(codec, rest, target), len(rest), HELD_OUT, options.seed, "test")
        parts["test"], rest = rest.select(part), rest.select(keep)
    if isinstance(options.validation, Table):
        parts["validation"] = _further(options.validation, table, target, notices)
    else:
        share = options.validation
        if not 0.0 < share < 1.0:
            raise ArgumentError(f"validation must be a share between 0 and 1, or a file; found {share}")
        keep, part = split_rows(_codes(codec, rest, target), len(rest), share, options.seed, "validation")
        parts["validation"], rest = rest.select(part), rest.select(keep)
    parts["training"] = rest
    return parts


def _further(further: Table, table: Table, target: str, notices: list[str]) -> Table:
    """A validation or test file, whose columns must be those of the training file."""
    if target not in further and len(further.names) == len(table.names):
        # a headerless file beside one with a header: the same columns in the same order
        further = Table(
            dict(zip(table.names, further.columns.values(), strict=True)),
            further.source,
            further.notices,
            further.lines,
        )
        notices.append(f"{further.source} has other column names; its columns were taken in the order of training.")
    if target not in further:
        raise DataError(f"{further.source} has no column {target!r}, the target; it cannot be used to judge a model.")
    cleaned = drop_missing_targets(further, target)
    notices += [notice for notice in cleaned.notices if notice not in notices]
    return cleaned


def _codes(codec: ClassTarget | NumberTarget, table: Table, target: str) -> Array | None:
    return codec.encode(table.column(target), table.place) if isinstance(codec, ClassTarget) else None


def _encoder(training: Table, infos: list[ColumnInfo], options: TableOptions, notices: list[str]) -> TableEncoder:
    if options.init is not None:
        return options.init.encoder
    encoder = TableEncoder.fit(training, infos)
    notices += [notice for notice in encoder.notices if notice not in notices]
    return encoder


def _recipe(rows: int, options: TableOptions, notices: list[str]) -> Recipe:
    """The default recipe with the user's wishes in place of its own."""
    recipe = default_recipe(rows)
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
        "learning_rate": options.learning_rate,
        "schedule": options.schedule,
        "batch_size": options.batch_size,
        "epochs": options.epochs,
    }
    wished: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    recipe = replace(recipe, **wished)
    if options.optimizer not in (None, "adamw") and options.learning_rate is None:
        recipe = replace(recipe, learning_rate=_usual_rate(str(options.optimizer)))
    if isinstance(recipe.batch_size, int) and recipe.batch_size > rows:
        if options.batch_size is not None:
            notices.append(f"The batch of {recipe.batch_size:,} rows was cut to the {rows:,} training rows.")
        recipe = replace(recipe, batch_size=rows)
    return recipe


def _usual_rate(optimizer: str) -> float:
    """The learning rate that a rule has by default; 0.05 for SGD, which has none."""
    return 0.05 if optimizer == "sgd" else optim.by_name(optimizer).lr
