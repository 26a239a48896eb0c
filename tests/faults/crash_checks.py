"""What must hold in a home after a fault in each work, and after the work was done once more."""

import json
import sqlite3
from functools import lru_cache
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from crash_child import CHANGED, DECIDED, DUE, NAMESPACE, SCANNED, artefact, world

from bq.core import db, files, paths
from bq.monitoring import drift, kept, refuted
from bq.serving import ledger, registry


def check_deploy(home: Path, monkeypatch) -> None:
    monkeypatch.setenv("BQ_HOME", str(home))
    model = registry.champion(NAMESPACE)
    assert model in (artefact("old"), artefact("new"))
    with sqlite3.connect(home / "data" / "bq.db") as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        journal = connection.execute("select model_id, previous from deployments order by id").fetchall()
    old, new = artefact("old").model_id, artefact("new").model_id
    assert journal in ([(old, None)], [(old, None), (new, old)])
    assert model.model_id in {row[0] for row in journal}


def heal_deploy(home: Path) -> None:
    assert registry.champion(NAMESPACE) == artefact("next")
    assert not list(paths.models(NAMESPACE).glob(".*"))


JOURNAL = "select kind, model_id, previous from deployments order by id"


def check_retire(home: Path, monkeypatch) -> None:
    """The model decides, or it does not and is known to be retired, with the change that evidence begins with."""
    monkeypatch.setenv("BQ_HOME", str(home))
    old = artefact("old").model_id
    deployed, retired = ("deployed", old, None), ("retired", registry.NONE, old)
    found = rows(home, JOURNAL)
    assert found in ([deployed], [deployed, retired])
    if registry.champion(NAMESPACE) is None:
        assert found == [deployed, retired]
        assert rows(home, "select kind, closed_utc from alerts") == [("retired", None)]


def heal_retire(home: Path) -> None:
    assert registry.champion(NAMESPACE) is None
    assert {row[0] for row in rows(home, JOURNAL)} == {"deployed", "retired"}
    assert rows(home, "select kind, closed_utc from alerts") == [("retired", None)]
    assert str(refuted.since(NAMESPACE)) == CHANGED["changed"]
    db.close()


def check_write_state(home: Path, _) -> None:
    state = files.read_json(home / "state.json")
    assert state in [{"name": name, "long": [name] * 500} for name in ("old", "new")]
    page = (home / "new folder" / "page.html").read_text()
    assert page in [f"{name * 5000}</html>" for name in ("old", "new")]


def heal_write_state(home: Path) -> None:
    assert files.read_json(home / "state.json")["name"] == "next"
    assert not list(home.glob(".*"))


def check_publish(home: Path, _) -> None:
    outputs = home / "outputs"
    assert (outputs / "index.html").read_text().rstrip().endswith("</html>")
    assert files.read_json(outputs / "latest" / "run.json")["status"] == "done"
    for folder in outputs.glob("[0-9]*"):
        info = files.read_json(folder / "run.json")
        assert info["status"] in ("done", "failed")
        assert info["error"] or (folder / "report.html").read_text() == "report</html>"


def heal_publish(home: Path) -> None:
    outputs = home / "outputs"
    assert not list(outputs.glob(".*"))
    records = [files.read_json(folder / "run.json") for folder in sorted(outputs.glob("[0-9]*"))]
    assert {info["status"] for info in records} <= {"done", "failed", "killed"}
    newest = records[-1]
    assert newest["status"] == "done" and (outputs / "latest").readlink().name == newest["run_id"]
    reported = [info["run_id"] for info in records if (outputs / info["run_id"] / "report.html").is_file()]
    assert all(run_id in (outputs / "index.html").read_text() for run_id in reported)


def rows(home: Path | str, query: str) -> list[tuple]:
    """Of a home, whose database must be whole, or of the database with this URL."""
    if isinstance(home, str):
        with sa.create_engine(home, poolclass=sa.NullPool).connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]
    with sqlite3.connect(home / "data" / "bq.db") as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return connection.execute(query).fetchall()


def sessions(*names: str) -> list[tuple[str, int]]:
    """A scan of each, with both symbols."""
    _, _, _, days = world()
    return [(str(days[SCANNED[name]]), 2) for name in names]


SCANS = "select s.session, count(*) from scans s join decisions using (scan_id) group by scan_id order by scan_id"


def check_scan(home: Path, _) -> None:
    assert rows(home, SCANS) in (sessions("old"), sessions("old", "new"))
    assert rows(home, "select count(*) from scans") == [(len(rows(home, SCANS)),)]
    for file in (home / "outputs" / "scans").glob("[0-9]*.parquet"):
        assert len(pl.read_parquet(file)) == 2


def heal_scan(home: Path) -> None:
    found = rows(home, SCANS)
    assert found in (sessions("old", "next"), sessions("old", "new", "next"))
    written = [file.name[:10] for file in sorted((home / "outputs" / "scans").glob("[0-9]*.html"))]
    assert {sessions(name)[0][0] for name in ("old", "next")} <= set(written)


@lru_cache
def came_to(name: str) -> list[tuple]:
    """Event and outcome of all decisions that are due by then, as the strategy builds them."""
    strategy, settings, market, days = world()
    wanted = {symbol: [days[place] for place in DECIDED] for symbol in market.bars["symbol"].unique()}
    built = strategy.table.build(market, settings, wanted).events
    due = built.filter(pl.col("t1_due").dt.date() <= days[DUE[name]]).sort("event_id")
    return due.select("event_id", pl.lit(0), "outcome").rows()


OUTCOMES = "select event_id, revision, outcome from outcomes order by event_id, revision"


