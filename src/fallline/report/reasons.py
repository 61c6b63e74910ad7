"""What the predictions go by, and where they go wrong: importance of columns, the worst-predicted rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.targets import ClassTarget
from fallline.report.importance import Importance, permutation_importance
from fallline.report.judged import Judged
from fallline.report.markup import Markup, Section, bar, folded, name, paragraph, shown, table, text
from fallline.report.words import count, metric_name, percent, plain
from fallline.tables.train import TableRun

Array = NDArray[Any]
MOST_BARS, MOST_MORE, WORST, MOST_COLUMNS, CELL = 15, 100, 10, 8, 90


def find_importance(result: TableRun, judged: Judged, places: Mapping[str, Array], seconds: float) -> Importance | None:
    """The importance of each column (or part of an image) for the metric that counts."""
    codec, network = result.prepared.codec, result.model.network

    def cost(outputs: Array, rows: Array) -> Array:
        if isinstance(codec, ClassTarget):
            return np.asarray(np.argmax(outputs, axis=-1) != judged.true[rows], dtype=np.float64)
        return np.asarray(((codec.decode(outputs) - judged.true[rows]) / size) ** 2)

    # In units of the largest error, so that squares stay in range.
    size = 1.0 if judged.chances is not None else float(judged.errors.max()) or 1.0
    seed = int(result.run.config.get("seed", 0))
    found = permutation_importance(judged, places, network.predict, cost, seed, seconds)
    if found is None:
        return None
    return replace(found, loss=found.loss * size, low=found.low * size, high=found.high * size)


def importance_section(found: Importance | None, judged: Judged) -> Section:
    """A bar for each column: how much the score falls when it is shuffled."""
    if found is None or not found.names:
        return Section("importance", "", [])
    metric = metric_name(judged.metric)
    effect = (
        f"how many percentage points of {metric} are lost"
        if judged.chances is not None
        else f"how much the {metric} grows"
    )
    told = (
        f"Each column is shuffled among {count(found.rows, 'row')} of the {judged.part} part, "
        f"{count(found.repeats, 'time')}; the bar shows {effect} without what the column tells. "
        "The whisker is the 95 % interval over other rows of this kind. Columns that tell the same share their "
        "importance."
    )
    if found.left:
        told += f" {count(found.left, 'column')} more were not tried, since that would have taken too long."
    reach = float(max(found.high.max(), found.loss.max(), 0.0)) or 1.0
    rows = [_bar_row(found, k, reach, judged.chances is not None) for k in range(len(found.names))]
    head = ("column", "importance", "loss", "95 % interval")
    caption = "Importance of the columns"
    more = rows[MOST_BARS : MOST_BARS + MOST_MORE]
    content = [paragraph(told), table(head, rows[:MOST_BARS], caption, "bars")]
    rest = (
        f"The next {count(len(more), 'column')} of {len(rows)}" if len(rows) > MOST_BARS + MOST_MORE else "The others"
    )
    content.append(folded(rest, table(head, more, caption, "bars")) if more else "")
    return Section("importance", "What the predictions go by", content, "Columns that matter")


def _bar_row(found: Importance, k: int, reach: float, shares: bool) -> tuple[Any, ...]:
    loss, low, high = (float(values[k]) for values in (found.loss, found.low, found.high))
    said = [
        f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "−") if shares else plain(value)
        for value in (loss, low, high)
    ]
    return (
        name(found.names[k]),
        bar(loss / reach, low / reach, high / reach),
        Markup(text(said[0]), number=True),
        Markup(f"<small>{text(f'{said[1]} to {said[2]}')}</small>", number=True),
    )


def worst_section(result: TableRun, judged: Judged, found: Importance | None) -> Section:
    """The rows on which the model is most wrong, with their data."""
    order = np.argsort(-judged.errors, kind="stable")[:WORST]
    encoder = result.model.encoder
    by_importance = [] if found is None else found.names
    columns = list(dict.fromkeys([*by_importance, *encoder.source_columns]))[:MOST_COLUMNS]
    longest = max(CELL, 5 * CELL // len(columns))  # few columns have room for longer texts
    where = "row" if judged.table.lines is None else "line"
    head: list[str | Markup] = [where, *_judgement_head(judged), *(name(column, 40) for column in columns)]
    rows = [
        (
            _place(judged, int(row)),
            *_judgement(judged, int(row)),
            *(shown(judged.table.column(column)[row], longest) for column in columns),
        )
        for row in order
    ]
    which = "all columns" if len(columns) == len(encoder.source_columns) else (
        f"the {len(columns)} of {len(encoder.source_columns)} columns that matter most"
        if found is not None
        else f"the first {len(columns)} of {len(encoder.source_columns)} columns"
    )  # fmt: skip
    of = "the least chance is given to what is true" if judged.chances is not None else "the prediction is farthest off"
    told = f"The {count(len(order), f'{judged.part} row')} for which {of}, with {which}. "
    if judged.chances is not None and (judged.true == judged.predicted).all():
        told += "All of them are right: these are the least sure."
    else:
        told += "Often they are mistakes in the data, or need a column that is not there."
    content = [paragraph(told), table(head, rows, "Worst predicted rows", "rows")]
    return Section("worst", "Where it is most wrong", content, "Worst rows")


def _place(judged: Judged, row: int) -> str:
    """Where a row is: its line in a file of text, or else its number."""
    table = judged.table
    if table.lines is not None:
        return f"{int(table.lines[row]):,}"
    return f"{table.row_number(row):,}"


def _judgement_head(judged: Judged) -> tuple[str, ...]:
    return (
        ("true", "predicted", "chance of the true one")
        if judged.chances is not None
        else ("true", "predicted", "off by")
    )


def _judgement(judged: Judged, row: int) -> tuple[str, ...]:
    if judged.chances is not None:
        true, given = int(judged.true[row]), int(judged.predicted[row])
        return judged.classes[true], judged.classes[given], _small(float(judged.chances[row, true]))
    true_value, value = float(judged.true[row]), float(judged.predicted[row])
    off = value - true_value
    return plain(true_value), plain(value), f"{'+' if off > 0 else ''}{plain(off)}"


def _small(share: float) -> str:
    return percent(share) if share >= 0.001 else f"{100 * share:.1g} %"
