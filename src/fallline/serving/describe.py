"""A model's columns as people and programs need to know them: an example row, and the OpenAPI description."""

from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from fallline.data.column_encoders import BooleanEncoder, CategoryEncoder, DateEncoder, NumberEncoder
from fallline.data.encoders import ColumnEncoder
from fallline.data.pixels import LARGEST, PixelEncoder
from fallline.tables.model import TableModel

SHOWN = 20
"""Categories of a column that are listed."""
_ERRORS = {
    "400": "The request cannot be read.",
    "401": "The token is missing or wrong.",
    "413": "Too many bytes or rows.",
    "415": "The content type is neither JSON nor CSV.",
    "422": "Rows do not fit the model's columns: a sentence for each fault.",
    "429": "Too many requests; Retry-After tells when to try again.",
}


def example_row(model: TableModel) -> dict[str, Any]:
    """A row that the model takes."""
    return {encoder.name: example_cell(encoder) for encoder in model.encoder.encoders}


def example_cell(encoder: ColumnEncoder) -> Any:
    """A usual value of a column: the mean, the first category or the like."""
    if isinstance(encoder, NumberEncoder):
        return float(f"{encoder.mean:.4g}")
    if isinstance(encoder, BooleanEncoder):
        return True
    if isinstance(encoder, CategoryEncoder):
        return encoder.labels[0] if encoder.labels else None
    if isinstance(encoder, DateEncoder):
        return _example_date(encoder)
    return 0 if isinstance(encoder, PixelEncoder) else "some words"


def _example_date(encoder: DateEncoder) -> str:
    try:
        moment = datetime(1970, 1, 1) + timedelta(days=round(encoder.elapsed.mean))
    except OverflowError:
        moment = datetime(2024, 1, 31)
    written = encoder.format or "YYYY-MM-DD"
    parts = {"YYYY": f"{moment.year:04d}", "MM": f"{moment.month:02d}", "DD": f"{moment.day:02d}"}
    for letters, digits in parts.items():
        written = written.replace(letters, digits)
    return written


def kind_of(encoder: ColumnEncoder) -> str:
    """What a column takes, in words."""
    if isinstance(encoder, CategoryEncoder):
        shown = ", ".join(encoder.labels[:SHOWN]) + (", …" if len(encoder.labels) > SHOWN else "")
        return f"one of {len(encoder.labels)} categories: {shown}"
    if isinstance(encoder, DateEncoder):
        return f"a date, written {encoder.format or 'YYYY-MM-DD'}"
    if isinstance(encoder, PixelEncoder):
        return f"a point of an image, a whole number from 0 to {LARGEST}"
    return {"number": "a number", "boolean": "true or false"}.get(encoder.kind, "text")


def _schema(encoder: ColumnEncoder) -> dict[str, Any]:
    told = {"description": kind_of(encoder), "examples": [example_cell(encoder)]}
    if isinstance(encoder, PixelEncoder):
        return {"type": "integer", "minimum": 0, "maximum": LARGEST, **told}
    if isinstance(encoder, NumberEncoder):
        return {"type": ["number", "null"], **told}
    if isinstance(encoder, BooleanEncoder):
        return {"type": ["boolean", "null"], **told}
    if isinstance(encoder, CategoryEncoder):  # numbers and truth values may be categories
        return {"type": ["string", "number", "boolean", "null"], **told}
    return {"type": ["string", "null"], **told}


def _label_types(model: TableModel) -> list[str]:
    kinds = {bool: "boolean", int: "integer", float: "number"}
    return sorted({kinds.get(type(label), "string") for label in model.classes})


def _prediction(model: TableModel) -> dict[str, Any]:
    if model.task != "classification":
        return {"type": "object", "required": ["prediction"], "properties": {"prediction": {"type": "number"}}}
    chances = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}
    label = {"type": _label_types(model), "enum": model.classes}
    properties = {"prediction": label, "probabilities": {**chances, "description": "With proba=1."}}
    return {"type": "object", "required": ["prediction"], "properties": properties}


def _schemas(model: TableModel, most_rows: int) -> dict[str, Any]:
    notes = {"type": "array", "items": {"type": "string"}, "description": "Such as of unknown categories."}
    row, prediction = {"$ref": "#/components/schemas/Row"}, {"$ref": "#/components/schemas/Prediction"}
    return {
        "Row": {
            "type": "object",
            "required": model.encoder.source_columns,
            "properties": {encoder.name: _schema(encoder) for encoder in model.encoder.encoders},
            "examples": [example_row(model)],
        },
        "Rows": {"oneOf": [row, {"type": "array", "items": row, "minItems": 1, "maxItems": most_rows}]},
        "Prediction": _prediction(model),
        "Answer": {
            "anyOf": [
                {"allOf": [prediction, {"type": "object", "properties": {"notes": notes}}]},
                {
                    "type": "object",
                    "required": ["predictions"],
                    "properties": {"predictions": {"type": "array", "items": prediction}, "notes": notes},
                },
            ]
        },
        "Errors": {
            "type": "object",
            "required": ["errors"],
            "properties": {"errors": {"type": "array", "items": {"type": "string"}}},
        },
    }


def _predict(model: TableModel) -> dict[str, Any]:
    def content(schema: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}

    csv = {"text/csv": {"schema": {"type": "string"}}}
    images: dict[str, Any] = {} if model.encoder.images is None else {"image/*": {"schema": {}}}
    proba = {
        "name": "proba", "in": "query", "description": "Whether to tell the probability of each class.",
        "schema": {"type": "integer", "enum": [0, 1], "default": 0},
    }  # fmt: skip
    answers: dict[str, Any] = {"200": {"description": "The predictions.", "content": content("Answer") | csv}}
    answers |= {code: {"description": why, "content": content("Errors")} for code, why in _ERRORS.items()}
    return {
        "summary": f"Predict {model.target.name!r} for one row or many.",
        "operationId": "predict",
        "parameters": [proba] if model.task == "classification" else [],
        "requestBody": {"required": True, "content": content("Rows") | csv | images},
        "responses": answers,
    }


def openapi(model: TableModel, most_rows: int, secured: bool) -> dict[str, Any]:
    """The description of a service in OpenAPI 3.1.

    Args:
        model: what predicts.
        most_rows: of one request.
        secured: whether a token is needed.
    """
    fine = {"200": {"description": "It answers."}}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"Predictions of {model.target.name!r}", "version": version("fallline")},
        "paths": {
            "/predict": {"post": _predict(model)},
            "/health": {"get": {"summary": "Whether it answers.", "security": [], "responses": fine}},
            "/openapi.json": {"get": {"summary": "This description.", "responses": fine}},
        },
        "components": {"schemas": _schemas(model, most_rows)},
    }
    if secured:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described
