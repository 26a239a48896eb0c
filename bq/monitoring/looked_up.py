"""Who decided on a session, with what, what was expected and what came of it: one answer, whatever happened since."""

import datetime as dt
from typing import Any, NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.monitoring import outcomes
from bq.monitoring.records import decisions, scans


class Decision(NamedTuple):
    """A decision, and the newest outcome of its event; what is not known is None."""

    event_id: str
    symbol: str
    tier: int
    model_id: str | None
    track: str | None
    rank: int | None
    weight: float | None
    should_trade: bool
    score: float
    predicted_class: str | None
    expected: float | None
    t1_due: dt.datetime | None
    outcome: float | None
    label: str | None


class ScanOf(NamedTuple):
    """A scan of a session; `counts`: it is the one whose decisions count."""

    scan_id: int
    namespace: str
    decided_utc: dt.datetime
    late: bool | None
    counts: bool
    champion_id: str | None
    second_id: str | None
    data_hash: str | None
    code_digest: str | None
    parameters: dict[str, Any] | None
    decisions: list[Decision]


def on(session: dt.date) -> list[ScanOf]:
    """Every scan of a session with its decisions, best first; by namespace, in the order they were made."""
    names = [name for name in ScanOf._fields if name not in ("counts", "decisions")]
    query = sa.select(*(scans.c[name] for name in names)).where(scans.c.session == session)
    with db.engine().connect() as connection:
        found = connection.execute(query.order_by(scans.c.namespace, scans.c.scan_id)).mappings().all()
        counting: dict[str, int] = {}
        for scan in found:
            if scan["late"] is False:
                counting.setdefault(scan["namespace"], scan["scan_id"])
        return [
            ScanOf(
                **scan,
                counts=counting.get(scan["namespace"]) == scan["scan_id"],
                decisions=_decisions(connection, Namespace.parse(scan["namespace"]), scan["scan_id"]),
            )
            for scan in found
        ]


def _decisions(connection: sa.Connection, namespace: Namespace, scan_id: int) -> list[Decision]:
    own = decisions.c.scan_id == scan_id
    asked = sa.select(decisions.c.event_id).where(own)
    newest = outcomes.newest_revisions(namespace, of=asked)
    columns = {**decisions.c, "outcome": newest.c.outcome, "label": newest.c.label}
    query = sa.select(*(columns[name] for name in Decision._fields)).where(own)
    query = query.outerjoin(newest, decisions.c.event_id == newest.c.event_id)
    rows = connection.execute(query.order_by(decisions.c.rank, decisions.c.score.desc(), decisions.c.event_id)).all()
    return sorted((Decision(*row) for row in rows), key=lambda one: (one.rank is None, one.rank or 0))


def nearest(session: dt.date) -> tuple[dt.date | None, dt.date | None]:
    """The sessions before and after one, on which something was decided."""
    before = sa.select(sa.func.max(scans.c.session)).where(scans.c.session < session)
    after = sa.select(sa.func.min(scans.c.session)).where(scans.c.session > session)
    with db.engine().connect() as connection:
        return connection.execute(before).scalar(), connection.execute(after).scalar()


def counting_parameters(namespace: Namespace, session: dt.date) -> dict[str, Any] | None:
    """The parameters of the scan of a session that counts, or else of its first; None where it has none."""
    own = (scans.c.namespace == str(namespace), scans.c.session == session, scans.c.parameters.is_not(None))
    first = sa.case((scans.c.late.is_(sa.false()), 0), else_=1)
    query = sa.select(scans.c.parameters).where(*own).order_by(first, scans.c.scan_id).limit(1)
    with db.engine().connect() as connection:
        return connection.execute(query).scalar()
