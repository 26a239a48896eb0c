"""Settings of all tests, and a real PostgreSQL for those that ask for one."""

import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import wraps
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from tests.postgresql import Server, administered, created, named

gc.set_threshold(20_000, 20, 20)  # as `python -m bq` does
os.environ.pop("BQ_DATA_ROOT", None)  # no test writes below the URL of whoever runs it
os.environ |= {"BQ_WORKERS": "1", "OMP_NUM_THREADS": "1"}  # the suite's own processes use the cores

# no test asserts how long it takes; every run tries the same examples
EXAMPLES = 100 if os.environ.get("BQ_FULL") == "1" else 40
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=EXAMPLES)
settings.load_profile("suite")


LONG = ("jobs", "faults", "workbench", "serving", "tuning")  # folders with tests that take most of a minute


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first: at the end no process waits for another's last file."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in LONG)
    gc.freeze()  # ten thousand tests and their modules stay: to search them for garbage takes half a second each time


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk(tmp_path_factory) -> Iterator[None]:
    """In the suite's own processes; and a new SQLite file is a copy of a migrated one.

    The processes of the crash tests wait as a user's do; the tests of SQLite's settings use what is wrapped.
    """
    from bq.core import db, migrate

    configure, upgrade, scripts = db._configure_sqlite, migrate.upgrade, migrate.SCRIPTS
    template = tmp_path_factory.mktemp("sqlite") / "migrated.db"

    @wraps(configure)
    def configured(connection: sqlite3.Connection, record: object) -> None:
        configure(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    @wraps(upgrade)
    def copied(engine: sa.Engine) -> None:
        if engine.dialect.name != "sqlite" or scripts != migrate.SCRIPTS or sa.inspect(engine).get_table_names():
            return upgrade(engine)
        if not template.exists():
            upgrade(sa.create_engine(f"sqlite:///{template}"))
        with closing(sqlite3.connect(template)) as source, engine.connect() as connection:
            source.backup(connection.connection.driver_connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(db, "_configure_sqlite", configured)
        patch.setattr(migrate, "upgrade", copied)
        yield


@pytest.fixture(scope="session")
def postgresql() -> str:
    """The URL of a server; the test is skipped where none can be started."""
    from bq.core import db

    started = Server()
    yield started.url
    db.close()
    started.end()


@pytest.fixture
def database(postgresql, monkeypatch, request) -> str:
    """The URL of an empty database in PostgreSQL, which `BQ_DATABASE_URL` names."""
    return created(postgresql, monkeypatch, request)


@pytest.fixture(scope="session")
def migrated(postgresql) -> str:
    """The name of a database with the newest schema, of which others are copied: a second less for each."""
    from bq.core import db

    with pytest.MonkeyPatch.context() as patch, administered(postgresql) as connection:
        connection.execute(sa.text("create database migrated"))
        patch.setenv("BQ_DATABASE_URL", named(postgresql, "migrated"))
        db.engine().dispose()
    db._engine.cache_clear()
    return "migrated"


@pytest.fixture
def tables(postgresql, migrated, monkeypatch, request) -> str:
    """The URL of a database in PostgreSQL with the newest schema and no rows, which `BQ_DATABASE_URL` names."""
    return created(postgresql, monkeypatch, request, template=migrated)
