"""`make check-drift` records one check a kind, model and day, opens and closes alerts, and exits 10 with an alarm."""

import datetime as dt

import polars as pl
import pytest
import sqlalchemy as sa

from bq.core import db, paths
from bq.core.errors import Locked
from bq.core.namespace import Namespace
from bq.jobs import drift as job
from bq.jobs.run import protocol
from bq.monitoring import checks, drift
from bq.monitoring.checks import Check, Severity, What
from bq.monitoring.records import alerts
from bq.monitoring.records import checks as table
from bq.strategies import store

HERE = Namespace("toy")
DAY = dt.date(2020, 1, 6)


@pytest.fixture
def asked(world, monkeypatch):
    """What `make check-drift` is asked with, in a world that is as it was or not."""

    def made(*change, **options):
        here = world(*change, **options)
        monkeypatch.setattr(store, "market_data", lambda settings: here.market)
        return here.request

    return made


def moved(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(pl.col("noise") + 1.0)


def rows(of: sa.Table) -> list[dict]:
    with db.engine().connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(of).order_by(of.c.id)).mappings()]


def of_drift() -> list[str]:
    """Kinds of the checks that are of drift, one a row."""
    return sorted(row["what"] for row in rows(table) if row["what"] in drift.KINDS)


def written() -> set[str]:
    """Files of the home, the database and locks apart."""
    found = (path for path in paths.home().rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path) for path in found if not path.name.startswith("bq.db")}


def test_nothing_to_say_exits_0_and_writes_nothing_but_checks_and_the_dashboard(asked, capsys):
    request = asked()
    before = written()
    assert job.check(request) == 0
    shown = ("outputs/index.html", "data/dashboard/toy.drift.json")
    assert written() - before == {str(paths.home() / name) for name in shown} and before <= written()
    assert of_drift() == sorted(drift.KINDS) and rows(alerts) == []
    said = capsys.readouterr().out
    assert "none drifted of 3" in said and "ALARM" not in said
    assert "false alarms expected where nothing changes" in said


def test_an_alarm_exits_10_opens_an_alert_and_twice_is_as_once(asked, capsys):
    request = asked(moved)
    assert job.check(request) == 10
    once = rows(table), rows(alerts)
    assert job.check(request) == 10
    assert (rows(table), rows(alerts)) == once
    (alert,) = checks.opened(HERE)
    assert (alert.kind, alert.severity) == ("drift.input", Severity.WARNING)
    assert alert.check_ids == [row["id"] for row in once[0] if row["what"] == What.INPUT]
    assert "noise drifted of 3" in alert.statement
    assert capsys.readouterr().out.count("ALARM") == 2


def check(what: What, *, alarm: bool) -> Check:
    return Check(
        namespace="toy",
        day=DAY,
        what=what,
        model_id="m1",
        n=9,
        value=0.5,
        threshold=0.3,
        alarm=alarm,
        details={"first": "2020-01-01", "last": "2020-01-06"},
    )


def test_an_alert_is_closed_when_its_alarm_is_over_and_another_kind_stays(asked):
    asked(weeks=1)
    job.record(HERE, [check(What.SUPPORT, alarm=True), check(What.TIER, alarm=True)])
    job.record(HERE, [check(What.SUPPORT, alarm=False), check(What.TIER, alarm=True)])
    assert [alert.kind for alert in checks.opened(HERE)] == ["drift.tier"]
    job.record(HERE, [])  # another model, which decided nothing yet
    assert checks.opened(HERE) == []


@pytest.mark.parametrize("after", ["enter", "open_alert"], ids=["checks", "the first alert"])
def test_killed_at_any_write_the_next_run_completes(asked, monkeypatch, after):
    request = asked(moved)
    whole = getattr(checks, after)

    def killed(*given, **options):
        whole(*given, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checks, after, killed)
        with pytest.raises(KeyboardInterrupt):
            job.check(request)
    assert job.check(request) == 10
    assert of_drift() == sorted(drift.KINDS)
    assert [alert.kind for alert in checks.opened(HERE)] == ["drift.input"]


def test_one_at_a_time(asked):
    request = asked(weeks=1)
    with protocol.lock(HERE), pytest.raises(Locked):
        job.check(request)
    assert rows(table) == []


def test_a_harm_that_is_confirmed_is_grave(asked):
    request = asked(lambda events: events.with_columns(outcome=-pl.col("outcome")))
    assert job.check(request) == 10
    severity = {alert.kind: alert.severity for alert in checks.opened(HERE)}
    assert severity == {"drift.error_cusum": Severity.GRAVE, "drift.error_eprocess": Severity.WARNING}
