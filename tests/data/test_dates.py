import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.data.dates import FORMATS, date_turns, elapsed_days, parse_date, recognise_dates

STRFTIME = {
    "YYYY-MM-DD": "%Y-%m-%d", "YYYY/MM/DD": "%Y/%m/%d", "DD/MM/YYYY": "%d/%m/%Y", "MM/DD/YYYY": "%m/%d/%Y",
    "DD.MM.YYYY": "%d.%m.%Y", "DD-MM-YYYY": "%d-%m-%Y", "MM-DD-YYYY": "%m-%d-%Y", "YYYY-MM": "%Y-%m",
}  # fmt: skip


def test_every_format_is_checked_here() -> None:
    assert STRFTIME.keys() == FORMATS.keys()


@given(st.datetimes(datetime.datetime(1000, 1, 1), datetime.datetime(9999, 12, 31)), st.sampled_from(list(STRFTIME)))
def test_what_strftime_writes_is_read_back(moment: datetime.datetime, name: str) -> None:
    clock = "" if name == "YYYY-MM" else " %H:%M:%S.%f"
    expected = moment if clock else moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert parse_date(moment.strftime(STRFTIME[name] + clock), name) == expected


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["2020-01-02", None, "2020-12-31"], ("YYYY-MM-DD", False)),
        (["2020-01-02T10:00", "2020-01-02 10:00:01Z"], ("YYYY-MM-DD", False)),
        (["01/02/2020", "13/02/2020"], ("DD/MM/YYYY", False)),
        (["01/02/2020", "02/13/2020"], ("MM/DD/YYYY", False)),
        (["01/02/2020", "02/03/2020"], ("DD/MM/YYYY", True)),
        (["1949-01", "1949-02"], ("YYYY-MM", False)),
        (["2020-02-30", "2020-01-01"], None),
        (["13/13/2020"], None),
        (["12", "2020"], None),
        ([None], None),
    ],
)
def test_the_column_as_a_whole_decides(cells, found) -> None:
    assert recognise_dates(cells) == found


def test_time_zones_are_taken_off() -> None:
    assert parse_date("2020-01-01T00:30:00+02:00", "YYYY-MM-DD") == datetime.datetime(2019, 12, 31, 22, 30)
    assert parse_date("2020-01-01T23:30:00-0200", "YYYY-MM-DD") == datetime.datetime(2020, 1, 2, 1, 30)


@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)))
def test_cycles_are_those_of_the_calendar(moment: datetime.datetime) -> None:
    moments = np.array([moment], dtype="datetime64[us]")
    turns = {cycle: values[0] for cycle, values in date_turns(moments).items()}
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    assert turns == {
        "month": (moment.month - 1) / 12,
        "day of year": (moment.timetuple().tm_yday - 1) / 366,
        "day of month": (moment.day - 1) / 31,
        "weekday": moment.weekday() / 7,
        "time": (moment - midnight) / datetime.timedelta(days=1),
    }
    days = (moment - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
    assert elapsed_days(moments)[0] == pytest.approx(days)


def test_cycles_of_a_missing_date_are_missing() -> None:
    missing = np.array(["NaT"], dtype="datetime64[us]")
    assert np.isnan([*date_turns(missing).values(), elapsed_days(missing)]).all()
