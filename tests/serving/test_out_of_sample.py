"""Probabilities for signals: whose they are, and that none is by a model that saw the event."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bq import market as markets
from bq import surface
from bq.core import files, params, paths
from bq.core.errors import BadParameters
from bq.core.namespace import Namespace
from bq.learning import walkforward
from bq.serving import candidate, out_of_sample, registry
from bq.serving.out_of_sample import Predictor
from bq.strategies import store
from bq.strategies.breakout import STRATEGY
from bq.strategies.breakout.quality import backtested

FILE = paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"
SMALL = (
    "market.simulation.symbols=10 market.simulation.sessions=1300 learning.folds=2 learning.newest_days=300 "
    "learning.model=elastic_net gate.draws=1000"
)
RUN = "20260101T000000Z_breakout-simulated"


def settings_of(more: str = ""):
    return params.load(FILE, STRATEGY.settings, overrides=f"{SMALL} {more}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A home with a champion and the out-of-sample predictions of its run; market, events, training."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(home))
        settings = settings_of()
        data = markets.load(settings.market)
        events = store.collect(STRATEGY, settings, data).events
        training = walkforward.train(events, STRATEGY, settings)
        made = candidate.make(training, None, events, strategy=STRATEGY, settings=settings).artefact
        registry.deploy(
            settings.namespace, replace(made, card=made.card.model_copy(update={"run_id": RUN})), reason="a test"
        )
        files.write_parquet(home / "outputs" / RUN / "oos.parquet", training.oos)
    return home, data, events, training


@pytest.fixture
def home(trained, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(trained[0]))
    return trained[0]


def words(answer: pl.DataFrame, settings) -> list[str]:
    """The last clause of each decision's reason."""
    return [STRATEGY.backtester.reason(row, settings)[-1] for row in answer.iter_rows(named=True)]


@pytest.fixture
def said(home, trained):
    return out_of_sample.probabilities(trained[2], STRATEGY, settings_of())


def test_every_event_keeps_its_place_and_has_at_most_one_probability(said, trained):
    assert said["event_id"].to_list() == trained[2]["event_id"].to_list()
    assert (said["probability"].is_null() == said["predicted_by"].is_null()).all()
    assert set(said["predicted_by"].drop_nulls()) == set(Predictor)


def test_the_champion_says_nothing_of_events_that_began_while_it_was_trained(said, trained):
    _, _, events, training = trained
    own = said.filter(pl.col("predicted_by") == Predictor.CHAMPION.value).join(events, on="event_id")
    assert own["t0"].min() > training.trained_through
    assert (events["t0"] > training.trained_through).sum() == len(own)


def test_before_it_each_probability_is_by_a_model_of_events_that_had_ended(said, trained):
    _, _, events, training = trained
    earlier = said.filter(pl.col("predicted_by") == Predictor.WALK_FORWARD.value)
    told = earlier.join(training.oos, on="event_id", suffix="_oos")
    assert len(told) == len(earlier) and (told["probability"] - told["p_Win"]).abs().max() < 1e-6
    folds = training.folds.sort("fold")
    for fold, test_from in folds.select("fold", "test_from").rows():
        assert events.filter(pl.col("t1_due").dt.date() < test_from).height >= folds["train"][fold - 1]


def test_before_all_of_them_there_is_none(said, trained):
    unknown = said.filter(pl.col("predicted_by").is_null())
    first = trained[3].oos["session"].min()
    assert len(unknown) and unknown["session"].min() < first
    assert said.filter(pl.col("session") < first)["probability"].null_count() == (said["session"] < first).sum()


def test_where_the_run_is_gone_only_the_champion_speaks(trained, home, monkeypatch, caplog):
    artefact = registry.champion(Namespace.parse("breakout-simulated"))
    elsewhere = replace(artefact, card=artefact.card.model_copy(update={"run_id": "gone"}))
    monkeypatch.setattr(registry, "champion", lambda namespace: elsewhere)
    found = out_of_sample.probabilities(trained[2], STRATEGY, settings_of())
    assert set(found["predicted_by"].drop_nulls()) == {Predictor.CHAMPION}
    assert "events before the end of the champion's training have no probability" in caplog.text


