"""Every database is brought to the newest schema: whole, once, after a copy, and without the loss of a row."""

import datetime as dt
import json
import shutil
import sqlite3
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext

from bq.core import db, migrate, paths
from bq.core.namespace import Namespace
from bq.monitoring import records  # noqa: F401  its tables are compared too
from bq.serving import journal, ledger
from bq.trading import ledger as trades  # noqa: F401  and these

OLD = paths.CHECKOUT / "tests" / "made_by_0_1" / "data" / "bq.db"
BUTTERFLY = Namespace("butterfly", simulated=True)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home, whose database is not copied from one with the newest schema."""
    monkeypatch.setattr(migrate, "upgrade", migrate.upgrade.__wrapped__)
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def file(home) -> Path:
    """The database that 0.1 left, in a home of its own."""
    (home / "data").mkdir()
    return Path(shutil.copyfile(OLD, home / "data" / "bq.db"))


def rows(file: Path, query: str) -> list[tuple]:
    with sqlite3.connect(file) as connection:
        return connection.execute(query).fetchall()


def schema(file: Path) -> list[str]:
    found = rows(file, "select sql from sqlite_master where sql is not null order by name")
    return [sql for (sql,) in found if "alembic_version" not in sql]


def upgrade_to(revision: str, engine: sa.Engine) -> None:
    known = migrate.scripts()
    fn = lambda before, _: known._upgrade_revs(revision, before)  # noqa: E731
    with engine.begin() as connection, EnvironmentContext(Config(), known, fn=fn) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()


def check_that_the_schema_is_that_of_the_code(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
        found = sa.inspect(connection)
        for name, table in db.metadata.tables.items():
            assert found.get_pk_constraint(name)["constrained_columns"] == [column.name for column in table.primary_key]


# ---- the schema


def test_the_constant_is_the_newest_script():
    assert migrate.scripts().get_heads() == [db.HEAD]


def test_the_first_schema_is_the_one_that_0_1_made(tmp_path):
    upgrade_to("0001", sa.create_engine(f"sqlite:///{tmp_path}/bq.db"))
    assert schema(tmp_path / "bq.db") == schema(OLD)


def test_an_empty_database_gets_the_schema_of_the_code_and_is_not_copied(home):
    check_that_the_schema_is_that_of_the_code(db.engine())
    assert [path.name for path in (home / "data").iterdir() if "before" in path.name] == []


def test_a_database_of_0_1_gets_the_schema_of_the_code(file):
    check_that_the_schema_is_that_of_the_code(db.engine())


def test_in_postgresql_an_empty_database_gets_the_schema_of_the_code(home, database):
    check_that_the_schema_is_that_of_the_code(db.engine())


# ---- the rows of 0.1

KEPT = {  # what must be the same in both, whatever the tables are
    "attempts": (
        "select run_id, strategy, finished_utc, fingerprint, decision, model_id, events, verdict from attempts "
        "order by finished_utc",
        "select run_id, namespace, finished_utc, fingerprint, decision, model_id, events, verdict from attempts "
        "order by number",
    ),
    "deployments": (
        "select id, strategy, model_id, previous, reason, at_utc from deployments order by id",
        "select id, namespace, model_id, previous, reason || ' (' || run_id || ')', at_utc from deployments "
        "order by id",
    ),
    "trials": (
        "select id, shelf, kind, study, number, at_utc, parameters, series from trials order by id",
        "select id, strategy || case when simulated then '-simulated' else '' end || "
        "case tier when 2 then '-success' else '' end, kind, study, number, at_utc, parameters, series from looks "
        "order by id",
    ),
    "decisions": (
        "select event_id, decided_utc, strategy, symbol, session, tier, model, predicted_class, expected_roi, "
        "confidence, score, should_trade, reason from decisions order by decided_utc, event_id",
        "select event_id, decided_utc, namespace, symbol, d.session, tier, model_id, predicted_class, expected, "
        "confidence, score, should_trade, remark from decisions d join scans using (scan_id) "
        "order by scan_id, event_id",
    ),
}


@pytest.mark.parametrize("table", KEPT)
def test_the_rows_of_0_1_are_what_they_were(file, table):
    db.engine().dispose()
    before, after = (rows(of, query) for of, query in zip((OLD, file), KEPT[table], strict=True))
    assert after == before and before


def test_the_copy_is_what_0_1_left(file):
    db.engine().dispose()
    copy = file.with_name(f"bq.db.before-{db.HEAD}")
    for old, _ in KEPT.values():
        assert rows(copy, old) == rows(OLD, old)
    assert schema(copy) == schema(OLD)


def test_decisions_of_one_time_are_one_scan_and_what_0_1_did_not_know_is_null(file):
    db.engine().dispose()
    assert rows(file, "select scan_id, count(*) from decisions group by 1") == [(1, 8), (2, 8), (3, 8)]
    assert rows(file, "select namespace, session, champion_id, second_id, late, parameters from scans") == [
        ("butterfly-simulated", "2018-09-27", "83913860c8be18e9", None, None, None),
        ("butterfly-simulated", "2018-09-27", "429ca1fa915f992b", None, None, None),
        ("butterfly-simulated", "2018-09-20", "429ca1fa915f992b", None, None, None),
    ]
    assert rows(file, "select distinct t0, variant, probabilities, in_sample from decisions") == [(None,) * 4]


SAID = {  # reason in 0.1: kind, run, reason
    "deployed by a run": (
        "better (than x) (20261129T053105Z_butterfly-simulated)",
        ("deployed", "20261129T053105Z_butterfly-simulated", "better (than x)"),
    ),
    "deployed by hand": ("because I (want) it", ("deployed", None, "because I (want) it")),
    "rolled back": ("rollback from 429ca1fa915f992b", ("rolled_back", None, "rollback from 429ca1fa915f992b")),
}


@pytest.mark.parametrize(("reason", "known"), SAID.values(), ids=SAID)
def test_what_a_reason_said_becomes_columns(file, reason, known):
    with sqlite3.connect(file) as connection:
        connection.execute("update deployments set reason = ? where id = 1", (reason,))
    db.engine().dispose()
    assert rows(file, "select kind, run_id, reason from deployments where id = 1") == [known]


SHELVES = {
    "forecast": ("forecast", "forecast", 0, 1),
    "forecast-success": ("forecast", "forecast", 0, 2),
    "forecast-simulated": ("forecast", "forecast", 1, 1),
    "forecast-simulated-success": ("forecast", "forecast", 1, 2),
}


@pytest.mark.parametrize(("shelf", "parts"), SHELVES.items(), ids=SHELVES)
def test_a_namespace_in_one_text_becomes_its_parts(file, shelf, parts):
    with sqlite3.connect(file) as connection:
        connection.execute("update trials set shelf = ? where id = 1", (shelf,))
    db.engine().dispose()
    assert rows(file, "select strategy, name, simulated, tier from looks where id = 1") == [parts]


def test_attempts_are_numbered_in_the_order_of_time_and_later_ones_follow(file):
    with sqlite3.connect(file) as connection:  # as if the last had been written first
        connection.execute("create table sorted as select * from attempts order by finished_utc desc")
        connection.executescript("delete from attempts; insert into attempts select * from sorted; drop table sorted")
    enter_attempt("next")
    assert [(row["number"], row["run_id"][:15]) for row in ledger.every_attempt()] == [
        (1, "20261129T053105"),
        (2, "20261129T053130"),
        (3, "20261129T053209"),
        (4, "next"),
    ]


def enter_attempt(run_id: str) -> None:
    """An attempt that the clock puts at the time of the last one."""
    row = {"fingerprint": "f", "decision": "kept", "model_id": None, "events": 1, "verdict": {}}
    ledger.attempt(BUTTERFLY, run_id=run_id, finished_utc=ledger.every_attempt()[-1]["finished_utc"], **row)


def test_trials_of_0_1_count_whatever_the_symbols(file):
    sessions = pl.read_ipc(rows(file, "select series from trials where id = 1")[0][0])["session"]
    for tier in (BUTTERFLY, BUTTERFLY.second):
        assert len(ledger.on(tier, sessions, ["AAPL"]).columns) == 1 + 3
        assert ledger.on(Namespace("butterfly", tier=tier.tier), sessions, ["AAPL"]).columns == ["session"]


def made_by_0_1(url: str) -> None:
    """Fill an empty database of PostgreSQL with the tables and rows of 0.1."""
    source = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(f"file:{OLD}?immutable=1", uri=True))
    engine, known = sa.create_engine(url), sa.MetaData()
    upgrade_to("0001", engine)
    with source.connect() as old, engine.begin() as new:
        new.execute(sa.text("drop table alembic_version"))
        known.reflect(new)
        for name, table in known.tables.items():
            given = sa.Table(name, sa.MetaData(), autoload_with=old)
            new.execute(table.insert(), [dict(row) for row in old.execute(sa.select(given)).mappings()])
        for name in ("deployments", "trials"):  # 0.1 inserted them one by one
            counted = f"select setval(pg_get_serial_sequence('{name}', 'id'), (select max(id) from {name}))"
            new.execute(sa.text(counted))
    engine.dispose()


def plain(value: object) -> object:
    """The same for a value of SQLite and of PostgreSQL."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, dt.date):
        return str(value)
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def test_a_database_of_0_1_in_postgresql_keeps_its_rows_and_goes_on_counting(home, database):
    made_by_0_1(database)
    check_that_the_schema_is_that_of_the_code(db.engine())
    with db.engine().connect() as connection:
        for before, after in KEPT.values():
            found = [[plain(value) for value in row] for row in connection.execute(sa.text(after))]
            assert found == [[plain(value) for value in row] for row in rows(OLD, before)]
    enter_attempt("next")
    newest = journal.changes()[0]
    journal.enter(BUTTERFLY, **{name: newest[name] for name in ("kind", "model_id", "reason", "at_utc")})
    assert (ledger.every_attempt()[-1]["number"], journal.changes()[0]["id"]) == (4, 5)
