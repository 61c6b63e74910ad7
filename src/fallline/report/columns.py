"""The data: what was decided about it, and each column with a small picture of what is in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import different
from fallline.data.dates import as_moments
from fallline.data.spelling import NUMBER, distinct, is_missing
from fallline.data.targets import ClassTarget
from fallline.report.markup import Markup, Section, folded, items, name, paragraph, shown, table, text
from fallline.report.words import count, percent, plain
from fallline.tables.columns import ColumnInfo
from fallline.tables.prepare import Prepared

Array = NDArray[Any]
MOST_ROWS, MOST_SHOWN, BINS, TOP = 20_000, 40, 24, 3
WIDE, HIGH = 150, 34
PARTS = ("training", "validation", "test")


def data_section(prepared: Prepared, notes: Sequence[str], images: str = "") -> Section:
    """Rows, target, decisions, and a line for each column; or pictures, where the columns are points of images."""
    rows = {part: len(prepared.parts[part]) for part in PARTS if part in prepared.parts}
    parts = ", ".join(f"{number:,} for {part}" for part, number in rows.items())
    told = f"{count(sum(rows.values()), 'row')}: {parts}. "
    told += "The table describes the training rows, from which alone all is learnt."
    task = f"{prepared.target} is predicted by {prepared.task}: {prepared.task_reason}."
    head = ("column", "kind", "what is in it", "missing", "different")
    lines = [_target_line(prepared), *(_line(prepared, info) for info in prepared.infos if not images)]
    caption = "The columns"
    rest = lines[MOST_SHOWN:]
    content = [
        paragraph(told, task),
        f'<div class="card">{items(notes)}</div>' if notes else "",
        table(head, lines[:MOST_SHOWN], caption, "columns"),
        images,
        folded(f"{count(len(rest), 'more column')}", table(head, rest, caption, "columns")) if rest else "",
    ]
    return Section("data", "The data", content, "Data")


def _target_line(prepared: Prepared) -> tuple[Any, ...]:
    values = prepared.parts["training"].column(prepared.target)
    kind = "category" if isinstance(prepared.codec, ClassTarget) else "number"
    if isinstance(prepared.codec, ClassTarget):
        found = len(prepared.codec.classes)
    else:
        found = len(distinct(values)[0] if values.dtype.kind == "O" else different(values))
    return (
        Markup(f"{name(prepared.target).html} (the target)"),
        kind,
        _content(kind, values[:MOST_ROWS], prepared.target, None),
        "",
        found,
    )


def _line(prepared: Prepared, info: ColumnInfo) -> tuple[Any, ...]:
    training = prepared.parts["training"]
    values = training.column(info.name)[:MOST_ROWS]
    missing = f"{info.missing:,} ({percent(info.missing / len(training))})" if info.missing else ""
    kind = info.kind if info.used else Markup(f'<span class="muted">{text(info.kind)}, left out</span>')
    return name(info.name), kind, _content(info.kind, values, info.name, info.date_format), missing, info.distinct


def _content(kind: str, values: Array, column: str, date_format: str | None) -> Markup | str:
    present = values[~is_missing(values)]
    if not len(present):
        return ""
    if kind == "date":
        return _dates(present, column, date_format)
    if kind in ("number", "identifier", "pixel") and (numbers := _numbers(present)) is not None:
        return _numeric(numbers)
    if kind in ("category", "boolean"):
        return _categories(present)
    return f"such as {shown(present[0], 90)}"


def _numbers(present: Array) -> Array | None:
    """Finite numbers of a column, where its cells are numbers."""
    if present.dtype.kind == "O":
        if not all(isinstance(cell, str) and NUMBER.fullmatch(cell) for cell in present):
            return None
        present = np.array([float(cell) for cell in present])
    if present.dtype.kind not in "iufb":
        return None
    numbers = present.astype(np.float64)
    numbers = np.clip(numbers[np.isfinite(numbers)], -1e300, 1e300)
    return numbers if len(numbers) else None


def _numeric(numbers: Array) -> Markup:
    low, middle, high = (plain(float(value)) for value in (numbers.min(), np.median(numbers), numbers.max()))
    return _beside(_spark(numbers), f"{low} to {high}, median {middle}")


def _dates(present: Array, column: str, date_format: str | None) -> Markup:
    moments = as_moments(present, column, date_format, lambda row: f"row {row + 1}")
    moments = moments[~np.isnat(moments)]
    if not len(moments):
        return Markup("")
    told = f"{shown(moments.min())} to {shown(moments.max())}"
    return _beside(_spark(moments.astype(np.int64).astype(np.float64)), told)


def _spark(numbers: Array) -> str:
    """A histogram without axes; the farthest values of each side stand in its first and last bar."""
    low, high = np.percentile(numbers, [0.5, 99.5])
    if not high > low:
        low, high = numbers.min(), numbers.max()
    if not high > low:
        return ""
    heights, _ = np.histogram(np.clip(numbers, low, high), bins=BINS, range=(float(low), float(high)))
    step, most = WIDE / BINS, heights.max()
    bars = "".join(
        f'<rect x="{k * step:.2f}" y="{HIGH - max(HIGH * h / most, 1):.1f}" width="{step - 1:.2f}" '
        f'height="{max(HIGH * h / most, 1):.1f}"/>'
        for k, h in enumerate(heights.tolist())
        if h
    )
    return f'<svg class="spark" viewBox="0 0 {WIDE} {HIGH}" aria-hidden="true">{bars}</svg>'


def _categories(present: Array) -> Markup:
    """The most frequent values with their shares, and a bar of these."""
    labels, codes = distinct(present)
    counts = np.bincount(codes, minlength=len(labels))
    order = np.argsort(-counts, kind="stable")
    parts = "".join(f'<i style="flex:{counts[k]}"></i>' for k in order[:5])
    told = ", ".join(f"{shown(labels[k], 30)} ({percent(counts[k] / len(present))})" for k in order[:TOP])
    more = f" and {len(labels) - TOP:,} more" if len(labels) > TOP else ""
    rest = len(present) - int(counts[order[:5]].sum())
    last = f'<i style="flex:{rest};background:var(--hair);opacity:1"></i>' if rest else ""
    return _beside(f'<span class="parts" aria-hidden="true">{parts}{last}</span>', told + more)


def _beside(picture: str, words: str) -> Markup:
    return Markup(f'<span class="content">{picture}<small>{text(words)}</small></span>')
