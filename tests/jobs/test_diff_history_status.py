"""What differs between two runs, what was tried, where things stand: on runs written by hand."""

import datetime as dt
import hashlib
import json
import subprocess
import sys
from types import SimpleNamespace

import polars as pl
import pytest
import sqlalchemy as sa

from bq import runs
from bq.core import db, params, paths
from bq.core.errors import BadData, BadParameters
from bq.core.namespace import Namespace
from bq.jobs import diff, history, housekeeping, request, retrain, status
from bq.serving import journal, ledger
from bq.strategies import event_set

OLD, NEW, FAILED = "20260101T000000Z_butterfly", "20260102T000000Z_butterfly", "20260103T000000Z_butterfly"
BUTTERFLY = Namespace("butterfly")
ATTACK = "<script>alert(1)</script>"
T0 = dt.datetime(2020, 1, 3, 21, tzinfo=dt.UTC)
VARIABLES = ("STRATEGY", "PARAMS", "SET", "SYMBOLS", "FROM", "TO", "DATE", "RUN", "EVENT", "A", "B", "FORCE", "QUICK")


def component(name, holds, statement):
    return {"name": name, "holds": holds, "statement": statement, "needed": "" if holds else "12 more months"}


def verdict(decision, *components):
    rows = [["net ROI of top 5", "+0.010 [-0.020, +0.040]", "-0.002  rule score's top 5"]]
    return {
        "decision": decision,
        "headline": f"{decision}: the headline",
        "components": [*components, component("parity", True, "no flips")],
        "table": {"columns": ["figure", "candidate", "baseline"], "rows": rows, "note": ""},
        "second_tier": ["not deployed"],
        "figure": {"name": "net ROI of top 5", "value": 0.01, "low": -0.02, "high": 0.04, "baseline": -0.002}
        | {"baseline_is": "rule score"},
        "schema_version": 2,
    }


def write_run(name, *, status="kept", said=None, predictions=None, **changes):
    """A run folder as the protocol leaves it. predictions : {event: (expected, outcome)}."""
    folder = paths.outputs() / name
    folder.mkdir(parents=True)
    info = {
        "run_id": name,
        "strategy": "butterfly",
        "job": "retrain",
        "status": status,
        "error": None,
        "started_utc": f"{name[:4]}-{name[4:6]}-{name[6:8]}T00:00:00+00:00",
        "finished_utc": f"{name[:4]}-{name[4:6]}-{name[6:8]}T00:05:00+00:00",
        "title": "butterfly · 3 events",
        "headline": f"{status}: why",
        "source": "modelled",
        "parameters": {"learning": {"model": "lightgbm", "folds": 6}},
        "data_hash": "aaaa",
        "git": {"sha": "c0ffee", "dirty": False},
        "packages": {"polars": "2.1.0"},
        "seed": 7,
    }
    (folder / "run.json").write_text(json.dumps(info | changes))
    if said:
        (folder / "verdict.json").write_text(json.dumps(said))
    if predictions:
        _write_tables(folder, predictions)
    return folder


def _write_tables(folder, predictions):
    frame = pl.DataFrame(
        [
            {"event_id": event, "symbol": ATTACK, "session": T0.date(), "model": "lightgbm"}
            | {"expected": expected, "score": 50.0, "outcome": outcome}
            for event, (expected, outcome) in predictions.items()
        ]
    )
    other = frame.with_columns(model=pl.lit("shown beside it"), expected=pl.lit(9.0))
    pl.concat([other, frame]).write_parquet(folder / "oos.parquet")
    frame.filter(pl.col("expected") > 0).with_columns(by=pl.lit("candidate")).write_csv(folder / "trades.csv")
    pl.DataFrame(
        {
            "model": ["lightgbm"],
            "metric": ["net ROI"],
            "value": [frame["expected"].mean()],
            "low": [-0.5],
            "high": [0.5],
            "baseline": [0.01],
            "baseline_is": ["rule score"],
            "sessions": [1],
            "events": [len(frame)],
        }
    ).write_parquet(folder / "metrics.parquet")