def check_mature(home: Path, _) -> None:
    assert len(came_to("old")) < len(came_to("new")) < len(came_to("next"))
    assert rows(home, OUTCOMES) in (came_to("old"), came_to("new"))
    for state in (home / "data" / "matured").glob("[a-z]*.json"):
        assert files.read_json(state)["data_hash"] in ("old", "new")


def heal_mature(home: Path) -> None:
    assert rows(home, OUTCOMES) == came_to("next")
    (state,) = (home / "data" / "matured").glob("[a-z]*.json")
    assert files.read_json(state)["data_hash"] == "next"


def days_checked(home: Path | str) -> tuple[list[str], list[str]]:
    """Days with checks of drift, and of performance: each has all kinds once."""
    days: dict[str, list[str]] = {}
    for what, day in rows(home, "select what, day from checks order by what, day"):
        days.setdefault(what, []).append(day)
    assert set(drift.KINDS) < set(days)
    of_drift = {tuple(found) for what, found in days.items() if what in drift.KINDS}
    of_performance = {tuple(found) for what, found in days.items() if what not in drift.KINDS}
    assert (len(of_drift), len(of_performance)) == (1, 1), days
    return list(*of_drift), list(*of_performance)


def alerts(home: Path | str) -> dict[str, bool]:
    """Whether the alert of each kind is open; each is of one check, which is there and of its kind."""
    kinds = {number: f"drift.{what}" for number, what in rows(home, "select id, what from checks")}
    found = rows(home, "select kind, closed_utc is null, cast(check_ids as text) from alerts")
    assert all([kinds[number] for number in json.loads(named)] == [kind] for kind, _, named in found)
    assert len(dict(row[:2] for row in found)) == len(found)
    return {kind: bool(is_open) for kind, is_open, _ in found}


OPENED = {"drift.error_cusum": True, "drift.error_eprocess": True}


def check_check_drift(home: Path, _) -> None:
    drifted, performed = days_checked(home)
    assert (len(drifted), len(performed)) in ((1, 1), (2, 1), (2, 2))
    found = alerts(home)
    changed = not found.pop("drift.input") or found
    assert len(drifted) == 2 or not changed
    assert found.items() <= OPENED.items()


def heal_check_drift(home: Path | str) -> None:
    assert [len(days) for days in days_checked(home)] == [2, 2]
    assert alerts(home) == {"drift.input": False, **OPENED}


def check_cycle(home: Path, _) -> None:
    """What is recorded has its page."""
    check_scan(home, _)
    pages = {file.name[:10] for file in (home / "outputs" / "scans").glob("[0-9]*.html")}
    assert {session for session, _ in rows(home, SCANS)} <= pages


def heal_cycle(home: Path) -> None:
    """Every session was decided on once, and the newest report has seen all of it."""
    assert rows(home, SCANS) == sessions("old", "new", "next")
    records = [files.read_json(file) for file in sorted((home / "outputs").glob("*__drift/run.json"))]
    assert {record["status"] for record in records} <= {"done", "failed", "killed"}
    newest = max(records, key=lambda record: record["sequence"])
    assert newest["status"] == "done" and newest["seen"]["scan_id"] == rows(home, COUNTING)[0][0]


COUNTING = "select max(scan_id) from scans where not late"


def deployed(home: Path) -> list[str]:
    """Of which works the models of the journal are, in order. One of the last two decides: it is written first."""
    namespace = world()[1].namespace
    models = [row[0] for row in rows(home, "select model_id from deployments order by id")]
    assert registry.champion(namespace).model_id in models[-2:]
    return [registry.load(registry.folder(namespace, model)).bundle.model for model in models]


ATTEMPTS = "select run_id, decision, model_id from attempts order by number"


def check_retrain(home: Path, monkeypatch) -> None:
    """A model decides, whole; an attempt stands in the ledger once, after its look and its deployment."""
    monkeypatch.setenv("BQ_HOME", str(home))
    models = deployed(home)
    assert models in (["old"], ["old", "new"])
    attempts = rows(home, ATTEMPTS)
    assert len({run for run, *_ in attempts}) == len(attempts) <= len(models)
    looks = rows(home, "select study, count(*) from looks group by study")
    assert {run for run, *_ in attempts} <= {study for study, _ in looks} and {n for _, n in looks} == {1}
    assert not ledger.faults()
    db.close()


def heal_retrain(home: Path) -> None:
    """What was asked for was done: by the first, or by the one after it, and then once."""
    models, attempts = deployed(home), rows(home, ATTEMPTS)
    assert models in (["old", "new"], ["old", "next"], ["old", "new", "next"])
    assert attempts[-1][1] == "deployed" and attempts[-1][2] == registry.champion(world()[1].namespace).model_id
    records = {file.parent.name: files.read_json(file) for file in (home / "outputs").glob("[0-9]*/run.json")}
    assert records[attempts[-1][0]]["status"] == "deployed" and not list((home / "outputs").glob(".*"))
    assert {record["status"] for record in records.values()} <= {"deployed", "failed", "killed"}
    assert {run for run, *_ in attempts} <= set(records)
    assert kept.distances(world()[1].namespace).triggers
    db.close()


CHECKS = {
    "retrain": check_retrain,
    "deploy": check_deploy,
    "retire": check_retire,
    "write_state": check_write_state,
    "publish": check_publish,
    "scan": check_scan,
    "mature": check_mature,
    "cycle": check_cycle,
    "check_drift": check_check_drift,
}
HEALED = {
    "retrain": heal_retrain,
    "deploy": heal_deploy,
    "retire": heal_retire,
    "write_state": heal_write_state,
    "publish": heal_publish,
    "scan": heal_scan,
    "mature": heal_mature,
    "cycle": heal_cycle,
    "check_drift": heal_check_drift,
}
