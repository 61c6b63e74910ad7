"""How many threads run the next steps: as many as the work is worth, but one while neighbours keep the cores busy.

Threads that meet at barriers wait for the slowest; where another program takes a core away, one thread alone is faster.
The number never changes a result, so it may change while training goes on.
"""

from collections.abc import Callable
from time import perf_counter

LOOK_EVERY = 16
"""Runs between two looks at the other number of threads."""
SHARE = 20
"""A look takes one of so many steps of a run."""


class Crew:
    """Chooses between one thread and many by what they took last.

    Args:
        most: threads worth having.
        fixed: whether that number was asked for, and stays.
    """

    def __init__(self, most: int, fixed: bool) -> None:
        self.most, self.threads = most, most
        self._fixed = fixed or most == 1
        self._runs = 0

    def run(self, count: int, steps: Callable[[int, int, int], bool]) -> None:
        """Run `count` steps by calls of steps(first, number, threads), which returns whether to go on."""
        if self._fixed or count < SHARE:
            steps(0, count, self.threads)
            return
        self._runs += 1
        if self._runs % LOOK_EVERY != 1:
            steps(0, count, self.threads)
            return
        few, done, took = max(1, count // SHARE), 0, {}
        for threads in (1, self.most):
            started = perf_counter()
            if not steps(done, few, threads):
                return
            took[threads] = perf_counter() - started
            done += few
        self.threads = min(took, key=lambda threads: took[threads])
        steps(done, count - done, self.threads)
