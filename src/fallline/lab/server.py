"""The lab's server: an address of its own, and what serves it."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from fallline.errors import ArgumentError, MissingExtraError
from fallline.lab.place import Lab

WILD = ("0.0.0.0", "::")
FIRST_PORT, PORTS = 8360, 20
"""Where no port is asked for: the first of so many that is free, so that the address is the same most days."""
UNREAD = 1 << 17
"""Bytes, about, that may lie unread in a connection: a page that is slow shall not be shown what was long ago."""
GRACE = 1
"""Seconds that pages have to let go when the lab ends."""


def require_extra() -> None:
    """Say what to install where a package is missing.

    Raises:
        MissingExtraError: one is.
    """
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(
            f"the lab needs the package {error.name!r}, which is not installed: pip install 'fallline[lab]'"
        ) from None
    del starlette, uvicorn


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address of this machine, or its name.
        port: None takes a free one.

    Raises:
        ArgumentError: the port is taken, or the address is not this machine's.
    """
    for number in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else ():
        with suppress(ArgumentError):
            return _listening(host, number)
    return _listening(host, port or 0)


def _listening(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ArgumentError(
            f"the lab knows no host {host!r}: {error.strerror}; leave --host out to be found on this machine alone"
        ) from None
    family, kind, _, _, address = found[0]
    made = socket.socket(family, kind)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        raise ArgumentError(
            f"the lab cannot listen on {host}, port {port}: {error.strerror}; choose another with --port, or leave it "
            "out to take one that is free"
        ) from None
    return made


def address_of(lab: Lab, listening: socket.socket, host: str) -> str:
    """Where a browser finds the lab."""
    port = listening.getsockname()[1]
    name = socket.gethostname() if host in WILD else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/{lab.token}/"


def serve(
    lab: Lab, listening: socket.socket, begun: Callable[[], None], until: Callable[[], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        lab: what is shown.
        listening: from `listen`.
        begun: called once it answers.
        until: runs in a thread of its own; when it returns, the lab ends, too.
    """
    import uvicorn

    from fallline.lab.app import make_app
    from fallline.lab.parts import part_routes

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            begun()

    config = uvicorn.Config(
        make_app(lab, part_routes()), log_level="critical", access_log=False, server_header=False, ws="none",
        lifespan="off", timeout_graceful_shutdown=GRACE, limit_concurrency=200,
    )  # fmt: skip
    server = Server(config)

    def end_after(wait: Callable[[], None]) -> None:
        wait()
        server.should_exit = True

    if until is not None:
        threading.Thread(target=end_after, args=(until,), name="fallline lab end", daemon=True).start()
    server.run(sockets=[listening])
