"""A day in one command: what is missing is done, once, whatever stopped the last one and whatever the clock says."""

import datetime as dt
import logging
from dataclasses import replace

import polars as pl
import pytest
from filelock import FileLock

from bq import market as markets
from bq import runs, strategies
from bq.core import files, params, paths
from bq.core.errors import BadData, Locked
from bq.jobs import cycle, request, retrain, scan
from bq.jobs.run import order, protocol
from bq.jobs.run.protocol import Run
from bq.monitoring import deciding, missed, outcomes
from bq.runs.record import Job
from bq.serving import registry

FILE = paths.CHECKOUT / "parameters" / "simulated" / "butterfly.yaml"
SMALL = "market.simulation.symbols=2 market.simulation.sessions=600"
NIGHT = dt.time(22, 30)  # UTC, after every close in New York


@pytest.fixture(scope="module")
def whole():
    settings = params.load(FILE, strategies.get("butterfly").settings, overrides=SMALL)
    return markets.load(settings.market)


@pytest.fixture(scope="module")
def days(whole) -> list[dt.date]:
    return whole.bars["session"].unique().sort().to_list()


@pytest.fixture
def go(tmp_path, monkeypatch, capsys, whole):
    """Run a cycle with the bars up to a session, at night of a day; what it printed. Nothing is trained or rendered."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name, value in {"STRATEGY": "butterfly", "PARAMS": str(FILE), "SET": SMALL}.items():
        monkeypatch.setenv(name, value)
    for name in ("BQ_DATABASE_URL", "NOTIFY_CMD", "FORCE", "QUICK", "DATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(retrain, "once", lambda _: "no trigger holds")
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    monkeypatch.setattr(Run, "notebook", lambda self, name: files.write_json(self.folder / f"{name}.ipynb", empty))
    monkeypatch.setattr(Run, "render", lambda self: None)

    def run(last: dt.date, at: dt.date | None = None) -> str:
        class Clock(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return dt.datetime.combine(at or last, NIGHT, dt.UTC)

        for module in (protocol, registry, deciding, scan, cycle):
            monkeypatch.setattr(module, "dt", type("dt", (), {**vars(dt), "datetime": Clock}))
        known = replace(whole, bars=whole.bars.filter(pl.col("session") <= last))
        monkeypatch.setattr(markets, "load", lambda _: known)
        capsys.readouterr()
        cycle.main(request.read())
        return capsys.readouterr().out

    return run


def counted() -> list[dt.date]:
    return outcomes.counted(request.read().settings.namespace)["session"].unique().sort().to_list()


def reports() -> int:
    return len(runs.every(str(request.read().settings.namespace), job=Job.DRIFT))


def test_a_day_is_decided_once_and_reported_on_once(go, days):
    said = go(days[-20])
    assert "no trigger holds" in said and f"{days[-20]} · 2 opportunities" in said
    assert counted() == [days[-20]] and reports() == 1
    again = go(days[-20])
    assert f"scan        none: {days[-20]}, the newest session with bars, was decided on" in again
    assert "monitoring  no new report: nothing was decided" in again
    assert counted() == [days[-20]] and reports() == 1
    go(days[-19])
    assert counted() == days[-20:-18] and reports() == 2


def test_sessions_that_were_missed_are_caught_up_and_count_in_nothing(go, days):
    go(days[-20])
    said = go(days[-16])
    assert f"caught up   3 sessions since the last scan, {days[-19]} to {days[-17]}; 3 of them late" in said
    assert counted() == [days[-20], days[-16]]
    pages = sorted(path.name[:10] for path in (paths.outputs() / "scans").glob("*.html"))
    assert pages == [str(day) for day in days[-20:-15]]


def test_a_scan_from_before_the_close_is_made_again_after_it(go, days):
    go(days[-20], at=days[-20] - dt.timedelta(days=1))
    assert counted() == []
    go(days[-20])
    assert counted() == [days[-20]]


def test_on_a_clock_that_was_set_back_no_scan_counts(go, days, caplog):
    go(days[-20])
    with caplog.at_level(logging.WARNING, "bq"):
        go(days[-19], at=days[-21])
    assert any("the clock went back" in record.getMessage() for record in caplog.records)
    assert counted() == [days[-20]]
    monkey = missed.sessions(
        request.read().settings.namespace,
        days[:-18],
        calendar="XNYS",
        now=dt.datetime.combine(days[-19], NIGHT, dt.UTC),
    )
    assert monkey == [days[-19]]  # once the clock is right, the session is decided on again


def test_the_scan_of_a_session_in_time_by_a_clock_that_is_behind_its_records_is_late(go, days):
    go(days[-10])
    settings = request.read().settings
    now = dt.datetime.combine(days[-20], NIGHT, dt.UTC)
    assert order.clock_went_back(now, also=dt.datetime.combine(days[-10], NIGHT, dt.UTC))
    assert outcomes.in_time(days[-20], now, calendar="XNYS")
    assert missed.sessions(settings.namespace, days[:-9], calendar="XNYS", now=now) == []


def test_where_the_retrain_fails_decisions_are_made_all_the_same(go, days, monkeypatch):
    def fails(_):
        raise BadData("Insufficient samples")

    monkeypatch.setattr(retrain, "once", fails)
    with pytest.raises(BadData, match="Insufficient samples"):
        go(days[-20])
    assert counted() == [days[-20]]


def test_two_cycles_at_once_are_one_after_the_other(go, days, tmp_path):
    go(days[-20])
    with FileLock(tmp_path / "data" / ".butterfly-simulated.lock"), pytest.raises(Locked, match="one run at a time"):
        go(days[-19])
    assert counted() == [days[-20]]


def test_where_nothing_was_ever_scanned_it_is_the_newest_session_alone(go, days):
    assert missed.sessions(request.read().settings.namespace, days, calendar="XNYS", now=dt.datetime.now(dt.UTC)) == [
        days[-1]
    ]
    assert missed.sessions(request.read().settings.namespace, [], calendar="XNYS", now=dt.datetime.now(dt.UTC)) == []
