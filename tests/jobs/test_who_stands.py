"""The dashboard of a home: two namespaces with runs, one of them without anything else; what is damaged or away."""

import datetime as dt
import json

import pytest

from bq.__main__ import main
from bq.core import db, files, paths
from bq.core.namespace import Namespace, Tier
from bq.jobs import standing, status
from bq.jobs.run import publish
from bq.monitoring import checks, kept
from bq.monitoring.checks import Severity
from bq.runs import read
from bq.runs.record import Cause, Trigger
from bq.serving import ready, registry
from bq.serving.registry import Decider
from bq.surface import params
from tests.season import model, record, season
from tests.stored import run_record

BUTTERFLY, FORECAST = Namespace("butterfly"), Namespace("forecast", simulated=True)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
VERDICT = {
    "schema_version": 2,
    "decision": "deployed",
    "headline": "h",
    "figure": {"name": "net", "value": 0.125, "low": 0.05, "high": 0.2, "baseline": -0.25, "baseline_is": "rule score"},
}


def write_run(name: str, *, namespace: str, days_ago: int = 0, every: int | None = None, **changes) -> None:
    folder, at = paths.outputs() / name, NOW - dt.timedelta(days=days_ago)
    given = "gate.draws=1000 policy.k=3" + (f" run.expected_every_days={every}" if every else "")
    known = {"parameters": params(namespace.split("-")[0], overrides=given).model_dump(mode="json")}
    made = run_record(name, namespace=namespace, started_utc=at, finished_utc=at, **known, **changes)
    files.write_json(folder / "run.json", made.plain())
    files.write_json(folder / "verdict.json", VERDICT)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A deployed model that decided, with the run that made it; another namespace with a run alone."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "STRATEGY", "PARAMS", "SET", "DATE"):
        monkeypatch.delenv(name, raising=False)
    made = season(90)
    days = made["session"].unique().sort()
    deployed = model(made.filter(made["session"] < days[60]))
    registry.deploy(BUTTERFLY, deployed, reason="test", run_id="20261101T000000Z_butterfly")
    record(made.filter(made["session"] >= days[60]), deployed.model_id, BUTTERFLY)
    kinds = {"source": "modelled", "status": "deployed", "deployed": [deployed.model_id]}
    write_run("20261101T000000Z_butterfly", namespace="butterfly", sequence=1, **kinds)
    write_run("20261102T000000Z_forecast-simulated", namespace="forecast-simulated", sequence=2, source="simulated")
    decider = {BUTTERFLY: Decider(Tier.CHAMPION, deployed.model_id)}  # its graph is no model: no runtime is asked
    monkeypatch.setattr(ready, "decides", lambda namespace: decider.get(namespace, Decider(Tier.RULE)))
    return tmp_path


def every() -> dict[Namespace, standing.Standing]:
    return {one.namespace: one for one in standing.every(read.every(), now=NOW)}


def test_every_namespace_with_a_run_or_a_champion_stands_there(home):
    found = every()
    assert list(found) == [BUTTERFLY, FORECAST]
    ours, other = found[BUTTERFLY], found[FORECAST]
    assert (
        ours.deployed.evidence.run_id == "20261101T000000Z_butterfly" and ours.deployed.evidence.figure.value == 0.125
    )
    assert (ours.overview.counted, ours.overview.matured, ours.overview.sessions) == (240, 240, 30)
    assert (other.deployed, other.overview.counted, other.heat, other.distances) == (None, 0, None, None)
    assert (other.newest.source, other.source, ours.source) == ("simulated", "simulated", "modelled")
    assert (ours.silent, other.silent) == ("", "")


def test_decisions_alone_are_enough_to_stand_there(home):
    record(season(2), "0" * 16, Namespace("breakout"))
    assert every()[Namespace("breakout")].overview.counted == 16


def test_decisions_of_a_market_that_is_simulated_are_shown_though_no_run_says_so(home):
    simulated = Namespace("butterfly", simulated=True)
    known = params("butterfly", overrides="market.source=simulated")
    record(season(2), "0" * 16, simulated, known.model_dump(mode="json"))
    assert every()[simulated].overview.counted == 16


def test_decisions_whose_parameters_are_recorded_nowhere_are_said_to_be_unknown(home):
    named = Namespace("butterfly", "of_old")
    record(season(2), "0" * 16, named)
    assert every()[named].fault.startswith("neither a run nor a scan of butterfly")


def test_the_page_shows_both_and_why_one_has_nothing(home):
    checks.open_alert(BUTTERFLY, kind="x", severity=Severity.GRAVE, statement="errors rose <b>", check_ids=[])
    kept.enter(BUTTERFLY, [Trigger(kind=Cause.EVENTS, holds=False, value=132, threshold=500, text="132 of 500 new")])
    publish.write_index()
    page = (home / "outputs" / "index.html").read_text()
    for said in ("errors rose &lt;b&gt;", "132 of 500 new", "Nothing counted yet: what counts is", "no open alert"):
        assert said in page
    assert page.count('class="running small"') == 2 and page.count("deployed on net: +0.125 [+0.050, +0.200]") == 1
    assert page.index("market is simulated") < page.index("<h2>Runs")


