"""What a newcomer tries first: a stack alone, a quick look, an event just scanned, a variable mistyped."""

import datetime as dt
import importlib
import os
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from bq import market, runs
from bq.__main__ import TARGETS
from bq.core import db, params, paths
from bq.core.errors import BadParameters, BQError
from bq.core.namespace import Namespace, Tier
from bq.core.settings import Gate
from bq.jobs import explain, history, housekeeping, notebook, request, retrain, scan
from bq.serving import bounds, gates, journal, ledger, out_of_sample, verdict_text
from bq.stats.bootstrap import Interval
from bq.strategies import breakout, butterfly, store
from bq.strategies.component import Kind
from bq.strategies.forecast import STRATEGY
from bq.workbench import notebooks

FILE = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
NAMESPACE = "forecast-simulated"
SMALL = (
    "market.simulation.symbols=6 market.simulation.sessions=1002 events.every_sessions=5 learning.folds=2 "
    "learning.test_days=150 learning.newest_days=60 learning.regimes=null learning.model=elastic_net "
    'learning.compare=[] learning.hyperparameters={"lightgbm":{"n_estimators":50}} gate.draws=1000 '
    "learning.stack.models=[elastic_net,lightgbm] learning.stack.inner_folds=2"
)
SCREEN = 60  # lines
INDEX, TEARSHEET = "index.html", "tearsheet.html"  # of all runs; linked in its report
VARIABLES = ("STRATEGY", "PARAMS", "SET", "FORCE", "QUICK", "SYMBOLS", "FROM", "TO", "DATE", "RUN", "EVENT", "A", "B")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def go(home, monkeypatch, capsys):
    """Run a job on a small simulated panel with the variables of the Makefile; what it printed."""
    monkeypatch.setenv("BQ_HOME", str(home))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    small = home / "small.yaml"
    if not small.exists():
        loaded = params.load(FILE, STRATEGY.settings, overrides=SMALL)
        small.write_text(params.to_yaml(loaded.model_dump(mode="python")))

    def run(main, **variables) -> str:
        given = {"STRATEGY": "forecast", "PARAMS": small, **variables}
        for name in VARIABLES:
            monkeypatch.setenv(name, str(given.get(name, "")))
        before = pages()
        main(request.read())
        printed = capsys.readouterr().out
        unsaid = [page for page, written in pages().items() if before.get(page) != written and page not in printed]
        assert not unsaid, f"a target ends with the whole path of its page, but never named {unsaid}"
        return printed

    return run


def pages() -> dict[str, int]:
    """The pages that somebody may open, by their whole paths, and when each was written."""
    found = [page for page in paths.outputs().rglob("*.html") if page.name not in (INDEX, TEARSHEET)]
    return {str(page): page.stat().st_mtime_ns for page in found if not page.parent.is_symlink()}


def rows(table: sa.Table) -> int:
    with db.engine().connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_a_stack_is_trained_and_shown_although_the_parameters_choose_another_model(go):
    printed = go(notebook.stack)
    assert "warning     the parameters choose elastic_net; this is what learning.model=stack would be" in printed
    run = runs.latest(NAMESPACE, job="stack")
    assert run.record.status == "done" and run.record.parameters["learning"]["model"] == "stack"
    assert "Rank IC of the whole: " in run.report.read_text()
    findings = notebooks.findings(run.notebooks[0])[:3]
    assert "The stack has rank IC" in findings[0] and len(findings) == 3
    for ending in (printed, go(housekeeping.report)):
        lines = ending.splitlines()
        at = next(place for place, line in enumerate(lines) if line.startswith("shows "))
        assert [line[12:] for line in lines[at : at + 3]] == findings
        assert lines[-1] == f"report      {run.report}"
    assert not (paths.home() / "models").exists()


def test_a_quick_look_judges_deploys_nothing_and_counts_as_a_look(go, monkeypatch):
    monkeypatch.setattr(gates, "decide", lambda *_, **__: gates.Verdict(True, Tier.CHAMPION, []))
    monkeypatch.setattr(retrain, "NOTEBOOKS", ("02_walk_forward_training",))
    printed = go(retrain.main, QUICK=1)
    said = "Quick look: nothing is deployed, and it counts as a look; the gate would deploy (adds to the rule score "
    assert said in printed
    assert not (paths.home() / "models").exists()
    assert [rows(table) for table in (ledger.attempts, journal.deployments)] == [0, 0]
    (look,) = [row for row in ledger.listed() if row["study"].endswith("__quick")]
    assert (look["kind"], look["parameters"]["model"]) == (ledger.LOOK, "elastic_net")
    run = runs.latest(NAMESPACE, job="quick")
    assert run.record.status == "done" and run.verdict.decision == "quick look"
    assert "Quick look: nothing is deployed" in run.report.read_text()
    assert go(history.main).startswith("nothing yet")


