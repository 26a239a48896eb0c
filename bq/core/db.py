"""The database: what is transactional. SQLite in WAL mode by default, any SQLAlchemy URL by `BQ_DATABASE_URL`."""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError

from bq.core import paths, secrets
from bq.core.errors import BQError
from bq.core.log import log

BUSY_SECONDS = 30  # how long another's lock, or a database that went away, is waited for
metadata = sa.MetaData()

attempts = sa.Table(  # every retrain, whatever came of it
    "attempts",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False, index=True),
    sa.Column("finished_utc", sa.DateTime(timezone=True), nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),  # of data, parameters and code
    sa.Column("decision", sa.String, nullable=False),  # deployed, kept, failed
    sa.Column("model_id", sa.String),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
)

deployments = sa.Table(  # every change of a champion pointer
    "deployments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False, index=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("previous", sa.String),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("at_utc", sa.DateTime(timezone=True), nullable=False),
)

trials = sa.Table(  # every configuration whose result could have been chosen
    "trials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("shelf", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("study", sa.String, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at_utc", sa.DateTime(timezone=True), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("series", sa.LargeBinary, nullable=False),  # Arrow IPC: session, value
    sa.UniqueConstraint("shelf", "kind", "study", "number"),
)

decisions = sa.Table(  # predictions served
    "decisions",
    metadata,
    sa.Column("event_id", sa.String, primary_key=True),
    sa.Column("decided_utc", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("strategy", sa.String, nullable=False, index=True),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("predicted_class", sa.String),
    sa.Column("expected_roi", sa.Float),
    sa.Column("confidence", sa.Float),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("should_trade", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)


def engine() -> sa.Engine:
    """The database of `BQ_DATABASE_URL`, default SQLite at data/bq.db; tables are created where missing.

    Raises BQError, without the password, where it cannot be reached or written.
    """
    given = os.environ.get("BQ_DATABASE_URL")
    try:
        url = sa.make_url(given) if given else sa.URL.create("sqlite", database=str(paths.home() / "data" / "bq.db"))
    except (ArgumentError, ValueError):
        raise BQError(
            "BQ_DATABASE_URL must be a database URL such as sqlite:////home/me/bq.db or "
            "postgresql+psycopg://user:password@host/name, but could not be read as one."
        ) from None
    return _engine(url)


@lru_cache(maxsize=4)
def _engine(url: sa.URL) -> sa.Engine:
    sqlite = url.get_backend_name() == "sqlite"
    try:
        if sqlite and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        made = sa.create_engine(url, pool_pre_ping=True)
        if sqlite:
            sa.event.listen(made, "connect", _configure_sqlite)
        sa.event.listen(made, "before_cursor_execute", _blot, retval=True)
        _create_tables(made)
        sa.event.listen(made, "handle_error", _say)
        if not sqlite:  # from here on; a first connection that fails is a mistake in the URL
            sa.event.listen(made, "do_connect", connect_patiently)
    except (ArgumentError, DBAPIError, ImportError, OSError) as error:
        raise _unusable(url, error.orig if isinstance(error, DBAPIError) else error) from None
    return made


def _blot(*call: Any) -> tuple[str, Any]:
    """What is sent to the database, without secrets."""
    _, _, statement, values, *_ = call
    return statement, secrets.redacted(values)[0]


def _create_tables(engine: sa.Engine) -> None:
    try:
        metadata.create_all(engine)
    except DBAPIError as error:
        if "exist" not in str(error.orig):
            raise
        metadata.create_all(engine)  # another process made the same table since we looked


def _say(context: sa.engine.ExceptionContext) -> None:
    """Turn what the database cannot do (locked, full, damaged, away) into BQError; a mistake in SQL stays one."""
    error = context.sqlalchemy_exception
    foreseen = isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError
    if foreseen and not context.is_pre_ping and context.engine is not None:
        raise _unusable(context.engine.url, context.original_exception) from None


def _unusable(url: sa.URL, reason: object) -> BQError:
    held = f" Another process held it for {BUSY_SECONDS} s: end that one and try again."
    return BQError(
        f"BQ_DATABASE_URL: the database {url.set(query={}).render_as_string(hide_password=True)} must be reachable "
        f"and writable, but: {reason}.{held if 'locked' in str(reason) else ''}"
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
            log.warning("the database cannot be reached: trying again for %.0f s", left)
            time.sleep(pause)
            left, pause = left - pause, pause * 2


def _configure_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
