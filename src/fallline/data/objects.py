"""Columns from Python values: cells of JSON lines, dictionaries, and object arrays of data frames."""

import datetime
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from fallline.data.spelling import clean_text, spell_value
from fallline.data.table import Column
from fallline.errors import DataError

Place = Callable[[int], str]  # row (from 0) → where it is, for a message
_INT64 = range(-(2**63), 2**63)


def column_from_values(values: Sequence[Any], name: str, place: Place) -> Column:
    """A column of a table from Python values, of the one type that holds them all.

    Numbers become int64 (all whole, none missing) or float64; truth values bool, or the text "true"/"false" where
    some are missing; dates datetime64[us] (of UTC, where they have a time zone); a mixture becomes text.

    Raises:
        DataError: a value is itself a list, a mapping or the like.
    """
    kinds = {_kind(value) for value in values}
    if "nested" in kinds:
        row = next(i for i, value in enumerate(values) if _kind(value) == "nested")
        raise DataError(
            f"{place(row)}, column {name!r}: expected a number, text, true, false or null, found "
            f"{_shown(values[row])}. Give nested values columns of their own."
        )
    kinds.discard("missing")
    if not kinds:
        return np.full(len(values), np.nan)
    if kinds == {"truth"} and all(_kind(value) == "truth" for value in values):
        return np.asarray([bool(value) for value in values], dtype=bool)
    if kinds == {"number"} or kinds == {"number", "truth"}:
        return _numbers(values)
    if kinds == {"date"}:
        return np.asarray([_moment(value) for value in values], dtype="datetime64[us]")
    return _texts(values)


def clean_texts(values: Sequence[Any]) -> Column:
    """An object array of text without blanks at the ends; None for missing marks."""
    known: dict[Any, str | None] = {value: None if value is None else clean_text(str(value)) for value in set(values)}
    column = np.empty(len(values), dtype=object)
    column[:] = [known[value] for value in values]
    return column


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (bool, np.bool_)):
        return "truth"
    if isinstance(value, (int, float, np.integer, np.floating, Decimal, Fraction)):
        return "missing" if value != value else "number"
    if isinstance(value, (datetime.datetime, datetime.date, np.datetime64)):
        return "missing" if value != value else "date"
    if isinstance(value, (list, tuple, dict, set, frozenset, np.ndarray, bytes, bytearray, complex)):
        return "nested"
    return "missing" if type(value).__name__ in ("NAType", "NaTType") else "text"


def _numbers(values: Sequence[Any]) -> Column:
    plain = [math.nan if _kind(value) == "missing" else value for value in values]
    if all(isinstance(value, (int, np.integer, bool, np.bool_)) and int(value) in _INT64 for value in plain):
        return np.asarray([int(value) for value in plain], dtype=np.int64)
    return np.asarray([_float(value) for value in plain], dtype=np.float64)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 10³⁰⁸
        return math.inf if value > 0 else -math.inf


def _moment(value: Any) -> np.datetime64:
    if _kind(value) == "missing":
        return np.datetime64("NaT", "us")
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    if hasattr(value, "to_datetime64"):  # a pandas Timestamp has nanoseconds
        value = value.to_datetime64()
    return np.datetime64(value, "us")


def _texts(values: Sequence[Any]) -> Column:
    words: list[str | None] = []
    for value in values:
        kind = _kind(value)
        if kind == "missing":
            words.append(None)
        elif kind == "text":
            words.append(str(value))
        else:
            words.append(spell_value(_moment(value) if kind == "date" else value))
    return clean_texts(words)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '…'}"
