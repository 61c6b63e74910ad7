"""What each column of a table is: a number, a category, a date …, or nothing that a network can learn from.

Every column that is left out has a reason that a person can read, and can contradict.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import any_of, different
from fallline.data.dates import recognise_dates
from fallline.data.spelling import is_missing, labels_of
from fallline.data.table import Column, Table
from fallline.errors import DataError

USED_KINDS = ("number", "category", "boolean", "date", "text", "pixel")
DROPPED_KINDS = ("identifier", "name", "constant", "empty")

_TRUTH_PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
_ID_NAME = re.compile(
    r"(.*[_\W])?(id|ids|idx|index|uuid|guid|key|rowid|row|rownum|number|nr|no|num|serial)|unnamed: ?\d+",
    re.IGNORECASE,
)
_CAMEL_ID = re.compile(r".*[a-z](Id|ID)")
_COUNTING_NAME = re.compile(
    r"(.*[_\W])?(x|t|age|year|yr|month|week|day|hour|time|date|step|size|count|position)", re.IGNORECASE
)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Told apart by how sure the name is: "y" before "default", which in many tables is one feature among others.
_TARGET_NAMES = tuple(
    word
    for line in (
        "target label class outcome response survived species diagnosis churn churned price saleprice sale_price",
        "median_house_value medv charges cultivar digit progression y income salary quality rating default output",
        "result mpg rings score num type",
    )
    for word in line.split()
)

_FEW_ROWS = 20  # with fewer rows, that all values differ says nothing
_MANY_WORDS = 2.5  # words a cell, from which on distinct strings are texts
_SENTENCE = 5.0  # words a cell, from which on they are sentences; shorter texts are names
_NAMED_ROWS = 1000  # rows from which on names teach more than they mislead: see docs/text-and-dates.md
MAX_CLASSES = 20  # whole numbers counted from 0 or 1 are classes up to so many


@dataclass(frozen=True)
class ColumnInfo:
    """What one column is.

    Attributes:
        name: the column's name.
        kind: number, category, boolean, date, text, pixel (a point of an image); or, left out: identifier, name (short
            texts in few rows), constant, empty.
        missing: how many rows lack a value.
        distinct: how many different values there are.
        reason: why the column is left out, or what was decided about it; may be empty.
        date_format: how the dates of a text column are written.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    reason: str = ""
    date_format: str | None = None

    @property
    def used(self) -> bool:
        """Whether a network is given this column."""
        return self.kind in USED_KINDS


def describe_columns(table: Table, target: str | None = None) -> list[ColumnInfo]:
    """The kind of each column but the target, in order."""
    infos = [_describe(name, values) for name, values in table.columns.items() if name != target]
    if not any(info.used for info in infos):
        infos = [_as_only_input(info, table.column(info.name)) for info in infos]
    return infos


def with_identifiers(infos: list[ColumnInfo], identifiers: list[ColumnInfo]) -> list[ColumnInfo]:
    """What columns are by their training rows, but for those that the rows of the whole table show to be identifiers.

    Of the numbers 1, 2, … a part that is drawn at random does not look like counting.
    """
    known = {info.name: info for info in identifiers}
    found = [known.get(info.name, info) for info in infos]
    return found if any(info.used for info in found) else infos


def guess_target(table: Table) -> tuple[str, str]:
    """The column that is most likely to be predicted, and why: a suggestion, never a decision."""
    if not table.columns:
        raise DataError(f"{table.source} has no column.")
    if table.default_target is not None:
        return table.default_target, f"{table.default_target!r} is the target of this data set"
    lowered = {name.lower().strip(): name for name in reversed(table.names)}
    for wanted in _TARGET_NAMES:
        if wanted == "y" and {"x", "z"} <= lowered.keys():
            continue  # a place in space
        if wanted in lowered and len(table.columns) > 1:
            return lowered[wanted], f"{lowered[wanted]!r} is a usual name for a target"
    useful = [info.name for info in describe_columns(table) if info.used and info.kind != "text"]
    if useful and useful[-1] != table.names[-1]:
        return useful[-1], f"{useful[-1]!r} is the last column that is neither an identifier nor constant nor text"
    return table.names[-1], f"{table.names[-1]!r} is the last column"


def infer_task(values: Column) -> tuple[str, str]:
    """Whether a target asks for "classification" or "regression", and why.

    Text and truth values are classes; so are numbers with two different values, and whole numbers counted from 0 or 1
    without a gap, up to 20 of them. All other numbers are quantities.

    Raises:
        DataError: the target holds dates, or no value.
    """
    labels = labels_of(values) if values.dtype.kind == "O" else set()
    parts = different(values) if values.dtype.kind != "O" else np.empty(0)
    if not labels and not len(parts):
        raise DataError("The target has no value in any row. Choose another target.")
    if values.dtype.kind == "M":
        raise DataError("The target holds dates, which cannot be predicted: choose numbers or classes.")
    if labels:
        return "classification", f"the target is text with {len(labels)} different values"
    if values.dtype.kind == "b":
        return "classification", "the target is true or false"
    if len(parts) == 2:
        return "classification", f"the target has two values, {parts[0]:g} and {parts[1]:g}"
    first = float(parts[0])
    if first in (0.0, 1.0) and 2 < len(parts) <= MAX_CLASSES and np.array_equal(parts, first + np.arange(len(parts))):
        return "classification", f"the target counts from {first:g} to {parts[-1]:g} without a gap"
    return "regression", f"the target is a number with {len(parts)} different values"


