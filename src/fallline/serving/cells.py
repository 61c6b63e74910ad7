"""One row → the matrix of one row, cell by cell, with the bits of `TableEncoder.transform`.

NumPy takes about a microsecond for each call, however short the array, and an encoder makes a dozen of them. What
cells usually hold is encoded here with Python's own floats, which are the same numbers; anything else goes to the
column's encoder: dates not seen before, texts, unknown categories, infinite values, and whatever is refused.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.column_encoders import NO, YES, BooleanEncoder, CategoryEncoder, DateEncoder, NumberEncoder
from fallline.data.encoders import ColumnEncoder, TableEncoder
from fallline.data.numbers import CLIP
from fallline.data.objects import column_from_values
from fallline.data.pixels import LARGEST, PixelEncoder
from fallline.data.spelling import NUMBER, canonical, clean_text, spell_number
from fallline.data.text_encoder import TextEncoder

SOURCE = "the request"
Cell = Callable[[Any], Sequence[float] | None]
"""A cell's value → the numbers of its column; None where the column's encoder must be asked."""
_EXACT = 2**53  # whole numbers below it are floats without rounding
_DATES = 4096  # how many dates of a column are remembered


def place(row: int) -> str:
    """Where a row (from 0) of a request is, for a message."""
    return f"{SOURCE}, row {row + 1}"


class RowEncoder:
    """A table's encoder for one row at a time.

    Args:
        encoder: of the model.
    """

    def __init__(self, encoder: TableEncoder) -> None:
        self._dtype, self._width = encoder.dtype, len(encoder.feature_names)
        places = encoder.places()
        self._columns = [(each, *_ends(each, places[each.name]), _quick(each)) for each in encoder.encoders]

    def encode(self, row: dict[str, Any], notices: list[str]) -> NDArray[Any]:
        """The matrix of one row, (1, features), as `TableEncoder.transform` gives it.

        Raises:
            DataError: a cell cannot be what its column was in training.
        """
        numbers = [0.0] * self._width
        bags = []
        for encoder, begin, end, bag, quick in self._columns:
            value = row[encoder.name]
            found = quick(value)
            if found is None:
                column = column_from_values([value], encoder.name, place)
                found = encoder.encode(column, place, notices)[0].tolist()
                if bag is not None and isinstance(encoder, TextEncoder):
                    bags.append((encoder, bag, column))
            numbers[begin:end] = found
        matrix = np.array([numbers], dtype=self._dtype)
        for text, bag, column in bags:
            text.fill(matrix[:, bag], column)
        return matrix


def _ends(encoder: ColumnEncoder, places: NDArray[np.int64]) -> tuple[int, int, slice | None]:
    """Where a column's numbers begin and end in a row, and where its bag of n-grams is."""
    width = len(encoder.features)
    begin = int(places[0]) if width else 0
    bag = places[width:]
    return begin, begin + width, slice(int(bag[0]), int(bag[-1]) + 1) if len(bag) else None


def _quick(encoder: ColumnEncoder) -> Cell:
    if isinstance(encoder, NumberEncoder):
        return _number(encoder)
    if isinstance(encoder, BooleanEncoder):
        return _boolean(encoder)
    if isinstance(encoder, CategoryEncoder):
        return _category(encoder)
    if isinstance(encoder, PixelEncoder):
        return _pixel
    return _date(encoder) if isinstance(encoder, DateEncoder) else _ask


def _ask(value: Any) -> None:
    return None


def _number(encoder: NumberEncoder) -> Cell:
    mean, deviation, indicator = float(encoder.mean), float(encoder.deviation), encoder.indicator
    absent = [0.0] * (deviation > 0) + [1.0] * indicator

    def cell(value: Any) -> Sequence[float] | None:
        if type(value) is str:
            cleaned = clean_text(value)
            if cleaned is not None and not NUMBER.fullmatch(cleaned):
                return None
            value = None if cleaned is None else float(cleaned)
        if value is None:
            return absent
        if (type(value) is not float and type(value) is not int) or not -_EXACT < value < _EXACT:
            return None
        if not deviation > 0:
            return [0.0] * indicator
        z = (value - mean) / deviation
        z = CLIP if z > CLIP else -CLIP if z < -CLIP else z
        return (z, 0.0) if indicator else (z,)

    return cell


def _boolean(encoder: BooleanEncoder) -> Cell:
    truths = {value: (value, 0.0) if encoder.indicator else (value,) for value in (0.0, 1.0)}
    absent = (0.5, 1.0) if encoder.indicator else (0.5,)

    def cell(value: Any) -> Sequence[float] | None:
        if type(value) is bool:
            return truths[float(value)]
        if value is None:
            return absent
        cleaned = clean_text(value) if type(value) is str else None
        word = None if cleaned is None else canonical(cleaned).lower()
        return truths[1.0] if word in YES else truths[0.0] if word in NO else None

    return cell


def _category(encoder: CategoryEncoder) -> Cell:
    slots = {label: slot for slot, label in enumerate(encoder.labels)}
    width = len(encoder.features)

    def numbers(slot: int) -> Sequence[float]:
        return (float(slot),) if encoder.embedded else tuple(float(slot == k) for k in range(width))

    known = {label: numbers(slot) for label, slot in slots.items()}

    def cell(value: Any) -> Sequence[float] | None:
        if type(value) is str:
            cleaned = clean_text(value)
            return None if cleaned is None else known.get(canonical(cleaned))
        if type(value) is bool:
            return known.get("true" if value else "false")
        if type(value) is float or (type(value) is int and -_EXACT < value < _EXACT):
            return known.get(spell_number(float(value)))
        return None

    return cell


def _pixel(value: Any) -> Sequence[float] | None:
    return (value,) if type(value) is int and 0 <= value <= LARGEST else None


def _date(encoder: DateEncoder) -> Cell:
    """Dates are often the same: those of the last thousands of requests are remembered."""

    @lru_cache(maxsize=_DATES)
    def known(value: str) -> Sequence[float]:
        found: list[float] = encoder.encode(column_from_values([value], encoder.name, place), place, [])[0].tolist()
        return found

    return lambda value: known(value) if type(value) is str and len(value) <= 64 else None
