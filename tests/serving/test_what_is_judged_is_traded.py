"""The gate, an evaluation, the list of trades and a scan choose the same events of the same predictions."""

import dataclasses
import datetime as dt
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from toy_strategy import TOY, toy_events, toy_settings

from bq.core.namespace import Tier
from bq.core.settings import Policy
from bq.jobs import evaluate, explain, trades
from bq.learning import metrics, walkforward
from bq.serving import candidate, contributors, decide
from bq.serving.decide import Loaded, Models
from bq.serving.model_records import Chosen
from bq.serving.ready import Champion, ready
from bq.serving.registry import Artefact
from bq.strategies.component import Kind
from bq.strategies.policy import ABOVE, EXPECTED, FROM, SCORE

SETTINGS = toy_settings(policy={"k": 2})
FEW = settings(max_examples=15, deadline=None)
KS, LEVELS = st.none() | st.integers(1, 7), st.sampled_from([0.0, 0.02, 0.05, 0.2, 9.0])


@pytest.fixture(scope="module")
def made(training, success, events) -> candidate.Candidate:
    return candidate.make(training, success, events, strategy=TOY, settings=SETTINGS)


@pytest.fixture(scope="module")
def window() -> pl.DataFrame:
    """Matured events of another draw, after the training."""
    later = toy_events(sessions=12, symbols=7, seed=5).filter(pl.col("outcome").is_not_null())
    shifted = [pl.col(name).dt.offset_by("520w") for name in ("session", "t0", "t1", "t1_due")]
    return later.with_columns(shifted)


def champion_of(artefact: Artefact, namespace=SETTINGS.namespace, **bundle) -> Champion:
    """The artefact, ready to answer, with other facts in its bundle."""
    changed = artefact.bundle.model_copy(update=bundle)
    return ready(Artefact.of(artefact.graph, changed, artefact.card), TOY, namespace)


def scanned(window: pl.DataFrame, models: Models) -> set[str]:
    """What scans trade, one a session."""
    answers = [decide.decide(part, TOY, SETTINGS, models) for _, part in window.group_by("session")]
    return set(pl.concat(answers).filter("should_trade")["event_id"])


@FEW
@given(k=KS, above=LEVELS, kept=st.integers(1, 80), seed=st.integers(0, 99))
def test_on_the_same_predictions_all_choose_the_same(made, window, k, above, kept, seed):
    part = window.sample(min(kept, len(window)), seed=seed)
    champion = champion_of(made.artefact, policy=Chosen(k=k, score_from=50.0), trade_above=above)
    own, said = decide.as_deployed(SETTINGS, champion), decide.predict(champion, part, TOY)
    scan = scanned(part, Models(Loaded(champion), None))
    judged = TOY.value.chosen(said, EXPECTED, own)
    assert set(judged["event_id"]) == scan
    stream = made._replace(oos=said.with_columns(model=pl.lit(champion.bundle.model)))
    listed = trades.picks(stream, part, strategy=TOY, settings=own)
    assert set(listed.filter(pl.col("by") == "candidate")["event_id"]) == scan
    rule = set(listed.filter(pl.col("by") == "rule score")["event_id"])
    assert rule == set(TOY.value.chosen(said, SCORE, own)["event_id"])
    pairs = metrics.versus(said, TOY, own)
    traded = part.filter(pl.col("event_id").is_in(sorted(scan)))
    assert len(pairs) == part["session"].n_unique(), "a session without a trade is a session"
    empty = set(part["session"]) - set(traded["session"])
    assert pairs.filter(pl.col("session").is_in(sorted(empty)))["model"].to_list() == [0.0] * len(empty)
    assert (judged["expected"] > 0.0).all(), "nothing is traded of which no gain is expected"


@FEW
@given(k=KS, above=LEVELS)
def test_an_evaluation_shows_what_those_trades_earned(made, window, k, above):
    champion = champion_of(made.artefact, policy=Chosen(k=k, score_from=55.0), trade_above=above)
    shown = evaluate.model_alone(window, champion, SimpleNamespace(strategy=TOY, settings=SETTINGS))
    figures = dict(shown.table.select("figure", "mean").rows())
    ids = scanned(window, Models(Loaded(champion), None))
    values = []
    for _, part in window.group_by("session"):
        slots = len(part) if k is None else min(k, len(part))
        values.append(part.filter(pl.col("event_id").is_in(sorted(ids)))["outcome"].sum() / slots)
    (mean,) = [text for name, text in figures.items() if name.endswith("by the champion")]
    assert mean.startswith(f"{np.mean(values):+.3f}") or abs(np.mean(values)) < 5e-4
    assert f"; {len(ids)} traded by the champion, " in shown.text


