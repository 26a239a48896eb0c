"""The database: what is transactional. SQLite in WAL mode by default, PostgreSQL by `BQ_DATABASE_URL`.

It has the newest schema whenever it is used: `engine` migrates what is older (`bq.core.migrate`).
"""

import datetime as dt
import json
import math
import os
import sqlite3
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError

from bq.core import hypertables, paths, secrets
from bq.core.errors import BQError
from bq.core.log import log

HEAD = "0007"  # the newest schema of `bq.core.migrations`, known without an import of alembic
BUSY_SECONDS = 30  # how long another's lock, or a database that went away, is waited for
OWN_WORLD = "BQ_OWN_WORLD"  # set where the database is a world's own (`bq.core.world`), which a crash throws away
metadata = sa.MetaData(  # each table is declared beside the code that owns it
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)


class Unusable(BQError):
    """The database cannot be reached, read or written."""


class UTC(sa.TypeDecorator[dt.datetime]):
    """A point of time: with a time zone when it is written, in UTC when it is read, on every database.

    Raises ValueError for a time without a zone.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """What is stored."""
        if value is not None and value.utcoffset() is None:
            raise ValueError(f"a time in the database must have a time zone, but got {value!r}. Use `dt.UTC`.")
        return value and value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """What is read; SQLite keeps no time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def engine() -> sa.Engine:
    """The database of `BQ_DATABASE_URL`, default SQLite at data/bq.db, with the newest schema.

    Raises BQError, without the password, where it cannot be reached or written, or has a schema of a newer version.
    """
    given = os.environ.get("BQ_DATABASE_URL")
    return at(given) if given else _engine(sa.URL.create("sqlite", database=str(paths.home() / "data" / "bq.db")))


def at(given: str, variable: str = "BQ_DATABASE_URL") -> sa.Engine:
    """The database of an address, as `engine`; variable : where it was given."""
    try:
        url = sa.make_url(given)
    except (ArgumentError, ValueError):
        raise BQError(
            f"{variable} must be a database URL such as sqlite:////home/me/bq.db or "
            "postgresql+psycopg://user:password@host/name, but could not be read as one."
        ) from None
    return _engine(url)


@lru_cache(maxsize=4)
def _engine(url: sa.URL) -> sa.Engine:
    sqlite = url.get_backend_name() == "sqlite"
    try:
        if sqlite and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        made = sa.create_engine(url, pool_pre_ping=True, json_serializer=as_json)
        if sqlite:
            sa.event.listen(made, "connect", _configure_sqlite)
        sa.event.listen(made, "before_cursor_execute", _redact, retval=True)
        _migrate(made)
        sa.event.listen(made, "handle_error", _say)
        if not sqlite:  # from here on; a first connection that fails is a mistake in the URL
            sa.event.listen(made, "do_connect", connect_patiently)
    except (ArgumentError, DBAPIError, ImportError, OSError, sqlite3.Error) as error:
        raise _unusable(url, error.orig if isinstance(error, DBAPIError) else error) from None
    return made


def as_json(value: Any) -> str:
    """A JSON column as it is stored: no NaN and no infinity, which PostgreSQL refuses, but null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def alone(connection: sa.Connection, what: str) -> None:
    """Let no other process do `what` until this transaction ends; called before anything is read in it."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python by itself would begin with the first change
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(what))))


def close() -> None:
    """Let go of every database, as where its file is replaced."""
    _engine.cache_clear()


def _redact(*call: Any) -> tuple[str, Any]:
    """What is sent to the database, without secrets."""
    _, _, statement, values, *_ = call
    return statement, secrets.redacted(values)[0]


def _migrate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        if revision(connection) == HEAD and not hypertables.due(connection):
            return
    from bq.core import migrate

    migrate.upgrade(engine)


def revision(connection: sa.Connection) -> str | None:
    """The schema of a database; None for an empty one and for one of version 0.1."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("select version_num from alembic_version")).scalar()


def _say(context: sa.engine.ExceptionContext) -> None:
    """Turn what the database cannot do (locked, full, damaged, away) into BQError; a mistake in SQL stays one."""
    error = context.sqlalchemy_exception
    foreseen = isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError
    if foreseen and not context.is_pre_ping and context.engine is not None:
        raise _unusable(context.engine.url, context.original_exception) from None


def _unusable(url: sa.URL, reason: object) -> Unusable:
    held = f" Another process held it for {BUSY_SECONDS} s: end that one and try again."
    said = " ".join(str(reason).split()).rstrip(".?")  # a server says it in several lines
    return Unusable(
        f"BQ_DATABASE_URL: the database {url.set(query={}).render_as_string(hide_password=True)} must be reachable "
        f"and writable, but: {said}.{held if 'locked' in said else ''}"
    )


def connect_patiently(dialect: sa.Dialect, _: object, arguments: list, named: dict) -> object:
    """Connect; where the server is away try again, each time after twice the pause, for BUSY_SECONDS in all."""
    pause, left = 0.5, float(BUSY_SECONDS)
    while True:
        try:
            return dialect.connect(*arguments, **named)
        except dialect.loaded_dbapi.OperationalError:
            if left <= 0:
                raise
            log.warning("the database cannot be reached; it is tried again for up to %.0f s", left)
            time.sleep(pause)
            left, pause = left - pause, pause * 2


def _configure_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    to_disk = "NORMAL" if os.environ.get(OWN_WORLD) else "FULL"  # each commit, or what was gathered of them
    for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=ON", f"synchronous={to_disk}"):
        cursor.execute(f"PRAGMA {pragma}")
    _write_ahead(cursor)
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Set WAL mode. Where two processes do so to a new file at once, SQLite refuses one instead of letting it wait."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
