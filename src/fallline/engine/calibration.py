"""What this machine can do at best, measured by small native programs: arithmetic, memory, meeting of threads.

A measurement takes about a tenth of a second for a number of threads; it is made once in a process. Each figure is
the best of several short runs, because a busy neighbour makes a run slower, never faster.
"""

import math
import time
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.compiler.barrier import BARRIER_BYTES
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target
from fallline.engine.threads import default_threads, run_on
from fallline.engine.ticks import seconds_per_tick
from fallline.engine.yardsticks import (
    ROW_BYTES,
    TIMES_BYTES,
    VECTOR_BYTES,
    VECTORS_AT_ONCE,
    Place,
    operations,
    yardsticks_ir,
)

Array = NDArray[Any]
KB, MB = 1 << 10, 1 << 20
OWN_SIZES = (16 * KB, 384 * KB)
"""Bytes that each thread works on: in its first cache, in its second."""
SHARED_SIZES = (8 * MB, 64 * MB)
"""Bytes that all threads work on together: the last cache, and more than most have."""
SECONDS = 0.0075
"""For each figure; eight of them, and the making of the arrays, take about 0.1 s."""
SHORTEST = 2e-4
"""Of a run: so short that some find all cores free, so long that reading the clock does not count."""
MEETINGS = 64
"""Of a run: few, because threads that share a core do not meet at all while one of them waits for its turn."""
LEAST_RUNS = 3
_measuring = Lock()


@dataclass(frozen=True)
class Limits:
    """What a number of threads reach together at best.

    Attributes:
        threads: how many.
        flops: float32 operations a second, where a fused multiply-add counts as two.
        bandwidths: (bytes worked on, bytes read and written a second), from the smallest size to the largest.
        row_rates: (bytes of a data set, rows of it that can be fetched a second in any order), the same.
        barrier: seconds until all have met; 0 for one thread.
    """

    threads: int
    flops: float
    bandwidths: tuple[tuple[int, float], ...]
    row_rates: tuple[tuple[int, float], ...]
    barrier: float

    def bandwidth(self, size: int) -> float:
        """Bytes a second of a program that works on `size` bytes again and again."""
        return _between(self.bandwidths, size)

    def row_rate(self, size: int) -> float:
        """Rows a second that can be fetched in any order from a data set of `size` bytes; a small one sets no limit."""
        return math.inf if size < self.row_rates[0][0] else _between(self.row_rates, size)

    def __str__(self) -> str:
        rates = ", ".join(f"{rate / 1e9:.0f} (in {_size(size)})" for size, rate in self.bandwidths)
        meeting = f"; a barrier {1e9 * self.barrier:,.0f} ns" if self.threads > 1 else ""
        name = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{name}: {self.flops / 1e9:.0f} GFLOP/s; GB/s {rates}{meeting}"


def limits(threads: int | None = None) -> Limits:
    """The limits of this machine for a number of threads, measured at the first call.

    Args:
        threads: how many; `default_threads()` by default.

    Raises:
        CompileError: this system lets no process make code.
    """
    with _measuring:  # two measurements at a time would halve each other
        return _measured(threads or default_threads(), host_target())


@cache
def _measured(threads: int, target: Target) -> Limits:
    run = _Runner(threads, target)
    flops = run.best("arithmetic") * operations(target) * threads
    bandwidths, row_rates = [], []
    for size in sorted({*(size * threads for size in OWN_SIZES), *SHARED_SIZES}):
        vectors = size // (2 * VECTOR_BYTES * threads) // VECTORS_AT_ONCE * VECTORS_AT_ONCE  # of x and y in a thread
        run.context[Place.VECTORS] = vectors
        moved = 3 * vectors * VECTOR_BYTES * threads  # x and y are read, y is written
        bandwidths.append((size, run.best("memory") * moved))
    for size in SHARED_SIZES:
        run.context[Place.ROW_BITS] = (size // ROW_BYTES).bit_length() - 1
        row_rates.append((size, run.best("rows") * threads))
    barrier = 1 / run.best("meeting", MEETINGS) if threads > 1 else 0.0
    return Limits(threads, flops, tuple(bandwidths), tuple(row_rates), barrier)


class _Runner:
    """Runs the programs, and takes the time from when all threads have met until the last is done."""

    def __init__(self, threads: int, target: Target) -> None:
        self.threads = threads
        self.module = compile_module(yardsticks_ir(target), target)
        self._tick = seconds_per_tick()
        self._times = _aligned(threads * TIMES_BYTES)
        self._memory = _aligned(max(*SHARED_SIZES, *(size * threads for size in OWN_SIZES)))
        self._barrier = _aligned(BARRIER_BYTES)
        self.context = np.zeros(len(Place), dtype=np.int64)
        for place, array in (
            (Place.MEMORY, self._memory),
            (Place.BARRIER, self._barrier),
            (Place.TIMES, self._times),
        ):
            self.context[place] = array.ctypes.data

    def best(self, name: str, count: int = 0) -> float:
        """Rounds of a program a second: the best of the runs for which there is time.

        Args:
            name: of the program.
            count: rounds of a run; 0 for as many as one thread makes in the shortest time that can be measured.
        """
        end = time.perf_counter() + SECONDS
        self.context[Place.COUNT] = count = count or self._enough(name)
        least = min(self._run(name, self.threads) for _ in range(LEAST_RUNS))
        while time.perf_counter() < end:
            least = min(least, self._run(name, self.threads))
        return count / (least * self._tick)

    def _enough(self, name: str) -> int:
        """How many rounds fill the shortest time."""
        count, wanted = 1, SHORTEST / self._tick
        while True:
            self.context[Place.COUNT] = count
            ticks = min(self._run(name, 1) for _ in range(LEAST_RUNS))  # the least is seldom a disturbed one
            if ticks > wanted / 2:
                return count
            count = min(16 * count, max(2 * count, int(count * wanted / ticks)))

    def _run(self, name: str, threads: int) -> int:
        """Ticks from the first thread's start to the last one's end."""
        run_on(threads, self.module.address(name), self.context.ctypes.data)
        self.context[Place.FIRST_ROW] += self.context[Place.COUNT]
        start, end = self._times.view(np.int64).reshape(self.threads, -1)[:threads, :2].T
        return max(1, int(end.max() - start.min()))


def _between(measured: tuple[tuple[int, float], ...], size: int) -> float:
    """A rate for a size: between two measured ones the time grows with the logarithm of the size."""
    if size <= measured[0][0]:
        return measured[0][1]
    for (low, fast), (high, slow) in pairwise(measured):
        if size <= high:
            return 1 / (1 / fast + (1 / slow - 1 / fast) * math.log(size / low) / math.log(high / low))
    return measured[-1][1]


def _aligned(size: int) -> Array:
    """Zero bytes from a multiple of 64 on, all of them in memory already."""
    memory = np.zeros(size + 64, dtype=np.uint8)
    memory[:: 4 * KB] = 0
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


def _size(size: int) -> str:
    return f"{size // MB} MB" if size >= MB else f"{size // KB} kB"
