"""Trading sessions of an exchange: which days count, and when each of them closes."""

import contextlib
import datetime as dt
import importlib.metadata
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import polars as pl

from bq.core import files
from bq.core.errors import BadParameters, did_you_mean

FIRST_DAY = dt.date(1985, 1, 1)  # sessions are computed from here, or from where the calendar itself begins
YEARS_AHEAD = 2  # to whose end sessions are computed: so always for more than a year
AHEAD_DAYS = 360  # from today that sessions are needed for: more than any horizon
RECENT = 60  # sessions by which the weekdays and the hour of closing are known
HERE = Path(__file__).parent


@lru_cache(maxsize=8)
def _known(calendar: str) -> pl.DataFrame:
    """The sessions that the calendar itself knows: `session`, `open` in the exchange's time zone, `close_utc`.

    They are computed once in a year for an installation, and kept beside the compiled modules: that takes .8 s, a
    quarter of a scan.
    """
    versions = [importlib.metadata.version(name) for name in ("exchange_calendars", "pandas", "polars")]
    reach = dt.date(dt.date.today().year + YEARS_AHEAD, 12, 31)
    folder, name = HERE / "__pycache__", f"sessions-{files.digest(calendar)}"
    kept = folder / f"{name}-{files.digest([files.sha256(Path(__file__)), *versions, str(reach)])}.parquet"
    with contextlib.suppress(OSError, pl.exceptions.PolarsError):  # none yet, or damaged: it is made again
        return files.read_parquet(kept)
    known = _computed(calendar, reach)
    with contextlib.suppress(OSError):  # an installation that cannot be written to computes them each time
        for stale in folder.glob(f"{name}-*"):
            stale.unlink(missing_ok=True)
        files.write_parquet(kept, known)
    return known


def _computed(calendar: str, reach: dt.date) -> pl.DataFrame:
    import exchange_calendars  # late: it costs 0.6 s
    from exchange_calendars.errors import InvalidCalendarName

    try:
        made = _from_its_beginning(calendar, reach)
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
    utc = [
        pl.Series(times.dt.tz_convert(None).to_numpy()).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        for times in (made.opens, made.closes)
    ]
    return pl.DataFrame(
        {
            "session": pl.Series(made.closes.index.to_numpy()).cast(pl.Date),
            "open": utc[0].dt.convert_time_zone(str(made.tz)),
            "close_utc": utc[1],
        }
    )


def _from_its_beginning(calendar: str, reach: dt.date):
    import exchange_calendars

    try:
        return exchange_calendars.get_calendar(calendar, start=FIRST_DAY, end=reach)
    except ValueError:  # most begin earlier and end later; only the others are made twice
        kind = type(exchange_calendars.get_calendar(calendar))
        begins, ends = (bound and bound.date() for bound in (kind.bound_min(), kind.bound_max()))
        first, last = max(begins or FIRST_DAY, FIRST_DAY), min(ends or reach, reach)
        if (first, last) == (FIRST_DAY, reach):
            raise
        return exchange_calendars.get_calendar(calendar, start=first, end=last)


@lru_cache(maxsize=8)
def sessions(calendar: str) -> pl.DataFrame:
    """All sessions of a calendar from 1985 (or its own beginning) to one or two years from now, sorted.

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
    known = _known(calendar).drop("open")
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
    """When each session opens that the calendar itself knows, in UTC."""
    known = _known(calendar)
    return dict(zip(known["session"], known["open"].dt.convert_time_zone("UTC"), strict=True))


def _usual_hours(calendar: str) -> dt.timedelta:
    """For how long a session is open, of the newest that are known mostly."""
    newest = _known(calendar).tail(RECENT)
    return Counter(newest["close_utc"] - newest["open"].dt.convert_time_zone("UTC")).most_common(1)[0][0]


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
    return str(cast(pl.Datetime, _known(calendar).schema["open"]).time_zone)
