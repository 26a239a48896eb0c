"""Records of monitoring: scans with their decisions, outcomes, checks and alerts.

Append-only, so that it can be looked up later which model decided, on what data, and with what outcome. Facts are
columns; sentences are written where they are shown. Null where something is not known.
"""

import datetime as dt
from typing import Any, NamedTuple

import polars as pl
import polars.selectors as cs
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace, Tier

scans = sa.Table(  # one run of the scan, at which decisions were made
    "scans",
    db.metadata,
    sa.Column("scan_id", sa.Integer, primary_key=True),  # ascending in time, whatever the clock says
    sa.Column("namespace", sa.String, nullable=False, index=True),
    sa.Column("session", sa.Date, nullable=False, index=True),
    sa.Column("decided_utc", db.UTC, nullable=False),
    sa.Column("late", sa.Boolean),  # not the first between close and next open: counts nowhere; null: not yet judged
    sa.Column("parameters", sa.JSON(none_as_null=True)),
    sa.Column("data_hash", sa.String),
    sa.Column("code_digest", sa.String),
    sa.Column("champion_id", sa.String),  # deployed at that time, even where it could not predict
    sa.Column("second_id", sa.String),
    sa.Column("champion_fault", sa.String),  # error that kept it from predicting
    sa.Column("second_fault", sa.String),
)

decisions = sa.Table(  # a decision on an event in a scan
    "decisions",
    db.metadata,
    sa.Column("scan_id", sa.Integer, sa.ForeignKey(scans.c.scan_id), primary_key=True),
    sa.Column("event_id", sa.String, primary_key=True, index=True),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("t0", db.UTC),
    sa.Column("t1_due", db.UTC),
    sa.Column("variant", sa.String),
    sa.Column("tier", sa.Integer, nullable=False),  # Tier
    sa.Column("model_id", sa.String),  # null: the rule score
    sa.Column("predicted_class", sa.String),
    sa.Column("probabilities", sa.JSON(none_as_null=True)),  # of every class, in the model's order
    sa.Column("expected", sa.Float),  # in the unit of the strategy's outcome
    sa.Column("confidence", sa.Float),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("weight", sa.Float),
    sa.Column("rank", sa.Integer),  # 1 is best
    sa.Column("should_trade", sa.Boolean, nullable=False),
    sa.Column("in_sample", sa.Boolean),
    sa.Column("outside_support", sa.JSON(none_as_null=True)),  # names of features
    sa.Column("why_not_champion", sa.String),
    sa.Column("why_not_second", sa.String),
    sa.Column("track", sa.String),
    sa.Column("remark", sa.String),  # reason as text, in version 0.1
)

outcomes = sa.Table(  # outcome of an event; a revision adds a row
    "outcomes",
    db.metadata,
    sa.Column("namespace", sa.String, primary_key=True),
    sa.Column("event_id", sa.String, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("t1", db.UTC, nullable=False),
    sa.Column("outcome", sa.Float, nullable=False),
    sa.Column("label", sa.String),  # name of the class
    sa.Column("source", sa.String, nullable=False),  # bars, chain, fills
    sa.Column("data_hash", sa.String, nullable=False),
    sa.Column("recorded_utc", db.UTC, nullable=False),
)

checks = sa.Table(  # one monitoring statistic on one day
    "checks",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("namespace", sa.String, nullable=False, index=True),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("model_id", sa.String),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("blocks", sa.Integer),
    sa.Column("value", sa.Float),
    sa.Column("low", sa.Float),  # of its interval
    sa.Column("high", sa.Float),
    sa.Column("threshold", sa.Float),
    sa.Column("p", sa.Float),
    sa.Column("alarm", sa.Boolean, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)

alerts = sa.Table(  # something that needs a person's attention
    "alerts",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("namespace", sa.String, nullable=False, index=True),
    sa.Column("opened_utc", db.UTC, nullable=False),
    sa.Column("closed_utc", db.UTC),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("statement", sa.String, nullable=False),
    sa.Column("check_ids", sa.JSON, nullable=False),
    sa.Column("acknowledged_utc", db.UTC),
)

NAMES = {"model": "model_id", "class_probabilities": "probabilities", "expected_roi": "expected"}  # of a decision
FAULTS = ("champion_fault", "second_fault")  # of a scan, the same in each of its decisions


class Scan(NamedTuple):
    """Models, parameters, data and code behind the decisions of one scan."""

    namespace: Namespace
    session: dt.date
    decided_utc: dt.datetime
    parameters: dict[str, Any]
    data_hash: str
    code_digest: str
    champion_id: str | None
    second_id: str | None
    late: bool | None = None  # whether it was made outside the time in which it could be traded


class Entered(NamedTuple):
    """A scan as it was recorded. another : whether another one of its session counts."""

    scan_id: int
    late: bool | None
    another: bool


def enter(scan: Scan, made: pl.DataFrame) -> Entered:
    """Record a scan and its decisions. It is late also where another one of its session counts already.

    made : DataFrame with one row per decision: event_id, symbol, session, tier, model, score, should_trade, and further
    columns of `scans` and `decisions` where known.
    """
    known = made.rename(NAMES, strict=False).with_columns(
        model_id=pl.when(pl.col("tier") != Tier.RULE.value).then("model_id")
    )
    finite = known.with_columns(pl.when(cs.float().is_finite()).then(cs.float()).name.keep())
    rows = finite.select(column.name for column in decisions.c if column.name in known.columns).to_dicts()
    faults = {name: made[name].drop_nulls().first() for name in FAULTS if name in made.columns}
    whole = {**scan._asdict(), "namespace": str(scan.namespace), **faults}
    with db.engine().begin() as connection:
        db.alone(connection, f"scans of {scan.namespace}")
        another = counts_already(connection, str(scan.namespace), scan.session)
        if scan.late is False and another:
            whole["late"] = True
        scan_id = connection.execute(scans.insert().values(whole).returning(scans.c.scan_id)).scalar_one()
        connection.execute(decisions.insert(), [{"scan_id": scan_id, **row} for row in rows])
    return Entered(scan_id, whole["late"], another)


def counts_already(connection: sa.Connection, namespace: str, session: dt.date) -> bool:
    """Whether a scan of that session counts."""
    same = (scans.c.namespace == namespace, scans.c.session == session, scans.c.late.is_(sa.false()))
    return connection.execute(sa.select(scans.c.scan_id).where(*same).limit(1)).scalar() is not None


def last_decided() -> dt.datetime | None:
    """When the newest scan, by its number, was made."""
    with db.engine().connect() as connection:
        return connection.execute(sa.select(scans.c.decided_utc).order_by(scans.c.scan_id.desc()).limit(1)).scalar()
