"""Who may talk to the lab: nobody without the token, no other site, no other host name."""

import hmac
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def new_token() -> str:
    """A token that cannot be guessed: 128 random bits."""
    return secrets.token_urlsafe(16)


class Guard:
    """Lets through what begins with the token, and takes it off the path; every answer gets the safe headers.

    The token is the first part of the path, `/TOKEN/…`, so that every relative address of the page carries it. Requests
    that another site makes the browser send (`Sec-Fetch-Site`, `Origin`) are refused even with it, as are host names
    that are not the lab's (a foreign name that resolves to this machine: "DNS rebinding").

    Args:
        app: the application behind.
        token: the secret.
        hosts: names, besides those of the loopback, by which the lab may be called.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str] = ()) -> None:
        self.app, self.token, self.hosts = app, token, {*LOOPBACK, *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the lab has no websockets
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, with_headers)
            return
        prefix = f"/{self.token}"
        inner = {**scope, "root_path": scope.get("root_path", "") + prefix}
        await self.app(inner, receive, with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = (
            headers.get("host", "").rsplit(":", 1)[0] if not headers.get("host", "").endswith("]") else headers["host"]
        )
        if host not in self.hosts:
            return "This lab is not called by that name; use the address that it printed.\n"
        first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        if not hmac.compare_digest(first.encode(), self.token.encode()):
            return "The lab's address has a token, which is missing or wrong here; use the address that it printed.\n"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Another site sent this request; the lab answers its own page only.\n"
        origin = headers.get("origin")
        if origin is not None and origin.split("://", 1)[-1] != headers.get("host"):
            return "Another site sent this request; the lab answers its own page only.\n"
        return None
