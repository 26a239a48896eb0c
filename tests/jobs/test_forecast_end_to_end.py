"""The cross-sectional forecast on a small planted market, as a user runs it: three layers deploy and a scan weighs."""

import json
import subprocess
from pathlib import Path

import as_a_user
import polars as pl
import pytest

NAMESPACE = "forecast-simulated"
SMALL = (
    "market.simulation.symbols=30 market.simulation.sessions=1400 market.simulation.oracle_ic=0.3 "
    "portfolio.max_turnover=0.3 events.every_sessions=5 learning.folds=3 learning.test_days=300 learning.compare=[] "
    "learning.stack.models=[factor_weights,lightgbm] learning.stack.inner_folds=2 gate.draws=1000"
)


def run(home: Path, target: str) -> subprocess.CompletedProcess:
    return as_a_user.run(home, target, STRATEGY="forecast", PARAMS=as_a_user.parameters("forecast"), SET=SMALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def before(home):
    return run(home, "scan")


@pytest.fixture(scope="module")
def trained(home, before):
    done = run(home, "retrain")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(home, trained):
    return (home / "outputs" / "latest").resolve()


def test_without_a_champion_a_scan_weighs_by_the_rule_score(before):
    assert before.returncode == 0, before.stderr
    assert "Decided by rule score (tier 3)" in before.stdout
    assert "50% long, 50% short" in before.stdout
    assert "no sector is known, so the sector limit is not applied" in before.stderr


def test_a_planted_market_deploys_a_stack_by_the_gates_own_thresholds(home, trained, folder):
    info = json.loads((folder / "run.json").read_text())
    assert info["status"] == "deployed", trained.stdout
    assert info["parameters"]["production"]["min_sharpe"] == 1.0
    pointer = json.loads((home / f"models/{NAMESPACE}/champion.json").read_text())
    bundle = json.loads((home / f"models/{NAMESPACE}/{pointer['model_id']}/bundle.json").read_text())
    assert bundle["model"] == "stack" and bundle["features"] == "alpha_ranks+regimes3"


def test_the_layers_beside_the_whole_and_what_was_used_are_kept(folder):
    layers = pl.read_parquet(folder / "layers.parquet")
    assert {"factor_weights", "lightgbm", "average", "stack"} <= set(layers["layer"])
    assert {"features", "meta"} <= set(pl.read_parquet(folder / "notes.parquet")["layer"])


def test_the_record_counts_what_was_done_and_left_out(folder):
    lines = {line["what"]: line for line in json.loads((folder / "run.json").read_text())["health"]}
    assert (lines["folds trained"]["count"], lines["folds trained"]["of"]) == (3, 3)
    assert lines["models left out"]["count"] == 0 == lines["rows refused"]["count"]
    assert lines["dates without an event"]["of"] > 0
    older = lines["outcomes that end at a stale price (no bar in the exit session)"]
    assert (older["count"], older["why"]) == (0, "") and older["of"] > 1000


def test_the_report_says_that_no_sector_is_known_and_nothing_of_missing_widgets(trained, folder):
    unlimited = "no sector is known, so the sector limit is not applied"
    assert f"warning     {unlimited}" in trained.stdout
    report = (folder / "report.html").read_text()
    assert f"<li>{unlimited}</li>" in report and f"Here {unlimited}." in report
    assert "IProgress" not in report
    notes = sum(1 for line in json.loads((folder / "run.json").read_text())["health"] if line["why"])
    assert f"Health: {notes or 'no'} note{'' if notes == 1 else 's'} on what was done" in report


def test_no_copy_of_the_events_stays_in_the_run_folder(folder):
    assert not list(folder.glob(".*"))


def test_with_the_champion_a_scan_ranks_expects_and_weighs(home, trained, before):
    done = run(home, "scan")
    assert done.returncode == 0, done.stderr
    assert "(tier 1)" in done.stdout
    (path,) = (home / "outputs/scans").glob("*.parquet")
    answer = pl.read_parquet(path)
    assert answer["rank"].is_sorted() and answer["expected"].is_sorted(descending=True)
    assert answer["weight"].sum() == pytest.approx(0.0, abs=1e-6)
    assert answer.head(5)["weight"].sum() > 0.1 > -0.1 > answer.tail(5)["weight"].sum()
