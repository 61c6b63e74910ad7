"""A column of text that is not in memory: the words that occur once each, and a number for each row."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import blocks, counted_codes, first_of_codes, gather

FEW = 1 << 17
"""Up to so many chosen cells are given as an array of objects."""


class Texts:
    """Behaves like an array of `str | None`, (rows,), where columns are looked at.

    A choice of many cells is again such a column, of few an array. Whoever needs what cells are, and not where they
    stand, asks for `counts` and `words`.

    Args:
        codes: (rows,) int32: which word; −1 where the cell is missing.
        words: the words; some may not occur.
    """

    dtype = np.dtype(object)
    ndim = 1

    def __init__(self, codes: NDArray[np.int32], words: Sequence[str]) -> None:
        self.codes, self.words = codes, words

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def shape(self) -> tuple[int]:
        """(rows,)."""
        return (len(self.codes),)

    def __iter__(self) -> Iterator[str | None]:
        for part in blocks(len(self)):
            yield from self._objects(self.codes[part])

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            code = int(self.codes[rows])
            return None if code < 0 else self.words[code]
        chosen = self.codes[rows] if isinstance(rows, slice) else gather(self.codes, np.asarray(rows))
        return self._objects(chosen) if len(chosen) <= FEW else Texts(chosen, self.words)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._objects(self.codes).astype(dtype or object)

    def _objects(self, codes: NDArray[np.int32]) -> NDArray[Any]:
        words = np.array([*self.words, None], dtype=object) if len(codes) > 64 else None
        if words is not None:
            return np.asarray(words[codes])  # code −1 takes the last
        cells = np.empty(len(codes), dtype=object)
        cells[:] = [None if code < 0 else self.words[code] for code in codes.tolist()]
        return cells

    def missing(self) -> NDArray[np.bool_]:
        """(rows,) where the cell is missing."""
        return self.codes < 0

    def counts(self) -> NDArray[np.int64]:
        """How many rows have each word, (words,)."""
        return counted_codes(self.codes, len(self.words))[1]

    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each word, (words,); the number of rows where it does not occur."""
        return first_of_codes(self.codes, len(self.words))
