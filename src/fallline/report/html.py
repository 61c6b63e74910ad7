"""report.html: one file that shows a training, opens without a network, and prints."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ShapeError
from fallline.nn.model_file import write_whole
from fallline.report.curves import curve_picture, scatter_picture
from fallline.report.svg import FONT

Array = NDArray[Any]
Tables = Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]

_OF_TRAINING, _OF_VALIDATION = "train_", "validation_"
_NO_CURVES = {"seconds", "learning_rate"}

STYLE = f"""
:root{{color-scheme:light dark;--page:#eef2f5;--paper:#fff;--ink:#18202a;--muted:#576370;--hair:#d3dae0;
--cell:0,105,166}}
@media screen and (prefers-color-scheme:dark){{
:root{{--page:#0b0e12;--paper:#12161b;--ink:#eaeff4;--muted:#9dabb8;--hair:#37414c;--cell:92,184,238}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 {FONT}}}
main{{max-width:948px;margin:0 auto;padding:32px 24px 64px}}
h1{{font-size:28px;line-height:1.2;margin:0 0 20px}}
h2{{font-size:18px;margin:40px 0 12px}}
.card+.charts{{margin-top:16px}}
.card{{background:var(--paper);border:1px solid var(--hair);border-radius:10px;padding:18px 22px}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:6px 22px;margin:0}}
dt{{color:var(--muted)}}dd{{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}}
.charts{{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:16px}}
.picture{{margin:0;background:var(--paper);border:1px solid var(--hair);border-radius:10px;overflow:hidden}}
.picture+.picture{{margin-top:16px}}.charts .picture{{margin:0}}
.picture svg{{display:block;width:100%;height:auto}}
.scroll{{overflow-x:auto}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}
th,td{{padding:5px 12px;text-align:left;border-bottom:1px solid var(--hair)}}th{{color:var(--muted);font-weight:600}}
.number{{text-align:right}}
.confusion td{{text-align:right;min-width:52px;background:rgba(var(--cell),calc(var(--share)*.55))}}
ul{{margin:0;padding-left:20px}}
pre{{margin:0;overflow-x:auto;font:13px/1.7 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
footer{{margin-top:40px;color:var(--muted);font-size:13px}}
@media print{{body{{background:none}}main{{max-width:none;padding:0}}.card,.picture{{break-inside:avoid}}}}
"""


def write_report(
    path: Any,
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    history: Mapping[str, Sequence[float]],
    pictures: Mapping[str, str],
    notes: Sequence[str] = (),
    tables: Tables | None = None,
    confusion: tuple[Sequence[str], Any] | None = None,
    scatter: tuple[Any, Any] | None = None,
    best_epoch: int | None = None,
    commands: Sequence[str] = (),
) -> None:
    """Write a training's report as one HTML file: nothing is fetched, no script runs, it is light or dark as the page.

    Args:
        path: the file.
        title: the heading.
        summary: (what, value) pairs, in reading order.
        history: a number per epoch by name, as in `run.history`: "loss", "validation_loss", "validation_accuracy" …
        pictures: heading → SVG made by this room; it is put in as it is.
        notes: sentences about the data and the decisions taken.
        tables: heading → (column names, rows).
        confusion: (class names, counts (true classes, predicted classes)).
        scatter: (true values, predicted values), (rows,) each.
        best_epoch: from 0, the epoch whose weights were kept.
        commands: command lines that make this result again.

    Raises:
        ShapeError: the confusion matrix does not fit its class names, or the scatter's two arrays each other.
        ModelFileError: the file cannot be written; nothing is left behind.
    """
    sections = [
        _section("", _definitions(summary)),
        _section("How the training went", _charts(history, best_epoch)),
        _section("How well it predicts", _confusion(confusion) + _scatter(scatter)),
        *(_section(heading, f'<figure class="picture">{svg}</figure>') for heading, svg in pictures.items()),
        *(_section(heading, _table(*table)) for heading, table in (tables or {}).items()),
        _section("About the data", _list(notes)),
        _section("How to reproduce", _lines(commands)),
    ]
    page = _PAGE.format(title=escape(title), style=STYLE, body="\n".join(part for part in sections if part))
    write_whole(Path(path), page.encode())


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
<footer>Made by Fallline: backpropagation computes dL/dw, gradient descent uses it, w ← w − η·dL/dw.</footer>
</main>
</body>
</html>
"""


def _section(heading: str, content: str) -> str:
    if not content:
        return ""
    return f"<section>\n{f'<h2>{escape(heading)}</h2>' if heading else ''}\n{content}\n</section>"


def _definitions(summary: Sequence[tuple[str, str]]) -> str:
    pairs = "\n".join(f"<dt>{escape(str(what))}</dt><dd>{escape(str(value))}</dd>" for what, value in summary)
    return f'<dl class="card">\n{pairs}\n</dl>' if summary else ""


def _charts(history: Mapping[str, Sequence[float]], best_epoch: int | None) -> str:
    """One chart for the losses, one for each metric, with training and validation together."""
    epochs = max((len(values) for values in history.values()), default=0)
    charts: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in history.items():
        if name in _NO_CURVES or len(values) != epochs or not epochs:
            continue  # a number of the last epoch alone is no curve
        metric = name.removeprefix(_OF_TRAINING).removeprefix(_OF_VALIDATION)
        part = "validation" if name.startswith(_OF_VALIDATION) else "training"
        if name == "train_loss":
            part = "training, after the epoch"
        charts.setdefault(metric, {})[part] = values
    drawn = [
        curve_picture(f"curve-{number}", metric.replace("_", " ").capitalize(), curves, best_epoch)
        for number, (metric, curves) in enumerate(charts.items())
    ]
    figures = "\n".join(f'<figure class="picture">{svg}</figure>' for svg in drawn)
    return f'<div class="charts">\n{figures}\n</div>' if drawn else ""


def _confusion(confusion: tuple[Sequence[str], Any] | None) -> str:
    if confusion is None:
        return ""
    labels, counts = [str(label) for label in confusion[0]], np.asarray(confusion[1])
    if counts.shape != (len(labels), len(labels)):
        raise ShapeError(
            f"write_report: the confusion matrix of {len(labels)} classes must have shape "
            f"({len(labels)}, {len(labels)}), found {counts.shape}"
        )
    head = "".join(f'<th class="number">{escape(label)}</th>' for label in labels)
    rows = "\n".join(
        f"<tr><th>{escape(label)}</th>"
        + "".join(f'<td style="--share:{count / max(line.sum(), 1):.3f}">{count:,}</td>' for count in line)
        + "</tr>"
        for label, line in zip(labels, counts, strict=True)
    )
    table = f'<table class="confusion"><tr><th>true ↓ predicted →</th>{head}</tr>\n{rows}</table>'
    return f'<div class="card scroll">{table}</div>'


def _scatter(scatter: tuple[Any, Any] | None) -> str:
    if scatter is None:
        return ""
    true, predicted = np.asarray(scatter[0]).ravel(), np.asarray(scatter[1]).ravel()
    if true.shape != predicted.shape:
        raise ShapeError(f"write_report: scatter has {len(true)} true values but {len(predicted)} predicted ones")
    drawn = scatter_picture("scatter", "Predicted against true", true, predicted)
    return f'<div class="charts"><figure class="picture">{drawn}</figure></div>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        shown = f"{value:,.6g}" if numeric and isinstance(value, float | np.floating) else str(value)
        kind = ' class="number"' if numeric else ""
        return f"<td{kind}>{escape(shown)}</td>"

    head = "".join(f"<th>{escape(str(column))}</th>" for column in columns)
    body = "\n".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    return f'<div class="card scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _list(notes: Sequence[str]) -> str:
    items = "\n".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<div class="card"><ul>{items}</ul></div>' if notes else ""


def _lines(commands: Sequence[str]) -> str:
    return f'<div class="card"><pre>{escape(chr(10).join(commands))}</pre></div>' if commands else ""
