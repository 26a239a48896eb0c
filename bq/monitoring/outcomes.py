"""Which decisions count, and what came of them."""

import datetime as dt
from typing import NamedTuple

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bq.core import db
from bq.core.namespace import Namespace
from bq.core.settings import Market
from bq.monitoring.records import counts_already, decisions, outcomes, scans
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
ROUNDING = 1e-9  # adjusting a whole history for a later dividend moves outcomes by less
OUTCOME = ("t1", "outcome", "label", "source", "revision")  # null while open


def in_time(session: dt.date, decided_utc: dt.datetime, *, calendar: str) -> bool:
    """Whether decisions on a session were made after its close and before the next one opened.

    Where the exchange never closes in between: before the close of the next session. A day that is no session has none.
    """
    from bq.market import calendars  # late: who only reads what was recorded waits for no calendar

    found = calendars.window(calendar, session)
    return found is not None and found.close_utc <= decided_utc < found.until_utc


def first_counting(namespace: Namespace) -> sa.Select:
    """The scan of each session that counts: of those that were in time the first by number."""
    own = (scans.c.namespace == str(namespace), scans.c.late.is_(sa.false()))
    return sa.select(sa.func.min(scans.c.scan_id)).where(*own).group_by(scans.c.session)


def newest_revisions(namespace: Namespace, *, of: sa.Select | None = None) -> sa.Subquery:
    """The newest outcome of each event. of : ids of the events that are asked for; None: all of the namespace."""
    own = outcomes.c.namespace == str(namespace)
    own = own if of is None else own & outcomes.c.event_id.in_(of)
    last = sa.func.max(outcomes.c.revision).label("last")
    newest = sa.select(outcomes.c.event_id, last).where(own).group_by(outcomes.c.event_id).subquery()
    same = (outcomes.c.event_id == newest.c.event_id) & (outcomes.c.revision == newest.c.last)
    return sa.select(outcomes).join(newest, same).where(own).subquery()


def counted(namespace: Namespace, *, through: dt.date | None = None, after: int = 0) -> pl.DataFrame:
    """One row for each decision that counts: of the first scan of its session that was made in time.

    Returns the columns of `COUNTED`, sorted by session, rank and event: the decision, then the newest outcome of its
    event, null while that is open. model_id null: the rule score decided. probabilities : of the model's classes in
    their order. label : name of the outcome's class; null of a regression. Scanning again changes none of it.

    through : what stood at the end of that day, UTC: decisions of sessions up to it, and outcomes of events that were
    due by then; None for all that is known now. after : only of scans with a higher number.
    """
    newest = newest_revisions(namespace)
    columns = {**decisions.c, "decided_utc": scans.c.decided_utc, **{name: newest.c[name] for name in OUTCOME}}
    query = (
        sa.select(*(columns[name] for name in COUNTED))
        .join(scans, decisions.c.scan_id == scans.c.scan_id)
        .outerjoin(newest, decisions.c.event_id == newest.c.event_id)
        .where(decisions.c.scan_id.in_(first_counting(namespace)), decisions.c.scan_id > after)
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


class Entered(NamedTuple):
    """What was recorded of outcomes."""

    new: int  # of events that had none
    revised: int
    whole: bool  # whether nothing else was recorded of them meanwhile by another process


def differs() -> pl.Expr:
    """Whether an outcome built now (columns `…_now`) is not the one recorded, which is null where there is none.

    Rounding is no difference: after a dividend, adjusted prices of the whole history differ in their last digits.
    """
    apart = (pl.col("outcome") - pl.col("outcome_now")).abs() > ROUNDING * pl.max_horizontal(
        1.0, pl.col("outcome").abs()
    )
    moved = (pl.col("t1") != pl.col("t1_now")) | pl.col("label").ne_missing(pl.col("label_now"))
    return pl.col("outcome").is_null() | apart | moved


def enter(namespace: Namespace, found: pl.DataFrame, *, data_hash: str, now: dt.datetime | None = None) -> Entered:
    """Record outcomes in one transaction: of an event that has one as its next revision.

    found : event_id, t1_now, outcome_now, label_now, source, and revision, that of its newest outcome (null: none).
    Where another process recorded that revision meanwhile, its row stays.
    """
    at, columns = now or dt.datetime.now(dt.UTC), ("event_id", "t1_now", "outcome_now", "label_now", "source")
    following = found.select(*columns, revision=pl.col("revision").fill_null(-1) + 1)
    common = {"namespace": str(namespace), "data_hash": data_hash, "recorded_utc": at}
    rows = [{name.removesuffix("_now"): value for name, value in row.items()} | common for row in following.to_dicts()]
    dialect = sqlite if db.engine().dialect.name == "sqlite" else postgresql
    insert = dialect.insert(outcomes).on_conflict_do_nothing().returning(outcomes.c.event_id)
    with db.engine().begin() as connection:
        done = len(connection.execute(insert, rows).all()) if rows else 0
    new = found["revision"].null_count()
    return Entered(new, len(found) - new, whole=done == len(rows))


def settle(namespace: Namespace) -> None:
    """Judge the scans of which an earlier version did not say whether they were late; nothing where it cannot be known.

    By the calendar of their parameters; of a scan without recorded parameters it stays unknown, and it counts nowhere.
    """
    own = (scans.c.namespace == str(namespace), scans.c.late.is_(None), scans.c.parameters.is_not(None))
    query = sa.select(scans.c.scan_id, scans.c.session, scans.c.decided_utc, scans.c.parameters).where(*own)
    with db.engine().connect() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return
    with db.engine().begin() as connection:
        db.alone(connection, f"scans of {namespace}")
        for scan_id, session, decided_utc, parameters in connection.execute(query.order_by(scans.c.scan_id)).all():
            calendar = parameters.get("market", {}).get("calendar") or Market().calendar
            late = not in_time(session, decided_utc, calendar=calendar)
            late = late or counts_already(connection, str(namespace), session)
            connection.execute(scans.update().where(scans.c.scan_id == scan_id).values(late=late))
