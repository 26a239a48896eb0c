"""Tables that grow by time as hypertables of TimescaleDB, where a PostgreSQL has that extension; else they stay plain.

A hypertable is cut into chunks by time, and every unique key of it must hold the time. Of the tables that only grow:

- marks have the session in their key as it is.
- decisions get it: a scan has one session, so that (scan, event, session) is unique where (scan, event) is.
- checks get their day: the number of a check is drawn from a sequence.
- executions stay plain. A broker's `exec_id` must be there once whatever the time, or a fill reported twice would count
  twice; and there are thousands of them, not millions.

Nothing is written into a chunk that is compressed: scans, checks and marks are of the newest sessions. What was decided
and traded is never dropped.
"""

from typing import NamedTuple

import sqlalchemy as sa

EXTENSION = "timescaledb"
CHUNK, COMPRESSED = "90 days", "365 days"  # how long a chunk is, and how old when it is compressed


class ByTime(NamedTuple):
    """A table that becomes a hypertable."""

    time: str  # column
    segment: str  # column whose values are kept together where chunks are compressed
    kept: str | None = None  # how long its rows are kept; None: for ever


TABLES = {
    "checks": ByTime("day", "namespace", kept="10 years"),
    "decisions": ByTime("session", "symbol"),
    "marks": ByTime("session", "namespace"),
}


def present(connection: sa.Connection) -> bool:
    """Whether the database has the extension."""
    if connection.dialect.name != "postgresql":
        return False
    found = connection.execute(sa.text("select 1 from pg_extension where extname = :name"), {"name": EXTENSION})
    return found.scalar() is not None


def due(connection: sa.Connection) -> list[str]:
    """The tables that are still plain and need not be."""
    if not present(connection):
        return []
    made = connection.execute(sa.text("select hypertable_name from timescaledb_information.hypertables"))
    return sorted(set(TABLES) - set(made.scalars()))


def make(connection: sa.Connection) -> None:
    """Turn the tables that are due into hypertables, with the rows they have, in the transaction of the connection."""
    tables = due(connection)
    if not tables:
        return
    # the edition under the Apache licence has no compression and no retention
    whole = connection.execute(sa.text("select current_setting('timescaledb.license', true)")).scalar() == "timescale"
    for table in tables:
        key = sa.inspect(connection).get_pk_constraint(table)
        for statement in [*rekeyed(table, key), *cut(table), *(policies(table, key) if whole else [])]:
            connection.execute(sa.text(statement))


def rekeyed(table: str, key: "sa.engine.interfaces.ReflectedPrimaryKeyConstraint") -> list[str]:
    """Put the time into the primary key, where it is not in it."""
    time, columns = TABLES[table].time, key["constrained_columns"]
    if time in columns:
        return []
    named = ", ".join((*columns, time))
    return [f"alter table {table} drop constraint {key['name']}, add primary key ({named})"]


def cut(table: str) -> list[str]:
    """Make the table a hypertable; the indices that it has are enough."""
    return [
        f"select create_hypertable('{table}', '{TABLES[table].time}', chunk_time_interval => interval '{CHUNK}', "
        "create_default_indexes => false, migrate_data => true)"
    ]


def policies(table: str, key: "sa.engine.interfaces.ReflectedPrimaryKeyConstraint") -> list[str]:
    """Compress chunks once they are old, and drop them where the table says so.

    Every column of the key is segmented or ordered by: else compressed chunks could not keep the key unique.
    """
    time, segment, kept = TABLES[table]
    rest = [name for name in key["constrained_columns"] if name not in (time, segment)]
    order = ", ".join((f"{time} desc", *rest))
    found = [
        f"alter table {table} set (timescaledb.compress, timescaledb.compress_segmentby = '{segment}', "
        f"timescaledb.compress_orderby = '{order}')",
        f"select add_compression_policy('{table}', interval '{COMPRESSED}')",
    ]
    return found if kept is None else [*found, f"select add_retention_policy('{table}', interval '{kept}')"]


def told(connection: sa.Connection) -> str | None:
    """Which kind the tables are, for people; None for a database that knows only one."""
    if connection.dialect.name != "postgresql":
        return None
    if not present(connection):
        return f"PostgreSQL, plain tables: the database has no extension {EXTENSION}"
    return f"PostgreSQL, hypertables: {', '.join(TABLES)}"  # `db.engine` made them
