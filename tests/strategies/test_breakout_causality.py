"""What is decided depends on nothing later, and not on the unit in which a price is quoted."""

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, market_of, random_market

from bq.strategies import store
from bq.strategies.breakout import STRATEGY
from bq.strategies.breakout.backtest import backtest, percentiles
from bq.strategies.breakout.features import BREAKOUT_V1
from bq.strategies.breakout.prepare import prepare

SETTINGS = breakout_settings(risk={"max_positions": 3})


def cut(market, last):
    bars = market.bars.filter(pl.col("session") <= last)
    return market_of({symbol: frame.drop("symbol") for (symbol,), frame in bars.group_by("symbol")})


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_removing_later_days_changes_nothing_before_them(seed, share):
    market = random_market(seed)
    whole = prepare(market, SETTINGS.universe)
    last = whole.sessions[int(len(whole.sessions) * share)].item()
    part = prepare(cut(market, last), SETTINGS.universe)
    known = len(part.sessions)
    for name, values in whole.measures._asdict().items():
        mine, theirs = getattr(part.measures, name), values[..., :known, :]
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    np.testing.assert_array_equal(part.diversification, whole.diversification[:known])
    long, short = backtest(whole, SETTINGS), backtest(part, SETTINGS)
    assert long.equity[:known].tolist() == short.equity.tolist()
    assert long.signals.head(len(short.signals)).equals(short.signals)
    closed = short.trades.filter(pl.col("exit_session").is_not_null())
    key = ["symbol", "signal_session"]
    assert closed.equals(long.trades.join(closed.select(key), on=key, how="semi", maintain_order="left"))


@pytest.mark.parametrize("seed", [0, 1])
def test_events_of_a_shorter_history_are_those_of_the_longer_one(seed, monkeypatch, tmp_path):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    market = random_market(seed)
    last = market.bars["session"].unique().sort()[300]
    long = store.collect(STRATEGY, SETTINGS, market).events.filter(pl.col("session") <= last)
    short = store.collect(STRATEGY, SETTINGS, cut(market, last)).events
    at_t0 = ["event_id", "t0", "t1_due", "taken", "score", *BREAKOUT_V1.columns]
    lapsed = set(short["event_id"]) - set(long["event_id"])  # ordered at the last close: not yet known to lapse
    assert short.filter(pl.col("event_id").is_in(lapsed))["session"].to_list() in ([], [last])
    assert short.filter(~pl.col("event_id").is_in(lapsed)).select(at_t0).equals(long.select(at_t0))
    closed = short.filter(pl.col("t1").is_not_null())
    assert len(closed) > 50
    assert closed["outcome"].to_list() == long.join(closed, on="event_id", how="semi")["outcome"].to_list()


def test_the_unit_of_prices_does_not_matter():
    market = random_market(2)
    frames = {symbol: frame.drop("symbol") for (symbol,), frame in market.bars.group_by("symbol")}
    frames["S4"] = frames["S4"].with_columns(adj=pl.lit(0.03125))  # a power of two: exact
    ours, theirs = (backtest(prepare(m, SETTINGS.universe), SETTINGS) for m in (market, market_of(frames)))
    np.testing.assert_allclose(theirs.equity, ours.equity, rtol=1e-12)
    assert theirs.trades.drop("quantity", "entry_price", "exit_price", "r").equals(
        ours.trades.drop("quantity", "entry_price", "exit_price", "r")
    )
    np.testing.assert_allclose(theirs.trades["entry_price"], ours.trades["entry_price"], rtol=1e-12)


def test_a_split_is_no_crash():
    market = random_market(5)
    frames = {symbol: frame.drop("symbol") for (symbol,), frame in market.bars.group_by("symbol")}
    plain = frames["S5"]
    split = plain["session"][250]
    halves = pl.when(pl.col("session") >= split).then(0.5).otherwise(1.0)
    frames["S5"] = plain.with_columns(
        pl.col("open", "high", "low", "close") * halves, volume=pl.col("volume") / halves, adj=1.0 / halves
    )
    free = breakout_settings(eligibility={"min_price": 0.0})
    ours, theirs = (backtest(prepare(m, free.universe), free) for m in (market, market_of(frames)))
    np.testing.assert_allclose(theirs.equity, ours.equity, rtol=1e-12)
    assert len(ours.trades.filter(symbol="S5")) > 0


def test_percentiles_are_of_the_day_from_ten_signals_on_and_of_the_last_year_below():
    session = np.array([0] * 3 + [251] * 2 + [252] * 10 + [253])
    values = np.array([1.0, 2, 3, 2.5, 2, *range(10), 2.2])
    got = percentiles(values, session)
    assert got[:3].tolist() == pytest.approx([1 / 3, 2 / 3, 1.0])
    # 251 looks back to 0: 1 2 2 2.5 3
    assert got[3:5].tolist() == pytest.approx([4 / 5, (2 + 3) / 2 / 5])
    assert got[5:15].tolist() == pytest.approx(np.arange(1, 11) / 10)
    # 253 does not see 0 any more: 0 1 2 2 2.2 2.5 3 …
    assert got[15] == pytest.approx(5 / 13)
    assert np.isnan(percentiles(np.array([np.nan, 1.0]), np.array([0, 0]))).tolist() == [True, False]


def test_no_percentile_knows_a_later_signal():
    rng = np.random.default_rng(0)
    session = np.sort(rng.integers(0, 600, 900))
    values = rng.standard_normal(900)
    whole = percentiles(values, session)
    for end in (100, 450, 899):
        day_over = np.searchsorted(session, session[end - 1], "right")
        assert percentiles(values[:day_over], session[:day_over]).tolist() == whole[:day_over].tolist()
