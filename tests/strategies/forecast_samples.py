"""Small panels for the tests of the forecast strategy."""

import datetime as dt

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


def one(events: pl.DataFrame, symbol: str, number: int) -> dict:
    """The event of a symbol in a session."""
    (found,) = events.filter(pl.col("symbol") == symbol, pl.col("session") == session(number)).to_dicts()
    return found


def price(bars: pl.DataFrame, symbol: str, number: int, field: str = "close") -> float:
    """An adjusted price."""
    (row,) = bars.filter(pl.col("symbol") == symbol, pl.col("session") == session(number)).to_dicts()
    return row[field] * row["adj"]
