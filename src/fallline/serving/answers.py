"""Predictions as JSON or CSV, and refusals as JSON."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from fallline.tables.model import TableModel
from fallline.training.metrics import probabilities

JSON, CSV = "application/json", "text/csv"


def as_json(value: Any) -> bytes:
    """A value as JSON in plain ASCII."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def refusal(sentences: Iterable[str], status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that tells what is wrong, a sentence for each fault."""
    return Response(as_json({"errors": list(sentences)}), status, headers, JSON)


def answer(model: TableModel, outputs: NDArray[Any], proba: bool, single: bool, notices: list[str]) -> bytes:
    """Predictions as JSON.

    Args:
        model: whose outputs they are.
        outputs: of its network, (rows, outputs).
        proba: whether to tell the probability of each class.
        single: whether an object was sent, rather than a list of them.
        notices: what a person should be told.
    """
    rows: list[dict[str, Any]] = [{"prediction": value} for value in model.decode(outputs).tolist()]
    if proba:
        names = [str(label) for label in model.classes]
        for row, chances in zip(rows, probabilities(outputs).tolist(), strict=True):
            row["probabilities"] = dict(zip(names, chances, strict=True))
    found = rows[0] if single else {"predictions": rows}
    return as_json({**found, "notes": notices} if notices else found)


def as_csv(model: TableModel, outputs: NDArray[Any], proba: bool) -> bytes:
    """Predictions as `fallline predict` writes them: a header, a row for each row, numbers with all their digits."""
    columns: dict[str, NDArray[Any]] = {"prediction": model.decode(outputs)}
    if proba:
        chances = probabilities(outputs)
        columns |= {f"probability_{label}": chances[:, i] for i, label in enumerate(model.classes)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    cells = ([repr(v) if isinstance(v, float) else v for v in np.asarray(c).tolist()] for c in columns.values())
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue().encode()


def wanted(accept: str | None) -> str | None:
    """The kind of answer that a request's Accept asks for: JSON, CSV, or None where it is neither.

    >>> wanted("text/csv, application/json;q=0.5")
    'text/csv'
    """
    if not accept or accept == "*/*":
        return JSON
    worth = {JSON: 0.0, CSV: 0.0}
    closeness = dict.fromkeys(worth, -1)
    for part in accept.lower().split(","):
        kind, _, rest = part.partition(";")
        for own in worth:
            patterns = ("*/*", f"{own.partition('/')[0]}/*", own)
            close = patterns.index(kind.strip()) if kind.strip() in patterns else -1
            if close > closeness[own]:
                worth[own], closeness[own] = _quality(rest), close
    best = max(worth, key=lambda own: worth[own])  # JSON where both are worth the same
    return best if worth[best] > 0 else None


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
