"""What `fallline train` says about the data, the network and the score."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fallline.cli import show
from fallline.data.spelling import is_missing
from fallline.data.table import Table
from fallline.data.targets import ClassTarget
from fallline.tables.baseline import baseline as simplest
from fallline.tables.prepare import Prepared
from fallline.tables.train import predicted_seconds
from fallline.training.plan import Plan
from fallline.training.run import Run
from fallline.training.run_reader import StoredRun

Lines = list[tuple[str, str]]
MOST_NOTES = 12


def data_lines(table: Table, prepared: Prepared, test_file: bool) -> Lines:
    """What was understood of the data: rows, columns, target, what is left out and why."""
    parts = {name: len(part) for name, part in prepared.parts.items()}
    counts = {name: int(is_missing(table.column(name)).sum()) for name in prepared.encoder.source_columns}
    missing = [f"{name} {number:,}" for name, number in counts.items() if number]
    told = [info.reason for info in prepared.infos if not info.used]
    told += [info.reason for info in prepared.infos if info.used and info.reason]
    lines = [
        ("data", f"{table.source}: {_amount(table)}"),
        ("target", f"{prepared.target}: {describe_target(prepared)}"),
        ("task", f"{prepared.task} ({prepared.task_reason})"),
        ("inputs", kinds(prepared)),
    ]
    if missing:
        lines.append(("missing", ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")))
    lines += _shortened("", told, "column")
    how = "from the test file" if test_file else "set aside"
    counted = ", ".join(f"{parts[name]:,} {name}" for name in ("training", "validation", "test") if name in parts)
    lines.append(("rows", f"{counted} ({how})"))
    return lines + _shortened("note", prepared.notices, "note")


def _amount(table: Table) -> str:
    form = None if table.layout is None else table.layout.form
    if form is not None:
        return f"{show.count(len(table), 'image')}, read as {form}; the target is the name of each one's folder"
    return f"{show.count(len(table), 'row')}, {show.count(len(table.names), 'column')}"


def network_lines(prepared: Prepared, planned: Plan | None, done: int = 0) -> Lines:
    """The network, its work and memory, how it is trained and how long that will take, after so many epochs."""
    recipe = prepared.recipe
    batch = "all rows" if recipe.batch_size == "all" else show.count(int(recipe.batch_size), "row")
    rate = f"{recipe.optimizer}, learning rate {recipe.learning_rate:.3g} ({recipe.schedule})"
    work = f"{prepared.plan.parameters:,} parameters"
    if planned is not None:
        work += f", {planned.multiply_adds_per_step:,} multiply-adds per step; memory: {planned.memory}"
    return [
        ("network", prepared.plan.describe()),
        ("", work),
        ("training", f"{prepared.loss}, {rate}, {batch} per step"),
        ("", _kept(prepared)),
        ("", f"{time_line(prepared, planned, done)}; Ctrl-C stops and keeps the best"),
    ]


def _kept(prepared: Prepared) -> str:
    """Which epoch's weights are kept, and what ends the training."""
    if "validation" not in prepared.parts:
        return "the weights of the last epoch are kept"
    kept = "the weights of the epoch with the lowest validation loss are kept"
    if prepared.patience is None:
        return kept
    return f"{kept}; {show.count(prepared.patience, 'epoch')} without a lower one end the training"


def time_line(prepared: Prepared, planned: Plan | None, done: int = 0) -> str:
    """The epochs, of which some may be over, and the time that is predicted for the others."""
    epochs = max(prepared.recipe.epochs - done, 0)
    told = show.count(epochs, "more epoch" if done else "epoch")
    if planned is None:
        return told
    threads = show.count(planned.threads, "thread")
    return f"{told} on {threads}: about {_predicted(prepared, planned, epochs)}"


