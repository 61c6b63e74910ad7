"""Who may ask, how often and how much: before anything of a request is looked at."""

import asyncio
import hmac
from contextlib import suppress

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fallline.serving.answers import refusal
from fallline.serving.limits import Buckets
from fallline.serving.sockets import LOOPBACK, without_port

OPEN = "/health"
"""The path that needs no token: whoever watches the service need not be able to ask it."""
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
REST_SECONDS = 1.0
"""That the rest of a refused body is waited for."""
_CLOSE = {"connection": "close"}  # where a body may be on its way that nobody reads
_READS_BODY = ("POST", "PUT", "PATCH")


class _TooLong(Exception):
    """A body has more bytes than are taken."""


class _Gone(Exception):
    """Nobody waits for an answer any more."""


class Guard:
    """Lets a request through to the application, whole and with its body read, or refuses it.

    Args:
        app: the application behind.
        buckets: the limit of each client.
        token: what `Authorization: Bearer` must say; None lets everybody in who calls this machine by its own name.
        hosts: names by which the service may be called where there is no token; empty allows all. A page of another
            site, whose name leads to this machine, is kept out by it ("DNS rebinding").
        most_bytes: of a body.
        patience: seconds that a body may take.
    """

    def __init__(
        self,
        app: ASGIApp,
        buckets: Buckets,
        token: str | None = None,
        hosts: tuple[str, ...] = LOOPBACK,
        most_bytes: int = 1 << 20,
        patience: float = 10.0,
    ) -> None:
        self.app, self.buckets, self.hosts = app, buckets, hosts
        self.token = None if token is None else token.encode()
        self.most_bytes, self.patience = most_bytes, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":  # there are no websockets; `lifespan` is off
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        headers = dict(scope["headers"])
        answer, body = self._refusal(scope, headers), b""
        if scope["method"] in _READS_BODY:
            try:
                body = await self._body(receive, headers) if answer is None else await self._rest(receive, headers)
            except TimeoutError:
                why = f"the request took more than {self.patience:g} s to arrive; send it again"
                answer = refusal([why], 408, _CLOSE)
            except _TooLong:
                answer = refusal([f"a request may have at most {self.most_bytes:,} bytes; send several"], 413, _CLOSE)
                await self._rest(receive, headers)
            except _Gone:
                return
        await (self.app if answer is None else answer)(scope, _given(body), send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        client = scope["client"]
        seconds = self.buckets.take(client[0] if client else "")
        if seconds:
            why = f"at most {self.buckets.rate:g} requests a second are answered; try again in {seconds} s"
            return refusal([why], 429, {"retry-after": str(seconds), **_CLOSE})
        if self.token is None:
            if self.hosts and without_port(headers.get(b"host", b"").decode("latin-1").lower()) not in self.hosts:
                return refusal(["the service is not called by that name; use the address that it printed"], 403, _CLOSE)
        elif scope["path"] != OPEN and not self._is_known(headers.get(b"authorization", b"")):
            why = "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            return refusal([why], 401, {"www-authenticate": "Bearer", **_CLOSE})
        if len(headers) < len(scope["headers"]) and (twice := _twice(scope["headers"])):
            return refusal([f"the header {twice} is there twice; send it once"], 400, _CLOSE)
        return None

    def _is_known(self, given: bytes) -> bool:
        scheme, _, token = given.partition(b" ")
        right = hmac.compare_digest(token.strip(b" "), self.token or b"")
        return right and scheme.lower() == b"bearer"

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The body.

        Raises:
            TimeoutError: it takes too long.
            _TooLong: it has too many bytes.
            _Gone: its sender has gone.
        """
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > self.most_bytes:
            raise _TooLong
        found = bytearray()
        async with asyncio.timeout(self.patience):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                found += message.get("body", b"")
                if len(found) > self.most_bytes:
                    raise _TooLong
                if not message.get("more_body", False):
                    return bytes(found)

    async def _rest(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """Read what is on its way and forget it: who is still sending would not see the answer otherwise."""
        left = 0 if b"expect" in headers else self.most_bytes
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self.patience, REST_SECONDS)):
                while left > 0:
                    message = await receive()
                    left = left - len(message.get("body", b"")) - 1 if message.get("more_body", False) else 0
        return b""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return sending


def _given(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _twice(headers: list[tuple[bytes, bytes]]) -> str:
    """A header that decides about a request and is there more than once."""
    names = [name for name, _ in headers]
    decisive = (b"authorization", b"content-type", b"host", b"content-length")
    return next((name.decode() for name in decisive if names.count(name) > 1), "")
