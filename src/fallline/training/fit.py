"""`fl.fit`: training in one call. It checks what it is given; `loop.py` trains."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fallline import optim
from fallline.engine.programs import ENGINES
from fallline.errors import ArgumentError
from fallline.nn.losses import Loss
from fallline.nn.losses import config as loss_config
from fallline.nn.losses import get as get_loss
from fallline.nn.model_file import StoredNetwork
from fallline.nn.module import Module
from fallline.nn.trace import check_network
from fallline.ops import exact
from fallline.training import metrics as metric_registry
from fallline.training.arguments import (
    as_optimizer,
    as_schedule,
    one_of,
    positive_number,
    rows_per_step,
    seed_number,
    whole_number,
)
from fallline.training.callbacks import as_callbacks
from fallline.training.class_weight import row_weights
from fallline.training.graphs import Graphs
from fallline.training.held_out import data_names, split
from fallline.training.loop import Training
from fallline.training.metrics import Metric
from fallline.training.progress import ProgressView, choose
from fallline.training.recording import Recording
from fallline.training.run import Run
from fallline.training.run_folder import RunFolder, owned
from fallline.training.settings import Settings
from fallline.training.step import Rows, check_rows

Array = NDArray[Any]
DEFAULT_EPOCHS, MOST_EPOCHS = 20, 10_000


def fit(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    batch_size: int | str = 32,
    epochs: int | None = None,
    until: str | None = None,
    *,
    tol: float = 1e-4,
    patience: int | None = None,
    schedule: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation: Any = None,
    metrics: Any = (),
    restore_best: bool = True,
    seed: int = 0,
    shuffle: bool = True,
    dtype: str = "float32",
    threads: int | None = None,
    shards: int = 1,
    engine: str = "compiled",
    run_dir: Any = None,
    checkpoint_every: float = 30.0,
    callbacks: Any = (),
    progress: bool | ProgressView | None = None,
) -> Run:
    """Train a network: for each batch, backpropagation gives dL/dw and gradient descent uses it.

        L = Σᵢ wᵢ·lᵢ / (rows in the batch × mean weight of the training set)
        w ← w − η·dL/dw     (or what the optimizer makes of it)

    The network continues from its current weights and is updated in place. The result has the same bits
    as a loop of `loss_and_gradients` and `optimizer.update` over `batch_order(n, seed, epoch)`.
    Deviation from PyTorch: weighted losses are divided by the training set's mean weight, not the
    batch's, so that mini-batches optimise the same objective as the whole set.

    Args:
        net: the network.
        x: inputs (rows, …), finite.
        y: targets, as the loss wants them.
        loss: a name, an object of `nn.losses`, or a function of (outputs, targets).
        optimizer: an object of `optim`, or a name for its defaults; SGD(lr=0.1, momentum=0.9) if not given.
        batch_size: rows per step; 1 is stochastic, "all" is batch gradient descent. The last, smaller
            batch of an epoch is trained on too, with its own mean.
        epochs: passes over the rows; 20, or with until="converged" as many as it takes (at most 10,000).
        until: "converged" stops when the loss of the whole training set (in prediction mode, measured
            after each epoch) has not fallen by more than tol × itself for `patience` epochs (default 10).
        tol: see `until`; relative.
        patience: with validation, stop after this many epochs without a lower validation loss.
        schedule: an object of `optim.schedules` or its name; multiplies the learning rate step by step.
        clip_norm: scale all gradients of a step down to this global 2-norm.
        clip_value: hold every entry of the gradients within ± this; applied before clip_norm.
        sample_weight: (rows,), finite, ≥ 0.
        class_weight: {class: weight} or "balanced" (n / (classes × rows of the class)); multiplies
            sample_weight; for whole-number targets.
        validation: a fraction of the rows to set aside, or (x, y).
        metrics: names or functions of (outputs, targets), measured on the validation rows after each
            epoch (history "validation_accuracy"), or on the training rows without validation
            ("train_accuracy"); "train_loss" measures the training set's loss after each epoch.
        restore_best: with validation, keep the weights of the epoch with the lowest validation loss (but the
            last ones with until="converged").
        seed: of the order of rows and of Dropout; the initial weights have the network's own seed.
        shuffle: whether each epoch takes the rows in another order.
        dtype: "float32" or "float64", of weights and arithmetic.
        threads: how many run each step on the compiled engine, which chooses if None; never changes the result.
        shards: into how many fixed slices sums over a batch are cut; another number means other bits.
        engine: "reference", the NumPy walk, or "compiled", native programs. Where a network cannot be compiled, a
            warning says why, and the reference engine trains it (`run.engine` tells which did).
        run_dir: a new folder for run.json, history.jsonl, checkpoints and the model.
        checkpoint_every: seconds between checkpoints.
        callbacks: `fl.Callback` objects, or functions of (run, epoch) called after each epoch; one that
            returns True ends the training.
        progress: whether to show progress; by default where standard error is a terminal.

    Returns:
        The `Run`: history, why it stopped, the final gradient norm.

    Raises:
        ArgumentError, ShapeError, KindError: saying which argument, what was needed and what was found.

    Ctrl-C and SIGTERM end the training after the step at hand, or the few short ones that run together (some 30 ms),
    with `run.stopped == "interrupted"`; the training set's loss and gradient are not measured then.
    A loss that turns NaN or infinite ends it at once, with `run.stopped == "nan"`, the cause in
    `run.problem`, and the weights of the last whole epoch.
    """
    check_network(net, "fit")
    if isinstance(net, StoredNetwork):
        raise ArgumentError(
            "fit: this network was loaded from a file, which stores how it predicts, not how it trains; "
            "make the network in Python and put the weights into it with fl.load(path, into=net)"
        )
    if not net.named_parameters():
        raise ArgumentError(
            f"fit: the network {net!r} has no weights to train; make layers in __init__ and keep them as "
            "attributes, or in lists, tuples or dicts that are attributes"
        )
    one_of("engine", engine, ENGINES)
    one_of("dtype", dtype, ("float32", "float64"))
    positive_number("checkpoint_every", checkpoint_every)
    chosen_loss, rule = get_loss(loss), as_optimizer(optimizer)
    rows = check_rows(net, x, y, chosen_loss, row_weights(sample_weight, class_weight, y), dtype, "fit")
    rows, held_out = split(net, rows, validation, chosen_loss, dtype, seed)
    whole = _settings(
        rows,
        held_out,
        metrics,
        batch_size=batch_size,
        epochs=epochs,
        until=until,
        tol=positive_number("tol", tol, zero=True),
        patience=patience,
        schedule=as_schedule(schedule),
        clip_norm=None if clip_norm is None else positive_number("clip_norm", clip_norm),
        clip_value=None if clip_value is None else positive_number("clip_value", clip_value),
        restore_best=restore_best,
        seed=seed_number(seed),
        shuffle=shuffle,
        dtype=dtype,
        engine=engine,
        threads=None if threads is None else whole_number("threads", threads, 1),
        shards=whole_number("shards", shards, 1),
        checkpoint_every=checkpoint_every,
    )
    run = Run(net, chosen_loss, rule, engine=engine)
    run.config = _config(net, chosen_loss, rule, whole, rows, held_out, run_dir is not None)
    run.config |= {"validation": _as_json(validation), "class_weight": _as_json(class_weight)}
    place: AbstractContextManager[RunFolder | None] = nullcontext() if run_dir is None else owned(run_dir)
    with place as folder:
        graphs = Graphs.of(net, rows, chosen_loss, dtype)
        training = Training(
            net, graphs, rows, held_out, rule, whole, run, choose(progress), as_callbacks(callbacks), folder
        )
        run.recording = Recording(net, graphs, rows, held_out, chosen_loss, rule, whole)
        if folder is not None:
            run.folder, run.config["program"] = folder.path, graphs.digest
            folder.write_about(run)
            folder.begin(net, graphs, training.checkpoint(), run)
        return training.train()


def _settings(rows: Rows, held_out: Rows | None, metrics: Any, **given: Any) -> Settings:
    """The arguments that concern the loop, checked."""
    until, patience, epochs = given["until"], given["patience"], given["epochs"]
    if until not in (None, "converged"):
        raise ArgumentError(f"fit: until must be None or 'converged', found {until!r}")
    if patience is not None:
        whole_number("patience", patience, 1)
        if until is None and held_out is None:
            raise ArgumentError(
                f"fit: patience={patience} needs validation rows to judge by; "
                "give validation=0.2, validation=(x, y), or until='converged'"
            )
    if epochs is None:
        epochs = MOST_EPOCHS if until else DEFAULT_EPOCHS
    metrics = metric_registry.one_or_several(metrics)
    plain = [metric for metric in metrics if not (isinstance(metric, str) and metric == "train_loss")]
    functions = tuple(_metric(metric) for metric in plain if not _of_training(metric))
    on_training = tuple(_metric(metric[len("train_") :]) for metric in plain if _of_training(metric))
    return Settings(
        **{
            **given,
            "batch_size": rows_per_step(given["batch_size"], len(rows)),
            "epochs": whole_number("epochs", epochs, 1),
            "metrics": functions if held_out is not None else (),
            "train_metrics": on_training + (functions if held_out is None else ()),
            "train_loss_each_epoch": len(plain) < len(metrics),
        }
    )


def _of_training(metric: Any) -> bool:
    return isinstance(metric, str) and metric.startswith("train_")


def _metric(metric: Any) -> Metric:
    return metric_registry.get(metric)


def _as_json(given: Any) -> Any:
    """What `resume` needs to know of `validation` and `class_weight`."""
    if isinstance(given, Mapping):
        return [[np.asarray(key).item(), float(value)] for key, value in given.items()]
    return given if given is None or isinstance(given, str | float) else "given"


def _config(
    net: Module,
    loss: Loss,
    rule: optim.Optimizer,
    settings: Settings,
    rows: Rows,
    held_out: Rows | None,
    stored: bool,
) -> dict[str, Any]:
    """Everything that decides the run's bits, as JSON can hold it; the data's hash where a folder will store it."""
    parameters = net.named_parameters()
    own = {name: value for name, value in vars(settings).items() if name not in ("schedule", "metrics")}
    own["train_metrics"] = [metric.name for metric in settings.train_metrics]
    return {
        "network": repr(net),
        "network_seed": net.seed,
        "parameters": sum(int(np.prod(cast(Any, p.shape), dtype=np.int64)) for p in parameters.values()),
        "loss": repr(loss),
        "loss_settings": loss_config(loss),
        "optimizer": rule.config(),
        "schedule": settings.schedule.config(),
        "metrics": [metric.name for metric in settings.metrics],
        **own,
        "rows": len(rows),
        "validation_rows": 0 if held_out is None else len(held_out),
        **data_names(rows, held_out, stored),
        "mean_weight": 1.0 if rows.weight is None else float(exact.tree_sum(rows.weight)) / len(rows),
    }
