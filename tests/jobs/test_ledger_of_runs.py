"""Every look is entered before it is shown, whatever becomes of the run; what was rolled back must still be beaten."""

import datetime as dt
import json

import polars as pl
import pytest
import sqlalchemy as sa

from bq import runs, strategies, surface
from bq.core import db, params, paths
from bq.core.errors import BadData
from bq.core.namespace import Tier
from bq.core.settings import Gate, Learning, Market, Policy, Simulation
from bq.jobs import evaluate, history, housekeeping, presentation, request, retrain, status
from bq.jobs import ledger as listing
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Cancelled
from bq.learning import walkforward
from bq.serving import gates, ledger, registry
from bq.serving.gates import Verdict
from bq.serving.ledger import GATE, LOOK, Look
from bq.strategies import store
from tests.strategies.reversal_strategy import ReversalSettings

TRAINING = "02_walk_forward_training"
VARIABLES = ("STRATEGY", "PARAMS", "SET", "FORCE", "QUICK", "SYMBOLS", "FROM", "TO", "DATE", "RUN", "EVENT", "A", "B")
DEPLOYS, KEEPS = Verdict(True, Tier.CHAMPION, []), Verdict(False, Tier.CHAMPION, [])


def settings(**learning) -> ReversalSettings:
    small = {"features": "reversal_v1", "model": "elastic_net", "folds": 2, "test_days": 200, "newest_days": 90}
    simulated = Market(source="simulated", simulation=Simulation(symbols=4, sessions=900))
    gate = Gate(draws=1000, min_oos_days=90, min_events=50, min_deflated_probability=0.95)
    return ReversalSettings(market=simulated, learning=Learning(**small | learning), gate=gate, policy=Policy(k=2))


NAMESPACE = settings().namespace


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home, a small strategy, and notebooks that do what theirs do, in this process."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    monkeypatch.setitem(strategies.MODULES, "reversal", "tests.strategies.reversal_strategy")
    monkeypatch.setattr(protocol.Run, "notebook", train_in_this_process)
    return tmp_path


def train_in_this_process(run, name):
    if name == TRAINING:
        events = surface.events(run.settings, str(run.folder))
        training = surface.train(events, run.settings)
        surface.save(training, None, events, run.settings, str(run.folder))


@pytest.fixture
def go(home, monkeypatch, capsys):
    """Run a job with the variables of the Makefile; what it printed."""

    def run(main, given=None, **variables) -> str:
        file = home / "small.yaml"
        file.write_text(params.to_yaml((given or settings()).model_dump(mode="python")))
        asked = {"STRATEGY": "reversal", "PARAMS": file, **variables}
        for name in VARIABLES:
            monkeypatch.setenv(name, str(asked.get(name, "")))
        main(request.read())
        return capsys.readouterr().out

    return run


@pytest.fixture
def verdict(monkeypatch):
    """Let the gate decide so."""

    def decided(found: Verdict) -> None:
        monkeypatch.setattr(gates, "decide", lambda *_, **__: found)

    return decided


def entered() -> list[tuple[str, str]]:
    return [(row["kind"], row["parameters"]["model"]) for row in ledger.listed()]


def test_a_retrain_enters_its_attempt_and_each_model_beside_it_once(go):
    go(retrain.main, settings(compare=["lightgbm"]))
    assert sorted(entered()) == [(GATE, "elastic_net"), (LOOK, "lightgbm")]
    beside, asked = sorted(ledger.listed(), key=lambda row: row["kind"] == GATE)
    (run,) = runs.every()
    assert beside["study"] == asked["study"] == run.record.run_id
    assert beside["events"] == asked["events"] and beside["recipe"] != asked["recipe"]
    assert set(asked["shown"]) == {"value", "baseline", "everything", "sessions"}
    assert asked["symbols"] == sorted(asked["symbols"]) and len(asked["symbols"]) == 4


def test_a_model_shown_beside_a_candidate_counts_when_it_is_the_candidate_itself(go):
    go(retrain.main, settings(compare=["lightgbm"]))
    go(retrain.main, settings(model="lightgbm"))
    found = {(row["kind"], row["parameters"]["model"]): row for row in ledger.listed()}
    beside, later = found[LOOK, "lightgbm"], found[GATE, "lightgbm"]
    assert beside["recipe"] == later["recipe"]
    facts = runs.latest().verdict.part("deflated_sharpe").facts
    assert (facts.more["attempts"], facts.more["looks"]) == (1, 1)
    assert facts.more["trials"] == 2, "itself once more, and another"


