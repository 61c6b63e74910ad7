"""The random numbers: published vectors, frozen bits, layout, distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from fallline.ops import philox

# Random123 1.14, tests/kat_vectors, the lines "philox4x32 10": counter, key, result.
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_the_published_vectors(counter: str, key: str, result: str) -> None:
    c0, c1, c2, c3 = numbers(counter)
    low, high = numbers(key)
    words = philox.philox4x32((c0, c1, c2, c3), (low, high))
    assert tuple(int(word) for word in words) == numbers(result)


def test_counters_broadcast_together() -> None:
    words = philox.philox4x32((np.arange(3)[:, None], np.arange(2), 0, 0), (1, 2))
    assert [word.shape for word in words] == [(3, 2)] * 4
    alone = philox.philox4x32((2, 1, 0, 0), (1, 2))
    assert [int(word[2, 1]) for word in words] == [int(word) for word in alone]


# Frozen for ever: a change of any of these bits changes every network that Fallline ever trained.
FROZEN = [
    (
        (0, "initial", "0.weight"),
        (0x827B34CA, 0x17B43C36),
        [0x83571DC7, 0x98223CE8, 0x673F23DE],
        [0x5028A4F1, 0xA3EE4963],
        ["0x1.c688340000000p-2", "0x1.4dac000000000p-1"],
        ["0x1.06ae3bbacb01ap-1", "0x1.304479dc389adp-1"],
        ["0x1.0bfaf0c4e0ec1p-5", "0x1.e88c7f5c99e79p-3", "-0x1.f5579cb693a42p-3"],
    ),
    (
        (1, "dropout", ""),
        (0x57405B1D, 0x15E7B75B),
        [0x667C6E05, 0xB3B0A7C6, 0xAE123E8C],
        [0x5E0A0F5F, 0xFFDCD6EB],
        ["0x1.c800d00000000p-3", "0x1.8a68f00000000p-4"],
        ["0x1.99f1b84253bb0p-2", "0x1.67614f9493f03p-1"],
        ["-0x1.02895c68d6bb1p-2", "0x1.0f50eac659e9dp-1", "0x1.ded36d5fce8e7p-2"],
    ),
    (
        (-3, "order", "größe"),
        (0x06480BCB, 0x467A5CFC),
        [0xFEFC59F9, 0x50CCE932, 0x1B71834A],
        [0x32F815DD, 0x9B46A096],
        ["0x1.64edac0000000p-2", "0x1.be99d20000000p-1"],
        ["0x1.fdf8b3f78429ep-1", "0x1.4333a49fcd5f0p-2"],
        ["0x1.53e0cbe8493aep+1", "-0x1.eb7b8a1dac096p-2", "-0x1.3dd665b4120b6p+0"],
    ),
]


@pytest.mark.parametrize(("stream", "key", "words", "far", "uniform", "uniform53", "normal"), FROZEN)
def test_the_frozen_bits(
    stream: tuple[int, str, str],
    key: tuple[int, int],
    words: list[int],
    far: list[int],
    uniform: list[str],
    uniform53: list[str],
    normal: list[str],
) -> None:
    assert philox.key(*stream) == key
    assert philox.words(key, [0], 3).tolist() == [words]
    assert philox.words(key, [2**33 + 5], 2, step=2**40 + 9).tolist() == [far]
    assert [value.hex() for value in philox.uniform(key, [7], 2, step=1)[0].tolist()] == uniform
    assert [value.hex() for value in philox.uniform53(key, 2).tolist()] == uniform53
    assert [value.hex() for value in philox.normal(key, 3).tolist()] == normal


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 199))
def test_an_element_lies_where_the_page_says(row: int, step: int, element: int) -> None:
    key = philox.key(5, "test")
    group, rest = divmod(element, 64)
    word, lane = divmod(rest, 16)
    four = philox.philox4x32((16 * group + lane, row, step % 2**32, step // 2**32), key)
    assert philox.words(key, [row], element + 1, step)[0, element] == four[word]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=5), st.integers(1, 150), st.integers(0, 200))
def test_a_number_does_not_depend_on_what_else_is_asked(rows: list[int], elements: int, more: int) -> None:
    key = philox.key(5, "test")
    together = philox.words(key, rows, elements + more)
    alone = np.concatenate([philox.words(key, [row], elements) for row in rows])
    np.testing.assert_array_equal(together[:, :elements], alone)


def test_streams_rows_and_steps_differ() -> None:
    def words(seed: int = 0, purpose: str = "p", name: str = "n", row: int = 0, step: int = 0) -> tuple[int, ...]:
        return tuple(philox.words(philox.key(seed, purpose, name), [row], 4, step)[0].tolist())

    found = [words(), words(seed=1), words(purpose="q"), words(name="m"), words(row=1), words(step=1)]
    found += [words(step=2**32), words(seed=-1)]
    assert len(set(found)) == len(found)


def test_uniform_numbers_are_uniform() -> None:
    values = philox.uniform(philox.key(0, "test"), np.arange(200), 500)
    assert 0.0 <= values.min() < 1e-3 < 0.999 < values.max() < 1.0
    assert np.array_equal(values, values.astype(np.float32))
    assert stats.kstest(values.ravel(), "uniform").pvalue > 1e-3
    for left, right in [(values[:, 1:], values[:, :-1]), (values[1:], values[:-1]), (values[:, 16:], values[:, :-16])]:
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 5.0 / np.sqrt(values.size)


def test_uniform53_uses_all_its_bits() -> None:
    values = philox.uniform53(philox.key(1, "test"), 100_000)
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    last_bits = (values * 2.0**53).astype(np.int64) & 0xFF
    assert stats.chisquare(np.bincount(last_bits, minlength=256)).pvalue > 1e-3


def test_normal_numbers_are_normal() -> None:
    values = philox.normal(philox.key(2, "test"), 100_000)
    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 5.0 / np.sqrt(values.size)
    assert abs(values.std() - 1.0) < 5.0 / np.sqrt(2.0 * values.size)
    assert abs(stats.skew(values)) < 5.0 * np.sqrt(6.0 / values.size)


def test_normal_numbers_are_finite_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(philox, "uniform53", lambda key, count: np.array([0.0, 1.0 - 2.0**-53]))
    low, high = philox.normal((0, 0), 2)
    np.testing.assert_allclose([low, high], special.ndtri([2.0**-54, 1.0 - 2.0**-53]), rtol=1e-13)


def test_the_inverse_normal_distribution_function() -> None:
    inner = np.linspace(1e-6, 1.0 - 1e-6, 200_001)
    tails = np.exp(np.linspace(np.log(1e-300), np.log(0.1), 20_001))
    for p in (inner, tails):
        np.testing.assert_allclose(philox.inverse_normal(p), special.ndtri(p), rtol=1e-14, atol=1e-16)
    p = np.array([0.0749999, 0.075, 0.0750001, 0.925, 1e-12, np.exp(-25.0)])  # where one approximation ends
    np.testing.assert_allclose(philox.inverse_normal(p), special.ndtri(p), rtol=1e-13)
    assert philox.inverse_normal(0.5) == 0.0
