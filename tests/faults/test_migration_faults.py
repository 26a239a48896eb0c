"""A migration that is killed, raced or impossible: the database is the old one or the new one, never half of each."""

import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from bq.core import db, paths
from bq.core.errors import BQError

OLD = paths.CHECKOUT / "tests" / "made_by_0_1" / "data" / "bq.db"
STEPS = range(5, 85, 8)  # statements of the migration, from the first look to the last table


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def file(home) -> Path:
    """The database that 0.1 left, in a home of its own."""
    return Path(shutil.copyfile(OLD, home / "data" / "bq.db"))


def content(file: Path) -> list[str]:
    """Every table with every row, as SQL."""
    with sqlite3.connect(file) as connection:
        return list(connection.iterdump())


def copies(file: Path) -> list[str]:
    return sorted(path.name for path in file.parent.glob("*before*"))


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", STEPS)
def test_an_end_at_any_statement_leaves_the_old_database_and_the_next_start_completes_it(file, monkeypatch, step):
    count = 0

    def end(*_: object) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Killed

    sa.event.listen(sa.Engine, "before_cursor_execute", end)
    try:
        with pytest.raises(Killed):
            db.engine()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", end)
    assert content(file) == content(OLD)
    db.engine().dispose()
    with db.engine().connect() as connection:
        assert db.revision(connection) == db.HEAD
    assert copies(file) == [f"bq.db.before-{db.HEAD}"], "an equal copy is not made again"
    assert content(file.with_name(f"bq.db.before-{db.HEAD}")) == content(OLD)


def test_a_killed_process_leaves_the_old_database(file):
    code = """if True:
        import os
        import sqlalchemy as sa
        from bq.core import db

        def kill(connection, cursor, statement, *_):
            if statement.lstrip().startswith("DROP TABLE attempts_0001"):
                os._exit(9)

        sa.event.listen(sa.Engine, "before_cursor_execute", kill)
        db.engine()
    """
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert content(file) == content(OLD)
    with db.engine().connect() as connection:
        assert db.revision(connection) == db.HEAD


def test_a_copy_that_is_there_is_never_written_over(file):
    earlier = file.with_name(f"bq.db.before-{db.HEAD}")
    earlier.write_bytes(b"what somebody keeps")
    db.engine().dispose()
    assert earlier.read_bytes() == b"what somebody keeps"
    assert content(file.with_name(f"bq.db.before-{db.HEAD}-2")) == content(OLD)


def test_without_room_for_the_copy_nothing_is_changed(file, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bq.core.files.sync", full)
        with pytest.raises(BQError, match=r"bq\.db must be reachable and writable, but: .*No space left"):
            db.engine()
    assert content(file) == content(OLD) and copies(file) == []
    db.engine()


@pytest.mark.parametrize("revision", [f"{int(db.HEAD) + 1:04d}", "a1b2c3"], ids=["newer", "of-another-program"])
def test_a_database_of_an_unknown_schema_is_refused_and_stays_as_it_is(home, revision):
    db.engine().dispose()
    file = home / "data" / "bq.db"
    with sqlite3.connect(file) as connection:
        connection.execute("update alembic_version set version_num = ?", (revision,))
    before = content(file)
    db._engine.cache_clear()
    with pytest.raises(BQError, match=f"a schema up to {db.HEAD}, but has {revision}.*Install that version") as caught:
        db.engine()
    assert "\n" not in str(caught.value)
    assert content(file) == before and copies(file) == []


def start(barrier: object, answers: object) -> None:
    """In a process of its own: use the database at the same time as the others."""
    barrier.wait()
    try:
        with db.engine().connect() as connection:
            answers.put(db.revision(connection))
    except BQError as error:
        answers.put(str(error))


@pytest.mark.parametrize("old", [False, True], ids=["empty", "of-0.1"])
def test_processes_that_start_at_once_all_work(home, old):
    if old:
        shutil.copyfile(OLD, home / "data" / "bq.db")
    check_processes_that_start_at_once()
    assert copies(home / "data" / "bq.db") == ([f"bq.db.before-{db.HEAD}"] if old else [])


def test_processes_that_start_at_once_all_work_on_postgresql(home, database):
    check_processes_that_start_at_once()


def check_processes_that_start_at_once() -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    started = [context.Process(target=start, args=(barrier, answers)) for _ in range(2)]
    for process in started:
        process.start()
    assert [answers.get(timeout=60) for _ in started] == [db.HEAD] * 2
    for process in started:
        process.join()
