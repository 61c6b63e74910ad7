"""How many threads run the next steps: as many as the work is worth, but one while neighbours keep the cores busy.

Threads that meet at barriers wait for the slowest; where another program takes a core away, one thread alone is faster.
The number never changes a result, so it may change while training goes on.

The number in use is judged by all of its last runs, the other by short looks. One look that a neighbour disturbed, or
spared, decides nothing: of the last three the middle one counts, and looks of few steps count only together.
"""

from collections import deque
from collections.abc import Callable
from statistics import median
from time import perf_counter

LOOK_EVERY = {True: 8, False: 16}
"""Runs between two looks at the other number of threads: while one runs, and while many do. A look at many costs little
where many are faster; a look at one always takes longer."""
SHARE = 20
"""A look takes one of so many steps of a run; a shorter run is the part of a run that its steps are of so many."""
FEWEST = 3
"""Steps of a look where a run has enough for it."""
ENOUGH = 6
"""Steps of looks before they decide."""
RUNS, LOOKS = 4, 3
"""Last runs by which the number in use is judged, and looks by which the other is."""
PATIENCE = 0.1
"""Seconds of runs before a number is judged."""
SHORTEST = 0.005
"""Seconds of a run that tell something: in a shorter one, waking the threads is much of it."""


class Crew:
    """Chooses between one thread and many by what they took of late.

    Args:
        most: threads worth having.
        fixed: whether that number was asked for, and stays.
    """

    def __init__(self, most: int, fixed: bool) -> None:
        self.most, self.threads = most, most
        self._fixed = fixed or most == 1
        self._until_look = 0.0
        self._ran = 0.0  # seconds since the number has changed
        self._looked = 0  # steps of looks since then
        self._step: float | None = None  # seconds of a step, of late
        self._runs: deque[float] = deque(maxlen=RUNS)  # seconds of a step on the number in use
        self._looks: deque[float] = deque(maxlen=LOOKS)  # and on the other

    def run(self, count: int, steps: Callable[[int, int, int], bool]) -> None:
        """Run `count` steps by calls of steps(first, number, threads), which returns whether to go on."""
        if self._fixed:
            steps(0, count, self.threads)
            return
        done = self._look(count, steps) if self._until_look <= 0 and self._tells(count) else 0
        self._until_look -= min(1.0, count / SHARE)
        if done is not None and done < count:
            took = _seconds(steps, done, count - done, self.threads)
            if took is not None:
                self._step = took
                self._judge(took, count - done)

    @property
    def _other(self) -> int:
        return self.most if self.threads == 1 else 1

    def _tells(self, count: int) -> bool:
        """Whether so many steps are a run that tells something, by the last ones."""
        return count >= SHARE if self._step is None else self._step * count >= SHORTEST

    def _look(self, count: int, steps: Callable[[int, int, int], bool]) -> int | None:
        """Take some of the steps on the other number; how many, or None where they ended early."""
        few, waking = max(count // SHARE, min(FEWEST, count // 4)), 1
        if few == 0:  # steps so long that waking is nothing beside one of them
            few, waking = count, 0
        if waking and not steps(0, waking, self._other):  # threads and cores that sleep are awake after it
            return None
        if (look := _seconds(steps, waking, few, self._other)) is None:
            return None
        self._looks.append(look)
        self._looked += few
        self._until_look = LOOK_EVERY[self.threads == 1] if self._looked >= ENOUGH else 1
        return waking + few

    def _judge(self, took: float, count: int) -> None:
        """Take in a run; change the number where the other is faster."""
        if took * count < SHORTEST:
            return
        self._runs.append(took)
        self._ran += took * count
        now = sum(self._runs) / len(self._runs)
        if self._ran < PATIENCE or self._looked < ENOUGH or now <= median(self._looks):
            return
        self.threads = self._other
        self._ran, self._looked = 0.0, 0
        self._runs.clear()
        self._looks.clear()
        self._looks.append(now)  # so that it takes more than one look to come back
        self._until_look = LOOK_EVERY[self.threads == 1]


def _seconds(steps: Callable[[int, int, int], bool], first: int, count: int, threads: int) -> float | None:
    """Seconds of each of so many steps; None where they ended early."""
    started = perf_counter()
    went_on = steps(first, count, threads)
    return (perf_counter() - started) / count if went_on else None
