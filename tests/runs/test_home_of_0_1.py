"""What version 0.1 wrote is read by every reader, and its champion is no changed recipe."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bq import runs, strategies, surface
from bq.core import params
from bq.core.namespace import Namespace
from bq.jobs import diff, history, housekeeping, request, status
from bq.runs.record import Cause, Job, Status
from bq.runs.verdict import Decision
from bq.serving import comparable, decide, ready, registry

NAMESPACE = "butterfly-simulated"
FIRST, KEPT, LAST, TUNED = (
    "20261129T053105Z_butterfly-simulated",
    "20261129T053130Z_butterfly-simulated",
    "20261129T053209Z_butterfly-simulated",
    "20261129T053241Z_breakout-simulated_tune",
)
CHAMPION, BEFORE, SECOND = "429ca1fa915f992b", "83913860c8be18e9", "349944e8bccaa728"
BUTTERFLY = strategies.get("butterfly")


def asked(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return request.read()


def test_every_run_is_read_with_the_names_of_today(home):
    found = {run.folder.name: run.record for run in runs.every()}
    assert list(found) == [TUNED, LAST, KEPT, FIRST]
    assert [(record.namespace, record.job, record.status) for record in found.values()] == [
        ("breakout-simulated", Job.TUNE, Status.DONE),
        (NAMESPACE, Job.RETRAIN, Status.DEPLOYED),
        (NAMESPACE, Job.RETRAIN, Status.KEPT),
        (NAMESPACE, Job.RETRAIN, Status.DEPLOYED),
    ]
    last = found[LAST]
    assert last.deployed == [SECOND, CHAMPION] and last.good
    assert last.finished_utc == dt.datetime(2026, 11, 29, 5, 32, 26, tzinfo=dt.UTC)
    assert last.known.variants == ["butterfly-9db9887d"] and last.known.matured_by.tzinfo == dt.UTC
    assert (last.phases[0].name, last.findings.read, last.health[0].what) == ("market data", 17600, "folds done")
    assert runs.latest(NAMESPACE).folder.name == LAST
    assert runs.table()["namespace"].to_list() == ["breakout-simulated", *[NAMESPACE] * 3]


def test_the_triggers_of_an_old_run_are_its_text(home):
    (trigger,) = runs.load(LAST).record.triggers
    assert trigger.kind == Cause.UNKNOWN
    assert trigger.text.startswith("0 matured events new since the last attempt")


@pytest.mark.parametrize(
    ("run_id", "decision", "components"),
    [(FIRST, Decision.DEPLOYED, 8), (KEPT, Decision.KEPT, 8), (LAST, Decision.DEPLOYED, 8), (TUNED, "rejected", 2)],
    ids=["deployed", "kept", "superseded", "tuned"],
)
def test_a_verdict_keeps_its_words(home, run_id, decision, components):
    written = json.loads((home / "outputs" / run_id / "verdict.json").read_text())
    found = runs.load(run_id).verdict
    assert (found.decision, found.headline, len(found.components)) == (decision, written["headline"], components)
    for part, before in zip(found.components, written["components"], strict=True):
        assert part.facts is None
        assert {name: getattr(part, name) for name in before} == before


@pytest.mark.parametrize("run_id", [FIRST, KEPT, LAST, TUNED])
def test_its_report_is_rendered_again(home, monkeypatch, run_id):
    housekeeping.report(asked(monkeypatch, STRATEGY="butterfly", RUN=run_id))
    page = (home / "outputs" / run_id / "report.html").read_text()
    for text in ("deflated Sharpe ratio", "Not evidence about the market: this market is simulated.", run_id):
        assert text in page
    assert run_id in (home / "outputs" / "index.html").read_text()


def test_history_lists_its_attempts_and_shows_one_in_full(home):
    found = history.entries()
    assert sum(entry.what == "champion" for entry in found) >= 2
    assert {run_id for run_id in (FIRST, KEPT, LAST) for entry in found if run_id in entry.text} == {FIRST, KEPT, LAST}
    shown = history.details(runs.load(KEPT))
    assert "fails         newest window against the champion: rank IC +0.154" in shown
    assert "(needed: a mean higher by 0.009)" in shown


def test_two_of_its_runs_are_compared(home):
    parts = dict(diff.compare(runs.load(FIRST), runs.load(KEPT)))
    assert any("net ROI of the top 3: uplift over the rule score\n\n- A: holds" in text for text in parts["Verdict"])
    assert "events in A" in parts["Predictions"][0]


def test_status_and_verify_find_everything_whole(home, monkeypatch, capsys):
    asking = asked(monkeypatch, STRATEGY="butterfly", PARAMS=str(home / "parameters.yaml"))
    status.main(asking)
    assert f"champion    {NAMESPACE}: {CHAMPION} since 2026-11-29 05:32 UTC: better than" in capsys.readouterr().out
    housekeeping.verify(asking)
    said = capsys.readouterr().out
    assert "4 models, 2 pointers, 0 event tables, 4 runs: all intact" in said
    assert "unchecked   the answers of 4 models: no probe stored" in said and "missing" not in said


def test_models_keep_their_ids(home):
    for path in sorted(home.glob("models/*/*/")):
        assert registry.load(path).model_id == path.name
    namespace = Namespace.parse(NAMESPACE)
    assert registry.champion(namespace).model_id == ready.decides(namespace).model_id == CHAMPION
    assert registry.champion(namespace.second).model_id == SECOND
    known = surface.champion(NAMESPACE)
    assert (known.model_id, known.bundle.recipe, known.card.run_id) == (CHAMPION, "952987c88fbffb4b", LAST)
    assert registry.pointer(namespace).previous == BEFORE


def test_a_model_stored_again_under_a_later_schema_keeps_its_id(home, tmp_path):
    old = registry.champion(Namespace.parse(NAMESPACE))
    again = replace(old, card=old.card.model_copy(update={"run_id": "another"}))
    assert registry.store(again, tmp_path / "elsewhere").name == CHAMPION


def standing(home) -> registry.Artefact:
    return registry.load(home / "models" / NAMESPACE / CHAMPION)


def one_session(model: ready.Champion, n: int = 60) -> pl.DataFrame:
    """Events of one session with features drawn between the ends of the model's training."""
    rng = np.random.default_rng(2)
    ends = {name: [model.bundle.support[name][end] or 0.0 for end in ("low", "high")] for name in model.bundle.columns}
    drawn = {name: rng.uniform(*both, n).astype(np.float32) for name, both in ends.items()}
    when = dt.datetime(2030, 1, 4, 21, tzinfo=dt.UTC)
    fixed = {"session": when.date(), "t0": when, "source": "simulated", "structure": "IRON"}
    names = {"event_id": [f"e{i:02d}" for i in range(n)], "symbol": [f"S{i:02d}" for i in range(n)]}
    numbers = {"score": rng.uniform(20.0, 90.0, n), "wing_sigmas": rng.uniform(0.3, 2.0, n)}
    return pl.DataFrame({**drawn, **names, **numbers}).with_columns(**{name: pl.lit(v) for name, v in fixed.items()})


