"""PostgreSQL killed (kill -9) in the middle of our work: one clear sentence, and the next start goes on.

Nothing is lost that was kept, and nothing is there twice.
"""

import pytest
import sqlalchemy as sa

from bq import runs
from bq.core import db
from bq.core.errors import BQError
from bq.jobs import housekeeping, retrain
from bq.serving import journal, ledger, looks, registry
from tests.core.test_migrations import KEPT, OLD, made_by_0_1, plain, rows
from tests.jobs.test_ledger_of_runs import DEPLOYS, NAMESPACE, go, home, verdict  # noqa: F401  fixtures
from tests.postgresql import Server, created

SENTENCE = r"the database postgresql\+psycopg://postgres.*@.* must be reachable and writable, but: "


@pytest.fixture(scope="module")
def server():
    started = Server()
    yield started
    db.close()
    started.end()


@pytest.fixture
def database(server, home, monkeypatch, request) -> str:  # noqa: F811
    """The URL of an empty database on that server, which `BQ_DATABASE_URL` names; nobody waits for it long."""
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    return created(server.url, monkeypatch, request)


def test_a_migration_goes_on_from_the_old_schema(server, database):
    made_by_0_1(database)
    count = 0

    def end(*_: object) -> None:
        nonlocal count
        count += 1
        if count == 60:  # tables are made and rows moved, nothing is kept yet
            server.kill()

    sa.event.listen(sa.Engine, "before_cursor_execute", end)
    try:
        with pytest.raises(BQError, match=SENTENCE):
            db.engine()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", end)
    server.start()
    db.close()
    with sa.create_engine(database).connect() as connection:
        assert not sa.inspect(connection).has_table("alembic_version"), "the old one, whole"
    with db.engine().connect() as connection:
        assert db.revision(connection) == db.HEAD
        for before, after in KEPT.values():
            found = [[plain(value) for value in row] for row in connection.execute(sa.text(after))]
            assert found == [[plain(value) for value in row] for row in rows(OLD, before)]


POINTS = {
    "while it trains, before the look is entered": (looks, "enter"),
    "before the attempt is published": (ledger, "attempt"),
}


@pytest.mark.parametrize(("module", "name"), POINTS.values(), ids=POINTS)
def test_a_retrain_goes_on(server, database, go, verdict, monkeypatch, module, name):  # noqa: F811
    verdict(DEPLOYS)
    first, whole = [True], getattr(module, name)

    def killed(*given, **named):
        if first and first.pop():
            server.kill()
        return whole(*given, **named)

    monkeypatch.setattr(module, name, killed)
    with pytest.raises(BQError, match=SENTENCE):
        go(retrain.main)
    server.start()
    db.close()
    go(retrain.main)
    assert [run.record.status for run in runs.every()] == ["deployed", "failed"]
    (attempt,) = ledger.every_attempt()
    assert attempt["run_id"] == runs.latest().record.run_id
    assert registry.pointer(NAMESPACE).model_id == attempt["model_id"]
    changes = [(change["run_id"], change["model_id"]) for change in journal.changes()]
    assert changes[0] == (attempt["run_id"], attempt["model_id"]) and len(changes) == len(set(changes)), "each once"
    studies = [row["study"] for row in ledger.listed()]
    assert len(studies) == len(set(studies)) and attempt["run_id"] in studies, "each look once"
    assert "all intact" in go(housekeeping.verify)
