"""The programs that measure a machine do the work that they are counted for: each against NumPy's account of it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline.engine.compiler.barrier import BARRIER_BYTES
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target, restricted
from fallline.engine.threads import run_on
from fallline.engine.yardsticks import ROW_BYTES, TIMES_BYTES, VECTOR_BYTES, Place, operations, yardsticks_ir
from fallline.errors import ArgumentError


def aligned(size: int) -> NDArray[np.uint8]:
    memory = np.zeros(size + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


@pytest.fixture(params=["this machine", "avx2"])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "this machine":
        return host_target()
    try:
        return restricted(host_target(), "avx2")
    except ArgumentError as reason:
        pytest.skip(str(reason))


class Run:
    """One run of a program over its own memory."""

    def __init__(
        self, target: Target, name: str, count: int, memory: NDArray[np.float32], threads: int = 1, **places: int
    ) -> None:
        self.memory = aligned(memory.nbytes).view(np.float32)
        self.memory[:] = memory
        self.times = aligned(threads * TIMES_BYTES)
        barrier = aligned(BARRIER_BYTES)
        context = np.zeros(len(Place), dtype=np.int64)
        context[Place.COUNT] = count
        for place, array in ((Place.MEMORY, self.memory), (Place.BARRIER, barrier), (Place.TIMES, self.times)):
            context[place] = array.ctypes.data
        for place_name, value in places.items():
            context[Place[place_name]] = value
        run_on(threads, compile_module(yardsticks_ir(target), target).address(name), context.ctypes.data)
        self.start, self.end = self.times.view(np.int64).reshape(threads, -1)[:, :2].T


@pytest.mark.parametrize("threads", [1, 3])
def test_memory_adds_a_half_of_x_to_y_in_every_round(target: Target, threads: int) -> None:
    vectors, rounds = 8, 5
    before = np.arange(2 * threads * vectors * 16, dtype=np.float32)
    run = Run(target, "memory", rounds, before, threads, VECTORS=vectors)
    x, y = before.reshape(threads, 2, -1).transpose(1, 0, 2)
    found_x, found_y = run.memory.reshape(threads, 2, -1).transpose(1, 0, 2)
    assert np.array_equal(found_x, x)
    assert np.array_equal(found_y, y + rounds * x / 2)  # exact: halves of whole numbers
    assert (run.end > run.start).all()


def test_arithmetic_does_as_many_operations_as_it_says(target: Target) -> None:
    # a ← a/2 + 1 takes every sum to 2, which it never leaves, so the stored total tells how many sums there are
    run = Run(target, "arithmetic", 100, np.zeros(16, dtype=np.float32))
    sums = run.memory[0] / 2
    assert np.array_equal(run.memory, np.full(16, 2 * sums))
    assert sums == int(sums) >= 1
    assert operations(target) == 2 * 16 * sums * 4
    assert 16 * 4 * sums <= target.vector_bytes * target.vector_registers, "the sums do not fit into the registers"


def test_two_rounds_of_arithmetic_are_eight_turns(target: Target) -> None:
    run = Run(target, "arithmetic", 2, np.zeros(16, dtype=np.float32))
    sums = operations(target) // (2 * 16 * 4)
    starts = 1.0 + np.arange(sums)
    assert run.memory[0] == np.float32(np.sum(2 + (starts - 2) / 2**8))


def test_rows_are_whole_rows_and_go_everywhere(target: Target) -> None:
    bits, count, width = 8, 4096, ROW_BYTES // 4
    table = np.repeat(np.arange(2**bits, dtype=np.float32), width)
    run = Run(target, "rows", count, table, ROW_BITS=bits)
    total = run.memory[: VECTOR_BYTES // 4] / (ROW_BYTES // VECTOR_BYTES)  # of row numbers, in each lane
    assert np.array_equal(total, np.full(16, total[0]))
    # the mean of scattered numbers 0 … 255 is near 127.5; its deviation is 74 / √4096 = 1.2
    assert abs(total[0] / count - 127.5) < 6


def test_rows_go_on_where_they_are_told_to(target: Target) -> None:
    table = np.repeat(np.arange(256, dtype=np.float32), ROW_BYTES // 4)
    first, second, both = (
        Run(target, "rows", count, table, ROW_BITS=8, FIRST_ROW=start).memory[0]
        for count, start in ((10, 0), (30, 10), (40, 0))
    )
    assert first + second == both


@pytest.mark.parametrize("threads", [1, 4])
def test_meetings_end(target: Target, threads: int) -> None:
    run = Run(target, "meeting", 50, np.zeros(16, dtype=np.float32), threads)
    assert (run.end > run.start).all()
