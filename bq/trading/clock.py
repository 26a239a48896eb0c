"""What time it is for trading: given by the caller, never asked of the machine."""

import datetime as dt
from typing import NamedTuple

from bq.market.calendars import Window, sessions, window


class Clock(NamedTuple):
    """A time, the newest session that has closed by then, and the one in which orders are filled next."""

    now: dt.datetime
    session: dt.date
    next_session: dt.date | None
    next_open: dt.datetime | None


def at(now: dt.datetime, *, calendar: str, newest: dt.date) -> Clock:
    """The clock of a time. newest : session up to which there are bars; what came later is not known yet."""
    known = sessions(calendar)
    closed = known.filter((known["close_utc"] <= now) & (known["session"] <= newest))
    session = closed["session"][-1] if len(closed) else newest
    place = known["session"].search_sorted(session)
    following = known["session"][place + 1] if place + 1 < len(known) else None
    opens: Window | None = window(calendar, session)
    return Clock(now, session, following, opens.until_utc if opens else None)
