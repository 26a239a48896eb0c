"""The overview of a namespace: against sums by hand, and as it is kept: made again where it is damaged or old."""

import json
import logging

import numpy as np
import polars as pl
import pytest

from bq.core.namespace import Namespace, Tier
from bq.monitoring import heat, kept, overview, overviews, promise, reference, windows
from bq.monitoring.observed import Observed
from bq.serving import registry
from bq.strategies import store
from bq.surface import params
from tests.season import MODEL, model, record, season, subject

BUTTERFLY = Namespace("butterfly")
SESSIONS = 120


@pytest.fixture(scope="module")
def counted() -> pl.DataFrame:
    """The outcomes of the last ten sessions are open, and the first two sessions are in sample."""
    whole = season(SESSIONS)
    days = whole["session"].unique().sort()
    return whole.with_columns(
        pl.when(pl.col("session") < days[-10]).then("outcome"),
        pl.when(pl.col("session") < days[-10]).then("label"),
        in_sample=pl.col("session") < days[2],
    )


@pytest.fixture(scope="module")
def found(counted) -> overview.Overview:
    return overview.of(Observed(subject(), counted, {}, None), BUTTERFLY, state="s")


def test_decisions_are_counted_by_what_became_of_them(found, counted):
    assert (found.counted, found.matured, found.in_sample) == (120 * 8, 110 * 8, 2 * 8)
    assert (found.first, found.last) == (counted["session"].min(), counted["session"].max())
    assert found.next_due == counted.filter(pl.col("outcome").is_null())["t1_due"].min().date()
    assert (found.tier, found.models, found.events, found.sessions) == (Tier.CHAMPION, [MODEL], 108 * 8, 108)


def test_running_sums_are_those_of_the_trades_by_hand(found, counted):
    rows = counted.filter(pl.col("outcome").is_not_null(), ~pl.col("in_sample"))
    traded = rows.filter("should_trade").group_by("session").agg(pl.col("outcome").sum() / 3).sort("session")
    every = rows.group_by("session").agg(pl.col("outcome").mean()).sort("session")
    best = rows.filter(pl.col("score") >= 55.0).sort("session", "score", descending=[False, True])
    rule = best.group_by("session", maintain_order=True).head(3).group_by("session").agg(pl.col("outcome").sum() / 3)
    rule = every.select("session").join(rule, on="session", how="left").fill_null(0.0).sort("session")
    whole = every.select("session").join(traded, on="session", how="left").fill_null(0.0).sort("session")
    assert found.sums.sessions == every["session"].to_list()
    assert found.sums.decided == pytest.approx(np.cumsum(whole["outcome"]))
    assert found.sums.rule == pytest.approx(np.cumsum(rule["outcome"]))
    assert found.sums.everything == pytest.approx(np.cumsum(every["outcome"]))
    assert found.net.value == pytest.approx(whole["outcome"].mean())
    assert found.net.rule == pytest.approx(rule["outcome"].mean())


def test_a_long_running_sum_is_thinned_and_keeps_its_end(monkeypatch, counted, found):
    monkeypatch.setattr(overview, "POINTS", 20)
    thin = overview.of(Observed(subject(), counted, {}, None), BUTTERFLY, state="s").sums
    assert len(thin.sessions) <= 21 and thin.sessions[0] == found.sums.sessions[0]
    assert (thin.sessions[-1], thin.decided[-1]) == (found.sums.sessions[-1], found.sums.decided[-1])


def test_the_newest_weeks_are_those_of_the_whole_table(counted):
    whole, newest = (promise.weekly(counted, subject(), newest=weeks) for weeks in (None, 4))
    assert len(whole) > 20 and newest.equals(whole.tail(4))


def test_nothing_counted_is_an_overview_of_nothing(counted):
    empty = overview.of(Observed(subject(), counted.clear(), {}, None), BUTTERFLY, state="s")
    assert (empty.counted, empty.tier, empty.sums, empty.weeks) == (0, None, None, [])


def test_without_an_outcome_out_of_sample_nothing_is_measured(counted):
    remembered = counted.with_columns(in_sample=True)
    shown = overview.of(Observed(subject(), remembered, {}, None), BUTTERFLY, state="s")
    assert (shown.matured, shown.in_sample, shown.tier, shown.net) == (110 * 8, 110 * 8, None, None)