@FEW
@given(k=KS, least=st.sampled_from([0.0, 0.45, 0.6, 1.0]))
def test_the_second_tier_is_judged_by_what_it_trades(made, window, k, least):
    namespace = SETTINGS.namespace.second
    second = champion_of(made.success, namespace, policy=Chosen(k=k, score_from=50.0), threshold=least)
    said = decide.predict(second, window, TOY)
    judged = TOY.value.chosen(said, second.probability, decide.as_deployed(SETTINGS, second))
    nobody = Loaded(None, decide.WhyNot.NOT_DEPLOYED)
    assert set(judged["event_id"]) == scanned(window, Models(nobody, Loaded(second)))


def test_without_a_model_the_rule_trades_no_more_of_a_session_than_a_model_would(window):
    nobody = Loaded(None, decide.WhyNot.NOT_DEPLOYED)
    answer = decide.decide(window, TOY, SETTINGS, Models(nobody, nobody))
    assert set(answer["tier"]) == {Tier.RULE}
    good = window.filter(pl.col("score") >= 60.0).sort("score", descending=True)
    best = good.group_by("session").head(2)
    assert set(answer.filter("should_trade")["event_id"]) == set(best["event_id"])
    assert set(answer["most_a_session"]) == {2} and len(best) < len(good)


def test_tiers_together_trade_no_more_than_one_alone(made, window, monkeypatch):
    """Where the champion has no finite answer to some events, the rule decides on those."""
    champion = champion_of(made.artefact, policy=Chosen(k=2, score_from=None))
    predict = decide.predict
    half = set(window["event_id"][::2])
    monkeypatch.setattr(
        decide, "predict", lambda *asked: predict(*asked).filter(pl.col("event_id").is_in(sorted(half)))
    )
    answer = decide.decide(window, TOY, SETTINGS, Models(Loaded(champion), Loaded(None, decide.WhyNot.NOT_DEPLOYED)))
    assert set(answer["tier"]) == {Tier.CHAMPION, Tier.RULE} and len(answer) == len(window)
    assert answer.filter("should_trade").group_by("session").len()["len"].max() <= 2


def test_a_model_stored_without_a_policy_decides_as_it_did(made, window):
    """By its own `trade_above` alone, however many that are; an evaluation compares the rule's own threshold."""
    champion = champion_of(made.artefact, policy=None, trade_above=0.02)
    answer = decide.decide(window, TOY, SETTINGS, Models(Loaded(champion), None))
    assert answer["should_trade"].to_list() == (answer["expected"] > 0.02).to_list()
    assert answer.filter("should_trade").group_by("session").len()["len"].max() > SETTINGS.policy.k
    shown = evaluate.model_alone(window, champion, SimpleNamespace(strategy=TOY, settings=SETTINGS))
    figures = dict(shown.table.select("figure", "mean").rows())
    rule = [
        (part.filter(pl.col("score") >= 60.0)["outcome"].sum() / len(part)) for _, part in window.group_by("session")
    ]
    (mean,) = [text for name, text in figures.items() if name.endswith("by the rule score")]
    assert mean.startswith(f"{np.mean(rule):+.3f}")


def test_what_a_bundle_stores_is_what_its_newest_window_was_judged_by(made):
    bundle = made.artefact.bundle
    assert bundle.policy == Chosen(k=2, score_from=made.newest[FROM][0]) and bundle.trade_above == 0.0
    assert made.newest[FROM].n_unique() == 1
    assert made.success.bundle.policy.score_from == made.success_newest[FROM][0]


def test_no_threshold_below_zero_can_be_set():
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Policy(above=-0.01)


def poisoned(events: pl.DataFrame, since: dt.date) -> pl.DataFrame:
    """Events from a session on with absurd features, scores and outcomes."""
    late = pl.col("session") >= since
    absurd = {name: pl.when(late).then(pl.lit(1e6)).otherwise(name).cast(pl.Float32) for name in ("signal", "width")}
    outcome = pl.when(late & pl.col("outcome").is_not_null()).then(-pl.col("outcome") * 50.0).otherwise("outcome")
    return events.with_columns(**absurd, score=pl.when(late).then(1e4).otherwise("score"), outcome=outcome)


