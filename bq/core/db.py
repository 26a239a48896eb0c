"""The database: what is transactional. SQLite in WAL mode by default, any SQLAlchemy URL by `BQ_DATABASE_URL`."""

import os
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from bq.core import paths
from bq.core.errors import BQError

BUSY_SECONDS = 30
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
    try:
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        made = sa.create_engine(url)
        if url.get_backend_name() == "sqlite":
            sa.event.listen(made, "connect", _configure_sqlite)
        metadata.create_all(made)
    except (ArgumentError, DBAPIError, ImportError, OSError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise BQError(
            f"BQ_DATABASE_URL: the database {url.set(query={}).render_as_string(hide_password=True)} must be reachable "
            f"and writable, but: {reason}."
        ) from None
    return made


def _configure_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