def test_the_page_of_what_is_traded_is_linked_where_there_is_one(home):
    files.write_text(home / "outputs" / "trading" / "butterfly.html", "<p>held</p>")
    publish.write_index()
    page = (home / "outputs" / "index.html").read_text()
    assert page.count('<a href="trading/butterfly.html">') == 1 and "trading/forecast" not in page


def test_a_database_that_is_away_is_said_and_the_page_is_written(home, monkeypatch):
    monkeypatch.setenv("BQ_DATABASE_URL", f"sqlite:///{home}/outputs")
    db.close()
    publish.write_index()
    page = (home / "outputs" / "index.html").read_text()
    assert page.count("Not known: BQ_DATABASE_URL: the database") == 2 and "deployed on net: +0.125" in page


def test_parameters_of_another_version_are_those_of_the_strategy_today(home):
    folder = home / "outputs" / "20261101T000000Z_butterfly" / "run.json"
    content = json.loads(folder.read_text())
    folder.write_text(json.dumps(content | {"parameters": {"strategy": "butterfly", "unheard_of": 1}}))
    assert every()[BUTTERFLY].overview.counted == 240


def test_a_champion_that_cannot_answer_is_named(home, monkeypatch):
    monkeypatch.setattr(ready, "decides", lambda namespace: Decider(Tier.RULE))
    assert every()[BUTTERFLY].silent == registry.pointer(BUTTERFLY).model_id


def test_a_damaged_model_leaves_the_page_whole(home):
    pointer = registry.pointer(BUTTERFLY)
    (registry.folder(BUTTERFLY, pointer.model_id) / "model.onnx").write_bytes(b"other")
    found = every()[BUTTERFLY]
    assert found.deployed is None and "model.onnx must have the hash" in found.fault
    assert every()[FORECAST].fault == ""


OVERDUE = [
    pytest.param(9, 1, True, id="nine days, daily"),
    pytest.param(1, 1, False, id="one day, daily"),
    pytest.param(6, 7, False, id="six days, weekly"),
    pytest.param(9, None, False, id="none expected"),
]


@pytest.mark.parametrize(("days", "expected", "late"), OVERDUE)
def test_a_schedule_that_stopped_is_seen_by_status_and_its_exit_code(home, capsys, monkeypatch, days, expected, late):
    write_run("20261103T000000Z_forecast-simulated", namespace="forecast-simulated", days_ago=days, every=expected)
    for name in ("20261102T000000Z_forecast-simulated",):
        (home / "outputs" / name / "run.json").unlink()
    assert main(["status"]) == (status.OVERDUE if late else 0)
    said = capsys.readouterr().out
    assert ("overdue     forecast-simulated: last run 9 days ago, expected daily" in said) is late


def test_the_namespace_asked_about_is_expected_by_its_parameters(home, capsys, monkeypatch):
    monkeypatch.setenv("SET", "run.expected_every_days=2")
    assert main(["status"]) == 0
    monkeypatch.setenv("STRATEGY", "breakout")
    assert main(["status"]) == 11
    assert "overdue     breakout: no run yet, expected every 2 days" in capsys.readouterr().out


def test_a_retrain_that_found_nothing_to_do_is_a_run(home, monkeypatch):
    write_run("20261103T000000Z_forecast-simulated", namespace="forecast-simulated", days_ago=9, every=1)
    (home / "outputs" / "20261102T000000Z_forecast-simulated" / "run.json").unlink()
    assert every()[FORECAST].schedule.overdue(NOW)
    kept.enter(FORECAST, [])
    assert not every()[FORECAST].schedule.overdue(NOW)


def test_a_run_that_failed_is_none_that_came(home):
    failed = {"status": "failed", "error": "no"}
    write_run("20261103T000000Z_forecast-simulated", namespace="forecast-simulated", every=1, sequence=3, **failed)
    write_run("20261102T000000Z_forecast-simulated", namespace="forecast-simulated", days_ago=3, sequence=2)
    found = every()[FORECAST].schedule
    assert (found.days(NOW), found.overdue(NOW)) == (3, True)


def test_status_shows_alerts_and_the_distance_of_each_trigger(home, capsys):
    checks.open_alert(BUTTERFLY, kind="x", severity=Severity.GRAVE, statement="errors rose", check_ids=[])
    kept.enter(BUTTERFLY, [Trigger(kind=Cause.EVENTS, holds=False, text="132 of 500 new matured events")])
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "alert       grave: errors rose" in said
    assert "triggers    butterfly: 132 of 500 new matured events (as of " in said


def test_damaged_distances_are_unknown(home, capsys):
    kept.enter(BUTTERFLY, [])
    kept.path(BUTTERFLY, kept.TRIGGERS).write_text("{")
    assert kept.distances(BUTTERFLY) is None and main(["status"]) == 0
