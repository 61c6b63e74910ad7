"""Who may talk to the lab: nobody without the token, no other site, no other host name."""

import hmac
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fallline.serving.sockets import LOOPBACK, without_port

ANY_ADDRESS = "*"
"""In the place of a host: any number of an address, which no foreign name resolves to."""
MOST_BYTES = 1 << 20
"""Of a request's body."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
OTHER_SITE = "Another site sent this request; the lab answers its own page only.\n"


class Guard:
    """Lets through what begins with the token, and takes it off the path; every answer gets the safe headers.

    The token is the first part of the path, `/TOKEN/…`, so that every relative address of the page carries it. Requests
    that another site makes the browser send (`Sec-Fetch-Site`, `Origin`) are refused even with it, as are host names
    that are not the lab's (a foreign name that resolves to this machine: "DNS rebinding"). A POST must be JSON, which
    no form of another site can send, and short.

    Args:
        app: the application behind.
        token: the secret.
        hosts: names, besides those of the loopback, by which the lab may be called.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str] = ()) -> None:
        self.app, self.token, self.hosts = app, token, {*LOOPBACK, *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the lab has no websockets
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        prefix = f"/{self.token}"
        answer, body = self._refusal(scope), b""
        if answer is None and scope["path"] == prefix:
            answer = RedirectResponse(f"{prefix}/")
        if answer is None and scope["method"] == "POST":
            body = await _body(receive)
            if len(body) > MOST_BYTES:
                answer = _refused(f"The lab takes at most {MOST_BYTES >> 20} MB in one request.\n", 413)
        if answer is not None:
            await answer(scope, receive, with_headers)
            return
        inner = {**scope, "root_path": scope.get("root_path", "") + prefix}
        await self.app(inner, _given(body, receive) if scope["method"] == "POST" else receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, method = headers.get("host", "").lower(), scope["method"]
        if len(headers.getlist("host")) != 1 or not self._is_called(without_port(host)):
            return _refused("This lab is not called by that name; use the address that it printed.\n")
        first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        if not hmac.compare_digest(first.encode("utf-8", "replace"), self.token.encode()):
            return _refused(
                "The lab's address has a token, which is missing or wrong here; use the address that it printed.\n"
            )
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _refused(OTHER_SITE)
        if headers.get("origin", f"http://{host}").lower() not in (f"http://{host}", f"https://{host}"):
            return _refused(OTHER_SITE)
        if method not in ("GET", "HEAD", "POST"):
            return _refused("The lab knows GET, HEAD and POST only.\n", 405)
        if method == "POST" and headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return _refused("The lab takes JSON only: content-type: application/json.\n", 415)
        return None

    def _is_called(self, name: str) -> bool:
        return name in self.hosts or (ANY_ADDRESS in self.hosts and _is_address(name))


def _refused(why: str, status: int = 403) -> Response:
    return PlainTextResponse(why, status_code=status)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


async def _body(receive: Receive) -> bytes:
    """The body of a request, or the first of it where it is too long."""
    found = b""
    while len(found) <= MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            break
        found += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return found


def _given(body: bytes, receive: Receive) -> Receive:
    """What receives a body that was read already, and then whatever comes."""
    left = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return again
