"""A clock that was set back changes the order of nothing, and is said."""

import datetime as dt
import logging

import pytest

from bq import runs, strategies
from bq.core import params, paths
from bq.core.namespace import Namespace
from bq.jobs import diff, history, request
from bq.jobs.run import order, protocol
from bq.jobs.run.protocol import Run
from bq.runs import read
from bq.runs.record import Status
from bq.serving import journal, ledger, registry
from bq.workbench import dashboard
from tests import stored

NAMESPACE = Namespace.parse("butterfly")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "NOTIFY_CMD", "STRATEGY", "PARAMS", "SET", "A", "B", "RUN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def clock(monkeypatch):
    """Set the time that runs are begun and ended at."""

    def at(moment: dt.datetime) -> None:
        class Clock(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return moment

        for module in (protocol, registry):
            monkeypatch.setattr(module, "dt", type("dt", (), {**vars(dt), "datetime": Clock}))

    return at


def run() -> str:
    """A retrain that does nothing; its id."""
    strategy = strategies.get("butterfly")
    settings = params.load(paths.parameters("butterfly"), strategy.settings)

    def work(under_way: Run) -> None:
        under_way.record.status = Status.KEPT
        row = {"finished_utc": under_way.started, "fingerprint": under_way.run_id, "decision": "kept", "events": 1}
        ledger.attempt(NAMESPACE, run_id=under_way.run_id, verdict={}, **row)

    return protocol.perform(Run(settings, job="retrain"), work).name


def test_the_run_that_was_begun_last_is_the_newest_whatever_the_clock_says(home, clock, monkeypatch, caplog):
    clock(NOON)
    first = run()
    clock(NOON - dt.timedelta(days=3))
    with caplog.at_level(logging.WARNING):
        second = run()
    assert second < first, "the ids are in the order of the clock"
    assert [found.folder.name for found in runs.every()] == [second, first]
    assert runs.latest().folder.name == runs.load("latest").folder.name == second
    assert [record.sequence for record in (runs.load(name).record for name in (first, second))] == [1, 2]
    assert ledger.last_attempt(NAMESPACE)["run_id"] == second
    assert [found.folder.name for found in diff._asked(request.read())] == [first, second]
    assert [second in entry.text for entry in history.entries()] == [True, False]
    dashboard.write_index([], {}, read.each())
    page = (paths.outputs() / "index.html").read_text()
    assert page.index(second) < page.index(first)
    (warning,) = runs.load(second).record.warnings
    assert warning == (
        "the clock went back: it is 2026-02-26 12:00 UTC, but the newest record is of 2026-03-01 12:00 UTC. Runs are "
        "in their order all the same; set the clock right"
    )
    assert warning in caplog.text and not runs.load(first).record.warnings


@pytest.mark.parametrize(("seconds", "said"), [(30, False), (61, True)])
def test_a_clock_that_is_adjusted_by_less_than_a_minute_is_no_warning(home, clock, seconds, said):
    clock(NOON)
    run()
    assert bool(order.clock_went_back(NOON - dt.timedelta(seconds=seconds))) is said


def test_a_deployment_stands_beside_its_attempt_and_a_rollback_behind_it(home, clock):
    for moment, name in ((NOON, "a"), (NOON - dt.timedelta(days=1), "b")):
        clock(moment)
        registry.deploy(NAMESPACE, stored.artefact(name.encode()), reason=name, run_id=run())
    registry.rollback(NAMESPACE)
    found = history.entries()
    assert [entry.what for entry in found] == ["champion", "champion", "kept", "champion", "kept"]
    assert ["rollback" in entry.text for entry in found] == [True, False, False, False, False]
    assert len(journal.changes()) == 3


def test_the_sequence_goes_on_where_the_database_or_the_runs_are_lost(home, clock):
    clock(NOON)
    run()
    run()
    from bq.core import db

    db.close()
    for file in (home / "data").glob("bq.db*"):
        file.unlink()
    third = run()
    assert runs.load(third).record.sequence == 3
    for folder in runs.every():
        folder.folder.rename(home / folder.folder.name)
    run()
    assert runs.latest().record.sequence > 1, "the database knows of one attempt"


def test_runs_recorded_without_a_sequence_are_older_than_all_with_one(home):
    for name, sequence in (("20200101T000000Z_toy", 1), ("20260101T000000Z_toy", 0), ("20250101T000000Z_toy", 0)):
        folder = paths.outputs() / name
        folder.mkdir(parents=True)
        stored.run_record(name, sequence=sequence).write(folder / "run.json")
    ids = [found.folder.name[:4] for found in runs.every()]
    assert ids == ["2020", "2026", "2025"]