def test_without_a_champion_the_document_s_words_say_what_to_do(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    with pytest.raises(BadParameters, match=r"^ML model does not exist: train first with `make retrain STRATEGY=break"):
        out_of_sample.probabilities(trained[2], STRATEGY, settings_of())


@pytest.mark.parametrize("mode", ["score_enhancement", "filter", "replace"])
def test_a_scan_decides_by_the_backtester_s_priority(mode, home, trained):
    settings = settings_of(f"ml.enabled=true ml.prediction_mode={mode} ml.confidence_threshold=0.42")
    _, data, events, _ = trained
    made = backtested(data, settings, out_of_sample.of_market(data, STRATEGY, settings)).signals
    for day in events["session"].unique().sort()[[-3, -40, 150]]:
        answer = out_of_sample.decide(store.at(STRATEGY, settings, data, day), data, STRATEGY, settings)
        theirs = made.filter(pl.col("session") == day).select("symbol", backtested="priority")
        both = answer.join(theirs, on="symbol")
        assert len(both) == len(answer)
        assert both["priority"].fill_null(-1.0).to_list() == both["backtested"].fill_nan(-1.0).to_list()
        dropped = pl.col("probability").is_not_null() & (pl.col("probability") < 0.42) & (mode == "filter")
        refused = ~pl.col("traded").fill_null(True)
        assert answer["should_trade"].to_list() == answer.select(~(dropped | refused)).to_series().to_list()


def judged(training) -> set[str]:
    """What the gate judges of the walk-forward, by hand: of a session the best four with more than 0 expected."""
    good = training.oos.filter(pl.col("expected") > 0.0).sort("expected", descending=True)
    return set(good.group_by("session").head(4)["event_id"])


@pytest.mark.parametrize("mode", ["score_enhancement", "replace"])
def test_a_scan_with_a_model_trades_the_signals_that_the_gate_judged(mode, home, trained):
    settings = settings_of(f"ml.enabled=true ml.prediction_mode={mode}")
    _, data, events, training = trained
    through = training.trained_through
    known = training.oos.filter(pl.col("t0") <= through)
    days = known.filter(~pl.col("event_id").is_in(sorted(judged(training))))["session"].unique().sort()
    assert len(days) > 5
    for day in days[:3]:
        answer = out_of_sample.decide(store.at(STRATEGY, settings, data, day), data, STRATEGY, settings)
        traded = set(answer.filter("should_trade")["event_id"])
        assert traded == judged(training) & set(answer["event_id"]) and len(traded) < len(answer)
        assert "not among those that the model expects enough of (policy.above, policy.k): not traded" in " ".join(
            words(answer, settings)
        )
    made = backtested(data, settings, out_of_sample.of_market(data, STRATEGY, settings)).signals
    ours = events.select("event_id", "session", "symbol").join(made, on=["session", "symbol"])
    out = ours.filter(pl.col("priority").fill_nan(None).is_null())["event_id"]
    assert set(out) & set(known["event_id"]) == set(known["event_id"]) & set(ours["event_id"]) - judged(training)


def test_a_champion_stored_without_a_policy_refuses_no_signal(home, trained):
    settings = settings_of("ml.enabled=true")
    model = out_of_sample.champion(STRATEGY, settings)
    older = model._replace(bundle=model.bundle.model_copy(update={"policy": None}))
    said = out_of_sample.probabilities(trained[2], STRATEGY, settings, older)
    assert said["traded"].is_null().all() and said["probability"].count()
    assert not out_of_sample.probabilities(trained[2], STRATEGY, settings)["traded"].all()


def test_what_the_champion_would_say_in_sample_is_not_shown(home, trained):
    settings = settings_of("ml.enabled=true")
    _, data, events, training = trained
    before = events.filter(pl.col("session") < training.oos["session"].min())["session"].max()
    answer = out_of_sample.decide(store.at(STRATEGY, settings, data, before), data, STRATEGY, settings)
    assert answer["expected"].null_count() == answer["confidence"].null_count() == len(answer)
    assert set(answer["tier"]) == {3} and set(answer["model"]) == {"rule score"}
    assert set(answer["why_not_champion"]) == {"in_sample"}
    assert set(words(answer, settings)) == {"no out-of-sample probability is known"}


def test_a_model_that_is_not_enabled_is_not_asked(home, trained):
    _, data, events, _ = trained
    day = events["session"].max()
    answer = out_of_sample.decide(store.at(STRATEGY, settings_of(), data, day), data, STRATEGY, settings_of())
    assert set(answer["tier"]) == {3} and answer["probability"].null_count() == len(answer)
    assert answer["priority"].to_list() == answer["score"].to_list()
    assert set(answer["why_not_champion"]) == {"not_asked"}
    assert set(words(answer, settings_of())) == {"no model is used (ml.enabled is false)"}


def test_enabling_a_model_makes_no_new_recipe_and_no_new_events(trained, home):
    plain, enabled = settings_of(), settings_of("ml.enabled=true ml.ml_weight=0.9 tuning.trials=9")
    assert candidate.recipe_digest(plain, {}) == candidate.recipe_digest(enabled, {})
    assert store.collect(STRATEGY, enabled, trained[1]).built == 0


def test_a_backtest_without_a_model_is_that_of_the_rules(home, trained):
    assert out_of_sample.of_market(trained[1], STRATEGY, settings_of()) is None
    made = backtested(trained[1], settings_of(), start=dt.date(2011, 1, 3))
    assert made.days["session"][0] == dt.date(2011, 1, 3)
    assert np.array_equal(made.priority, made.found.score)
    assert surface.events(settings_of())["event_id"].n_unique() == len(trained[2])
