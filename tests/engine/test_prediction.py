"""Predictions by a made-up machine, so that the numbers can be worked out by hand."""

from dataclasses import replace

import pytest

from fallline.engine.calibration import Limits
from fallline.engine.compiler.program import Kernel
from fallline.engine.prediction import (
    CALL_SECONDS,
    EXCHANGE_SECONDS,
    REACHED,
    ROW_SECONDS,
    limit_seconds,
    meetings,
    predict,
)
from fallline.ir.types import DType

MB = 1 << 20
ONE = Limits(
    1, flops=32e9, bandwidths=((MB, 10e9), (64 * MB, 1e9)), row_rates=((8 * MB, 1e8), (64 * MB, 1e7)), barrier=0
)
TWO = replace(ONE, threads=2, flops=64e9, bandwidths=((MB, 20e9), (64 * MB, 1e9)), barrier=1e-6)
ARITHMETIC = Kernel("a", "product: matmul", 0, 4, multiply_adds=16_000, bytes=40, instructions=1000)
MEMORY = Kernel("m", "rows: add", 0, 4, multiply_adds=0, bytes=20_000, instructions=10)
ROWS = Kernel("r", "copy: input", 0, 4, multiply_adds=0, bytes=800, instructions=10, rows=200)


@pytest.mark.parametrize(
    ("kernel", "least"),
    [
        (ARITHMETIC, 1e-6),  # 1,000 instructions on 16 lanes, 10⁹ of them a second: 32·10⁹ operations
        (MEMORY, 2e-6),  # 20,000 bytes at 10·10⁹ a second
        (ROWS, 2e-5),  # 200 rows at 10⁷ a second, from 64 MB
    ],
)
def test_the_limit_that_is_nearest_decides(kernel: Kernel, least: float) -> None:
    found = predict([kernel], ONE, batch=10, program_bytes=1024, data_bytes=64 * MB)
    assert found.kernels == (pytest.approx(least / REACHED + CALL_SECONDS),)
    assert found.meetings == 0.0
    assert found.order == pytest.approx(10 * ROW_SECONDS)
    assert found.seconds == pytest.approx(least / REACHED + CALL_SECONDS + 10 * ROW_SECONDS)


@pytest.mark.parametrize(("units", "share"), [(1, 2.0), (2, 1.0), (3, 4 / 3), (4, 1.0), (5, 6 / 5)])
def test_the_thread_with_the_most_units_decides(units: int, share: float) -> None:
    found = predict([replace(ARITHMETIC, units=units)], TWO, batch=0, program_bytes=1024, data_bytes=0)
    assert found.kernels == (pytest.approx(0.5e-6 * share / REACHED + CALL_SECONDS),)


def test_threads_meet_after_each_stage() -> None:
    kernels = (ARITHMETIC, MEMORY, replace(ROWS, stage=1), replace(MEMORY, stage=2))
    assert meetings(kernels) == 2
    found = predict(kernels, TWO, batch=0, program_bytes=1024, data_bytes=0)
    assert found.meetings == pytest.approx(3 * (1e-6 + EXCHANGE_SECONDS))
    assert len(found.kernels) == 4


def test_a_kernel_at_the_limit_counts_multiply_adds_bytes_and_rows() -> None:
    assert limit_seconds(ARITHMETIC, ONE, 0, DType.FLOAT32) == pytest.approx(1e-6)  # 2 · 16,000 / 32·10⁹
    assert limit_seconds(ARITHMETIC, ONE, 0, DType.FLOAT64) == pytest.approx(2e-6)  # half as many to a vector
    assert limit_seconds(MEMORY, ONE, 0, DType.FLOAT32) == pytest.approx(2e-6)
    assert limit_seconds(ROWS, ONE, 64 * MB, DType.FLOAT32) == pytest.approx(2e-5)
    assert limit_seconds(ROWS, ONE, 1000, DType.FLOAT32) == pytest.approx(8e-8)
