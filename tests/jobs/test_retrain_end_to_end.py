"""`make retrain` on a small planted market, as a user runs it: a process, a home, files."""

import json
import re
import sqlite3
import subprocess
from pathlib import Path

import as_a_user
import polars as pl
import pytest

from bq.serving import registry

NAMESPACE = "butterfly-simulated"
SMALL = (
    "market.simulation.symbols=12 market.simulation.sessions=1700 events.first=2012-01-02 learning.folds=4 "
    "learning.test_days=300 gate.draws=1000 policy.k=3 gate.min_blocks=10"
)


def run(home: Path, target: str, **variables: str) -> subprocess.CompletedProcess:
    return as_a_user.run(home, target, **{"PARAMS": as_a_user.parameters("butterfly"), "SET": SMALL, **variables})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(home):
    done = run(home, "retrain")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(home, first):
    return (home / "outputs" / "latest").resolve()


def test_a_planted_market_deploys(home, first, folder):
    info = json.loads((folder / "run.json").read_text())
    assert info["status"] == "deployed", first.stdout
    assert info["source"] == "simulated"
    pointer = json.loads((home / "models/butterfly-simulated/champion.json").read_text())
    assert (home / "models/butterfly-simulated" / pointer["model_id"] / "model.onnx").is_file()
    assert "Deployed " + pointer["model_id"] in first.stdout


def test_a_simulated_market_deploys_nothing_for_the_real_one(home, first):
    assert {path.name for path in (home / "models").iterdir()} == {NAMESPACE, f"{NAMESPACE}-success"}


def test_the_verdict_is_one_screen_with_reasons_and_the_path_of_the_report(home, first):
    lines = first.stdout.splitlines()
    assert len(lines) <= 25
    assert lines[1] == "Not evidence about the market: this market is simulated."
    report = re.search(r"^report +(\S+)$", first.stdout, re.M).group(1)
    assert (home / report).is_file()


def test_a_log_holds_plain_lines_without_progress_bars(first):
    assert "\x1b" not in first.stdout + first.stderr and "%|" not in first.stderr


def test_the_run_record_names_what_made_it(folder):
    info = json.loads((folder / "run.json").read_text())
    assert info["parameters"]["market"]["simulation"]["symbols"] == 12
    assert len(info["data_hash"]) == 64 and info["git"].keys() == {"sha", "dirty"} and info["seed"] == 7
    assert {"lightgbm", "onnxruntime", "polars"} <= info["packages"].keys()
    assert all(phase["seconds"] >= 0 and phase["peak_rss_mib"] > 0 for phase in info["phases"])


def test_the_report_shows_the_verdict_first_and_loads_nothing(folder):
    text = (folder / "report.html").read_text()
    assert text.index("Deployed") < text.index("Feature exploration")
    assert "this market is simulated" in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", text)
    assert (folder / "report.html").stat().st_size < 6e6


def test_every_trade_behind_the_figures_is_listed_with_its_fill_sensitivity(folder):
    trades = pl.read_csv(folder / "trades.csv")
    assert set(trades["by"]) == {"candidate", "rule score"}
    assert {"session", "symbol", "structure", "roi_0%", "roi_25%", "roi_50%", "roi_100%"} <= set(trades.columns)
    assert trades.group_by("by", "session").len()["len"].max() == 3


def test_out_of_sample_events_were_predicted_by_models_that_ended_before_them(folder):
    oos, folds = pl.read_parquet(folder / "oos.parquet"), pl.read_parquet(folder / "folds.parquet")
    assert len(folds) == 4 and oos["fold"].n_unique() == 4
    assert oos.group_by("model", "event_id").len()["len"].max() == 1


def test_a_second_run_without_a_trigger_says_how_far_each_is_and_changes_nothing(home, first, folder):
    before = sorted(path.name for path in (home / "outputs").iterdir())
    done = run(home, "retrain")
    assert done.returncode == 0 and "no trigger holds since" in done.stdout
    assert "0 of 500 new matured events" in done.stdout and "days before the newest event, of at most" in done.stdout
    assert sorted(path.name for path in (home / "outputs").iterdir()) == before


