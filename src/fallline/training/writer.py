"""Writing behind: one thread that does one job after the other while training goes on."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Job = Callable[[], None]


class Writer:
    """Does jobs in a thread of its own, in order. The thread begins with the first job and ends with `close`.

    A job must handle its own errors: whatever it raises is raised again by the next `wait`.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._waiting = 0

    def submit(self, job: Job) -> None:
        """Hand over a job; the arrays that it writes must not change any more."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name="fallline writer", daemon=True)
            self._thread.start()
        self._waiting += 1
        self._jobs.put(job)

    @property
    def busy(self) -> bool:
        """Whether a job waits or is being done."""
        return self._done.qsize() < self._waiting

    def wait(self) -> None:
        """Return when all jobs are done."""
        while self._waiting:
            self._take()

    def close(self) -> None:
        """Finish what was handed over, and end the thread."""
        self.wait()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _take(self) -> None:
        raised = self._done.get()
        self._waiting -= 1
        if raised is not None:
            raise raised

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
                self._done.put(None)
            except BaseException as raised:
                self._done.put(raised)
