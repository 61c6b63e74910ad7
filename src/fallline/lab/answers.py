"""Answers as strict JSON in plain ASCII: NaN is null, and no name or cell can be anything but text."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fallline.errors import ArgumentError
from fallline.training.run_folder import plain


def as_json(value: Any) -> str:
    """A value as JSON."""
    try:
        return _json(value)
    except (TypeError, ValueError):  # seldom, so that only then each number of it is looked at
        return _json(plain(value))


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def answer(value: Any, status: int = 200) -> Response:
    """A value as JSON, to a page."""
    return Response(as_json(value), status_code=status, media_type="application/json")


async def asked(request: Request) -> dict[str, Any]:
    """The object that a POST has sent.

    Raises:
        ArgumentError: it is none.
    """
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ArgumentError("the lab was sent something that is no JSON object")
    return found


def query_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query.

    Raises:
        ArgumentError: it is no such number.
    """
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= most):
        raise ArgumentError(f"{name} must be a whole number from {least:,} to {most:,}; found {text[:40]!r}")
    return int(text)
