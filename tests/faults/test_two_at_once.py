"""Two processes that do the same at once, or a database that goes away: no row is lost, none is there twice."""

import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from crash_checks import OUTCOMES, came_to, heal_check_drift, rows
from crash_child import FAILED, SECONDS
from crash_homes import one_a_work

from bq.core.errors import Locked
from tests.postgresql import Server


def check_scan(where: Path | str, scans: int) -> None:
    """So many scans of the last session, of which one counts by the rule: the first that was in time."""
    assert rows(where, "select count(*) from scans") == [(1 + scans,)]
    assert rows(where, "select scan_id, count(*) from decisions group by scan_id order by scan_id") == [
        (number, 2) for number in range(1, 2 + scans)
    ]
    first = "select min(scan_id) from scans where late is false group by session"
    assert sorted(rows(where, first)) == [(1,), (2,)]


def check_mature(where: Path | str, _: int) -> None:
    assert rows(where, OUTCOMES) == came_to("new")


def check_check_drift(where: Path | str, _: int) -> None:
    heal_check_drift(where)


CHECKS = {"scan": check_scan, "mature": check_mature, "check_drift": check_check_drift}


@pytest.fixture(scope="module")
def other(request):
    """For each work, another process than `well`."""
    return one_a_work(request)


def there(path: Path, of: Future) -> None:
    """Wait for the file that a process writes when it is where it waits."""
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert not of.done() and time.monotonic() < end, of
        time.sleep(0.02)


@pytest.fixture
def begun(well, before, tmp_path, request):
    """A function: a home in which a work was done once, and the task to do it again, in SQLite or PostgreSQL."""

    def made(work: str, url: str | None) -> tuple[Path | str, dict]:
        home = tmp_path / "home"
        task = {"work": work, "home": str(home)}
        if url is None:
            shutil.copytree(before(work), home, symlinks=True)
            return home, {**task, "name": "new"}
        home.mkdir()
        task["database"] = created(url, request.node.nodeid)
        assert well(work)(**task, name="old")["code"] == 0
        return task["database"], {**task, "name": "new"}

    return made


def created(url: str, name: str) -> str:
    """An empty database of a server."""
    database = f"test_{abs(hash(name))}"
    with sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as connection:
        connection.execute(sa.text(f"create database {database}"))
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("work", ["scan", "mature"])
def test_of_two_processes_one_waits_before_its_first_row_while_the_other_does_all(
    well, other, begun, tmp_path, request, work, backend
):
    where, task = begun(work, request.getfixturevalue("postgresql") if backend == "postgresql" else None)
    waits = {"hold": "sql", "ready": str(tmp_path / "ready"), "until": str(tmp_path / "go")}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(well(work), **task, **waits)
        there(tmp_path / "ready", first)
        assert other(work)(**task)["code"] == 0
        (tmp_path / "go").touch()
        assert first.result()["code"] == 0
    CHECKS[work](where, 2)


@pytest.mark.parametrize("work", ["scan", "mature"])
def test_of_two_processes_the_second_waits_until_the_first_has_committed(well, other, begun, tmp_path, work):
    where, task = begun(work, None)
    ready = [str(tmp_path / name) for name in ("first", "second")]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(well(work), **task, hold="commit", ready=ready[0], until=ready[1])
        there(tmp_path / "first", first)
        assert other(work)(**task, hold="sql", ready=ready[1], until=ready[0])["code"] == 0
        assert first.result()["code"] == 0
    CHECKS[work](where, 2)


def test_of_two_checks_of_drift_the_second_says_that_it_is_locked(well, other, begun, tmp_path):
    where, task = begun("check_drift", None)
    waits = {"hold": "sql", "ready": str(tmp_path / "ready"), "until": str(tmp_path / "go")}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(well("check_drift"), **task, **waits)
        there(tmp_path / "ready", first)
        assert other("check_drift")(**task)["code"] == Locked.exit_code
        (tmp_path / "go").touch()
        assert first.result()["code"] == 0
    heal_check_drift(where)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that may be stopped."""
    started = Server()
    yield started
    started.end()


@pytest.mark.parametrize("work", list(CHECKS))
def test_a_server_that_is_stopped_before_the_first_row_is_one_sentence_and_the_next_run_completes(
    well, begun, server, tmp_path, work
):
    server.start()
    where, task = begun(work, server.url)
    waits = {"hold": "sql", "ready": str(tmp_path / "ready"), "until": str(tmp_path / "go")}
    with ThreadPoolExecutor(1) as pool:
        hurt = pool.submit(well(work), **task, **waits, said=str(tmp_path / "hurt"))
        there(tmp_path / "ready", hurt)
        server.stop()
        (tmp_path / "go").touch()
        assert hurt.result()["code"] == FAILED
    assert well(work)(**task, said=str(tmp_path / "away"))["code"] == FAILED
    for name in ("hurt", "away"):
        said = (tmp_path / name).read_text()
        assert said.startswith("BQ_DATABASE_URL: the database postgresql") and os.linesep not in said
    server.start()
    assert well(work)(**task)["code"] == 0
    CHECKS[work](where, 1)
