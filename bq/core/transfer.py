"""Copy all records of one database into another, so that a team can move from SQLite to PostgreSQL and back.

Rows are copied in the order of their keys, each chunk in a transaction of its own, and what is there already is left:
a copy that was killed goes on where it stopped. Only then both sides are counted and their digests compared.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bq.core import db
from bq.core.errors import BadData
from bq.core.log import progress

CHUNK = 2000  # rows of a transaction
WHOLE = sa.BigInteger, sa.Integer
MADE = "chain_head"  # has its one row from the schema itself: written over once the looks that it is of are the same


class Copied(NamedTuple):
    """One table after the copy: the same rows on both sides. added : rows that this call copied."""

    table: str
    rows: int
    added: int
    digest: str


def tables() -> list[sa.Table]:
    """Every declared table, those that others refer to first."""
    return sorted(db.metadata.sorted_tables, key=lambda table: table.name == MADE)


def copy(source: sa.Engine, target: sa.Engine) -> Iterator[Copied]:
    """Copy table by table, and yield each once it is the same on both sides.

    Both must have the newest schema, and nothing may write to either meanwhile. Raises BadData for a table of the
    source that no code declares, and where the target holds rows that the source has not, or has otherwise.
    """
    _refuse_unknown(source)
    for table in tables():
        added = _fill(table, source, target)
        mine, theirs = _digest(table, source), _digest(table, target)
        if mine != theirs:
            raise BadData(
                f"{table.name}: both sides must hold the same rows, but the source holds {mine[0]:,} and the target "
                f"{theirs[0]:,}{', with other content' if mine[0] == theirs[0] else ''}. Was it used since an earlier "
                "copy, or is it another's? Copy into an empty database."
            )
        yield Copied(table.name, mine[0], added, mine[1])


def _refuse_unknown(source: sa.Engine) -> None:
    known = {table.name for table in tables()} | {"alembic_version"}
    strange = sorted(set(sa.inspect(source).get_table_names()) - known)
    ours = [name for name in strange if not name.startswith(("studies", "study_", "trial", "version_info", "sqlite_"))]
    if ours:
        raise BadData(f"the source must hold tables that this version knows, but holds {', '.join(ours)} too.")


def _fill(table: sa.Table, source: sa.Engine, target: sa.Engine) -> int:
    """Copy the rows that are missing; how many they were."""
    keys = list(table.primary_key.columns)
    insert = postgresql.insert if target.dialect.name == "postgresql" else sqlite.insert
    new = insert(table)
    put = new.on_conflict_do_nothing()  # by whatever key the target has: that of a hypertable holds the time too
    if table.name == MADE:
        others = {column.name: new.excluded[column.name] for column in table.columns if not column.primary_key}
        put = new.on_conflict_do_update(index_elements=keys, set_=others)
    before = _count(table, target)
    chunks = -(-_count(table, source) // CHUNK)
    for rows in progress(_chunks(table, source), total=chunks, description=table.name):
        with target.begin() as connection:
            connection.execute(put, [dict(row) for row in rows])
    with target.begin() as connection:
        if target.dialect.name == "postgresql" and len(keys) == 1 and isinstance(keys[0].type, WHOLE):
            _continue_numbers(table, keys[0], connection)
    return _count(table, target) - before


def _continue_numbers(table: sa.Table, key: sa.Column[Any], connection: sa.Connection) -> None:
    """The next number of a key follows the largest that was copied."""
    sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
    if connection.execute(sa.select(sequence)).scalar() is not None:
        largest = sa.select(sa.func.coalesce(sa.func.max(key), 0) + 1).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sequence, largest, sa.false())))


def _count(table: sa.Table, engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _chunks(table: sa.Table, engine: sa.Engine) -> Iterator[Sequence[sa.RowMapping]]:
    """Every row in the order of its key, a chunk in memory at a time."""
    with engine.connect().execution_options(yield_per=CHUNK) as connection:
        # text is sorted by byte on both sides, whatever the language of the server
        order = [key.collate("C") if _is_text(key, engine) else key for key in table.primary_key.columns]
        yield from connection.execute(sa.select(table).order_by(*order)).mappings().partitions(CHUNK)


def _is_text(key: sa.Column[Any], engine: sa.Engine) -> bool:
    return isinstance(key.type, sa.String) and engine.dialect.name == "postgresql"


def _digest(table: sa.Table, engine: sa.Engine) -> tuple[int, str]:
    """Number of rows, and SHA-256 over their values as Python has them."""
    found, rows = hashlib.sha256(), 0
    names: Sequence[str] = [column.name for column in table.columns]
    for chunk in _chunks(table, engine):
        rows += len(chunk)
        for row in chunk:
            found.update(repr([row[name] for name in names]).encode())
    return rows, found.hexdigest()
