"""The lab's server: an address of its own, and what serves it."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from fallline.errors import ArgumentError
from fallline.lab.place import Lab
from fallline.serving.sockets import listening

FIRST_PORT, PORTS = 8360, 20
"""Where no port is asked for: the first of so many that is free, so that the address is the same most days."""
BACKLOG = 128
UNREAD = 1 << 17
"""Bytes, about, that may lie unread in a connection: a page that is slow shall not be shown what was long ago."""
GRACE = 1
"""Seconds that pages have to let go when the lab ends."""


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
    advice = "choose another with --port, or leave it out to take one that is free"
    return listening("the lab", host, port, BACKLOG, advice, UNREAD)


def serve(lab: Lab, made: socket.socket, begun: Callable[[], None], until: Callable[[], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        lab: what is shown.
        made: from `listen`.
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
    server.run(sockets=[made])
