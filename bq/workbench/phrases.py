"""Numbers, counts and lists as a sentence has them."""

import datetime as dt
from collections.abc import Sequence

from bq.core.numerals import bounds, significant, with_sign
from bq.runs.schedule import Schedule
from bq.runs.verdict import Figure

NO_EVENTS = "There are no events, so there is nothing to read."
COUNTS = "what counts is the first scan of a session that is made after its close and before the next open."
NO_OUTCOMES = "No event has an outcome yet, so there is nothing to read."


def signed(value: float) -> str:
    """Two decimals, two significant digits below 0.1.

    >>> signed(0.0312), signed(-12.345), signed(-0.4)
    ('+0.031', '-12.35', '-0.40')
    """
    return significant(value, 2, sign=True) if 1e-4 <= abs(value) < 0.1 else with_sign(value, 2)


def counted(n: int, thing: str) -> str:
    """A number with its noun.

    >>> counted(1, "event"), counted(12000, "event")
    ('1 event', '12,000 events')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def most(value: float) -> str:
    """What the best did, by what it made.

    >>> most(0.02), most(-0.025)
    ('earned most', 'lost least')
    """
    return "lost least" if value < 0 else "earned most"


def looked(looks: int, since: dt.datetime | None, own: int = 0) -> str:
    """How many looks at out-of-sample results a ledger holds, the day of the first, and how many a run itself made.

    >>> looked(3, dt.datetime(2026, 11, 29, 8)), looked(0, None)
    ('3 looks at out-of-sample results since 2026-11-29', 'no look yet')
    >>> looked(5, dt.datetime(2026, 11, 29, 8), own=3)
    '5 looks at out-of-sample results since 2026-11-29, 3 of them by this run'
    """
    if not since:
        return "no look yet"
    by = f", {own:,} of them by this run" if own else ""
    return f"{counted(looks, 'look')} at out-of-sample results since {since:%Y-%m-%d}{by}"


def undone(status: str, at_utc: dt.datetime | None) -> str:
    """The status of a run, also where what it deployed was rolled back later.

    >>> undone("deployed", dt.datetime(2026, 11, 29, 8, 5)), undone("kept", None)
    ('deployed then, rolled back 2026-11-29 08:05 UTC', 'kept')
    """
    return f"{status} then, rolled back {at_utc:%Y-%m-%d %H:%M} UTC" if at_utc else status


def listed(names: Sequence[object], *, nothing: str = "none") -> str:
    """Names as a sentence has them.

    >>> listed(["a", "b", "c"]), listed([])
    ('a, b and c', 'none')
    """
    *before, last = map(str, names or [nothing])
    return f"{', '.join(before)} and {last}" if before else last


def interval(low: float | None, high: float | None) -> str:
    """The bounds in brackets, or that there are none.

    >>> interval(-0.1, 0.25), interval(None, None)
    ('[-0.100, +0.250]', '(too few sessions for an interval)')
    """
    return bounds(low, high, missing="(too few sessions for an interval)")


def figure_text(figure: Figure) -> str:
    """The figure that the gate decides by: the candidate's, with its interval, and what it must beat.

    >>> figure_text(Figure(name="net", value=0.475, baseline=0.307, baseline_is="rule score"))
    'net: +0.475 [no interval], rule score +0.307'
    """
    value, baseline = (with_sign(number, missing="no figure") for number in (figure.value, figure.baseline))
    return f"{figure.name}: {value} {bounds(figure.low, figure.high)}, {figure.baseline_is} {baseline}"


def overdue(schedule: Schedule, now: dt.datetime) -> str:
    """That an expected run did not come; empty where none is overdue.

    >>> now = dt.datetime(2026, 11, 29, 8, tzinfo=dt.UTC)
    >>> overdue(Schedule(now - dt.timedelta(days=9), 1), now), overdue(Schedule(None, 7), now)
    ('last run 9 days ago, expected daily', 'no run yet, expected every 7 days')
    """
    if not schedule.overdue(now):
        return ""
    days, expected = schedule.days(now), "daily" if schedule.every_days == 1 else f"every {schedule.every_days} days"
    last = "no run yet" if days is None else f"last run {counted(days, 'day')} ago"
    return f"{last}, expected {expected}"
