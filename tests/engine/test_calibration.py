"""The limits of a machine: what is measured is plausible and is measured once; what lies between is computed."""

import math

import pytest

from fallline.engine import calibration
from fallline.engine.calibration import Limits, limits
from fallline.engine.threads import default_threads
from fallline.engine.ticks import seconds_per_tick

MADE_UP = Limits(
    threads=2,
    flops=2e11,
    bandwidths=((1 << 20, 100e9), (4 << 20, 50e9), (64 << 20, 10e9)),
    row_rates=((8 << 20, 2e8), (64 << 20, 4e7)),
    barrier=6e-8,
)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_limits_of_this_machine_are_those_of_a_computer(threads: int) -> None:
    found = limits(threads)
    assert found.threads == threads
    assert 1e8 < found.flops < 1e14
    sizes = [size for size, _ in found.bandwidths]
    assert sizes == sorted(set(sizes))
    assert all(1e8 < rate < 1e14 for _, rate in found.bandwidths)
    assert all(1e5 < rate < 1e11 for _, rate in found.row_rates)
    assert found.barrier == 0.0 if threads == 1 else 0.0 < found.barrier < 1.0


def test_they_are_measured_once() -> None:
    assert limits(1) is limits(1)
    assert limits() is limits(default_threads())


def test_arithmetic_in_registers_is_faster_than_memory_beyond_the_caches() -> None:
    found = limits(1)
    # three numbers of four bytes are moved for each multiply-add there: no machine feeds its units so fast
    assert found.flops / 2 > found.bandwidths[-1][1] / 12


@pytest.mark.parametrize(
    ("size", "rate"),
    [
        (1, 100e9),
        (1 << 20, 100e9),
        (2 << 20, 200e9 / 3),  # half-way between 1 and 4 MB: the mean of the times for one byte
        (4 << 20, 50e9),
        (16 << 20, 100e9 / 6),
        (64 << 20, 10e9),
        (1 << 40, 10e9),
    ],
)
def test_the_bandwidth_between_measured_sizes_goes_by_the_logarithm(size: int, rate: float) -> None:
    assert MADE_UP.bandwidth(size) == pytest.approx(rate, rel=1e-12)


def test_a_small_data_set_sets_no_limit_to_fetching_rows() -> None:
    assert MADE_UP.row_rate(1000) == math.inf
    assert MADE_UP.row_rate(8 << 20) == 2e8
    assert MADE_UP.row_rate(1 << 50) == 4e7


def test_limits_read_as_a_line() -> None:
    assert str(MADE_UP) == ("2 threads: 200 GFLOP/s; GB/s 100 (in 1 MB), 50 (in 4 MB), 10 (in 64 MB); a barrier 60 ns")
    assert str(limits(1)).startswith("1 thread: ")
    assert "barrier" not in str(limits(1))


def test_a_tick_is_between_a_tenth_of_a_nanosecond_and_a_microsecond() -> None:
    assert 1e-10 < seconds_per_tick() < 1e-6
    assert seconds_per_tick() == seconds_per_tick()


def test_the_time_for_all_figures_is_bounded() -> None:
    # flops, bandwidths, rows and barrier of one number of threads; two numbers are the 0.2 s that are promised
    figures = 1 + len(calibration.OWN_SIZES) + len(calibration.SHARED_SIZES) * 2 + 1
    assert figures * calibration.SECONDS <= 0.1
