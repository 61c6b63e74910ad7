"""Dates written as text: which format a column has, and its cells as datetime64[us]."""

import datetime
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fallline.data.objects import Place
from fallline.data.spelling import is_missing, spell_value
from fallline.data.table import Column
from fallline.errors import DataError

_DAY = 86_400_000_000  # microseconds
CYCLES = ("month", "day of year", "day of month", "weekday", "time")

_CLOCK = r"(?:[T ](?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.(?P<f>\d{1,9}))?)?(?P<z>Z|[+-]\d{2}:?\d{2})?)?"

# name → pattern with the groups y, m, d; names are what people and saved models see.
FORMATS = {
    "YYYY-MM-DD": re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})" + _CLOCK),
    "YYYY/MM/DD": re.compile(r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})" + _CLOCK),
    "DD/MM/YYYY": re.compile(r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})" + _CLOCK),
    "MM/DD/YYYY": re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})" + _CLOCK),
    "DD.MM.YYYY": re.compile(r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})" + _CLOCK),
    "DD-MM-YYYY": re.compile(r"(?P<d>\d{1,2})-(?P<m>\d{1,2})-(?P<y>\d{4})" + _CLOCK),
    "MM-DD-YYYY": re.compile(r"(?P<m>\d{1,2})-(?P<d>\d{1,2})-(?P<y>\d{4})" + _CLOCK),
    "YYYY-MM": re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})"),
}


def recognise_dates(cells: Iterable[str | None]) -> tuple[str, bool] | None:
    """The first format in which every cell is a date of the calendar, and whether another fits as well.

    Day and month are told apart by the column as a whole: one day beyond the 12th decides. Where none is, the day is
    taken to come first, and the second value returned is True.
    """
    present = {cell for cell in cells if cell is not None}
    if not present:
        return None
    probe = next(iter(present))
    fitting = [
        name
        for name in FORMATS
        if parse_date(probe, name) is not None and all(parse_date(cell, name) is not None for cell in present)
    ]
    return (fitting[0], len(fitting) > 1) if fitting else None


def parse_date(cell: str, name: str) -> datetime.datetime | None:
    """One cell in the named format, in UTC where it has a time zone; None where it is no such date."""
    found = FORMATS[name].fullmatch(cell)
    if found is None:
        return None
    part = {"d": "1", "H": "0", "M": "0", "S": "0", "f": "0", "z": "Z"}
    part.update({key: value for key, value in found.groupdict().items() if value is not None})
    try:
        year, month, day, hour, minute, second = (int(part[key]) for key in ("y", "m", "d", "H", "M", "S"))
        moment = datetime.datetime(year, month, day, hour, minute, second, int((part["f"] + "000000")[:6]))
        if part["z"] != "Z":
            hours, minutes = int(part["z"][1:3]), int(part["z"][-2:])
            offset = datetime.timedelta(hours=hours, minutes=minutes)
            moment = moment - offset if part["z"][0] == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment


def parse_dates(cells: Column, name: str) -> tuple[NDArray[np.datetime64], list[int]]:
    """A text column in the named format: (rows,) datetime64[us], and the rows whose text is no such date (NaT)."""
    known = {cell: None if cell is None else parse_date(str(cell), name) for cell in set(cells)}
    moments = np.asarray([known[cell] for cell in cells], dtype="datetime64[us]")
    bad = [row for row, cell in enumerate(cells) if cell is not None and known[cell] is None]
    return moments, bad


def as_moments(values: Column, name: str, format: str | None, place: Place) -> NDArray[np.datetime64]:
    """A column as datetime64[us], text in the named format.

    Raises:
        DataError: a cell is no such date.
    """
    written = format or "YYYY-MM-DD"
    if values.dtype.kind == "M":
        return values
    if values.dtype.kind != "O" and is_missing(values).all():
        return np.full(len(values), np.datetime64("NaT", "us"))
    if values.dtype.kind != "O":
        raise DataError(f"{place(0)}, column {name!r}: expected a date as in training, found {spell_value(values[0])}.")
    moments, bad = parse_dates(values, written)
    if bad:
        raise DataError(
            f"{place(bad[0])}, column {name!r}: expected a date as in training ({written}), found "
            f"{values[bad[0]]!r}. Correct that cell, or leave it empty."
        )
    return moments


def elapsed_days(moments: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Days since 1970, with their fractions; NaN where the date is missing."""
    absent = np.isnat(moments)
    micro = np.where(absent, 0, moments.astype("datetime64[us]").astype(np.int64))
    return np.where(absent, np.nan, micro / _DAY)


def date_turns(moments: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """How much of each cycle of the calendar has passed, from 0 to below 1; NaN where the date is missing.

    month: of the twelve of a year; day of year: of 366; day of month: of 31; weekday: of seven, from Monday; time: of
    the day, to the microsecond.
    """
    absent = np.isnat(moments)
    fine = moments.astype("datetime64[us]")
    days, months, years = (fine.astype(f"datetime64[{unit}]") for unit in "DMY")
    turns = {
        "month": (months.astype(np.int64) % 12) / 12,
        "day of year": (days - years.astype("datetime64[D]")).astype(np.int64) / 366,
        "day of month": (days - months.astype("datetime64[D]")).astype(np.int64) / 31,
        "weekday": ((days.astype(np.int64) + 3) % 7) / 7,
        "time": (fine.astype(np.int64) % _DAY) / _DAY,
    }
    return {cycle: np.where(absent, np.nan, turn) for cycle, turn in turns.items()}
