"""Which decisions count, and what came of them."""

import datetime as dt

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.market import calendars
from bq.monitoring.records import decisions, outcomes, scans
from bq.strategies.events import UTC

COUNTED = {  # columns of `counted`
    "scan_id": pl.Int64(),
    "decided_utc": UTC,
    "event_id": pl.String(),
    "symbol": pl.String(),
    "session": pl.Date(),
    "t0": UTC,
    "t1_due": UTC,
    "variant": pl.String(),
    "tier": pl.Int32(),
    "model_id": pl.String(),
    "track": pl.String(),
    "predicted_class": pl.String(),
    "probabilities": pl.List(pl.Float64()),
    "expected": pl.Float64(),
    "confidence": pl.Float64(),
    "score": pl.Float64(),
    "weight": pl.Float64(),
    "rank": pl.Int64(),
    "should_trade": pl.Boolean(),
    "in_sample": pl.Boolean(),
    "outside_support": pl.List(pl.String()),
    "t1": UTC,
    "outcome": pl.Float64(),
    "label": pl.String(),
    "source": pl.String(),
    "revision": pl.Int64(),
}
OUTCOME = ("t1", "outcome", "label", "source", "revision")  # null while open


def in_time(session: dt.date, decided_utc: dt.datetime, *, calendar: str) -> bool:
    """Whether decisions on a session were made after its close and before the next one opened.

    Where the exchange never closes in between: before the close of the next session. A day that is no session has none.
    """
    found = calendars.window(calendar, session)
    return found is not None and found.close_utc <= decided_utc < found.until_utc


def first_counting(namespace: Namespace) -> sa.Select:
    """The scan of each session that counts: of those that were in time the first by number."""
    own = (scans.c.namespace == str(namespace), scans.c.late.is_(sa.false()))
    return sa.select(sa.func.min(scans.c.scan_id)).where(*own).group_by(scans.c.session)


def newest_revisions(namespace: Namespace) -> sa.Subquery:
    """The newest outcome of each event."""
    own = outcomes.c.namespace == str(namespace)
    last = sa.func.max(outcomes.c.revision).label("last")
    newest = sa.select(outcomes.c.event_id, last).where(own).group_by(outcomes.c.event_id).subquery()
    same = (outcomes.c.event_id == newest.c.event_id) & (outcomes.c.revision == newest.c.last)
    return sa.select(outcomes).join(newest, same).where(own).subquery()


def counted(namespace: Namespace, *, through: dt.date | None = None) -> pl.DataFrame:
    """One row for each decision that counts: of the first scan of its session that was made in time.

    Returns the columns of `COUNTED`, sorted by session, rank and event: the decision, then the newest outcome of its
    event, null while that is open. model_id null: the rule score decided. probabilities : of the model's classes in
    their order. label : name of the outcome's class; null of a regression. Scanning again changes none of it.

    through : what stood at the end of that day, UTC: decisions of sessions up to it, and outcomes of events that were
    due by then; None for all that is known now.
    """
    newest = newest_revisions(namespace)
    columns = {**decisions.c, "decided_utc": scans.c.decided_utc, **{name: newest.c[name] for name in OUTCOME}}
    query = (
        sa.select(*(columns[name] for name in COUNTED))
        .join(scans, decisions.c.scan_id == scans.c.scan_id)
        .outerjoin(newest, decisions.c.event_id == newest.c.event_id)
        .where(decisions.c.scan_id.in_(first_counting(namespace)))
    )
    if through is not None:
        query = query.where(decisions.c.session <= through)
    with db.engine().connect() as connection:
        rows = connection.execute(query).all()
    found = pl.DataFrame([tuple(row) for row in rows], schema=COUNTED, orient="row")
    if through is not None:
        due = pl.col("t1_due").dt.date() <= through
        found = found.with_columns(pl.when(due).then(pl.col(OUTCOME)))
    return found.sort("session", "rank", "event_id", nulls_last=True)
