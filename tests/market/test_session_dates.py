import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq.market.bars import Rejected
from bq.market.dates import to_sessions

NEW_YORK = "America/New_York"
DAY = dt.date(2020, 1, 31)


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-31",
        "2020/01/31",
        "20200131",
        "31.01.2020",
        "1/31/2020",
        "31/1/2020",
        "2020-01-31 00:00:00",
        "2020-01-31T16:00-05:00",
        "2020-01-31 16:00:00-0500",
        "2020-01-31T21:00:00.000Z",
        "2020-02-01T04:59:59+00:00",
    ],
)
def test_every_way_to_write_a_day_gives_its_session(text):
    assert to_sessions(pl.Series([text]), zone=NEW_YORK).to_list() == [DAY]


@pytest.mark.parametrize(
    "rule, texts",
    [
        ("wrong_dtype", ["2020-01-02", "soon"]),
        ("wrong_dtype", ["2020-01-02", "2020-01-0"]),
        ("wrong_dtype", ["2020-01-02", "2020-01-03 x"]),
        ("wrong_dtype", ["2020-01-02", "13/14/2020"]),
        ("ambiguous_dates", ["1/4/1999", "2/4/1999"]),
        ("naive_time", ["2020-01-02 16:00", "2020-01-03 16:00"]),
        ("mixed_time_zones", ["2020-01-02T16:00-05:00", "2020-01-03T16:00"]),
        ("mixed_time_zones", ["2020-01-02T16:00-05:00", "2020-01-03"]),
        ("mixed_time_zones", ["2020-01-02T16:00-05:00", "2020-01-03T21:00Z"]),
        ("ambiguous_midnight", ["2020-01-02T00:00:00Z", "2020-01-03T00:00:00Z"]),
        ("wrong_dtype", ["2020-01-02T25:00Z"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " | ".join(value),
)
def test_text_that_can_mean_two_things_or_nothing_is_refused(rule, texts):
    with pytest.raises(Rejected) as refusal:
        to_sessions(pl.Series(texts), zone=NEW_YORK)
    assert refusal.value.rule == rule


def test_summer_and_winter_offsets_of_the_exchange_are_one_zone():
    texts = pl.Series(["2020-01-31T16:00:00-05:00", "2020-07-31T16:00:00-04:00"])
    assert to_sessions(texts, zone=NEW_YORK).to_list() == [DAY, dt.date(2020, 7, 31)]


def test_one_day_that_cannot_be_a_month_settles_the_order_of_all():
    days = to_sessions(pl.Series(["1/4/1999", "1/13/1999"]), zone=NEW_YORK)
    assert days.to_list() == [dt.date(1999, 1, 4), dt.date(1999, 1, 13)]


def test_midnight_utc_is_the_same_day_in_tokyo():
    assert to_sessions(pl.Series(["2020-01-31T00:00:00Z"]), zone="Asia/Tokyo").to_list() == [DAY]


def test_naive_midnights_are_plain_dates_and_other_naive_times_are_refused():
    midnight = dt.datetime(2020, 1, 31)
    assert to_sessions(pl.Series([midnight]), zone=NEW_YORK).to_list() == [DAY]
    with pytest.raises(Rejected, match="must carry a time zone"):
        to_sessions(pl.Series([midnight, midnight.replace(hour=16)]), zone=NEW_YORK)


@pytest.mark.parametrize(
    "values", [pl.Series([1.5]), pl.Series([dt.time(16)]), pl.Series([True])], ids=lambda v: str(v.dtype)
)
def test_types_that_are_no_dates_are_refused(values):
    with pytest.raises(Rejected, match="session must hold dates"):
        to_sessions(values, zone=NEW_YORK)


zones = st.sampled_from([NEW_YORK, "Europe/London", "Asia/Tokyo", "UTC"])
instants = st.datetimes(dt.datetime(1985, 1, 2), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))


@given(st.lists(instants, min_size=1), zones)
def test_an_instant_belongs_to_the_date_on_the_wall_of_the_exchange(values, zone):
    values[0] = values[0].replace(hour=12, minute=0, second=0, microsecond=0)  # not all at midnight
    expected = [value.astimezone(ZoneInfo(zone)).date() for value in values]
    assert to_sessions(pl.Series(values), zone=zone).to_list() == expected
    assert to_sessions(pl.Series([value.isoformat() for value in values]), zone=zone).to_list() == expected


@given(st.lists(st.dates(dt.date(1985, 1, 1), dt.date(2030, 1, 1)), min_size=1))
def test_plain_dates_do_not_move_whatever_the_zone(days):
    assert to_sessions(pl.Series(days), zone="Asia/Tokyo").to_list() == days
    assert to_sessions(pl.Series([str(day) for day in days]), zone=NEW_YORK).to_list() == days