@pytest.fixture
def home(tmp_path, monkeypatch, counted):
    """A home in which a model is deployed and has decided."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    deployed = model(season(60, seed=2))
    registry.deploy(BUTTERFLY, deployed, reason="test")
    record(counted.filter(pl.col("session") < counted["session"].unique().sort()[40]), deployed.model_id, BUTTERFLY)
    return tmp_path


SETTINGS = params("butterfly", overrides="gate.draws=1000 policy.k=3")


def test_an_overview_is_computed_once_and_again_after_another_scan(home, counted, monkeypatch):
    first = overviews.current(BUTTERFLY, SETTINGS)
    assert first.counted == 40 * 8
    with monkeypatch.context() as patch:
        patch.setattr(overview, "of", lambda *_, **__: pytest.fail("nothing has changed"))
        assert overviews.current(BUTTERFLY, SETTINGS) == first
    later = counted.filter(pl.col("session") == counted["session"].unique().sort()[40])
    record(later, first.models[0], BUTTERFLY)
    assert overviews.current(BUTTERFLY, SETTINGS).counted == 41 * 8


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"namespace": 1}', '{"schema_version": 99}'])
def test_a_damaged_overview_is_made_again(home, damage):
    first, file = overviews.current(BUTTERFLY, SETTINGS), kept.path(BUTTERFLY, kept.DECISIONS)
    file.write_text(damage)
    assert overviews.current(BUTTERFLY, SETTINGS) == first
    assert json.loads(file.read_text())["state"] == first.state


def test_what_cannot_be_kept_is_said_and_stops_nothing(home, caplog):
    (home / "data" / "dashboard").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert overviews.current(BUTTERFLY, SETTINGS).counted == 40 * 8
    assert "must be readable and writable" in caplog.text


@pytest.fixture
def features(home, counted, monkeypatch) -> list[dict]:
    """What the heat map asks for: a list of what was wanted each time."""
    asked: list[dict] = []

    def on(strategy, settings, market, wanted):
        asked.append(wanted)
        days = sorted({day for sessions in wanted.values() for day in sessions})
        return counted.filter(pl.col("session").is_in(days))

    monkeypatch.setattr(store, "on", on)
    return asked


def test_drift_by_week_is_kept_and_only_new_weeks_are_computed(features, counted):
    heat.keep(None, SETTINGS, None)
    frozen = reference.of(BUTTERFLY)
    days, own = counted["session"].unique().sort(), counted.filter(~pl.col("in_sample"))
    expected = windows.weekly(frozen, own.filter(pl.col("session") < days[40]))
    assert heat.of(BUTTERFLY).table.sort("week", "feature").equals(expected.sort("week", "feature"))
    record(counted.filter(pl.col("session").is_between(days[40], days[44])), frozen.model_id, BUTTERFLY)
    heat.keep(None, SETTINGS, None)
    expected = windows.weekly(frozen, own.filter(pl.col("session") <= days[44]))
    assert heat.of(BUTTERFLY).table.sort("week", "feature").equals(expected.sort("week", "feature"))
    assert len(features[1]["S00"]) < len(features[0]["S00"]) / 3


def test_drift_by_week_of_another_model_begins_anew(features, counted):
    heat.keep(None, SETTINGS, None)
    registry.deploy(BUTTERFLY, model(season(60, seed=3), seed=8), reason="another")
    heat.keep(None, SETTINGS, None)
    assert len(features) == 1  # it has not decided yet
    assert heat.of(BUTTERFLY).model_id != registry.pointer(BUTTERFLY).model_id


@pytest.mark.parametrize("damage", ["{", '{"model_id": "x", "features": ["a"], "columns": []} x', "[]"])
def test_damaged_drift_by_week_is_unknown_and_computed_again(features, damage):
    heat.keep(None, SETTINGS, None)
    whole, file = heat.of(BUTTERFLY), kept.path(BUTTERFLY, kept.DRIFT)
    file.write_text(damage)
    assert heat.of(BUTTERFLY) is None
    heat.keep(None, SETTINGS, None)
    assert heat.of(BUTTERFLY) == whole


def test_a_column_of_another_length_is_damage(features):
    heat.keep(None, SETTINGS, None)
    file = kept.path(BUTTERFLY, kept.DRIFT)
    content = json.loads(file.read_text())
    content["columns"][0]["psi"].append(1.0)
    file.write_text(json.dumps(content))
    assert heat.of(BUTTERFLY) is None