def _describe(name: str, values: Column) -> ColumnInfo:
    absent = is_missing(values)
    missing = int(np.count_nonzero(absent))
    labels = labels_of(values) if values.dtype.kind == "O" else set()
    distinct = len(labels) or (0 if values.dtype.kind == "O" else _distinct(values))
    if distinct == 0:
        return ColumnInfo(name, "empty", missing, 0, f"{name!r} is left out: it has no value in any row.")
    if distinct == 1 and missing == 0:
        return ColumnInfo(name, "constant", 0, 1, f"{name!r} is left out: it is {_shown(values[0])} in every row.")
    if labels:
        return _describe_text(name, labels, len(values) - missing, missing)
    if values.dtype.kind == "M":
        return ColumnInfo(name, "date", missing, distinct)
    if values.dtype.kind == "b":
        return ColumnInfo(name, "boolean", missing, distinct)
    if missing == 0 and distinct == len(values) and len(values) >= _FEW_ROWS and (why := _counts_rows(name, values)):
        return ColumnInfo(name, "identifier", 0, distinct, f"{name!r} is left out: {why}.")
    return ColumnInfo(name, "number", missing, distinct)


def _describe_text(name: str, labels: set[str], present: int, missing: int) -> ColumnInfo:
    """Truth words, dates, categories, sentences or names of single rows: `present` cells with so many labels."""
    distinct = len(labels)
    if {label.lower() for label in labels} in _TRUTH_PAIRS:
        return ColumnInfo(name, "boolean", missing, distinct)
    found = recognise_dates(labels)
    if found is not None:
        form, ambiguous = found
        reason = f"{name!r} is read as dates written {form}"
        if ambiguous:
            reason += "; no day is beyond the 12th, so that day and month could be the other way round"
        return ColumnInfo(name, "date", missing, distinct, reason + ".", form)
    words = sum(map(_words, labels)) / len(labels)
    share = distinct / present
    if present >= _FEW_ROWS:
        told = f"{distinct} different values in {present} rows"
        if (words >= _MANY_WORDS and share > 0.5) or (words >= _SENTENCE and share > 0.2):
            told += f", {words:.1f} words each"
            if words < _SENTENCE and present < _NAMED_ROWS:
                why = (
                    f"{name!r} is left out: it holds names or short texts ({told}), and the rows are too few for them."
                )
                return ColumnInfo(name, "name", missing, distinct, why)
            why = f"{name!r} is read as free text ({told}); drop it if it tells nothing."
            return ColumnInfo(name, "text", missing, distinct, why)
        if share > 0.9:
            why = f"{name!r} is left out: it names single rows ({told})."
            return ColumnInfo(name, "identifier", missing, distinct, why)
    return ColumnInfo(name, "category", missing, distinct)


def _words(label: str) -> float:
    """How many words a cell has; where a language puts no blanks between them, two characters count as one."""
    words = len(label.split())
    return words if label.isascii() else max(words, len(_UNSPACED.findall(label)) / 2)


def _counts_rows(name: str, values: Column) -> str:
    """Why a column of distinct numbers is an identifier; empty where it is a quantity."""
    if values.dtype.kind == "f" and any_of(len(values), lambda part: values[part] != np.floor(values[part])):
        return ""
    low, high = int(values.min()), int(values.max())
    run = high - low + 1 == len(values)
    if _is_id_name(name):
        return "it is a whole number that differs in every row, and its name says that it identifies"
    if run and not _COUNTING_NAME.fullmatch(name):
        ascending = _grows_by(values, 1) or _grows_by(values, -1)
        if ascending or low in (0, 1):
            return f"it counts the rows from {low} to {high}"
    return ""


def _grows_by(values: Column, step: int) -> bool:
    """Whether each value is the one before and a step."""
    return not any_of(len(values), lambda part: np.diff(values[part.start : part.stop + 1]) != step)


def _is_id_name(name: str) -> bool:
    return _ID_NAME.fullmatch(name) is not None or _CAMEL_ID.fullmatch(name) is not None


def _as_only_input(info: ColumnInfo, values: Column) -> ColumnInfo:
    """A number that counts the rows, or short texts, are used after all, where there is nothing else to learn from."""
    if info.kind == "identifier" and values.dtype.kind in "iuf":
        reason = f"{info.name!r} counts the rows; it is used because there is no other column to learn from."
        return ColumnInfo(info.name, "number", info.missing, info.distinct, reason)
    if info.kind == "name":
        reason = f"{info.name!r} is read as free text, because there is no other column to learn from."
        return ColumnInfo(info.name, "text", info.missing, info.distinct, reason)
    return info


def _distinct(present: NDArray[Any]) -> int:
    if present.dtype == np.uint8:
        return int(np.count_nonzero(np.bincount(present, minlength=256)))
    return len(different(present))


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)
