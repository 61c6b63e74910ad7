"""The page at /: what the service predicts, from which columns, and how to ask it. It has no script."""

import base64
import hashlib
import json
import shlex
from html import escape
from typing import Any

from fallline.serving.describe import example_cell, example_row, kind_of
from fallline.serving.limits import Limits
from fallline.tables.model import TableModel

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
    "pre{overflow:auto;padding:.8rem;border:1px solid #8888}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
MOST_COLUMNS = 200
"""Columns that the page lists."""


def page(model: TableModel, limits: Limits, secured: bool) -> bytes:
    """The page as HTML.

    Args:
        model: what predicts.
        limits: what is taken.
        secured: whether a token is needed.
    """
    target, encoders = model.target.name, model.encoder.encoders
    what = f"one of {len(model.classes)} classes" if model.task == "classification" else "a number"
    rows = "".join(
        f"<tr><td><code>{escape(encoder.name)}</code><td>{escape(kind_of(encoder))}<td>{_cell(example_cell(encoder))}"
        for encoder in encoders[:MOST_COLUMNS]
    )
    more = "" if len(encoders) <= MOST_COLUMNS else f"<p>… and {len(encoders) - MOST_COLUMNS} more columns.</p>"
    rate = f", {limits.rate:g} requests a second" if limits.rate else ""
    bound = f"At most {limits.most_rows:,} rows and {limits.most_bytes:,} bytes in a request{rate}."
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Predictions of {escape(target)}</title><style>{STYLE}</style>
<h1>Predictions of {escape(target)}</h1>
<p>This service predicts <code>{escape(target)}</code>, {what}, from {len(encoders)} columns.
Its description for programs is <a href="openapi.json">openapi.json</a>.</p>
<pre>{escape(_command(model, secured))}</pre>
<p>Send a row as a JSON object, many as a list of objects, or CSV as <code>text/csv</code>. With <code>?proba=1</code>
the answer tells the probability of each class; with <code>Accept: text/csv</code> it is CSV. {bound}</p>
{_of_images(model)}
<table><tr><th>column<th>takes<th>such as{rows}</table>{more}
<p>A value that is not known is <code>null</code>, or an empty cell.</p>
</html>
""".encode()


def _of_images(model: TableModel) -> str:
    if model.encoder.images is None:
        return ""
    return (
        "<p>An image can be sent as it is, the content of a file, as <code>image/png</code>, <code>image/jpeg</code> "
        f"or the like; it is brought to {model.encoder.images}.</p>"
    )


def _cell(value: Any) -> str:
    return f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>"


def _command(model: TableModel, secured: bool) -> str:
    token = ' -H "Authorization: Bearer $TOKEN"' if secured else ""
    if model.encoder.images is not None:
        return f"curl http://ADDRESS/predict{token} -H 'Content-Type: image/png' --data-binary @IMAGE.png"
    row = json.dumps(example_row(model), ensure_ascii=False)
    return f"curl http://ADDRESS/predict{token} -H 'Content-Type: application/json' -d {shlex.quote(row)}"
