"""What is done by blocks of rows gives what doing it at once gives."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.data import by_blocks, scratch
from fallline.data.batches import permutation, permuted
from fallline.data.by_blocks import blocks, chosen, computed, different, first_of, gather, numbers_of, ordered
from fallline.data.duplicates import equal_rows
from fallline.data.spelling import distinct, is_missing, labels_of
from fallline.data.split import random_words, split_rows
from fallline.data.texts import Texts
from fallline.ops import exact

NUMBERS = st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.0, np.nan, np.inf, 1e300]), max_size=300)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    """Blocks of 64 rows: the least that random words can be cut into."""
    before, by_blocks.ROWS = by_blocks.ROWS, 64
    yield
    by_blocks.ROWS = before


@given(NUMBERS)
def test_different_values_are_numpys(cells: list[float]) -> None:
    values = np.array(cells, dtype=np.float64)
    assert np.array_equal(different(values), np.unique(values[~np.isnan(values)]))
    assert np.array_equal(ordered(values), np.sort(values), equal_nan=True)


@given(st.lists(st.booleans(), max_size=300), st.data())
def test_choosing_rows_is_numpys_indexing(mask: list[bool], data: st.DataObject) -> None:
    truth = np.array(mask, dtype=bool)
    values = np.arange(len(truth)) * 3.0
    assert np.array_equal(gather(values, truth), values[truth])
    assert np.array_equal(numbers_of(truth), np.flatnonzero(truth))
    assert np.array_equal(chosen(len(truth), np.float64, lambda p: values[p][truth[p]]), values[truth])
    assert first_of(len(truth), lambda p: truth[p]) == (int(np.argmax(truth)) if truth.any() else None)
    if mask:
        rows = np.array(data.draw(st.lists(st.integers(0, len(mask) - 1), max_size=200)), dtype=np.int64)
        assert np.array_equal(gather(values, rows), values[rows])


@given(st.integers(1, 2000), st.integers(0, 5))
def test_a_part_of_an_order_is_cut_from_the_whole(rows: int, seed: int) -> None:
    whole = permutation(rows, seed, "order", 3)
    assert np.array_equal(np.sort(whole), np.arange(rows))
    parts = [permuted(part.start, part.stop, rows, seed, "order", 3) for part in blocks(rows, 77)]
    assert np.array_equal(np.concatenate(parts), whole)


@given(st.integers(9, 300), st.integers(1, 4), st.integers(0, 3))
def test_each_class_gives_its_rows_with_the_smallest_words(rows: int, classes: int, seed: int) -> None:
    rows += 1
    codes = np.arange(rows) * 7 % classes
    rest, part = split_rows(codes, rows, 0.3, seed, "test")
    words = random_words(rows, seed, "test")
    for label in range(classes):
        own = np.flatnonzero(codes == label)
        taken = np.isin(own, part)
        by_word = own[np.argsort(words[own], kind="stable")]
        assert set(by_word[: taken.sum()].tolist()) == set(own[taken].tolist())
    assert np.array_equal(np.sort(np.concatenate([rest, part])), np.arange(rows))


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["a", "b", None])), min_size=1, max_size=300))
def test_equal_rows_are_found_in_every_share(cells: list[tuple[int, str | None]]) -> None:
    numbers = np.array([number for number, _ in cells], dtype=np.int64)
    texts = np.empty(len(cells), dtype=object)
    texts[:] = [text for _, text in cells]
    first: dict[tuple[int, str | None], int] = {}
    wanted = [first.setdefault(cell, row) for row, cell in enumerate(cells)]
    assert equal_rows([numbers, texts], len(cells)).tolist() == wanted


@given(st.lists(st.sampled_from(["a", "1", "1.0", "True", "true", "", None]), max_size=300))
def test_texts_are_looked_at_as_arrays_of_text_are(cells: list[str | None]) -> None:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    words = list(dict.fromkeys(["never", *(cell for cell in cells if cell is not None)]))
    texts = Texts(np.array([-1 if cell is None else words.index(cell) for cell in cells], dtype=np.int32), words)
    assert list(texts) == np.asarray(texts).tolist() == cells
    assert [texts[row] for row in range(len(cells))] == cells
    assert np.array_equal(is_missing(texts), is_missing(array))  # type: ignore[arg-type]
    assert labels_of(texts) == labels_of(array)  # type: ignore[arg-type]
    (labels, codes), (known, places) = distinct(texts), distinct(array)  # type: ignore[arg-type]
    assert labels == known
    assert np.array_equal(codes, places)
    assert texts[::2].tolist() == cells[::2]


@given(st.integers(1, 3000))
def test_a_sum_of_pieces_has_the_order_of_halving(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count) * 10.0 ** (np.arange(count) % 7)
    folded = values
    while len(folded) > 1:  # as the documentation of tree_sum says it
        half = (len(folded) + 1) // 2
        folded = np.concatenate([folded[: len(folded) - half] + folded[half:], folded[len(folded) - half : half]])
    before, exact._TOGETHER = exact._TOGETHER, 50
    try:
        found = exact.tree_sum_of(count, lambda start, stop: values[start:stop])
    finally:
        exact._TOGETHER = before
    assert found == folded[0] == exact.tree_sum(values)


def test_large_arrays_lie_in_files_while_a_folder_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "SMALL", 1000)
    try:
        scratch.use(tmp_path)
        array = computed(2000, np.float64, lambda part: np.arange(part.start, part.stop))
        assert array.tolist() == list(range(2000))
        assert not array.flags.owndata
        assert array.flags.writeable
        assert list(tmp_path.iterdir()) == []  # the file has no name
        scratch.use(tmp_path / "gone")
        assert scratch.empty(2000, np.float64).flags.owndata
    finally:
        scratch.use(None)
