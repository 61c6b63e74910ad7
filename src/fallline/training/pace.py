"""How many steps to run before looking up: what takes about 30 ms, so that Ctrl-C and progress are not kept waiting."""

import time

SECONDS = 0.03


class Pace:
    """The length of the next run of steps, from the time of the last. It starts at 1 and at most doubles.

    Args:
        every_step: whether somebody wants to be told of every step, so that the length stays 1.
    """

    def __init__(self, every_step: bool = False) -> None:
        self.steps = 1
        self.every_step = every_step

    def observe(self, count: int, seconds: float) -> None:
        """Take in how long `count` steps took."""
        if not self.every_step:
            fitting = int(SECONDS * count / max(seconds, 1e-9))
            self.steps = max(1, min(2 * self.steps, fitting))


class Clock:
    """Says when something is due: every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the interval has passed; if so, it begins anew."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True
