"""Threads that run one native function together, and how many of them this machine is good for.

The threads are Python's: they hold nothing but a place to wait, and leave the interpreter alone while the native
function runs. They are made at first use and stay, parked, until the process ends.
"""

import atexit
import ctypes
import os
from functools import lru_cache
from pathlib import Path
from threading import Lock, RLock, Thread
from typing import Any

import numpy as np

from fallline.engine.control_groups import control_groups, read
from fallline.errors import ArgumentError

MOST_THREADS = 1024
NATIVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""void f(void *context, int64 thread, int64 threads)"""
_chosen: int | None = None


def set_threads(n: int | None) -> None:
    """Choose how many threads programs may use from now on, in this process; None leaves it to the machine.

    The number decides how fast a training is, never its bits. More threads than cores are slow.

    Raises:
        ArgumentError: n is neither None nor a whole number from 1 to 1024.
    """
    global _chosen  # noqa: PLW0603 - a setting of the process, like an environment variable
    whole = isinstance(n, int | np.integer) and not isinstance(n, bool)
    if n is not None and not (whole and 1 <= n <= MOST_THREADS):
        raise ArgumentError(
            f"set_threads: n must be a whole number from 1 to {MOST_THREADS}, or None for as many as there are cores; "
            f"found {n!r}"
        )
    _chosen = None if n is None else int(n)


def default_threads() -> int:
    """How many threads a program may use where its caller does not say: `set_threads`, else all usable cores."""
    return usable_cores() if _chosen is None else _chosen


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process may use: the least of its affinity and its control group's quota, at least 1.

    Args:
        root: where the system's files /proc and /sys/fs/cgroup are.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, int(min(cores, _quota(root))))  # 1.5 cores are 1: a second thread would be stopped half of the time


def run_on(threads: int, function_address: int, context_address: int) -> None:
    """Call a native function on several threads together; returns when all calls have.

    The calling thread is number 0. One call at a time has the threads; others wait for their turn. An interruption
    (Ctrl-C) is raised when all threads are done, since they wait for each other inside the function.

    Args:
        threads: how many; more than there are cores work, slowly.
        function_address: of `void f(void *context, int64 thread, int64 threads)`.
        context_address: handed on to the function.

    Raises:
        ArgumentError: the system refuses so many threads.
    """
    function = _function(function_address)
    if threads == 1:
        function(context_address, 0, 1)
        return
    with _turn:
        call = _Call(function, context_address, threads, _crew(threads - 1))
        # Python handles signals after a call has returned. So whatever a handler raises comes when the first worker
        # is awake (it wakes the others), and this thread must go on, or they would wait for it in a barrier for ever.
        interruption: BaseException | None = None
        try:
            call.crew[0].awake.release()
        except BaseException as raised:
            interruption = raised
        try:
            function(context_address, 0, threads)
        except BaseException as raised:
            interruption = raised
        while call.running:
            try:
                call.done.acquire()
            except BaseException as raised:
                interruption = raised
        if interruption is not None:
            raise interruption


class _Call:
    """One call of a function on several threads; made anew for each, so that nothing of an interrupted one remains."""

    def __init__(self, function: Any, context: int, threads: int, crew: "list[_Worker]") -> None:
        self.function, self.context, self.threads, self.crew = function, context, threads, crew
        self.running = threads - 1
        self.done = Lock()
        self.done.acquire()
        self._count = Lock()
        for worker in crew:
            worker.call = self

    def work(self, place: int) -> None:
        """What the worker at a place of the crew does: wakes two others, calls the function; the last one says so."""
        for other in self.crew[2 * place + 1 : 2 * place + 3]:
            other.awake.release()
        self.function(self.context, place + 1, self.threads)
        with self._count:
            self.running -= 1
            last = self.running == 0
        if last:
            self.done.release()


class _Worker:
    """A thread that sleeps until it is given a call. It never ends; the interpreter does not wait for it."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.call: _Call | None = None
        self.awake = Lock()
        self.awake.acquire()
        Thread(target=self._live, name=f"fallline-{place + 1}", daemon=True).start()

    def _live(self) -> None:
        while True:
            self.awake.acquire()
            if self.call is not None:
                self.call.work(self.place)


_turn = RLock()
_workers: list[_Worker] = []


def _crew(size: int) -> list[_Worker]:
    """The first workers of the pool, which grows as needed."""
    while len(_workers) < size:
        try:
            _workers.append(_Worker(len(_workers)))
        except RuntimeError as reason:
            most = len(_workers) + 1
            raise ArgumentError(
                f"this system allows {most} threads here, not {size + 1} ({reason}); use fewer"
            ) from None
    return _workers[:size]


@lru_cache(maxsize=1024)
def _function(address: int) -> Any:
    """A native function as ctypes calls it: without the interpreter's lock."""
    return NATIVE(address)


def _start_anew() -> None:
    """In a forked child: it has one thread, and a lock that another thread held is held for ever."""
    global _turn  # noqa: PLW0603
    _turn = RLock()
    _workers.clear()


def _finish() -> None:
    """At the end of the process: wait for a daemon thread's call, whose memory is about to go, and begin no other."""
    _turn.acquire(timeout=10.0)  # and keep it; this thread itself may enter again


atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def _quota(root: Path) -> float:
    """Cores that the process's control groups, old and new, let it use at a time; infinite without a limit."""
    return min((_quota_of(group) for group in control_groups("cpu", root)), default=float("inf"))


def _quota_of(group: Path) -> float:
    """Of one group's folder: `cpu.max` is "quota period" or "max period"; before, two files, where -1 is no limit."""
    words = read(group / "cpu.max").split()
    if not words:
        words = [*read(group / "cpu.cfs_quota_us").split(), *read(group / "cpu.cfs_period_us").split()]
    try:
        quota, period = (int(word) for word in words)
    except ValueError:
        return float("inf")
    return quota / period if quota > 0 and period > 0 else float("inf")
