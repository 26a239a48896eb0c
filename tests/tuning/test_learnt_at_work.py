"""Deployed learnt weights decide where they are asked for: in a scan, in a track, from the command line."""

from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest
from weighed_strategy import GIVEN, WEIGHED, weighed_events, weighed_settings

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.core.namespace import Tier
from bq.core.settings import Track
from bq.jobs import request, view
from bq.serving import decide, learnt, registry
from bq.serving.decide import Loaded, Models
from bq.serving.ready import WhyNot
from bq.serving.registry import Artefact
from bq.simulate.weighed import weighed
from bq.strategies import policy, store
from bq.strategies.weighing import LEARNT, LEARNT_WEIGHTS
from bq.trading import tracks
from bq.tuning.weights import study, tune
from bq.tuning.weights.study import Ask

SMALL = study.PLAN._replace(steps=300, hidden=(8, 8), warm_up=100, updates=4)
SETTINGS = weighed_settings(folds=2, test_days=365)
SETTINGS = SETTINGS.model_copy(update={"tuning": SETTINGS.tuning.model_copy(update={"trials": 2})})
EVENTS = weighed_events(weighed(230, events=8, strength=0.3, seed=2)).with_columns(source=pl.lit("real"))
SESSIONS = EVENTS["session"].unique().sort()
NO_MODEL = Models(Loaded(None, WhyNot.NOT_DEPLOYED), Loaded(None, WhyNot.NO_SECOND_TIER))


@pytest.fixture(scope="module")
def artefact(tmp_path_factory) -> Artefact:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        return tune.tune(EVENTS, Ask(WEIGHED, SETTINGS, SMALL, seeds=1))[1].artefact


@pytest.fixture
def deployed(home, artefact) -> Loaded:
    registry.deploy(SETTINGS.namespace.weights, artefact, reason="test")
    found = learnt.load(WEIGHED, SETTINGS)
    assert found.model is not None
    return found


def collected(monkeypatch, events: pl.DataFrame) -> None:
    monkeypatch.setattr(store, "collect", lambda *_: SimpleNamespace(events=events))


def test_a_session_has_the_weights_that_the_policy_walked_to_with_what_was_known_then(deployed, monkeypatch):
    """Asked on the day, on history that ends there, and afterwards with all of it: the same."""
    answer = learnt.actions_of(deployed)
    whole = learnt.scored_by(EVENTS, EVENTS, answer, WEIGHED, SETTINGS)
    for day in (SESSIONS[100], SESSIONS[220]):
        today = EVENTS.filter(pl.col("session") == day)
        wanted = whole.filter(pl.col("session") == day)
        for history in (EVENTS, EVENTS.filter(pl.col("session") <= day)):
            collected(monkeypatch, history)
            found = learnt.attached(today, None, WEIGHED, SETTINGS)
            assert found[LEARNT].to_list() == pytest.approx(wanted[LEARNT].to_list())
            assert found[LEARNT_WEIGHTS].to_list() == wanted[LEARNT_WEIGHTS].to_list()
    assert whole["score"].equals(EVENTS["score"])
    assert whole[LEARNT_WEIGHTS].list.sum().to_list() == pytest.approx([1.0] * len(whole))


def test_the_rules_choose_by_the_learnt_score_as_many_as_by_the_score(home):
    today = EVENTS.filter(pl.col("session") == SESSIONS[50])
    upside_down = today.with_columns((100.0 - pl.col("score")).alias(LEARNT), pl.lit([0.25] * 4).alias(LEARNT_WEIGHTS))
    strategy = replace(WEIGHED, task=lambda settings: WEIGHED.task(settings)._replace(trade_score=55.0))
    answer = decide.decide(upside_down, strategy, SETTINGS, NO_MODEL)
    count = min(int((today["score"] >= 55.0).sum()), 5)
    assert 0 < count < 8
    lowest = today.sort("score")["event_id"].head(count).to_list()
    assert answer.filter("should_trade")["event_id"].sort().to_list() == sorted(lowest)
    assert answer["score"].sort().to_list() == today["score"].sort().to_list()
    shown = view.of(answer, strategy, SETTINGS)
    assert "the learnt score says which" in shown.said[0]
    assert shown.said[1] == (
        "Learnt weights: part 0 25%, part 1 25%, part 2 25%, part 3 25% (given: part 0 35%, part 1 30%, part 2 20%, "
        "part 3 15%)."
    )


