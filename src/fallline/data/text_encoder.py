"""Free text → a bag of n-grams for an embedding, and a few numbers about its shape."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fallline.data.numbers import standard, standardised
from fallline.data.objects import Place
from fallline.data.spelling import distinct
from fallline.data.table import Column
from fallline.data.text_grams import Int64Array, grams
from fallline.ops import exact

MOST_GRAMS = 1 << 14  # n-grams of a column that are learnt from: those of the most training rows
LEAST_ROWS = 3  # training rows that an n-gram must be in: a word of one or two rows teaches nothing about others
MOST_SLOTS = 512
LEAST_SLOTS = 32
BAG_BYTES = 1 << 29  # of the training rows' bags, above which rows get fewer slots
COVERED = 0.98  # share of the training rows that keep all their n-grams
_PROBED = 20_000  # training rows by which the slots are chosen
SHAPE = ("characters", "digits", "capitals", "signs")


@dataclass
class TextEncoder:
    """Text → its n-grams, each with a weight, in a fixed number of slots; and numbers about its shape.

    N-grams: see `fallline.data.text_grams`. Known ones are those in at least 3 training rows, at most 16,384 of them.
    The weight of an n-gram that a cell has t times, and that c of n training rows have, is
    (1 + ln t)·(1 + ln((1 + n)/(1 + c))), divided by the root of the sum of the squares of the cell's weights, so that
    long and short texts weigh the same (tf–idf: Salton & Buckley 1988, https://doi.org/10.1016/0306-4573(88)90021-0).
    A cell with more known n-grams than slots keeps those with the largest weights. Empty slots have the weight 0.

    Shape: ln(1 + characters), and the shares of digits, of capital letters and of signs, standardised as numbers are.

    Shapes: `encode` gives (rows, features), the numbers about the shape and whether the text is missing, where training
    rows lacked it; `fill` gives (rows, 2·slots): the numbers of the n-grams (below 16,384, which float32 holds), then
    their weights.
    """

    kind: ClassVar[str] = "text"
    name: str
    hashes: list[int]  # known n-grams, ascending
    counts: list[int]  # training rows that have each
    rows: int  # training rows with text
    slots: int
    shape: dict[str, tuple[float, float]]  # mean and deviation of each number that varies over the training rows
    indicator: bool
    _rarity: NDArray[np.float64] = field(init=False, repr=False, compare=False)  # 1 + ln((1 + n)/(1 + c))
    _sorted: NDArray[np.uint32] = field(init=False, repr=False, compare=False)  # the hashes

    def __post_init__(self) -> None:
        # one logarithm for each count there is, not for each n-gram
        counts, place = np.unique(np.asarray(self.counts, dtype=np.int64), return_inverse=True)
        self._rarity = (1.0 + exact.log((1.0 + self.rows) / (1.0 + counts.astype(np.float64))))[place]
        self._sorted = np.asarray(self.hashes, dtype=np.uint32)

    @classmethod
    def fit(cls, values: Column, name: str, place: Place, notices: list[str]) -> Self:
        cells = _as_text(values)
        present = [cell for cell in cells if cell is not None]
        hashes, counts = _known(present)
        shape = {part: standard(numbers) for part, numbers in _shape(present).items()}
        varying = {part: statistics for part, statistics in shape.items() if statistics[1] > 0}
        encoder = cls(name, hashes.tolist(), counts.tolist(), len(present), 0, varying, len(present) < len(cells))
        encoder.slots = encoder._enough_slots(present)
        return encoder

    @property
    def features(self) -> list[str]:
        return [f"{self.name} {part}" for part in self.shape] + [f"{self.name} is missing"] * self.indicator

    @property
    def bag_features(self) -> list[str]:
        """A name for each column of the bag."""
        slots = range(1, self.slots + 1)
        return [f"{self.name} n-gram {k}" for k in slots] + [f"{self.name} weight {k}" for k in slots]

    def remarks(self, values: Column, place: Place) -> list[str]:
        return []

    def encode(self, values: Column, place: Place, notices: list[str]) -> NDArray[np.float32]:
        cells = _as_text(values)
        absent = np.asarray([cell is None for cell in cells], dtype=bool)
        numbers = _shape([cell or "" for cell in cells]) if self.shape else {}
        columns = [np.where(absent, np.float32(0.0), standardised(numbers[p], *self.shape[p])) for p in self.shape]
        columns += [absent.astype(np.float32)] * self.indicator
        return np.stack(columns, axis=1) if columns else np.zeros((len(cells), 0), dtype=np.float32)

    def fill(self, bags: NDArray[np.float32], values: Column) -> None:
        """Write each row's n-grams to the first half of its columns, and their weights to the second."""
        bags[...] = 0.0
        for rows, numbers, counts in self._entries(_as_text(values)):
            if len(rows):
                self._place(bags, rows, numbers, counts)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "hashes": self.hashes,
            "counts": self.counts,
            "rows": self.rows,
            "slots": self.slots,
            "shape": {part: list(statistics) for part, statistics in self.shape.items()},
            "indicator": self.indicator,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        shape = {part: (float(mean), float(deviation)) for part, (mean, deviation) in saved["shape"].items()}
        return cls(**{**saved, "shape": shape})

    def _entries(self, cells: list[str | None]) -> Iterator[tuple[Int64Array, Int64Array, Int64Array]]:
        """(row, number of a known n-gram, how often) for some rows at a time, by row and number."""
        for rows, hashes, counts in grams(cells if self.hashes else []):
            number = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
            known = self._sorted[number] == hashes
            yield rows[known], number[known], counts[known]

    def _enough_slots(self, present: list[str]) -> int:
        """A multiple of 16 that is enough for 98 % of the training rows, and for their memory."""
        if not self.hashes:
            return 0
        probed: list[str | None] = list(present[:: -(-len(present) // _PROBED)])
        used = np.zeros(len(probed), dtype=np.int64)
        for rows, _, _ in self._entries(probed):
            used += np.bincount(rows, minlength=len(probed))
        wanted = int(np.sort(used)[int(COVERED * (len(used) - 1))])
        affordable = max(LEAST_SLOTS, BAG_BYTES // (8 * len(present)))
        return -(-min(max(wanted, 1), MOST_SLOTS, affordable) // 16) * 16

    def _place(self, bags: NDArray[np.float32], rows: Int64Array, numbers: Int64Array, counts: Int64Array) -> None:
        """Write the n-grams of some rows, and their weights, to their slots."""
        weights = (1.0 + exact.log(counts.astype(np.float64))) * self._rarity[numbers]
        slot = _ranks(rows)
        if slot.max() >= self.slots:
            order = np.lexsort((numbers, -weights, rows))
            kept = np.sort(order[_ranks(rows[order]) < self.slots])
            rows, numbers, weights = rows[kept], numbers[kept], weights[kept]
            slot = _ranks(rows)
        first = int(rows[0])
        squares = np.zeros((int(rows[-1]) - first + 1, self.slots))
        squares[rows - first, slot] = weights * weights
        norms = np.sqrt(exact.tree_sum(squares, axis=1))
        bags[rows, slot] = numbers
        bags[rows, self.slots + slot] = weights / norms[rows - first]


def _known(present: list[str]) -> tuple[NDArray[np.uint32], Int64Array]:
    """The n-grams to learn from, ascending, and how many rows have each."""
    found = [np.unique(hashes, return_counts=True) for _, hashes, _ in grams(present)]
    if not found:
        return np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64)
    hashes, place = np.unique(np.concatenate([part for part, _ in found]), return_inverse=True)
    counts = np.zeros(len(hashes), dtype=np.int64)
    np.add.at(counts, place, np.concatenate([part for _, part in found]))
    often = np.flatnonzero(counts >= LEAST_ROWS)
    most = np.lexsort((hashes[often], -counts[often]))[:MOST_GRAMS]
    kept = np.sort(often[most])
    return hashes[kept], counts[kept]


def _ranks(rows: Int64Array) -> Int64Array:
    """0, 1, 2, … within each run of equal numbers."""
    begins = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]][: len(rows)])
    return np.arange(len(rows)) - np.repeat(begins, np.diff(np.r_[begins, len(rows)]))


def _shape(cells: list[str]) -> dict[str, NDArray[np.float64]]:
    """ln(1 + characters) and shares of digits, capital letters and signs: (rows,) each."""
    counts = np.zeros((len(SHAPE), len(cells)))
    for row, cell in enumerate(cells):
        counts[:, row] = _characters(cell)
    size = np.maximum(counts[0], 1.0)
    return {SHAPE[0]: exact.log(1.0 + counts[0]), **{part: counts[k] / size for k, part in enumerate(SHAPE) if k}}


def _characters(cell: str) -> tuple[int, int, int, int]:
    """How many characters, digits, capital letters and signs (neither letter, digit nor blank) a cell has."""
    signs = len(cell) - sum(map(str.isalnum, cell)) - sum(map(str.isspace, cell))
    return len(cell), sum(map(str.isdigit, cell)), sum(map(str.isupper, cell)), signs


def _as_text(values: Column) -> list[str | None]:
    """The cells of a column as text, None where there is none."""
    if values.dtype.kind == "O":
        return list(values)
    labels, codes = distinct(values)
    return [None if code < 0 else labels[code] for code in codes]
