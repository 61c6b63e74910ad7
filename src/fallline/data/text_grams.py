"""Text → hashed n-grams: words, pairs of words, and three to five characters within a word.

A cell is put into Unicode's form NFKC and lower case, and cut into tokens: runs of letters and digits, and every other
visible character by itself. Its n-grams are

- each token, and each pair of neighbours, with digits as 0, so that all telephone numbers of one length are one word;
- of each token of two characters or more, the windows of 3, 4 and 5 characters of " token ", digits as they are.

An n-gram goes by 32 bits of FNV-1a (Fowler, Noll & Vo), which takes whole code points where the original
takes bytes, so that the two agree on ASCII: h = 2166136261, then h = (h ^ c)·16777619 mod 2³² for each c. A token is
preceded by the code point 1; a pair is the code point 2 and the hashes of its two tokens. So the hash of a text is the
same on every machine. Two n-grams that share a hash, one pair in four thousand million, are taken for one.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST_TOKEN = 64  # characters of a token that are looked at: what is longer is no word
WINDOWS = (3, 4, 5)
_CHUNK = 1 << 17  # tokens at a time: some 30 MB

_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIGIT = re.compile(r"\d")
_START, _PRIME = np.uint32(2166136261), np.uint32(16777619)
_PAIR = np.uint32((2166136261 ^ 2) * 16777619 % 2**32)  # the hash of the code point 2

UInt32Array = NDArray[np.uint32]
Int64Array = NDArray[np.int64]


def tokens_of(cell: str) -> list[str]:
    """The tokens of one cell, in order."""
    plain = cell if cell.isascii() else unicodedata.normalize("NFKC", cell)
    return [token[:LONGEST_TOKEN] for token in _TOKEN.findall(plain.lower())]


def grams(cells: Sequence[str | None]) -> Iterator[tuple[Int64Array, UInt32Array, Int64Array]]:
    """The different n-grams of each cell, some rows at a time.

    Yields:
        rows: (entries,) the cell's number, ascending.
        hashes: (entries,) the n-gram, ascending within a cell.
        counts: (entries,) how often the cell has it.
    """
    known: dict[str, int] = {}
    numbers: list[int] = []
    rows: list[int] = []
    for row, cell in enumerate(cells):
        found = [] if cell is None else [known.setdefault(token, len(known)) for token in tokens_of(cell)]
        numbers += found
        rows += [row] * len(found)
        if len(numbers) >= _CHUNK:
            yield _counted(list(known), np.asarray(numbers), np.asarray(rows))
            known, numbers, rows = {}, [], []
    if numbers:
        yield _counted(list(known), np.asarray(numbers), np.asarray(rows))


def _counted(tokens: list[str], numbers: Int64Array, rows: Int64Array) -> tuple[Int64Array, UInt32Array, Int64Array]:
    """The n-grams of some rows, from their tokens in order: (token's number, row) each."""
    words = hash_texts([f"\x01{_DIGIT.sub('0', token)}" for token in tokens])
    owners, windows = _windows(tokens)
    counts = np.bincount(owners, minlength=len(tokens))
    starts = np.cumsum(counts) - counts
    many = counts[numbers]  # windows of each token of the text
    within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    neighbours = rows[1:] == rows[:-1]
    first, second = (words[part][neighbours] for part in (numbers[:-1], numbers[1:]))
    pairs = _mixed(_mixed(np.full(len(first), _PAIR), first), second)
    hashes = np.concatenate([words[numbers], windows[np.repeat(starts[numbers], many) + within], pairs])
    owner = np.concatenate([rows, np.repeat(rows, many), rows[1:][neighbours]])
    keys, found = np.unique(owner << 32 | hashes.astype(np.int64), return_counts=True)
    return keys >> 32, (keys & 0xFFFFFFFF).astype(np.uint32), found


def hash_texts(texts: Sequence[str]) -> UInt32Array:
    """The hash of each text as a whole: (texts,) uint32."""
    points, starts, lengths = _code_points(texts)
    hashes = np.full(len(texts), _START)
    for place in range(int(lengths.max(initial=0))):
        more = np.flatnonzero(lengths > place)
        hashes[more] = _mixed(hashes[more], points[starts[more] + place])
    return hashes


def _windows(tokens: Sequence[str]) -> tuple[Int64Array, UInt32Array]:
    """(token's number, hash) of the character windows of each token, in order of the tokens."""
    points, _, lengths = _code_points([f" {token} " for token in tokens])
    token = np.repeat(np.arange(len(tokens)), lengths)  # (characters,)
    long = lengths[token] > WINDOWS[0]
    owners, hashes = [], []
    state = np.full(len(points), _START)
    for size in range(1, min(WINDOWS[-1], len(points)) + 1):
        count = len(points) - size + 1
        state = _mixed(state[:count], points[size - 1 :])
        if size in WINDOWS:
            inside = (token[:count] == token[size - 1 :]) & long[:count]
            owners.append(token[:count][inside])
            hashes.append(state[inside])
    owner = np.concatenate(owners) if owners else np.zeros(0, dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    return owner[order], (np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint32))[order]


def _code_points(texts: Sequence[str]) -> tuple[UInt32Array, Int64Array, Int64Array]:
    """(code points of all texts, where each text begins, how long it is)."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)
    return points, np.cumsum(lengths) - lengths, lengths


def _mixed(hashes: UInt32Array, symbols: UInt32Array) -> UInt32Array:
    """One step of FNV-1a."""
    return (hashes ^ symbols) * _PRIME
