"""Runs while they are trained: server-sent events, by looking into the run folders.

There is no queue. What is new since the last event is read from the files when the next one is due and the reader has
taken the last; so a reader that is slow gets fewer events that cover more, and one that hangs is dropped.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from fallline.errors import ArgumentError
from fallline.lab.answers import as_json
from fallline.lab.losses import losses_between
from fallline.lab.place import Lab
from fallline.lab.run_files import GONE, PAUSED, RUNNING, About, lines_from, numbers, size_of, status_of, whole
from fallline.training.run_folder import HISTORY, OBSERVATIONS, RUN

EVERY = 1.0
"""Seconds between two looks into the folders of runs that train; a page draws after each, beside them."""
RARELY = 2.0
"""The same for those that do not."""
HEARTBEAT = 10.0
"""Seconds without news after which a line says that the lab is there."""
DROPPED_AFTER = 30.0
"""Seconds after which a reader that takes nothing is dropped."""
POINTS, MOST_RUNS, MOST_READERS = 100, 16, 64


@dataclass
class Follower:
    """What one reader has been told of one run, and what is new.

    Attributes:
        name: the run's id.
        folder: its folder.
        step: the steps whose losses were told.
        since: where the reader knows all until some step, that step; epochs behind it are told, too.
    """

    name: str
    folder: Path
    step: int
    since: int | None = None
    epochs_at: int = 0
    observed_at: int = 0
    told: tuple[Any, ...] = ()
    about: About | None = None
    seen: tuple[int, int] = (0, 0)
    again: float = 0.0

    def __post_init__(self) -> None:
        self.epochs_at = size_of(self.folder / HISTORY) if self.since is None else 0
        self.observed_at = size_of(self.folder / OBSERVATIONS)

    def news(self) -> dict[str, Any] | None:
        """What has happened since the last call; None where that is nothing, or it is too early to look."""
        now = time.monotonic()
        if now < self.again:
            return None
        about = self._about(now)
        self.again = now + (EVERY if about.status in (RUNNING, PAUSED) else RARELY) * 0.9
        found: dict[str, Any] = {"run": self.name, "status": about.status}
        if about.status == GONE:
            return self._unless_told(found)
        losses, count = losses_between(self.folder, self.step, POINTS)
        if count < self.step:  # it was put back to a checkpoint, and goes on from there
            found["back_to"] = count
            losses = []
        epochs, self.epochs_at = self._lines(HISTORY, self.epochs_at)
        observed, self.observed_at = self._lines(OBSERVATIONS, self.observed_at)
        self.step = count
        found |= {"step": count, "epoch": None if about.batches is None else count // about.batches, "losses": losses}
        found["epochs"] = [numbers(line) for line in epochs if self._is_new(line, about.batches)]
        if observed:
            found["observation"], found["sampling"] = observed[-1], observed[-1].get("sampling")
        return self._unless_told(found)

    def _is_new(self, line: dict[str, Any], batches: int | None) -> bool:
        return self.since is None or (whole(line.get("epoch")) or 0) * (batches or 1) > self.since

    def _unless_told(self, found: dict[str, Any]) -> dict[str, Any] | None:
        now = (found["status"], found.get("step"))
        fresh = now != self.told or bool(found.get("epochs")) or "observation" in found
        self.told = now
        return found if fresh else None

    def _about(self, now: float) -> About:
        """run.json, read again only when it was written again; whether the training lives is looked at each time."""
        try:
            stat = (self.folder / RUN).lstat()
        except OSError:
            return About({}, GONE, None, None)
        if self.about is None or self.seen != (stat.st_mtime_ns, stat.st_size):
            self.about, self.seen = About.of(self.folder), (stat.st_mtime_ns, stat.st_size)
            return self.about
        if not self.about.content:
            return self.about
        status = status_of(self.folder, self.about.content.get("stopped"))
        return About(self.about.content, status, self.about.batches, self.about.epochs)

    def _lines(self, name: str, place: int) -> tuple[list[dict[str, Any]], int]:
        size = size_of(self.folder / name)
        if size < place:  # written anew
            return [], size
        return lines_from(self.folder / name, place) if size > place else ([], place)


class Events(StreamingResponse):
    """A stream that drops a reader who takes nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(DROPPED_AFTER):
                    await send(message)
            except TimeoutError:
                raise OSError("the reader takes nothing") from None

        await super().__call__(scope, receive, patient)


def routes(lab: Lab) -> list[BaseRoute]:
    """Of the stream."""
    readers = 0

    async def events(request: Request) -> Response:
        if readers >= MOST_READERS:
            raise ArgumentError(f"{MOST_READERS} pages are following already; close one")
        followers = await run_in_threadpool(_followers, lab, request)
        headers = {"x-accel-buffering": "no"}
        return Events(counted(followers), media_type="text/event-stream", headers=headers)

    async def counted(followers: list[Follower]) -> AsyncIterator[str]:
        nonlocal readers
        readers += 1
        try:
            async for line in _lines(followers):
                yield line
        finally:
            readers -= 1

    return [Route("/events", events)]


async def _lines(followers: list[Follower]) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    spoken = time.monotonic()
    while True:
        for news in await run_in_threadpool(lambda: [follower.news() for follower in followers]):
            if news is not None:
                steps = ",".join(str(follower.step) for follower in followers)
                yield f"id: {steps}\ndata: {as_json(news)}\n\n"
                spoken = time.monotonic()
        if time.monotonic() - spoken > HEARTBEAT:
            yield ": still here\n\n"
            spoken = time.monotonic()
        await asyncio.sleep(EVERY)


def _followers(lab: Lab, request: Request) -> list[Follower]:
    """Of the runs asked for; each begins where the reader stopped ("since", "Last-Event-ID"), or now."""
    names = [name for name in request.query_params.get("runs", "").split(",") if name]
    if not 0 < len(names) <= MOST_RUNS:
        raise ArgumentError(f"events?runs=ID,ID follows 1 to {MOST_RUNS} runs; found {len(names)}")
    since = request.headers.get("last-event-id") or request.query_params.get("since", "")
    steps = [whole(int(part)) if part.isdecimal() and len(part) < 16 else None for part in since.split(",")]
    found = []
    for place, name in enumerate(names):
        folder = lab.folder(name)
        count = losses_between(folder, 1 << 60, 2)[1]
        known = steps[place] if place < len(steps) else None
        found.append(Follower(name, folder, count if known is None else known, known))
    return found
