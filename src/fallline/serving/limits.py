"""What a service takes, and how many requests of each client: a token bucket."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MOST_CLIENTS = 10_000
"""Of whom a bucket is kept; the one that was not seen for longest is forgotten."""


@dataclass(frozen=True)
class Limits:
    """What a service takes.

    Attributes:
        most_bytes, most_rows: of one request.
        rate: requests a second of one client; 0 sets no limit.
        patience: seconds that a request may take to arrive.
    """

    most_bytes: int = 1 << 20
    most_rows: int = 10_000
    rate: float = 0.0
    patience: float = 10.0


USUAL = Limits()


class Buckets:
    """A bucket of `burst` requests for each client, filled again at `rate` requests a second.

    Args:
        rate: requests a second that a client may send for long; 0 sets no limit.
        burst: requests that it may send at once; by default those of a second, at least one.
        clock: seconds.
    """

    def __init__(self, rate: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, max(1.0, rate if burst is None else burst), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client → (requests left, when)

    def __len__(self) -> int:
        return len(self._left)

    def take(self, address: str) -> int:
        """Let one request of a client through.

        Returns:
            0; or, where its bucket is empty, the whole seconds after which the next one is let through.
        """
        if not self.rate:
            return 0
        client, now = client_of(address), self.clock()
        left, then = self._left.pop(client, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.rate)
        allowed = left >= 1.0
        self._left[client] = (left - 1.0 if allowed else left, now)
        if len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1.0 - left) / self.rate))


def client_of(address: str) -> str:
    """Who counts as one client: an IPv4 address, or the first half of an IPv6 address, all of which one user has.

    >>> client_of("2001:db8:1:2:3:4:5:6")
    '2001:db8:1:2'
    """
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return ":".join(f"{int(part, 16):x}" for part in found.exploded.split(":")[:4])
