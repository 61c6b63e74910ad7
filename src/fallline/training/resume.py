"""`fl.resume`: a training goes on as if nothing had happened; or a new one branches off from it."""

import logging
from dataclasses import replace
from typing import Any

from fallline.errors import ArgumentError, RunFolderError, nearest
from fallline.nn.module import Module
from fallline.optim import Optimizer
from fallline.training.arguments import as_optimizer, as_schedule, positive_number, whole_number
from fallline.training.callbacks import as_callbacks
from fallline.training.checkpoint import Checkpoint
from fallline.training.hashes import weights_hash
from fallline.training.loop import Training, history_line
from fallline.training.progress import ProgressView, Silent, choose
from fallline.training.recording import Given, Recording, recording_of, require_fitting
from fallline.training.run import Run
from fallline.training.run_folder import RunFolder, owned
from fallline.training.run_reader import StoredRun
from fallline.training.settings import Settings

log = logging.getLogger("fallline")
CHANGES = ("optimizer", "epochs", "schedule", "clip_norm", "clip_value", "patience", "checkpoint_every")
"""What a branch may do differently from the run that it leaves."""


def resume(
    run_dir: Any,
    x: Any,
    y: Any,
    *,
    net: Module | None = None,
    loss: Any = None,
    sample_weight: Any = None,
    validation: Any = None,
    metrics: Any = (),
    callbacks: Any = (),
    threads: int | None = None,
    progress: bool | ProgressView | None = None,
    branch: Any = None,
    step: int | None = None,
    **changes: Any,
) -> Run:
    """Go on with a run from its last checkpoint: within an epoch, on any number of threads, on another machine.

    The weights at its end have the bits of a training that was never interrupted.

    Args:
        run_dir: the folder that `fit(run_dir=…)` made.
        x, y, sample_weight: the data, the same as then.
        net: a network of the same code, which receives the weights; without it the stored network is trained.
        loss: the loss, to be compared with the run's; needed beside `net` where it is a function of your own.
        validation: the validation rows, where `fit` was given (x, y).
        metrics: functions of your own among the run's metrics.
        callbacks, threads, progress: as `fit` has them; a callback that has a `state` must be given again.
        branch: a new folder for a run that leaves this one, which then stays as it is.
        step: with `branch`, after how many steps; the last checkpoint's by default.
        changes: with `branch`, what it does differently: optimizer (of the same rule), epochs, schedule, clip_norm,
            clip_value, patience, checkpoint_every.

    Returns:
        The `Run`, as `fit` returns it; `run.network` is the network. A run that was at its end already is returned as
        it was.

    Raises:
        RunFolderError: there is no such run, or it cannot be gone on with here.
        ArgumentError: the data, the network, the loss or a setting is another one.
    """
    stored = StoredRun(run_dir.path if isinstance(run_dir, RunFolder) else run_dir)
    if branch is None and (changes or step is not None):
        name = next(iter(changes), "step")
        raise ArgumentError(
            f"resume({name}=…): a resumed run goes on as it was; for another {name} branch a new run off it: "
            "branch='folder'"
        )
    given = Given(x, y, sample_weight, validation, net, loss, metrics, _threads(threads))
    listeners, view = as_callbacks(callbacks), choose(progress)
    if branch is not None:
        return _branch(stored, recording_of(stored, given), branch, step, changes, listeners, view)
    with owned(run_dir, again=True) as folder:
        return _go_on(StoredRun(stored.path), given, folder, listeners, view)  # as it is now that nobody else writes


def _go_on(stored: StoredRun, given: Given, folder: RunFolder, listeners: Any, view: Any) -> Run:
    """To the end, in the run's own folder."""
    recording = recording_of(stored, given)
    checkpoint = _latest(stored, recording)
    losses = stored.losses_until(checkpoint)
    folder.about = {**stored.made_by, **folder.about}
    folder.model_extra = folder.model_extra or stored.model_extra
    run = _run(stored, recording, losses)
    training = _training(stored, recording, run, checkpoint, folder, listeners, view)
    per_epoch = training.steps_per_epoch
    lines = [history_line(run, epoch, (epoch + 1) * per_epoch) for epoch in range(run.epochs)]
    folder.go_on(recording.net, checkpoint, lines, losses, stored.begun)
    folder.write_about(run)
    return training.train()


def _threads(threads: int | None) -> int | None:
    return None if threads is None else whole_number("threads", threads, 1, "resume")


def _latest(stored: StoredRun, recording: Recording, most: int | None = None) -> Checkpoint:
    """The last whole checkpoint, of at most some step."""
    found = next(stored.whole(most), None)
    if found is None:
        raise ArgumentError(
            f"resume: the run {str(stored.path)!r} begins at step {stored.start.step}; found step={most}"
        )
    require_fitting(stored, recording, found)
    return found


