"""Which sessions are still to be decided on, and how far decisions and outcomes have come."""

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.monitoring.outcomes import first_counting, in_time
from bq.monitoring.records import outcomes, scans
from bq.runs.record import Seen


def sessions(namespace: Namespace, days: Sequence[dt.date], *, calendar: str, now: dt.datetime) -> list[dt.date]:
    """The sessions to be decided on now, ascending: the newest, and those since the last one that was scanned.

    days : sessions with bars, ascending. A session that was scanned is decided on again only where none of its scans
    counts and one made now would: it was scanned before its close. Where nothing was ever scanned it is the newest
    alone.
    """
    counts = sa.func.max(sa.case((scans.c.late.is_(sa.false()), 1), else_=0))
    query = sa.select(scans.c.session, counts).where(scans.c.namespace == str(namespace)).group_by(scans.c.session)
    with db.engine().connect() as connection:
        known = {session: bool(counting) for session, counting in connection.execute(query).all()}
    if not days:
        return []
    newest = days[-1]
    if not known:
        return [newest]
    last = max(known)
    again = newest in known and not known[newest] and in_time(newest, now, calendar=calendar)
    return [day for day in days if day > last] + ([newest] if again else [])


def seen(namespace: Namespace) -> Seen:
    """How far the decisions that count, and the outcomes, have come."""
    newest = sa.select(sa.func.max(first_counting(namespace).subquery().c[0]))
    recorded = sa.select(sa.func.count()).select_from(outcomes).where(outcomes.c.namespace == str(namespace))
    with db.engine().connect() as connection:
        return Seen(
            scan_id=connection.execute(newest).scalar() or 0, outcomes=connection.execute(recorded).scalar() or 0
        )
