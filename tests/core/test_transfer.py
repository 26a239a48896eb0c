"""Records moved to another database: all of them, none twice, also after a kill; and back."""

import datetime as dt
import sqlite3

import polars as pl
import pytest
import sqlalchemy as sa

from bq.core import db, transfer
from bq.core.errors import BadData, BadParameters, BQError
from bq.core.namespace import Namespace
from bq.jobs import migrate
from bq.monitoring import outcomes, records
from bq.serving import journal, ledger
from tests.season import record, season

NAMESPACE = Namespace("butterfly")
DAYS = pl.DataFrame({"session": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)], "value": [0.1, -0.2]})
LOOK = ledger.Look("model", "study", 0, {"a": 0.1}, DAYS, ["KO"])


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with records in SQLite."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    for name in ("BQ_DATABASE_URL", migrate.TARGET):
        monkeypatch.delenv(name, raising=False)
    record(season(12), "b1f09c22b1f09c22", NAMESPACE)
    ledger.record(NAMESPACE, [LOOK])
    return tmp_path


def counts(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in transfer.tables()
        }


@pytest.fixture
def target(request, home, monkeypatch):
    """The address of an empty database: SQLite, or a real PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{home}/other.db"
    before = request.getfixturevalue("database")
    monkeypatch.delenv("BQ_DATABASE_URL")
    return before


BOTH = pytest.mark.parametrize("target", ["sqlite", "postgresql"], indirect=True)


@BOTH
def test_every_row_arrives_once_and_reads_as_before(home, target, monkeypatch, capsys):
    before, held, chain = outcomes.counted(NAMESPACE), counts(db.engine()), ledger.standing()
    assert held["decisions"] == 96 and held["outcomes"] == 96
    monkeypatch.setenv(migrate.TARGET, target)
    head = counts(db.at(target))["chain_head"]  # made with the schema
    for added in (sum(held.values()) - head, 0):
        migrate.main(None)
        assert f"{added:,} copied now\nnext" in capsys.readouterr().out
    monkeypatch.setenv("BQ_DATABASE_URL", target)
    assert counts(db.engine()) == held
    assert outcomes.counted(NAMESPACE).equals(before)
    assert ledger.standing() == chain and chain.entries == 1
    record(season(1).with_columns(pl.col("event_id") + "x"), "b1f09c22b1f09c22", Namespace("forecast"))
    with db.engine().connect() as connection:
        numbers = connection.execute(sa.select(records.scans.c.scan_id)).scalars().all()
    assert len(set(numbers)) == 13, "new numbers follow those that were copied"


@BOTH
def test_a_copy_that_was_killed_goes_on(home, target, monkeypatch):
    monkeypatch.setattr(transfer, "CHUNK", 10)
    source, other, left = db.engine(), db.at(target), [7]

    def dies(*_):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    sa.event.listen(other, "commit", dies)
    with pytest.raises(KeyboardInterrupt):
        list(transfer.copy(source, other))
    sa.event.remove(other, "commit", dies)
    assert 0 < sum(counts(other).values()) < sum(counts(source).values())
    done = {one.table: one for one in transfer.copy(source, other)}
    assert counts(other) == counts(source) and 0 < done["decisions"].added <= 96


@BOTH
def test_a_target_that_holds_something_else_is_refused(home, target):
    source, other = db.engine(), db.at(target)
    list(transfer.copy(source, other))
    row = {"kind": "deployed", "run_id": None, "model_id": "b" * 16, "previous": "none", "reason": "by another"}
    with other.begin() as connection:
        connection.execute(
            journal.deployments.insert(), [{"namespace": "breakout", "at_utc": season(1)["t0"][0], **row}]
        )
    with pytest.raises(
        BadData, match=r"deployments: both sides must hold the same rows, but the source holds 0 and the"
    ):
        list(transfer.copy(source, other))


def test_a_table_that_no_code_declares_is_not_left_behind_silently(home, tmp_path):
    source = db.engine()
    with sqlite3.connect(source.url.database) as connection:
        connection.execute("create table notes (text)")
    with pytest.raises(BadData, match="holds notes too"):
        list(transfer.copy(source, db.at(f"sqlite:///{tmp_path}/other.db")))


def test_where_to_is_asked_for_and_never_shown_with_its_password(home, monkeypatch):
    with pytest.raises(BadParameters, match="BQ_MIGRATE_TO must be set in the environment"):
        migrate.main(None)
    monkeypatch.setenv(migrate.TARGET, "postgresql+psycopg://me:c4n4ry-pass@127.0.0.1:1/x")
    with pytest.raises(BQError) as caught:
        migrate.main(None)
    assert "c4n4ry" not in str(caught.value) and "127.0.0.1" in str(caught.value)
