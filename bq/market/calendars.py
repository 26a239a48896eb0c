"""Trading sessions of an exchange: which days count, and when each of them closes."""

import datetime as dt
from functools import lru_cache

import polars as pl

from bq.core.errors import BadParameters, did_you_mean

FIRST_DAY = dt.date(1985, 1, 1)  # sessions are computed from here, or from where the calendar itself begins


@lru_cache(maxsize=8)
def _calendar(calendar: str):
    import exchange_calendars  # late: it costs 0.6 s
    from exchange_calendars.errors import InvalidCalendarName

    try:
        kind = type(exchange_calendars.get_calendar(calendar))
    except InvalidCalendarName:
        hint = did_you_mean(calendar, exchange_calendars.get_calendar_names())
        raise BadParameters(
            f"`market.calendar` must be a calendar of exchange_calendars, but got {calendar!r}; {hint}"
        ) from None
    earliest = kind.bound_min()
    start = max(FIRST_DAY, earliest.date()) if earliest is not None else FIRST_DAY
    return exchange_calendars.get_calendar(calendar, start=start)


@lru_cache(maxsize=8)
def sessions(calendar: str) -> pl.DataFrame:
    """All sessions of a calendar from 1985 (or its own beginning) to about a year from now, sorted.

    Returns DataFrame of shape (n_sessions, 2): `session` Date in the exchange's own calendar, `close_utc`
    Datetime(us, UTC), half-days honoured. The frame is cached and shared.

    Raises BadParameters for a name that exchange_calendars does not know.

    >>> import datetime as dt
    >>> sessions("XNYS").row(by_predicate=pl.col("session") == dt.date(2019, 11, 29))[1].hour  # a half-day
    18
    """
    closes = _calendar(calendar).closes
    return pl.DataFrame(
        {
            "session": pl.Series(closes.index.to_numpy()).cast(pl.Date),
            "close_utc": pl.Series(closes.dt.tz_convert(None).to_numpy())
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC"),
        }
    )


def longest_span(calendar: str, count: int) -> int:
    """Calendar days from a session to the one `count` later, where closures of the exchange made that longest."""
    days = sessions(calendar)["session"].to_numpy()
    return int((days[count:] - days[: len(days) - count]).max().astype(int))


@lru_cache(maxsize=8)
def periods_per_year(calendar: str) -> int:
    """Sessions of a calendar in a year: what figures a session are annualised by.

    The mean over its history, rounded: 252 for New York, whose mean is a little less.

    >>> periods_per_year("XNYS"), periods_per_year("24/7")
    (252, 365)
    """
    days = sessions(calendar)["session"]
    return round(365.25 * (len(days) - 1) / (days[-1] - days[0]).days)


def time_zone(calendar: str) -> str:
    """IANA name of the exchange's time zone, such as `America/New_York`."""
    return str(_calendar(calendar).tz)