def _run(stored: StoredRun, recording: Recording, losses: list[float]) -> Run:
    run = Run(recording.net, recording.loss, recording.optimizer, engine=stored.engine, config=dict(stored.config))
    run.recording = recording
    run.steps["loss"] = list(losses)
    run.folder = stored.path
    return run


def _training(
    stored: StoredRun,
    recording: Recording,
    run: Run,
    checkpoint: Checkpoint,
    folder: RunFolder | None,
    listeners: Any,
    view: Any,
) -> Training:
    settings = replace(recording.settings, engine=stored.engine)
    net = recording.net
    training = Training(
        net, recording.graphs, recording.rows, recording.validation, recording.optimizer, settings, run, view,
        listeners, folder, checkpoint,
    )  # fmt: skip
    if training.engine != stored.engine:
        raise RunFolderError(
            f"resume: the run {str(stored.path)!r} was computed by the {stored.engine} engine, which does not work "
            f"here: the {training.engine} engine would give other bits. Resume it on a machine where it works"
        )
    return training


def _branch(
    stored: StoredRun,
    recording: Recording,
    path: Any,
    step: int | None,
    changes: dict[str, Any],
    listeners: Any,
    view: Any,
) -> Run:
    """A new run that begins where another one was after some step."""
    for name in changes:
        if name not in CHANGES:
            raise ArgumentError(f"resume: a branch cannot change {name!r}: {nearest(name, CHANGES)}; fit can")
    checkpoint, losses = _checkpoint_at(stored, recording, step)
    changed = replace(
        recording,
        optimizer=_optimizer(recording.optimizer, changes),
        settings=_changed(recording.settings, changes),
    )
    origin = {"run": str(stored.path), "step": checkpoint.step, "weights": weights_hash(checkpoint.now.values)}
    run = _run(stored, changed, losses)
    run.config |= {
        "optimizer": changed.optimizer.config(),
        "schedule": changed.settings.schedule.config(),
        **{name: getattr(changed.settings, name) for name in CHANGES if name not in ("optimizer", "schedule")},
    }
    with owned(path) as folder:
        folder.about = {**(folder.about or stored.made_by), "branched_from": origin}
        folder.model_extra = folder.model_extra or stored.model_extra
        run.folder = folder.path
        training = _training(stored, changed, run, checkpoint, folder, listeners, view)
        folder.write_about(run)
        folder.begin(recording.net, recording.graphs, training.checkpoint(), run)
        per_epoch = training.steps_per_epoch
        folder.append_history(history_line(run, epoch, (epoch + 1) * per_epoch) for epoch in range(run.epochs))
        return training.train()


def _checkpoint_at(stored: StoredRun, recording: Recording, step: int | None) -> tuple[Checkpoint, list[float]]:
    """The last checkpoint, or the state after so many steps, by going on from the one before it; all losses so far."""
    if step is None:
        found = _latest(stored, recording)
        losses = stored.losses_until(found)
    else:
        found, losses = _taken_to(stored, recording, whole_number("step", step, 0, "resume"))
    return replace(found, progress={**found.progress, "stopped": "", "problem": ""}), losses


def _taken_to(stored: StoredRun, recording: Recording, step: int) -> tuple[Checkpoint, list[float]]:
    """Everything of the training after so many steps, as it was then, by going on from the checkpoint before."""
    source = _latest(stored, recording, step)
    run = _run(stored, recording, stored.losses_until(source))
    training = _training(stored, recording, run, source, None, [], Silent())
    if step > (total := recording.settings.epochs * training.steps_per_epoch):
        raise ArgumentError(f"resume: the run {str(stored.path)!r} has {total:,} steps; found step={step}")
    return training.taken_to(step), run.steps["loss"]


def _optimizer(before: Optimizer, changes: dict[str, Any]) -> Optimizer:
    if "optimizer" not in changes:
        return before
    after = as_optimizer(changes["optimizer"], "resume")
    if after.rule is not before.rule or after.init({}).keys() != before.init({}).keys():
        raise ArgumentError(
            f"resume: a branch goes on with what {type(before).__name__} remembers, so its optimizer must be one, too, "
            f"with the same kinds of memory; found {after!r} after {before!r}"
        )
    return after


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    found = {name: value for name, value in changes.items() if name != "optimizer"}
    for name in ("epochs", "patience"):
        if found.get(name) is not None:
            whole_number(name, found[name], 1, "resume")
    for name in ("clip_norm", "clip_value", "checkpoint_every"):
        if found.get(name) is not None:
            positive_number(name, found[name])
    if "schedule" in found:
        found["schedule"] = as_schedule(found["schedule"])
    return replace(settings, **found)
