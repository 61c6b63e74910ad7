"""What `fallline train` says about the data, the network and the score."""

import math
from collections.abc import Mapping

import numpy as np

from fallline.cli import show
from fallline.data.spelling import is_missing
from fallline.data.table import Table
from fallline.data.targets import ClassTarget
from fallline.tables.prepare import Prepared
from fallline.tables.train import predicted_seconds
from fallline.training.metrics import METRICS
from fallline.training.plan import Plan
from fallline.training.run import Run

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
        ("data", f"{table.source}: {show.count(len(table), 'row')}, {show.count(len(table.names), 'column')}"),
        ("target", f"{prepared.target}: {describe_target(prepared)}"),
        ("task", f"{prepared.task} ({prepared.task_reason})"),
        ("inputs", kinds(prepared)),
    ]
    if missing:
        lines.append(("missing", ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")))
    lines += _shortened("", told, "column")
    how = "from the test file" if test_file else "set aside"
    split = f"{parts['training']:,} training, {parts['validation']:,} validation, {parts['test']:,} test ({how})"
    lines.append(("rows", split))
    return lines + _shortened("note", prepared.notices, "note")


def network_lines(prepared: Prepared, planned: Plan | None) -> Lines:
    """The network, its work and memory, how it is trained and how long that will take."""
    recipe = prepared.recipe
    loss = "cross_entropy" if prepared.task == "classification" else "mse"
    batch = "all rows" if recipe.batch_size == "all" else show.count(int(recipe.batch_size), "row")
    rate = f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule})"
    work = f"{prepared.plan.parameters:,} parameters"
    if planned is not None:
        work += f", {planned.multiply_adds_per_step:,} multiply-adds per step; memory: {planned.memory}"
    return [
        ("network", prepared.plan.describe()),
        ("", work),
        ("training", f"{loss}, {rate}, {batch} per step"),
        ("", f"{time_line(prepared, planned)}; Ctrl-C stops and keeps the best"),
    ]


def time_line(prepared: Prepared, planned: Plan | None) -> str:
    """The epochs, and the time that is predicted for them."""
    epochs = prepared.recipe.epochs
    if planned is None:
        return show.count(epochs, "epoch")
    threads = show.count(planned.threads, "thread")
    return f"{show.count(epochs, 'epoch')} on {threads}: about {_predicted(prepared, planned, epochs)}"


def trained(prepared: Prepared, planned: Plan | None, run: Run) -> str:
    """The epochs, and the time that they took, beside what was predicted for so many."""
    took = f"{show.count(run.epochs, 'epoch')} in {show.duration(run.seconds)}"
    return took if planned is None else f"{took} (predicted: {_predicted(prepared, planned, run.epochs)})"


def _predicted(prepared: Prepared, planned: Plan, epochs: int) -> str:
    return show.duration(predicted_seconds(prepared, planned, epochs))


def _shortened(word: str, texts: list[str], of: str) -> Lines:
    lines = [(word, text) for text in texts[:MOST_NOTES]]
    if len(texts) > MOST_NOTES:
        lines.append((word, f"… and {show.count(len(texts) - MOST_NOTES, f'more {of}')}; the report has them all"))
    return lines


def kinds(prepared: Prepared) -> str:
    """The input columns by kind."""
    used = [info for info in prepared.infos if info.used and info.name in prepared.encoder.source_columns]
    named = {"number": "number", "category": "category", "boolean": "truth value", "date": "date", "text": "text"}
    counted = {kind: [info.name for info in used if info.kind == kind] for kind in named}
    texts = []
    for kind, names in counted.items():
        if names:
            shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            plural = "categories" if kind == "category" else f"{named[kind]}s"
            texts.append(f"{show.count(len(names), named[kind], plural)} ({shown})")
    return "; ".join(texts)


def describe_target(prepared: Prepared) -> str:
    """The classes with their counts, or the range of values."""
    if isinstance(prepared.codec, ClassTarget):
        classes = prepared.codec.classes
        counts = np.bincount(np.concatenate([y for _, y in prepared.matrices.values()]), minlength=len(classes))
        order = np.argsort(-counts, kind="stable")
        shown = ", ".join(f"{classes[i]} {counts[i]:,}" for i in order[:8])
        return shown + (f", … ({len(classes)} classes)" if len(classes) > 8 else "")
    numbers = np.concatenate([part.column(prepared.target).astype(np.float64) for part in prepared.parts.values()])
    return f"from {numbers.min():g} to {numbers.max():g}, mean {prepared.codec.mean:.6g}"


def baseline(prepared: Prepared) -> str:
    """What the simplest answer would score on the test rows."""
    codec, target = prepared.codec, prepared.target
    if isinstance(codec, ClassTarget):
        common = int(np.bincount(prepared.matrices["training"][1]).argmax())
        share = float(np.mean(prepared.matrices["test"][1] == common))
        return f"always {codec.classes[common]!r} would give {100 * share:.1f} %"
    test = prepared.parts["test"].column(target)
    error = METRICS["rmse"](np.full(len(test), codec.mean), test.astype(np.float64))
    return f"always the mean would give {show.metric_value('rmse', error)}"


def score_line(scores: Mapping[str, float], rows: int, baseline: str) -> str:
    """All metrics on the test rows, beside what the simplest answer would reach."""
    known = {name.replace("_", " "): show.metric_value(name, v) for name, v in scores.items() if math.isfinite(v)}
    shown = ", ".join(f"{name} {value}" for name, value in known.items())
    return f"{shown} on {show.count(rows, 'row')}; {baseline}"
