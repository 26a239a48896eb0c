"""Small panels for the tests of the forecast strategy."""

import datetime as dt

import numpy as np
import polars as pl
from event_samples import days, market_of

from bq import strategies
from bq.core import params, paths
from bq.market.bars import SCHEMA, rows
from bq.simulate.panel import panel_market

FORECAST = strategies.get("forecast")
SESSIONS, NAMES = 330, 8
FIELDS = ("open", "high", "low", "close", "volume")
LATER = {"t1", "outcome", "exit_stale_sessions", "entry_at"}  # what t0 does not know


def forecast_settings(overrides: str = ""):
    """The shipped parameters, for bars from 2015 on; without regimes, which are attached by the store."""
    small = "events.first=2015-01-02 learning.regimes=null"
    return params.load(paths.parameters("forecast"), FORECAST.settings, overrides=f"{small} {overrides}")


def panel_bars(*, sessions: int = SESSIONS, names: int = NAMES, seed: int = 1) -> pl.DataFrame:
    """Bars of an index SPX and of names N0, N1, …"""
    made = panel_market(sessions=sessions, symbols=names, oracle_ic=0.0, seed=seed)
    frames = [
        pl.DataFrame(
            {"session": days(sessions), **{field: getattr(made, field)[:, i] for field in FIELDS}}
        ).with_columns(symbol=pl.lit(symbol))
        for i, symbol in enumerate(["SPX", *(f"N{i}" for i in range(names))])
    ]
    return rows(pl.concat(frames), file="panel").select(SCHEMA.names())


def built(bars: pl.DataFrame, overrides: str = "", wanted: dict[str, list[dt.date]] | None = None):
    """All events of the schedule, or the wanted ones: `(events, refused)`, sorted by session and symbol."""
    settings, market = forecast_settings(overrides), market_of(bars)
    events, refused = FORECAST.table.build(market, settings, wanted or FORECAST.table.schedule(market, settings))
    return events.sort("session", "symbol"), refused


def without(bars: pl.DataFrame, symbol: str, sessions: list[dt.date]) -> pl.DataFrame:
    """Bars without those of a symbol in some sessions."""
    return bars.filter(~((pl.col("symbol") == symbol) & pl.col("session").is_in(sessions)))


def session(number: int) -> dt.date:
    """The session of that number, from 0."""
    return days(number + 1)[number]


def bars_that_pay(predictions: pl.DataFrame, calendar: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Bars by which every name earns its outcome from one rebalance to the end of its period, with noise on the way.

    calendar : session and close_utc. Of the predictions those of sessions in which the last period has ended.
    """
    rng = np.random.default_rng(seed)
    days, closes = calendar["session"].to_list(), calendar["close_utc"].to_list()
    place = {session: i for i, session in enumerate(days)}
    names = predictions["symbol"].unique().sort().to_list()
    returns = 0.01 * rng.standard_normal((len(days), len(names)))
    free = -1
    for (session,), names_of in predictions.sort("session", "symbol").group_by("session", maintain_order=True):
        start = place[session]
        if start < free:
            continue
        free = max(i for i, close in enumerate(closes) if close <= names_of["t1_due"].max())
        columns = [names.index(name) for name in names_of["symbol"]]
        wanted = np.log1p(names_of["outcome"].to_numpy())
        path = returns[start + 1 : free + 1, columns]
        returns[start + 1 : free + 1, columns] = path - path.mean(axis=0) + wanted / len(path)
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    before = np.vstack([np.full(len(names), 100.0), close[:-1]])
    frames = [
        pl.DataFrame({"session": days, "open": before[:, i], "close": close[:, i]}).with_columns(symbol=pl.lit(name))
        for i, name in enumerate(names)
    ]
    both = pl.col("open", "close")
    whole = pl.concat(frames).with_columns(
        high=pl.max_horizontal(both), low=pl.min_horizontal(both), volume=pl.lit(1e6)
    )
    return rows(whole, file="made").select(SCHEMA.names())


def one(events: pl.DataFrame, symbol: str, number: int) -> dict:
    """The event of a symbol in a session."""
    (found,) = events.filter(pl.col("symbol") == symbol, pl.col("session") == session(number)).to_dicts()
    return found


def price(bars: pl.DataFrame, symbol: str, number: int, field: str = "close") -> float:
    """An adjusted price."""
    (row,) = bars.filter(pl.col("symbol") == symbol, pl.col("session") == session(number)).to_dicts()
    return row[field] * row["adj"]