def test_without_deployed_weights_the_given_ones_decide_and_it_is_said(home):
    today = EVENTS.filter(pl.col("session") == SESSIONS[50])
    asked = learnt.attached(today, None, WEIGHED, SETTINGS)
    answer, plain = (decide.decide(events, WEIGHED, SETTINGS, NO_MODEL) for events in (asked, today))
    assert answer.select(plain.columns).equals(plain)
    assert "none are deployed: part 0 35%" in view.of(answer, WEIGHED, SETTINGS).said[1]


def test_a_track_with_learnt_weights_trades_as_many_others_or_answers_for_nothing():
    track = Track(name="ButterRL", share=0.2, decides="rule", weights="learnt")
    today = EVENTS.filter(pl.col("session") == SESSIONS[50]).with_columns(tier=pl.lit(Tier.RULE.value), rank=1)
    scored = today.with_columns((100.0 - pl.col("score")).alias(LEARNT))
    made = tracks.decided(track, scored, WEIGHED, SETTINGS)
    assert made["should_trade"].sum() == 5
    best = made.sort("rank").head(5)
    assert (
        best["should_trade"].all() and best["event_id"].to_list() == today.sort("score")["event_id"].head(5).to_list()
    )
    for known in (today, today.with_columns(pl.lit(None, pl.Float64).alias(LEARNT))):
        assert tracks.decided(track, known, WEIGHED, SETTINGS)["should_trade"].is_null().all()


def test_as_many_are_chosen_with_ties_broken_by_the_events_id_and_unknown_values_last():
    day = pl.DataFrame(
        {
            "session": [1] * 4,
            "event_id": ["d", "c", "b", "a"],
            "other": [0.5, None, 0.5, 0.1],
            "taken": [True, True, False, False],
        }
    )
    assert policy.as_many(day, "other", day["taken"]).to_list() == [True, False, True, False]
    only = day.with_columns(other=pl.lit(None, pl.Float64))
    assert policy.as_many(only, "other", day["taken"]).to_list() == [False] * 4


def test_a_rollback_of_learnt_weights_leaves_the_given_ones(deployed):
    assert registry.rollback(SETTINGS.namespace.weights) == registry.NONE
    assert learnt.load(WEIGHED, SETTINGS).why_not == WhyNot.NOT_DEPLOYED


def test_use_rl_asks_for_learnt_weights_and_a_strategy_without_them_refuses(monkeypatch):
    monkeypatch.setenv("USE_RL", "1")
    monkeypatch.setenv("STRATEGY", "butterfly")
    assert request.read("scan").settings.asks_learnt
    monkeypatch.setenv("STRATEGY", "breakout")
    with pytest.raises(BadParameters, match="USE_RL"):
        request.read("scan")


def test_asking_for_learnt_weights_changes_no_event_and_no_recipe():
    from bq.core.section import Affects, part
    from bq.strategies.butterfly import variant

    strategy = strategies.get("butterfly")
    given, asked = (params.load(paths.parameters("butterfly"), strategy.settings, overrides=text) for text in ("", "score.weights=learnt"))  # fmt: skip # noqa: E501
    assert asked.asks_learnt and not given.asks_learnt
    assert variant(given) == variant(asked)
    what = Affects.EVENTS | Affects.RECIPE | Affects.JUDGING
    assert part(given, what) == part(asked, what)
    assert strategy.weighing.given(given) == pytest.approx(GIVEN)
