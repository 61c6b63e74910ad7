import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from fallline.data.encoders import TableEncoder
from fallline.data.table import Table
from fallline.data.text_encoder import MOST_SLOTS, TextEncoder
from fallline.data.text_grams import grams, hash_texts, tokens_of

CELLS = st.lists(st.none() | st.text(max_size=60), min_size=1, max_size=12)


def column(*cells: str | None) -> np.ndarray:
    values = np.empty(len(cells), dtype=object)
    values[:] = cells
    return values


def fitted(*cells: str | None) -> TextEncoder:
    return TextEncoder.fit(column(*cells), "note", lambda row: f"row {row}", [])


def bag(encoder: TextEncoder, *cells: str | None) -> tuple[np.ndarray, np.ndarray]:
    """(numbers, weights) of each cell's slots."""
    matrix = np.full((len(cells), 2 * encoder.slots), np.nan, dtype=np.float32)
    encoder.fill(matrix, column(*cells))
    return matrix[:, : encoder.slots], matrix[:, encoder.slots :]


def analysed(cell: str) -> list[str]:
    """The n-grams of a cell of ASCII words, as the module states them, one by one."""
    tokens = cell.split()
    plain = ["".join("0" if c.isdigit() else c for c in token) for token in tokens]
    found = [f"word {token}" for token in plain] + [f"pair {a} {b}" for a, b in zip(plain, plain[1:], strict=False)]
    for token in tokens:
        padded = f" {token} "
        for size in (3, 4, 5):
            if len(token) > 1:
                found += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return found


@pytest.mark.parametrize(
    ("text", "value"),  # of the list of test vectors that the authors of FNV publish
    [("", 0x811C9DC5), ("a", 0xE40C292C), ("b", 0xE70C2DE5), ("foo", 0xA9F37ED7), ("foobar", 0xBF9CF968)],
)
def test_the_hash_is_fnv_1a(text: str, value: int) -> None:
    assert hash_texts([text]).tolist() == [value]
    assert hash_texts(["other", text, ""])[1] == value


@pytest.mark.parametrize(
    ("cell", "tokens"),
    [
        ("Free entry 4U!!", ["free", "entry", "4u", "!", "!"]),
        ("ﬁne Ⅷ ＡＢ", ["fine", "viii", "ab"]),  # NFKC
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("ok😀👍", ["ok", "😀", "👍"]),
        ("a\0b \t\n", ["a", "\0", "b"]),
        ("", []),
        ("y" * 100, ["y" * 64]),
    ],
)
def test_tokens(cell: str, tokens: list[str]) -> None:
    assert tokens_of(cell) == tokens


@given(st.lists(st.text("ab1 ", max_size=12), min_size=1, max_size=6))
def test_n_grams_are_those_of_a_plain_count(cells: list[str]) -> None:
    found = {row: [] for row in range(len(cells))}
    for rows, hashes, counts in grams(cells):
        for row, gram, count in zip(rows.tolist(), hashes.tolist(), counts.tolist(), strict=True):
            found[row].append((gram, count))
    for row, cell in enumerate(cells):
        expected: dict[str, int] = {}
        for gram in analysed(cell):
            expected[gram] = expected.get(gram, 0) + 1
        assert sorted(count for _, count in found[row]) == sorted(expected.values())
        assert [gram for gram, _ in found[row]] == sorted({gram for gram, _ in found[row]})
    same = [cell for cell in cells if analysed(cell) == analysed(cells[0])]
    assert all(found[cells.index(cell)] == found[0] for cell in same)


def test_the_bits_of_a_message() -> None:
    (rows, hashes, counts) = next(grams(["Call 0800 now"]))
    assert rows.tolist() == [0] * len(hashes)
    assert len(hashes) == sum(map(len, ({"call", "0000", "now"}, {"a", "b"}))) + (4 + 3 + 2) * 2 + (3 + 2 + 1)
    assert set(hash_texts([" ca", "call ", " 0800"[:5], "now"]).tolist()) <= set(hashes.tolist())
    assert set(counts.tolist()) == {1}


def test_weights_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    words = ["free", "call", "now", "12", "home", "later", "x", "you"]
    cells = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(60)]
    counted = CountVectorizer(analyzer=analysed, min_df=3)
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(counted.fit_transform(cells)).toarray()
    encoder = fitted(*cells)
    assert len(encoder.hashes) == expected.shape[1]
    numbers, weights = bag(encoder, *cells)
    kept = np.count_nonzero(expected, axis=1) <= encoder.slots
    assert kept.sum() > 50
    for row in np.flatnonzero(kept):
        np.testing.assert_allclose(
            np.sort(weights[row][weights[row] > 0]), np.sort(expected[row][expected[row] > 0]), rtol=1e-6
        )
    # each n-gram is one column in both: the cells' products with one another are the same
    dense = np.zeros((len(cells), len(encoder.hashes)))
    np.add.at(dense, (np.arange(len(cells))[:, None], numbers.astype(int)), weights)
    both = np.ix_(kept, kept)
    np.testing.assert_allclose((dense @ dense.T)[both], (expected @ expected.T)[both], atol=1e-6)


