"""A database that is locked or away: waited for, then said in one sentence, and nothing is lost."""

import datetime as dt
import sqlite3
import threading

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
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def holder(home):
    """Another connection that holds the lock for writing."""
    db.engine().dispose()
    other = sqlite3.connect(home / "data" / "bq.db", isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    yield other
    other.close()


def insert() -> None:
    journal.enter(NAMESPACE, **ROW)


def count() -> int:
    return len(journal.changes())


def test_a_lock_that_goes_away_in_time_is_waited_for(home, holder):
    release = threading.Timer(0.2, lambda: holder.execute("commit"))
    release.start()
    insert()
    release.join()
    assert count() == 1


def test_a_lock_that_stays_is_one_clear_sentence_and_nothing_is_lost(home, holder, monkeypatch):
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    with pytest.raises(BQError, match=r"bq\.db must be .* but: database is locked\. Another process held it"):
        insert()
    holder.execute("commit")
    insert()
    assert count() == 1


def test_a_mistake_in_sql_stays_a_mistake(home):
    with pytest.raises(sa.exc.IntegrityError):
        journal.enter(NAMESPACE, **{**ROW, "reason": None})


class Away(Exception):
    pass


class Server:
    """A dialect whose server answers from a given attempt on."""

    loaded_dbapi = type("dbapi", (), {"OperationalError": Away})

    def __init__(self, answers_from: int) -> None:
        self.answers_from, self.asked = answers_from, 0

    def connect(self, *_: object, **__: object) -> str:
        self.asked += 1
        if self.asked < self.answers_from:
            raise Away
        return "connected"


def test_a_server_that_comes_back_is_waited_for_with_growing_pauses(monkeypatch):
    pauses = []
    monkeypatch.setattr(db.time, "sleep", pauses.append)
    assert db.connect_patiently(Server(4), None, [], {}) == "connected"
    assert pauses == [0.5, 1, 2]


def test_a_server_that_stays_away_is_given_up(monkeypatch):
    pauses = []
    monkeypatch.setattr(db.time, "sleep", pauses.append)
    with pytest.raises(Away):
        db.connect_patiently(Server(99), None, [], {})
    assert db.BUSY_SECONDS <= sum(pauses) < 3 * db.BUSY_SECONDS
