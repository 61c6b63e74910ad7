"""What every contender is asked: to be prepared, to start anew, to train epochs and tell the losses."""

import importlib.util
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from numpy.typing import NDArray

from benchmarks.tasks import Task
from benchmarks.works import Work

Array = NDArray[Any]


class Contender(ABC):
    """One library, used as its expert would use it.

    A contender's module imports nothing heavy: its library is imported by `__init__`, in a process of its own, in which
    OPENBLAS_NUM_THREADS and its like are already set to `threads`.

    Attributes:
        name: what it is asked for by.
        label: what the pages call it.
        needs: importable names of what must be installed.
        same_steps: whether it takes the same steps over the same batches, so that its losses must be the same; others
            tell the loss of the first `truth.JUDGED` rows after each epoch.
        thread_counts: on which it is timed; the better one counts.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    same_steps: ClassVar[bool] = True
    thread_counts: ClassVar[tuple[int, ...]] = (1, 2)

    def __init__(self, task: Task, threads: int) -> None:
        """Import the library, put data and weights where it wants them."""
        self.task, self.work, self.threads = task, task.work, threads

    @classmethod
    def absent(cls) -> str:
        """Why it cannot run on this machine, or nothing."""
        missing = [name for name in cls.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(missing)} not installed" if missing else ""

    @classmethod
    def fits(cls, work: Work) -> bool:
        """Whether it can do this work at all."""
        return True

    @classmethod
    def note(cls, work: Work) -> str:
        """What readers should know of how it did this work, or nothing."""
        return ""

    @property
    def steps(self) -> int:
        """Batches of rows that it learns from in an epoch."""
        return self.work.steps

    @abstractmethod
    def restart(self) -> None:
        """Back to the initial weights and an empty memory of the update rule."""

    @abstractmethod
    def epochs(self, orders: Array) -> Array:
        """Train on from where it stands.

        Args:
            orders: (epochs, rows): the rows of each epoch in their order; every `batch` of them are a step.

        Returns:
            (epochs, steps) losses, each of a batch before its update; or (epochs, 1) means of an epoch's.
        """

    def about(self) -> str:
        """What only the run can tell, such as the engine it took."""
        return ""


def one_core() -> None:
    """Hold this process to one core, where the system can: for libraries that take a thread for each core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