AT_ONCE = ["params", "check-data", "collect", "status", "history", "ledger", "verify", "mature", "check-drift"]
AT_ONCE += ["trade-paper", "positions", "orders", "pnl", "reconcile", "stop", "resume"]


def test_what_answers_at_once_ends_on_one_screen_with_its_page(go, home):
    """Every target that needs no training, on a home with a scan; `go` looks whether its page is named."""
    go(scan.main)
    for target in AT_ONCE:
        module, function = TARGETS[target]
        printed = go(getattr(importlib.import_module(f"bq.jobs.{module}"), function))
        assert 1 <= len(printed.splitlines()) <= (SCREEN if target != "params" else 500), target
        if target in ("status", "mature", "check-drift"):
            assert printed.splitlines()[-1] == f"dashboard   {home / 'outputs' / INDEX}", target


@pytest.fixture
def scanned(go):
    """The decisions of a scan of the newest session, which is on no schedule."""
    go(scan.main)
    (path,) = (paths.outputs() / "scans").glob("*.parquet")
    return pl.read_parquet(path)


def test_what_was_just_scanned_can_be_explained(go, scanned):
    wanted = scanned.row(0, named=True)
    events = store.collect(STRATEGY, params.load(paths.home() / "small.yaml", STRATEGY.settings), _market()).events
    assert wanted["event_id"] not in events["event_id"]
    assert f"{wanted['session']} · {wanted['symbol']}" in go(explain.main, EVENT=wanted["event_id"])
    assert (paths.outputs() / "explanations" / f"{wanted['event_id']}.html").is_file()


def test_a_scanned_event_that_other_parameters_made_is_said_to_be_none(go, scanned):
    with pytest.raises(BadParameters, match="its scan had other PARAMS or SET"):
        go(explain.main, EVENT=scanned["event_id"][0], SET="temporal.extra_lag=1")


def test_a_beginning_of_several_ids_lists_these(go):
    events = store.collect(STRATEGY, params.load(paths.home() / "small.yaml", STRATEGY.settings), _market()).events
    ids = events.with_columns(start=pl.col("event_id").str.slice(0, 2)).filter(pl.len().over("start") == 2)
    first, second = ids.sort("start", "t0", "symbol").head(2).iter_rows(named=True)
    with pytest.raises(BadParameters) as caught:
        go(explain.main, EVENT=first["start"])
    for row in (first, second):
        assert f"{row['event_id']} is {row['symbol']} on {row['session']}" in str(caught.value)


def test_without_an_event_nothing_is_read_before_it_is_said(go, monkeypatch):
    monkeypatch.setattr(store, "market_data", None)
    with pytest.raises(BadParameters, match=r"EVENT must be .* none was given\. Ids are in what `make scan` prints"):
        go(explain.main)


def _market():
    return market.load(params.load(paths.home() / "small.yaml", STRATEGY.settings).market)