def record(name, decision, said):
    at = dt.datetime.fromisoformat(f"{name[:4]}-{name[4:6]}-{name[6:8]}T00:05:00+00:00")
    row = {"fingerprint": "f", "decision": decision, "model_id": None, "events": 1234, "verdict": said}
    ledger.attempt(BUTTERFLY, run_id=name, finished_utc=at, **row)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in (*VARIABLES, "BQ_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def made(home):
    """A deployed run, a kept one after it and one that failed; the first two recorded, one rollback."""
    first = verdict("deployed", component("uplift", True, "+0.010 [+0.001, +0.020]"))
    second = verdict("kept", component("uplift", None, "+0.010 [-0.020, +0.040]"))
    write_run(OLD, status="deployed", said=first, predictions={"e1": (0.5, 0.1), "e2": (-0.1, 0.2), "e3": (0.2, 0.0)})
    write_run(
        NEW,
        said=second,
        predictions={"e1": (0.5, 0.1), "e2": (0.3, 0.2), "e4": (0.1, 0.4)},
        parameters={"learning": {"model": "lightgbm", "folds": 4}},
        packages={"polars": "2.2.0"},
    )
    write_run(FAILED, status="failed", error=f"BadData: {ATTACK}\nsecond line", data_hash="bbbb")
    (paths.outputs() / "latest").symlink_to(NEW)
    record(OLD, "deployed", first)
    record(NEW, "kept", second)
    change = {"kind": "rolled_back", "model_id": "m1", "previous": "m0", "reason": "rollback from m2"}
    journal.enter(BUTTERFLY, at_utc=dt.datetime(2026, 1, 4, tzinfo=dt.UTC), **change)
    return home


def asked(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return request.read()


# ---- which run is meant


@pytest.mark.parametrize(
    ("said", "meant"), [(OLD, OLD), ("20260103", FAILED), ("latest", NEW)], ids=["id", "begin", "latest"]
)
def test_a_run_is_named_by_its_id_its_beginning_or_latest(made, said, meant):
    assert runs.load(said).folder.name == meant


@pytest.mark.parametrize(
    "said", ["2026", "", ".", "..", "../outputs/" + OLD, "/etc", "latest/..", "nothing", "*", ATTACK]
)
def test_nothing_else_names_a_run(made, said):
    with pytest.raises(BadParameters, match=r"A must be `latest` or the beginning of one run's id"):
        runs.load(said, variable="A")


def test_a_run_under_way_is_no_run_yet(made):
    write_run("." + NEW.replace("02T", "09T"))
    assert [run.folder.name for run in runs.every()] == [FAILED, NEW, OLD]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"x"', "\x00"], ids=repr)
def test_a_damaged_record_is_said_and_costs_only_its_own_run(made, content, caplog):
    (paths.outputs() / NEW / "run.json").write_text(content)
    assert [run.folder.name for run in runs.every()] == [FAILED, OLD]
    with pytest.raises(BadData, match=r"run\.json must"):
        runs.load(NEW)


# ---- diff


def texts(parts):
    return {heading: "\n".join(c if isinstance(c, str) else repr(c) for c in contents) for heading, contents in parts}


def test_a_diff_names_what_differs_and_only_that(made):
    parts = texts(diff.compare(runs.load(OLD), runs.load(NEW)))
    assert parts["Parameters"].split()[-3:] == ["learning.folds", "6", "4"]
    made_by = {line.split()[0]: line.split()[-1] for line in parts["What made them"].splitlines()}
    assert made_by["seed"] == "=" and made_by["package"] == "2.2.0"
    assert "- A: holds: +0.010 [+0.001, +0.020]\n- B: inconclusive: +0.010 [-0.020, +0.040]" in parts["Verdict"]
    assert "parity\n\n- A and B: holds: no flips" in parts["Verdict"]
    assert "+0.200 [-0.500, +0.500]" in parts["Out-of-sample figures"]


def test_predictions_and_decisions_are_joined_by_event(made):
    parts = texts(diff.compare(runs.load(OLD), runs.load(NEW)))
    assert "3 events in A, 3 in B, 2 in both. Predictions differ for 1, outcomes for 0" in parts["Predictions"]
    assert "e2" in parts["Predictions"] and "e1" not in parts["Predictions"]
    in_a, in_b = parts["Decisions"].split("3 trades of the candidate in B")
    assert "2 trades of the candidate in A, 1 of them in A alone, mean outcome 0.000" in in_a and "e3" in in_a
    assert "2 of them in B alone, mean outcome +0.300" in in_b and "e2" in in_b and "e4" in in_b


def test_a_run_does_not_differ_from_itself(made):
    parts = texts(diff.compare(runs.load(NEW), runs.load(NEW)))
    assert parts["Parameters"] == "All parameters are the same."
    assert "same outcome and the same prediction" in parts["Predictions"]
    assert "- A:" not in parts["Verdict"]
    assert all("0 of them" in line for line in parts["Decisions"].splitlines())


def test_a_failed_run_can_be_compared_as_far_as_it_came(made):
    parts = texts(diff.compare(runs.load(NEW), runs.load(FAILED)))
    assert f"there is no oos.parquet in {FAILED} (failed)" in parts["Predictions"]
    assert "aaaa" in parts["What made them"] and "bbbb" in parts["What made them"]


def test_a_diff_is_on_the_terminal_and_a_page_whose_texts_stay_texts(made, monkeypatch, capsys):
    diff.main(asked(monkeypatch, A=OLD, B="latest"))
    shown = capsys.readouterr().out
    page = made / f"outputs/diffs/{OLD}__{NEW}.html"
    assert "learning.folds" in shown and shown.splitlines()[-1].split() == ["report", str(page)]
    text = page.read_text()
    assert "learning.folds" in text and "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert "option prices are modelled" in text


def test_without_names_the_two_newest_retrains_that_did_not_fail_are_compared(made, monkeypatch, capsys):
    diff.main(asked(monkeypatch))
    assert capsys.readouterr().out.rstrip().endswith(f"{OLD}__{NEW}.html")


def test_a_failed_run_is_never_the_latest(made):
    assert runs.latest().folder.name == runs.load("latest").folder.name == NEW
    assert runs.every()[0].folder.name == FAILED


def test_where_every_run_failed_there_is_no_latest(home):
    write_run(FAILED, status="failed", error="BadData: no bars")
    with pytest.raises(BadParameters, match="a run that did not fail must exist"):
        runs.latest()


def test_status_names_what_failed_since_below_the_runs_that_did_not(made, monkeypatch, capsys):
    status.main(asked(monkeypatch))
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if "Z_butterfly" in line]
    assert lines[:3] == [["run", NEW], ["run", OLD], ["failed", FAILED]]


@pytest.mark.parametrize("variables", [{"A": OLD}, {"B": OLD}, {"A": OLD, "B": "2025"}], ids=["A", "B", "unknown"])
def test_a_diff_of_no_two_runs_is_refused_in_one_sentence(made, monkeypatch, variables):
    with pytest.raises(BadParameters, match=r"A and B must be given|B must be"):
        diff.main(asked(monkeypatch, **variables))
    assert not (made / "outputs/diffs").exists()


def test_a_diff_without_runs_says_how_to_make_them(home, monkeypatch):
    with pytest.raises(BadParameters, match=r"two retrains that did not fail must exist.*holds 0"):
        diff.main(asked(monkeypatch))


# ---- history


def test_history_lists_attempts_failures_and_changes_of_champions_newest_first(made):
    found = history.entries()
    assert [entry.what for entry in found] == ["champion", "failed", "kept", "deployed"]
    assert found[0].text == "m1 instead of m0: rollback from m2"
    assert f"{FAILED} · (new: data, parameters, packages) · BadData: {ATTACK} second line" == found[1].text
    kept = found[2].text
    assert "(new: parameters, packages)" in kept and "1,234 events" in kept and "kept: the headline" in kept
    assert "net ROI of top 5: +0.010 [-0.020, +0.040], rule score -0.002" in kept
    assert "(first run)" in found[3].text


def test_an_attempt_whose_folder_was_removed_stays_in_the_history(made):
    for path in (paths.outputs() / OLD).iterdir():
        path.unlink()
    (paths.outputs() / OLD).rmdir()
    assert "its folder is gone" in history.entries()[-1].text


def test_history_prints_a_line_each_and_one_run_in_full(made, monkeypatch, capsys):
    history.main(asked(monkeypatch))
    assert len(capsys.readouterr().out.splitlines()) == 5
    history.main(asked(monkeypatch, RUN="20260102"))
    shown = capsys.readouterr().out
    assert "inconclusive  uplift: +0.010 [-0.020, +0.040] (needed: 12 more months)" in shown
    assert "-0.002  rule score's top 5" in shown and "second tier not deployed" in shown


def test_a_run_in_full_names_what_it_deployed_by_its_id_and_not_by_what_a_reason_says(made):
    at = dt.datetime(2026, 1, 1, 0, 5, tzinfo=dt.UTC)
    for model_id, run_id in (("m2", OLD), ("m3", None)):
        row = {"kind": "deployed", "model_id": model_id, "previous": None, "reason": f"better than {OLD}"}
        journal.enter(BUTTERFLY, at_utc=at, run_id=run_id, **row)
    shown = [line for line in history.details(runs.load(OLD)).splitlines() if line.startswith("champion ")]
    assert shown == [f"champion    butterfly: m2 instead of the rule score: better than {OLD} ({OLD})"]


def test_history_of_nothing_says_so(home, monkeypatch, capsys):
    history.main(asked(monkeypatch))
    assert capsys.readouterr().out.startswith("nothing yet")


# ---- status, verify, requests


def event_store(home, name, *, through="2020-03-01", code=None):
    folder = home / "data/events/butterfly" / f"{code or event_set.code_digest()}-{name}"
    folder.mkdir(parents=True)
    rows = [("A", 1, True), ("A", 2, True), ("B", 1, False)]  # symbol, month, whether it has ended
    pl.DataFrame(
        [
            {
                "variant": "butterfly-12345678",
                "source": "modelled",
                "taken": True,
                "symbol": symbol,
                "session": dt.date(2020, month, 3),
                "t1_due": dt.datetime(2020, month + (0 if ended else 5), 20, tzinfo=dt.UTC),
                "t1": dt.datetime(2020, month, 20, tzinfo=dt.UTC) if ended else None,
                "outcome": 0.1 if ended else None,
            }
            for symbol, month, ended in rows
        ]
    ).write_parquet(folder / "events.parquet")
    pl.DataFrame({"symbol": ["A"]}).write_parquet(folder / "refused.parquet")
    hashes = [
        hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("events.parquet", "refused.parquet")
    ]
    (folder / "state.json").write_text(json.dumps({"through": through, "tables": hashes}))


def test_status_shows_every_namespace_and_explains_the_stored_events(made, monkeypatch, capsys):
    pointer = {
        "model_id": "1234567890abcdef",
        "previous": None,
        "since_utc": "2026-01-04T00:00:00+00:00",
        "reason": "better",
    }
    for namespace, content in {"butterfly-simulated": json.dumps(pointer), "butterfly-success": "{"}.items():
        (made / "models" / namespace).mkdir(parents=True)
        (made / "models" / namespace / "champion.json").write_text(content)
    event_store(made, "aaaa")
    event_store(made, "bbbb", code="older")
    status.main(asked(monkeypatch))
    lines = capsys.readouterr().out.splitlines()
    assert "champion    butterfly: none, decisions come from the rule score" in lines
    told = "champion    butterfly-simulated: 1234567890abcdef since 2026-01-04 00:00 UTC: better"
    assert f"{told}; decisions come from the rule score" in lines, "there is no such model"
    broken = [line for line in lines if line.startswith("champion    butterfly-success: ")]
    assert len(broken) == 1 and "must hold a JSON object" in broken[0]
    (mine,) = [line for line in lines if line.endswith("modelled")]
    assert mine == (
        "events      butterfly-12345678 (aaaa): 3 events of 2 symbols on 2 sessions, 2 matured; 2020-01-03 to "
        "2020-02-03, bars to 2020-03-01; modelled"
    )
    assert lines[lines.index(mine) + 1] == "            matured/all: A 2/2, B 0/1"
    assert any(line.endswith("made by other code, built again when next asked for") for line in lines)
    assert (
        sum(line.startswith("run ") for line in lines) == 2 and sum(line.startswith("failed ") for line in lines) == 1
    )


def test_event_sets_of_one_rule_set_are_told_apart_and_that_of_the_parameters_is_named(home, monkeypatch, capsys):
    """They differ in market or dates, which a rule set's name does not say."""
    request = asked(monkeypatch)
    _, _, key = event_set.folder_of(request.strategy, request.settings).name.partition("-")
    for name in ("aaaa", key):
        event_store(home, name)
    status.main(request)
    named = [line.split(": ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("events ")]
    said = f"events      butterfly-12345678 ({key[:8]}, of these parameters)"
    assert sorted(named) == sorted(["events      butterfly-12345678 (aaaa)", said])


def test_status_of_a_damaged_store_is_a_line(home, monkeypatch, capsys):
    event_store(home, "aaaa", through="yesterday")
    status.main(asked(monkeypatch))
    assert "cannot be read" in capsys.readouterr().out


def test_status_reads_no_decision(made, monkeypatch, capsys):
    asked = []
    sa.event.listen(db.engine(), "before_cursor_execute", lambda *call: asked.append(call[2]))
    status.main(request.read())
    assert capsys.readouterr().out
    assert asked and not [statement for statement in asked if "decisions" in statement or "outcomes" in statement]


def test_status_imports_neither_models_nor_notebooks():
    heavy = ("lightgbm", "sklearn", "onnxruntime", "papermill", "nbconvert", "plotly", "sqlalchemy", "pandas", "scipy")
    code = f"import sys, bq.jobs.status; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verify_counts_each_kind_and_names_every_fault(made, monkeypatch, capsys):
    housekeeping.verify(asked(monkeypatch))
    assert "0 models, 0 pointers, 0 event tables, 3 runs: all intact" in capsys.readouterr().out
    (paths.outputs() / NEW / "run.json").write_text("{")
    event_store(made, "aaaa")
    next(made.glob("data/events/*/*/events.parquet")).write_bytes(b"PAR1")
    with pytest.raises(BadData) as caught:
        housekeeping.verify(asked(monkeypatch))
    assert NEW in str(caught.value) and "events.parquet" in str(caught.value)


def test_verify_names_each_table_that_was_changed(made, monkeypatch, capsys):
    event_store(made, "aaaa")
    run_folder = paths.outputs() / NEW
    oos = run_folder / "oos.parquet"
    recorded = json.loads((run_folder / "run.json").read_text())
    recorded["tables"] = {"oos.parquet": hashlib.sha256(oos.read_bytes()).hexdigest()}
    (run_folder / "run.json").write_text(json.dumps(recorded))
    housekeeping.verify(asked(monkeypatch))
    said = capsys.readouterr().out
    assert "2 event tables, 3 runs: all intact" in said and "unchecked   the tables of 2 runs" in said
    events = next(made.glob("data/events/*/*/events.parquet"))
    for path, column, value in ((events, "outcome", 9.0), (oos, "expected", 0.0)):
        pl.read_parquet(path).with_columns(pl.lit(value).alias(column)).write_parquet(path)
    with pytest.raises(BadData) as caught:
        housekeeping.verify(asked(monkeypatch))
    faults = str(caught.value).splitlines()
    assert len(faults) == 2 and "events.parquet: must have the hash in state.json, but its hash is another" in faults[0]
    assert f"run {NEW}: oos.parquet must have the hash in run.json, but its hash is another" in faults[1]
    oos.unlink()
    with pytest.raises(BadData, match=r"oos.parquet must have the hash in run.json, but it cannot be read: No such"):
        housekeeping.verify(asked(monkeypatch))


@pytest.mark.parametrize(
    "variables",
    [{"FROM": "2015-01-01", "TO": "2014-12-31"}, {"FROM": "2015-01-01", "SET": "market.end=2014-01-01"}],
    ids=["from-after-to", "from-after-end"],
)
def test_dates_that_leave_nothing_are_refused_before_anything_runs(home, monkeypatch, variables):
    with pytest.raises(BadParameters, match="FROM must not be after the last session read"):
        asked(monkeypatch, **variables)


def test_differences_are_dotted_names_with_both_values():
    before, after = {"a": {"b": 1, "c": [1]}, "d": None}, {"a": {"b": 2, "c": [1]}, "e": {"f": 1}}
    assert params.differences(before, after) == [("a.b", 1, 2), ("e", None, {"f": 1})]


def test_a_parameter_without_a_value_is_a_dash_among_what_changed(monkeypatch):
    same = dict.fromkeys(("namespace", "title", "data_hash", "git", "packages", "seed", "run_id"))
    before = SimpleNamespace(record=SimpleNamespace(**same, parameters={"market": {"start": "2006-01-01"}}))
    now = SimpleNamespace(record=SimpleNamespace(**same, parameters={"market": {"start": None}}, changes=[]))
    monkeypatch.setattr(runs, "every", lambda *_, **__: [before])
    retrain._changes(now)
    assert now.record.changes == ["parameter market.start: 2006-01-01 → –"]
    now.record.parameters, now.record.run_id = {f"a{n:02d}": n for n in range(24)}, "b"
    before.record.parameters, before.record.run_id = {}, "a"
    retrain._changes(now)
    *_, last, more = now.record.changes
    assert (last, more) == ("parameter a19: – → 19", "4 more parameters: make diff A=a B=b")


def test_check_data_shows_the_table_and_then_says_why_the_data_is_refused(home, monkeypatch, capsys):
    folder = home / "data/raw/bars"
    folder.mkdir(parents=True)
    (folder / "A.csv").write_text("date,close\n2020-01-02,1\n2020-01-03,-1\n")
    with pytest.raises(BadData, match="not_positive 1") as caught:
        housekeeping.check_data(asked(monkeypatch, SET="market.source=files"))
    assert "check-data" not in str(caught.value)
    said = capsys.readouterr().out.splitlines()
    reasons = [line for line in said if line.startswith("    ")]
    assert len(reasons) == 4, "a line for each finding"
    assert "    not_positive ×1 (row 2, 2020-01-03: close must be > 0, but is -1.0)" in reasons
    assert (home / "outputs/check_data/bars_findings.csv").is_file()
