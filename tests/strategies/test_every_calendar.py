"""Figures a year are those of the market's own calendar: a price of known yearly volatility says so everywhere."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings
from event_samples import market_of
from forecast_samples import FORECAST, forecast_settings

from bq import strategies
from bq.core import params, paths
from bq.market.bars import SCHEMA, rows
from bq.market.calendars import sessions
from bq.strategies.breakout.backtest import backtest
from bq.strategies.breakout.performance import compared
from bq.strategies.breakout.prepare import prepare
from bq.strategies.forecast.production import figures

YEARLY = 0.60
DAYS_A_YEAR = {"24/7": 365.0, "24/5": 261.0, "XNYS": 252.0, "XTSE": 251.0, "XTKS": 245.0, "XSHG": 244.0}
calendars = pytest.mark.parametrize("calendar", DAYS_A_YEAR, ids=lambda name: name.replace("/", "-"))


def bars_of(symbols, calendar, *, count=900, seed=5):
    """Closes whose log returns have a standard deviation of .60 / √sessions a year, up to the last closed session."""
    known = sessions(calendar)["session"]
    days = known.filter(known < dt.date.today()).tail(count)
    rng, frames = np.random.default_rng(seed), []
    for symbol in symbols:
        close = 100.0 * np.exp(np.cumsum(YEARLY / np.sqrt(DAYS_A_YEAR[calendar]) * rng.standard_normal(count)))
        prices = {"open": close, "high": 1.005 * close, "low": 0.995 * close, "close": close}
        frames.append(pl.DataFrame({"session": days, **prices, "volume": 1e6}).with_columns(symbol=pl.lit(symbol)))
    return rows(pl.concat(frames), file="made").select(SCHEMA.names()).sort("symbol", "session")


def market(symbols, calendar, **how):
    return dataclasses.replace(market_of(bars_of(symbols, calendar, **how)), calendar=calendar)


@calendars
def test_an_option_is_priced_by_the_volatility_of_the_calendar(calendar):
    butterfly = strategies.get("butterfly")
    settings = params.load(paths.parameters("butterfly"), butterfly.settings)
    data = market(["BTC"], calendar)
    wanted = {"BTC": data.bars["session"].tail(120).to_list()}
    events = butterfly.table.build(data, settings, wanted).events
    premium = settings.structure.iv_premium_stock
    assert events["predicted_vol"].median() == pytest.approx(YEARLY, rel=0.1)
    assert events["current_iv"].median() == pytest.approx(YEARLY * premium, rel=0.1)


@calendars
def test_a_factor_of_volatility_is_annualised_by_the_calendar(calendar):
    data = market(["SPX", "A", "B", "C", "D", "E"], calendar)
    settings = forecast_settings("events.first=2001-01-02")
    found = FORECAST.table.build(data, settings, FORECAST.table.schedule(data, settings)).events
    assert found["volatility_60"].median() == pytest.approx(YEARLY, rel=0.05)


@calendars
def test_a_portfolio_is_annualised_by_the_calendar(calendar):
    symbols = [f"S{i}" for i in range(6)]
    data = dataclasses.replace(market(symbols, calendar), source="simulated")
    prepared = prepare(data, breakout_settings().universe)
    made = compared(backtest(prepared, breakout_settings()))
    hold = dict(made.select("figure", "benchmark").rows())
    wealth = prepared.benchmark[prepared.sessions >= np.datetime64(data.bars["session"][0])]
    log_returns = np.diff(np.log(wealth))
    assert log_returns.std(ddof=1) * np.sqrt(DAYS_A_YEAR[calendar]) == pytest.approx(YEARLY / np.sqrt(6), rel=0.1)
    assert hold["annual_volatility"] == pytest.approx(YEARLY / np.sqrt(6), rel=0.1)


def test_a_ratio_of_a_forecast_is_annualised_by_the_periods_it_is_given():
    net = 0.001 + 0.60 / np.sqrt(365) * np.random.default_rng(1).standard_normal(2000)
    how = {"alpha": 0.05, "draws": 200, "seed": 1}
    found = figures(net, np.zeros(2000), periods_per_year=365, **how)
    assert found.sharpe.mean == pytest.approx(net.mean() / net.std(ddof=1) * np.sqrt(365), rel=1e-9)


@pytest.mark.parametrize("strategy", ["butterfly", "forecast", "breakout"])
def test_bars_up_to_the_end_of_a_calendar_make_events_that_are_open(strategy, monkeypatch):
    """As on an exchange whose holidays are known to the end of the year, at the end of the year."""
    from bq.market import calendars as module

    known = module._known("XSHG")
    last = dt.date.today() - dt.timedelta(days=3)
    monkeypatch.setattr(module, "_known", lambda name: known.filter(pl.col("session") <= last))
    module.sessions.cache_clear()
    try:
        found = strategies.get(strategy)
        data = market(["SPX", *"ABCDEF"], "XSHG", count=700)
        day = data.bars["session"].max()
        if strategy == "breakout":
            settings = breakout_settings()
            wanted = found.table.schedule(data, settings)
        else:
            given = "learning.regimes=null events.first=2001-01-02"
            settings = params.load(paths.parameters(strategy), found.settings, overrides=given)
            wanted = {symbol: [day] for symbol in "ABCDEF"}
        events = found.table.build(data, settings, wanted).events
        newest = events.filter(pl.col("outcome").is_null())
        assert len(newest) and (newest["t1_due"] > newest["t0"]).all()
        assert newest["t1_due"].max().date() > day
    finally:
        module.sessions.cache_clear()
