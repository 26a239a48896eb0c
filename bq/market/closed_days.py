"""Where most symbols have bars on days that the calendar says are closed: the calendar is another's. Which one's?"""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from bq.market.sources.files import about

MOST = 0.5  # share of the symbols with bars before and after a day, above which the market was open
COMPARED_YEARS = 3  # the newest, on which calendars are compared; all of them take some seconds
COMPARED_DAYS = 5  # with fewer closed days on which most have bars, the calendar is the right one, and the days are odd


def another_calendar(rows: pl.DataFrame, findings: pl.DataFrame, *, calendar: str) -> pl.DataFrame:
    """A finding `flagged` where most symbols have bars on closed days, and which calendar has the fewest; else none.

    rows : `bars.ROWS`, all that were judged. findings : about them.
    """
    closed = findings.filter(pl.col("rule") == "closed_session")["session"].drop_nulls().unique()
    days = _open_days(rows, closed) if len(closed) else []
    against = sorted(set(days) & set(closed))
    if not against:
        return findings.clear()
    advice = _advice(days, calendar) if len(against) >= COMPARED_DAYS else ""
    detail = (
        f"On {len(against):,} closed {'day' if len(against) == 1 else 'days'} of {calendar} most symbols have bars "
        f"({', '.join(map(str, against[:3]))}{', …' if len(against) > 3 else ''}).{advice}"
    )
    return about("all files", "flagged", "other_calendar", detail)


def _advice(days: list[dt.date], calendar: str) -> str:
    """The calendar that differs least from the days of the bars, where it differs less than theirs."""
    newest = days[-1] - dt.timedelta(days=round(COMPARED_YEARS * 365.25))
    compared = [day for day in days if day >= newest]
    differ = {name: len(known ^ set(compared)) for name, known in _calendars(compared[0], compared[-1])}
    best = min(differ, key=lambda name: (differ[name], name))
    if differ[best] >= differ.get(calendar, len(days)):
        return ""
    return (
        f" Of the calendars known, {best} differs least from the days of these bars (by {differ[best]}): set "
        f"`market.calendar: {best}`."
    )


def _open_days(rows: pl.DataFrame, closed: pl.Series) -> list[dt.date]:
    """Days on which most of the symbols have rows whose histories begin before and end after it, in order."""
    by_symbol = rows.drop_nulls(["symbol", "session"]).group_by("symbol")
    spans = by_symbol.agg(first=pl.col("session").min(), last=pl.col("session").max())
    counts = rows.drop_nulls("session").group_by("session").agg(rows=pl.col("symbol").n_unique()).sort("session")
    days = counts["session"]
    begun = spans["first"].sort().search_sorted(days, side="right").cast(pl.Int64)
    ended = spans["last"].sort().search_sorted(days, side="left").cast(pl.Int64)
    share = counts["rows"] / (begun - ended)
    return days.filter((share > MOST) | ~days.is_in(closed.implode())).to_list()


def _calendars(first: dt.date, last: dt.date) -> Iterable[tuple[str, set[dt.date]]]:
    """Sessions of each exchange between two days; of those alone whose calendar reaches so far."""
    import exchange_calendars  # late: it costs 0.6 s
    from exchange_calendars.errors import CalendarError

    for name in sorted(exchange_calendars.get_calendar_names(include_aliases=False)):
        try:
            whole = exchange_calendars.get_calendar(name, start=first, end=last)
        except (
            CalendarError,
            ValueError,
            NotImplementedError,
        ):  # it does not reach so far; its rules fail under this pandas
            continue
        yield name, set(whole.sessions.date)