STOPS = {
    "in the notebook, once it is trained": (surface, "save"),
    "before the gate": (store, "handed_over"),
    "while the gate judges": (gates, "decide"),
    "before the verdict is shown": (presentation, "present"),
    "before it is published": (ledger, "attempt"),
}


@pytest.mark.parametrize(("module", "name"), STOPS.values(), ids=STOPS)
def test_stopping_a_run_anywhere_before_its_publication_leaves_its_look(go, monkeypatch, module, name):
    def stop(*_, **__):
        raise Cancelled("SIGINT")

    with monkeypatch.context() as patch, pytest.raises(Cancelled):
        if name == "handed_over":
            patch.setattr(retrain.candidate, "load", stop)
        else:
            patch.setattr(module, name, stop)
        go(retrain.main)
    (stopped,) = ledger.listed()
    assert stopped["study"] == runs.every()[0].record.run_id
    assert runs.every()[0].record.status in ("cancelled", "failed")
    go(retrain.main)
    facts = runs.latest().verdict.part("deflated_sharpe").facts
    assert facts.more["attempts"] + facts.more["looks"] == 1
    assert facts.more["trials"] == 1, "the same again costs nothing"


def test_a_quick_look_is_a_look_and_no_attempt(go):
    go(retrain.main, QUICK=1)
    assert entered() == [(LOOK, "elastic_net")]
    assert ledger.every_attempt() == []


def test_by_hand_the_same_training_is_one_look_and_another_a_further_one(home):
    given = settings()
    events = surface.events(given)
    for _ in range(2):
        surface.train(events, given)
    assert len(ledger.listed()) == 1 == ledger.held(NAMESPACE).looks
    surface.train(events, settings(half_life_days=200.0))
    surface.train(events.filter(events["symbol"] != events["symbol"][0]), given)
    surface.cross_validate(events, given, groups=4, tested=1)
    assert len(ledger.listed()) == 4
    assert all(row["kind"] == LOOK and row["study"].startswith("by hand ") for row in ledger.listed())


def test_a_training_inside_the_package_alone_is_none(home):
    given = settings()
    walkforward.train(surface.events(given), strategies.get("reversal"), given)
    assert ledger.listed() == []


def test_reports_status_and_the_terminal_say_how_many_looks_there_are_and_since_when(go):
    said = go(retrain.main)
    (look,) = ledger.listed()
    told = f"1 look at out-of-sample results since {look['at_utc']:%Y-%m-%d}"
    assert f"ledger      {told}, 1 of them by this run: one for each model or trial whose result was shown" in said
    assert f"ledger      reversal-simulated: {told}" in go(status.main)
    assert f"{told}, 1 of them by this run" in runs.latest().report.read_text()
    go(retrain.main, FORCE=1, SET="learning.half_life_days=200.0")
    assert (runs.latest().record.ledger.looks, runs.latest().record.ledger.own) == (2, 1)


