"""Checks and alerts: what was measured of the world and of a model on a day, and what a person should know of it."""

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.core.records import Facts, Number, Numbers
from bq.monitoring.records import alerts, checks


class What(StrEnum):
    """Kinds of check; one of each a day and model."""

    INPUT = "input"  # features of decided events against those of the training
    SUPPORT = "support"  # share of events outside the training support
    OUTPUT = "output"  # predicted classes against those out of sample
    LEVEL = "level"  # expected outcomes against those out of sample
    TIER = "tier"  # share of decisions by another tier than the champion
    ERROR_CUSUM = "error_cusum"  # errors of matured decisions, one value a block
    ERROR_EPROCESS = "error_eprocess"  # the same by betting, valid at any time
    PROMISE = "promise"  # realised less predicted outcome, beyond 20 points
    ACCURACY = "accuracy"  # less that of the majority class; this and the next are never an alarm
    LOG_LOSS = "log_loss"  # less that of the class prior
    RANK_IC = "rank_ic"  # less that of the rule score
    UPLIFT = "uplift"  # net outcome of a session less that by the rule score


class Check(Facts):
    """One monitoring statistic on one day. None where something is not known."""

    namespace: str
    day: dt.date  # the newest session that it is of
    what: What
    model_id: str | None  # None: of the rule score
    n: int  # observations
    blocks: int | None = None  # independent ones among them
    value: Number = None
    low: Number = None  # of its interval
    high: Number = None
    threshold: Number = None  # beyond which it is an alarm
    p: Number = None
    alarm: bool = False
    details: Numbers = {}


class Severity(StrEnum):
    """How soon a person should look."""

    WARNING = "warning"
    GRAVE = "grave"


class Alert(Facts):
    """Something that a person should know, open until it is closed."""

    id: int
    namespace: str
    opened_utc: dt.datetime
    closed_utc: dt.datetime | None
    kind: str
    severity: Severity
    statement: str
    check_ids: list[int]
    acknowledged_utc: dt.datetime | None


def enter(made: Sequence[Check]) -> list[int]:
    """Record checks and return their ids; one of the same kind, model and day is brought up to date.

    All or none of them are recorded, by one process at a time.
    """
    with db.engine().begin() as connection:
        db.alone(connection, "checks")
        return [_enter(connection, check) for check in made]


def _enter(connection: sa.Connection, check: Check) -> int:
    values: dict[str, Any] = check.plain() | {"day": check.day}
    key = [checks.c[name] == values[name] for name in ("namespace", "day", "what")]
    same = checks.c.model_id.is_(None) if check.model_id is None else checks.c.model_id == check.model_id
    known = connection.execute(sa.select(checks.c.id).where(*key, same)).scalar()
    if known is None:
        return int(connection.execute(checks.insert().values(values).returning(checks.c.id)).scalar_one())
    connection.execute(checks.update().where(checks.c.id == known).values(values))
    return int(known)


def newest(namespace: Namespace) -> list[Check]:
    """The checks of a namespace's newest day that has any, of every model, in the order in which they were entered."""
    last = sa.select(sa.func.max(checks.c.day)).where(checks.c.namespace == str(namespace)).scalar_subquery()
    return _read(checks.c.namespace == str(namespace), checks.c.day == last)


def history(namespace: Namespace, *, what: What, model_id: str | None) -> list[Check]:
    """All checks of a kind and model, oldest first."""
    same = checks.c.model_id.is_(None) if model_id is None else checks.c.model_id == model_id
    return _read(checks.c.namespace == str(namespace), checks.c.what == what.value, same)


def _read(*of: sa.ColumnElement[bool]) -> list[Check]:
    with db.engine().connect() as connection:
        rows = connection.execute(sa.select(checks).where(*of).order_by(checks.c.day, checks.c.id)).mappings().all()
    known = {kind.value for kind in What}  # a later version may have entered others
    return [Check.model_validate(dict(row)) for row in rows if row["what"] in known]


def open_alert(namespace: Namespace, *, kind: str, severity: Severity, statement: str, check_ids: Sequence[int]) -> int:
    """Open an alert and return its id; one of the kind that is open is brought up to date, its checks kept."""
    values = {"severity": severity.value, "statement": statement}
    with db.engine().begin() as connection:
        db.alone(connection, "alerts")
        standing = connection.execute(sa.select(alerts.c.id, alerts.c.check_ids).where(*_open(namespace, kind))).first()
        if standing is None:
            new: dict[str, Any] = {**values, "namespace": str(namespace), "kind": kind, "check_ids": list(check_ids)}
            new["opened_utc"] = dt.datetime.now(dt.UTC)
            return int(connection.execute(alerts.insert().values(new).returning(alerts.c.id)).scalar_one())
        every = list(dict.fromkeys([*standing.check_ids, *check_ids]))
        connection.execute(alerts.update().where(alerts.c.id == standing.id).values(**values, check_ids=every))
        return int(standing.id)


def close(namespace: Namespace, *, kind: str) -> bool:
    """Close the open alert of a kind; whether there was one."""
    with db.engine().begin() as connection:
        closed = alerts.update().where(*_open(namespace, kind)).values(closed_utc=dt.datetime.now(dt.UTC))
        return connection.execute(closed).rowcount > 0


def opened(namespace: Namespace | None = None) -> list[Alert]:
    """The open alerts of a namespace, or of all, oldest first."""
    query = sa.select(alerts).where(alerts.c.closed_utc.is_(None)).order_by(alerts.c.id)
    if namespace is not None:
        query = query.where(alerts.c.namespace == str(namespace))
    with db.engine().connect() as connection:
        return [Alert.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def _open(namespace: Namespace, kind: str) -> list[sa.ColumnElement[bool]]:
    return [alerts.c.namespace == str(namespace), alerts.c.kind == kind, alerts.c.closed_utc.is_(None)]
