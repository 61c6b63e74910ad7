"""The service: POST /predict, and pages that describe it."""

import logging
from typing import Any
from urllib.parse import parse_qs

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fallline.data.table import Table
from fallline.errors import ArgumentError, DataError, told
from fallline.serving import guard
from fallline.serving.answers import CSV, JSON, answer, as_csv, as_json, refusal, wanted
from fallline.serving.describe import openapi
from fallline.serving.held import HeldModel
from fallline.serving.limits import USUAL, Buckets, Limits
from fallline.serving.page import POLICY, page
from fallline.serving.rows import Faults, Reader, parse_json, refuse
from fallline.serving.sockets import LOOPBACK
from fallline.tables.model import TableModel

IMAGE = "image/"
"""How the kind of a request begins that is an image."""
log = logging.getLogger("fallline")
SMALL = 1 << 14
"""Bytes of a request in JSON that is answered at once; others wait for their turn in a thread, and single rows do not
wait for them."""


def make_app(
    model: TableModel,
    limits: Limits = USUAL,
    token: str | None = None,
    hosts: tuple[str, ...] = LOOPBACK,
    others: bool = False,
) -> guard.Guard:
    """The application of a model, behind its guard.

    Args:
        model: what predicts.
        limits: what is taken.
        token: what a client must know; None lets everybody in.
        hosts: names by which the service may be called where there is no token; empty allows all.
        others: whether columns that the model does not know are ignored.
    """
    held = HeldModel(model)
    service = Service(held, Reader(model.encoder, model.target.name, limits.most_rows, others))
    description = as_json(openapi(model, limits.most_rows, token is not None))
    html = page(model, limits, token is not None)

    async def health(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type=JSON)

    async def described(request: Request) -> Response:
        return Response(description, media_type=JSON)

    async def home(request: Request) -> Response:
        return Response(html, media_type="text/html", headers={"content-security-policy": POLICY})

    routes = [
        Route("/predict", service.predict, methods=["POST"]),
        Route("/", home),
        Route("/openapi.json", described),
        Route("/health", health),
    ]
    handlers = {HTTPException: _not_there, Faults: _faulty, Exception: _defect}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return guard.Guard(app, Buckets(limits.rate), token, hosts, limits.most_bytes, limits.patience)


class Service:
    """Answers requests for predictions.

    Args:
        held: the model.
        reader: of its rows.
    """

    def __init__(self, held: HeldModel, reader: Reader) -> None:
        self.held, self.model, self.reader = held, held.model, reader
        self._turn = CapacityLimiter(1)

    async def predict(self, request: Request) -> Response:
        """One request, whose body has been read."""
        body = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, CSV) and not kind.startswith(IMAGE):
            return refusal([f"rows are taken as {JSON} or {CSV}; the content-type says {told(repr(kind))}"], 415)
        form = wanted(request.headers.get("accept"))
        if form is None:
            return refusal([f"answers are {JSON} or {CSV}; the header Accept allows neither"], 406)
        proba = self._wants_probabilities(request.scope["query_string"])
        if kind == JSON and len(body) <= SMALL:
            found = self.answered(body, kind, form, proba)
        else:
            found = await run_sync(self.answered, body, kind, form, proba, limiter=self._turn)
        return Response(found, media_type=form)

    def answered(self, body: bytes, kind: str, form: str, proba: bool) -> bytes:
        """The answer to a request.

        Args:
            body: rows.
            kind: of the body.
            form: of the answer.
            proba: whether to tell probabilities.

        Raises:
            Faults: a sentence for each thing that is wrong.
        """
        notices: list[str] = []
        value = parse_json(body) if kind == JSON else None
        rows = self.reader.rows(value) if kind == JSON else []
        outputs = self._one(rows[0], notices) if len(rows) == 1 else None
        if outputs is None:
            notices.clear()
            table = self.reader.table(rows) if kind == JSON else self._sent(body, kind)
            notices += table.notices
            try:
                outputs = self.held.outputs(table, notices)
            except DataError as error:
                refuse(self.reader.faults(table))
                raise Faults([str(error)]) from None
            except ArgumentError as error:
                raise Faults([str(error)]) from None
        if form == CSV:
            return as_csv(self.model, outputs, proba)
        return answer(self.model, outputs, proba, isinstance(value, dict) or kind.startswith(IMAGE), notices)

    def _sent(self, body: bytes, kind: str) -> Table:
        return self.reader.image(body) if kind.startswith(IMAGE) else self.reader.csv(body)

    def _one(self, row: dict[str, Any], notices: list[str]) -> NDArray[Any] | None:
        """The outputs for one row; None where something is the matter with it, which the long way tells."""
        try:
            return self.held.one(row, notices)
        except DataError:
            return None

    def _wants_probabilities(self, query: bytes) -> bool:
        if not query:
            return False
        asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        unknown = next((name for name in asked if name != "proba"), None)
        if unknown is not None:
            raise Faults([f"the query has {told(repr(unknown))}; only proba=1 or proba=0 is known"], 400)
        value = asked.get("proba", ["0"])[-1]
        if value not in ("0", "1"):
            raise Faults([f"proba must be 1 or 0, found {told(repr(value))}"], 400)
        if value == "1" and self.model.task != "classification":
            raise Faults([f"the model predicts numbers ({self.model.target.name!r}); it has no probabilities"], 400)
        return value == "1"


async def _faulty(request: Request, error: Exception) -> Response:
    sentences, status = (error.sentences, error.status) if isinstance(error, Faults) else ([str(error)], 400)
    return refusal(sentences, status)


async def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = dict(getattr(error, "headers", None) or {})
    if status == 405:
        return refusal([f"this address takes {headers.get('Allow', 'other methods')} only"], status, headers)
    return refusal(["there is nothing at this address; POST /predict, GET /, /openapi.json and /health are"], status)


async def _defect(request: Request, error: Exception) -> Response:
    log.error("a request failed: %s: %s; this is a defect of Fallline", type(error).__name__, told(error))
    return refusal(["the service failed; this is a defect of Fallline, not of your request"], 500)