def test_a_text_with_more_n_grams_than_slots_keeps_the_heaviest() -> None:
    encoder = fitted(*["one two"] * 30, *["one two three four"] * 3)
    encoder.slots = 4
    numbers, weights = bag(encoder, "one two three four")
    rows = np.asarray(encoder.counts)[numbers[0].astype(int)]
    assert rows.tolist() == [3, 3, 3, 3]  # of the three texts that have them, none of the common ones
    assert weights[0].tolist() == [0.5] * 4
    assert numbers[0].tolist() == sorted(numbers[0].tolist())


def test_shape_of_the_text() -> None:
    encoder = fitted("AB1!", "abcdefgh", None, "x")
    assert encoder.features == [
        "note characters", "note digits", "note capitals", "note signs", "note is missing",
    ]  # fmt: skip
    found = encoder.encode(column("AB1!", None, ""), lambda row: "", [])
    lengths = np.log1p([4, 8, 1])
    assert found[0, 0] == pytest.approx((math.log(5) - lengths.mean()) / lengths.std(), rel=1e-6)
    assert found[0, 1] == pytest.approx((0.25 - 1 / 12) / np.std([0.25, 0, 0]), rel=1e-6)
    assert found[1].tolist() == [0, 0, 0, 0, 1]
    assert found[2, 4] == 0
    assert found[2, 0] < found[0, 0]


@settings(deadline=None, max_examples=60)
@given(CELLS, CELLS)
def test_any_text_is_encoded(training: list[str | None], later: list[str | None]) -> None:
    encoder = fitted(*training)
    again = TextEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    values = column(*later)
    dense = encoder.encode(values, lambda row: "", [])
    numbers, weights = bag(encoder, *later)
    assert dense.tobytes() == again.encode(values, lambda row: "", []).tobytes()
    assert np.isfinite(dense).all()
    assert ((numbers >= 0) & (numbers < max(1, len(encoder.hashes))) & (numbers == np.floor(numbers))).all()
    lengths = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=1))
    assert (np.isclose(lengths, 1, atol=1e-5) | (lengths == 0)).all()
    for row in range(len(later)):  # a row's bits do not depend on its neighbours
        one = bag(again, later[row])
        assert one[0].tobytes() == numbers[row].tobytes()
        assert one[1].tobytes() == weights[row].tobytes()


def test_strange_cells() -> None:
    cells = ["😀 ok 👍", "null\0byte", "\ud800 half", "", "   ", "x" * 1_000_000, "word " * 200_000, "中文 文本"] * 4
    started = time.perf_counter()
    encoder = fitted(*cells)
    numbers, weights = bag(encoder, *cells)
    assert time.perf_counter() - started < 20
    assert np.isfinite(weights).all()
    assert weights[3].tolist() == weights[4].tolist() == [0.0] * encoder.slots
    assert np.array_equal(numbers[:8], numbers[8:16])
    assert bag(encoder, "never seen")[1].sum() == 0.0


def test_slots_and_memory_are_bounded() -> None:
    long = " ".join(f"word{k}" for k in range(3000))
    encoder = fitted(*[long] * 4)
    assert len(encoder.hashes) > MOST_SLOTS == encoder.slots
    assert encoder._enough_slots(["a b c d"] * 4) < MOST_SLOTS


def test_text_in_a_table() -> None:
    cells = [f"big sale number {k % 5}" if k % 2 else "see you at home" for k in range(40)] + [None]
    table = Table({"note": column(*cells), "size": np.arange(41.0), "c": column(*(f"c{k % 20}" for k in range(41)))})

    class Info:
        date_format = None

        def __init__(self, name: str, kind: str) -> None:
            self.name, self.kind = name, kind

    encoder = TableEncoder.fit(table, [Info("note", "text"), Info("size", "number"), Info("c", "category")])
    ((name, count, slots),) = encoder.bags
    assert (name, count) == ("note", len(encoder.encoders[0].hashes))
    matrix = encoder.transform(table)
    assert matrix.shape == (41, len(encoder.feature_names))
    assert len(encoder.feature_names) == encoder.dense_width + len(encoder.embedded) + 2 * slots
    first, *_, last = encoder.feature_names[-2 * slots :]
    assert (first, last) == ("note n-gram 1", f"note weight {slots}")
    turned = Table({name: table.column(name) for name in ("c", "size", "note")})
    assert encoder.transform(turned).tobytes() == matrix.tobytes()
    again = TableEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.transform(table).tobytes() == matrix.tobytes()
    numbers_for_text = Table({**table.columns, "note": np.arange(41.0)})  # a column that is text no longer
    assert np.isfinite(again.transform(numbers_for_text)).all()


def test_n_grams_of_a_hundred_thousand_messages_take_seconds() -> None:
    cells = [f"call {k} for a free entry, number {k * k} of many!" for k in range(20_000)]
    started = time.perf_counter()
    assert sum(len(rows) for rows, _, _ in grams(cells)) > 20_000 * 50
    assert time.perf_counter() - started < 6  # some 0.4 s on an idle core
