"""The service's server: an address, and what listens there until it is told to stop."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from fallline.serving.sockets import listening

FIRST_PORT = 8390
BACKLOG = 1024
MOST_CONNECTIONS = 1000
HEAD_SECONDS = 10
"""That the head of a request may take, from the connection or its first byte on."""
IDLE_SECONDS = 60
"""That a connection may be kept without a request."""
GRACE = 30
"""Seconds that requests under way have to end once the service is told to stop."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens for the service; see `sockets.listening`."""
    return listening("the service", host, port, BACKLOG, "choose another port with --port")


def serve(app: Any, made: socket.socket, begun: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered before it ends.

    Args:
        app: the application.
        made: from `listen`.
        begun: called once it answers.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            begun()

    config = uvicorn.Config(
        app, http=_patient(H11Protocol), ws="none", lifespan="off", log_level="critical", access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    Server(config).run(sockets=[made])


def _patient(base: Any) -> Any:
    """uvicorn's protocol, which by itself waits for ever for a request that has begun to arrive."""

    class Patient(base):  # type: ignore[misc]
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._deadline = self.loop.call_later(HEAD_SECONDS, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            waits = self.cycle is None or self.cycle.response_complete
            if waits and self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
            elif not waits:
                self._rest()

        def connection_lost(self, error: Exception | None) -> None:
            self._rest()
            super().connection_lost(error)

        def _rest(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Patient