@pytest.mark.parametrize("tier", ["champion", "second"])
def test_its_models_decide_as_they_did(home, tier):
    """The champion above 0.15, the second tier from its own probability on, and of a session all that are."""
    settings = params.load(home / "parameters.yaml", BUTTERFLY.settings)
    champion, second = (
        decide.Loaded(ready.ready(registry.champion(space), BUTTERFLY, space))
        for space in (settings.namespace, settings.namespace.second)
    )
    events = one_session(champion.model)
    none = decide.Loaded(None, decide.WhyNot.NOT_DEPLOYED)
    models = decide.Models(champion if tier == "champion" else none, second)
    answer = decide.decide(events, BUTTERFLY, settings, models)
    chance = answer["class_probabilities"].list.last()
    good = answer["expected"] > 0.15 if tier == "champion" else chance >= second.model.bundle.threshold
    assert answer["should_trade"].to_list() == good.to_list()
    assert settings.policy.k == 3 < good.sum() < len(answer), "more than today's policy would trade"


def loaded(home, overrides: str = ""):
    return params.load(home / "parameters.yaml", BUTTERFLY.settings, overrides=overrides)


@pytest.mark.parametrize(
    "changed",
    [
        "",
        "gate.margin=0.2",
        "learning.compare=[xgboost]",
        "tuning.trials=7",
        "gate.top_k=2",
        "policy.k=4",
        "policy.above=0.05",
        "costs.half_spread_paid=0",
    ],
)
def test_the_same_way_of_training_is_no_changed_recipe(home, changed):
    """Also where only sections differ that are no part of it, and on other events and costs."""
    settings = loaded(home, changed)
    assert comparable.incumbent_way(standing(home), BUTTERFLY, settings, {}) == comparable.way(settings, {})


def test_other_ways_of_training_are(home):
    settings = loaded(home, "learning.folds=4")
    assert comparable.incumbent_way(standing(home), BUTTERFLY, settings, {}) != comparable.way(settings, {})


def test_a_way_of_training_is_computed_as_today_from_the_parameters_on_the_card(home, monkeypatch):
    monkeypatch.setattr(comparable, "way", lambda settings, own: f"{settings.learning.folds} folds")
    assert comparable.incumbent_way(standing(home), BUTTERFLY, loaded(home, "learning.folds=4"), {}) == "5 folds"


def test_where_they_are_no_parameters_of_today_the_stored_digest_stands(home):
    old = standing(home)
    card = old.card.model_copy(update={"parameters": old.card.parameters | {"gone": 1}})
    unknown = replace(old, card=card)
    found = comparable.incumbent_way(unknown, BUTTERFLY, loaded(home, "learning.folds=4"), {})
    assert found == old.bundle.recipe == "952987c88fbffb4b"
