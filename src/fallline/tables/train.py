"""From a prepared table to a model: train and score."""

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.data.by_blocks import computed
from fallline.data.targets import ClassTarget, NumberTarget
from fallline.errors import ArgumentError, CompileError
from fallline.nn.losses import Ensemble, Loss
from fallline.nn.module import Module
from fallline.optim.schedules import by_name as schedule_by_name
from fallline.tables.images import ImagePlan, network_of
from fallline.tables.model import KEY, TableModel
from fallline.tables.prepare import Prepared, TableOptions
from fallline.tables.rate_trial import search, trial_epochs, trial_rows
from fallline.tables.recipe import Recipe
from fallline.training.callbacks import Callback
from fallline.training.fit import fit
from fallline.training.plan import Plan, plan
from fallline.training.progress import ProgressView
from fallline.training.resume import resume
from fallline.training.run import Run
from fallline.training.run_folder import CHECKPOINTS, HISTORY, RUN, START, STEP_LOSSES, RunFolder
from fallline.training.run_reader import StoredRun
from fallline.training.signals import Interrupted

Array = NDArray[Any]
BETWEEN_EPOCHS, AROUND_EPOCHS = 5e-4, 0.1
"""Seconds, roughly: between two epochs for metrics and history; around all of them for compiling what measures the
network, and for measuring it at the end."""


@dataclass
class TableRun:
    """A finished training on a table.

    Attributes:
        model: encoders and network.
        run: the training.
        prepared: what was decided before it.
        scores: metrics on the test rows; the first is the one that counts. Empty without test rows.
        validation_scores: the same on the validation rows.
        outputs: the network's outputs on the test rows.
        seconds: from reading to scoring.
    """

    model: TableModel
    run: Run
    prepared: Prepared
    scores: dict[str, float]
    validation_scores: dict[str, float]
    outputs: Array
    seconds: float


def train_table(
    prepared: Prepared,
    options: TableOptions,
    *,
    folder: Path | None = None,
    about: dict[str, Any] | None = None,
    progress: bool | ProgressView | None = None,
    callbacks: tuple[Callback, ...] = (),
    again: StoredRun | None = None,
    branch: dict[str, Any] | None = None,
) -> TableRun:
    """Train on a prepared table and score the result.

    Args:
        prepared: from `prepare`.
        options: the same as given to it.
        folder: the run folder to make, or None for none.
        about: JSON values for run.json and the model file.
        progress: as in `fl.fit`.
        callbacks: as in `fl.fit`.
        again: the run to go on with, in `folder`; None begins one.
        branch: `folder` is a new one, for a branch of that run: after which step (or None), and with other epochs,
            schedule, patience, optimizer, as `fl.resume` has them.
    """
    started = time.perf_counter()
    settle_rate(prepared, options)
    network = make_network(prepared, options)
    model = TableModel(network, prepared.encoder, prepared.codec, prepared.plan, about or {})
    codec = prepared.codec
    x, y = prepared.matrices["training"]
    common: dict[str, Any] = {
        "loss": training_loss(prepared),
        "validation": prepared.validation,
        "metrics": ("accuracy",) if isinstance(codec, ClassTarget) else (_unscaled_rmse(codec),),
        "sample_weight": prepared.weights,
        "threads": options.threads,
        "progress": progress,
        "callbacks": callbacks,
    }
    goes_on = again is not None and branch is None
    place = _made_before(again) if again and goes_on else _made_or_gone(folder, about, {KEY: model.to_json()})
    with place as run_folder:  # nobody else writes to it until the scores are there
        if again is None:
            run = fit(network, x, y, **_settings(prepared, options), run_dir=run_folder, **common)
        elif branch is None:
            run = resume(run_folder, x, y, net=network, **common)
        else:
            run = resume(again.path, x, y, net=network, branch=run_folder, **branch, **common)
        outputs, scores = _score(model, prepared, "test")
        seen = prepared.selection
        validation_scores = _score(model, prepared, "validation")[1] if seen is None else seen.scores
        if run_folder is not None:
            metric = prepared.metric
            run_folder.about |= {
                "metric": metric,
                "score": scores.get(metric),
                "validation_score": validation_scores.get(metric),
                "rows": {name: len(part) for name, part in prepared.parts.items()},
            }
            run_folder.write_about(run)
    return TableRun(model, run, prepared, scores, validation_scores, outputs, time.perf_counter() - started)


def settle_rate(prepared: Prepared, options: TableOptions) -> None:
    """Where the learning rate is "auto", find it by trial, and put it into the recipe; what was found is told.

    The trial trains networks of its own, so that training has the bits of training with the found number given.
    """
    if options.learning_rate != "auto" or prepared.rate_trial is not None:
        return
    if prepared.validation is None:
        raise ArgumentError(
            "a learning rate is found by the validation loss; set validation rows aside, or give a number"
        )
    (x, y), weights = prepared.matrices["training"], prepared.weights
    rows = trial_rows(len(x), options.seed)
    epochs = trial_epochs(prepared.recipe.epochs)

    def loss_at(rate: float) -> float:
        fork = replace(prepared, recipe=replace(prepared.recipe, learning_rate=rate, epochs=epochs))
        with unlogged():  # a rate that is too large is told with the others
            run = fit(
                make_network(fork, options),
                x[rows],
                y[rows],
                **_settings(fork, options),
                loss=training_loss(fork),
                validation=prepared.validation,
                sample_weight=None if weights is None else weights[rows],
                threads=options.threads,
                progress=False,
            )
        require_uninterrupted(run)
        return min((loss for loss in run.history.get("validation_loss", []) if np.isfinite(loss)), default=np.inf)

    prepared.rate_trial = trial = search(loss_at, prepared.recipe.learning_rate, epochs)
    prepared.recipe = replace(prepared.recipe, learning_rate=trial.found)
    prepared.notices.append(trial.told())


