"""How a cell is written as text, so that 1, 1.0 and "1" are one category wherever they were read."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import computed, different
from fallline.data.texts import Texts

# Cells that mean "no value", after blanks at both ends are taken off. "None" and "none" are not among
# them: as an answer in a questionnaire, or a kind of masonry, they are a value.
MISSING_MARKS = frozenset(
    ["", "?", "-", "--", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NaT", "null", "NULL", "Null"]
)

# Numbers that a spreadsheet or another program may write in more than one way: 1, 1.0, 1.50; not 007.
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]*)?")
_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}

# Text as a number, as `read_table` takes it: decimal or exponent form, or an infinity.
NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|infinity)", re.IGNORECASE)


def spell_number(value: float) -> str:
    """The shortest text of a number; whole numbers without a point: 1.0 → "1", 0.50 → "0.5"."""
    if value == 0:
        return "0"
    if value.is_integer() and abs(value) < 2.0**53:
        return str(int(value))
    return repr(value)


def canonical(text: str) -> str:
    """Text under which a cell is compared: "1.0" and "1" as "1", "True" as "true", others unchanged."""
    if text in _TRUTH:
        return _TRUTH[text]
    return spell_number(float(text)) if _PLAIN_NUMBER.fullmatch(text) else text


def clean_text(text: str) -> str | None:
    """A cell without blanks at its ends; None where it is a missing mark."""
    stripped = text.strip()
    return None if stripped in MISSING_MARKS else stripped


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """True where a column's cell is missing: NaN, NaT or None."""
    if isinstance(values, Texts):
        return values.missing()
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    if values.dtype.kind == "M":
        return np.asarray(np.isnat(values))
    if values.dtype.kind == "O":
        return np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    return np.zeros(len(values), dtype=bool)


def distinct(values: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """The different cells of a column as canonical text, and each row's index among them.

    Returns:
        labels: each different value once, in order of first appearance for text, ascending for numbers.
        codes: (rows,) index into `labels`; −1 where the cell is missing.
    """
    if isinstance(values, Texts):
        first = values.first_rows()
        order = [place for place in np.argsort(first, kind="stable").tolist() if first[place] < len(values)]
        merged: dict[str, int] = {}
        recode = np.full(len(first) + 1, -1, dtype=np.int64)  # a missing cell, of code −1, takes the last
        for place in order:
            recode[place] = merged.setdefault(canonical(values.words[place]), len(merged))
        return list(merged), computed(len(values), np.int64, lambda part: recode[values.codes[part]])
    if values.dtype.kind == "O":
        seen: dict[str | None, int] = {}
        raw = np.fromiter((seen.setdefault(cell, len(seen)) for cell in values), dtype=np.int64, count=len(values))
        words: list[str | None] = [None if cell is None else canonical(str(cell)) for cell in seen]
    else:
        parts = different(values)
        raw = computed(len(values), np.int64, lambda part: np.searchsorted(parts, values[part]))
        words = [*map(spell_value, parts), None]  # a missing cell is behind all others
    merged = {}
    recode = np.asarray([-1 if word is None else merged.setdefault(word, len(merged)) for word in words], np.int64)
    return list(merged), computed(len(values), np.int64, lambda part: recode[raw[part]])


def labels_of(values: NDArray[Any]) -> set[str]:
    """The different texts of a column, as they are written."""
    if isinstance(values, Texts):
        return {word for word, count in zip(values.words, values.counts().tolist(), strict=True) if count}
    return {cell for cell in values if cell is not None}


def spell_value(value: Any) -> str:
    """A number, truth value or moment of a column as text."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, np.datetime64):
        text = str(value.astype("datetime64[us]"))
        return text.removesuffix(".000000").removesuffix("T00:00:00").replace("T", " ")
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return spell_number(float(value))


def in_order(labels: list[str]) -> list[str]:
    """Labels sorted by value where all are numbers, as text otherwise."""
    if labels and all(NUMBER.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels)
