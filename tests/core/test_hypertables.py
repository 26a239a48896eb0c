"""Tables that grow by time: hypertables where PostgreSQL has TimescaleDB, else plain ones with the same rows."""

import datetime as dt
import os
import re

import pytest
import sqlalchemy as sa

from bq.core import db, hypertables, transfer
from bq.core.hypertables import TABLES
from bq.core.namespace import Namespace
from bq.jobs import housekeeping, migrate, request
from bq.monitoring import checks, outcomes, records
from bq.monitoring.checks import Check
from bq.trading import ledger as trades  # noqa: F401  and these
from tests.season import record, season

NAMESPACE = Namespace("butterfly")
MODEL = "b1f09c22b1f09c22"
CHECK = Check(namespace="butterfly", day=dt.date(2024, 5, 6), what="input", model_id=None, n=40, alarm=False, value=0.1)
tables = pytest.mark.parametrize("name", TABLES)


def key_of(name: str) -> dict:
    """The primary key as PostgreSQL names it."""
    return {
        "name": f"{name}_pkey",
        "constrained_columns": [column.name for column in db.metadata.tables[name].primary_key],
    }


@tables
def test_every_unique_key_of_a_hypertable_holds_the_time(name):
    table, time = db.metadata.tables[name], TABLES[name].time
    (statement,) = hypertables.rekeyed(name, key_of(name)) or [
        f"add primary key ({', '.join(key_of(name)['constrained_columns'])})"
    ]
    key = re.search(r"add primary key \((.*)\)", statement)[1].split(", ")
    assert time in key and set(key) <= set(table.columns.keys())
    assert set(key) - {time} == set(key_of(name)["constrained_columns"]) - {time}, "nothing else is put in or left out"
    assert not table.c[time].nullable
    unique = [one for one in table.constraints if isinstance(one, sa.UniqueConstraint)]
    assert not unique and not any(index.unique for index in table.indexes)


@tables
def test_no_other_table_refers_to_a_hypertable(name):
    """TimescaleDB refuses such foreign keys before 2.16."""
    assert all(key.column.table.name != name for table in db.metadata.tables.values() for key in table.foreign_keys)


@tables
def test_what_is_compressed_keeps_its_key(name):
    """A column of a unique key that is neither segmented nor ordered by is refused."""
    first, policy, *kept = hypertables.policies(name, key_of(name))
    segment = re.search(r"compress_segmentby = '(.*?)'", first)[1]
    order = [part.split()[0] for part in re.search(r"compress_orderby = '(.*?)'", first)[1].split(", ")]
    assert {*key_of(name)["constrained_columns"], TABLES[name].time} <= {segment, *order}
    assert segment not in order and order[0] == TABLES[name].time
    assert policy == f"select add_compression_policy('{name}', interval '365 days')"
    assert kept == (["select add_retention_policy('checks', interval '10 years')"] if name == "checks" else [])


def test_an_execution_is_there_once_whatever_its_time():
    assert "executions" not in TABLES and key_of("executions")["constrained_columns"] == ["exec_id"]


def entered() -> tuple[int, int]:
    """Decisions and checks as a season leaves them, the check entered twice."""
    record(season(12), MODEL, NAMESPACE)
    assert checks.enter([CHECK]) == checks.enter([CHECK]), "the same day: brought up to date"
    with db.engine().connect() as connection:
        return tuple(
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (records.decisions, records.checks)
        )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    return tmp_path


def shown(capsys, monkeypatch) -> str:
    monkeypatch.setenv("STRATEGY", "butterfly")
    housekeeping.verify(request.read())
    return capsys.readouterr().out


def test_without_the_extension_the_tables_are_plain_and_verify_says_so(home, database, capsys, monkeypatch):
    assert entered() == (96, 1)
    said = "database    PostgreSQL, plain tables: the database has no extension timescaledb"
    assert said in shown(capsys, monkeypatch)


STAND_IN = """
create schema timescaledb_information;
create table timescaledb_information.hypertables (hypertable_name text);
create function create_hypertable(
    name text, at text, chunk_time_interval interval, create_default_indexes boolean, migrate_data boolean
) returns void language sql as 'insert into timescaledb_information.hypertables values (name)';
"""


def test_a_database_gets_its_hypertables_once_the_extension_is_there(home, database, capsys, monkeypatch):
    """Functions of its names stand in for the extension, of the edition without compression; keys are PostgreSQL's."""
    assert entered() == (96, 1)
    before = outcomes.counted(NAMESPACE)
    with db.engine().begin() as connection:
        connection.execute(sa.text(STAND_IN))
    monkeypatch.setattr(hypertables, "present", lambda connection: connection.dialect.name == "postgresql")
    db.close()
    with db.engine().connect() as connection:
        assert hypertables.due(connection) == []
        for name, (time, *_) in TABLES.items():
            key = sa.inspect(connection).get_pk_constraint(name)["constrained_columns"]
            assert time in key and set(key) >= set(key_of(name)["constrained_columns"])
    check_that_all_work(before, capsys, monkeypatch)


@pytest.mark.skipif("BQ_TEST_TIMESCALE_URL" not in os.environ, reason="BQ_TEST_TIMESCALE_URL names no server")
def test_the_same_on_a_server_that_has_the_extension(home, capsys, monkeypatch):
    """The database must be empty, with the extension, and a throw-away one: what is entered here stays in it."""
    monkeypatch.setenv("BQ_DATABASE_URL", os.environ["BQ_TEST_TIMESCALE_URL"])
    assert entered() == (96, 1)
    check_that_all_work(outcomes.counted(NAMESPACE), capsys, monkeypatch)
    with db.engine().connect() as connection:
        chunks = sa.text("select count(*) from timescaledb_information.chunks where hypertable_name = 'decisions'")
        assert connection.execute(chunks).scalar_one() > 0


def check_that_all_work(before, capsys, monkeypatch) -> None:
    """Rows read as before, new ones arrive, a copy from SQLite lands once, and verify names the kind."""
    assert outcomes.counted(NAMESPACE).equals(before)
    assert "database    PostgreSQL, hypertables: checks, decisions, marks" in shown(capsys, monkeypatch)
    with pytest.raises(sa.exc.IntegrityError), db.engine().begin() as connection:
        row = connection.execute(sa.select(records.decisions).limit(1)).mappings().one()
        connection.execute(records.decisions.insert(), dict(row))
    server = os.environ["BQ_DATABASE_URL"]
    monkeypatch.delenv("BQ_DATABASE_URL")  # the same season in SQLite
    assert entered() == (96, 1)
    monkeypatch.setenv(migrate.TARGET, server)
    added = {one.table: one.added for one in transfer.copy(db.engine(), db.at(server))}
    assert added["decisions"] == added["checks"] == 0, "what is there already is left"