def test_scan_answers_from_the_champion(home, first):
    done = run(home, "scan")
    assert done.returncode == 0, done.stderr
    assert "(tier 1)" in done.stdout
    answer = pl.read_parquet(next((home / "outputs/scans").glob("*_butterfly-simulated.parquet")))
    fields = {"predicted_class", "class_probabilities", "expected", "confidence"}
    fields |= {"should_trade", "tier", "model", "threshold", "in_sample", "outside_support", "why_not_champion"}
    assert fields <= set(answer.columns)
    assert set(answer["tier"]) == {1} and answer["expected"].null_count() == 0


def test_the_real_market_has_no_champion_and_scan_says_that_the_rule_score_decides(home, first):
    done = run(home, "scan", PARAMS="", SET="market.symbols=[AAPL,KO] market.start=2015-01-01")
    assert done.returncode == 0, done.stderr
    assert "(tier 3)" in done.stdout and "no champion is deployed" in done.stdout
    assert "option prices are modelled" in done.stdout


@pytest.mark.parametrize("target", ["verify", "status", "report"])
def test_housekeeping_targets_pass(home, first, target):
    done = run(home, target)
    assert done.returncode == 0, done.stderr


def last_tier(home) -> int:
    with sqlite3.connect(home / "data/bq.db") as connection:
        return connection.execute("select tier from decisions order by scan_id desc limit 1").fetchone()[0]


def test_a_damaged_model_is_found_by_verify_and_the_next_tier_decides(home, first):
    champion, second = (
        next((home / "models" / namespace).glob("*/model.onnx")) for namespace in (NAMESPACE, f"{NAMESPACE}-success")
    )
    whole = champion.read_bytes(), second.read_bytes()
    try:
        champion.write_bytes(whole[0][:-1] + bytes([whole[0][-1] ^ 1]))
        verified, scanned = run(home, "verify"), run(home, "scan")
        assert verified.returncode == 5 and "model.onnx" in verified.stderr
        assert scanned.returncode == 0 and "(tier 2)" in scanned.stdout and "model.onnx" in scanned.stdout
        assert last_tier(home) == 2
        second.unlink()
        assert "(tier 3)" in run(home, "scan").stdout and last_tier(home) == 3
    finally:
        champion.write_bytes(whole[0])
        second.write_bytes(whole[1])
    assert "(tier 1)" in run(home, "scan").stdout and last_tier(home) == 1


def test_a_champion_that_is_gone_or_of_another_schema_leaves_the_decision_to_the_second_tier(home, first, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(home))
    pointer = home / "models" / NAMESPACE / "champion.json"
    before, folder = pointer.read_bytes(), pointer.parent / json.loads(pointer.read_text())["model_id"]
    try:
        whole = registry.load(folder)
        bundle = whole.bundle.model_copy(update={"schema_hash": "another"})
        registry.deploy(NAMESPACE, registry.Artefact.of(whole.graph, bundle, whole.card), reason="test")
        assert "must be those of butterfly_v2" in run(home, "scan").stdout and last_tier(home) == 2
        pointer.write_bytes(before)
        folder.rename(folder.with_name("elsewhere"))
        assert "must have a manifest.json" in run(home, "scan").stdout and last_tier(home) == 2
    finally:
        pointer.write_bytes(before)
        if not folder.is_dir():
            folder.with_name("elsewhere").rename(folder)


