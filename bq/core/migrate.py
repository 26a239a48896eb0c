"""The schema of a database, brought to the newest by the scripts of `bq.core.migrations`: all of them or none.

One process does it, others wait for it; a kill in the middle leaves the database as it was. A SQLite file is copied
before, beside itself: data/bq.db.before-<schema>.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from bq.core import db, files, hypertables
from bq.core.errors import BQError
from bq.core.log import log

SCRIPTS = Path(__file__).with_name("migrations")
LOCK = 0x62715F6D  # of PostgreSQL, held while a database is migrated


def scripts() -> ScriptDirectory:
    """The migrations in their order."""
    return ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)])


def upgrade(engine: sa.Engine) -> None:
    """Bring a database to the newest schema, in one transaction, and its tables to hypertables where it can have them.

    Raises BQError for a schema that no script is known of: a newer version made it.
    """
    copy = None
    with _alone(engine) as connection:
        if (before := db.revision(connection)) != db.HEAD:  # else another process was here, meanwhile
            known = scripts()
            _refuse_newer(engine, before, known)
            copy = _copy(connection) if sa.inspect(connection).get_table_names() else None
            _run(connection, known)
        hypertables.make(connection)
    if copy:
        log.info("the database was migrated to schema %s; a copy from before is kept at %s", db.HEAD, copy)


def _refuse_newer(engine: sa.Engine, schema: str | None, known: ScriptDirectory) -> None:
    if schema not in {None, *(script.revision for script in known.walk_revisions())}:
        raise BQError(
            f"BQ_DATABASE_URL: the database {engine.url.set(query={}).render_as_string(hide_password=True)} must "
            f"have a schema up to {db.HEAD}, but has {schema}: a newer version made it. Nothing was changed. "
            "Install that version, or set BQ_DATABASE_URL to another database."
        )


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that one process has at a time, kept if nothing is raised; else the engine is of no more use."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection
        return
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # a table that others refer to may be made anew
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python by itself would begin later, and leave DDL out
        yield connection
        connection.commit()
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def _copy(connection: sa.Connection) -> Path | None:
    """Copy a SQLite file beside itself, never over an earlier copy; an equal one is enough. None without a file."""
    if connection.dialect.name != "sqlite":
        return None
    file = connection.exec_driver_sql("PRAGMA database_list").scalars(2).first()
    if not file:
        return None
    source, earlier = Path(file), []
    target = source.with_name(f"{source.name}.before-{db.HEAD}")
    while target.exists():
        earlier.append(target)
        target = source.with_name(f"{source.name}.before-{db.HEAD}-{len(earlier) + 1}")
    files.clean(source.parent)
    with (
        files.replacing(target) as temporary,
        closing(sqlite3.connect(source)) as ours,
        closing(sqlite3.connect(temporary)) as copy,
    ):
        ours.backup(copy)
    target.chmod(source.stat().st_mode)
    same = [path for path in earlier if files.sha256(path) == files.sha256(target)]  # of a try that was killed
    if same:
        target.unlink()
    return same[0] if same else target


def _run(connection: sa.Connection, known: ScriptDirectory) -> None:
    def steps(revision: Any, _: object) -> Any:
        return known._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), known, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
