"""All that the steps of a run follow from: what it computes, on which data, by which rule; in memory or on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fallline import optim
from fallline.errors import ArgumentError, FalllineError, RunFolderError, told
from fallline.nn.losses import FunctionLoss, Loss
from fallline.nn.losses import from_config as loss_from_config
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.nn.trace import check_network
from fallline.optim import Optimizer, schedules
from fallline.training import metrics as metric_registry
from fallline.training.arguments import one_of, positive_number, seed_number, whole_number
from fallline.training.checkpoint import Checkpoint
from fallline.training.class_weight import row_weights
from fallline.training.graphs import Graphs
from fallline.training.held_out import data_names, split
from fallline.training.metrics import Metric
from fallline.training.misfits import misfit
from fallline.training.run_reader import StoredRun
from fallline.training.settings import Settings
from fallline.training.step import Rows, check_rows


@dataclass(frozen=True)
class Recording:
    """What a run's steps follow from.

    Attributes:
        net: the network, or what was stored of it.
        graphs: what is computed.
        rows, validation: the data.
        loss: the loss.
        optimizer: the update rule.
        settings: how to train.
    """

    net: Module
    graphs: Graphs
    rows: Rows
    validation: Rows | None
    loss: Loss
    optimizer: Optimizer
    settings: Settings


@dataclass(frozen=True)
class Given:
    """What a caller gives again of a stored run; what is None is taken from its folder.

    Attributes:
        x, y, sample_weight: the data, as `fit` was given them.
        validation: (x, y) where `fit` was given such.
        net, loss: to compare with what is stored, and to train on the network itself.
        metrics: own metrics.
        threads: as `fit` has it.
    """

    x: Any
    y: Any
    sample_weight: Any = None
    validation: Any = None
    net: Module | None = None
    loss: Any = None
    metrics: Any = ()
    threads: int | None = None


def recording_of(stored: StoredRun, given: Given, validated: bool = True) -> Recording:
    """The recording of a run on disk, checked against what is given.

    Args:
        stored: the run.
        given: what its folder does not hold.
        validated: whether the validation rows and metrics are needed; where not, those of its own need not be given.

    Raises:
        RunFolderError: the run cannot be gone on with here.
        ArgumentError: the data, the network, the loss or a metric is another one, or is missing.
    """
    call, config = stored.call, stored.config
    stored.require_contract()
    graphs = stored.graphs
    net = stored.network() if given.net is None else given.net
    check_network(net, call)
    try:
        loss, settings = _loss(stored, given), _settings(config, given, validated)
        optimizer = optim.from_config(config["optimizer"])
        rows, held_out = _rows(stored, given, net, loss, settings, validated)
    except FalllineError:
        raise
    except KeyError as error:
        raise RunFolderError(f"{call}: run.json of {str(stored.path)!r} lacks the setting {error}") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RunFolderError(
            f"{call}: run.json of {str(stored.path)!r} has settings of another kind ({told(error)})"
        ) from None
    _require_same_data(stored, rows, held_out, given, validated)
    if given.net is not None or given.loss is not None:
        graphs = _require_same_graphs(stored, given, net, rows, loss, settings.dtype)
    return Recording(net, graphs, rows, held_out, loss, optimizer, settings)


def require_fitting(stored: StoredRun, recording: Recording, checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that is whole and not of this training.

    Raises:
        RunFolderError: it is not.
    """
    s = recording.settings
    per_epoch = -(-len(recording.rows) // s.batch_size)
    if problem := misfit(checkpoint, recording.graphs.step, recording.optimizer, per_epoch, s.epochs):
        raise RunFolderError(
            f"{stored.call}: a checkpoint of the run {str(stored.path)!r} does not fit its training: {problem}"
        )


def _loss(stored: StoredRun, given: Given) -> Loss:
    if given.loss is not None:
        return get_loss(given.loss)
    settings = stored.config["loss_settings"]
    return FunctionLoss(_unknown) if settings is None else loss_from_config(settings)


def _unknown(outputs: Any, targets: Any) -> Any:
    """In the place of an own loss, whose graph is stored."""
    raise ArgumentError("the function of this loss was not stored, only its graph; give loss=…")


def _settings(config: Mapping[str, Any], given: Given, validated: bool) -> Settings:
    own = {field.name: config[field.name] for field in fields(Settings) if field.name in config}
    known = {name.name: name for name in map(metric_registry.get, metric_registry.one_or_several(given.metrics))}
    changed = {
        "schedule": schedules.from_config(config["schedule"]),
        "metrics": tuple(_metric(name, known) for name in config["metrics"] if validated),
        "train_metrics": tuple(_metric(name, known) for name in config["train_metrics"] if validated),
        "threads": given.threads,
    }
    settings = Settings(**{**own, **changed})
    _require_sense(settings)
    return settings


def _require_sense(s: Settings) -> None:
    """Refuse what `fit` would have refused, too."""
    for name in ("batch_size", "epochs", "shards"):
        whole_number(name, getattr(s, name), 1, "resume")
    seed_number(s.seed)
    one_of("dtype", s.dtype, ("float32", "float64"), "resume")
    positive_number("tol", s.tol, zero=True)
    for name in ("patience", "clip_norm", "clip_value", "checkpoint_every"):
        if getattr(s, name) is not None:
            positive_number(name, getattr(s, name), zero=name == "checkpoint_every")


def _metric(name: str, known: Mapping[str, Metric]) -> Metric:
    if name in known:
        return known[name]
    try:
        return metric_registry.get(name)
    except FalllineError:
        raise ArgumentError(
            f"the run measured the metric {name!r}, a function of its own: give it again, metrics=({name},)"
        ) from None


def _rows(
    stored: StoredRun, given: Given, net: Module, loss: Loss, settings: Settings, validated: bool
) -> tuple[Rows, Rows | None]:
    call, config, dtype = stored.call, stored.config, settings.dtype
    classes = config["class_weight"]
    class_weight = dict(map(tuple, classes)) if isinstance(classes, list) else classes
    weights = row_weights(given.sample_weight, class_weight, given.y)
    rows = check_rows(net, given.x, given.y, loss, weights, dtype, call)
    validation = config["validation"]
    if validation == "given":
        if given.validation is None and not validated:
            return rows, None
        if given.validation is None:
            raise ArgumentError(f"{call}: the run was validated on rows of its own: give them again, validation=(x, y)")
        validation = given.validation
    return split(net, rows, validation, loss, dtype, settings.seed)


def _require_same_data(stored: StoredRun, rows: Rows, held_out: Rows | None, given: Given, validated: bool) -> None:
    """Refuse other data than the run's."""
    names, config = data_names(rows, held_out), stored.config
    for key, part, what in (("data_hash", rows, "training"), ("validation_hash", held_out, "validation")):
        if config.get(key) == names[key] or (part is None and not validated):
            continue
        count = config["rows" if key == "data_hash" else "validation_rows"]
        found = 0 if part is None else len(part)
        difference = f"{count:,} rows then, {found:,} now" if count != found else f"{count:,} rows, with other content"
        weighted = ", or sample_weight" if given.sample_weight is not None or "mean_weight" in config else ""
        raise ArgumentError(
            f"{stored.call}: these are not the data of the run {str(stored.path)!r}: its {what} data have the hash "
            f"{config.get(key)}, these have {names[key]} ({difference}); give the same x and y{weighted}"
        )


def _require_same_graphs(stored: StoredRun, given: Given, net: Module, rows: Rows, loss: Loss, dtype: str) -> Graphs:
    """Refuse another network or loss than the run's."""
    if given.loss is None and stored.config["loss_settings"] is None:
        raise ArgumentError(f"{stored.call}: the run has a loss of its own: give it beside net, loss=…")
    graphs = Graphs.of(net, rows, loss, dtype)
    if graphs.digest == stored.config["program"]:
        return graphs
    for what, now, then in (
        ("network", repr(net), stored.config["network"]),
        ("loss", repr(loss), stored.config["loss"]),
    ):
        if now != then:
            raise ArgumentError(
                f"{stored.call}: the {what} is not that of the run {str(stored.path)!r}: {then} then, {now} now; give "
                "the same, or neither, to train on what is stored"
            )
    raise ArgumentError(
        f"{stored.call}: the network {net!r} or the loss {loss!r} computes something else than in the run "
        f"{str(stored.path)!r}, though their descriptions are the same: its code has changed; restore it, or give "
        "neither, to train on what is stored"
    )


def same_numbers(one: Any, other: Any) -> bool:
    """Whether two dictionaries of arrays have the same bits."""
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n], equal_nan=True) for n in one)
