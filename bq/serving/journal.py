"""The deployment journal: every change of a champion pointer, never deleted."""

import datetime as dt
from typing import Any, NamedTuple

import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace

deployments = sa.Table(
    "deployments",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),  # ascending in time, whatever the clock says
    sa.Column("namespace", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # registry.Change
    sa.Column("run_id", sa.String),  # that deployed it; null for a change by hand
    sa.Column("model_id", sa.String, nullable=False),  # deployed from now on
    sa.Column("previous", sa.String),  # null: the rule score
    sa.Column("reason", sa.String, nullable=False),  # for people
    sa.Column("at_utc", db.UTC, nullable=False),
)


ROLLED_BACK, RETIRED = "rolled_back", "retired"  # kinds: registry.Change


class RolledBack(NamedTuple):
    """A deployment that was rolled back, and not deployed again since."""

    namespace: str
    model_id: str
    run_id: str | None  # that had deployed it
    at_utc: dt.datetime  # of the rollback


def rolled_back(namespace: Namespace | None = None) -> list[RolledBack]:
    """The deployments that were rolled back and stay so, in the order of their rollbacks; of one namespace if given."""
    made_by: dict[tuple[str, str], str | None] = {}
    found: dict[tuple[str, str], RolledBack] = {}
    for row in reversed(changes(namespace)):
        if row["kind"] == RETIRED:
            continue
        if row["kind"] != ROLLED_BACK:
            key = (row["namespace"], row["model_id"])
            made_by[key] = row["run_id"]
            found.pop(key, None)
        elif row["previous"] is not None:
            key = (row["namespace"], row["previous"])
            found[key] = RolledBack(*key, made_by.get(key), row["at_utc"])
    return list(found.values())


def enter(namespace: Namespace, **row: Any) -> None:
    """Record a change by the columns of its table."""
    with db.engine().begin() as connection:
        connection.execute(deployments.insert().values(namespace=str(namespace), **row))


def changes(namespace: Namespace | None = None, *, run_id: str | None = None) -> list[dict[str, Any]]:
    """Rows, newest first: of all, of one namespace, or of one run."""
    query = sa.select(deployments).order_by(deployments.c.id.desc())
    if namespace is not None:
        query = query.where(deployments.c.namespace == str(namespace))
    if run_id is not None:
        query = query.where(deployments.c.run_id == run_id)
    with db.engine().connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
