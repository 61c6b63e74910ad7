"""A page of the lab without a browser: it reads what a page reads, as often. For `bench_lab.py`.

Called with the lab's address and a run's id. A line "open" on standard input opens the page, "close" closes it; each is
answered by a line with what was read so far.
"""

import http.client
import json
import sys
import threading
from urllib.parse import urlsplit

LIST_EVERY = 5.0
"""Seconds between two looks at the list of runs."""


class Reader:
    """One page.

    Args:
        address: the lab's.
        run: the id of the run that it shows.
    """

    def __init__(self, address: str, run: str) -> None:
        parts = urlsplit(address)
        self.host, self.port, self.path = str(parts.hostname), parts.port, parts.path
        self.run, self.events, self.points = run, 0, 0
        self.closed = threading.Event()
        self.threads: list[threading.Thread] = []
        self.stream: http.client.HTTPConnection | None = None

    def open(self) -> None:
        """The page is opened: history and observations, then events, and now and then the list."""
        self.closed.clear()
        for part in ("history", "observations"):
            self._get(f"api/runs/{self.run}/{part}")
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._follow, self._list)]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """The page is closed."""
        self.closed.set()
        for thread in self.threads:
            thread.join()

    def _follow(self) -> None:
        self.stream = http.client.HTTPConnection(self.host, self.port or 80)
        self.stream.request("GET", f"{self.path}api/events?runs={self.run}")
        answer = self.stream.getresponse()
        while not self.closed.is_set():
            line = answer.readline()
            if line.startswith(b"data: "):
                self.events += 1
                self.points += len(json.loads(line[6:]).get("losses", ()))
        self.stream.close()

    def _list(self) -> None:
        while not self.closed.wait(LIST_EVERY):
            self._get("api/runs")

    def _get(self, path: str) -> None:
        connection = http.client.HTTPConnection(self.host, self.port or 80)
        connection.request("GET", self.path + path)
        json.loads(connection.getresponse().read())
        connection.close()


def main() -> None:
    """Do what is asked until there is nobody to ask."""
    reader = Reader(*sys.argv[1:3])
    for line in sys.stdin:
        getattr(reader, line.strip())()
        print(json.dumps({"events": reader.events, "points": reader.points}), flush=True)


if __name__ == "__main__":
    main()