def test_make_ledger_lists_looks_by_strategy_and_run_and_writes_them_all(go):
    go(retrain.main, QUICK=1)
    go(retrain.main)
    quick, asked = ledger.listed()
    said = go(listing.main)
    assert said.index(asked["study"]) < said.index(quick["study"]), "newest first"
    assert f"{asked['shown']['value']:+.4f} a session" in said
    assert "ledger      reversal-simulated: 2 looks at out-of-sample results since " in said
    rows = (paths.outputs() / "ledger.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 and "value,baseline,everything,sessions,recipe,events" in rows[0]
    go(listing.main, RUN=quick["study"])
    (only,) = pl.read_csv(paths.outputs() / "ledger.csv").iter_rows(named=True)
    assert (only["study"], only["kind"], only["chained"]) == (quick["study"], LOOK, True)
    assert go(listing.main, STRATEGY="butterfly", PARAMS="").startswith("no look yet")


def test_make_ledger_gives_the_trials_of_a_study_one_line_with_their_number(go):
    days = pl.DataFrame({"session": [dt.date(2020, 1, 6)], "value": [0.01]})
    trials = {"a tuning": range(60), "another": range(1)}
    for study, numbers in trials.items():
        found = [Look("strategy", study, n, {"x": n}, days, ["A"], str(n), "e", {"calm": 0.1 * n}) for n in numbers]
        ledger.record(NAMESPACE, found)
    another, tuning, *rest = go(listing.main).splitlines()
    assert another.endswith("another  no figure a session")
    assert tuning.endswith("a tuning  60 looks, no figure a session")
    assert "more" not in "".join(rest) and "61 looks at" in rest[0]
    assert len((paths.outputs() / "ledger.csv").read_text().splitlines()) == 1 + 61


def test_verify_holds_the_runs_against_the_ledger(go):
    go(retrain.main)
    go(retrain.main, FORCE=1)
    assert "ledger: 4 chained looks" in go(housekeeping.verify)
    newest, before = (run.record.ledger.standing for run in runs.every())
    assert (before.entries, newest.entries) == (2, 4)
    with db.engine().begin() as connection:  # whoever deletes the newest entries may put the head right, too
        connection.execute(sa.text("delete from looks where id > 2"))
        connection.execute(ledger.chain_head.update().values(entries=2, digest=before.digest))
    assert ledger.faults() == []
    with pytest.raises(BadData) as caught:
        go(housekeeping.verify)
    name = runs.every()[0].record.run_id
    lost, without = str(caught.value).splitlines()
    assert "when 1 run ended" in lost and name in lost
    assert "has none of 1 run" in without and name in without


def test_a_home_with_another_database_is_said(go, home):
    go(retrain.main)
    db.close()
    for file in (home / "data").glob("bq.db*"):
        file.unlink()
    with pytest.raises(BadData, match="entries were deleted or edited, or another database is asked"):
        go(housekeeping.verify)


def test_an_evaluation_of_the_champion_is_a_look(go, verdict):
    verdict(DEPLOYS)
    earlier = settings().model_copy(
        update={"market": settings().market.model_copy(update={"end": dt.date(2013, 3, 1)})}
    )
    go(retrain.main, earlier)
    for _ in range(2):
        go(evaluate.main)
    (look,) = [row for row in ledger.listed() if row["study"].startswith("evaluation ")]
    assert look["parameters"]["model_id"] == registry.pointer(NAMESPACE).model_id
    assert look["recipe"] == registry.champion(NAMESPACE).bundle.recipe and look["shown"]["sessions"] > 0


# ---- what was rolled back


@pytest.fixture
def rolled_back(go, verdict) -> str:
    """The run whose model was deployed and rolled back."""
    verdict(DEPLOYS)
    go(retrain.main)
    go(housekeeping.rollback)
    assert registry.pointer(NAMESPACE) is None
    return runs.every()[0].record.run_id


def test_the_same_way_of_training_is_deployed_again_by_force_alone(go, rolled_back):
    said = go(retrain.main, settings().model_copy(update={"gate": settings().gate.model_copy(update={"alpha": 0.02})}))
    assert "not proven: rolled-back champion wanted again" in said and "FORCE=1" in said
    assert runs.every()[0].record.status == "kept" and registry.pointer(NAMESPACE) is None
    said = go(retrain.main, FORCE=1)
    assert runs.every()[0].record.status == "deployed"
    assert "deployed again by FORCE=1 after its rollback of 20" in said
    assert registry.rolled_back(NAMESPACE) is None and registry.undone() == {}


def test_a_changed_recipe_must_beat_the_one_that_was_rolled_back(go, monkeypatch, rolled_back):
    asked = []

    def decide(found, incumbent, **_):
        asked.append((found, incumbent))
        return KEEPS

    monkeypatch.setattr(gates, "decide", decide)
    go(retrain.main, settings(half_life_days=200.0))
    ((found, incumbent),) = asked
    assert incumbent.rolled_back is not None and incumbent.recipe != found.recipe
    assert incumbent.values is not None and incumbent.newest is not None
    assert any("must still be beaten" in warning for warning in runs.every()[0].record.warnings)


def test_status_index_and_a_retrain_without_news_say_that_it_was_rolled_back(go, rolled_back):
    told = "deployed then, rolled back "
    (line,) = [line for line in go(status.main).splitlines() if line.startswith("run ")]
    assert rolled_back in line and told in line
    assert told in (paths.outputs() / "index.html").read_text()
    assert told in go(retrain.main)
    assert rolled_back in go(history.main)


def test_after_a_later_deployment_the_one_rolled_back_is_history(go, verdict, rolled_back):
    go(retrain.main, settings(half_life_days=200.0))
    assert registry.rolled_back(NAMESPACE) is None
    assert set(registry.undone()) == {rolled_back}, "that run's deployment stays undone"
    json.loads((paths.models(NAMESPACE) / "champion.json").read_text())
