"""What scans recorded of a namespace: the events decided on, and the parameters by which each is built."""

import datetime as dt
import json
from typing import Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from bq import runs
from bq.core import db
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.monitoring import outcomes
from bq.monitoring.records import decisions, scans
from bq.runs.record import GOOD, RunRecord
from bq.serving import registry
from bq.strategies.events import UTC

DECIDED = {  # columns of `decided`
    "event_id": pl.String(),
    "scan_id": pl.Int64(),
    "symbol": pl.String(),
    "session": pl.Date(),
    "score": pl.Float64(),
    "t1_due": UTC,
    "t1": UTC,
    "outcome": pl.Float64(),
    "label": pl.String(),
    "revision": pl.Int64(),
}


def namespaces() -> list[Namespace]:
    """Namespaces that decisions were made in."""
    with db.engine().connect() as connection:
        return sorted(map(Namespace.parse, connection.execute(sa.select(scans.c.namespace).distinct()).scalars()))


def decided(namespace: Namespace) -> pl.DataFrame:
    """One row for each event that was decided on, whether or not the decision counts.

    Returns the columns of `DECIDED`: of the first scan that has its parameters and the event, and its newest outcome.
    """
    own = scans.c.namespace == str(namespace)
    known = sa.func.min(sa.case((scans.c.parameters.is_not(None), scans.c.scan_id)))
    which = sa.func.coalesce(known, sa.func.min(scans.c.scan_id)).label("scan_id")
    held = sa.select(decisions.c.event_id, which).join(scans, decisions.c.scan_id == scans.c.scan_id).where(own)
    first = held.group_by(decisions.c.event_id).subquery()
    newest = outcomes.newest_revisions(namespace)
    columns = {**decisions.c, **{name: newest.c[name] for name in ("t1", "outcome", "label", "revision")}}
    same = (decisions.c.scan_id == first.c.scan_id) & (decisions.c.event_id == first.c.event_id)
    query = sa.select(*(columns[name] for name in DECIDED)).join(first, same)
    with db.engine().connect() as connection:
        found = connection.execute(query.outerjoin(newest, decisions.c.event_id == newest.c.event_id)).all()
    rows = pl.DataFrame([tuple(row) for row in found], schema=DECIDED, orient="row")
    return rows.sort("scan_id", "event_id")


class Recorded(NamedTuple):
    """Scans that were made by the same parameters; None where none are known."""

    parameters: dict[str, Any] | None
    scan_ids: list[int]


def parameters(namespace: Namespace) -> list[Recorded]:
    """The parameters of every scan.

    Version 0.1 recorded none: there they are those of the namespace's newest run before the scan, or else of the model
    that was deployed. Whether they are the right ones is seen by the events that they build.
    """
    text = sa.cast(scans.c.parameters, sa.String)
    query = sa.select(scans.c.scan_id, text, scans.c.champion_id, scans.c.decided_utc)
    with db.engine().connect() as connection:
        rows = connection.execute(query.where(scans.c.namespace == str(namespace)).order_by(scans.c.scan_id)).all()
    made = [run.record for run in runs.every(str(namespace))] if any(not row[1] for row in rows) else []
    found: dict[str, Recorded] = {}
    for scan_id, text, champion_id, decided_utc in rows:
        key = text or json.dumps(_of_run(made, decided_utc) or _of_model(namespace, champion_id))
        if key not in found:
            found[key] = Recorded(json.loads(key), [])
        found[key].scan_ids.append(scan_id)
    return list(found.values())


def newest_parameters(namespace: Namespace) -> dict[str, Any] | None:
    """Those of the newest scan that recorded its parameters; None where no scan did."""
    recorded = (scans.c.namespace == str(namespace)) & scans.c.parameters.is_not(None)
    query = sa.select(scans.c.parameters).where(recorded).order_by(scans.c.scan_id.desc()).limit(1)
    with db.engine().connect() as connection:
        return connection.execute(query).scalar_one_or_none()


def _of_model(namespace: Namespace, model_id: str | None) -> dict[str, Any] | None:
    if model_id is None:
        return None
    try:
        return registry.load(registry.folder(namespace, model_id)).card.parameters or None
    except (BQError, OSError):  # removed or damaged since
        return None


def _of_run(records: list[RunRecord], decided_utc: dt.datetime) -> dict[str, Any] | None:
    before = (one for one in records if one.status in GOOD and one.started_utc and one.started_utc <= decided_utc)
    return next((one.parameters for one in before if one.parameters), None)