def test_rollback_goes_down_the_tiers_one_by_one_and_every_command_says_who_decides(home, first):
    pointers = [home / "models" / namespace / "champion.json" for namespace in (NAMESPACE, f"{NAMESPACE}-success")]
    before = [pointer.read_bytes() for pointer in pointers]
    second = json.loads(before[1])["model_id"]
    try:
        done = run(home, "rollback")
        assert done.returncode == 0 and f"the success-probability model {second} decides" in done.stdout
        told = f"{NAMESPACE}: none, decisions come from the success-probability model {second}"
        assert told in run(home, "status").stdout
        scanned = run(home, "scan").stdout
        assert second in scanned and last_tier(home) == 2
        done = run(home, "rollback")
        assert done.returncode == 0 and f"{NAMESPACE}: the rule score decides" in done.stdout
        assert f"{NAMESPACE}: none, decisions come from the rule score" in run(home, "status").stdout
        rolled_back = [pointer.read_bytes() for pointer in pointers]
        done = run(home, "rollback")
        assert done.returncode == 1 and "a model must be deployed" in done.stderr
        assert [pointer.read_bytes() for pointer in pointers] == rolled_back
    finally:
        for pointer, content in zip(pointers, before, strict=True):
            pointer.write_bytes(content)


def test_the_card_of_the_success_model_holds_its_figures_and_the_ledger_its_trial(home, first):
    card = json.loads(next((home / "models" / f"{NAMESPACE}-success").glob("*/card.json")).read_text())
    assert {"log-loss", "AUC of P(Success)"} <= {row["metric"] for row in card["metrics_oos"]}
    asked = {"sample_time", "net_of_trades", "drawdown", "calibration", "artefact"}
    assert asked <= {component["facts"]["kind"] for component in card["components"]}
    with sqlite3.connect(home / "data/bq.db") as connection:
        rows = connection.execute(
            "select distinct strategy, name, simulated, tier from looks where kind = 'gate'"
        ).fetchall()
    assert sorted(rows) == [("butterfly", "butterfly", 1, 1), ("butterfly", "butterfly", 1, 2)]


def test_a_locked_second_run_says_so_and_exits_with_its_own_code(home, first):
    from filelock import FileLock

    with FileLock(home / "data/.butterfly-simulated.lock"):
        done = run(home, "retrain", FORCE="1")
    assert done.returncode == 3 and "one run at a time" in done.stderr


MISTAKES = {
    "unknown parameter": ({"SET": "learning.folsd=3"}, 4, "did you mean `learning.folds`?"),
    "wrong type": ({"SET": "learning.folds=three"}, 4, "must be a whole number, but got 'three' (text)"),
    "yaml 1.1 boolean": ({"SET": "learning.folds=NO"}, 4, "but got 'NO' (text)"),
    "overlapping labels": ({"SET": "learning.gap_days=5"}, 4, "would overlap the test block by"),
    "score as a feature": ({"SET": "learning.features=score"}, 4, "must name a feature set"),
    "unknown model": ({"SET": "learning.model=lightgmb"}, 4, "did you mean `lightgbm`?"),
    "unknown strategy": ({"STRATEGY": "buterfly"}, 4, "did you mean `butterfly`?"),
    "missing file": (
        {"PARAMS": "nowhere.yaml"},
        4,
        "file, but got 'nowhere.yaml'; known: parameters/",
    ),
    "bad date": ({"FROM": "yesterday"}, 4, "must be a date such as"),
    "name that is code": ({"SET": "x=1\nopen('pwned','w')=2"}, 4, "SET: `x` is not a parameter"),
    "no session": ({"DATE": "2012-07-04"}, 5, "must be a session with bars"),
}


@pytest.mark.parametrize("case", MISTAKES, ids=lambda name: name.replace(" ", "-"))
def test_a_mistake_is_one_clear_sentence_and_changes_nothing(home, first, case):
    variables, code, sentence = MISTAKES[case]
    before = sorted(str(path) for path in home.rglob("*") if path.is_file() and "bq.db" not in path.name)
    done = run(home, "scan" if "DATE" in variables else "retrain", **variables)
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(str(path) for path in home.rglob("*") if path.is_file() and "bq.db" not in path.name) == before
