"""What stands first: the score, what it is worth, and what one must know about it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fallline.report.judged import Judged
from fallline.report.markup import bar, items, name, paragraph, shown, text
from fallline.report.words import count, duration, metric_name, metric_value, percent, plain
from fallline.tables.baseline import Baseline, baseline
from fallline.tables.train import TableRun

STOPPED = {
    "epochs": "all epochs were done",
    "patience": "the validation loss had stopped falling",
    "converged": "the loss had stopped falling",
    "nan": "the loss was no longer a number",
    "interrupted": "it was interrupted",
    "callback": "a callback stopped it",
}
MOST_ALERTS = 4


def headline(result: TableRun, judged: Judged | None, alerts: Sequence[str]) -> str:
    """The head of the page as markup.

    Args:
        result: the training.
        judged: the rows it is judged by; None where it gives no numbers.
        alerts: sentences of which one must know before trusting the score.
    """
    prepared = result.prepared
    source = Path(prepared.parts["training"].source).name
    inputs = count(len(prepared.encoder.source_columns), "column")
    head = [
        '<p class="over">Training report</p>',
        f"<h1>{name(prepared.target, 120).html}</h1>",
        f'<p class="from">{text(f"predicted from {inputs} of {source} · {prepared.task}")}</p>',
        _warnings(alerts),
    ]
    score = _no_score(result) if judged is None else _score(judged, baseline(prepared, judged.part))
    head.append(f'<div class="card hero">\n{score}\n{_tiles(result, judged)}\n</div>')
    return "\n".join(part for part in head if part)


def _no_score(result: TableRun) -> str:
    held_out = any(len(result.prepared.parts.get(part, ())) for part in ("test", "validation"))
    none = "The network gives no numbers, so that it cannot be scored."
    told = result.run.problem or (none if held_out else "No rows were set aside to judge the network by.")
    told = f"{told[:1].upper()}{told[1:]}"
    return f'<p class="big">No score</p>\n{paragraph(told, kind="told")}'


def _score(judged: Judged, simple: Baseline) -> str:
    """The score in large letters, and bars that compare it with the simplest answer."""
    number, _, unit = metric_value(judged.metric, judged.score).partition(" ")
    big = f'<p class="big">{text(number)}{f"<span class=unit>{text(unit)}</span>" if unit else ""}</p>'
    span = judged.interval()
    between = ""
    if span is not None:
        low, high = (metric_value(judged.metric, value).removesuffix(" %") for value in span)
        between = f"; 95 % interval {low} to {high}{' %' if unit else ''}"
    rows = count(judged.of_rows, f"{judged.part} row")
    lower = "" if judged.chances is not None else ", lower is better"
    what = paragraph(f"{metric_name(judged.metric)} on {rows}{lower}{between}", kind="what")
    return (
        f'<div class="score"><div>{big}{what}</div>\n<div>{_versus(judged, simple, span)}</div>\n'
        f"{paragraph(_told(judged, simple), kind='told')}</div>"
    )


def _versus(judged: Judged, simple: Baseline, span: tuple[float, float] | None) -> str:
    reach = 1.0 if judged.chances is not None else max(judged.score, simple.score, *(span or ())) or 1.0
    if not math.isfinite(reach):
        return ""
    low, high = (None, None) if span is None else (span[0] / reach, span[1] / reach)
    lines = [
        ("this network", bar(judged.score / reach, low, high), metric_value(judged.metric, judged.score)),
        (shown(simple.words, 40), bar(simple.score / reach, kind="plain"), metric_value(judged.metric, simple.score)),
    ]
    cells = "\n".join(
        f"<div><span>{text(who)}</span>{drawn.html}<b>{text(value)}</b></div>" for who, drawn, value in lines
    )
    return f'<div class="versus">{cells}</div>'


def _told(judged: Judged, simple: Baseline) -> str:
    """The comparison in a sentence."""
    if judged.chances is not None:
        right, simply = (round(score * judged.of_rows) for score in (judged.score, simple.score))
        told = (
            f"Right for {right:,} of {count(judged.of_rows, 'row')}; {shown(simple.words, 60)} is right for {simply:,}."
        )
        wrong, without, less = 1.0 - judged.score, 1.0 - simple.score, "{} fewer mistakes"
    else:
        told = f"Half of the predictions are within ±{plain(float(np.median(judged.errors)))} of the truth."
        wrong, without, less = judged.score, simple.score, "The error is {} smaller"
    if not without > 0 or not math.isfinite(without):
        return told
    if wrong >= without:
        return f"{told} The network is no better than the simplest answer."
    return f"{told} {less.format(percent(1.0 - wrong / without))} than with the simplest answer."


def _tiles(result: TableRun, judged: Judged | None) -> str:
    """Further numbers, small."""
    run, metric = result.run, result.prepared.metric
    scores = {} if judged is None else {key: value for key, value in judged.scores.items() if key != judged.metric}
    tiles = [(metric_name(key), metric_value(key, value)) for key, value in scores.items() if math.isfinite(value)]
    seen = result.validation_scores.get(metric, math.nan)
    if judged is not None and judged.part != "validation" and math.isfinite(seen):
        tiles.append((f"validation {metric_name(metric)}", metric_value(metric, seen)))
    tiles.append(("rows trained on", f"{len(result.prepared.parts['training']):,}"))
    tiles.append(("training took", f"{duration(run.seconds)}"))
    tiles.append(("epochs", f"{run.epochs:,}"))
    cells = "\n".join(f"<div><dt>{text(what)}</dt><dd>{text(value)}</dd></div>" for what, value in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def _warnings(alerts: Sequence[str]) -> str:
    if not alerts:
        return ""
    more = len(alerts) - MOST_ALERTS
    told = [*alerts[:MOST_ALERTS], *([f"… and {more} more, below under The data"] if more > 0 else [])]
    inside = paragraph(told[0]) if len(told) == 1 else items(told)
    return f'<div class="alert" role="note"><strong>Worth knowing first</strong>{inside}</div>'
