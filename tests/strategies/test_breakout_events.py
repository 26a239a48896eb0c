"""Signals as events: all are followed, ids are stable, and the portfolio decides only on `taken`."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, market_of, random_market

from bq import market as markets
from bq.core import params, paths
from bq.core.errors import BadData, BadParameters
from bq.market.calendars import sessions
from bq.strategies import get, store
from bq.strategies.breakout import STRATEGY, build, schedule
from bq.strategies.breakout.backtest import backtest, signals
from bq.strategies.breakout.features import BREAKOUT_V1
from bq.strategies.breakout.performance import compared, performance
from bq.strategies.breakout.prepare import prepare
from bq.strategies.breakout.settings import BreakoutSettings

SETTINGS = breakout_settings(risk={"max_positions": 2})


@pytest.fixture(scope="module")
def sample():
    return random_market(7, count=600)


@pytest.fixture
def events(sample):
    return store.collect(STRATEGY, SETTINGS, sample).events


def test_every_signal_is_an_event_and_taken_is_what_the_backtest_decided(sample, events):
    result = backtest(prepare(sample, SETTINGS.universe), SETTINGS)
    lapsed = result.trades.clear()  # an order that lapses leaves no trade and no event
    known = result.signals.join(events, on=["session", "symbol"], how="left", maintain_order="left")
    refused = store.collect(STRATEGY, SETTINGS, sample).refused
    gone = result.signals.join(refused, on=["session", "symbol"], how="semi")
    assert len(events) + len(gone) == len(result.signals) and lapsed.is_empty()
    here = known.filter(pl.col("event_id").is_not_null())
    assert ((here["decision"] == "taken") == here["taken"]).all()
    assert 0 < here["taken"].sum() < len(here)
    assert here["score"].to_list() == here["score_right"].to_list()


def test_a_shadow_event_has_an_outcome_and_is_not_in_the_equity(sample, events):
    shadows = events.filter(~pl.col("taken") & pl.col("outcome").is_not_null())
    assert len(shadows) > 50 and shadows["outcome"].n_unique() > 20
    result = backtest(prepare(sample, SETTINGS.universe), SETTINGS)
    assert len(result.trades) <= events["taken"].sum() + 1


def test_an_outcome_does_not_depend_on_what_else_was_held(sample, events):
    roomy = breakout_settings(risk={"max_positions": 50, "max_exposure": 1.0})
    others = store.collect(STRATEGY, roomy, sample).events
    both = events.join(others, on=["session", "symbol"], suffix="_roomy")
    assert both["outcome"].to_list() == both["outcome_roomy"].to_list()
    assert both["taken_roomy"].sum() > both["taken"].sum()


def test_an_open_event_is_kept_without_an_outcome(events):
    still = events.filter(pl.col("t1").is_null())
    assert len(still) > 0 and still["outcome"].null_count() == still["label"].null_count() == len(still)
    closed = events.filter(pl.col("t1").is_not_null())
    assert (closed["t1"] <= closed["t1_due"]).all() and (closed["t1"] > closed["t0"]).all()


def test_t1_due_is_the_close_of_the_120th_session_after_the_signal(events):
    calendar = sessions("XNYS")
    at = calendar["session"].search_sorted(events["session"])
    assert events["t1_due"].to_list() == calendar["close_utc"].gather(at + 120).to_list()
    assert (events["t1_due"] - events["t0"]).dt.total_days().max() <= SETTINGS.max_holding_days


def test_labels_are_whether_the_trade_earned_anything(events):
    closed = events.filter(pl.col("outcome").is_not_null())
    assert closed["label"].to_list() == (closed["outcome"] > 0).cast(pl.Int64).to_list()
    assert 0.1 < closed["label"].mean() < 0.9


def test_running_again_replaces_and_never_doubles(sample, events):
    again = store.collect(STRATEGY, SETTINGS, sample)
    assert again.events.equals(events)
    assert again.built == 0  # no bar is newer
    assert events["event_id"].is_unique().all()


def test_ids_change_with_the_rules_and_not_with_the_portfolios_fortune(sample, events):
    other = store.collect(STRATEGY, breakout_settings(exit={"exit_ma": 20}), sample).events
    assert set(other["event_id"]).isdisjoint(events["event_id"])
    fewer = {symbol: days[:3] for symbol, days in schedule(sample, SETTINGS).items()}
    assert set(build(sample, SETTINGS, fewer).events["event_id"]) <= set(events["event_id"])


def test_a_session_without_a_signal_gives_no_event_and_no_complaint(sample):
    quiet = sample.bars["session"].min()
    assert store.at(STRATEGY, SETTINGS, sample, quiet).is_empty()
    busy = next(days[0] for days in schedule(sample, SETTINGS).values() if days)
    assert len(store.at(STRATEGY, SETTINGS, sample, busy)) >= 1


def test_features_are_known_and_finite(events):
    columns = BREAKOUT_V1.columns
    table = events.select(columns)
    assert table.null_count().sum_horizontal()[0] < 0.2 * len(events) * len(columns)
    assert (events["fast_strength"] > 0).all() and (events["ma_distance"] > 0).all()
    assert events["vol_scaling"].is_between(0.33, 1.0).all() and events["breadth"].is_between(0, 1).all()
    assert events["close_location"].is_between(-0.01, 1.01).all()
    assert (events["sessions_since_breakout"].drop_nans() >= 1).all()


def test_index_levels_are_never_traded(sample):
    frames = {symbol: frame.drop("symbol") for (symbol,), frame in sample.bars.group_by("symbol")}
    frames["SPX"] = frames["S5"]
    settings = breakout_settings(universe={"benchmark": "SPX"})
    prepared = prepare(market_of(frames), settings.universe)
    assert "SPX" not in prepared.symbols and len(prepared.symbols) == len(frames) - 1
    days = backtest(prepared, settings).days
    level = frames["S5"].sort("session")["close"]
    assert days["benchmark"][-1] / days["benchmark"][0] == pytest.approx(level[-1] / level[0])


def test_a_market_of_closes_alone_is_refused_with_what_to_do(sample):
    bars = sample.bars.with_columns(open=pl.lit(None, pl.Float64))
    bare = market_of({symbol: frame.drop("symbol") for (symbol,), frame in bars.group_by("symbol")})
    with pytest.raises(BadData, match=r"open, high and low.*bundled_bars"):
        prepare(bare, SETTINGS.universe)


def test_a_benchmark_that_is_not_there_is_named(sample):
    with pytest.raises(BadParameters, match=r"`universe\.benchmark` must be a symbol of the market, but got 'S9'"):
        prepare(sample, breakout_settings(universe={"benchmark": "S9"}).universe)


@pytest.mark.parametrize(
    "setting",
    ["exit.exit_ma=200", "eligibility.trend_ma=75", "ml.prediction_mode=rank", "exit.max_holding_days=1"],
)
def test_a_value_that_the_strategy_does_not_implement_is_refused(setting):
    with pytest.raises(BadParameters, match=setting.partition("=")[0]):
        params.load(paths.parameters("breakout"), BreakoutSettings, overrides=setting)


def test_a_model_that_is_asked_for_and_not_there_is_said(sample):
    settings = breakout_settings(ml={"enabled": True})
    with pytest.raises(BadParameters, match="ML model does not exist: train first with `make retrain"):
        backtest(prepare(sample, settings.universe), settings)


def test_a_probability_below_the_threshold_is_not_traded_and_an_unknown_one_is(sample):
    settings = breakout_settings(ml={"enabled": True, "prediction_mode": "filter"})
    prepared = prepare(sample, settings.universe)
    n = len(signals(prepared, settings).session)
    p = np.where(np.arange(n) % 2, 0.49, np.nan)
    result = backtest(prepared, settings, probability=p)
    assert set(result.signals["decision"][1::2]) == {"filtered", "held"} - (
        set() if "held" in result.signals["decision"][1::2] else {"held"}
    )
    assert "filtered" not in result.signals["decision"][::2]


def test_replace_serves_by_probability_and_weight_zero_by_score(sample):
    score_only = breakout_settings(ml={"enabled": True, "ml_weight": 0.0}, risk={"max_positions": 2})
    replaced = breakout_settings(ml={"enabled": True, "prediction_mode": "replace"}, risk={"max_positions": 2})
    prepared = prepare(sample, SETTINGS.universe)
    score = signals(prepared, SETTINGS).score
    plain = backtest(prepared, SETTINGS)
    assert backtest(prepared, score_only, probability=1 - score).trades.equals(plain.trades)
    upside_down = backtest(prepared, replaced, probability=1 - score)
    assert backtest(prepared, replaced, probability=score).trades.equals(plain.trades)
    assert not upside_down.trades.equals(plain.trades)


def test_performance_states_what_pandas_finds(sample):
    result = backtest(prepare(sample, SETTINGS.universe), SETTINGS)
    found, change = performance(result), result.days["equity"].to_pandas().pct_change().dropna()
    assert found.sharpe_ratio == pytest.approx(change.mean() / change.std(ddof=1) * np.sqrt(252))
    downside = np.sqrt((change.clip(upper=0) ** 2).mean())
    assert found.sortino_ratio == pytest.approx(change.mean() / downside * np.sqrt(252))
    curve = (1 + change).cumprod()
    assert found.max_drawdown == pytest.approx(1 - (curve / curve.cummax().clip(lower=1)).min())
    assert found.annual_return == pytest.approx(curve.iloc[-1] ** (252 / len(change)) - 1)
    assert found.calmar_ratio == pytest.approx(found.annual_return / found.max_drawdown)
    closed = result.trades.drop_nulls("r")
    assert (found.trades, found.expectancy) == (len(closed), pytest.approx(closed["r"].mean()))
    assert found.win_rate == pytest.approx((closed["r"] > 0).mean())
    table = compared(result)
    assert table.columns == ["figure", "breakout", "benchmark", "buy_and_hold"]
    assert table.filter(figure="expectancy")["benchmark"].item() is None


def test_without_a_trade_ratios_are_not_numbers_rather_than_zero(sample):
    prepared = prepare(sample, SETTINGS.universe)
    found = performance(backtest(prepared, SETTINGS, end=prepared.sessions[30].item()))
    assert found.trades == 0 and np.isnan([found.sharpe_ratio, found.calmar_ratio, found.expectancy]).all()
    with pytest.raises(BadParameters, match="at least one session must lie"):
        backtest(prepared, SETTINGS, start=dt.date(2040, 1, 1))


def test_the_shipped_parameters_find_several_hundred_signals_of_five_stocks():
    strategy = get("breakout")
    settings = params.load(paths.parameters("breakout"), strategy.settings)
    found = store.collect(strategy, settings, markets.load(settings.market))
    counts = dict(found.events["symbol"].value_counts().rows())
    assert set(counts) == {"AAPL", "FB", "GOOG", "IBM", "MSFT"} and 700 < len(found.events) < 900
    assert set(found.events["source"]) == {"real"}
