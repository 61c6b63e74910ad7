"""Where a server of this machine listens and how it is called: what the service and the lab have in common."""

import socket

from fallline.errors import ArgumentError, MissingExtraError

WILD = ("0.0.0.0", "::", "")
"""Addresses that stand for all of this machine's."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""What a request's host says where the server is called from this machine."""


def is_near(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return host in ("127.0.0.1", "localhost", "::1")


def require_packages(who: str, extra: str) -> None:
    """Say what to install where a package is missing.

    Args:
        who: needs it: "the lab".
        extra: of Fallline, that has it.

    Raises:
        MissingExtraError: one is.
    """
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(
            f"{who} needs the package {error.name!r}, which is not installed: pip install 'fallline[{extra}]'"
        ) from None
    del starlette, uvicorn


def listening(who: str, host: str, port: int, backlog: int, advice: str, unread: int | None = None) -> socket.socket:
    """A socket that listens.

    Args:
        who: listens, for errors: "the lab".
        host: an address of this machine, or its name.
        port: 0 takes a free one.
        backlog: connections that may wait to be taken.
        advice: what to do where the port is taken.
        unread: bytes, about, that may lie unread in a connection; None leaves it to the system.

    Raises:
        ArgumentError: the port is taken, or the address is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ArgumentError(
            f"{who} knows no host {host!r}: {error.strerror}; leave --host out to be found on this machine alone"
        ) from None
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)  # asyncio turns Nagle's delay off where the protocol says TCP only
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if unread is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, unread)
        made.bind(address)
        made.listen(backlog)
    except OSError as error:
        made.close()
        raise ArgumentError(f"{who} cannot listen on {host}, port {port}: {error.strerror}; {advice}") from None
    return made


def address_of(made: socket.socket, host: str) -> str:
    """Where a server is found that listens there."""
    port = made.getsockname()[1]
    name = socket.gethostname() if host in WILD else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def without_port(host: str) -> str:
    """127.0.0.1:8000 → 127.0.0.1; [::1]:8000 → [::1]."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not name.endswith(":") else host
