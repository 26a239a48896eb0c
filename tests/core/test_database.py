import datetime as dt
import subprocess
import sys

import pytest
import sqlalchemy as sa

from bq.core import db
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.serving import journal

NAMESPACE = Namespace("toy")
ROW = {"kind": "deployed", "model_id": "m", "reason": "r", "at_utc": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(db, "_configure_sqlite", db._configure_sqlite.__wrapped__)
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "a home? 100%#1"))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path / "a home? 100%#1"


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("busy_timeout", 30_000), ("foreign_keys", 1), ("synchronous", 2)]
)
def test_sqlite_is_set_up_to_be_shared_and_durable(home, pragma, value):
    with db.engine().connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    assert (home / "data" / "bq.db").is_file()


def test_one_url_is_one_engine(home):
    assert db.engine() is db.engine()


def test_a_database_in_memory_has_the_schema_too(monkeypatch):
    monkeypatch.setenv("BQ_DATABASE_URL", "sqlite://")
    db._engine.cache_clear()
    journal.enter(NAMESPACE, **ROW)
    assert len(journal.changes()) == 1


def test_rows_are_there_for_the_next_connection(home):
    journal.enter(NAMESPACE, **ROW)
    assert [row["model_id"] for row in journal.changes()] == ["m"]


def test_a_failed_transaction_leaves_nothing(home):
    with pytest.raises(ZeroDivisionError), db.engine().begin() as connection:
        connection.execute(journal.deployments.insert().values(namespace="toy", **ROW))
        raise ZeroDivisionError
    assert journal.changes() == []


HERE = dt.timezone(dt.timedelta(hours=-5))
MOMENT = dt.datetime(2020, 1, 1, 20, 30, 0, 123456, tzinfo=HERE)


def written_and_read(moment: dt.datetime) -> dt.datetime:
    journal.enter(NAMESPACE, **ROW | {"at_utc": moment})
    return journal.changes()[0]["at_utc"]


def check_that_times_are_utc() -> None:
    found = written_and_read(MOMENT)
    assert found == MOMENT and found.tzinfo is dt.UTC and found.hour == 1
    with pytest.raises(sa.exc.StatementError, match="a time in the database must have a time zone"):
        written_and_read(MOMENT.replace(tzinfo=None))
    assert len(journal.changes()) == 1


def test_a_time_comes_back_in_utc_and_one_without_a_zone_is_refused(home):
    check_that_times_are_utc()


def test_a_time_comes_back_in_utc_from_postgresql_in_another_zone(database, home, monkeypatch):
    elsewhere = sa.make_url(database).update_query_dict({"options": "-ctimezone=Asia/Tokyo"})
    monkeypatch.setenv("BQ_DATABASE_URL", elsewhere.render_as_string(hide_password=False))
    check_that_times_are_utc()


def test_alembic_is_imported_only_where_a_migration_is_due(home):
    code = "import sys; from bq.core import db; db.engine(); print('alembic' in sys.modules)"
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert [one.stdout.strip() for one in said] == ["True", "False"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:s3cret@127.0.0.1:1/x",
        "postgresql+psycopg://127.0.0.1:1/x?password=s3cret",
        "nosuch://me:s3cret@127.0.0.1/x",
        "postgresql://me:s3cret@host:notaport/x",
        "s3cret",
        "://s3cret",
    ],
    ids=["unreachable", "password-in-query", "unknown-kind", "port", "no-url", "no-scheme"],
)
def test_a_database_that_cannot_be_used_is_said_so_without_the_password(monkeypatch, url):
    monkeypatch.setenv("BQ_DATABASE_URL", url)
    with pytest.raises(BQError, match="BQ_DATABASE_URL") as caught:
        db.engine()
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said_so(tmp_path, monkeypatch):
    (tmp_path / "bq.db").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("BQ_DATABASE_URL", f"sqlite:///{tmp_path}/bq.db")
    with pytest.raises(BQError, match="must be reachable and writable"):
        db.engine()


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BQ_DATABASE_URL", f"sqlite:///{tmp_path}/file/bq.db")
    with pytest.raises(BQError, match="must be reachable and writable"):
        db.engine()
