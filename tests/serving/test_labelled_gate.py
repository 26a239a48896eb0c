"""From a labelled table through training, export and gate: a planted one deploys, one without a signal does not."""

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "strategies"))  # the samples are the same

from labelled_samples import NOW, settings_of, table

import bq
from bq import strategies
from bq.core.namespace import Namespace
from bq.jobs import health
from bq.learning import walkforward
from bq.serving import candidate, decide, gates, ledger, ready, registry
from bq.serving.gates import Evidence
from bq.strategies import store
from bq.strategies.labelled import kept
from bq.strategies.labelled import table as labelled

OWN = 'market.labelled.features=["vol_mispricing","my_edge"]'


def judged(home: Path, frame: pl.DataFrame, overrides: str = ""):
    """Collect a table, train, export and ask the gate, as a retrain does."""
    frame.write_parquet(home / "t.parquet")
    settings = settings_of(overrides)
    strategy = strategies.of(settings)
    read = labelled.read(home / "t.parquet", strategy, settings, now=NOW)
    kept.save(kept.added(None, read, file="t.parquet", calendar="XNYS"), kept.folder_of(settings))
    collection = store.collect(strategy, settings, store.market_data(settings))
    training = walkforward.train(collection.events, strategy, settings)
    second = walkforward.train(collection.events, strategy, settings, task=strategy.success)
    made = candidate.make(training, second, collection.events, strategy=strategy, settings=settings)
    oos = made.own_oos
    trials = ledger.on(settings.namespace, oos["session"], oos["symbol"].unique())
    found = Evidence(oos, made.newest, made.parity, made.artefact.bundle.recipe, trials)
    return settings, collection, made, gates.decide(found, None, strategy=strategy, settings=settings)


@pytest.mark.parametrize(
    ("strength", "deploys"), [pytest.param(0.5, True, id="planted"), pytest.param(0.0, False, id="null")]
)
def test_a_planted_table_deploys_and_one_without_a_signal_does_not(home, strength, deploys):
    """ROI = .02 + .35 × (strength × vol_mispricing + noise), the score is noise; 3,300 weekly decisions, seed 0."""
    settings, collection, made, verdict = judged(home, table(strength=strength, seed=0))
    assert verdict.deploy is deploys
    assert made.parity.holds
    assert made.artefact.bundle.source == "real"
    lines = {
        line.what: line
        for line in health.counters(made, collection, store.market_data(settings), strategies.of(settings), settings)
    }
    assert (lines["rows refused"].count, lines["rows refused"].of) == (0, 3300)


def test_a_champion_of_the_users_own_features_answers_and_is_verified(home):
    frame = table(strength=0.5, seed=0, sessions=250).with_columns(my_edge=pl.col("vol_mispricing") ** 2)
    settings, collection, made, _ = judged(home, frame, OWN)
    registry.deploy(settings.namespace, made.artefact, reason="a test", run_id="20260101T000000Z_test")
    namespace = Namespace("butterfly")
    champion = ready.ready(registry.champion(namespace), strategies.get("butterfly"), namespace)  # as verify asks it
    assert champion.bundle.columns == ["vol_mispricing", "my_edge"]
    decided = decide.decide(collection.events.tail(50), strategies.of(settings), settings)
    assert set(decided["tier"]) == {1}
    without = decide.decide(collection.events.drop("my_edge").tail(50), strategies.get("butterfly"), settings)
    assert set(without["tier"]) == {3}, "bars do not give the feature: the next tier decides, and says why"
    assert set(without["why_not_champion"]) == {ready.WhyNot.OTHER_SCHEMA.value}
    training = bq.train(collection.events, settings)
    expected = training.oos["expected"]
    assert pl.DataFrame({"x": expected, "y": training.oos["outcome"]}).select(pl.corr("x", "y")).item() > 0.3
