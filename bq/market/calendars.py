"""Trading sessions of an exchange: which days count, and when each of them closes."""

import datetime as dt
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadParameters, did_you_mean

FIRST_DAY = dt.date(1985, 1, 1)  # sessions are computed from here, or from where the calendar itself begins
AHEAD_DAYS = 360  # from today that sessions are needed for: more than any horizon
RECENT = 60  # sessions by which the weekdays and the hour of closing are known


@lru_cache(maxsize=8)
def _calendar(calendar: str):
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        return _from_its_beginning(calendar)
    except InvalidCalendarName:
        hint = did_you_mean(calendar, exchange_calendars.get_calendar_names())
        raise BadParameters(
            f"`market.calendar` must be a calendar of exchange_calendars, but got {calendar!r}; {hint}"
        ) from None
    except (NotImplementedError, ValueError) as error:  # what pandas raises for holidays it cannot compute
        raise BadParameters(
            "`market.calendar` must be a calendar that exchange_calendars can compute with the pandas installed here, "
            f"but {calendar!r} it cannot ({str(error)[:60]}…). Set that of a market that is open on nearly the same "
            "days; bars of the days on which it is closed are set aside and counted."
        ) from None


def _from_its_beginning(calendar: str):
    import exchange_calendars  # late: it costs 0.6 s

    try:
        return exchange_calendars.get_calendar(calendar, start=FIRST_DAY)
    except ValueError:  # most begin earlier; only the others are made twice
        begins = type(exchange_calendars.get_calendar(calendar)).bound_min()
        if begins is None or begins.date() <= FIRST_DAY:
            raise
        return exchange_calendars.get_calendar(calendar, start=begins)


@lru_cache(maxsize=8)
def _known(calendar: str) -> pl.DataFrame:
    """The sessions that the calendar itself knows, columns as of `sessions`."""
    closes = _calendar(calendar).closes
    return pl.DataFrame(
        {
            "session": pl.Series(closes.index.to_numpy()).cast(pl.Date),
            "close_utc": pl.Series(closes.dt.tz_convert(None).to_numpy())
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC"),
        }
    )


@lru_cache(maxsize=8)
def sessions(calendar: str) -> pl.DataFrame:
    """All sessions of a calendar from 1985 (or its own beginning) to about a year from now, sorted.

    Holidays of some exchanges are known to the end of this year only. From there on every weekday on which the exchange
    usually opens stands in, so that what is decided near that end has a due date; where the exchange turns out to be
    closed, an outcome is known a session later than this says.

    Returns DataFrame of shape (n_sessions, 2): `session` Date in the exchange's own calendar, `close_utc`
    Datetime(us, UTC), half-days honoured. The frame is cached and shared.

    Raises BadParameters for a name that exchange_calendars does not know, or cannot compute.

    >>> import datetime as dt
    >>> sessions("XNYS").row(by_predicate=pl.col("session") == dt.date(2019, 11, 29))[1].hour  # a half-day
    18
    """
    known = _known(calendar)
    end, wanted = known["session"][-1], dt.date.today() + dt.timedelta(days=AHEAD_DAYS)
    if end >= wanted:
        return known
    zone, recent = time_zone(calendar), known.tail(RECENT)
    weekdays = recent["session"].dt.weekday().unique().implode()
    clock = recent["close_utc"].dt.convert_time_zone(zone).dt.time().mode().max()
    days = pl.date_range(end + dt.timedelta(days=1), wanted, eager=True).alias("session")
    close = pl.col("session").dt.combine(pl.lit(clock)).dt.replace_time_zone(zone).dt.convert_time_zone("UTC")
    later = days.to_frame().filter(pl.col("session").dt.weekday().is_in(weekdays)).with_columns(close_utc=close)
    return pl.concat([known, later])


class Window(NamedTuple):
    """When a decision on a session can be made in time: from its close to before `until`."""

    close_utc: dt.datetime
    until_utc: dt.datetime


def window(calendar: str, session: dt.date) -> Window | None:
    """From the close of a session to the open of the next one; None for a day that is no session.

    Where the market never closes between the two, to the close of the next one: else there would be no time to decide.

    >>> import datetime as dt
    >>> friday = window("XNYS", dt.date(2019, 11, 29))  # a half-day; the window lasts over the weekend
    >>> friday.close_utc.isoformat(), friday.until_utc.isoformat()
    ('2019-11-29T18:00:00+00:00', '2019-12-02T14:30:00+00:00')
    """
    known = sessions(calendar)
    place = known["session"].search_sorted(session)
    if place + 1 >= len(known) or known["session"][place] != session:
        return None
    close, following = known["close_utc"][place], known.row(place + 1, named=True)
    opens = _opens(calendar).get(following["session"]) or following["close_utc"] - _usual_hours(calendar)
    return Window(close, opens if opens > close else following["close_utc"])


@lru_cache(maxsize=8)
def _opens(calendar: str) -> dict[dt.date, dt.datetime]:
    """When each session opens that the calendar itself knows."""
    opens = _calendar(calendar).opens
    days = pl.Series(opens.index.to_numpy()).cast(pl.Date)
    times = pl.Series(opens.dt.tz_convert(None).to_numpy()).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return dict(zip(days, times, strict=True))


def _usual_hours(calendar: str) -> dt.timedelta:
    """For how long a session is open, of the newest that are known mostly."""
    opens = _opens(calendar)
    hours = Counter(close - opens[day] for day, close in _known(calendar).tail(RECENT).rows())
    return hours.most_common(1)[0][0]


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
    days = _known(calendar)["session"]
    return round(365.25 * (len(days) - 1) / (days[-1] - days[0]).days)


def time_zone(calendar: str) -> str:
    """IANA name of the exchange's time zone, such as `America/New_York`."""
    return str(_calendar(calendar).tz)