def steps_in_all(stored: StoredRun) -> int:
    """The steps of all epochs of a run."""
    config = stored.config
    return int(config["epochs"]) * -(-int(config["rows"]) // int(config["batch_size"]))


def goes_on(stored: StoredRun, branch: Path | None, step: int | None) -> tuple[str, int]:
    """(where a run goes on, or where another one leaves it; how many epochs were over then)."""
    last, whole, epochs = (
        stored.steps()[-1] if step is None else step,
        steps_in_all(stored),
        int(stored.config["epochs"]),
    )
    over = last // (whole // epochs)
    place = f"step {last:,} of {whole:,}, after {show.count(over, 'epoch')} of {epochs:,}"
    if branch is not None:
        return f"{branch} leaves {stored.path} at {place}", over
    if stored.about["stopped"] in ("running", "interrupted"):
        return f"{stored.path} goes on at {place}", over
    return f"{stored.path} is at its end: {place}; its weights stay as they are", epochs


def trained(prepared: Prepared, planned: Plan | None, run: Run) -> str:
    """The epochs, and the time that they took, beside what was predicted for so many."""
    took = f"{show.count(run.epochs, 'epoch')} in {show.duration(run.seconds)}"
    return took if planned is None else f"{took} (predicted: {_predicted(prepared, planned, run.epochs)})"


def _predicted(prepared: Prepared, planned: Plan, epochs: int) -> str:
    return show.duration(predicted_seconds(prepared, planned, epochs))


def report_commands(
    again: str, data: str, given: Mapping[str, Any], folder: Path, interrupted: bool, images: bool
) -> dict[str, str]:
    """What can be done with a run → the command line that does it, for its report."""
    model = str(folder / "model.safetensors")
    rows = "these images, or on other files or folders of them"
    others = f"on {rows if images else 'this file or another one with the same columns'}"
    lines = {"Go on where it was interrupted": show.command("train", "--resume", folder)} if interrupted else {}
    return lines | {
        f"Predict with it, {others}": show.command(
            "predict", model, data, *(["--no-header"] if given["no_header"] else [])
        ),
        "Train the same network again": again,
        "Compute this run again, and compare every loss and every hash with what was recorded": show.command(
            "verify", folder
        ),
    }


def _shortened(word: str, texts: list[str], of: str) -> Lines:
    lines = [(word, text) for text in texts[:MOST_NOTES]]
    if len(texts) > MOST_NOTES:
        lines.append((word, f"… and {show.count(len(texts) - MOST_NOTES, f'more {of}')}; the report has them all"))
    return lines


def kinds(prepared: Prepared) -> str:
    """The input columns by kind."""
    used = [info for info in prepared.infos if info.used and info.name in prepared.encoder.source_columns]
    named = {"number": "number", "category": "category", "boolean": "truth value", "date": "date", "text": "text"}
    named |= {"pixel": "point of an image"}
    counted = {kind: [info.name for info in used if info.kind == kind] for kind in named}
    texts = []
    for kind, names in counted.items():
        if names:
            shown = f" ({', '.join(names[:8])}{', …' if len(names) > 8 else ''})" if kind != "pixel" else ""
            plural = {"category": "categories", "pixel": "points of an image"}.get(kind, f"{named[kind]}s")
            texts.append(f"{show.count(len(names), named[kind], plural)}{shown}")
    return "; ".join(texts)


def describe_target(prepared: Prepared) -> str:
    """The classes with their counts, or the range of values."""
    if isinstance(prepared.codec, ClassTarget):
        classes = prepared.codec.classes
        counts = np.sum([np.bincount(y, minlength=len(classes)) for _, y in prepared.matrices.values()], axis=0)
        order = np.argsort(-counts, kind="stable")
        shown = ", ".join(f"{classes[i]} {counts[i]:,}" for i in order[:8])
        return shown + (f", … ({len(classes)} classes)" if len(classes) > 8 else "")
    numbers = [part.column(prepared.target) for part in prepared.parts.values()]
    low, high = (float(end([end(values) for values in numbers])) for end in (np.min, np.max))
    return f"from {low:g} to {high:g}, mean {_mean(prepared):.6g}"


def _mean(prepared: Prepared) -> float:
    """The target's mean over the training rows."""
    return float(prepared.parts["training"].column(prepared.target).mean(dtype=np.float64))


def baseline(prepared: Prepared) -> str:
    """What the simplest answer would score on the test rows."""
    simple = simplest(prepared)
    return f"{simple.words} would give {show.metric_value(prepared.metric, simple.score)}"


def score_line(scores: Mapping[str, float], rows: int, baseline: str) -> str:
    """All metrics on the test rows, beside what the simplest answer would reach."""
    known = {show.metric_name(name): show.metric_value(name, v) for name, v in scores.items() if math.isfinite(v)}
    shown = ", ".join(f"{name} {value}" for name, value in known.items())
    return f"{shown} on {show.count(rows, 'row')}; {baseline}"