def require_uninterrupted(trial: Run) -> None:
    """Raise what interrupted a trial: the training that it was made for ends with it."""
    if trial.stopped == "interrupted":
        raise Interrupted(trial.signal or signal.SIGINT)


@contextmanager
def unlogged() -> Iterator[None]:
    """Without a word in the log: of what is told otherwise, or was told already."""
    log = logging.getLogger("fallline")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _settings(prepared: Prepared, options: TableOptions) -> dict[str, Any]:
    """How `fit` trains, by the recipe and the user's wishes."""
    recipe = prepared.recipe
    return {
        "optimizer": make_optimizer(recipe),
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "patience": prepared.patience,
        "schedule": schedule_by_name(recipe.schedule),
        "class_weight": options.class_weight,
        "seed": options.seed,
        "shards": options.shards,
    }


@contextmanager
def _made_before(stored: StoredRun) -> Iterator[RunFolder | None]:
    """The folder of a run that goes on."""
    with RunFolder(stored.path, stored.made_by, stored.model_extra, again=True) as folder:
        yield folder


@contextmanager
def _made_or_gone(path: Path | None, about: dict[str, Any] | None, extra: dict[str, Any]) -> Iterator[RunFolder | None]:
    """The run folder; where training fails before weights were written to it, it is removed again."""
    if path is None:
        yield None
        return
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    folder = RunFolder(path, about, extra)
    try:
        yield folder
    except BaseException:
        if not any(file.name != START for file in path.rglob("*.safetensors")):
            shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
            for name in (RUN, START, HISTORY, STEP_LOSSES):
                (path / name).unlink(missing_ok=True)
            with suppress(OSError):  # a folder that somebody else has put something into stays
                for empty in made:
                    empty.rmdir()
        raise
    finally:
        folder.release()


def make_network(prepared: Prepared, options: TableOptions) -> Module:
    """The network before training: drawn from the seed, or the weights of `options.init`."""
    if options.init is not None:
        return options.init.trainable_network()
    return network_of(prepared.plan, options.seed)


def require_settings(prepared: Prepared, options: TableOptions) -> None:
    """Raise what a wrong optimizer, schedule, activation, … would raise, before anything is shown or written."""
    make_network(prepared, options)
    make_optimizer(prepared.recipe)
    schedule_by_name(prepared.recipe.schedule)


def training_loss(prepared: Prepared) -> str | Loss:
    """The loss that is trained with: each member's own, so that the members stay different."""
    return prepared.loss if isinstance(prepared.plan, ImagePlan) else Ensemble(prepared.loss)


def make_optimizer(recipe: Recipe) -> optim.Optimizer:
    """The recipe's optimizer; biases and embeddings are not decayed."""
    rule = optim.RULES.get(recipe.optimizer)
    decays = rule is not None and rule.name == "adamw"
    hyper: dict[str, Any] = {}
    if decays:
        hyper = {"weight_decay": recipe.weight_decay, "betas": (0.9, recipe.beta2)}
    return optim.by_name(recipe.optimizer, lr=recipe.learning_rate, **hyper)


def plan_table(prepared: Prepared, options: TableOptions) -> Plan | None:
    """What the training will compute, hold in memory and take; None where it will not be compiled."""
    recipe = prepared.recipe
    x, y = prepared.matrices["training"]
    try:
        return plan(
            make_network(prepared, options),
            x,
            y,
            loss=training_loss(prepared),
            optimizer=make_optimizer(recipe),
            batch_size=recipe.batch_size,
            sample_weight=prepared.weights,
            class_weight=options.class_weight,
            threads=options.threads,
            shards=options.shards,
        )
    except (CompileError, ImportError):
        return None


def predicted_seconds(prepared: Prepared, planned: Plan, epochs: int) -> float:
    """Of so many epochs: the steps, looks at the validation rows (a third of a step's work for each), the rest."""
    steps = planned.predicted_seconds_per_epoch or 0.0
    rows = {name: len(part) for name, part in prepared.parts.items()}
    each = steps * (1 + rows.get("validation", 0) / (3 * rows["training"])) + BETWEEN_EPOCHS
    return epochs * each + AROUND_EPOCHS


def _unscaled_rmse(codec: NumberTarget) -> Callable[[Array, Array], float]:
    """The root mean squared error in the target's units, from what the network gives and is given."""

    def rmse(outputs: Array, targets: Array) -> float:
        with np.errstate(all="ignore"):
            rows = len(outputs)
            errors = computed(rows, np.float64, lambda p: np.abs(codec.decode(outputs[p]) - codec.decode(targets[p])))
            largest = max(errors.max(), np.finfo(np.float64).tiny)  # whose square may be out of range
            squares = computed(rows, np.float64, lambda part: (errors[part] / largest) ** 2)
            return float(np.sqrt(np.mean(squares)) * largest)

    return rmse


def _score(model: TableModel, prepared: Prepared, part: str) -> tuple[Array, dict[str, float]]:
    if part not in prepared.parts:
        return np.empty((0, prepared.plan.outputs), dtype=np.float32), {}
    outputs = model.network.predict(prepared.matrices[part][0])
    return outputs, model.score(outputs, prepared.parts[part])
