"""Regimes as columns of events: causal, null where unknown, and named by what they mean."""

import logging

import numpy as np
import polars as pl
import pytest
from event_samples import days, market_of, until, walk

from bq.core.settings import Regimes
from bq.strategies import regime
from bq.strategies.events import regime_columns


def attached(events, bars, **options):
    return regime.attach(events, regime.timeline(market_of(bars), Regimes(**options)))


@pytest.fixture(scope="module")
def bars():
    return pl.concat([walk(name, 900, seed=seed) for name, seed in (("SPX", 1), ("AAA", 2), ("BBB", 3))])


def events_at(*positions):
    session = days(900).gather(list(positions))
    return pl.DataFrame({"event_id": [str(p) for p in positions], "session": session})


def test_events_get_a_probability_for_each_regime_and_the_one_that_stands(bars):
    got = attached(events_at(880, 100, 600, 880), bars)
    assert got["event_id"].to_list() == ["880", "100", "600", "880"]
    assert got.select(regime_columns(3)).dtypes == [pl.Float32] * 3
    assert got.select("regime_bear", "regime_neutral", "regime_bull", "regime").row(1) == (None,) * 4
    sums = got.select(pl.sum_horizontal(regime_columns(3))).to_series()
    np.testing.assert_allclose(sums.gather([0, 2, 3]), 1.0, atol=1e-6)
    assert set(got["regime"].drop_nulls()) <= {"bear", "neutral", "bull"}


@pytest.mark.parametrize("position", [520, 700, 899], ids=lambda p: f"session {p}")
def test_only_bars_up_to_the_session_count(bars, position):
    events = events_at(position)
    assert attached(events, until(bars, events["session"][0])).equals(attached(events, bars))


@pytest.mark.parametrize("states", [2, 4])
def test_other_numbers_of_regimes_have_their_columns(bars, states):
    got = attached(events_at(880), bars, states=states)
    assert set(regime_columns(states)) <= set(got.columns)
    assert got["regime"][0] in {name.removeprefix("regime_") for name in regime_columns(states)}


def test_columns_attached_before_are_replaced(bars):
    once = attached(events_at(880), bars)
    assert attached(once, bars).equals(once)


def test_without_the_index_the_equal_weight_of_all_stands_for_the_market_and_is_named(bars):
    alone = regime.timeline(market_of(bars.filter(pl.col("symbol") != "SPX")), Regimes())
    assert alone.market == "equal weight of 2 symbols"
    assert regime.timeline(market_of(bars), Regimes()).market == "SPX"


def test_events_without_probabilities_are_counted_in_the_log(bars, caplog):
    with caplog.at_level(logging.INFO, logger="bq"):
        attached(events_at(10, 880), bars)
    assert "are not known yet at 1 of 2 events" in caplog.text


def test_the_summary_counts_events_dates_and_stays_and_says_what_the_market_was_like():
    labels = [None] * 2 + ["bull"] * 6 + ["neutral"] * 3 + ["bull"] * 2
    close = [100.0] * 2 + [100.0 * 1.01**t for t in range(1, 7)] + [100.0] * 3 + [101.0, 102.01]
    measured = {"volatility": [0.2] * 8 + [0.5] * 3 + [0.1] * 2, "momentum": 0.0, "trend": None, "fear_greed": 0.5}
    known = dict.fromkeys(regime_columns(3), 1 / 3)
    frame = pl.DataFrame({"session": days(13), "close": close, **measured, **known, "regime": labels})
    events = frame.filter(pl.col("regime").ne_missing("neutral"))
    table = regime.summary(pl.concat([events, events]), regime.Timeline(frame, "SPX", 252, []))
    assert table["regime"].to_list() == ["neutral", "bull", None]
    got = table.rows_by_key("regime", named=True, unique=True)
    described = {"momentum": 0.0, "trend": None, "fear_greed": 0.5}
    bull = {"events": 16, "dates": 8, "sessions": 8, "spells": 2, "expected_stay": 4.0, **described}
    neutral = {"events": 0, "dates": 0, "sessions": 3, "spells": 1, "expected_stay": 3.0, **described}
    assert got["bull"] == pytest.approx(bull | {"volatility": 0.175, "growth": 252 * np.log(1.01)})
    assert got["neutral"] == pytest.approx(neutral | {"volatility": 0.5, "growth": -252 * 2 * np.log(1.01)})
    assert got[None]["events"] == 4


def test_years_without_an_estimate_are_told_with_their_reason(bars, caplog):
    line = regime.timeline(market_of(bars), Regimes())
    assert line.estimates and not any(one.failed for one in line.estimates)
    failed = [one._replace(failed="Could not untransform parameters.") for one in line.estimates[:1]]
    with caplog.at_level(logging.WARNING, logger="bq"):
        regime.attach(events_at(880), line._replace(estimates=failed + line.estimates[1:]))
    assert [record.message for record in caplog.records] == [
        f"the market regimes of {failed[0].year} (of SPX) could not be estimated: Could not untransform parameters."
    ]
