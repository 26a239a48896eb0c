import datetime as dt

import pytest
import sqlalchemy as sa

from bq.core import db
from bq.core.errors import BQError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "a home? 100%#1"))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path / "a home? 100%#1"


def test_the_default_database_lies_below_the_home_and_has_every_table(home):
    engine = db.engine()
    assert (home / "data" / "bq.db").is_file()
    assert set(sa.inspect(engine).get_table_names()) == set(db.metadata.tables)


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("busy_timeout", 30_000), ("foreign_keys", 1), ("synchronous", 2)]
)
def test_sqlite_is_set_up_to_be_shared_and_durable(home, pragma, value):
    with db.engine().connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_one_url_is_one_engine(home):
    assert db.engine() is db.engine()


def test_rows_are_there_for_the_next_connection(home):
    row = {
        "strategy": "s",
        "model_id": "m",
        "previous": None,
        "reason": "r",
        "at_utc": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    }
    with db.engine().begin() as connection:
        connection.execute(db.deployments.insert().values(row))
    with db.engine().connect() as connection:
        assert connection.execute(sa.select(db.deployments.c.model_id)).scalars().all() == ["m"]


def test_a_failed_transaction_leaves_nothing(home):
    row = {"strategy": "s", "model_id": "m", "reason": "r", "at_utc": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}
    with pytest.raises(ZeroDivisionError), db.engine().begin() as connection:
        connection.execute(db.deployments.insert().values(row))
        raise ZeroDivisionError
    with db.engine().connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(db.deployments)).scalar() == 0


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