def test_a_session_without_events_names_the_last_that_has_some(go, monkeypatch):
    real = store.at
    monkeypatch.setattr(store, "at", lambda *asked: real(*asked).clear())
    printed = go(scan.main, DATE="2012-05-31")
    found = re.fullmatch(r"forecast-simulated · 2012-05-31: nothing to decide; .* events is (\S+): DATE=\1\n", printed)
    assert dt.date(2012, 5, 20) < dt.date.fromisoformat(found[1]) < dt.date(2012, 5, 31)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        pytest.param(
            "kept", r"\. The newest run r1 trained a model that was not deployed: the rule score goes on\.$", id="kept"
        ),
        pytest.param("deployed", r"ml\.enabled: false\.$", id="deployed, then rolled back"),
    ],
)
def test_a_missing_model_s_message_says_where_the_newest_attempt_deployed_none(decision, said, tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    row = {"run_id": "r1", "finished_utc": dt.datetime.now(dt.UTC), "fingerprint": "f"}
    row |= {"decision": decision, "model_id": None, "events": 9, "verdict": {"headline": "the rule score goes on"}}
    ledger.attempt(Namespace("breakout"), **row)
    settings = params.load(paths.parameters("breakout"), breakout.STRATEGY.settings)
    with pytest.raises(BadParameters, match=f"^ML model does not exist: train first with .*{said}"):
        out_of_sample.champion(breakout.STRATEGY, settings)


def test_a_report_of_a_run_where_there_is_none_says_that_there_is_none(tmp_path, go, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    with pytest.raises(BadParameters, match=r"^RUN: a run must exist, but outputs/ has none\. Start one"):
        go(housekeeping.report, RUN="latest")


def test_a_file_of_another_strategy_is_one_sentence():
    with pytest.raises(BadParameters) as caught:
        params.load(paths.parameters("breakout"), STRATEGY.settings)
    assert "`strategy` must be 'forecast', but got 'breakout'" in str(caught.value)
    assert "\n" not in str(caught.value) and "STRATEGY=" in str(caught.value)


@pytest.mark.parametrize(
    ("most", "k", "said"),
    [
        pytest.param(5, 4, None, id="a choice"),
        pytest.param(4, 4, "no session has more than 4 events: .* set policy.k=2 or lower", id="all of a session"),
        pytest.param(4, 5, "^policy.k is 5, but no session has more than 4 events", id="more than a session has"),
        pytest.param(1, 5, "no session has more than 1 event: .* bring more symbols", id="one symbol"),
    ],
)
def test_a_session_that_leaves_nothing_to_choose_is_said(most, k, said):
    settings = params.load(paths.parameters("butterfly"), butterfly.STRATEGY.settings, overrides=f"policy.k={k}")
    events = pl.DataFrame({"session": [dt.date(2020, 1, 3)] * most + [dt.date(2020, 1, 10)]})
    found = butterfly.STRATEGY.views.notices(events, settings)
    assert (found == []) if said is None else re.search(said, found[0])


def test_what_is_needed_is_never_nothing():
    """Where model and rule score choose the same, no more time and no higher mean would tell them apart."""
    gate, sample = Gate(min_blocks=10), pl.DataFrame({"session": [dt.date(2020, 1, 3), dt.date(2021, 1, 3)]})
    for blocks, holds in ((5.0, None), (20.0, False)):
        same = bounds.bound(Kind.UPLIFT, Interval(-1e-17, -2e-17, 1e-17, 50, blocks), 0.0, gate, sample)
        assert same.holds is holds and same.missing.identical
        assert "model and baseline made identical picks" in verdict_text.part(same).needed
    nearly = bounds.bound(Kind.UPLIFT, Interval(-0.1, -1e-5, 0.2, 50, 20.0), 0.0, gate, sample)
    assert verdict_text.part(nearly).needed == "the mean must rise by 0.001"


@pytest.mark.parametrize(
    ("target", "given", "said"),
    [
        (
            "params",
            {"PARAMS": "butterfly"},
            r"^PARAMS must .* got 'butterfly'; did you mean `parameters/butterfly.yaml`\?",
        ),
        ("params", {"PARAMS": "x/qq.yaml"}, r"^PARAMS must .* got 'x/qq.yaml'; known: parameters/breakout.yaml, "),
        ("params", {"SET": "learning.folds = 4"}, r"^SET: must read .* Write it without blanks around `=`\."),
        ("params", {"SET": "LEARNING.folds=4"}, r"^SET: `LEARNING` is not a parameter; did you mean `learning`\?"),
        ("replay", {"FROM": "2018-01-01", "TO": "2017-01-01"}, r"^FROM must not be after .* 2018-01-01 .* 2017-01-01"),
        ("report", {"RUN": "nope"}, r"^RUN: a run must exist, but outputs/ has none"),
        ("restore", {"ARCHIVE": "/none.tar.gz"}, r"^ARCHIVE must name a file that `make backup` wrote, but /none"),
        ("reconcile", {"FLEX": "/none.xml"}, r"^FLEX must name a Flex statement \(XML\), but /none.xml is no file"),
        ("serve", {"PORT": "80a"}, r"^PORT must be a whole number from 1 to 65535, but got '80a'"),
        (
            "calibrate",
            {"STRENGTH": "-1", "STRATEGY": "breakout"},
            r"^STRENGTH: .* greater than or equal to 0, but got -1",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_an_error_names_the_variable_that_was_typed(target, given, said, tmp_path, monkeypatch):
    for name in (*VARIABLES, "BQ_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"BQ_HOME": str(tmp_path), **given}.items():
        monkeypatch.setenv(name, value)
    module, function = TARGETS[target]
    with pytest.raises(BQError, match=said) as caught:
        getattr(importlib.import_module(f"bq.jobs.{module}"), function)(request.read(target))
    assert "\n" not in str(caught.value)


# ---- variables of make


def make(*arguments: str, of: str = "test", dry: bool = True) -> subprocess.CompletedProcess:
    """What make would do. of : a target. dry : without doing it."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *(["-n"] if dry else []), *([of] if of else []), *arguments]
    return subprocess.run(command, cwd=paths.CHECKOUT, env=outside, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(
            "QUIK=1", "variable of this Makefile: QUIK; did you mean QUICK? Known: STRATEGY", id="a letter short"
        ),
        pytest.param(
            "strategy=forecast", "variable of this Makefile: strategy; did you mean STRATEGY?", id="in small letters"
        ),
        pytest.param("zzz'z=1", "variable of this Makefile: zzz'z. Known: STRATEGY", id="like none"),
        pytest.param("retrian", "target of this Makefile: retrian; did you mean retrain?", id="letters exchanged"),
        pytest.param("STATUS", "target of this Makefile: STATUS; did you mean status?", id="in capitals"),
        pytest.param("qqq", "target of this Makefile: qqq. `make help ALL=1` lists all", id="a target like none"),
    ],
)
def test_a_variable_or_target_that_make_does_not_know_stops_it(given, said):
    done = make(given)
    assert done.returncode == 2 and done.stdout == ""
    assert f"not a {said}" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(["scan", "TRIALS=5"], ["TRIALS changes nothing in `make scan`: it is for tune, tune-"], id="one"),
        pytest.param(["scan", "A=1", "EVENT=$x'"], ["EVENT changes nothing", "A changes nothing"], id="two"),
        pytest.param(["scan", "tune", "TRIALS=5", "DATE=2019-05-31"], [], id="each for one of the targets"),
        pytest.param(["scan", "DATE=2019-05-31", "SYMBOLS=KO", "SET=policy.k=2"], [], id="all are for it"),
        pytest.param(["scan", "TRIALS="], [], id="empty"),
    ],
)
def test_a_variable_that_a_target_has_no_use_for_is_said_to_change_nothing(given, said):
    done = make(*given, of="")
    told = [line for line in done.stderr.splitlines() if "changes nothing" in line]
    assert done.returncode == 0 and len(told) == len(said) and all(text in done.stderr for text in said)


def test_a_variable_of_the_environment_that_a_target_has_no_use_for_is_not_said(monkeypatch):
    """HOST is in many an environment."""
    monkeypatch.setenv("HOST", "desk")
    assert "changes nothing" not in make("scan", of="").stderr


def test_only_targets_take_variables():
    makefile = (paths.CHECKOUT / "Makefile").read_text()
    taken = dict(re.findall(r"^TAKEN\.(\w+) +:= (.*)$", makefile, re.M))
    targets, variables = set(re.findall(r"^([a-z-]+): ", makefile, re.M)), set(re.findall(r"\b[A-Z_]{1,}\b", makefile))
    assert len(taken) == 25 and taken.keys() <= variables
    assert {target for names in taken.values() for target in names.split()} < targets


STUB = """#!/bin/bash
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python";;
  "-m pip") [[ "$*" == *" -e "* ]] && exit 0
    for n in $(seq 30); do echo "Collecting p$n==1.0"; echo "  Downloading p$n.whl"; done
    for n in $(seq 31 45); do echo "Processing ./p$n.whl"; done
    echo "Installing collected packages: p1, p2"
    [ -z "$BROKEN" ] || { echo "ERROR: no space" >&2; exit 1; }
    echo "Successfully installed p1 p2";;
esac
"""


@pytest.mark.parametrize("broken", [False, True], ids=["to its end", "pip fails"])
def test_the_first_set_up_says_what_it_does_and_how_far_it_is(tmp_path, broken, monkeypatch):
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("BROKEN", "1" if broken else "")
    ready = f"{tmp_path}/venv/.ready"
    done = make(f"PYTHON={tmp_path}/python", f"VENV={tmp_path}/venv", ready, of="", dry=False)
    packages = len(re.findall(r"^[a-z]", (paths.CHECKOUT / "requirements.lock").read_text(), re.M))
    said = done.stdout.splitlines()
    assert said[0].startswith(f"setting up {tmp_path}/venv, once: about 2.5 GB")
    assert said[1:3] == [f"  {n} of {packages} packages downloaded" for n in (20, 40)]
    assert said[3].startswith("  installing them") and said[4:] == ([] if broken else ["  installed"])
    assert (done.returncode, Path(ready).exists()) == ((2, False) if broken else (0, True))


def test_every_variable_of_make_is_told_and_every_one_told_is_known():
    text = (paths.CHECKOUT / "docs" / "commands.md").read_text().split("## Variables")[1]
    told = {name for row in re.findall(r"^\| (`[^|]+) \|", text, re.M) for name in re.findall(r"`([A-Z_]+)`", row)}
    makefile = (paths.CHECKOUT / "Makefile").read_text().replace("\\\n", "")
    known = {name for _, names in re.findall(r"^(VARIABLES|KNOWN) := (.*)", makefile, re.M) for name in names.split()}
    assert told - {"TMPDIR"} == known - {"$(VARIABLES)", "SHELL"}
    done = make(*(f"{name}=x y" for name in sorted(told - {"TMPDIR", "PYTHON", "VENV"})), "PYTHON=python3")
    assert done.returncode == 0, done.stderr