def test_the_threshold_of_a_fold_is_known_before_its_test_block(events, training):
    at = training.oos.group_by("fold").agg(pl.col(ABOVE, FROM).unique()).sort("fold")
    assert at[FROM].list.len().to_list() == [1, 1] and at[FROM][0][0] != at[FROM][1][0]
    for fold, since in training.folds.select("fold", "test_from").rows():
        again = walkforward.train(poisoned(events, since), TOY, toy_settings())
        mine, theirs = (one.oos.filter(pl.col("fold") == fold)[FROM].unique().to_list() for one in (training, again))
        assert mine == theirs


def test_a_fold_gives_the_rule_as_many_trades_as_the_model_had_on_events_that_neither_had_seen(events, training):
    """Recomputed from the training window of the first fold alone."""
    from bq.learning import splits

    known = walkforward.matured_events(events, TOY.task(SETTINGS))
    fold = splits.purged_walk_forward(known, SETTINGS.learning)[0]
    data = walkforward.sample(known, TOY, TOY.features(SETTINGS))
    job = (SETTINGS.learning.model, fold.train, fold.test)
    model = walkforward.fit_and_predict(job, data=data, learning=SETTINGS.learning, n_classes=3).model
    unseen = known[fold.train[model.unseen.rows]]
    first = known[fold.train].filter(~pl.col("event_id").is_in(unseen["event_id"].implode()))
    assert first["t1_due"].filter(first["t1_due"] < unseen["t0"].min()).len() > 0.5 * len(first)
    k, expected = 5, model.unseen.prediction.expected
    per_session = unseen.with_columns(expected=expected).group_by("session")
    wanted = sum(min((part["expected"] > 0.0).sum(), k) for _, part in per_session)
    least = training.oos.filter(pl.col("fold") == 1)[FROM][0]
    made = sum(min((part["score"] >= least).sum(), k) for _, part in per_session)
    assert 0 < wanted < len(unseen) and made == wanted


def test_without_a_symbol_the_others_are_chosen_by_the_same_thresholds(training):
    own = training.oos.filter(pl.col("model") == "elastic_net").with_columns(kind=pl.lit("all"))
    found = {one.group: one for one in contributors.of(own, TOY, toy_settings(policy={"k": 2}))}
    left = own.filter(pl.col("symbol") != "S00")
    pairs = metrics.versus(left, TOY, toy_settings(policy={"k": 2}))
    (net,) = [one for one in found["S00"].figures if one.kind == Kind.NET]
    assert net.value == pytest.approx(pairs["model"].mean())


def test_a_regression_is_traded_where_more_than_the_mean_of_its_session_is_expected(events):
    from bq.strategies.task import Task

    standings = dataclasses.replace(TOY, task=lambda settings: Task(outcome="return"), success=None)
    oos = walkforward.train(events, standings, SETTINGS).oos
    assert oos[FROM].is_null().all() and set(oos[ABOVE]) == {0.0}
    assert (standings.value.chosen(oos, EXPECTED, SETTINGS)["expected"] > 0.0).all()


def test_an_explanation_decides_on_an_event_beside_the_others_of_its_session(
    home, made, events, window, monkeypatch, capsys
):
    """Alone the third best of a session would be among its best two."""
    champion = champion_of(made.artefact, policy=Chosen(k=2, score_from=None), trade_above=0.0)
    models = Models(Loaded(champion), None)
    answer = decide.decide(window, TOY, SETTINGS, models)
    good = answer.filter(pl.col("expected") > 0.0)
    third = good.filter(~pl.col("should_trade"))["event_id"][0]
    assert decide.decide(window.filter(pl.col("event_id") == third), TOY, SETTINGS, models)["should_trade"].all()
    every = pl.concat([events.filter(~pl.col("event_id").is_in(window["event_id"].implode())), window])
    monkeypatch.setattr(explain.store, "market_data", lambda settings: None)
    monkeypatch.setattr(explain.store, "collect", lambda *asked: SimpleNamespace(events=every))
    monkeypatch.setattr(explain.out_of_sample, "load", lambda *asked: models)
    monkeypatch.setattr(explain, "_contributions", lambda *asked: [])
    explain.main(SimpleNamespace(strategy=TOY, settings=SETTINGS, event=third))
    said = capsys.readouterr().out
    assert "not among the best 2 of its session" in said
    assert "\nNot to be traded: " in said
