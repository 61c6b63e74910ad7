"""The choice of a product's tile: for any shape, it covers the output, fits the registers and stays little code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.engine.compiler.tiles import ROWS_OF_UNIT, choose_tiling
from fallline.engine.target import Target
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

TARGETS = {
    "avx512": Target("x86_64-unknown-linux-gnu", "znver4", "", 64, 32),
    "avx2": Target("x86_64-unknown-linux-gnu", "x86-64-v3", "", 32, 16),
    "neon": Target("aarch64-unknown-linux-gnu", "generic", "", 16, 32),
    "sse": Target("x86_64-unknown-linux-gnu", "x86-64", "", 16, 16),
}
LENGTHS = st.one_of(st.integers(1, 70), st.sampled_from([100, 128, 256, 257, 784, 1000, 1024, 4096]))


@settings(max_examples=200)
@given(
    LENGTHS,
    LENGTHS,
    LENGTHS,
    st.sampled_from([DType.FLOAT32, DType.FLOAT64]),
    st.sampled_from(["rows", "tiles"]),
    st.sampled_from(sorted(TARGETS)),
)
def test_every_shape_gets_tiles_that_cover_it_and_fit(
    m: int, n: int, k: int, dtype: DType, split: str, name: str
) -> None:
    target = TARGETS[name]
    tiling = choose_tiling(m, n, k, dtype, split, target)
    columns = [lanes for _, count, live in tiling.column_sections for lanes in live * count]
    assert sum(columns) == n
    assert all(lanes == LANES for lanes in columns[:-1])
    assert sum(count for _, count, _ in tiling.column_sections) == tiling.tile_columns
    assert (tiling.tile_rows - 1) * tiling.height < m <= tiling.tile_rows * tiling.height
    assert len(tiling.heights) * len(tiling.column_sections) <= 4
    assert tiling.chunk % tiling.height == 0
    assert tiling.packed or tiling.chunk >= m
    if split == "rows" and m > ROWS_OF_UNIT:
        assert ROWS_OF_UNIT % tiling.height == 0
    size = 4 if dtype is DType.FLOAT32 else 8
    vector = LANES * size // target.vector_bytes
    assert tiling.height * tiling.width * vector < target.vector_registers
    if tiling.k_block < k:
        row = LANES * size * tiling.width
        assert tiling.packed
        assert tiling.k_block * row <= 256 * 1024, "the copied panel fits the second cache"
        assert tiling.chunk * row <= 256 * 1024, "so do the sums that wait, and all of it a thread's stack"


@pytest.mark.parametrize(
    ("m", "n", "k", "split"),
    [
        (64, 64, 32, "tiles"),
        (30, 64, 32, "tiles"),
        (64, 10, 64, "tiles"),
        (64, 2, 32, "tiles"),
        (512, 10, 128, "tiles"),
    ],
)
def test_a_weight_gradient_can_be_divided_among_four_threads(m: int, n: int, k: int, split: str) -> None:
    tiling = choose_tiling(m, n, k, DType.FLOAT32, split, TARGETS["avx512"])
    assert tiling.tile_rows * tiling.tile_columns >= 4


def test_one_row_uses_a_low_and_wide_tile() -> None:
    tiling = choose_tiling(1, 512, 784, DType.FLOAT32, "rows", TARGETS["avx512"])
    assert tiling.height == 1
    assert tiling.width >= 8
    assert tiling.k_block == 784, "nothing is copied for a single row"


def test_long_sums_are_cut_where_a_copied_panel_of_b_would_leave_the_near_caches() -> None:
    cases = [(128, 512, 784, "avx512", 784), (128, 512, 784, "avx2", 392), (2048, 2048, 2048, "avx512", 2048)]
    for m, n, k, name, k_block in [*cases, (2048, 2048, 2049, "avx512", 1025)]:
        assert choose_tiling(m, n, k, DType.FLOAT32, "rows", TARGETS[name]).k_block == k_block


def test_many_rows_of_a_pass_in_chunks_that_stay_in_the_third_cache() -> None:
    cases = [(DType.FLOAT32, 2048, 1024), (DType.FLOAT64, 2048, 512), (DType.FLOAT32, 100_000, 256)]
    for dtype, k, chunk in cases:
        assert choose_tiling(2048, 2048, k, dtype, "rows", TARGETS["avx512"]).chunk == chunk
    assert choose_tiling(2048, 2048, 128, DType.FLOAT32, "rows", TARGETS["avx512"]).chunk == 2048, "B is near"


def test_few_rows_copy_nothing() -> None:
    for m, packed in [(63, False), (64, True)]:
        assert choose_tiling(m, 2048, 2048, DType.FLOAT32, "rows", TARGETS["avx512"]).packed is packed
