"""How well classes are told apart: who is taken for whom, at which thresholds, and whether the chances are true."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.report.class_charts import calibration_chart, precision_recall_chart, roc_chart
from fallline.report.judged import Judged
from fallline.report.markup import Markup, Section, figures, folded, pair, paragraph, scroll, table, text
from fallline.report.statistics import Ranking, confusion_counts, ranking
from fallline.report.svg import shortened
from fallline.report.words import count, percent

MOST_CLASSES, MOST_CURVES, MOST_LINES, MOST_CONFUSIONS = 20, 10, 20, 15
Counts = NDArray[np.int64]


def class_section(judged: Judged) -> Section:
    """Confusion matrix, measures of each class, ROC and precision-recall curves, calibration."""
    counts = confusion_counts(judged.true, judged.predicted, len(judged.classes))
    matrix = len(judged.classes) <= MOST_CLASSES
    content = [
        paragraph(
            f"What the network says of the {count(len(judged), f'{judged.part} row')}, which it was not trained on."
        ),
        "<h3>Which class is taken for which</h3>",
        pair(_confusion(judged.classes, counts), *_measures(judged, counts))
        if matrix
        else "\n".join([_confusions(judged.classes, counts), *_measures(judged, counts)]),
        "<h3>How sure it is, and whether it may be</h3>",
        *_curves(judged),
    ]
    return Section("quality", "How well it predicts", content, "Predictions")


def _confusion(classes: list[str], counts: Counts) -> str:
    """The matrix, whose colours are shares of the true class."""
    names = [shortened(label, 130, 13) for label in classes]
    head = "".join(
        f'<th scope="col" title="{text(label)}">{text(n)}</th>' for label, n in zip(classes, names, strict=True)
    )
    lines = []
    for row, (label, line) in enumerate(zip(names, counts, strict=True)):
        cells = "".join(
            f'<td class="{"right" if column == row else "" if number else "none"}" '
            f'style="--share:{number / max(int(line.sum()), 1):.3f}">{number:,}</td>'
            for column, number in enumerate(line)
        )
        lines.append(f'<tr><th scope="row">{text(label)}</th>{cells}</tr>')
    body = "\n".join(lines)
    caption = "Confusion matrix: lines are the true classes, columns the predicted ones"
    whole = (
        f'<table class="confusion"><caption>{caption}</caption><thead><tr><th class="muted">true ↓ &nbsp; predicted →'
        f"</th>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    )
    return scroll(whole, caption)


def _confusions(classes: list[str], counts: Counts) -> str:
    """Of many classes, the pairs that are confused most often."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(k), len(classes)) for k in order]
    rows = [
        (classes[true], classes[given], int(wrong[true, given]), percent(wrong[true, given] / counts[true].sum()))
        for true, given in pairs
        if wrong[true, given]
    ]
    told = f"Of the {len(classes)} classes, the pairs that are confused most often."
    if not rows:
        return paragraph("No row is taken for another class.")
    return paragraph(told) + table(("true", "taken for", "rows", "of the class"), rows, told)


def _measures(judged: Judged, counts: Counts) -> list[str]:
    """Precision, recall and F1 of each class; of many classes, those found least often first."""
    true, given = counts.sum(axis=1), counts.sum(axis=0)
    right = np.diag(counts)
    rows: list[tuple[Any, ...]] = []
    order = range(len(judged.classes)) if len(judged.classes) <= MOST_CLASSES else np.argsort(_share(right, true))
    for k in map(int, order):
        recall, precision = _share(right, true)[k], _share(right, given)[k]
        f1 = 2 * right[k] / max(true[k] + given[k], 1)
        cells = (_cell(share, bool(of)) for share, of in ((recall, true[k]), (precision, given[k])))
        rows.append((judged.classes[k], int(true[k]), *cells, _cell(f1, bool(true[k]))))
    head = ("class", "rows", "found (recall)", "right when said (precision)", "F1")
    caption = "How well each class is recognised"
    shown, rest = rows[:MOST_LINES], rows[MOST_LINES:]
    parts = [table(head, shown, caption, "measures")]
    if rest:
        parts.append(
            folded(f"The other {count(len(rest), 'class', 'classes')}", table(head, rest, caption, "measures"))
        )
    return parts


def _share(part: Counts, of: Counts) -> NDArray[np.float64]:
    return part / np.maximum(of, 1)


def _cell(share: float, known: bool) -> Markup:
    return Markup(text(percent(share)) if known else "–", number=True)


def _curves(judged: Judged) -> list[str]:
    """ROC, precision-recall and calibration, or why there are none."""
    chances = judged.chances
    if chances is None:
        return []
    binary = len(judged.classes) == 2
    wanted = [1] if binary else list(range(len(judged.classes)))
    drawn: dict[str, Ranking] = {}
    if len(wanted) <= MOST_CURVES:
        found = {judged.classes[k]: ranking(judged.true == k, chances[:, k]) for k in wanted}
        drawn = {label: one for label, one in found.items() if one is not None}
        why = "" if drawn else "Every row is of one class, so that no threshold separates any."
    else:
        why = f"Curves for each of the {len(judged.classes)} classes would be too many to read; they are left out."
    told = (
        f"The chance of {judged.classes[1]!r}, cut at every threshold." if binary else "Each class against all others."
    )
    charts = [roc_chart(drawn), precision_recall_chart(drawn)] if drawn else []
    charts.append(calibration_chart(judged))
    return [paragraph(told if drawn else why), figures(charts)]
