"""Markets and events for the tests of this folder."""

import datetime as dt

import numpy as np
import polars as pl

from bq import strategies
from bq.core import params, paths
from bq.market import MarketData
from bq.market.bars import FINDINGS, SCHEMA, content_hash, rows
from bq.market.calendars import sessions
from bq.market.chains.quotes import SCHEMA as QUOTES

BUTTERFLY = strategies.get("butterfly")
LATER = {"entry_session", "exit_session", "exit_reason", "t1", "outcome", "label", "lead_7d", "debit", "risk"}
LATER |= {"exit_spot", "in_zone", "roi_0%", "roi_25%", "roi_50%", "roi_100%"}  # what t0 does not know


def butterfly_settings(overrides: str = ""):
    """The shipped parameters."""
    return params.load(paths.parameters("butterfly"), BUTTERFLY.settings, overrides=overrides)


def market_of(bars: pl.DataFrame, *, source: str = "real", calendar: str = "XNYS") -> MarketData:
    """A market of these bars, as if validated."""
    bars = bars.select(SCHEMA.names()).sort("symbol", "session")
    nothing = pl.DataFrame()
    quotes = QUOTES.to_frame()
    return MarketData(bars, quotes, FINDINGS.to_frame(), nothing, source, calendar, content_hash(bars))


def days(count: int, *, first: dt.date = dt.date(2015, 1, 2)) -> pl.Series:
    """The first `count` sessions of New York from `first`."""
    return sessions("XNYS").filter(pl.col("session") >= first)["session"].head(count)


def walk(symbol: str, count: int, *, seed: int, splits: dict[int, float] | None = None) -> pl.DataFrame:
    """Bars of a random walk with clustered volatility; `splits`: bar number → new shares for an old one."""
    rng = np.random.default_rng(seed)
    shape = np.cumsum(0.05 * rng.standard_normal(count)) * 0.3
    moves = 0.012 * np.exp(shape - shape.mean()) * rng.standard_normal(count)
    level = 80.0 * np.exp(np.cumsum(moves))
    adj = np.ones(count)
    for bar, factor in (splits or {}).items():
        adj[:bar] /= factor
    frame = pl.DataFrame(
        {
            "symbol": symbol,
            "session": days(count),
            "close": level / adj * adj[0],
            "volume": np.round(1e6 * np.exp(0.4 * rng.standard_normal(count))),
            "adj": adj,
        }
    )
    return rows(frame, file="walk").select(SCHEMA.names())


def build(bars: pl.DataFrame, wanted: dict[str, list[dt.date]], overrides: str = ""):
    """Build the wanted events; `(events, refused)`."""
    return BUTTERFLY.table.build(market_of(bars), butterfly_settings(overrides), wanted)


def until(bars: pl.DataFrame, session: dt.date) -> pl.DataFrame:
    """The bars up to and including a session."""
    return bars.filter(pl.col("session") <= session)
