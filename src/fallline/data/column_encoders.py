"""One column → numbers for a network: fitted on training rows, applied to any rows later.

Every encoder has `fit(values, name)`, `encode(values, place, notices)` → float32 (rows, width), `remarks(values,
place)` (what encoding these rows gives notice of), `features` (one name per output column), and `to_json` /
`from_json`. Python floats in JSON keep all their bits.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.data.by_blocks import any_of, blocks, chosen, counted_codes, first_of
from fallline.data.dates import CYCLES, as_moments, date_turns, elapsed_days, recognise_dates
from fallline.data.numbers import as_numbers, infinite, standard, standardised
from fallline.data.objects import Place
from fallline.data.spelling import canonical, distinct, in_order, labels_of
from fallline.data.table import Column
from fallline.ops import exact

Float32Matrix = NDArray[np.float32]  # (rows, width)

ONE_HOT_SLOTS = 16  # categories up to which each has a column of its own; above, they are embedded
RARE_ROWS = 3  # with more than ONE_HOT_SLOTS categories, those on fewer training rows share the slot "other"

YES = frozenset(["true", "yes", "t", "y", "1"])
NO = frozenset(["false", "no", "f", "n", "0"])


@dataclass
class NumberEncoder:
    """z = (x − mean) / deviation over the training rows, clipped to ±10; a missing x gives z = 0.

    Where training rows lacked the value, a second column tells so (1 = missing). Infinite values count as missing.
    """

    kind: ClassVar[str] = "number"
    name: str
    mean: float
    deviation: float  # 0: all training rows had one value, so that nothing can be learnt from it
    indicator: bool

    @classmethod
    def fit(cls, values: Column, name: str, place: Place, notices: list[str]) -> Self:
        numbers = as_numbers(values, name, place, notices)
        present = chosen(len(numbers), np.float64, lambda part: numbers[part][~np.isnan(numbers[part])])
        mean, deviation = standard(present)
        return cls(name, mean, deviation, len(present) < len(numbers))

    @property
    def features(self) -> list[str]:
        return [self.name] * (self.deviation > 0) + [f"{self.name} is missing"] * self.indicator

    def remarks(self, values: Column, place: Place) -> list[str]:
        return infinite(values, self.name, place)

    def encode(self, values: Column, place: Place, notices: list[str]) -> Float32Matrix:
        numbers = as_numbers(values, self.name, place, notices)
        columns = []
        if self.deviation > 0:
            columns.append(standardised(numbers, self.mean, self.deviation))
        if self.indicator:
            columns.append(np.isnan(numbers).astype(np.float32))
        return _side_by_side(columns, len(values))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "mean": self.mean, "deviation": self.deviation, "indicator": self.indicator}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return cls(**saved)


@dataclass
class BooleanEncoder:
    """false → 0, true → 1, missing (or a word that is neither) → ½; with a column telling missing as in numbers."""

    kind: ClassVar[str] = "boolean"
    name: str
    indicator: bool

    @classmethod
    def fit(cls, values: Column, name: str, place: Place, notices: list[str]) -> Self:
        meanings, codes = _truth(values, name, place, notices)
        return cls(name, any_of(len(codes), lambda part: np.isnan(meanings[codes[part]])))

    @property
    def features(self) -> list[str]:
        return [self.name] + [f"{self.name} is missing"] * self.indicator

    def remarks(self, values: Column, place: Place) -> list[str]:
        notices: list[str] = []
        _truth(values, self.name, place, notices)
        return notices

    def encode(self, values: Column, place: Place, notices: list[str]) -> Float32Matrix:
        meanings, codes = _truth(values, self.name, place, notices)
        truth = meanings[codes]
        columns = [np.where(np.isnan(truth), 0.5, truth).astype(np.float32)]
        if self.indicator:
            columns.append(np.isnan(truth).astype(np.float32))
        return _side_by_side(columns, len(values))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "indicator": self.indicator}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return cls(**saved)


@dataclass
class CategoryEncoder:
    """A category → its slot: one-hot up to 16 slots of categories, above that an integer code for an embedding.

    Slots: the kept categories in order, then "missing" if training rows lacked the value, then "other" for those
    on fewer than 3 training rows (only where there are more than 16 categories) and for unknown ones. An embedding
    always has the slot "other"; one-hot has it only if trained, and an unknown category is all zeros without it.
    """

    kind: ClassVar[str] = "category"
    name: str
    labels: list[str]
    missing: bool
    other: bool
    embedded: bool
    _slots: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._slots = {label: slot for slot, label in enumerate(self.labels)}

    @classmethod
    def fit(cls, values: Column, name: str, place: Place, notices: list[str]) -> Self:
        labels, codes = distinct(values)
        missing, counts = counted_codes(codes, len(labels))
        kept, rare = list(labels), []
        if len(labels) > ONE_HOT_SLOTS:
            kept = [label for label, count in zip(labels, counts, strict=True) if count >= RARE_ROWS]
            rare = [label for label, count in zip(labels, counts, strict=True) if count < RARE_ROWS]
        embedded = len(kept) + bool(rare) > ONE_HOT_SLOTS
        return cls(name, in_order(kept), missing > 0, bool(rare) or embedded, embedded)

    @property
    def cardinality(self) -> int:
        """The number of slots, "missing" and "other" included."""
        return len(self.labels) + self.missing + self.other

    @property
    def features(self) -> list[str]:
        if self.embedded:
            return [self.name]
        slots = [f"{self.name}={label}" for label in self.labels] + [f"{self.name} is missing"] * self.missing
        return slots + [f"{self.name} is another"] * self.other

    def codes(self, values: Column, notices: list[str]) -> NDArray[np.int64]:
        """(rows,) slot of each row; −1 where one-hot has none."""
        labels, raw = distinct(values)
        other = self.cardinality - 1 if self.other else -1
        absent = len(self.labels) if self.missing else other
        notices += self._unknown(labels)
        recode = np.asarray([self._slots.get(label, other) for label in labels] + [absent], dtype=np.int64)
        return recode[raw]  # code −1 takes the last entry

    def remarks(self, values: Column, place: Place) -> list[str]:
        return self._unknown(distinct(values)[0])

    def _unknown(self, labels: list[str]) -> list[str]:
        unknown = [label for label in labels if label not in self._slots]
        if not unknown or self.other:
            return []
        shown = ", ".join(repr(label) for label in unknown[:3]) + (", …" if len(unknown) > 3 else "")
        return [f"Column {self.name!r} holds categories that training did not see: {shown}."]

    def encode(self, values: Column, place: Place, notices: list[str]) -> Float32Matrix:
        codes = self.codes(values, notices)
        if self.embedded:
            return np.asarray(codes, dtype=np.float32)[:, None]
        return np.asarray(codes[:, None] == np.arange(self.cardinality), dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "labels": self.labels,
            "missing": self.missing,
            "other": self.other,
            "embedded": self.embedded,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return cls(**saved)


@dataclass
class DateEncoder:
    """A date → the days that have passed, standardised, and its place in each cycle of the calendar.

    A cycle of which the share t has passed gives sin 2πt and cos 2πt, so that 23:59 is near 00:00, and December near
    January: month, day of year, day of month, weekday, time of day. Cycles in which all training rows are at one place
    are left out, and so are the days where they do not vary. A missing date gives 0 in all.
    """

    kind: ClassVar[str] = "date"
    name: str
    format: str | None  # of text cells; None where the training column held moments
    elapsed: NumberEncoder
    cycles: list[str]
    indicator: bool

    @classmethod
    def fit(cls, values: Column, name: str, place: Place, notices: list[str], format: str | None = None) -> Self:
        if format is None and values.dtype.kind == "O":
            found = recognise_dates(labels_of(values))
            format = found[0] if found else "YYYY-MM-DD"
        days = scratch.empty(len(values), np.float64)  # of rows with a date
        known, places = 0, {cycle: set[float]() for cycle in CYCLES}
        for part in blocks(len(values)):
            moments = as_moments(values[part], name, format, shifted(place, part))
            moments = moments[~np.isnat(moments)]
            days[known : known + len(moments)] = elapsed_days(moments)
            known += len(moments)
            for cycle, turns in date_turns(moments).items():
                places[cycle] |= set(np.unique(turns)[:2].tolist())
        mean, deviation = standard(days[:known])
        cycles = [cycle for cycle in CYCLES if len(places[cycle]) > 1]
        return cls(name, format, NumberEncoder(f"{name} elapsed", mean, deviation, False), cycles, known < len(values))

    def remarks(self, values: Column, place: Place) -> list[str]:
        return []

    @property
    def features(self) -> list[str]:
        circles = [f"{self.name} {cycle} {wave}" for cycle in self.cycles for wave in ("sin", "cos")]
        return [*self.elapsed.features, *circles, *[f"{self.name} is missing"] * self.indicator]

    def encode(self, values: Column, place: Place, notices: list[str]) -> Float32Matrix:
        moments = as_moments(values, self.name, self.format, place)
        absent = np.isnat(moments)
        turns = date_turns(moments)
        columns = [*self.elapsed.encode(elapsed_days(moments), place, notices).T]
        for cycle in self.cycles:
            half_turns = np.where(absent, 0.0, 2.0 * turns[cycle])
            for wave in (exact.cos_pi_of(half_turns - 0.5), exact.cos_pi_of(half_turns)):  # sin πx = cos π(x − ½)
                columns.append(np.where(absent, 0.0, wave).astype(np.float32))
        if self.indicator:
            columns.append(absent.astype(np.float32))
        return _side_by_side(columns, len(values))

    def to_json(self) -> dict[str, Any]:
        elapsed = self.elapsed.to_json()
        return {
            "name": self.name,
            "format": self.format,
            "elapsed": elapsed,
            "cycles": self.cycles,
            "indicator": self.indicator,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return cls(**{**saved, "elapsed": NumberEncoder.from_json(saved["elapsed"])})


def _truth(
    values: Column, name: str, place: Place, notices: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(what each different cell means: 1 = true, 0 = false, NaN = missing or neither; each row's place among them)."""
    labels, codes = distinct(values)
    known = [1.0 if word.lower() in YES else 0.0 if word.lower() in NO else np.nan for word in map(canonical, labels)]
    meanings = np.asarray([*known, np.nan])
    odd = np.append(np.isnan(meanings[:-1]), False)
    if odd.any():
        count = sum(int(np.count_nonzero(odd[codes[part]])) for part in blocks(len(codes)))
        first = first_of(len(codes), lambda part: odd[codes[part]]) or 0
        notices.append(
            f"{place(first)}, column {name!r}: {labels[codes[first]]!r} is neither true nor false; "
            f"{count} such cells are taken as missing."
        )
    return meanings, codes


def shifted(place: Place, part: slice) -> Place:
    """Where the rows of a block are."""
    return lambda row: place(row + part.start)


def _side_by_side(columns: list[NDArray[np.float32]], rows: int) -> Float32Matrix:
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype=np.float32)
